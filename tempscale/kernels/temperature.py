"""What every function of logits does first: widen, mask, subtract the maximum, multiply by 1/T."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import LARGEST, SMALLEST_NORMAL, cast, is_array, working_dtype
from tempscale._core.operation import INJECTED, agnostic
from tempscale.arrays import stop_gradient
from tempscale.backend import Array
from tempscale.kernels.reductions import accurate_sum, minus_row, row_max, times_row


@agnostic
def exponential(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """exp(x). Natives protect a NaN from compilers that turn it into something else."""
    return xp.exp(x)


def exponential_but_of_nan(x: Array, xp: Any) -> Array:
    """`exponential` that never takes exp of a NaN, for natives.

    XLA on a CPU takes the exponential by way of an integer, which a NaN has none of: where it knows at compile time
    that a NaN goes in, it leaves the result out, and memory that nobody wrote comes out.
    """
    nan = x != x
    return xp.where(nan, x, xp.exp(xp.where(nan, 0.0, x)))


class Reciprocal(NamedTuple):
    """1/T, computed on the host from an ordinary number T. See `is_numbers`."""

    value: Any


class Known(NamedTuple):
    """1/T of an ordinary number T, and what a native knows already of the rows of logits. See `is_numbers`.

    Rules of derivatives get it as an argument, which has no derivatives in them; of what they recompute with it there
    are some.
    """

    value: Any
    m: Array
    """Maximum of the row."""
    total: Array
    """Sum of exp((x - m) / T)."""
    others: Array
    """The same less 1, without cancellation."""


def is_numbers(option: Any) -> bool:
    """Whether an option is numbers that may be others at each call: a named tuple of them.

    Natives that compile an eager call take what is in it as operands, so that other numbers do not compile again. The
    body then sees the same named tuple with 0-d arrays in it.
    """
    return isinstance(option, tuple) and hasattr(option, "_fields")


def is_limit(temperature: Any) -> bool:
    """Whether a temperature is the number 0 or inf, where a limit is taken instead of a product."""
    return isinstance(temperature, float) and (temperature == 0.0 or temperature == math.inf)


def reciprocal(temperature: Array, working: str, xp: Any) -> Array:
    """1/T for an array, rounded once to the working precision and clamped to its normal numbers.

    T = 0 gives the largest number and T = inf the smallest, with gradient 0; T < 0 and NaN give NaN.
    """
    backend = backend_of(temperature)
    given = backend.dtype_name(temperature)
    exact = "float64" if "float64" in (given, working) or given in ("int64", "uint64") else "float32"
    t = cast(temperature, backend.dtype(exact), xp)
    ordinary = (t > 0) & (t < math.inf)
    small, large = SMALLEST_NORMAL[working], LARGEST[working]
    c = 1 / xp.where(ordinary, t, 1.0)
    c = xp.where((c > large) | (t == 0), large, xp.where((c < small) | (t == math.inf), small, c))
    c = xp.where(t >= 0, c, math.nan)
    return cast(c, backend.dtype(working), xp)


class Scaled(NamedTuple):
    """Logits over a temperature, with the maximum subtracted, in the working precision."""

    z: Array
    """(x - m) / T: 0 at the maxima, -inf where masked; a row with NaN, +inf or nothing but -inf has a NaN."""
    x: Array
    """The logits themselves, -inf where masked."""
    m: Array
    """Maximum of the row, kept as an axis; a constant to differentiation. With a NaN in the row it may be any."""
    c: Any
    """1 / T: a number, an array, or the limit T itself (0.0 or inf)."""
    known: Known | None = None


def widen(logits: Array, where: Array | None, xp: Any) -> Array:
    """Return logits in the working precision, -inf where they do not count."""
    x = cast(logits, backend_of(logits).dtype(working_dtype(logits)), xp)
    return x if where is None else xp.where(where, x, -math.inf)


def scale(logits: Array, temperature: Any, axis: int, where: Array | None, xp: Any) -> Scaled:
    """Return ``(x - max) * (1/T)``, or its limit at T = 0 and T = inf.

    The maximum is subtracted first, because that is exact where it matters; and the reciprocal is multiplied,
    because compilers turn a division by a constant into that anyway, some of them.
    """
    x = widen(logits, where, xp)
    if isinstance(temperature, Known):
        m, c = stop_gradient(temperature.m), stop_gradient(temperature.value)
        return Scaled((x - m) * c, x, m, c, temperature)
    m = stop_gradient(row_max(x, axis=axis))
    c = rate_of(temperature, working_dtype(x), xp)
    if is_array(temperature) and len(c.shape) == 0:
        c = xp.reshape(c, (1,) * len(x.shape))
    return Scaled(over_temperature(x, m, c, xp), stop_gradient(x) if is_limit(c) else x, m, c)


def rate_of(temperature: Any, working: str, xp: Any) -> Any:
    """Return 1/T: a number, an array, or the limit T itself (0.0 or inf)."""
    if is_limit(temperature):
        return temperature
    if isinstance(temperature, float):
        temperature = Reciprocal(1.0 / temperature)
    return temperature.value if isinstance(temperature, Reciprocal) else reciprocal(temperature, working, xp)


def over_temperature(x: Array, m: Array, c: Any, xp: Any) -> Array:
    """Return ``(x - m) * c`` for c = 1/T as `rate_of` returns it, but of the rank of `x`, or its limit."""
    if is_limit(c):
        x = stop_gradient(x)
        return _coldest(x, m, xp) if c == 0.0 else _hottest(x, m, xp)
    if not is_array(c) or len(c.shape) == 0:  # a number, though perhaps a traced one
        return (x - m) * c
    return _scaled_by_array(x, m, c, working_dtype(x), xp)


def _scaled_by_array(x: Array, m: Array, c: Array, working: str, xp: Any) -> Array:
    d = x - m
    gone = d == -math.inf
    # -inf is kept out of the product: its derivative with respect to c would be 0 * inf
    z = xp.where(gone, -math.inf, times_row(xp.where(gone, 0.0, d), c))
    constant = stop_gradient(x)
    z = xp.where(c >= LARGEST[working], _coldest(constant, m, xp), z)
    return xp.where(c <= SMALLEST_NORMAL[working], _hottest(constant, m, xp), z)


def _coldest(x: Array, m: Array, xp: Any) -> Array:
    """Limit T = 0: 0 at the maxima, -inf elsewhere; NaN and +inf - inf stay NaN."""
    return xp.where(x < m, -math.inf, x - m)


def _hottest(x: Array, m: Array, xp: Any) -> Array:
    """Limit T = inf: 0 where not masked; NaN and +inf give NaN, as does a row of nothing but -inf."""
    return xp.where(x == -math.inf, -math.inf, x * 0.0) + m * 0.0


def offset(scaled: Scaled, working: str, xp: Any) -> Array:
    """Return m / T, or its limit: by the sign of m at T = 0, and 0 at T = inf."""
    m, c = scaled.m, scaled.c
    if not is_array(c) and not is_limit(c):
        return m * c
    at_zero = xp.where(m > 0, math.inf, xp.where(m < 0, -math.inf, m))
    at_inf = xp.where(xp.abs(m) < math.inf, 0.0, m)
    if not is_array(c):
        return at_zero if c == 0.0 else at_inf
    return xp.where(c >= LARGEST[working], at_zero, xp.where(c <= SMALLEST_NORMAL[working], at_inf, m * c))


def probabilities(scaled: Scaled, axis: int, xp: Any) -> Array:
    """Return exp(z) over its sum."""
    e = exponential(scaled.z)
    total = accurate_sum(e, axis=axis) if scaled.known is None else scaled.known.total
    return times_row(e, 1.0 / total)


def log_total(scaled: Scaled, axis: int, xp: Any) -> Array:
    """Log sum exp(z), where z has its maximum at 0: accurate also where one entry dominates.

    One maximum is left out of the sum, and log1p puts it back: log of the whole sum would round the others
    away. The subtracted indicator is a constant, so derivatives of any order are those of the plain form.
    """
    if scaled.known is not None:
        return xp.log1p(scaled.known.others)
    z = scaled.z
    top = stop_gradient(cast(z == 0, z.dtype, xp))
    others = accurate_sum(exponential(z) - top, axis=axis) + (accurate_sum(top, axis=axis) - 1.0)
    return xp.log1p(others)


def log_probability(scaled: Scaled, axis: int, xp: Any) -> Array:
    """Return the log-probabilities, accurate also at an entry that dominates."""
    return log_of_entries(scaled, log_total(scaled, axis, xp), xp)


def log_of_entries(scaled: Scaled, total: Array, xp: Any) -> Array:
    """Return the log-probabilities of all entries or of some, given `log_total`."""
    # a masked entry is the constant -inf, so that no gradient reaches or leaves it; unless its row is invalid
    masked = (scaled.x == -math.inf) & (total == total)
    return xp.where(masked, -math.inf, minus_row(scaled.z, total))
