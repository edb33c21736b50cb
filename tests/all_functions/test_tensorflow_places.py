"""Where TensorFlow runs a function: in its own control flow, pipelines and strategies."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from every_function import EVERY_FUNCTION, KEY, Function
from support import run_python

NAMES = ("softmax", "accurate log_softmax", "reproducible entropy", "cross_entropy", "sample")
FUNCTIONS = tuple([function for function in EVERY_FUNCTION if function.name in NAMES])
"""A native, both precisions, a loss and tokens stand for their kinds: each compiles code of its own, for seconds."""

ROWS, CLASSES = 2, 5
Call = Callable[..., Any]


def arguments(tf: Any, function: Function) -> list[Any]:
    return [tf.constant(x) for x in function.arguments((ROWS,), CLASSES)]


def values_and_gradients(tf: Any, functions: Any, given: Any) -> list[list[Any]]:
    """For each function what it returns, and the gradients of its sum."""
    return [value_and_gradients(tf, function, arrays) for function, arrays in zip(functions, given, strict=True)]


def value_and_gradients(tf: Any, function: Function, arrays: Any) -> list[Any]:
    watched = [arrays[i] for i in function.differentiable]
    with tf.GradientTape() as tape:
        for x in watched:
            tape.watch(x)
        value = function.call(*arrays)
    return [value, *(tape.gradient(value, watched) if watched else [])]


def assert_same(found: Any, expected: Any, functions: Any = FUNCTIONS) -> None:
    """What is drawn and what is reproducible is the same in all bits; the rest to a few roundings of float32."""
    for function, some, others in zip(functions, found, expected, strict=True):
        for number, (one, other) in enumerate(zip(some, others, strict=True)):
            exact = not function.differentiable or ("reproducible" in function.name and number == 0)
            assert one.dtype == other.dtype, function.name
            np.testing.assert_allclose(one, other, *[0.0 if exact else 1e-6] * 2, err_msg=function.name)


def in_control_flow(tf: Any, call: Call, value: Any) -> Call:
    """A call in `tf.recompute_grad` in a `tf.while_loop`, which `tf.map_fn` is, in a `tf.cond`."""
    recomputed = tf.recompute_grad(call)

    def looped(*arrays: Any) -> Any:
        return tf.map_fn(lambda _: recomputed(*arrays), tf.range(1), fn_output_signature=value.dtype)[0]

    return lambda *arrays: tf.cond(tf.size(arrays[0]) > 0, lambda: looped(*arrays), lambda: tf.zeros_like(value))


def test_values_and_gradients_in_control_flow_with_unknown_rows(tf: Any) -> None:
    given = [arguments(tf, function) for function in FUNCTIONS]
    expected = values_and_gradients(tf, FUNCTIONS, given)
    inside = tuple(
        [
            replace(function, call=in_control_flow(tf, function.call, value))
            for function, (value, *_) in zip(FUNCTIONS, expected, strict=True)
        ]
    )
    types = [
        [tf.TensorSpec([None if n == ROWS and x is not KEY else n for n in x.shape], x.dtype) for x in arrays]
        for arrays in (function.arguments((ROWS,), CLASSES) for function in FUNCTIONS)
    ]
    compiled = tf.function(lambda *given: values_and_gradients(tf, inside, given), input_signature=types)
    assert_same(compiled(*given), expected)


def test_values_in_a_pipeline_of_data(tf: Any) -> None:
    given = tuple([tuple(arguments(tf, function)) for function in FUNCTIONS])
    pipeline = tf.data.Dataset.from_tensors(given).map(
        lambda *given: tuple([function.call(*arrays) for function, arrays in zip(FUNCTIONS, given, strict=True)])
    )
    expected = [[function.call(*arrays)] for function, arrays in zip(FUNCTIONS, given, strict=True)]
    assert_same([[x] for x in next(iter(pipeline))], expected)


def check_strategy() -> None:
    """Compare replicas on two devices with a call outside; what the subprocess of the test below runs."""
    import tensorflow as tf

    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    functions = [function for function in FUNCTIONS if function.name in ("accurate log_softmax", "sample")]
    given = [arguments(tf, function) for function in functions]
    step = tf.function(lambda: strategy.run(lambda: values_and_gradients(tf, functions, given)))
    replicas = tf.nest.map_structure(strategy.experimental_local_results, step())
    expected = values_and_gradients(tf, functions, given)
    for number in range(2):
        assert_same([[x[number] for x in results] for results in replicas], expected, functions)


def test_values_and_gradients_in_the_replicas_of_a_strategy(tf: Any) -> None:
    run_python("import test_tensorflow_places; test_tensorflow_places.check_strategy()", path=map(Path, sys.path))
