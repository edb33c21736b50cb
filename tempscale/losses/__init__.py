"""Losses on logits."""

from tempscale.losses._cross_entropy import cross_entropy

__all__ = ["cross_entropy"]
