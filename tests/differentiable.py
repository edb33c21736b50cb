"""Rows that derivatives are taken of, with cotangents and directions: what several tests of derivatives share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from exactness import exact_of

OPERATIONS = ("softmax", "log_softmax", "logsumexp", "entropy", "kl_divergence", "sparsemax", "cross_entropy")
INF = math.inf

# Inputs are multiples of 2^-10, directions of 2^-4: sums with small powers of two are exact in float64.
_rng = np.random.default_rng(11)
LOGITS = np.round(_rng.standard_normal((5, 6)) * 2**10) / 2**10
LOGITS[1, :3] = 1.5  # ties, at the maximum
LOGITS[2, [0, 4]] = -INF
LOGITS[3, 2] = 12.0
LOGITS[4] += 4.0
OTHER = np.round(_rng.standard_normal((5, 6)) * 2**10) / 2**10
LABELS = np.array([0, 2, 1, 2, 5])
TEMPERATURE = np.array([[1.0], [1.5], [2.0], [1.25], [1.0]])
DIRECTIONS = [np.round(_rng.standard_normal((5, 6)) * 16) / 16 for _ in range(2)]


def operands_of(name: str) -> list[Any]:
    """What is differentiated besides the temperature."""
    return [LOGITS, OTHER] if name == "kl_divergence" else [LOGITS]


def reference(name: str, operands: Sequence[Any], temperature: Any) -> Any:
    labels = [LABELS] if name == "cross_entropy" else []
    return exact_of(name, *operands, *labels, temperature=temperature)["value"]


def cotangent_of(name: str) -> Any:
    shape = reference(name, operands_of(name), TEMPERATURE).shape
    g = np.round(np.random.default_rng(12).standard_normal(shape) * 16) / 16
    if name == "log_softmax":  # -inf has no finite combination with others
        g = np.where(LOGITS == -INF, 0.0, g)
    return g


def direction(name: str, temperature: Any) -> list[Any]:
    moved = np.round(np.random.default_rng(13).standard_normal(np.shape(temperature)) * 16) / 16
    return [*DIRECTIONS[: len(operands_of(name))], moved]
