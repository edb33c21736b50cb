"""Dtypes, and what they promote to."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "dtypes", "Dtypes and promotion"

fact = partial(Fact, topic=TOPIC)

SMALL = np.full(3, 100, np.int8)


def dtype(array: Any) -> str:
    """Return the name of an array's dtype."""
    return str(getattr(array.dtype, "name", array.dtype)).removeprefix("torch.")


FACTS = (
    fact(
        id="default-float",
        title="A Python float becomes float64 in NumPy, and float32 in PyTorch, TensorFlow and JAX.",
        defaults={
            "torch": "torch.get_default_dtype",
            "keras": "keras.config.floatx",
            "jax": "jax.config.jax_enable_x64",
        },
        measures="the dtype of an array of 1.0",
        probes={
            "torch": lambda torch: dtype(torch.tensor(1.0)),
            "keras": lambda keras: keras.backend.standardize_dtype(keras.ops.convert_to_tensor(1.0).dtype),
            "tensorflow": lambda tf: dtype(tf.constant(1.0)),
            "jax": lambda jax: dtype(jax.numpy.asarray(1.0)),
            "numpy": lambda np: dtype(np.asarray(1.0)),
        },
        expected={
            "torch": "float32",
            "keras": "float32",
            "tensorflow": "float32",
            "jax": "float32",
            "numpy": "float64",
        },
        cost=(
            "{numpy} against {torch}: 2e-16 and 6e-8 of rounding; a NumPy array of the same list makes PyTorch compute "
            "in float64."
        ),
        equal={"numpy": "numpy.asarray(values, numpy.float32)"},
        source="https://numpy.org/doc/stable/user/basics.types.html",
    ),
    fact(
        id="default-integer",
        title="A Python integer becomes int64 in NumPy and PyTorch, and int32 in TensorFlow and JAX.",
        measures="the dtype of an array of 1",
        probes={
            "torch": lambda torch: dtype(torch.tensor(1)),
            "tensorflow": lambda tf: dtype(tf.constant(1)),
            "jax": lambda jax: dtype(jax.numpy.asarray(1)),
            "numpy": lambda np: dtype(np.asarray(1)),
        },
        expected={"torch": "int64", "tensorflow": "int32", "jax": "int32", "numpy": "int64"},
        cost="{torch} against {tensorflow}: a product of counts beyond 2147483647 wraps around in TensorFlow and JAX.",
        equal={"tensorflow": "tf.constant(1, tf.int64)", "jax": "jax.config.update('jax_enable_x64', True)"},
        source="https://www.tensorflow.org/api_docs/python/tf/constant",
    ),
    fact(
        id="integer-division",
        title="1 / 2 of integers is float64 in NumPy and TensorFlow, and float32 in PyTorch and JAX.",
        measures="the dtype of the quotient",
        probes={
            "torch": lambda torch: dtype(torch.tensor(1) / torch.tensor(2)),
            "tensorflow": lambda tf: dtype(tf.constant(1) / tf.constant(2)),
            "jax": lambda jax: dtype(jax.numpy.asarray(1) / jax.numpy.asarray(2)),
            "numpy": lambda np: dtype(np.asarray(1) / np.asarray(2)),
        },
        expected={"torch": "float32", "tensorflow": "float64", "jax": "float32", "numpy": "float64"},
        cost="{tensorflow} in TensorFlow, which then refuses to multiply it by a float32; {torch} in PyTorch.",
        equal={"tensorflow": "tf.cast(a, tf.float32) / tf.cast(b, tf.float32)"},
        source="https://www.tensorflow.org/api_docs/python/tf/math/truediv",
    ),
    fact(
        id="mean-of-integers",
        title=(
            "The mean of integers is an integer in TensorFlow, an error in PyTorch, and a float in NumPy, Keras and "
            "JAX."
        ),
        measures="the mean of 1 and 2",
        probes={
            "torch": lambda torch: torch.mean(torch.tensor([1, 2])),
            "keras": lambda keras: float(keras.ops.mean(np.asarray([1, 2]))),
            "tensorflow": lambda tf: int(tf.reduce_mean(tf.constant([1, 2]))),
            "jax": lambda jax: float(jax.numpy.mean(jax.numpy.asarray([1, 2]))),
            "numpy": lambda np: float(np.mean([1, 2])),
        },
        expected={"torch": "raises RuntimeError", "keras": 1.5, "tensorflow": 1, "jax": 1.5, "numpy": 1.5},
        cost="{tensorflow} in TensorFlow where {numpy} is right: an accuracy of 0 or 1 from counts of hits.",
        equal={"tensorflow": "tf.reduce_mean(tf.cast(x, tf.float32))", "torch": "x.float().mean()"},
        source="https://www.tensorflow.org/api_docs/python/tf/math/reduce_mean",
    ),
    fact(
        id="sum-of-bytes",
        title="A sum of int8 wraps around in TensorFlow; the others sum in a wider type.",
        measures="the sum of three times 100 in int8",
        probes={
            "torch": lambda torch: int(torch.tensor(SMALL).sum()),
            "keras": lambda keras: int(keras.ops.sum(SMALL)),
            "tensorflow": lambda tf: int(tf.reduce_sum(SMALL)),
            "jax": lambda jax: int(jax.numpy.asarray(SMALL).sum()),
            "numpy": lambda np: int(SMALL.sum()),
        },
        expected={"torch": 300, "keras": 300, "tensorflow": 44, "jax": 300, "numpy": 300},
        cost="{tensorflow} in TensorFlow where the sum is {numpy}.",
        equal={"tensorflow": "tf.reduce_sum(tf.cast(x, tf.int64))"},
        source="https://numpy.org/doc/stable/reference/generated/numpy.sum.html (dtype)",
    ),
    fact(
        id="mixed-floats",
        title=(
            "float32 + float64 is float64 in NumPy and PyTorch, an error in TensorFlow, and float32 in JAX without x64."
        ),
        measures="the dtype of the sum",
        probes={
            "torch": lambda torch: dtype(torch.ones(2) + torch.ones(2, dtype=torch.float64)),
            "tensorflow": lambda tf: dtype(tf.ones(2) + tf.ones(2, tf.float64)),
            "jax": lambda jax: dtype(jax.numpy.ones(2) + np.ones(2)),
            "numpy": lambda np: dtype(np.ones(2, np.float32) + np.ones(2)),
        },
        expected={
            "torch": "float64",
            "tensorflow": "raises InvalidArgumentError",
            "jax": "float32",
            "numpy": "float64",
        },
        cost="{torch} in PyTorch, {jax} in JAX, and TensorFlow {tensorflow}.",
        equal={"tensorflow": "tf.cast(x, tf.float64) + y", "jax": "jax.config.update('jax_enable_x64', True)"},
        source="https://docs.jax.dev/en/latest/type_promotion.html",
    ),
    fact(
        id="integer-and-float",
        title="int64 + float32 is float64 in NumPy, float32 in PyTorch and JAX, and an error in TensorFlow.",
        measures="the dtype of the sum",
        probes={
            "torch": lambda torch: dtype(torch.ones(2, dtype=torch.int64) + torch.ones(2)),
            "tensorflow": lambda tf: dtype(tf.ones(2, tf.int64) + tf.ones(2)),
            "jax": lambda jax: dtype(jax.numpy.ones(2, "int32") + jax.numpy.ones(2)),
            "numpy": lambda np: dtype(np.ones(2, np.int64) + np.ones(2, np.float32)),
        },
        expected={
            "torch": "float32",
            "tensorflow": "raises InvalidArgumentError",
            "jax": "float32",
            "numpy": "float64",
        },
        cost="{numpy} in NumPy and {torch} in PyTorch: from 2^24 on, the integer is not exact there.",
        equal={"numpy": "x.astype(numpy.float32) + y", "tensorflow": "tf.cast(x, tf.float32) + y"},
        source="https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc",
    ),
    fact(
        id="half-and-brain",
        title="float16 + bfloat16 is float32 in PyTorch, Keras and JAX, and an error in TensorFlow.",
        measures="the dtype of the sum",
        probes={
            "torch": lambda torch: dtype(torch.ones(2, dtype=torch.float16) + torch.ones(2, dtype=torch.bfloat16)),
            "keras": lambda keras: keras.backend.standardize_dtype(
                keras.ops.add(keras.ops.ones(2, "float16"), keras.ops.ones(2, "bfloat16")).dtype
            ),
            "tensorflow": lambda tf: dtype(tf.ones(2, tf.float16) + tf.ones(2, tf.bfloat16)),
            "jax": lambda jax: dtype(jax.numpy.ones(2, "float16") + jax.numpy.ones(2, "bfloat16")),
        },
        expected={
            "torch": "float32",
            "keras": "float32",
            "tensorflow": "raises InvalidArgumentError",
            "jax": "float32",
        },
        cost="{torch} in PyTorch and JAX: twice the memory from there on; TensorFlow {tensorflow}.",
        equal={"tensorflow": "tf.cast(x, tf.float32) + tf.cast(y, tf.float32)"},
        source="https://docs.jax.dev/en/latest/type_promotion.html",
    ),
    fact(
        id="narrowed-float64",
        title="JAX and the layers of Keras make float64 arrays of NumPy into float32 without an error.",
        defaults={"jax": "jax.config.jax_enable_x64", "keras": "keras.config.floatx"},
        measures="the dtype of numpy.ones(2)",
        probes={
            "torch": lambda torch: dtype(torch.as_tensor(np.ones(2))),
            "keras": lambda keras: keras.backend.standardize_dtype(keras.layers.Identity()(np.ones(2)).dtype),
            "tensorflow": lambda tf: dtype(tf.convert_to_tensor(np.ones(2))),
            "jax": lambda jax: dtype(jax.numpy.asarray(np.ones(2))),
        },
        expected={"torch": "float64", "keras": "float32", "tensorflow": "float64", "jax": "float32"},
        cost="{jax} in JAX, {torch} in PyTorch: a time stamp in seconds, 1.7e9, has steps of 128 s.",
        equal={"jax": "jax.config.update('jax_enable_x64', True)", "keras": "keras.config.set_floatx('float64')"},
        source="https://docs.jax.dev/en/latest/notebooks/Common_Gotchas_in_JAX.html (double precision)",
    ),
    fact(
        id="number-through-float32",
        title="Keras casts Python numbers in float64 layers and optimisers through float32.",
        measures="0.999 in float64, minus 0.999",
        probes={
            "torch": lambda torch: float(torch.tensor(0.999, dtype=torch.float64)) - 0.999,
            "keras": lambda keras: float(keras.ops.cast(0.999, "float64")) - 0.999,
            "tensorflow": lambda tf: float(tf.cast(0.999, tf.float64)) - 0.999,
            "numpy": lambda np: float(np.asarray(0.999, np.float64)) - 0.999,
        },
        expected={"torch": 0.0, "keras": 1.28746e-08, "tensorflow": 1.28746e-08, "numpy": 0.0},
        cost=(
            "0.999 is off by {keras:.1e} in Keras and TensorFlow's cast, {torch:.0f} in PyTorch: a float64 comparison "
            "stops at 1e-8."
        ),
        equal={
            "tensorflow": "tf.constant(0.999, tf.float64)",
            "keras": "keras.ops.convert_to_tensor(0.999, 'float64')",
        },
        source="https://www.tensorflow.org/api_docs/python/tf/cast",
    ),
    fact(
        id="index-dtype",
        title="An argmax is int64 in NumPy, PyTorch and TensorFlow, and int32 in JAX and Keras.",
        measures="the dtype of the index",
        probes={
            "torch": lambda torch: dtype(torch.argmax(torch.ones(2))),
            "keras": lambda keras: keras.backend.standardize_dtype(keras.ops.argmax(np.ones(2)).dtype),
            "tensorflow": lambda tf: dtype(tf.argmax([1.0, 1.0])),
            "jax": lambda jax: dtype(jax.numpy.argmax(jax.numpy.ones(2))),
            "numpy": lambda np: dtype(np.argmax(np.ones(2))),
        },
        expected={"torch": "int64", "keras": "int32", "tensorflow": "int64", "jax": "int32", "numpy": "int64"},
        cost=(
            "{tensorflow} in TensorFlow, and {jax} in JAX: compared with the labels of the other it is an error in "
            "TensorFlow."
        ),
        equal={"tensorflow": "tf.argmax(x, output_type=tf.int32)"},
        source="https://www.tensorflow.org/api_docs/python/tf/math/argmax",
    ),
    fact(
        id="truth-arithmetic",
        title="True + True is True in NumPy, PyTorch and JAX, and an error in TensorFlow and Keras.",
        measures="the sum of two arrays of True",
        probes={
            "torch": lambda torch: str(bool((torch.tensor([True]) + torch.tensor([True]))[0])),
            "keras": lambda keras: str(keras.ops.add(np.asarray([True]), np.asarray([True]))[0]),
            "tensorflow": lambda tf: str((tf.constant([True]) + tf.constant([True]))[0]),
            "jax": lambda jax: str((jax.numpy.asarray([True]) + jax.numpy.asarray([True]))[0]),
            "numpy": lambda np: str((np.asarray([True]) + np.asarray([True]))[0]),
        },
        expected={
            "torch": "True",
            "keras": "raises InvalidArgumentError",
            "tensorflow": "raises InvalidArgumentError",
            "jax": "True",
            "numpy": "True",
        },
        cost=("{numpy} in NumPy, PyTorch and JAX; TensorFlow {tensorflow}: votes cannot be counted by adding masks."),
        equal={"tensorflow": "tf.math.logical_or(a, b)", "numpy": "numpy.logical_or(a, b)"},
        source="https://numpy.org/doc/stable/reference/generated/numpy.add.html",
    ),
)
