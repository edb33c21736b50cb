"""Searching functions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace import statistics
from tempscale_backends.tensorflow.namespace._arguments import axis_of, pair, rank, size_of, tensor, wrong_kind
from tempscale_backends.tensorflow.namespace._dtypes import DEFAULT_INDEX, KINDS
from tempscale_backends.tensorflow.namespace.indexing import take
from tempscale_backends.tensorflow.namespace.sorting import order_key


def argmax(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Index of the largest element; NaN wins, and of equals the lowest index."""
    return _first("argmax", x, statistics.max, axis, keepdims)


def argmin(x: Array, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """Index of the smallest element; NaN wins, and of equals the lowest index."""
    return _first("argmin", x, statistics.min, axis, keepdims)


def _first(name: str, x: Array, extreme: Any, axis: int | None, keepdims: bool) -> Array:
    """Return the lowest index of what is extreme: kernels do not promise which of equals they find."""
    x = tensor(x)
    if x.dtype not in KINDS["real"]:
        raise wrong_kind(name, "real", x.dtype)
    if axis is None:
        found = _first(name, tf.reshape(x, [-1]), extreme, 0, False)
        return tf.reshape(found, [1] * rank(x)) if keepdims else found
    place = axis_of(axis, rank(x))
    count = tf.cast(size_of(x, place), DEFAULT_INDEX)
    best = extreme(x, axis=place, keepdims=True)
    hit = x == best
    if x.dtype.is_floating:
        hit |= tf.math.is_nan(x)
        hit &= tf.math.is_nan(x) == tf.math.is_nan(best)
    index = tf.reshape(tf.range(count), [-1 if i == place else 1 for i in range(rank(x))])
    return tf.reduce_min(tf.where(hit, index, count), place, keepdims)


def count_nonzero(x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Number of elements that are not zero; NaN is not."""
    return statistics.sum(tf.cast(_nonzero(x), DEFAULT_INDEX), axis=axis, keepdims=keepdims)


def _nonzero(x: Array) -> Array:
    return x if x.dtype == tf.bool else tf.not_equal(x, tf.zeros([], x.dtype))


def nonzero(x: Array, /) -> tuple[Array, ...]:
    """Indices of the elements that are not zero, an array for each axis."""
    if rank(x) == 0:
        raise ValueError("nonzero takes an array with axes, not a 0-d one: reshape it to (1,)")
    return tuple(tf.unstack(tf.where(_nonzero(x)), num=rank(x), axis=1))


def searchsorted(x1: Array, x2: Array, /, *, side: str = "left", sorter: Array | None = None) -> Array:
    """Places at which `x2` would go into the sorted `x1`: before its equals on the left, else after; NaN is last."""
    if side not in ("left", "right"):
        raise ValueError(f"side is {side!r}: give 'left' or 'right'")
    if rank(x1) != 1:
        raise ValueError(f"searchsorted looks into an array of one axis, not of {rank(x1)}")
    x1, x2 = pair(x1 if sorter is None else take(x1, sorter), x2)
    keys, wanted = order_key(x1), order_key(x2)
    if tf.executing_eagerly():
        places = tf.searchsorted(keys, tf.reshape(wanted, [-1]), side, DEFAULT_INDEX)
        return tf.reshape(places, tf.shape(x2))
    return _bisected(keys, wanted, side)


def _bisected(keys: Array, wanted: Array, side: str) -> Array:
    """Search by halves: XLA, which may compile the graph, would make of `tf.searchsorted` a comparison of all pairs."""
    count = tf.cast(size_of(keys, 0), DEFAULT_INDEX)
    if keys.shape[0] == 0:
        return tf.zeros_like(wanted, DEFAULT_INDEX)

    def halve(low: Array, high: Array) -> tuple[Array, Array]:
        middle = (low + high) // 2
        key = tf.gather(keys, tf.minimum(middle, count - 1))
        is_before = (key <= wanted if side == "right" else key < wanted) & (low < high)
        return tf.where(is_before, middle + 1, low), tf.where(is_before, high, middle)

    low = tf.zeros_like(wanted, DEFAULT_INDEX)
    found = tf.while_loop(lambda low, high: tf.reduce_any(low < high), halve, (low, low + count))
    return found[0]
