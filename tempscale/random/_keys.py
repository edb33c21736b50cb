"""Keys: made of seeds, split, and folded with numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tempscale._core.arguments import as_integer
from tempscale._core.dispatch import is_number
from tempscale._core.dtypes import INTEGERS
from tempscale._core.internals import constant_while_tracing
from tempscale._core.mistakes import in_words
from tempscale._core.operation import INJECTED
from tempscale.backend import Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import draw
from tempscale.random._arguments import Key, as_array, as_shape, described, resolve_key


@in_words
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
        If `seed` is not an integer.
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
    return Key(number >> 32, number & threefry.MASK)


@in_words
def split(key: Key | Array, num: int | Sequence[int] = 2, *, like: Array | None = None) -> Any:
    """Make keys from a key, as `jax.random.split` does: key i is both words of the counter (0, i).

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    num : int or sequence of int, default 2
        How many, or the shape of an array of keys.
    like : array, optional
        For a host key: make arrays in the framework and on the device of this one.

    Returns
    -------
    tuple of Key, or array
        A host key gives host keys (for a shape, tuples of tuples), or with `like` an array of uint32 (PyTorch: int32).
        An array gives an array of shape (num..., 2) in its dtype. JAX's typed keys give typed keys of shape `num`.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given.
    TypeError, ValueError
        If `num` is not a shape.

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
    return threefry.key_like(_split(raw, shape=shape), given)


@in_words
def fold_in(key: Key | Array, data: int | Array, *, like: Array | None = None) -> Any:
    """Make a key from a key and a number, as `jax.random.fold_in` does: both words of the counter (0, data).

    Parameters
    ----------
    key : Key or array
        What `tempscale.random.key` makes from a seed; or an integer array of shape (2,) of any framework (uint32, int32
        or int64) that holds the bits of its two words; or one of JAX's typed keys (threefry2x32).
    data : int or array
        A number from 0 to 2^32 - 1, or a 0-d integer array, of which the low 32 bits count: the number of a step,
        which a compiled function can take as an argument.
    like : array, optional
        For a host key: make an array in the framework and on the device of this one.

    Returns
    -------
    Key, or array
        A host key and a Python number give a host key. Otherwise an array of shape (2,) in the dtype of `key`; for a
        host key uint32 (PyTorch: int32). One of JAX's typed keys gives a typed key.

    Raises
    ------
    TypeError
        If `key` is not a key, arrays of two frameworks are given.
    TypeError, ValueError
        If `data` is not an integer in range.

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
    backend, given, raw = resolve_key(key, like, data=data)
    if number:
        data = backend.asarray(data - 2**32 if data >= 2**31 else data, dtype="int32", like=raw)
    else:
        data = as_array(backend, data, raw, "data")
    if backend.dtype_name(data) not in INTEGERS or backend.shape(data) != ():
        raise TypeError(f"data is {described(backend, data)}, expected an integer or a 0-d array of integers")
    return threefry.key_like(_fold(raw, data), given)


@constant_while_tracing
def _on_host(high: int, low: int, count: int, start: int = 0) -> tuple[tuple[int, int], ...]:
    """Return both words of the counters (0, start + i), in Python's numbers."""
    i = np.arange(start, start + count, dtype=np.uint32)
    y0, y1 = threefry.host_block(tuple(np.array([[high], [low]], np.uint32)), np.zeros(1, np.uint32), i)
    return tuple(zip(y0.tolist(), y1.tolist(), strict=True))


def _nested(keys: list[Key], shape: tuple[int, ...]) -> Any:
    if len(shape) == 1:
        return tuple(keys)
    if not shape:
        return keys[0]
    step = math.prod(shape[1:])
    return tuple([_nested(keys[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])])


@draw
def _split(key: Array, /, *, shape: tuple[int, ...], xp: Any = INJECTED) -> Array:
    return xp.reshape(xp.stack(threefry.pairs(key, count=math.prod(shape)), axis=-1), (*shape, 2))


@draw
def _fold(key: Array, data: Array, /, *, xp: Any = INJECTED) -> Array:
    return threefry.folded(key, data)
