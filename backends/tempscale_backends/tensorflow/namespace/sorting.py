"""Sorting functions."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import axis_of, rank, size_of, swap_last, wrong_kind
from tempscale_backends.tensorflow.namespace._dtypes import BITS_OF, DEFAULT_INDEX, KINDS


def order_key(x: Array) -> Array:
    """Return signed integers in the same order as the numbers in `x`: both zeros are one, and NaN is above all."""
    dtype = x.dtype
    if dtype in BITS_OF:
        bits = BITS_OF[dtype]
        pattern = tf.bitcast(x, bits)
        place = tf.where(pattern < 0, bits.min - pattern, pattern)
        key = tf.where(tf.math.is_nan(x), tf.constant(bits.max, bits), place)
        return tf.cast(key, tf.int32) if bits == tf.int16 else key
    if dtype == tf.uint64:
        return tf.bitwise.bitwise_xor(tf.bitcast(x, tf.int64), tf.constant(tf.int64.min, tf.int64))
    if dtype in KINDS["complex floating"]:
        raise wrong_kind("a function that orders numbers", "real", dtype)
    return tf.cast(x, tf.int64 if dtype in (tf.uint32, tf.int64) else tf.int32)


def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """Indices that sort `x`, always stable; NaN is last, descending too."""
    place = axis_of(axis, rank(x))
    key = order_key(x)
    if descending and x.dtype in KINDS["real floating"]:
        key = tf.where(tf.math.is_nan(x), tf.constant(key.dtype.min, key.dtype), key)
    # top_k has the largest first and, of equals, that of the lowest index; inversion turns the order of integers round
    key = swap_last(key if descending else tf.bitwise.invert(key), place)
    found = tf.math.top_k(key, size_of(x, place)).indices
    return tf.cast(swap_last(found, place), DEFAULT_INDEX)


def sort(x: Array, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Array:
    """Sorted copy; NaN is last, descending too."""
    if not x.dtype.is_floating:
        place = axis_of(axis, rank(x))
        order = swap_last(argsort(x, axis=place, descending=descending), place)
        return swap_last(tf.gather(swap_last(x, place), order, batch_dims=rank(x) - 1, axis=-1), place)
    # tf.sort mis-sorts NaN: sort it as inf, and put the NaNs back at the end
    nan = tf.math.is_nan(x)
    x = tf.where(nan, tf.constant(-math.inf if descending else math.inf, x.dtype), x)
    ordered = tf.sort(x, axis, "DESCENDING" if descending else "ASCENDING")
    place = tf.cumsum(tf.ones_like(x, tf.int32), axis)
    numbers = tf.reduce_sum(tf.cast(~nan, tf.int32), axis, keepdims=True)
    return tf.where(place > numbers, tf.constant(math.nan, x.dtype), ordered)
