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


FEW = 4
"""Entries that may be added up in any order: 3 roundings, where `accurate_sum` may make 4."""

SHORT = 64
"""Entries of a row below which float64 adds up all of them."""


def added_in_turn(n: int) -> int:
    """How many of n entries may be added up in any order before float64 adds up the sums.

    They make one rounding less than they are, and the result makes one more; `accurate_sum` may make log2(n) + 2.
    """
    return int(math.log2(n)) + 2 if n >= SHORT else 1


def equal_parts(n: int) -> int:
    """Return the largest number of equal parts of n entries whose sum `added_in_turn` allows."""
    return max(parts for parts in range(1, added_in_turn(n) + 1) if n % parts == 0)


def sum_in_float64(x: Array, axis: int, xp: Any) -> Array:
    """Sum along `axis`, kept, in float64: of sums of a few entries each, so that there is less to widen.

    For natives that run eagerly, on narrower dtypes.
    """
    n, parts = x.shape[axis], added_in_turn(x.shape[axis])
    if parts == 1:
        return xp.astype(xp.sum(x, axis=axis, keepdims=True, dtype=xp.float64), x.dtype)
    each, along = n // parts, (slice(None),) * axis
    equal = x[(*along, slice(parts * each))]
    sums = xp.sum(xp.reshape(equal, (*x.shape[:axis], parts, each, *x.shape[axis + 1 :])), axis=axis)
    total = xp.sum(sums, axis=axis, keepdims=True, dtype=xp.float64)
    if n > parts * each:
        total = total + xp.sum(x[(*along, slice(parts * each, n))], axis=axis, keepdims=True)
    return xp.astype(total, x.dtype)


def sum_of_halves(x: Array, axis: int, xp: Any) -> Array:
    """Sum along `axis`, kept: the second half is added to the first, until few are left.

    For natives that run eagerly, on float64.
    """
    along = (slice(None),) * axis
    while (n := x.shape[axis]) > FEW:
        half = n // 2
        pairs = x[(*along, slice(half))] + x[(*along, slice(half, 2 * half))]
        x = xp.concat([pairs, x[(*along, slice(n - 1, n))]], axis=axis) if n % 2 else pairs
    return xp.sum(x, axis=axis, keepdims=True)


def split_sum(x: Array, axis: int, xp: Any) -> Array:
    """Sum along `axis`, kept, in two parts: multiples of a grid, exact in any order, and what is left.

    For natives that are compiled, on float64, where no wider accumulator is at hand. Up to 2^23 entries.
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
