"""Random integers, orders and choices."""

from __future__ import annotations

import math
from typing import Any

from tempscale._core.arguments import as_flag, as_integer
from tempscale._core.dispatch import backend_of, is_number
from tempscale._core.dtypes import INTEGERS, cast
from tempscale._core.mistakes import in_words
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array, Backend
from tempscale.kernels import threefry
from tempscale.kernels.draws import draw, rarely
from tempscale.kernels.exact import quantiles
from tempscale.kernels.indexing import entry_at
from tempscale.random._arguments import (
    Key,
    as_array,
    as_axis,
    as_dtype,
    as_shape,
    as_weights,
    check_integers,
    integer_bound,
    known_shape,
    resolve_key,
)
from tempscale.random._uniform import open_unit


@in_words
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

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    shape : int or sequence of int, default ()
        Shape of the result, which has at most 2^32 entries.
    minval, maxval : int or array
        Bounds, at most 2^32 apart. Arrays are taken as `dtype` and must broadcast to `shape`; where they have
        minval >= maxval, the result is minval.
    dtype : str or dtype, default "int32"
        int8 to int64, or uint8 to uint32.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        ``minval + floor(n * w / 2^64)`` with n = maxval - minval and w the 64 bits of the counter (0, i). Where
        ``n * w mod 2^64 < 2^64 mod n`` (less than once in 2^32), w is that of the counter (1, i) instead, which is
        not examined again: the probabilities of two numbers differ by less than 2^-64.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given, or the framework has no such dtype (one of 64 bits in
        JAX without x64).
    ValueError
        If `shape` is not a shape.
    TypeError, ValueError
        If bounds are not integers, or numbers have minval >= maxval, are more than 2^32 apart
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
    backend, _, raw = resolve_key(key, like, minval=minval, maxval=maxval)
    name = as_dtype(backend, dtype, tuple([kind for kind in INTEGERS if kind != "uint64"]))
    shape = as_shape(shape)
    inclusive = is_number(maxval)  # maxval itself need not be a number of the dtype
    if is_number(minval) and is_number(maxval):
        check_integers(as_integer(minval, "minval"), as_integer(maxval, "maxval"), name)
    low = integer_bound(backend, minval, name, raw, shape, "minval")
    high = integer_bound(backend, as_integer(maxval, "maxval") - 1 if inclusive else maxval, name, raw, shape, "maxval")
    return _randint(raw, low, high, shape=shape, dtype=name, inclusive=inclusive)


@draw
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
        y0, y1 = threefry.pairs(key, count=count, stream=stream)
        return threefry.high_product(n, xp.reshape(y0, shape), xp.reshape(y1, shape), xp)

    # 2^64 mod n; the remainder of 2^32 is at most 2^31, so that its square does not wrap
    once = xp.remainder(xp.full_like(n, 2**32), n)
    surplus = xp.remainder(once * once, n)
    offset, rest = candidate(0)
    rejected = (rest >= 0) & (rest < surplus)
    offset = rarely(rejected, offset, instead=lambda: candidate(1)[0])
    return xp.astype(start + offset, backend.dtype(dtype))


