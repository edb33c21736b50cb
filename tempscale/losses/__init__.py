"""Losses on logits."""

from tempscale.losses._cross_entropy import cross_entropy
from tempscale.losses._linear_cross_entropy import linear_cross_entropy

__all__ = ["cross_entropy", "linear_cross_entropy"]
