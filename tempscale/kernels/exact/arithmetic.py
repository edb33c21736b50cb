"""Exponentials, logarithms and sums in float64, with the same bits in every framework.

How the functions must be written for that is in the docstring of the package.
"""

from __future__ import annotations

import math
from typing import Any

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import SMALLEST_NORMAL, cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels.exact.quantiles import split_float

TINY = SMALLEST_NORMAL["float32"]
LOG2_E = float.fromhex("0x1.71547652b82fep+0")
LN_2 = float.fromhex("0x1.62e42fefa39efp-1")


@agnostic
def narrow(x: Array, /, *, dtype: str, xp: Any = INJECTED) -> Array:
    """Return float64 numbers in a narrower dtype, rounded; to one of 16 bits by way of float32, in all frameworks."""
    backend = backend_of(x)
    return cast(xp.astype(x, backend.dtype("float32")), backend.dtype(dtype), xp)


@agnostic
def flushed(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return `x` with 0 in place of what float32 holds as a subnormal number."""
    return xp.where(xp.abs(x) < TINY, 0.0, x)


# 1 + ... approximates 2^f on [0, 1] with a relative error of 4.4e-11 (2^-34.4), the least of this degree: by Remez
# exchange. All are positive, and so is f: `abs` changes nothing and keeps the product apart from the sum.
EXP2 = (
    float.fromhex("0x1.678bcaef457b7p-16"),
    float.fromhex("0x1.2d830b90a1590p-13"),
    float.fromhex("0x1.5fc57d6545371p-10"),
    float.fromhex("0x1.3b0a73e7b7a7fp-7"),
    float.fromhex("0x1.c6b278543cf0cp-5"),
    float.fromhex("0x1.ebfbd24ce1f0ap-3"),
    float.fromhex("0x1.62e430102554dp-1"),
    1.0,
)
# log((1 + s) / (1 - s)) = 2 s (1 + s^2 / 3 + s^4 / 5 + ...), for s <= 1/3 up to a relative 2^-47
_LOG = tuple(1.0 / i for i in range(27, 0, -2))


def polynomial(coefficients: tuple[float, ...], x: Array, xp: Any) -> Array:
    """Evaluate a polynomial whose terms are positive, highest power first, rounding each product and each sum."""
    result = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        result = (xp.abs(result) + coefficient) * x
    return xp.abs(result) + coefficients[-1]


MAGIC = 1.5 * 2.0**52
"""Added to a number below 2^51, it leaves the nearest whole number in the lowest bits, above `MAGIC_BITS`."""
MAGIC_BITS = 0x4338000000000000


@agnostic
def power_of_two(k: Array, /, *, xp: Any = INJECTED) -> Array:
    """2^k for whole k from -1022 to 1023. Natives write the exponent into the bits of a float64."""
    left, result = xp.abs(k), xp.ones_like(k)
    for step in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
        large = left >= step
        result, left = xp.where(large, result * 2.0**step, result), xp.where(large, left - step, left)
    return xp.where(k < 0, 1.0 / result, result)


@agnostic
def exponentials(x: Array, m: Array, rate: Any, lowest: Any, unit: Any, /, *, xp: Any = INJECTED) -> Array:
    """2^(max((x - m) * rate, lowest) + unit) in float64, for x <= m. Where x or m is not finite it may be anything."""
    y = (xp.astype(x, m.dtype) - m) * rate
    y = xp.where(y > lowest, y, lowest)
    k = xp.floor(y)
    return polynomial(EXP2, y - k, xp) * power_of_two(k + unit)


def exponentials_in_place(y: Array, k: Array, unit: Any, integer: Any) -> Array:
    """2^(y + unit), where k is y rounded down, for natives without a compiler. Both arrays are written to."""
    y -= k
    p = y * EXP2[0]
    for coefficient in EXP2[1:-1]:
        p += coefficient
        p *= y
    p += EXP2[-1]
    k += unit + MAGIC
    exponent = k.view(integer)
    exponent <<= 52
    bits = p.view(integer)
    bits += exponent
    return p


@agnostic
def whole_sum(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Sum along `axis`, kept, of numbers below 2^51 rounded to integers: the same in any order, up to 2^63."""
    integers = xp.astype(xp.round(x), backend_of(x).dtype("int64"))
    return xp.astype(xp.sum(integers, axis=axis, keepdims=True), x.dtype)


def exact_sum(x: Array, axis: int, xp: Any) -> Array:
    """Sum along `axis`, kept, the same in any order: within 2^-60 of the largest magnitude for each of the numbers.

    They are rounded to integers of 60 bits, in two parts of 30: up to 2^32 of them can be added. The error relative to
    the sum of the magnitudes is at most n * 2^-60, and where none is negative that is the sum itself.
    """
    finite = xp.abs(x) < math.inf
    y = xp.where(finite, x, 0.0)
    largest = xp.max(xp.abs(y), axis=axis, keepdims=True)
    _, k = split_float(xp.where(largest > 0, largest, 1.0))
    y = y * power_of_two(30.0 - k)
    high = xp.round(y)
    total = whole_sum(high, axis=axis) + whole_sum((y - high) * 2.0**30, axis=axis) * 2.0**-30
    special = xp.sum(xp.where(finite, 0.0, x), axis=axis, keepdims=True)
    return total * power_of_two(k - 30.0) + special


def log1p(t: Array, xp: Any) -> Array:
    """log(1 + t) for t from 0 to 2^18, within 2^-46 of itself."""
    m, k = split_float(1.0 + t)
    small = k == 1.0  # 1 + t was rounded: t itself was not
    s = xp.where(small, t, m - 0.5) / xp.where(small, t + 2.0, m + 0.5)
    return xp.abs((k - 1.0) * LN_2) + xp.abs(2.0 * s * polynomial(_LOG, s * s, xp))
