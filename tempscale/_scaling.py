"""What every function of logits does first: widen, mask, subtract the maximum, multiply by 1/T.

Also the reduction and the broadcast that carry the accuracy of everything else. They are operations with
natives, because frameworks sum in different ways: some add 128 256 numbers one after another when they compile.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

from tempscale._agnostic import INJECTED, agnostic
from tempscale._arguments import LARGEST, SMALLEST_NORMAL
from tempscale._dispatch import backend_of
from tempscale.arrays import custom_gradient, stop_gradient
from tempscale.backend import Array

# Reductions


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


@agnostic
def axis_size(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Any:
    """Return the number of entries along `axis`: an integer, or a 0-d array where it is not known yet."""
    return x.shape[axis]


@agnostic
def entry_at(x: Array, index: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Return the entries at indices along `axis`; the indices broadcast along the others."""
    return xp.take_along_axis(x, index, axis=axis)


def class_index(labels: Array, x: Array, axis: int, xp: Any) -> tuple[Array, Array]:
    """Return labels as indices along `axis`, 0 in place of those that are no class, and which of them are one."""
    backend = backend_of(labels)
    # widened first: labels of 8 bits could not be compared with 300 classes
    index = cast(labels, backend.dtype(backend.default_index()), xp)
    valid = (index >= 0) & (index < axis_size(x, axis=axis))
    return xp.where(valid, index, xp.zeros_like(index)), valid


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


def cast(x: Array, dtype: Any, xp: Any) -> Array:
    """Return `x` in a dtype, itself if it has it."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


# Temperature


def is_array(value: Any) -> bool:
    """Whether an argument that is checked is an array. A number may be one that torch.compile does not know yet."""
    return not isinstance(value, (int, float)) and hasattr(value, "shape")


class Reciprocal(NamedTuple):
    """1/T, computed on the host from an ordinary number T. A tuple, so that compilers can trace what is in it."""

    value: Any


def is_limit(temperature: Any) -> bool:
    """Whether a temperature is the number 0 or inf, where a limit is taken instead of a product."""
    return isinstance(temperature, float) and (temperature == 0.0 or temperature == math.inf)


def working_dtype(x: Array) -> str:
    """Name of the precision in which functions of `x` are computed: float64 for float64, else float32."""
    return "float64" if backend_of(x).dtype_name(x) == "float64" else "float32"


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


# Scaling


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
    m = stop_gradient(row_max(x, axis=axis))
    if is_limit(temperature):
        x = stop_gradient(x)
        return Scaled(_coldest(x, m, xp) if temperature == 0.0 else _hottest(x, m, xp), x, m, temperature)
    working = working_dtype(x)
    if isinstance(temperature, float):
        temperature = Reciprocal(1.0 / temperature)
    if isinstance(temperature, Reciprocal):
        return Scaled((x - m) * temperature.value, x, m, temperature.value)
    c = reciprocal(temperature, working, xp)
    if len(c.shape) == 0:
        c = xp.reshape(c, (1,) * len(x.shape))
    return Scaled(_scaled_by_array(x, m, c, working, xp), x, m, c)


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


def log_total(z: Array, axis: int, xp: Any) -> Array:
    """Log sum exp(z), where z has its maximum at 0: accurate also where one entry dominates.

    One maximum is left out of the sum, and log1p puts it back: log of the whole sum would round the others
    away. The subtracted indicator is a constant, so derivatives of any order are those of the plain form.
    """
    top = stop_gradient(cast(z == 0, z.dtype, xp))
    others = accurate_sum(xp.exp(z) - top, axis=axis) + (accurate_sum(top, axis=axis) - 1.0)
    return xp.log1p(others)


def log_probability(scaled: Scaled, axis: int, xp: Any) -> Array:
    """Return the log-probabilities, accurate also at an entry that dominates."""
    total = log_total(scaled.z, axis, xp)
    # a masked entry is the constant -inf, so that no gradient reaches or leaves it; unless its row is invalid
    masked = (scaled.x == -math.inf) & (total == total)
    return xp.where(masked, -math.inf, minus_row(scaled.z, total))
