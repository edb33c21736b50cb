"""The option `precision` of functions of logits: "default", "accurate" and "reproducible".

Natives and bodies know nothing of it. "accurate" runs them on wider logits. "reproducible" takes the value from a
function of this module, in which every step is exact or rounded once by IEEE 754, and the derivatives from the default.

What a compiler may do is what the reproducible functions are written against:

* XLA contracts ``a * b + c`` into one operation with one rounding. Between a product and a sum stands an `abs` or a
  selection here, unless the product is exact: one of the factors is a power of two.
* Every framework adds floats in an order of its own. Here integers are added, or floats whose sums are exact.
* Some flush subnormal numbers of 32 bits. Here all do, to zero: logits, temperatures, labels, weights and results.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from tempscale._agnostic import INJECTED, agnostic
from tempscale._arguments import SMALLEST_NORMAL
from tempscale._dispatch import backend_of
from tempscale._quantiles import split_float
from tempscale._scaling import cast, is_array
from tempscale.arrays import custom_gradient, stop_gradient
from tempscale.backend import Array, Backend

Precision: TypeAlias = Literal["default", "accurate", "reproducible"]
Run: TypeAlias = Callable[..., Array]
"""An operation on arguments that are checked: the native of a backend, or the body."""

PRECISIONS = ("default", "accurate", "reproducible")
CLASSES = 2**18
"""So many integers of 44 bits have a sum of 62."""
BLOCK = 2**18
"""Entries that are widened at a time in an eager call: 2 MiB as float64."""

TINY = SMALLEST_NORMAL["float32"]
LOG2_E = float.fromhex("0x1.71547652b82fep+0")
LN_2 = float.fromhex("0x1.62e42fefa39efp-1")
LOWEST = -256.0
"""The least power of two that is told from none; 2^18 entries of it are far below what float32 can hold."""
COLD = 2.0**600
"""Stands for 1/T at T = 0: what is below the maximum then is below `LOWEST`, by the least difference there is."""


def with_precision(value: Run, *, rowwise: bool = True) -> Callable[..., Array]:
    """Return how an operation is run in a precision, for `agnostic`.

    Parameters
    ----------
    value : callable
        The reproducible value: takes the arguments of the operation and `xp`.
    rowwise : bool
        Whether the operation is one of rows of logits alone, so that "accurate" can run it on some of them at a time.
    """

    def run_in(precision: Any, backend: Backend, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
        if precision == "default":
            return run(*args, **kwargs)
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {', '.join(map(repr, PRECISIONS))}")
        if precision == "reproducible":
            _check_reproducible(backend, args[0], kwargs.get("axis", -1))
            return _with_value(backend, functools.partial(reproducible, value=value), run, args, kwargs)
        if backend.dtype_name(args[0]) == "float64":
            return run(*args, **kwargs)
        if rowwise:
            return in_blocks(backend, _accurate(backend, run))(*args, **kwargs)
        return _with_value(backend, _accurate(backend, run), run, args, kwargs)

    return run_in


def _with_value(backend: Backend, value: Run, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
    """Return ``value(*args, **kwargs)``, with the derivatives of `run`.

    Every array is an argument of the function with derivatives of its own, as tracers of a transform have to be.
    """
    names = [name for name, option in kwargs.items() if is_array(option)]
    arrays = [*args, *[kwargs[name] for name in names]]
    if not differentiable(*arrays):
        return value(*args, **kwargs)
    xp = backend.namespace

    def replacement(default: Array, *arrays: Array) -> Array:
        named = dict(zip(names, arrays[len(args) :], strict=True))
        return value(*arrays[: len(args)], **{**kwargs, **named})

    replaced = custom_gradient(
        replacement,
        vjp=lambda arrays, result, g: (g, *[xp.zeros_like(x) for x in arrays[1:]]),
        jvp=lambda arrays, result, tangents: tangents[0],
    )
    return replaced(run(*args, **kwargs), *[stop_gradient(x) for x in arrays])


@agnostic
def differentiable(*arrays: Array, xp: Any = INJECTED) -> bool:
    """Whether a derivative with respect to one of these may be asked for. Where not, the default is not computed."""
    return True


# Accurate


def _accurate(backend: Backend, run: Run) -> Run:
    """Run an operation in float64, and round once. An array temperature is widened where its reciprocal is taken."""

    def mode(logits: Array, *others: Array, **options: Any) -> Array:
        with backend.allowing("float64"):
            xp = backend.namespace
            wide = run(xp.astype(logits, backend.dtype("float64")), *others, **options)
            return narrow(wide, dtype=backend.dtype_name(logits))

    return mode


@agnostic
def narrow(x: Array, /, *, dtype: str, xp: Any = INJECTED) -> Array:
    """Return float64 numbers in a narrower dtype, rounded; to one of 16 bits by way of float32, in all frameworks."""
    backend = backend_of(x)
    return cast(xp.astype(x, backend.dtype("float32")), backend.dtype(dtype), xp)


def in_blocks(backend: Backend, mode: Run) -> Run:
    """Run a function of rows on some at a time where values are at hand; a compiler fuses the steps by itself.

    Options that are arrays broadcast to the logits, but for their size along the axis.
    """

    def run(logits: Array, *, axis: int, **options: Any) -> Array:
        if backend.is_traced(logits):
            return mode(logits, axis=axis, **options)
        xp, shape = backend.namespace, tuple([int(n or 0) for n in backend.shape(logits)])
        if math.prod(shape) <= BLOCK:
            return mode(logits, axis=axis, **options)
        batch = shape[:axis] + shape[axis + 1 :]

        def as_rows(x: Array) -> Array:
            x = xp.moveaxis(xp.reshape(x, (1,) * (len(shape) - len(x.shape)) + tuple(x.shape)), axis, -1)
            if math.prod(x.shape[:-1]) > 1:
                x = xp.broadcast_to(x, (*batch, x.shape[-1]))
            return xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))

        by_rows = {name: as_rows(x) for name, x in options.items() if is_array(x)}
        rows = as_rows(logits)
        count, step = math.prod(batch), max(1, BLOCK // shape[axis])
        parts = []
        for start in range(0, count, step):
            here = slice(start, min(start + step, count))
            own = {name: x[here, :] if x.shape[0] > 1 else x for name, x in by_rows.items()}
            parts.append(mode(rows[here, :], axis=1, **{**options, **own}))
        found = xp.concat(parts, axis=0)
        if len(found.shape) == 1:
            return xp.reshape(found, batch)
        return xp.moveaxis(xp.reshape(found, (*batch, found.shape[1])), -1, axis)

    return run


# Reproducible


def _check_reproducible(backend: Backend, logits: Array, axis: int) -> None:
    if backend.dtype_name(logits) == "float64":
        raise TypeError(
            "precision is 'reproducible' and logits is float64, as lists and integers become in NumPy; expected "
            "float16, bfloat16 or float32: convert it, or take precision='accurate'"
        )
    classes = backend.shape(logits)[axis]
    if classes is not None and classes > CLASSES:
        raise ValueError(f"precision is 'reproducible' and logits has {classes} classes, expected at most {CLASSES}")


@agnostic
def reproducible(logits: Array, *others: Array, value: Run, xp: Any = INJECTED, **options: Any) -> Array:
    """Return a reproducible value. Natives compile it."""
    with backend_of(logits).allowing("float64"):
        return value(logits, *others, xp=xp, **options)


def of_rows(function: Callable[..., Array]) -> Run:
    """Make a reproducible value of a function of rows.

    It takes float32 logits, a temperature, `axis` and `xp`, and returns float64 with `axis` kept; here that is rounded.
    """

    @functools.wraps(function)
    def value(logits: Array, *, temperature: Any, axis: int, where: Array | None, xp: Any, **shape: Any) -> Array:
        backend = backend_of(logits)

        def mode(logits: Array, *, temperature: Any, axis: int, where: Array | None, keepdims: bool = True) -> Array:
            x = cast(logits, backend.dtype("float32"), xp)
            x = x if where is None else xp.where(where, x, -math.inf)
            found = function(x, temperature, axis=axis, xp=xp)
            found = found if keepdims else xp.squeeze(found, axis=axis)
            return narrow(flushed(found), dtype=backend.dtype_name(logits))

        return in_blocks(backend, mode)(logits, temperature=temperature, axis=axis, where=where, **shape)

    return value


@agnostic
def flushed(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """`x` with 0 for what float32 holds as a subnormal number."""
    return xp.where(xp.abs(x) < TINY, 0.0, x)


@agnostic
def row_top(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Maximum along `axis`, kept, which is not finite in a row with NaN: compiled, a maximum can lose one."""
    return xp.max(xp.where(x == x, x, math.inf), axis=axis, keepdims=True)


