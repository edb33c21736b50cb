"""Threefry-2x32-20: random words from a key and a counter, in 32-bit integers, the same on every framework.

A *word* is 32 bits, in whichever integer dtype a framework computes with: uint32, or int32 where that is missing.
So every right shift here is masked, and sums wrap around. The operations have natives where a framework lacks what the
bodies ask for, and so have the operations that draw, in the backends' `natives/random.py`.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tempscale._core.dispatch import backend_of
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array

MASK = 0xFFFFFFFF
MOST = 2**32
"""Most numbers of one call, because a counter is one word."""

_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def rotate_left(x: Array, places: int) -> Array:
    """Rotate words; the mask takes away the signs that a shift to the right brings in."""
    return (x << places) | ((x >> (32 - places)) & ((1 << places) - 1))


def block(
    key: tuple[Array, Array],
    x0: Array,
    x1: Array,
    rotate: Callable[[Array, int], Array] = rotate_left,
    constant: Callable[[int], Array] = int,
) -> tuple[Array, Array]:
    """Encrypt a counter of two words; everything broadcasts. None is 0-d: of these NumPy warns that they wrap."""
    keys = (*key, key[0] ^ key[1] ^ constant(_PARITY))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for places in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = rotate(x1, places) ^ x0
        x0, x1 = x0 + keys[(group + 1) % 3], x1 + (keys[(group + 2) % 3] + constant(group + 1))
    return x0, x1


# Keys


@agnostic
def raw_key(key: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return the two words of a key as an array of integers, whatever else the framework has for keys."""
    return key


@agnostic
def key_like(words: Array, key: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return words on the last axis, as keys of the kind and dtype of `key`."""
    return xp.astype(words, key.dtype)


@agnostic
def as_words(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return the low 32 bits of integers, as words."""
    backend = backend_of(x)
    if backend.dtype_name(x) in ("int64", "uint64"):
        x = xp.bitwise_and(x, MASK)
    return xp.astype(x, backend.dtype("uint32"))


def halves(key: Array) -> tuple[Array, Array]:
    """Return the two words of a key, or of keys along leading axes, with an axis of size 1."""
    words = as_words(key)
    return words[..., 0:1], words[..., 1:2]


# Words


@agnostic
def pairs(key: Array, /, *, count: int, stream: int = 0, xp: Any = INJECTED) -> tuple[Array, Array]:
    """Return both words of the counters (stream, i), 0 <= i < count."""
    k0, k1 = halves(key)
    i = xp.arange(count, dtype=k0.dtype)
    return block((k0, k1), xp.full_like(i, stream), i)


@agnostic
def words(key: Array, /, *, count: int, xp: Any = INJECTED) -> Array:
    """Return y0 ^ y1 of the counters (0, i), 0 <= i < count."""
    y0, y1 = pairs(key, count=count)
    return xp.bitwise_xor(y0, y1)


@agnostic
def folded(key: Array, data: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return both words of the counter (0, data), which is 0-d, on the last axis."""
    x1 = xp.reshape(as_words(data), (1,))
    return xp.concat(block(halves(key), xp.zeros_like(x1), x1), axis=-1)


# As arrays, because NumPy takes longer to convert a Python number than to shift a thousand words.
_HOST_SHIFTS = [[(np.array(r, np.uint32), np.array(32 - r, np.uint32)) for r in four] for four in _ROTATIONS]
_HOST_GROUPS = [np.array(group, np.uint32) for group in range(1, 6)]
_HOST_PARITY = np.array(_PARITY, np.uint32)


def host_block(
    key: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]], x0: np.ndarray[Any, Any], x1: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """`block` of uint32 arrays in NumPy, in place: two thirds of the time. Operators take longer than functions."""
    add, left_shift, right_shift, either, xor = np.add, np.left_shift, np.right_shift, np.bitwise_or, np.bitwise_xor
    y0, y1, low = [np.empty(np.broadcast(key[0], x0, x1).shape, np.uint32) for _ in range(3)]
    add(x0, key[0], y0)
    add(x1, key[1], y1)
    # one number is added twice as fast as an array of one that broadcasts
    k0, k1 = [word.reshape(()) if word.size == 1 else word for word in key]
    keys = (k0, k1, xor(xor(k0, k1), _HOST_PARITY))
    for group in range(5):
        for left, right in _HOST_SHIFTS[group % 2]:
            add(y0, y1, y0)
            right_shift(y1, right, low)
            left_shift(y1, left, y1)
            either(y1, low, y1)
            xor(y1, y0, y1)
        add(y0, keys[(group + 1) % 3], y0)
        add(y1, keys[(group + 2) % 3], y1)
        add(y1, _HOST_GROUPS[group], y1)
    return y0, y1


# Words as numbers


@agnostic
def to_int64(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return words as numbers from 0 to 2^32 - 1."""
    return xp.astype(x, backend_of(x).dtype("int64"))


def to_float64(x: Array, xp: Any) -> Array:
    """Return words as numbers from 0 to 2^32 - 1, exactly."""
    return xp.astype(to_int64(x), backend_of(x).dtype("float64"))


def to_signed64(high: Array, low: Array, xp: Any) -> Array:
    """Return pairs of words as 64-bit patterns."""
    return xp.bitwise_or(xp.bitwise_left_shift(to_int64(high), 32), to_int64(low))


def high_product(n: Array, high: Array, low: Array, xp: Any) -> tuple[Array, Array]:
    """Return n * w for a pair of words w and 0 <= n < 2^62: floor(n w / 2^64), and n w modulo 2^64.

    int64 wraps around; shifts are masked, so that they are those of unsigned numbers.
    """

    def upper(x: Array) -> Array:
        return xp.bitwise_and(xp.bitwise_right_shift(x, 32), MASK)

    def lower(x: Array) -> Array:
        return xp.bitwise_and(x, MASK)

    high, low = to_int64(high), to_int64(low)
    n_high, n_low = upper(n), lower(n)
    top, left, right, bottom = n_high * high, n_high * low, n_low * high, n_low * low
    middle = lower(left) + lower(right) + upper(bottom)
    rest = xp.bitwise_or(xp.bitwise_left_shift(middle, 32), lower(bottom))
    return top + upper(left) + upper(right) + upper(middle), rest
