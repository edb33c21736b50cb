"""Distributions by their quantile functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from tempscale._core.arguments import as_number
from tempscale._core.mistakes import in_words
from tempscale._core.operation import INJECTED
from tempscale.backend import Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import draw, in_blocks
from tempscale.kernels.exact import quantiles
from tempscale.random._arguments import Key, check_order, drawn
from tempscale.random._uniform import open_unit, rounded, without_subnormal


@in_words
def normal(key: Key | Array, shape: Any = (), dtype: Any = "float32", *, like: Array | None = None) -> Array:
    """Draw from the standard normal distribution.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    shape : int or sequence of int, default ()
        Shape of the result, which has at most 2^32 entries.
    dtype : str or dtype, default "float32"
        float16, bfloat16, float32 or float64. The default is the same on every framework, so that the results are.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        The quantile of u = (w + 1/2) / 2^32 for a word w of `bits`, for float64 u = (w + 1/2) / 2^52 for the top 52
        bits of 64: computed in float64 with a relative error of 4e-12, and rounded once (for float16 and bfloat16
        once more, from float32). The same bits on every framework; not those of `jax.random.normal`.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given, or the framework has no such dtype (one of 64 bits in
        JAX without x64).
    ValueError
        If `shape` is not a shape.

    Examples
    --------
    >>> from tempscale import random
    >>> random.normal(random.key(0), (2,))
    array([1.6226428, 2.025265 ], dtype=float32)
    """
    return drawn(_normal, key, shape, dtype, like)


@draw
def _normal(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return _quantile(lambda u: quantiles.normal_quantile(u, xp), key, shape, dtype, xp)


@in_words
def truncated_normal(
    key: Key | Array,
    lower: float,
    upper: float,
    shape: Any = (),
    dtype: Any = "float32",
    *,
    like: Array | None = None,
) -> Array:
    """Draw from the standard normal distribution between two bounds.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    lower, upper : float
        Numbers with lower < upper, however far out; infinite ones will do.
    shape : int or sequence of int, default ()
        Shape of the result, which has at most 2^32 entries.
    dtype : str or dtype, default "float32"
        float16, bfloat16, float32 or float64. The default is the same on every framework, so that the results are.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        Quantiles as in `normal`, of u scaled to the probabilities of the bounds, in the tail that is nearer; never
        outside the bounds as rounded to `dtype`. The same bits on every framework; not those of
        `jax.random.truncated_normal`.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given, or the framework has no such dtype (one of 64 bits in
        JAX without x64).
    ValueError
        If `shape` is not a shape.
    TypeError, ValueError
        If a bound is not a number, or they are out of order.

    Notes
    -----
    The error in float64 is at most 4e-12 of the result and 1e-11 of the distance of the bounds. Beyond 36 standard
    deviations it is the logarithm of a probability that is scaled, and between bounds so close that the density is a
    straight line the distance itself.

    Examples
    --------
    >>> from tempscale import random
    >>> random.truncated_normal(random.key(0), -1.0, 1.0, (2,))
    array([0.8618597, 0.9412885], dtype=float32)
    """
    lower, upper = as_number(lower, "lower"), as_number(upper, "upper")
    check_order(lower, upper, "lower", "upper")
    case, numbers = _interval(lower, upper)
    return drawn(_truncated_normal, key, shape, dtype, like, case=case, numbers=numbers)


class Interval(NamedTuple):
    """Numbers of an interval that is in the lower tail, if need be reflected: `first` is not nearer to 0 than `last`.

    What `start` and `part` are depends on the case.

    middle, low: the probability below the interval, and its own; "low" if it is less than 2^-53 somewhere
    far: the probability below the interval as a part of that below `last`, and what is left of 1
    narrow: a quarter of the distance times the sum of the bounds, and the distance
    """

    first: Any
    last: Any
    sign: Any
    """-1 if it is reflected."""
    start: Any
    part: Any
    g: Any
    """1 / last^2, for the case "far"."""


_Case = Literal["middle", "low", "far", "narrow"]


def _interval(lower: float, upper: float) -> tuple[_Case, Interval]:
    sign = -1.0 if lower + upper > 0 else 1.0
    first, last = sorted((sign * lower, sign * upper))
    width = last - first
    if width < 2.0**-16 and -first * width < 2.0**-26:  # where the density is a straight line
        return "narrow", Interval(first, last, sign, -0.25 * (first + last) * width, width, 0.0)
    if last <= -quantiles.FAR:
        fall = 0.5 * width * (first + last) + _log_mills(-first) - _log_mills(-last)
        return "far", Interval(first, last, sign, math.exp(fall), -math.expm1(fall), 1.0 / last / last)
    start, end = [0.5 * math.erfc(-bound * 0.5**0.5) for bound in (first, last)]
    case: _Case = "low" if start + (end - start) * 2.0**-53 < 2.0**-53 else "middle"
    return case, Interval(first, last, sign, start, end - start, 0.0)


def _log_mills(x: float) -> float:
    """Logarithm of the upper tail over the density, for x >= `FAR`."""
    q = 1.0 / x / x
    return math.log1p(-q * (1 - 3 * q * (1 - 5 * q * (1 - 7 * q)))) - math.log(x)


@draw
def _truncated_normal(
    key: Array, /, *, case: _Case, numbers: Interval, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED
) -> Array:
    first, last, sign, start, part, g = numbers

    def quantile(u: Array) -> Array:
        # not absolute values: LLVM takes them away where factors are positive constants, and contracts what is left
        if case == "narrow":
            u = u * (1.0 + xp.minimum(start * (1.0 - u), xp.ones_like(u)))
            return first + xp.minimum(u * part, xp.ones_like(u))
        within = xp.minimum(u * part, xp.ones_like(u)) + start
        if case == "far":
            return -quantiles.far_quantile(-quantiles.log(within, xp), -last, g, xp)
        within = xp.minimum(within, xp.full_like(within, 1.0 - 2.0**-53))
        return (quantiles.lower_quantile if case == "low" else quantiles.normal_quantile)(within, xp)

    def truncated(u: Array) -> Array:
        return without_subnormal(_between(quantile(u), first, last, xp), dtype, xp) * sign

    return _quantile(truncated, key, shape, dtype, xp)


@in_words
def exponential(key: Key | Array, shape: Any = (), dtype: Any = "float32", *, like: Array | None = None) -> Array:
    """Draw from the exponential distribution with mean 1.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    shape : int or sequence of int, default ()
        Shape of the result, which has at most 2^32 entries.
    dtype : str or dtype, default "float32"
        float16, bfloat16, float32 or float64. The default is the same on every framework, so that the results are.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        -log(u), with u as in `normal`, computed in float64 and rounded as there. The same bits on every framework; not
        those of `jax.random.exponential`.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given, or the framework has no such dtype (one of 64 bits in
        JAX without x64).
    ValueError
        If `shape` is not a shape.

    Examples
    --------
    >>> from tempscale import random
    >>> random.exponential(random.key(0), (2,))
    array([0.053752  , 0.02165283], dtype=float32)
    """
    return drawn(_exponential, key, shape, dtype, like)


@draw
def _exponential(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return _quantile(lambda u: -quantiles.log(u, xp), key, shape, dtype, xp)


@in_words
def gumbel(key: Key | Array, shape: Any = (), dtype: Any = "float32", *, like: Array | None = None) -> Array:
    """Draw from the standard Gumbel distribution.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    shape : int or sequence of int, default ()
        Shape of the result, which has at most 2^32 entries.
    dtype : str or dtype, default "float32"
        float16, bfloat16, float32 or float64. The default is the same on every framework, so that the results are.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        -log(-log(u)), with u as in `normal`, computed in float64 and rounded as there. The same bits on every
        framework; not those of `jax.random.gumbel`.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given, or the framework has no such dtype (one of 64 bits in
        JAX without x64).
    ValueError
        If `shape` is not a shape.

    Examples
    --------
    >>> from tempscale import random
    >>> random.gumbel(random.key(0), (2,))
    array([2.9233744, 3.8326192], dtype=float32)
    """
    return drawn(_gumbel, key, shape, dtype, like)


@draw
def _gumbel(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return _quantile(lambda u: -quantiles.log(-quantiles.log(u, xp), xp), key, shape, dtype, xp)


def _quantile(function: Callable[[Array], Array], key: Array, shape: tuple[int, ...], dtype: str, xp: Any) -> Array:
    """Return a function of float64 numbers between 0 and 1, without either, rounded.

    They are the middles of 2^32 parts, for float64 of 2^52.
    """
    count = math.prod(shape)
    words = threefry.pairs(key, count=count) if dtype == "float64" else (threefry.words(key, count=count),)

    def compute(*words: Array) -> Array:
        return rounded(function(open_unit(words, xp)), dtype, xp)

    return xp.reshape(in_blocks(*words, function=compute), shape)


def _between(x: Array, low: float, high: float, xp: Any) -> Array:
    return xp.minimum(xp.maximum(x, xp.full_like(x, low)), xp.full_like(x, high))
