"""Distributions by their quantile functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tempscale._core.arguments import as_number
from tempscale._core.operation import INJECTED
from tempscale._mistakes import in_words
from tempscale.backend import Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import draw, in_blocks
from tempscale.kernels.exact import quantiles
from tempscale.random._arguments import Key, check_order, drawn
from tempscale.random._uniform import _open_unit, _rounded


@in_words
def normal(key: Key | Array, shape: Any = (), dtype: Any = "float32", *, like: Array | None = None) -> Array:
    """Draw from the standard normal distribution.

    Parameters and errors that are not listed: see `tempscale.random`.

    Returns
    -------
    array
        The quantile of u = (w + 1/2) / 2^32 for a word w of `bits`, for float64 u = (w + 1/2) / 2^52 for the top 52
        bits of 64: computed in float64 with a relative error of 4e-12, and rounded once (for float16 and bfloat16
        once more, from float32). The same bits on every framework; not those of `jax.random.normal`.

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

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    lower, upper : float
        Numbers with lower < upper; infinite ones will do. They must leave a part between -8 and 8.

    Returns
    -------
    array
        Quantiles as in `normal`, of u scaled to the probabilities of the bounds; never outside the bounds as rounded to
        `dtype`. The same bits on every framework; not those of `jax.random.truncated_normal`.

    Raises
    ------
    TypeError, ValueError
        If a bound is no number, or they are out of order or too far out.

    Examples
    --------
    >>> from tempscale import random
    >>> random.truncated_normal(random.key(0), -1.0, 1.0, (2,))
    array([0.8618597, 0.9412885], dtype=float32)
    """
    lower, upper = as_number(lower, "lower"), as_number(upper, "upper")
    check_order(lower, upper, "lower", "upper")
    if lower >= 8 or upper <= -8:
        raise ValueError(f"between {lower} and {upper} there is nothing within 8 standard deviations of the mean")
    return drawn(_truncated_normal, key, shape, dtype, like, bounds=(lower, upper))


@draw
def _truncated_normal(
    key: Array, /, *, bounds: tuple[float, float], shape: tuple[int, ...], dtype: str, xp: Any = INJECTED
) -> Array:
    lower, upper = bounds
    # on the side where probabilities are small, and therefore precise
    sign = -1.0 if lower + upper > 0 else 1.0
    first, last = sorted((sign * lower, sign * upper))
    start, end = [0.5 * math.erfc(-bound * 0.5**0.5) for bound in (first, last)]

    def quantile(u: Array) -> Array:
        within = xp.abs(u * (end - start)) + start
        z = quantiles.normal_quantile(_between(within, 2.0**-53, 1.0 - 2.0**-53, xp), xp)
        return _between(z, first, last, xp) * sign

    return _quantile(quantile, key, shape, dtype, xp)


@in_words
def exponential(key: Key | Array, shape: Any = (), dtype: Any = "float32", *, like: Array | None = None) -> Array:
    """Draw from the exponential distribution with mean 1.

    Parameters and errors that are not listed: see `tempscale.random`.

    Returns
    -------
    array
        -log(u), with u as in `normal`, computed in float64 and rounded as there. The same bits on every framework; not
        those of `jax.random.exponential`.

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

    Parameters and errors that are not listed: see `tempscale.random`.

    Returns
    -------
    array
        -log(-log(u)), with u as in `normal`, computed in float64 and rounded as there. The same bits on every
        framework; not those of `jax.random.gumbel`.

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
        return _rounded(function(_open_unit(words, xp)), dtype, xp)

    return xp.reshape(in_blocks(*words, function=compute), shape)


def _between(x: Array, low: float, high: float, xp: Any) -> Array:
    return xp.minimum(xp.maximum(x, xp.full_like(x, low)), xp.full_like(x, high))
