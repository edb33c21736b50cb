"""Natives for TensorFlow: blocks of classes in a loop, one after another, also of a number that is not known yet."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops import control_flow_util

from tempscale import linear_cross_entropy
from tempscale.backend import Array
from tempscale.kernels import linear
from tempscale.kernels.indexing import axis_size, shaped_as
from tempscale.kernels.linear import Arrays, Step
from tempscale_backends.tensorflow import namespace
from tempscale_backends.tensorflow.natives.probability import _as_graph

_in_graph = _as_graph(linear_cross_entropy.body)


@linear_cross_entropy.native("tensorflow")
def _linear_cross_entropy(*arrays: Array, **options: Any) -> Array:
    # of a graph TensorFlow takes forward mode by way of second derivatives, which it does not find in a loop
    if tf.executing_eagerly() and record.could_possibly_record():
        return linear_cross_entropy.body(*arrays, xp=namespace, **options)
    return _in_graph(*arrays, **options)


@shaped_as.native("tensorflow")
def _shaped_as(x: Array, like: Array) -> Array:
    return tf.ensure_shape(tf.reshape(x, tf.shape(like)), like.shape)


@linear.block_of.native("tensorflow")
def _block_of(x: Array, *, start: Any, size: Any) -> Array:
    if size is None or size == x.shape[0]:
        return x
    # every size as it is: XLA takes no -1 where the start is not known
    sizes = [size, *[n if n is not None else axis_size(x, axis=i) for i, n in enumerate(x.shape[1:], start=1)]]
    found = tf.slice(x, _words([start, *[0] * (len(sizes) - 1)]), _words(sizes))
    found.set_shape([size if isinstance(size, int) else None, *x.shape[1:]])
    return found


def _words(numbers: list[Any]) -> Any:
    """A vector of int64, a constant where the numbers are."""
    if all(isinstance(n, int) for n in numbers):
        return tf.constant(numbers, tf.int64)
    return tf.stack([tf.cast(n, tf.int64) for n in numbers])


@linear.over_blocks.native("tensorflow")
def _over_blocks(arrays: Arrays, carry: Arrays, *, step: Step, size: Any) -> tuple[Arrays, Arrays]:
    known = arrays[1].shape[0]
    if known is None and (tf.executing_eagerly() or _in_xla()):  # XLA wants the size of every block
        return step(arrays, carry, 0, tf.shape(arrays[1], tf.int64)[0])
    if known is not None and (known == size or tf.executing_eagerly()):
        return linear.over_blocks.body(arrays, carry, step=step, size=size, xp=namespace)  # type: ignore[no-any-return]
    if known is None:
        classes, size = tf.shape(arrays[1], tf.int64)[0], tf.constant(linear.LEAST, tf.int64)
        return _loop(arrays, carry, step, -(-classes // size), lambda at: tf.minimum(size, classes - at * size), size)
    count, rest = divmod(known, size)
    carry, parts = _loop(arrays, carry, step, count, lambda at: size, tf.constant(size, tf.int64))
    if not rest:
        return carry, parts
    carry, last = step(arrays, carry, count * size, rest)
    return carry, tuple([tf.concat(both, 0) for both in zip(parts, last, strict=True)])


def _loop(arrays: Arrays, carry: Arrays, step: Step, count: Any, size_of: Any, size: Array) -> tuple[Arrays, Arrays]:
    """Run a step on `count` blocks; `size_of` says how many classes are in each. The first one says what comes out."""
    last = count if isinstance(count, int) else tf.cast(count, tf.int32)
    carry, parts = step(arrays, carry, 0, size_of(0))
    lists = [tf.TensorArray(x.dtype, last, infer_shape=False, element_shape=x.shape).write(0, x) for x in parts]

    def body(number: Array, carry: Arrays, lists: Any) -> Any:
        at = tf.cast(number, tf.int64)
        carry, parts = step(arrays, carry, at * size, size_of(at))
        return number + 1, carry, tuple([found.write(number, x) for found, x in zip(lists, parts, strict=True)])

    state = (tf.constant(1), carry, tuple(lists))
    _, carry, found = tf.while_loop(lambda number, *_: number < last, body, state, parallel_iterations=1)
    if isinstance(count, int):  # all blocks are of one size, and XLA has no `concat`
        return carry, tuple([_unstacked(x.stack()) for x in found])
    return carry, tuple([x.concat() for x in found])


def _unstacked(x: Array) -> Array:
    """Join the first two axes."""
    found = tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0))
    return tf.ensure_shape(found, [None, *x.shape[2:]])


def _in_xla() -> bool:
    return bool(control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))
