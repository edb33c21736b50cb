"""Logarithm and normal quantiles in float64, the same bits on every framework, eager and compiled.

Every step is exact or one operation that IEEE 754 rounds: +, -, *, /. A compiler may contract a product and a sum into
one rounding; so a product that is added to is exact, or is taken the absolute value of in between, which leaves it as
it is. No step is subnormal, and none calls a library function.
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

_FAR_NUMERATOR = (
    0.8201525666934313,
    0.8531770509755899,
    0.109335136717565,
    0.00396269373034932,
    5.114611473376124e-05,
    2.523428582298718e-07,
    4.639838489063774e-10,
    2.761067306089394e-13,
    3.507286016820352e-17,
)
_FAR_DENOMINATOR = (
    1.0,
    0.27297291796550405,
    0.017273636619192668,
    0.0003633495344027237,
    2.87638893199823e-06,
    8.719290774193851e-09,
    9.367153084616703e-12,
    2.8055801258833393e-15,
    1.0159889791924625e-19,
)
"""The same for 36 <= t <= 690, fitted to a relative 9e-13."""

FAR = 36.0
"""Standard deviations from which on `far_quantile` is used, before probabilities become subnormal."""


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
    t = _depth(u, xp)
    return (2.0 * u - 1.0) * _ratio(_NUMERATOR, _DENOMINATOR, t, xp)


def lower_quantile(u: Array, xp: Any) -> Array:
    """`normal_quantile` of any u from 2^-995 to 1 - 2^-53, with the same bits from 2^-53 on."""
    t = _depth(u, xp)
    near, far = _ratio(_NUMERATOR, _DENOMINATOR, t, xp), _ratio(_FAR_NUMERATOR, _FAR_DENOMINATOR, t, xp)
    return (2.0 * u - 1.0) * xp.where(t > 36.0, far, near)


def far_quantile(e: Array, near: Any, g: Any, xp: Any) -> Array:
    """Return x with Q(x) = Q(near) exp(-e), where Q is the upper tail of the normal distribution.

    For near >= `FAR` and 0 <= e <= 37, with a relative error of 1e-12. The derivative of log Q is
    -(x + 1/x - 2/x^3 + 10/x^5 - ...); so with g = 1 / near^2, an argument, and r = x^2 / near^2 - 1

        2 g e = r + g log(1 + r) - 2 g^2 r / (1 + r) + 5 g^3 r (2 + r) / (1 + r)^2 - ...

    whose next term is at most 74 g^4 r. Divided by r, the right side is 1 and what hardly depends on r: a second
    round brings r to within 1e-13 of itself.
    """
    g = xp.full_like(e, g)  # an array: PyTorch divides a number by multiplying with a reciprocal
    whole = 2.0 * g * e
    r = whole
    for _ in range(2):
        h = g / (1.0 + r)
        log_ratio = _ratio((60.0, 60.0, 11.0), (60.0, 90.0, 36.0, 3.0), r, xp)  # log(1 + r) / r, within r^6 / 2800
        r = whole / (1.0 + xp.abs(g * (log_ratio - xp.abs(h * (2.0 - xp.abs(5.0 * (g + h)))))))
    r = xp.abs(r)  # of a quotient of a quotient XLA makes one with a product
    y = r * 0.5  # sqrt(1 + r) - 1, within 2e-13 after five rounds: not every framework rounds a root correctly
    for _ in range(5):
        y = r / (2.0 + y)
    return near * (1.0 + y)


def _depth(u: Array, xp: Any) -> Array:
    return -log(4.0 * u * (1.0 - u), xp)


def _ratio(numerator: tuple[float, ...], denominator: tuple[float, ...], x: Array, xp: Any) -> Array:
    return _polynomial(numerator, x, xp) / _polynomial(denominator, x, xp)


def _polynomial(coefficients: tuple[float, ...], x: Array, xp: Any) -> Array:
    """Evaluate a polynomial with positive coefficients at x >= 0."""
    total = xp.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = xp.abs(total * x) + c
    return total
