"""Random bits, uniform numbers and booleans."""

from __future__ import annotations

import math
from typing import Any

from tempscale._core.arguments import as_number
from tempscale._core.checks import check_probabilities, checking
from tempscale._core.dispatch import backend_of, is_number
from tempscale._core.dtypes import SMALLEST_NORMAL
from tempscale._core.mistakes import in_words
from tempscale._core.operation import INJECTED
from tempscale.backend import FLOATS, Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import draw, in_blocks, random_bits, rarely
from tempscale.random._arguments import (
    LARGEST_POWER,
    Key,
    as_array,
    as_dtype,
    as_shape,
    check_fit,
    check_order,
    described,
    drawn,
    float_bound,
    known_shape,
    resolve_key,
)

_BITS = ("uint8", "uint16", "uint32", "uint64")


@in_words
def bits(key: Key | Array, shape: Any = (), dtype: Any = "uint32", *, like: Array | None = None) -> Array:
    """Draw random bits: `jax.random.bits`, bit for bit.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    shape : int or sequence of int, default ()
        Shape of the result, which has at most 2^32 entries.
    dtype : str or dtype, default "uint32"
        uint8, uint16, uint32 or uint64.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        Entry i, in row-major order, is y0 ^ y1 of the counter (0, i), its low bits for the narrower dtypes; for
        uint64 it is y0 * 2^32 + y1.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given, or the framework has no such dtype (one of 64 bits in
        JAX without x64).
    ValueError
        If `shape` is not a shape.

    References
    ----------
    Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (Random123), SC 2011. The order of the
    counters is JAX's, with ``jax_threefry_partitionable``.

    Examples
    --------
    >>> from tempscale import random
    >>> random.bits(random.key(0), (2,))
    array([4070199207, 4202968722], dtype=uint32)
    """
    return drawn(random_bits, key, shape, dtype, like, _BITS)


@in_words
def uniform(
    key: Key | Array,
    shape: Any = (),
    dtype: Any = "float32",
    minval: float | Array = 0.0,
    maxval: float | Array = 1.0,
    *,
    like: Array | None = None,
) -> Array:
    """Draw from the uniform distribution on [minval, maxval): `jax.random.uniform`, bit for bit.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    shape : int or sequence of int, default ()
        Shape of the result, which has at most 2^32 entries.
    dtype : str or dtype, default "float32"
        float16, bfloat16, float32 or float64. The default is the same on every framework, so that the results are.
    minval, maxval : float or array, default 0 and 1
        Bounds, rounded to `dtype`; arrays must broadcast to `shape`. The result may be `maxval`, by rounding. Where
        an array has a bound that is not finite, the result is one of the bounds or NaN.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        A multiple m of 2^-23 (float32: the top bits of a word; 2^-52, 2^-10 and 2^-7 for float64, float16 and
        bfloat16), between bounds ``m * (maxval - minval) + minval``, rounded once; for float64 twice. What is subnormal
        in the working precision (below 2^-126, or 2^-1022 for float64) counts as 0.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given, or the framework has no such dtype (one of 64 bits in
        JAX without x64).
    ValueError
        If `shape` is not a shape.
    TypeError, ValueError
        If numbers have minval >= maxval, or are not finite in `dtype`.

    Examples
    --------
    >>> from tempscale import random
    >>> random.uniform(random.key(0), (2,))
    array([0.947667 , 0.9785799], dtype=float32)
    """
    backend, _, raw = resolve_key(key, like, minval=minval, maxval=maxval)
    name, shape = as_dtype(backend, dtype, FLOATS), as_shape(shape)
    if is_number(minval) and is_number(maxval):
        check_order(as_number(minval, "minval"), as_number(maxval, "maxval"))
        if minval == 0 and maxval == 1:
            return _uniform(raw, shape=shape, dtype=name)
    low = float_bound(backend, minval, name, raw, shape, "minval")
    high = float_bound(backend, maxval, name, raw, shape, "maxval")
    return _uniform_between(raw, low, high, shape=shape, dtype=name)


