"""Quantities that several contracts of probabilities name, and formulas that they share."""

from __future__ import annotations

LEGEND = {"z": "(logits - max) / T", "p": "softmax, exactly"}
LOG_LEGEND = {
    **LEGEND,
    "l": "log_softmax, exactly",
    "L": "-l at the maximum, log sum exp(z)",
    "s": "1 - exp(-L), the mass of all but one maximum",
    "y": "mean of |z| over all but one maximum, weighted by exp(z)",
}
LOG_ERROR = "3*abs(z) + (3*y + 8 + log2(n)) * s + 8*L + 2*abs(l)"
GRADIENT_LEGEND = {"G": "(|g| + sum(p |g|)) / T", "b": "p * sum(p |g z|) / T; both 0 at the limits of T"}
