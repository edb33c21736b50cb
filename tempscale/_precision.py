"""The option `precision` of functions of logits: "default", "accurate" and "reproducible".

Natives and bodies know nothing of it. "accurate" runs them on wider logits. "reproducible" takes the value from a
function of this module, in which every step is exact or rounded once by IEEE 754, and the derivatives from the default.

What a compiler may do is what the reproducible functions are written against:

* XLA contracts ``a * b + c`` into one operation with one rounding. Between a product and a sum stands an `abs` or a
  selection here, unless the product is exact: one of the factors is a power of two.
* Every framework adds floats in an order of its own. Here integers are added.
* Some flush subnormal numbers of 32 bits. Here all do, to zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from tempscale._agnostic import INJECTED, agnostic
from tempscale._arguments import LARGEST, SMALLEST_NORMAL
from tempscale._dispatch import backend_of
from tempscale._scaling import cast
from tempscale.arrays import custom_gradient, stop_gradient
from tempscale.backend import Array, Backend

Precision: TypeAlias = Literal["default", "accurate", "reproducible"]
Run: TypeAlias = Callable[..., Array]
"""An operation on arguments that are checked: the native of a backend, or the body."""

PRECISIONS = ("default", "accurate", "reproducible")
CLASSES = 2**18
"""So many integers of 44 bits have a sum of 62."""
BLOCK = 2**17
"""Entries that are widened at a time in an eager call: 1 MiB as float64."""

TINY = SMALLEST_NORMAL["float32"]
LOG2_E = float.fromhex("0x1.71547652b82fep+0")
LN_2 = float.fromhex("0x1.62e42fefa39efp-1")
LOWEST = -256.0
"""The least power of two that is told from none; 2^18 entries of it are far below what float32 can hold."""


def with_precision(value: Callable[..., Array] | None = None, *, rowwise: bool = True) -> Callable[..., Array]:
    """Return how an operation is run in a precision, for `agnostic`.

    Parameters
    ----------
    value : callable, optional
        The reproducible value: of logits that are float32 (-inf where they are masked) and a temperature, with the
        keywords ``axis`` and ``xp``, as float64; and for a reduction with ``axis`` kept.
    rowwise : bool
        Whether the operation is one of rows of logits alone, so that it can be run on some of them at a time.
    """

    def run_in(precision: Any, backend: Backend, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
        if precision == "default":
            return run(*args, **kwargs)
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {', '.join(map(repr, PRECISIONS))}")
        if precision == "reproducible":
            if value is None:
                raise ValueError(
                    "precision is 'reproducible', which softmax, log_softmax, logsumexp and entropy have: expected "
                    "'default' or 'accurate'"
                )
            _check_reproducible(backend, args[0], kwargs["axis"])
            return _by_blocks(backend, _reproducible(backend, run, value))(*args, **kwargs)
        if backend.dtype_name(args[0]) == "float64":
            return run(*args, **kwargs)
        if rowwise:
            return _by_blocks(backend, _accurate(backend, run))(*args, **kwargs)
        return _with_value(backend, _accurate(backend, run), run, args, kwargs)

    return run_in


def _with_value(backend: Backend, value: Run, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
    """Return ``value(*args, **kwargs)``, with the derivatives of `run`.

    Every array is an argument of the function with derivatives of its own, as tracers of a transform have to be.
    """
    names = [name for name, option in kwargs.items() if hasattr(option, "shape")]
    arrays = [*args, *[kwargs[name] for name in names]]
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


# Accurate


def _accurate(backend: Backend, run: Run) -> Run:
    """Run an operation in float64, and round once. An array temperature is widened where its reciprocal is taken."""

    def mode(logits: Array, *others: Array, **options: Any) -> Array:
        with backend.allowing("float64"):
            xp = backend.namespace
            wide = run(xp.astype(logits, backend.dtype("float64")), *others, **options)
            return narrow(wide, backend.dtype_name(logits), backend)

    return mode


# From here on a number is rounded to infinity. NumPy would warn of it, were it left to the conversion.
_OVERFLOW = {"float32": 2.0**128 - 2.0**103, "float16": 65520.0, "bfloat16": 2.0**128 - 2.0**119}


def narrow(x: Array, dtype: str, backend: Backend) -> Array:
    """Return float64 numbers in a narrower dtype, rounded; to one of 16 bits by way of float32, in all frameworks."""
    xp = backend.namespace
    for name in dict.fromkeys(("float32", dtype)):
        x = xp.where(x >= _OVERFLOW[name], math.inf, xp.where(x <= -_OVERFLOW[name], -math.inf, x))
        x = xp.astype(x, backend.dtype(name))
    return x


def _by_blocks(backend: Backend, mode: Run) -> Run:
    """Run a function of rows on some at a time where values are at hand; a compiler fuses the steps by itself."""

    def run(logits: Array, *, temperature: Any, axis: int, where: Array | None, **options: Any) -> Array:
        if backend.is_traced(logits):
            return mode(logits, temperature=temperature, axis=axis, where=where, **options)
        xp, shape = backend.namespace, tuple([int(n or 0) for n in backend.shape(logits)])
        if math.prod(shape) <= BLOCK:
            return mode(logits, temperature=temperature, axis=axis, where=where, **options)
        batch = shape[:axis] + shape[axis + 1 :]
        one_per_row = shape[:axis] + (1,) + shape[axis + 1 :]

        def as_rows(x: Any, full: tuple[int, ...]) -> Any:
            return xp.reshape(xp.moveaxis(xp.broadcast_to(x, full), axis, -1), (math.prod(batch), full[axis]))

        by_rows = {"temperature": temperature, "where": where}
        if hasattr(temperature, "shape"):
            by_rows["temperature"] = as_rows(temperature, one_per_row)
        if where is not None:
            by_rows["where"] = as_rows(where, shape)
        rows = as_rows(logits, shape)
        step = max(1, BLOCK // shape[axis])
        parts = []
        for start in range(0, math.prod(batch), step):
            here = slice(start, start + step)
            own = {name: x[here, :] if hasattr(x, "shape") else x for name, x in by_rows.items()}
            parts.append(mode(rows[here, :], axis=1, **own, **options))
        found = xp.concat(parts, axis=0)
        if len(found.shape) == 1:
            return xp.reshape(found, batch)
        return xp.moveaxis(xp.reshape(found, batch + (found.shape[1],)), -1, axis)

    return run


# Reproducible


def _check_reproducible(backend: Backend, logits: Array, axis: int) -> None:
    if backend.dtype_name(logits) == "float64":
        raise TypeError(
            "precision is 'reproducible' and logits is float64, expected float16, bfloat16 or float32: convert it, or "
            "take precision='accurate'"
        )
    classes = backend.shape(logits)[axis]
    if classes is not None and classes > CLASSES:
        raise ValueError(f"precision is 'reproducible' and logits has {classes} classes, expected at most {CLASSES}")


def _reproducible(backend: Backend, run: Run, value: Callable[..., Array]) -> Run:
    """Run an operation for its derivatives, and put the reproducible value in the place of its own."""

    def exactly(
        logits: Array, *, temperature: Any, axis: int, where: Array | None, keepdims: bool | None = None
    ) -> Array:
        xp = backend.namespace
        with backend.allowing("float64"):
            x = cast(logits, backend.dtype("float32"), xp)
            x = x if where is None else xp.where(where, x, -math.inf)
            found = value(x, temperature, axis=axis, xp=xp)
            found = xp.squeeze(found, axis=axis) if keepdims is False else found
            return narrow(xp.where(xp.abs(found) < TINY, 0.0, found), backend.dtype_name(logits), backend)

    def mode(logits: Array, **options: Any) -> Array:
        return _with_value(backend, exactly, run, (logits,), options)

    return mode


class Rate(NamedTuple):
    """1/T and its limits, in float64: Python's own for a number, arrays for an array."""

    value: Any
    cold: Any
    """Whether T = 0."""
    hot: Any
    """Whether T = inf."""
    valid: Any
    """Whether T >= 0."""


