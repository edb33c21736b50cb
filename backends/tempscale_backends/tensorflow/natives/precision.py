"""The option `precision` in TensorFlow: reproducible values compiled by XLA, and powers of two by their bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale.kernels import exact, precision
from tempscale_backends.tensorflow import internals, namespace
from tempscale_backends.tensorflow.operands import Named, as_operands, with_numbers


@precision.differentiable.native("tensorflow")
def _differentiable(*arrays: Array) -> bool:
    return not tf.executing_eagerly() or internals.differentiates()


@exact.power_of_two.native("tensorflow")
def _power_of_two(k: Array) -> Array:
    exponent = tf.cast(k, tf.int64) + 1023
    return tf.bitcast(tf.bitwise.left_shift(exponent, tf.constant(52, tf.int64)), tf.float64)


@functools.lru_cache(maxsize=256)
def _compiled(static: tuple[tuple[str, Any], ...], named: Named) -> Callable[..., Array]:
    """Trace once per set of options."""

    def call(temperature: Array, *tensors: Array) -> Array:
        arrays, options = with_numbers(tensors, named)
        options |= {"temperature": temperature, **dict(static)}
        return precision.reproducible.body(*arrays, xp=namespace, **options)

    compiled: Callable[..., Array] = tf.function(call, jit_compile=True, autograph=False)
    return compiled


@precision.reproducible.native("tensorflow")
def _reproducible(*arrays: Array, temperature: Any, **options: Any) -> Array:
    # an operand, so that another number does not compile again
    is_array = hasattr(temperature, "shape")
    number = tf.cast(temperature, tf.float64) if is_array else tf.constant(temperature, tf.float64)
    operands, named, static = as_operands(options, "float64")
    return _compiled(static, named)(number, *[tf.convert_to_tensor(x) for x in (*arrays, *operands)])
