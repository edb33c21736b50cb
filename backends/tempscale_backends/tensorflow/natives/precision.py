"""The option `precision` in TensorFlow: reproducible values compiled by XLA, and powers of two by their bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record
from tensorflow.python.ops.parallel_for import pfor

from tempscale.backend import Array
from tempscale.kernels import exact, precision
from tempscale_backends.tensorflow import namespace


@precision.differentiable.native("tensorflow")
def _differentiable(*arrays: Array) -> bool:
    return not tf.executing_eagerly() or bool(record.could_possibly_record())


@exact.power_of_two.native("tensorflow")
def _power_of_two(k: Array) -> Array:
    exponent = tf.cast(k, tf.int64) + 1023
    return tf.bitcast(tf.bitwise.left_shift(exponent, tf.constant(52, tf.int64)), tf.float64)


if "Bitcast" not in pfor._pfor_converter_registry:

    @pfor.RegisterPFor("Bitcast")  # type: ignore[untyped-decorator]
    def _mapped_bitcast(given: Any) -> Any:
        """Let `tf.vectorized_map` over the one elementwise operation here that it does not know."""
        return pfor.wrap(tf.bitcast(given.stacked_input(0), given.get_attr("type")), True)


@functools.lru_cache(maxsize=256)
def _compiled(static: tuple[tuple[str, Any], ...], names: tuple[str, ...]) -> Callable[..., Array]:
    """Trace once per set of options."""

    def call(*tensors: Array) -> Array:
        count = len(tensors) - len(names)
        named = dict(zip(names, tensors[count:], strict=True))
        return precision.reproducible.body(*tensors[:count], xp=namespace, **dict(static), **named)

    compiled: Callable[..., Array] = tf.function(call, jit_compile=True, autograph=False)
    return compiled


@precision.reproducible.native("tensorflow")
def _reproducible(*arrays: Array, temperature: Any, **options: Any) -> Array:
    # an operand, so that another number does not compile again
    operand = (
        tf.cast(temperature, tf.float64) if hasattr(temperature, "shape") else tf.constant(temperature, tf.float64)
    )
    named = {key: option for key, option in options.items() if isinstance(option, (tf.Tensor, tf.Variable))}
    static = tuple([(key, option) for key, option in options.items() if key not in named])
    tensors = [tf.convert_to_tensor(x) for x in (*arrays, operand, *named.values())]
    return _compiled(static, ("temperature", *named))(*tensors)