def _rate(temperature: Any, rank: int, xp: Any) -> Rate:
    if not hasattr(temperature, "shape"):
        cold, hot = temperature == 0.0, temperature == math.inf
        return Rate(1.0 if cold or hot else 1.0 / temperature, cold, hot, True)
    t = xp.astype(temperature, backend_of(temperature).dtype("float64"))
    if len(t.shape) == 0:
        t = xp.reshape(t, (1,) * rank)
    ordinary = (t > 0) & (t < math.inf)
    value = 1.0 / xp.where(ordinary, t, 1.0)
    # the reciprocals that float32 cannot hold are limits, as they are by default
    cold = (t == 0) | (value >= LARGEST["float32"])
    hot = (t == math.inf) | (value <= TINY)
    return Rate(xp.where(cold | hot, 1.0, value), cold, hot, t >= 0)


class Powers(NamedTuple):
    """Logits as powers of two, in float64: exp((x - m) / T) is 2^(k + f)."""

    d: Array
    """x - m; at T = 0 it is -inf below the maximum, at T = inf 0 where not masked."""
    rate: Any
    """1/T, 1 at the limits."""
    k: Array
    """Whole exponents, `LOWEST` where there is no mass to speak of."""
    f: Array
    """The rest of the exponents, in [0, 1]."""
    m: Array
    """Maximum of the row, 0 where that is not finite."""
    valid: Array
    """Whether the maximum is finite and T is not negative; else `d`, `k` and `f` say nothing."""


