"""Random numbers from keys: counter-based, stateless, the same bits in NumPy, PyTorch, TensorFlow and JAX.

A function draws from a key, and from the same key always the same: split a key for as many more as are needed, and
use each once. `bits` and `uniform` are `jax.random.bits` and `jax.random.uniform` (Threefry-2x32-20, partitionable) bit
for bit, and so is what `key`, `split` and `fold_in` make. The other distributions have definitions of their own, in
integers or in float64 operations that IEEE 754 rounds alike everywhere; they are in the docstrings.

These parameters and errors are the same in every function; the docstrings of the functions have what else there is.

Parameters
----------
key : Key or array
    What `key` makes, or an integer array of shape (2,) of any framework: uint32, int32 or int64 that hold the bit
    patterns of the words; or one of JAX's typed keys (threefry2x32).
shape : int or sequence of int
    Of the result, which has at most 2^32 entries.
dtype : str or dtype
    Of the result: where nothing else is said "float32", which is the default, float16, bfloat16 or float64. The default
    is the same on every framework, so that the results are.
like : array, optional
    Decides framework and device, where no array among the other arguments does; NumPy without any.

Raises
------
TypeError
    If `key` is no key, arrays of two frameworks meet, or the framework has no such dtype: 64 bits in JAX without x64.
ValueError
    If `shape` is no shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tempscale import _quantiles, _threefry
from tempscale._agnostic import INJECTED, Operation, agnostic
from tempscale._arguments import FLOATS, INTEGERS
from tempscale._checks import check_probabilities, checking
from tempscale._dispatch import backend_of, is_number
from tempscale._random_arguments import (
    Key,
    as_array,
    as_axis,
    as_dtype,
    as_integer,
    as_shape,
    as_weights,
    check_fit,
    check_integers,
    check_order,
    described,
    float_bound,
    integer_bound,
    known_shape,
    resolve_key,
)
from tempscale._registry import constant_while_tracing
from tempscale._scaling import entry_at
from tempscale.backend import Array, Backend

__all__ = [
    "Key",
    "bernoulli",
    "bits",
    "choice",
    "exponential",
    "fold_in",
    "gumbel",
    "key",
    "normal",
    "permutation",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]

DRAWS: list[Operation[..., Any]] = []
"""What computes, without arguments to check: from a key, an array of two integers. Backends compile these."""

_BITS = ("uint8", "uint16", "uint32", "uint64")


def _draw(body: Callable[..., Any]) -> Operation[..., Any]:
    operation: Operation[..., Any] = agnostic(body)
    DRAWS.append(operation)
    return operation


# Keys


def key(seed: int) -> Key:
    """Make a key of a seed.

    Parameters
    ----------
    seed : int
        From 0 to 2^64 - 1. Its high and its low 32 bits are the words of the key, as in `jax.random.key`.

    Returns
    -------
    Key
        Two words on the host; ``np.asarray(key)`` is a uint32 array of shape (2,).

    Raises
    ------
    TypeError
        If `seed` is no integer.
    ValueError
        If it is negative or has more than 64 bits.

    Examples
    --------
    >>> from tempscale import random
    >>> random.key(42)
    tempscale.random.key(0x2a)
    >>> import numpy
    >>> numpy.asarray(random.key(42))
    array([ 0, 42], dtype=uint32)
    """
    number = as_integer(seed, "seed")
    if not 0 <= number < 2**64:
        raise ValueError(f"seed is {number}, expected an integer from 0 to 2**64 - 1: seed % 2**64 is one")
    return Key(number >> 32, number & _threefry.MASK)


def split(key: Key | Array, num: int | Sequence[int] = 2, *, like: Array | None = None) -> Any:
    """Make keys of a key, as `jax.random.split` does: key i is both words of the counter (0, i).

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    num : int or sequence of int, default 2
        How many, or the shape of an array of keys.
    like : array, optional
        Makes arrays in the framework and on the device of this one of a host key.

    Returns
    -------
    tuple of Key, or array
        Of a host key host keys (for a shape, tuples of tuples); with `like` an array of uint32 (PyTorch: int32). Of an
        array one of shape (num..., 2) in its dtype; of JAX's typed keys typed keys of shape `num`.

    Raises
    ------
    TypeError, ValueError
        If `num` is no shape.

    Examples
    --------
    >>> from tempscale import random
    >>> one, other = random.split(random.key(0))
    >>> one
    tempscale.random.key(0x6b20015999ba4efe)
    """
    shape = as_shape(num, "num")
    if isinstance(key, Key) and like is None:
        made = [Key(high, low) for high, low in _on_host(key.high, key.low, math.prod(shape))]
        return _nested(made, shape)
    _, given, raw = resolve_key(key, like)
    return _threefry.key_like(_split(raw, shape=shape), given)


def fold_in(key: Key | Array, data: int | Array, *, like: Array | None = None) -> Any:
    """Make a key of a key and a number, as `jax.random.fold_in` does: both words of the counter (0, data).

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    data : int or array
        A number from 0 to 2^32 - 1, or a 0-d integer array, of which the low 32 bits count: the number of a step,
        which a compiled function can take as an argument.
    like : array, optional
        Makes an array in the framework and on the device of this one of a host key.

    Returns
    -------
    Key, or array
        A host key of a host key and a Python number. Else an array of shape (2,), in the dtype of `key`; of a
        host key uint32 (PyTorch: int32); a typed key of one of JAX's.

    Raises
    ------
    TypeError, ValueError
        If `data` is no integer in range.

    Examples
    --------
    >>> from tempscale import random
    >>> random.fold_in(random.key(0), 7)
    tempscale.random.key(0xa1ef7a4d116eb6b3)
    """
    number = is_number(data)
    if number:
        data = as_integer(data, "data")
        if not 0 <= data < 2**32:
            raise ValueError(f"data is {data}, expected an integer from 0 to 2**32 - 1, or an array")
        if isinstance(key, Key) and like is None:
            return Key(*_on_host(key.high, key.low, 1, data)[0])
    backend, given, raw = resolve_key(key, like, *(() if number else (data,)))
    if number:
        data = backend.asarray(data - 2**32 if data >= 2**31 else data, dtype="int32", like=raw)
    elif backend.dtype_name(data) not in INTEGERS or backend.shape(data) != ():
        raise TypeError(f"data is {described(backend, data)}, expected an integer or a 0-d array of integers")
    return _threefry.key_like(_fold(raw, data), given)


@constant_while_tracing
def _on_host(high: int, low: int, count: int, start: int = 0) -> tuple[tuple[int, int], ...]:
    """Return both words of the counters (0, start + i), in Python's numbers."""
    i = np.arange(start, start + count, dtype=np.uint32)
    y0, y1 = _threefry.host_block(tuple(np.array([[high], [low]], np.uint32)), np.zeros(1, np.uint32), i)
    return tuple(zip(y0.tolist(), y1.tolist(), strict=True))


