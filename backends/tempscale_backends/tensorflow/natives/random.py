"""Random numbers in TensorFlow: the bodies, compiled by XLA, also when they are called from a graph that is not.

Op by op they would take twenty times as long, and TensorFlow has no such operations on 32-bit integers on a GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import tensorflow as tf

from tempscale.backend import Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import DRAWS, rarely
from tempscale.kernels.exact.quantiles import split_float
from tempscale_backends.tensorflow import namespace
from tempscale_backends.tensorflow.operands import Named, as_operands, with_numbers


def _rotate_left(x: Array, places: int) -> Array:
    left = tf.bitwise.left_shift(x, tf.constant(places, x.dtype))
    return tf.bitwise.bitwise_or(left, tf.bitwise.right_shift(x, tf.constant(32 - places, x.dtype)))


@threefry.as_words.native("tensorflow")
def _as_words(x: Array) -> Array:
    return tf.cast(x, tf.uint32)  # wraps


@threefry.pairs.native("tensorflow")
def _pairs(key: Array, *, count: int, stream: int = 0) -> tuple[Array, Array]:
    i = tf.cast(tf.range(count, dtype=tf.int64), tf.uint32)
    return threefry.block(threefry.halves(key), tf.fill(i.shape, tf.constant(stream, tf.uint32)), i, _rotate_left)


@threefry.folded.native("tensorflow")
def _folded(key: Array, data: Array) -> Array:
    x1 = tf.reshape(_as_words(data), (1,))
    return tf.concat(threefry.block(threefry.halves(key), tf.zeros_like(x1), x1, _rotate_left), -1)


@split_float.native("tensorflow")
def _split_float(x: Array) -> tuple[Array, Array]:
    pattern = tf.bitcast(x, tf.int64)
    mantissa = tf.bitwise.bitwise_and(pattern, tf.constant(2**52 - 1, tf.int64))
    m = tf.bitcast(tf.bitwise.bitwise_or(mantissa, tf.constant(1022 << 52, tf.int64)), tf.float64)
    k = tf.bitwise.right_shift(pattern, tf.constant(52, tf.int64)) - 1022
    return tf.where(x == 0, tf.zeros_like(x), m), tf.cast(k, tf.float64)


@rarely.native("tensorflow")
def _rarely(condition: Array, x: Array, *, instead: Callable[[], Array]) -> Array:
    return tf.cond(tf.reduce_any(condition), lambda: tf.where(condition, instead(), x), lambda: x)


def _compiled(body: Callable[..., Array]) -> Callable[..., Array]:
    """Compile a body once per set of options and kind of arguments; numbers that may vary go in as operands.

    A `tf.function` finds out for itself what it is called with, and takes several times as long as what it finds.
    """

    @functools.lru_cache(maxsize=1024)
    def for_arguments(
        kinds: tuple[tf.TensorSpec, ...], numbers: Named, options: tuple[tuple[str, Any], ...]
    ) -> Callable[..., Array]:
        def call(*tensors: Array) -> Array:
            arrays, named = with_numbers(tensors, numbers)
            return body(*arrays, xp=namespace, **named, **dict(options))

        compiled = tf.function(call, jit_compile=True, autograph=False)
        return cast("Callable[..., Array]", compiled.get_concrete_function(*kinds))

    @functools.wraps(body)
    def native(*arrays: Array, **options: Any) -> Array:
        operands, numbers, static = as_operands(options, "float64")
        tensors = [tf.convert_to_tensor(x) for x in (*arrays, *operands)]
        kinds = tuple([tf.TensorSpec(x.shape, x.dtype) for x in tensors])
        return for_arguments(kinds, numbers, static)(*tensors)

    return native


for _draw in DRAWS:
    _draw.native("tensorflow")(_compiled(_draw.body))
