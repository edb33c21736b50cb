"""Logarithm and normal quantiles in float64, the same bits on every framework, eager and compiled.

Every step is exact or one operation that IEEE 754 rounds: +, -, *, /. A compiler may contract a product and a sum into
one rounding; so a product that is added to is exact, or is taken the absolute value of in between, which leaves it as
it is. Nothing here is subnormal or in need of a library function.
"""

from __future__ import annotations

from typing import Any

from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array

_LN2 = (float.fromhex("0x1.62e42fefa2p-1"), float.fromhex("0x1.9ef35793c7p-41"))
"""ln 2 in two parts of at most 41 bits: their products with an exponent are exact."""

_ATANH = (
    0.666666666666667,
    0.39999999999899194,
    0.2857142862610149,
    0.2222221111601252,
    0.18182890389614803,
    0.15331682404680524,
    0.1461690500896355,
)
"""(2 atanh(s) / s - 2) / s^2 as a polynomial in s^2, for |s| < 0.1716, fitted to 1e-17."""

_NUMERATOR = (
    1.2533141373195882,
    0.6033911948969375,
    0.16833690507464044,
    0.032492861784175424,
    0.004662241085009517,
    0.0005097878736162116,
    4.2704898100583515e-05,
    2.7664831375841116e-06,
    1.4865450486216763e-07,
    3.92920324566267e-09,
    1.793211541649336e-11,
)
_DENOMINATOR = (
    1.0,
    0.21963713092547701,
    0.06378051222059825,
    0.009000422696269767,
    0.0012556166038110701,
    0.00010795219758874287,
    8.53005782576893e-06,
    4.727091281976124e-07,
    2.05503748554664e-08,
    2.475768812359439e-10,
    2.857079234076498e-13,
)
"""sqrt(2) erfinv(x) / x in t = -log(1 - x^2), for 0 <= t <= 36, fitted to a relative 4e-12."""


@agnostic
def split_float(x: Array, /, *, xp: Any = INJECTED) -> tuple[Array, Array]:
    """Return m and k with x = m * 2^k and m from 0.5 to 1, both in float64, for 0 and normal x > 0."""
    k = xp.zeros_like(x)
    for step in (512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
        large, small = x >= 2.0**step, x < 2.0**-step
        x = xp.where(large, x * 2.0**-step, xp.where(small, x * 2.0**step, x))
        k = xp.where(large, k + step, xp.where(small, k - step, k))
    return xp.where(x >= 1.0, x * 0.5, x), xp.where(x >= 1.0, k + 1.0, k)


def log(x: Array, xp: Any) -> Array:
    """Logarithm of what `split_float` takes, without 0; near 1 accurate relative to itself."""
    m, k = split_float(x)
    low = m < 0.5**0.5
    m, k = xp.where(low, m * 2.0, m), xp.where(low, k - 1.0, k)
    s = (m - 1.0) / (m + 1.0)
    size = xp.abs(s * (2.0 + xp.abs(s * s * _polynomial(_ATANH, s * s, xp))))
    one = xp.ones_like(size)
    return k * _LN2[0] + (k * _LN2[1] + size * xp.where(m < 1.0, -one, one))


def normal_quantile(u: Array, xp: Any) -> Array:
    """Return what is normally distributed where u is uniform; 2^-53 <= u < 1 in at most 53 bits behind the point."""
    t = -log(4.0 * u * (1.0 - u), xp)
    return (2.0 * u - 1.0) * (_polynomial(_NUMERATOR, t, xp) / _polynomial(_DENOMINATOR, t, xp))


def _polynomial(coefficients: tuple[float, ...], x: Array, xp: Any) -> Array:
    """Evaluate a polynomial with positive coefficients at x >= 0."""
    total = xp.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = xp.abs(total * x) + c
    return total
