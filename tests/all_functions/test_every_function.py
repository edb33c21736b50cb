"""The table of all functions that other tests run over: complete, and right on every framework."""

from __future__ import annotations

import numpy as np
import pytest
from every_function import EVERY_FUNCTION, Function

import tempscale as ts
from tempscale import Backend, random
from tempscale._core.operation import OPERATIONS


def test_table_has_every_function_that_computes() -> None:
    drawing = set(random.__all__) - {"Key", "key"}
    there_are = {*OPERATIONS, "sample", "sample_without_replacement", *drawing}
    named = {word for function in EVERY_FUNCTION for word in function.name.split()}
    assert there_are <= named


@pytest.mark.parametrize("function", EVERY_FUNCTION, ids=str)
def test_every_function_takes_the_arguments_of_the_table(function: Function, backend: Backend) -> None:
    arguments = function.arguments((2,), 5)
    result = function.call(*[backend.asarray(x) for x in arguments])
    expected = function.call(*arguments)
    assert ts.backend_of(result) is backend
    assert backend.shape(result) == np.shape(expected)


@pytest.mark.parametrize("function", EVERY_FUNCTION, ids=str)
def test_every_function_gives_equal_values_for_big_endian_arguments(function: Function) -> None:
    arguments = function.arguments((2,), 300)
    swapped = [x.astype(x.dtype.newbyteorder(">")) for x in arguments]
    assert np.array_equal(function.call(*swapped), function.call(*arguments))