@in_words
def permutation(
    key: Key | Array, x: int | Array, axis: int = 0, independent: bool = False, *, like: Array | None = None
) -> Array:
    """Permute an array along an axis, or the numbers from 0 to x - 1.

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    x : int or array
        How many numbers, or what to permute.
    axis : int, default 0
        Of `x`.
    independent : bool, default False
        Whether every row along the axis gets a permutation of its own.
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        Like `x`; of a number in the framework's default integer dtype.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given.
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
    axis, independent = as_integer(axis, "axis"), as_flag(independent, "independent")
    if is_number(x):
        count = as_integer(x, "x")
        if count < 0:
            raise ValueError(f"x is {count}, expected how many numbers to permute, or an array")
        backend, _, raw = resolve_key(key, like)
        return _order(raw, shape=as_shape(count, "x"), axis=0, dtype=backend.default_index())
    backend, _, raw = resolve_key(key, like, x=x)
    x = as_array(backend, x, raw, "x")
    shape = known_shape(backend, x, "x")
    place = as_axis(axis, len(shape), "x")
    if independent:
        order = _order(raw, shape=as_shape(shape), axis=place, dtype=backend.default_index())
        return entry_at(x, order, axis=place)
    order = _order(raw, shape=as_shape(shape[place]), axis=0, dtype=backend.default_index())
    return _taken(x, order, axis=place, shape=(shape[place],))


@draw
def _order(key: Array, /, *, shape: tuple[int, ...], axis: int, dtype: str, xp: Any = INJECTED) -> Array:
    patterns = threefry.to_signed64(*threefry.pairs(key, count=math.prod(shape)), xp)
    return xp.astype(xp.argsort(xp.reshape(patterns, shape), axis=axis, stable=True), backend_of(key).dtype(dtype))


@in_words
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

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
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
    like : array, optional
        The result has the framework and device of this array, where no other argument is an array. NumPy by default.

    Returns
    -------
    array
        Like `a`; of a number in the framework's default integer dtype.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given.
    ValueError
        If `shape` is not a shape.
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
    replace, axis = as_flag(replace, "replace"), as_integer(axis, "axis")
    backend, _, raw = resolve_key(key, like, a=a, **({} if p is None else {"p": p}))
    if is_number(a):
        size, place = as_integer(a, "a"), 0
    else:
        a = as_array(backend, a, raw, "a")
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
        return _indices(index, shape=shape, dtype=backend.default_index())
    return _taken(a, index, axis=place, shape=shape)


def _index(backend: Backend, key: Array, weights: Array | None, size: int, count: int, replace: bool) -> Array:
    """Return the indices of the entries that are chosen, and perhaps of more behind them."""
    dtype = backend.default_index()
    if weights is None:
        if replace:
            return randint(key, (count,), 0, max(size, 1))
        return _order(key, shape=(size,), axis=0, dtype=dtype)
    if replace:
        return _weighted(key, weights, count=count, size=size, dtype=dtype)
    return _race(key, weights, count=count, size=size, dtype=dtype)


@draw
def _weighted(key: Array, weights: Array, /, *, count: int, size: int, dtype: str, xp: Any = INJECTED) -> Array:
    backend = backend_of(key)
    wide = backend.dtype("int64")
    w = xp.astype(weights, backend.dtype("float64"))
    m, k = quantiles.split_float(xp.where((w > 0) & (w < math.inf), w, xp.zeros_like(w)))
    # integers relative to the largest, of as many bits as leave the sum below 2^62
    precision = min(41, 61 - (size - 1).bit_length())
    places = xp.max(xp.where(m > 0, k, xp.full_like(k, -(2.0**20))), axis=0, keepdims=True) - k
    places = xp.minimum(places + (53 - precision), xp.full_like(k, 63.0))
    whole = xp.bitwise_right_shift(xp.astype(m * 2.0**53, wide), xp.astype(places, wide))
    sums = xp.cumulative_sum(whole, dtype=wide)
    drawn, _ = threefry.high_product(sums[-1:], *threefry.pairs(key, count=count), xp)
    index = xp.searchsorted(sums, drawn, side="right")
    index = xp.minimum(index, xp.full_like(index, size - 1))  # an index even where no weight is positive
    return xp.astype(index, backend.dtype(dtype))


@draw
def _race(key: Array, weights: Array, /, *, count: int, size: int, dtype: str, xp: Any = INJECTED) -> Array:
    backend = backend_of(key)
    w = xp.astype(weights, backend.dtype("float64"))
    arrival = -quantiles.log(open_unit(threefry.pairs(key, count=size), xp), xp) / xp.where(w > 0, w, xp.ones_like(w))
    order = xp.argsort(xp.where(w > 0, arrival, xp.full_like(w, math.inf)), stable=True)
    return xp.astype(order[:count], backend.dtype(dtype))


@agnostic
def _indices(index: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    """Return the first of some indices, in a shape."""
    return cast(xp.reshape(index[: math.prod(shape)], shape), backend_of(index).dtype(dtype), xp)


@agnostic
def _taken(x: Array, index: Array, /, *, axis: int, shape: tuple[int, ...], xp: Any = INJECTED) -> Array:
    """Return the entries at the first of some indices along an axis, in a shape that takes its place."""
    chosen = xp.take(x, index[: math.prod(shape)], axis=axis)
    return xp.reshape(chosen, (*x.shape[:axis], *shape, *x.shape[axis + 1 :]))
