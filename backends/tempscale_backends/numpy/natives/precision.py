"""The option `precision` in NumPy: in place, on pieces that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tempscale.backend import Array
from tempscale.kernels import exact, precision

PIECE = 2**14
"""Entries of the three float64 arrays that are worked on at a time."""


@precision.differentiable.native("numpy")
def _differentiable(*arrays: Array) -> bool:
    return False  # what autograd looks at is not NumPy's


@precision.reproducible.native("numpy")
def _reproducible(*arrays: Array, **options: Any) -> Array:
    with np.errstate(all="ignore"):
        return precision.reproducible.body(*arrays, xp=np, **options)[()]


@exact.narrow.native("numpy")
def _narrow(x: Array, *, dtype: str) -> Array:
    with np.errstate(all="ignore"):
        return exact.narrow.body(x, dtype=dtype, xp=np)


@exact.flushed.native("numpy")
def _flushed(x: Array) -> Array:
    small = abs(x) < exact.TINY
    return np.where(small, x.dtype.type(0), x) if small.any() else x


@exact.row_top.native("numpy")
def _row_top(x: Array, *, axis: int) -> Array:
    return x.max(axis=axis, keepdims=True)


@exact.below_top.native("numpy")
def _below_top(x: Array, top: Array, *, axis: int) -> tuple[Array, Array]:
    at_top = x == top
    below = x.copy()
    below[at_top] = -np.inf
    return below, np.count_nonzero(at_top, axis=axis, keepdims=True)


@exact.power_of_two.native("numpy")
def _power_of_two(k: Array) -> Array:
    return ((k + (exact.MAGIC + 1023)).view(np.int64) << 52).view(np.float64)


def _in_pieces(function: Callable[..., Array]) -> Callable[..., Array]:
    """Run a function of a float64 copy, which it may write to, and of arrays or numbers that broadcast to it."""

    def native(x: Array, *operands: Any) -> Array:
        out = np.empty(x.shape)
        axis = int(np.argmax(x.shape))
        step = max(1, PIECE * x.shape[axis] // max(1, x.size))
        for start in range(0, x.shape[axis], step):
            here = (slice(None),) * axis + (slice(start, start + step),)
            parts = [y[here] if isinstance(y, np.ndarray) and y.shape[axis] > 1 else y for y in operands]
            out[here] = function(x[here].astype(np.float64), *parts)
        return out

    return native


@exact.exponentials.native("numpy")
@_in_pieces
def _exponentials(y: Array, m: Array, rate: Any, lowest: Any, unit: Any) -> Array:
    y -= m
    y *= rate
    np.maximum(y, lowest, out=y)
    return exact.exponentials_in_place(y, np.floor(y), unit, np.int64)


@exact.log_probabilities.native("numpy")
@_in_pieces
def _log_probabilities(y: Array, m: Array, rate: Any, total: Array) -> Array:
    y -= m
    y *= rate
    y -= total
    return y


@exact.whole_sum.native("numpy")
def _whole_sum(x: Array, *, axis: int) -> Array:
    integers = (x + exact.MAGIC).view(np.int64)
    integers -= exact.MAGIC_BITS
    return integers.sum(axis=axis, keepdims=True).astype(np.float64)