def _nested(keys: list[Key], shape: tuple[int, ...]) -> Any:
    if len(shape) == 1:
        return tuple(keys)
    if not shape:
        return keys[0]
    step = math.prod(shape[1:])
    return tuple([_nested(keys[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])])


@_draw
def _split(key: Array, /, *, shape: tuple[int, ...], xp: Any = INJECTED) -> Array:
    return xp.reshape(xp.stack(_threefry.pairs(key, count=math.prod(shape)), axis=-1), (*shape, 2))


@_draw
def _fold(key: Array, data: Array, /, *, xp: Any = INJECTED) -> Array:
    return _threefry.folded(key, data)


# Bits and uniform numbers


def bits(key: Key | Array, shape: Any = (), dtype: Any = "uint32", *, like: Array | None = None) -> Array:
    """Draw random bits: `jax.random.bits`, bit for bit.

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    dtype : str or dtype, default "uint32"
        uint8, uint16, uint32 or uint64.

    Returns
    -------
    array
        Entry i, in row-major order, is y0 ^ y1 of the counter (0, i), its low bits for the narrower dtypes; for
        uint64 it is y0 * 2^32 + y1.

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
    return _drawn(_bits, key, shape, dtype, like, _BITS)


def _drawn(
    draw: Operation[..., Any],
    key: Any,
    shape: Any,
    dtype: Any,
    like: Any,
    allowed: tuple[str, ...] = FLOATS,
    **options: Any,
) -> Array:
    """Check the arguments that draws have in common, and draw."""
    backend, _, raw = resolve_key(key, like)
    return draw(raw, shape=as_shape(shape), dtype=as_dtype(backend, dtype, allowed), **options)


@_draw
def _bits(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    count, kind = math.prod(shape), backend_of(key).dtype(dtype)
    if dtype == "uint64":
        y0, y1 = [xp.astype(y, kind) for y in _threefry.pairs(key, count=count)]
        return xp.reshape(xp.bitwise_or(xp.bitwise_left_shift(y0, 32), y1), shape)
    words = _threefry.words(key, count=count)
    if dtype != "uint32":
        words = xp.bitwise_and(words, (1 << int(dtype[4:])) - 1)
    return xp.reshape(xp.astype(words, kind), shape)


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

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    minval, maxval : float or array, default 0 and 1
        Bounds, rounded to `dtype`; arrays must broadcast to `shape`. The result may be `maxval`, by rounding.

    Returns
    -------
    array
        A multiple m of 2^-23 (float32: the top bits of a word; 2^-52, 2^-10 and 2^-7 for float64, float16 and
        bfloat16), between bounds ``m * (maxval - minval) + minval``, rounded once; for float64 twice.

    Raises
    ------
    TypeError, ValueError
        If numbers have minval >= maxval.

    Examples
    --------
    >>> from tempscale import random
    >>> random.uniform(random.key(0), (2,))
    array([0.947667 , 0.9785799], dtype=float32)
    """
    bounds = [value for value in (minval, maxval) if not is_number(value)]
    backend, _, raw = resolve_key(key, like, *bounds)
    name, shape = as_dtype(backend, dtype, FLOATS), as_shape(shape)
    if not bounds:
        check_order(minval, maxval)
        if minval == 0 and maxval == 1:
            return _uniform(raw, shape=shape, dtype=name)
    low, high = [float_bound(backend, value, name, raw, shape) for value in (minval, maxval)]
    return _uniform_between(raw, low, high, shape=shape, dtype=name)


