"""Probabilities from logits, their logarithms, and what is computed from them."""

from tempscale.probability._entropy import entropy
from tempscale.probability._kl_divergence import kl_divergence
from tempscale.probability._log_prob import log_prob
from tempscale.probability._log_softmax import log_softmax
from tempscale.probability._logsumexp import logsumexp
from tempscale.probability._softmax import softmax

__all__ = ["entropy", "kl_divergence", "log_prob", "log_softmax", "logsumexp", "softmax"]
