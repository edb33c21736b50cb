"""TensorFlow graphs: what is known of the shape of the arguments is known of the shape of the results."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from every_function import EVERY_FUNCTION, KEY, PROBABILITIES, RANDOM, TOKENS, Function

ROWS, CLASSES = 7, 5  # no other size in the table is one of these
Known = tuple[bool, bool]


def partly(shape: Sequence[int], known: Known) -> tuple[int | None, ...]:
    """Return a shape as it is known where the number of rows, or of classes, may not be."""
    sizes = {ROWS: ROWS if known[0] else None, CLASSES: CLASSES if known[1] else None}
    return tuple([sizes.get(size, size) for size in shape])


def shapes_in_a_graph(
    tf: ModuleType, functions: Sequence[Function], call: Callable[..., Any], known: Known
) -> list[tuple[int | None, ...]]:
    """Return the shapes that a graph of all functions, each called by `call`, knows of their results."""
    given = [function.arguments((ROWS,), CLASSES) for function in functions]
    specs = [tf.TensorSpec(x.shape if x is KEY else partly(x.shape, known), x.dtype) for some in given for x in some]

    def everything(*arrays: Any) -> list[Any]:
        rest = iter(arrays)
        pairs = zip(functions, given, strict=True)
        return [call(function, *itertools.islice(rest, len(some))) for function, some in pairs]

    graph = tf.function(everything, autograph=False).get_concrete_function(*specs)
    return [tuple(x.shape) for x in tf.nest.flatten(graph.structured_outputs)]


@pytest.mark.parametrize("known", list(itertools.product((True, False), repeat=2)), ids=str)
def test_shape_of_every_result_is_known_where_that_of_the_arguments_is(tf: ModuleType, known: Known) -> None:
    functions = [function for function in EVERY_FUNCTION if known[1] or function not in RANDOM]  # whose size p says
    found = shapes_in_a_graph(tf, functions, lambda function, *arrays: function.call(*arrays), known)
    for function, shape in zip(functions, found, strict=True):
        expected = np.shape(function.call(*function.arguments((ROWS,), CLASSES)))
        assert shape == (expected if function in RANDOM else partly(expected, known)), function


@pytest.mark.parametrize("known", list(itertools.product((True, False), repeat=2)), ids=str)
def test_shape_of_every_gradient_is_known_where_that_of_the_arguments_is(tf: ModuleType, known: Known) -> None:
    def gradients(function: Function, *arrays: Any) -> Any:
        watched = [arrays[i] for i in function.differentiable]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            result = function.call(*arrays)
        return tape.gradient(result, watched)

    found = shapes_in_a_graph(tf, PROBABILITIES, gradients, known)
    arguments = [function.arguments((ROWS,), CLASSES) for function in PROBABILITIES]
    pairs = zip(PROBABILITIES, arguments, strict=True)
    assert found == [partly(some[i].shape, known) for function, some in pairs for i in function.differentiable]


@pytest.mark.parametrize("function", TOKENS, ids=str)
def test_number_of_draws_is_known_of_one_row(tf: ModuleType, function: Function) -> None:
    arguments = function.arguments((), CLASSES)
    for classes in (CLASSES, None):
        specs = [tf.TensorSpec([classes]), tf.TensorSpec(KEY.shape, tf.uint32)]
        graph = tf.function(lambda x, key: function.call(x, key), autograph=False).get_concrete_function(*specs)
        assert tuple(graph.output_shapes) == np.shape(function.call(*arguments))