@_draw
def _uniform(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return xp.reshape(_unit(key, math.prod(shape), dtype, xp), shape)


@_draw
def _uniform_between(
    key: Array, low: Array, high: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED
) -> Array:
    wide = backend_of(key).dtype("float64")
    u = xp.astype(xp.reshape(_unit(key, math.prod(shape), dtype, xp), shape), wide)
    span = xp.astype(xp.maximum(high - low, xp.zeros_like(low)), wide)
    # the product is exact for the narrower dtypes; for float64 the absolute value keeps compilers from an FMA
    return xp.maximum(_rounded(xp.abs(u * span) + xp.astype(low, wide), dtype, xp), low)


def _unit(key: Array, count: int, dtype: str, xp: Any) -> Array:
    """Return multiples of the dtype's spacing below 1, from 0 on: JAX's, which sets the mantissa of 1.m."""
    if dtype == "float64":
        pairs = _threefry.pairs(key, count=count)
        return in_blocks(*pairs, function=lambda high, low: _unit_of_pairs(high, low, xp))
    words = _threefry.words(key, count=count)
    return in_blocks(words, function=lambda words: _unit_of_words(words, dtype, xp))


def _unit_of_words(words: Array, dtype: str, xp: Any) -> Array:
    backend = backend_of(words)
    # how many bits of the low ones of the word are taken, and how many of them count
    width, precision = {"float32": (32, 23), "float16": (16, 10), "bfloat16": (8, 7)}[dtype]
    whole = xp.bitwise_and(xp.bitwise_right_shift(words, width - precision), (1 << precision) - 1)
    return xp.astype(xp.astype(whole, backend.dtype("float32")) * 2.0**-precision, backend.dtype(dtype))


def _unit_of_pairs(high: Array, low: Array, xp: Any) -> Array:
    """Return the top 52 of 64 bits as multiples of 2^-52."""
    rest = xp.bitwise_right_shift(_threefry.to_int64(low), 12)
    return _threefry.to_float64(high, xp) * 2.0**-32 + xp.astype(rest, backend_of(low).dtype("float64")) * 2.0**-52


def bernoulli(key: Key | Array, p: float | Array = 0.5, shape: Any = None, *, like: Array | None = None) -> Array:
    """Draw booleans that are True with probability p: ``uniform(key) < p``.

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    p : float or array, default 0.5
        Probability; rounded to float32, unless it is an array of float64. An array must broadcast to `shape`. Where
        an array is NaN the result is False.
    shape : int or sequence of int, optional
        Of the result; that of `p` by default.

    Returns
    -------
    array of bool
        As `jax.random.bernoulli` for a number p.

    Raises
    ------
    TypeError, ValueError
        If `p` is not a float, or the number p is not from 0 to 1.

    Examples
    --------
    >>> from tempscale import random
    >>> random.bernoulli(random.key(0), 0.9, (4,))
    array([False, False,  True,  True])
    """
    number = is_number(p)
    if number and not 0 <= p <= 1:
        raise ValueError(f"p is {p}, expected a probability from 0 to 1")
    backend, _, raw = resolve_key(key, like, *(() if number else (p,)))
    p = backend.asarray(float(p), dtype="float32", like=raw) if number else as_array(backend, p, raw)
    kind = backend.dtype_name(p)
    if kind not in FLOATS:
        raise TypeError(f"p is {described(backend, p)}, expected a float or an array of floats")
    shape = as_shape(known_shape(backend, p, "p") if shape is None else shape)
    check_fit(backend, p, shape, "p")
    if checking() and not number:
        check_probabilities(backend, p, "p")
    return _bernoulli(raw, p, shape=shape, dtype="float64" if kind == "float64" else "float32")


@_draw
def _bernoulli(key: Array, p: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    u = xp.reshape(_unit(key, math.prod(shape), dtype, xp), shape)
    return u < xp.astype(p, u.dtype)


# Integers


def randint(
    key: Key | Array,
    shape: Any,
    minval: int | Array,
    maxval: int | Array,
    dtype: Any = "int32",
    *,
    like: Array | None = None,
) -> Array:
    """Draw integers from minval to maxval - 1, all equally likely.

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    minval, maxval : int or array
        Bounds, at most 2^32 apart. Arrays are taken as `dtype` and must broadcast to `shape`; where they have
        minval >= maxval, the result is minval.
    dtype : str or dtype, default "int32"
        int8 to int64, or uint8 to uint32.

    Returns
    -------
    array
        ``minval + floor(n * w / 2^64)`` with n = maxval - minval and w the 64 bits of the counter (0, i). Where
        ``n * w mod 2^64 < 2^64 mod n`` (less than once in 2^32), w is that of the counter (1, i) instead, which is
        not examined again: the probabilities of two numbers differ by less than 2^-64.

    Raises
    ------
    TypeError, ValueError
        If bounds are no integers, or numbers have minval >= maxval, are more than 2^32 apart
        or not in the range of `dtype`.

    Notes
    -----
    `jax.random.randint` takes remainders, which favours small numbers; the results differ from its.

    References
    ----------
    D. Lemire: "Fast random integer generation in an interval", ACM TOMACS 29 (2019).

    Examples
    --------
    >>> from tempscale import random
    >>> random.randint(random.key(0), (4,), 1, 7)
    array([3, 2, 6, 4], dtype=int32)
    """
    bounds = [value for value in (minval, maxval) if not is_number(value)]
    backend, _, raw = resolve_key(key, like, *bounds)
    name = as_dtype(backend, dtype, tuple([kind for kind in INTEGERS if kind != "uint64"]))
    shape = as_shape(shape)
    inclusive = is_number(maxval)  # maxval itself need not be a number of the dtype
    if not bounds:
        check_integers(as_integer(minval, "minval"), as_integer(maxval, "maxval"), name)
    low = integer_bound(backend, minval, name, raw, shape, "minval")
    high = integer_bound(backend, maxval - 1 if inclusive else maxval, name, raw, shape, "maxval")
    return _randint(raw, low, high, shape=shape, dtype=name, inclusive=inclusive)


@_draw
def _randint(
    key: Array,
    low: Array,
    high: Array,
    /,
    *,
    shape: tuple[int, ...],
    dtype: str,
    inclusive: bool,
    xp: Any = INJECTED,
) -> Array:
    backend, count = backend_of(key), math.prod(shape)
    wide = backend.dtype("int64")
    start = xp.astype(low, wide)
    n = xp.astype(high, wide) - start + int(inclusive)
    n = xp.where(n > 1, n, xp.ones_like(n))

    def candidate(stream: int) -> tuple[Array, Array]:
        y0, y1 = _threefry.pairs(key, count=count, stream=stream)
        return _threefry.high_product(n, xp.reshape(y0, shape), xp.reshape(y1, shape), xp)

    # 2^64 mod n; the remainder of 2^32 is at most 2^31, so that its square does not wrap
    once = xp.remainder(xp.full_like(n, 2**32), n)
    surplus = xp.remainder(once * once, n)
    offset, rest = candidate(0)
    rejected = (rest >= 0) & (rest < surplus)
    offset = rarely(rejected, offset, instead=lambda: candidate(1)[0])
    return xp.astype(start + offset, backend.dtype(dtype))


@agnostic
def rarely(condition: Array, x: Array, /, *, instead: Callable[[], Array], xp: Any = INJECTED) -> Array:
    """Return ``where(condition, instead(), x)``; natives call `instead` only if the condition is met anywhere."""
    return xp.where(condition, instead(), x)


def permutation(
    key: Key | Array, x: int | Array, axis: int = 0, independent: bool = False, *, like: Array | None = None
) -> Array:
    """Permute an array along an axis, or the numbers from 0 to x - 1.

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    x : int or array
        How many numbers, or what to permute.
    axis : int, default 0
        Of `x`.
    independent : bool, default False
        Whether every row along the axis gets a permutation of its own.

    Returns
    -------
    array
        Like `x`; of a number in the framework's default integer dtype.

    Raises
    ------
    TypeError, ValueError
        If `x` is negative or 0-d, or has no such axis.

    Notes
    -----
    The order is that of the 64-bit words of the counters (0, i), as signed integers; of two that are equal, which
    among n happens with a probability of n^2 / 2^65, the lower index comes first.

    Examples
    --------
    >>> from tempscale import random
    >>> random.permutation(random.key(1), 6)
    array([2, 5, 3, 0, 4, 1])
    """
    if is_number(x):
        count = as_integer(x, "x")
        if count < 0:
            raise ValueError(f"x is {count}, expected how many numbers to permute, or an array")
        backend, _, raw = resolve_key(key, like)
        return _order(raw, shape=as_shape(count), axis=0, dtype=backend.default_index())
    backend, _, raw = resolve_key(key, like, x)
    x = as_array(backend, x, raw)
    shape = known_shape(backend, x, "x")
    place = as_axis(axis, len(shape), "x")
    if independent:
        order = _order(raw, shape=as_shape(shape), axis=place, dtype=backend.default_index())
        return entry_at(x, order, axis=place)
    order = _order(raw, shape=as_shape(shape[place]), axis=0, dtype=backend.default_index())
    return backend.namespace.take(x, order, axis=place)


@_draw
def _order(key: Array, /, *, shape: tuple[int, ...], axis: int, dtype: str, xp: Any = INJECTED) -> Array:
    patterns = _threefry.to_signed64(*_threefry.pairs(key, count=math.prod(shape)), xp)
    return xp.astype(xp.argsort(xp.reshape(patterns, shape), axis=axis, stable=True), backend_of(key).dtype(dtype))


def choice(
    key: Key | Array,
    a: int | Array,
    shape: Any = (),
    replace: bool = True,
    p: Array | None = None,
    axis: int = 0,
    *,
    like: Array | None = None,
) -> Array:
    """Choose among the entries of an array along an axis, or among the numbers from 0 to a - 1.

    Parameters and errors that are not listed: see `tempscale.random`.

    Parameters
    ----------
    a : int or array
        How many numbers, or the array.
    shape : int or sequence of int, default ()
        Of what is chosen: it takes the place of the axis in the shape of the result.
    replace : bool, default True
        Whether an entry can be chosen more than once.
    p : array or list, optional
        Probabilities, one per entry; all alike by default. In an array they are weights: they need not sum to 1,
        and negative ones count as 0.
    axis : int, default 0
        Of `a`.

    Returns
    -------
    array
        Like `a`; of a number in the framework's default integer dtype.

    Raises
    ------
    TypeError, ValueError
        If `p` has no floats, `a` is empty, `p` does not have as many entries, or more than
        there are shall be chosen without replacement; for a list p if there are negative weights, or their sum is not 1
        within 1e-6.

    Notes
    -----
    With replacement and p: the weights become integers of at most 41 bits, relative to the largest; a 64-bit word
    chooses a place in their sum. Without replacement and with p: the entries with the least E / p, where E is
    exponentially distributed (float64); without p the first entries of a `permutation`. Values of arrays are not
    looked at unless inside `tempscale.checks`: if there are too few positive weights, or a NaN is among them, what
    is chosen has no meaning.

    Examples
    --------
    >>> from tempscale import random
    >>> random.choice(random.key(0), 10, (3,), p=[0.0] * 8 + [0.5, 0.5])
    array([8, 8, 9])
    """
    arrays = [value for value in (a, p) if value is not None and not is_number(value)]
    backend, _, raw = resolve_key(key, like, *arrays)
    if is_number(a):
        size, place = as_integer(a, "a"), 0
    else:
        a = as_array(backend, a, raw)
        sizes = known_shape(backend, a, "a")
        place = as_axis(axis, len(sizes), "a")
        size = sizes[place]
    shape = as_shape(shape)
    count = math.prod(shape)
    if size < 1 and count:
        raise ValueError(f"a has {size} entries, expected at least one to choose from")
    if not replace and count > size:
        raise ValueError(f"shape {shape} has {count} entries, and a only {size}: they need replace=True")
    weights = None if p is None else as_weights(backend, p, raw, size, 1 if replace else count)
    index = _index(backend, raw, weights, size, count, replace)
    if is_number(a):
        return backend.namespace.reshape(index, shape)
    chosen = backend.namespace.take(a, index, axis=place)
    return backend.namespace.reshape(chosen, (*sizes[:place], *shape, *sizes[place + 1 :]))


def _index(backend: Backend, key: Array, weights: Array | None, size: int, count: int, replace: bool) -> Array:
    dtype = backend.default_index()
    if weights is None:
        if replace:
            return backend.namespace.astype(randint(key, (count,), 0, max(size, 1)), backend.dtype(dtype))
        return _order(key, shape=(size,), axis=0, dtype=dtype)[:count]
    if replace:
        return _weighted(key, weights, count=count, size=size, dtype=dtype)
    return _race(key, weights, size=size, dtype=dtype)[:count]


@_draw
def _weighted(key: Array, weights: Array, /, *, count: int, size: int, dtype: str, xp: Any = INJECTED) -> Array:
    backend = backend_of(key)
    wide = backend.dtype("int64")
    w = xp.astype(weights, backend.dtype("float64"))
    m, k = _quantiles.split_float(xp.where((w > 0) & (w < math.inf), w, xp.zeros_like(w)))
    # integers relative to the largest, of as many bits as leave the sum below 2^62
    precision = min(41, 61 - (size - 1).bit_length())
    places = xp.max(xp.where(m > 0, k, xp.full_like(k, -(2.0**20))), axis=0, keepdims=True) - k
    places = xp.minimum(places + (53 - precision), xp.full_like(k, 63.0))
    whole = xp.bitwise_right_shift(xp.astype(m * 2.0**53, wide), xp.astype(places, wide))
    sums = xp.cumulative_sum(whole, dtype=wide)
    drawn, _ = _threefry.high_product(sums[-1:], *_threefry.pairs(key, count=count), xp)
    index = xp.searchsorted(sums, drawn, side="right")
    index = xp.minimum(index, xp.full_like(index, size - 1))  # an index even where no weight is positive
    return xp.astype(index, backend.dtype(dtype))


@_draw
def _race(key: Array, weights: Array, /, *, size: int, dtype: str, xp: Any = INJECTED) -> Array:
    backend = backend_of(key)
    w = xp.astype(weights, backend.dtype("float64"))
    arrival = -_quantiles.log(_open_unit(_threefry.pairs(key, count=size), xp), xp) / xp.where(
        w > 0, w, xp.ones_like(w)
    )
    order = xp.argsort(xp.where(w > 0, arrival, xp.full_like(w, math.inf)), stable=True)
    return xp.astype(order, backend.dtype(dtype))


# Other distributions


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
    return _drawn(_normal, key, shape, dtype, like)


@_draw
def _normal(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return _quantile(lambda u: _quantiles.normal_quantile(u, xp), key, shape, dtype, xp)


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
    if not (is_number(lower) and is_number(upper)):
        raise TypeError("lower or upper is an array, expected two numbers")
    check_order(lower, upper, "lower", "upper")
    if lower >= 8 or upper <= -8:
        raise ValueError(f"between {lower} and {upper} there is nothing within 8 standard deviations of the mean")
    return _drawn(_truncated_normal, key, shape, dtype, like, bounds=(float(lower), float(upper)))


@_draw
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
        z = _quantiles.normal_quantile(_between(within, 2.0**-53, 1.0 - 2.0**-53, xp), xp)
        return _between(z, first, last, xp) * sign

    return _quantile(quantile, key, shape, dtype, xp)


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
    return _drawn(_exponential, key, shape, dtype, like)


@_draw
def _exponential(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return _quantile(lambda u: -_quantiles.log(u, xp), key, shape, dtype, xp)


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
    return _drawn(_gumbel, key, shape, dtype, like)


@_draw
def _gumbel(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    return _quantile(lambda u: -_quantiles.log(-_quantiles.log(u, xp), xp), key, shape, dtype, xp)


def _quantile(function: Callable[[Array], Array], key: Array, shape: tuple[int, ...], dtype: str, xp: Any) -> Array:
    """Return a function of float64 numbers between 0 and 1, without either, rounded.

    They are the middles of 2^32 parts, for float64 of 2^52.
    """
    count = math.prod(shape)
    words = _threefry.pairs(key, count=count) if dtype == "float64" else (_threefry.words(key, count=count),)

    def compute(*words: Array) -> Array:
        return _rounded(function(_open_unit(words, xp)), dtype, xp)

    return xp.reshape(in_blocks(*words, function=compute), shape)


def _open_unit(words: tuple[Array, ...], xp: Any) -> Array:
    if len(words) == 2:
        return _unit_of_pairs(*words, xp) + 2.0**-53
    return _threefry.to_float64(words[0], xp) * 2.0**-32 + 2.0**-33


@agnostic
def in_blocks(*arrays: Array, function: Callable[..., Array], xp: Any = INJECTED) -> Array:
    """Return an elementwise function of arrays of one axis; natives keep what is in between in the cache."""
    return function(*arrays)


def _between(x: Array, low: float, high: float, xp: Any) -> Array:
    return xp.minimum(xp.maximum(x, xp.full_like(x, low)), xp.full_like(x, high))


def _rounded(x: Array, dtype: str, xp: Any) -> Array:
    """Round float64, to half precision by way of float32: there frameworks have one way."""
    backend = backend_of(x)
    if dtype == "float64":
        return x
    x = xp.astype(x, backend.dtype("float32"))
    return x if dtype == "float32" else xp.astype(x, backend.dtype(dtype))
