"""Natives for TensorFlow.

Sums that do not depend on how the compiler orders them, shapes that may not be known yet, and the bodies as graphs:
an eager call then costs one dispatch instead of one per step, and its intermediate arrays share memory.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tempscale import log_softmax, softmax
from tempscale.backend import Array
from tempscale.kernels import OPERATIONS, working_dtype
from tempscale.kernels.indexing import axis_size
from tempscale.kernels.reductions import (
    accurate_sum,
    equal_parts,
    minus_row,
    minus_row_accurately,
    row_max,
    split_sum,
    sum_to_row,
    times_row,
    times_row_accurately,
)
from tempscale.kernels.temperature import Reciprocal, exponential, exponential_but_of_nan, is_limit
from tempscale_backends.tensorflow import internals, namespace
from tempscale_backends.tensorflow.operands import Named, as_operands, with_numbers

times_row.native("tensorflow")(times_row_accurately)
minus_row.native("tensorflow")(minus_row_accurately)

_TEMPERATURES = {"temperature", "q_temperature"}

BLOCK, BLOCKS = 2**20, 16
"""Entries that are worked on at a time, and the most parts that an array is taken apart into."""


@accurate_sum.native("tensorflow")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    # XLA adds a whole row one entry after another
    if x.dtype == tf.float64:
        return split_sum(x, axis, namespace)
    return tf.cast(tf.reduce_sum(tf.cast(_partial_sums(x, axis), tf.float64), axis, keepdims=True), x.dtype)


def _partial_sums(x: Array, axis: int) -> Array:
    """Add up a few entries each along `axis`, if their number is known and divides: float64 then has less to do."""
    parts = equal_parts(x.shape[axis] or 1)
    if parts == 1:
        return x
    shape = tf.shape(x)
    split = tf.concat([shape[:axis], [parts, shape[axis] // parts], shape[axis + 1 :]], 0)
    return tf.reduce_sum(tf.reshape(x, split), axis)


@row_max.native("tensorflow")
def _row_max(x: Array, *, axis: int) -> Array:
    return tf.reduce_max(x, axis, keepdims=True)


class _Tracing(threading.local):
    """What is being traced in this thread."""

    of_eager_call = False


_tracing = _Tracing()


@exponential.native("tensorflow")
def _exponential(x: Array) -> Array:
    # TensorFlow's own kernels take the exponential of a NaN, and each pass more takes them a third as long again
    if internals.in_xla():
        return exponential_but_of_nan(x, namespace)
    if _tracing.of_eager_call and not tf.config.optimizer.get_jit():
        return tf.exp(x)
    # XLA may compile a graph of the user's later on, inside another one: the value is guarded, with one pass
    return tf.where(tf.math.is_nan(x), x, tf.exp(x))


@axis_size.native("tensorflow")
def _axis_size(x: Array, *, axis: int) -> Any:
    return x.shape[axis] if x.shape[axis] is not None else tf.shape(x, tf.int64)[axis]


@sum_to_row.native("tensorflow")
def _sum_to_row(x: Array, row: Array) -> Array:
    x = sum_to_row.body(x, row, xp=namespace)
    # a dimension of `row` that was not known may have turned out to be 1
    over, _ = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(row), s1=tf.shape(x))
    return tf.reshape(tf.reduce_sum(x, over, keepdims=True), tf.shape(row))


def _as_graph(body: Callable[..., Array]) -> Callable[..., Array]:
    """Run a body as a graph when called eagerly, traced once per set of options, ranks and shape.

    `reduce_retracing` has TensorFlow trace a dimension as unknown once it has seen two values of it. It would do
    the same with the rank, which bodies need to know: hence a graph for each.
    """

    @functools.lru_cache(maxsize=256)
    def graph_for(options: tuple[tuple[str, Any], ...], names: Named, ranks: tuple[int, ...]) -> Callable[..., Array]:
        def call(*tensors: Array) -> Array:
            arrays, named = with_numbers(tensors, names)
            _tracing.of_eager_call = True
            try:
                return body(*arrays, xp=namespace, **named, **dict(options))
            finally:
                _tracing.of_eager_call = False

        graph: Callable[..., Array] = tf.function(call, autograph=False, reduce_retracing=True)
        return graph

    def native(*arrays: Array, **options: Any) -> Array:
        if not tf.executing_eagerly():
            return body(*arrays, xp=namespace, **options)
        for name in _TEMPERATURES & options.keys():
            if isinstance(options[name], float) and not is_limit(options[name]):
                options[name] = Reciprocal(1.0 / options[name])
        operands, names, static = as_operands(options, working_dtype(arrays[0]))
        tensors = [tf.convert_to_tensor(x) for x in (*arrays, *operands)]
        ranks = tuple([x.shape.rank for x in tensors])
        return graph_for(static, names, ranks)(*tensors)

    return native


def _by_blocks(body: Callable[..., Array]) -> Callable[..., Array]:
    """Run a body on some rows at a time, where their number is known: what is in between stays in the cache."""

    def run(logits: Array, *, temperature: Any, axis: int, where: Array | None, xp: Any) -> Array:
        rows, entries = logits.shape[0], logits.shape.num_elements() or 0
        if entries <= BLOCK or axis == 0:
            return body(logits, temperature=temperature, axis=axis, where=where, xp=xp)
        blocks = min(rows, BLOCKS, -(-entries // BLOCK))
        sizes = [rows * (i + 1) // blocks - rows * i // blocks for i in range(blocks)]

        def split(option: Any) -> list[Any]:
            """Give each block its part of an option that has a value per row."""
            has_rows = isinstance(option, (tf.Tensor, tf.Variable)) and len(option.shape) == len(logits.shape)
            if not has_rows or option.shape[0] == 1:
                return [option] * blocks
            if option.shape[0] is None:  # one row for all, or one for each
                option = tf.broadcast_to(option, tf.concat([[rows], tf.shape(option)[1:]], 0))
            parts: list[Any] = tf.split(option, sizes)
            return parts

        parts = zip(split(logits), split(temperature), split(where), strict=True)
        return tf.concat([body(x, temperature=t, axis=axis, where=mask, xp=xp) for x, t, mask in parts], 0)

    return run


BODIES = {operation: _by_blocks(operation.body) for operation in (softmax, log_softmax)}

for _operation in OPERATIONS.values():
    _operation.native("tensorflow")(_as_graph(BODIES.get(_operation, _operation.body)))
