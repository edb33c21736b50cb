"""Sums and maxima of rows, and the broadcast that goes with them: they carry the accuracy of everything else.

They are operations with natives, because frameworks sum in different ways: some add 128 256 numbers one after
another when they compile.
"""

from __future__ import annotations

import math
import operator
from typing import Any

from tempscale._core.operation import INJECTED, agnostic
from tempscale.arrays import custom_gradient, stop_gradient
from tempscale.backend import Array


@agnostic
def accurate_sum(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Sum along `axis`, kept, with an error of at most log2(n) + 2 roundings of the sum of magnitudes."""
    return xp.sum(x, axis=axis, keepdims=True)


@agnostic
def row_max(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Maximum along `axis`, kept. Whether a NaN wins is left to the framework: it is in the row all the same."""
    return xp.max(x, axis=axis, keepdims=True)


@agnostic
def row_max_or_nan(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Maximum along `axis`, kept; NaN if there is one. The standard says so, frameworks do not all do so."""
    return xp.max(x, axis=axis, keepdims=True)


@agnostic
def times_row(x: Array, row: Array, /, *, xp: Any = INJECTED) -> Array:
    """``x * row``, where `row` has one value per row. What a framework adds up in its gradient is its own way."""
    return x * row


@agnostic
def minus_row(x: Array, row: Array, /, *, xp: Any = INJECTED) -> Array:
    """``x - row``, where `row` has one value per row."""
    return x - row


def times_row_accurately(x: Array, row: Array) -> Array:
    """`times_row` with an `accurate_sum` in its gradient, for natives."""
    rules = custom_gradient(
        operator.mul,
        vjp=lambda arrays, result, g: (g * arrays[1], sum_to_row(g * arrays[0], arrays[1])),
        jvp=lambda arrays, result, tangents: tangents[0] * arrays[1] + arrays[0] * tangents[1],
    )
    return rules(x, row)


def minus_row_accurately(x: Array, row: Array) -> Array:
    """`minus_row` with an `accurate_sum` in its gradient, for natives."""
    rules = custom_gradient(
        operator.sub,
        vjp=lambda arrays, result, g: (g, -sum_to_row(g, arrays[1])),
        jvp=lambda arrays, result, tangents: tangents[0] - tangents[1],
    )
    return rules(x, row)


@agnostic
def sum_to_row(x: Array, row: Array, /, *, xp: Any = INJECTED) -> Array:
    """Sum `x` accurately over the axes along which `row` was broadcast."""
    for axis, (one, size) in enumerate(zip(row.shape, x.shape, strict=True)):
        if one == 1 and size != 1:
            x = accurate_sum(x, axis=axis)
    return x


def split_sum(x: Array, axis: int, xp: Any) -> Array:
    """Sum along `axis`, kept, in two parts: multiples of a grid, exact in any order, and what is left.

    For natives on float64, where no wider accumulator is at hand. Up to 2^23 entries.
    """
    if x.shape[axis] == 0:  # which has no maximum
        return xp.sum(x, axis=axis, keepdims=True)
    constant = stop_gradient(x)
    finite = xp.abs(constant) < math.inf
    top = xp.max(xp.where(finite, xp.abs(constant), 0.0), axis=axis, keepdims=True)
    grid = xp.where(top > 2.0**-900, top, 1.0) * 2.0**-30  # a subnormal grid would be flushed to zero
    whole = xp.where(finite, xp.round(constant / grid), 0.0)
    rest = xp.sum(x - whole * grid, axis=axis, keepdims=True)
    return xp.sum(whole, axis=axis, keepdims=True) * grid + rest
