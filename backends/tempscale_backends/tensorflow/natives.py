"""Natives for TensorFlow: sums in float64 (XLA adds a row one by one), and shapes that may not be known yet."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tempscale._scaling import accurate_sum, axis_size, split_sum, spread
from tempscale.arrays import custom_gradient
from tempscale.backend import Array
from tempscale_backends.tensorflow import namespace


@accurate_sum.native("tensorflow")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    if x.dtype == tf.float64:
        return split_sum(x, axis, namespace)
    return tf.cast(tf.reduce_sum(tf.cast(x, tf.float64), axis, keepdims=True), x.dtype)


@axis_size.native("tensorflow")
def _axis_size(x: Array, *, axis: int) -> Any:
    return x.shape[axis] if x.shape[axis] is not None else tf.shape(x)[axis]


@spread.native("tensorflow")
def _spread(row: Array, x: Array) -> Array:
    shape = tf.shape(x)
    axes = [i for i, (r, n) in enumerate(zip(row.shape, x.shape, strict=True)) if r == 1 and n != 1]

    def vjp(arrays: tuple[Array, ...], result: Array, g: Array) -> tuple[Array]:
        for axis in axes:
            g = accurate_sum(g, axis=axis)
        # a dimension of `row` that was not known may have turned out to be 1
        over, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(arrays[0]), s1=tf.shape(g))
        return (tf.reshape(tf.reduce_sum(g, over, keepdims=True), tf.shape(arrays[0])),)

    return custom_gradient(
        lambda row: tf.broadcast_to(row, shape),
        vjp=vjp,
        jvp=lambda arrays, result, tangents: tf.broadcast_to(tangents[0], shape),
    )(row)
