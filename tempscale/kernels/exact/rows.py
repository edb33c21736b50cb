"""Rows of logits over a temperature in exact arithmetic, from which the reproducible values are computed."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import is_array
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels.exact.arithmetic import LOG2_E, TINY, exponentials, flushed, log1p, power_of_two, whole_sum

LOWEST = -256.0
"""The least power of two that counts; 2^18 entries of it add up to far less than float32 can hold."""
COLD = 2.0**600
"""Stands for 1/T at T = 0: what is below the maximum then is below `LOWEST`, by the least difference there is."""


@agnostic
def row_top(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Maximum along `axis`, kept, which is not finite in a row with NaN: compiled, a maximum can lose one."""
    return xp.max(xp.where(x == x, x, math.inf), axis=axis, keepdims=True)


@agnostic
def below_top(x: Array, top: Array, /, *, axis: int, xp: Any = INJECTED) -> tuple[Array, Array]:
    """Return `x` with -inf in place of the maxima, and the number of maxima."""
    at_top = x == top
    # a sum of so few ones is exact in float32 too
    return xp.where(at_top, -math.inf, x), xp.sum(xp.astype(at_top, x.dtype), axis=axis, keepdims=True)


class Rate(NamedTuple):
    """1/T and its limits, in float64: Python's own for a number, arrays for an array."""

    value: Any
    """`COLD` at T = 0, 1 at T = inf."""
    hot: Any
    """Whether T = inf."""
    cold: Any
    """Whether T = 0."""
    valid: Any
    """Whether T >= 0."""


def _rate(temperature: Any, rank: int, xp: Any) -> Rate:
    # the reciprocals that float32 cannot hold are limits, as they are by default
    if not is_array(temperature):
        cold, hot = temperature < TINY, temperature >= 1.0 / TINY
        return Rate(COLD if cold else 1.0 if hot else 1.0 / temperature, hot, cold, True)
    t = xp.astype(temperature, backend_of(temperature).dtype("float64"))
    if len(t.shape) == 0:
        t = xp.reshape(t, (1,) * rank)
    cold, hot = xp.abs(t) < TINY, t >= 1.0 / TINY
    value = 1.0 / xp.where((t >= TINY) & ~hot, t, 1.0)
    return Rate(xp.where(cold, COLD, value), hot, cold, cold | (t > 0))


def selected(flag: Any, yes: Any, no: Any, xp: Any) -> Any:
    """Return `yes` where a flag of a `Rate` is set, else `no`."""
    if is_array(flag):
        return xp.where(flag, yes, no)
    return yes if flag else no


class Rows(NamedTuple):
    """Logits over a temperature, before anything is rounded: exp((x - m) * rate) is what a row is made of."""

    x: Array
    """The logits in float32. At T = inf every entry that is not masked is the maximum."""
    top: Array
    """Maximum of the row."""
    m: Array
    """The maximum in float64, 0 where it is not finite."""
    rate: Rate
    valid: Array
    """Whether the maximum is finite and T >= 0. Otherwise what is computed from the rest has no meaning."""


def prepared(x: Array, temperature: Any, axis: int, xp: Any) -> Rows:
    """Return what all reproducible values begin with, for float32 logits and a temperature."""
    rate = _rate(temperature, len(x.shape), xp)
    x = flushed(x)
    top = row_top(x, axis=axis)
    finite = xp.abs(top) < math.inf
    if rate.hot is not False:
        x = selected(rate.hot, xp.where(x > -math.inf, top, x), x, xp)
    m = xp.where(finite, xp.astype(top, backend_of(x).dtype("float64")), 0.0)
    return Rows(x, top, m, rate, selected(rate.valid, finite, False, xp))


class Others(NamedTuple):
    """All entries but the maxima, on which the logarithm of the total depends."""

    x: Array
    """The logits, -inf at the maxima."""
    second: Array
    """The largest of them in float64; the maximum where none has mass to speak of."""
    k: Array
    """Its exponent; `e` and `mass` are in units of 2^k, so that even a small mass is precise."""
    e: Array
    """Their powers, in units of 2^-43."""
    mass: Array
    """The sum of their powers."""
    total: Array
    """The mass of all but one maximum, in units of 1."""


def others_of(q: Rows, axis: int, xp: Any) -> Others:
    """Return the entries of rows that are not their maxima."""
    x, maxima = below_top(q.x, q.top, axis=axis)
    rate = q.rate.value * LOG2_E
    second = xp.astype(xp.max(x, axis=axis, keepdims=True), q.m.dtype)
    y = (second - q.m) * rate
    among = y > LOWEST
    k = xp.floor(xp.where(among, y, LOWEST))
    e = exponentials(x, q.m, rate, k - 64.0, 43.0 - k)
    mass = xp.where(among, whole_sum(e, axis=axis) * 2.0**-43, 0.0)
    rest = xp.where(q.valid, xp.astype(maxima, q.m.dtype), 1.0) - 1.0
    return Others(x, xp.where(among, second, q.m), k, e, mass, rest + mass * power_of_two(k))


def log_of_total(q: Rows, axis: int, xp: Any) -> Array:
    """Return (x - m) / T less the logarithm of the probability; NaN for rows that are not valid."""
    return xp.where(q.valid, log1p(others_of(q, axis, xp).total, xp), math.nan)


@agnostic
def log_probabilities(x: Array, m: Array, rate: Any, total: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return (x - m) * rate - total in float64, as the negative of a sum of two numbers that are not negative."""
    return -(xp.abs((xp.astype(x, m.dtype) - m) * rate) + total)