def _powers(x: Array, rate: Rate, axis: int, xp: Any) -> Powers:
    x = xp.astype(x, backend_of(x).dtype("float64"))
    x = xp.where(xp.abs(x) < TINY, 0.0, x)
    x = xp.where(x == x, x, math.inf)  # a NaN is a maximum that is not finite, in every framework
    m = xp.max(x, axis=axis, keepdims=True)
    finite = xp.abs(m) < math.inf
    m = xp.where(finite, m, 0.0)
    d = x - m
    if rate.cold is not False:
        d = xp.where((d < 0) & rate.cold, -math.inf, d)
    if rate.hot is not False:
        d = xp.where((d > -math.inf) & rate.hot, 0.0, d)
    y = d * (rate.value * LOG2_E)
    y = xp.where((y > LOWEST) & (y <= 0), y, LOWEST)
    k = xp.floor(y)
    return Powers(d, rate.value, k, y - k, m, finite & rate.valid)


# 1 + ... approximates 2^f on [0, 1] with a relative error of 4.4e-11 (2^-34.4), the least of this degree: by Remez
# exchange. All are positive, and so is f: `abs` changes nothing and keeps the product apart from the sum.
_EXP2 = (
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


@agnostic
def times_power_of_two(x: Array, k: Array, /, *, xp: Any = INJECTED) -> Array:
    """``x * 2^k`` for whole k from -256 to 0: exact. Products of powers that an integer can hold."""
    integer = backend_of(x).dtype("int64")
    one = xp.astype(xp.ones_like(k), integer)
    eighth = xp.floor(k * 0.125)
    power = xp.astype(xp.bitwise_left_shift(one, xp.astype(eighth + 32.0, integer)), x.dtype) * 2.0**-32
    power = power * power
    power = power * power
    rest = xp.astype(xp.bitwise_left_shift(one, xp.astype(k - eighth * 8.0, integer)), x.dtype)
    return x * (power * power * rest)


def _whole_sum(x: Array, axis: int, xp: Any) -> Array:
    """Sum along `axis`, kept, of numbers rounded to integers of up to 2^44: the same in any order."""
    integers = xp.astype(xp.round(x), backend_of(x).dtype("int64"))
    return xp.astype(xp.sum(integers, axis=axis, keepdims=True), x.dtype)


def softmax_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the probabilities, within 0.51 ulp of float32."""
    q = _powers(x, _rate(temperature, len(x.shape), xp), axis, xp)
    e = times_power_of_two(polynomial(_EXP2, q.f, xp), q.k)
    total = _whole_sum(e * 2.0**44, axis, xp)
    p = e * (2.0**44 / xp.where(q.valid, total, 1.0))
    return xp.where(q.valid, p, math.nan)


class Others(NamedTuple):
    """The mass of all but one maximum, relative to that maximum: what the logarithm of the total depends on."""

    among: Array
    """Whether an entry is below the maximum, and has mass."""
    k: Array
    """Exponent of the largest of them; `mass` and `e` are in units of 2^k, so that even a small mass is precise."""
    e: Array
    """Their powers; the others' are negligible."""
    mass: Array
    """The sum of their powers."""
    total: Array
    """The mass of all but one maximum, in units of 1."""


def _others(q: Powers, axis: int, xp: Any) -> Others:
    among = (q.d < 0) & (q.k + q.f > LOWEST)
    k = xp.max(xp.where(among, q.k, LOWEST), axis=axis, keepdims=True)
    e = times_power_of_two(polynomial(_EXP2, q.f, xp), xp.where(among, q.k - k, LOWEST))
    mass = _whole_sum(e * 2.0**43, axis, xp) * 2.0**-43
    maxima = _whole_sum(xp.astype(q.d == 0, e.dtype), axis, xp)
    return Others(among, k, e, mass, xp.where(q.valid, maxima, 1.0) - 1.0 + times_power_of_two(mass, k))


def _settled(x: Array, axis: int, xp: Any) -> Array:
    """`x`, of size 1 on `axis`, as the result of a reduction: Inductor writes the steps before it out but once."""
    return xp.sum(xp.concat([x, xp.zeros_like(x)], axis=axis), axis=axis, keepdims=True)


def _log1p(t: Array, axis: int, xp: Any) -> Array:
    """log(1 + t) for t from 0 to 2^18 with size 1 on `axis`, within 2^-46 of itself."""
    t = _settled(t, axis, xp)
    g = 1.0 + t
    # how many powers of two are passed
    passed = xp.concat([xp.astype(g >= 2.0**i, g.dtype) for i in range(1, 19)], axis=axis)
    exponent = xp.sum(passed, axis=axis, keepdims=True)
    g = times_power_of_two(g, -exponent)
    small = exponent == 0  # 1 + t was rounded: t itself was not
    s = xp.where(small, t, g - 1.0) / xp.where(small, t + 2.0, g + 1.0)
    s = _settled(s, axis, xp)
    return xp.abs(exponent * LN_2) + xp.abs(2.0 * s * polynomial(_LOG, s * s, xp))


def log_softmax_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the log-probabilities, within 0.51 ulp of float32."""
    q = _powers(x, _rate(temperature, len(x.shape), xp), axis, xp)
    total = _log1p(_others(q, axis, xp).total, axis, xp)
    return xp.where(q.valid, -(xp.abs(q.d * q.rate) + total), math.nan)


def logsumexp_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the logarithm of the partition function."""
    rate = _rate(temperature, len(x.shape), xp)
    q = _powers(x, rate, axis, xp)
    at_zero = xp.where(q.m > 0, math.inf, xp.where(q.m < 0, -math.inf, 0.0))
    shift = xp.where(rate.cold & q.valid, at_zero, xp.where(rate.hot & q.valid, 0.0, q.m * q.rate))
    total = shift + _log1p(_others(q, axis, xp).total, axis, xp)
    # a maximum that is not finite is the result, with NaN above all
    top = xp.max(xp.where(x == x, x, -math.inf), axis=axis, keepdims=True)
    nan = xp.max(xp.astype(x != x, x.dtype), axis=axis, keepdims=True) > 0
    if rate.valid is not True:
        nan = nan | ~rate.valid
    special = xp.where(nan, math.nan, xp.astype(top, total.dtype))
    return xp.where(q.valid, total, special)


def entropy_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the entropy: the logarithm of the total plus the mean of -z, in which nothing cancels.

    With z2 the largest z below the maximum, that sum over the others is |z2| * mass + sum of e * (z2 - z), of which
    no term exceeds 1: whatever the temperature, integers of 44 bits hold it.
    """
    q = _powers(x, _rate(temperature, len(x.shape), xp), axis, xp)
    others = _others(q, axis, xp)
    d2 = xp.max(xp.where(others.among, q.d, -math.inf), axis=axis, keepdims=True)
    d2 = xp.where(d2 > -math.inf, d2, 0.0)
    below = xp.where(others.among, d2 - q.d, 0.0) * q.rate
    rest = _whole_sum(others.e * below * 2.0**44, axis, xp) * 2.0**-44
    moment = xp.abs(xp.abs(d2 * q.rate) * others.mass) + rest
    mean = times_power_of_two(moment, others.k) / (1.0 + others.total)
    return xp.where(q.valid, _log1p(others.total, axis, xp) + mean, math.nan)