@agnostic
def below_top(x: Array, top: Array, /, *, axis: int, xp: Any = INJECTED) -> tuple[Array, Array]:
    """Return `x` with -inf for the maxima, and how many they are."""
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


class Rows(NamedTuple):
    """Logits over a temperature, before anything is rounded: exp((x - m) * rate) is what a row is made of."""

    x: Array
    """float32. At T = inf all that is not masked is the maximum."""
    top: Array
    """Maximum of the row."""
    m: Array
    """That in float64, 0 where it is not finite."""
    rate: Rate
    valid: Array
    """Whether the maximum is finite and T is not negative; else nothing that is made of the rest says anything."""


def prepared(x: Array, temperature: Any, axis: int, xp: Any) -> Rows:
    rate = _rate(temperature, len(x.shape), xp)
    x = flushed(x)
    top = row_top(x, axis=axis)
    finite = xp.abs(top) < math.inf
    if rate.hot is not False:
        x = xp.where((x > -math.inf) & rate.hot, top, x)
    m = xp.where(finite, xp.astype(top, backend_of(x).dtype("float64")), 0.0)
    return Rows(x, top, m, rate, finite & rate.valid)


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
"""Added to a number below 2^51 it leaves the nearest whole number in the lowest bits, on top of `MAGIC_BITS`."""
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