@draw
def _uniform(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return xp.reshape(_unit(key, math.prod(shape), dtype, xp), shape)


@draw
def _uniform_between(
    key: Array, low: Array, high: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED
) -> Array:
    wide = backend_of(key).dtype("float64")
    u = xp.astype(xp.reshape(_unit(key, math.prod(shape), dtype, xp), shape), wide)
    low, high = [without_subnormal(bound, dtype, xp) for bound in (low, high)]
    # two bounds may be further apart than the largest number: then it is halves that are drawn
    near = xp.abs(high * 0.5 - low * 0.5) < LARGEST_POWER[dtype]
    unit = xp.where(near, xp.ones_like(low), xp.full_like(low, 0.5))
    span = xp.astype(xp.maximum(high * unit - low * unit, xp.zeros_like(low)), wide)
    # the product is exact for the narrower dtypes; for float64 the minimum, which is it, keeps compilers from an FMA
    drawn = (xp.minimum(u * span, span) + xp.astype(low * unit, wide)) / xp.astype(unit, wide)
    return xp.maximum(rounded(without_subnormal(drawn, dtype, xp), dtype, xp), low)


def _unit(key: Array, count: int, dtype: str, xp: Any) -> Array:
    """Return multiples of the dtype's spacing below 1, from 0 on: JAX's, which sets the mantissa of 1.m."""
    if dtype == "float64":
        pairs = threefry.pairs(key, count=count)
        return in_blocks(*pairs, function=lambda high, low: _unit_of_pairs(high, low, xp))
    words = threefry.words(key, count=count)
    return in_blocks(words, function=lambda words: _unit_of_words(words, dtype, xp))


def _unit_of_words(words: Array, dtype: str, xp: Any) -> Array:
    backend = backend_of(words)
    # how many bits of the low ones of the word are taken, and how many of them count
    width, precision = {"float32": (32, 23), "float16": (16, 10), "bfloat16": (8, 7)}[dtype]
    whole = xp.bitwise_and(xp.bitwise_right_shift(words, width - precision), (1 << precision) - 1)
    return xp.astype(xp.astype(whole, backend.dtype("float32")) * 2.0**-precision, backend.dtype(dtype))


def _unit_of_pairs(high: Array, low: Array, xp: Any) -> Array:
    """Return the top 52 of 64 bits as multiples of 2^-52."""
    rest = xp.bitwise_right_shift(threefry.to_int64(low), 12)
    return threefry.to_float64(high, xp) * 2.0**-32 + xp.astype(rest, backend_of(low).dtype("float64")) * 2.0**-52


@in_words
def bernoulli(key: Key | Array, p: float | Array = 0.5, shape: Any = None, *, like: Array | None = None) -> Array:
    """Draw booleans that are True with probability p: ``u < p`` for a uniform u of 64 bits.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    p : float or array, default 0.5
        Probability; rounded to float32, unless it is an array of float64. An array must broadcast to `shape`. Where
        an array is NaN the result is False.
    shape : int or sequence of int, optional
        Of the result; that of `p` by default.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array of bool
        The high bits of u are those of `uniform`; the next ones decide where these are as near to p as they can be,
        which is once in 2^23 (for float64 2^52). Else it is what `jax.random.bernoulli` gives for a number p. The
        probability is p rounded up to a multiple of 2^-64.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given.
    ValueError
        If `shape` is not a shape.
    TypeError, ValueError
        If `p` is not a float, or the number p is not from 0 to 1.

    Examples
    --------
    >>> from tempscale import random
    >>> random.bernoulli(random.key(0), 0.9, (4,))
    array([False, False,  True,  True])
    """
    number = is_number(p)
    if number and not 0 <= as_number(p, "p") <= 1:
        raise ValueError(f"p is {p}, expected a probability from 0 to 1")
    backend, _, raw = resolve_key(key, like, p=p)
    p = backend.asarray(float(p), dtype="float32", like=raw) if number else as_array(backend, p, raw, "p")
    kind = backend.dtype_name(p)
    if kind not in FLOATS:
        raise TypeError(f"p is {described(backend, p)}, expected a float or an array of floats")
    shape = as_shape(known_shape(backend, p, "p") if shape is None else shape)
    check_fit(backend, p, shape, "p")
    if checking() and not number:
        check_probabilities(backend, p, "p")
    return _bernoulli(raw, p, shape=shape, dtype="float64" if kind == "float64" else "float32")


@draw
def _bernoulli(key: Array, p: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    u = xp.reshape(_unit(key, math.prod(shape), dtype, xp), shape)
    p = xp.astype(p, u.dtype)
    spacing = 2.0**-52 if dtype == "float64" else 2.0**-23
    below = u < p
    return rarely(below & (p < u + spacing), below, instead=lambda: _below(p, key, shape, dtype == "float64", xp))


def _below(p: Array, key: Array, shape: tuple[int, ...], of_pairs: bool, xp: Any) -> Array:
    """Return whether 64 bits are less than p * 2^64: exactly, because what is subtracted is near p, or more than it."""
    y0, y1 = [xp.reshape(y, shape) for y in threefry.pairs(key, count=math.prod(shape))]
    high = y0 if of_pairs else xp.bitwise_xor(y0, y1)  # the top bits of `uniform`; y1 does not depend on either
    rest = xp.astype(p, backend_of(key).dtype("float64")) - threefry.to_float64(high, xp) * 2.0**-32
    return threefry.to_float64(y1, xp) * 2.0**-32 < rest * 2.0**32


def open_unit(words: tuple[Array, ...], xp: Any) -> Array:
    """Return words, or pairs of them, as float64 numbers between 0 and 1, without either."""
    if len(words) == 2:
        return _unit_of_pairs(*words, xp) + 2.0**-53
    return threefry.to_float64(words[0], xp) * 2.0**-32 + 2.0**-33


def rounded(x: Array, dtype: str, xp: Any) -> Array:
    """Round float64, to half precision by way of float32: there frameworks have one way."""
    backend = backend_of(x)
    if dtype == "float64":
        return x
    x = xp.astype(x, backend.dtype("float32"))
    return x if dtype == "float32" else xp.astype(x, backend.dtype(dtype))


def without_subnormal(x: Array, dtype: str, xp: Any) -> Array:
    """Return 0 for what is subnormal in the working precision of a dtype, as some compilers do in any case."""
    least = SMALLEST_NORMAL["float64" if dtype == "float64" else "float32"]
    return xp.where(xp.abs(x) < least, xp.zeros_like(x), x)
