"""Drawing tokens: the same logits and the same key give the same token on every framework."""

from tempscale.decoding._sampling import DEFINITION_VERSION, sample, sample_without_replacement

__all__ = ["DEFINITION_VERSION", "sample", "sample_without_replacement"]