@of_rows
def softmax_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the probabilities, within 0.51 ulp of float32."""
    q = prepared(x, temperature, axis, xp)
    e = exponentials(q.x, q.m, q.rate.value * LOG2_E, LOWEST, 44.0)
    total = whole_sum(e, axis=axis)
    return e * xp.where(q.valid, 1.0 / xp.where(q.valid, total, 1.0), math.nan)


class Others(NamedTuple):
    """All entries but the maxima: what the logarithm of the total depends on."""

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


def _others(q: Rows, axis: int, xp: Any) -> Others:
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


def _log1p(t: Array, xp: Any) -> Array:
    """log(1 + t) for t from 0 to 2^18, within 2^-46 of itself."""
    m, k = split_float(1.0 + t)
    small = k == 1.0  # 1 + t was rounded: t itself was not
    s = xp.where(small, t, m - 0.5) / xp.where(small, t + 2.0, m + 0.5)
    return xp.abs((k - 1.0) * LN_2) + xp.abs(2.0 * s * polynomial(_LOG, s * s, xp))


def log_of_total(q: Rows, axis: int, xp: Any) -> Array:
    """Return what the logarithm of a probability lacks to (x - m) / T; NaN for rows that are not valid."""
    return xp.where(q.valid, _log1p(_others(q, axis, xp).total, xp), math.nan)


@of_rows
def log_softmax_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the log-probabilities, within 0.51 ulp of float32."""
    q = prepared(x, temperature, axis, xp)
    return log_probabilities(q.x, q.m, q.rate.value, log_of_total(q, axis, xp))


@agnostic
def log_probabilities(x: Array, m: Array, rate: Any, total: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return (x - m) * rate - total in float64: what has no sign of its own is subtracted from what is not positive."""
    return -(xp.abs((xp.astype(x, m.dtype) - m) * rate) + total)


@of_rows
def logsumexp_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the logarithm of the partition function."""
    q = prepared(x, temperature, axis, xp)
    at_zero = xp.where(q.m > 0, math.inf, xp.where(q.m < 0, -math.inf, q.m))
    shift = xp.where(q.rate.cold & q.valid, at_zero, xp.where(q.rate.hot & q.valid, 0.0, q.m * q.rate.value))
    total = shift + log_of_total(q, axis, xp)
    # a maximum that is not finite is the result, with NaN above all
    top = xp.max(xp.where(x == x, x, -math.inf), axis=axis, keepdims=True)
    nan = xp.max(xp.astype(x != x, x.dtype), axis=axis, keepdims=True) > 0
    if q.rate.valid is not True:
        nan = nan | ~q.rate.valid
    special = xp.where(nan, math.nan, xp.astype(top, total.dtype))
    return xp.where(q.valid, total, special)


@of_rows
def entropy_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the entropy: the logarithm of the total plus the mean of -z, in which nothing cancels.

    With z2 the largest z below the maximum, that sum over the others is |z2| * mass + sum of e * (z2 - z), of which
    no term exceeds 1: whatever the temperature, integers of 44 bits hold it.
    """
    q = prepared(x, temperature, axis, xp)
    others = _others(q, axis, xp)
    below = (others.second - xp.astype(others.x, q.m.dtype)) * q.rate.value
    terms = others.e * 2.0 * xp.where(below < 64.0, below, 0.0)
    rest = xp.where(others.mass > 0, whole_sum(terms, axis=axis) * 2.0**-44, 0.0)
    moment = xp.abs(xp.abs((others.second - q.m) * q.rate.value) * others.mass) + rest
    mean = moment * power_of_two(others.k) / (1.0 + others.total)
    return xp.where(q.valid, _log1p(others.total, xp) + mean, math.nan)
