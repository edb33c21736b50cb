"""Where PyTorch runs a function: every function of the library, in PyTorch's own contexts and exported."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from every_function import EVERY_FUNCTION, KEY, PRECISE_OF_TWO, Function

import tempscale as ts

FUNCTIONS = (*EVERY_FUNCTION, *PRECISE_OF_TWO)
ROWS, CLASSES = 3, 7
Call = Callable[..., Any]


def arguments(torch: Any, function: Function, dtype: str = "float32", rows: int = ROWS) -> list[Any]:
    """Tensors for a function, its floats of a dtype, with gradients where it has derivatives."""
    arrays = [ts.get_backend("torch").asarray(x) for x in function.arguments((rows,), CLASSES)]
    arrays = [x.to(getattr(torch, dtype)) if x.dtype == torch.float32 else x for x in arrays]
    return [x.requires_grad_(i in function.differentiable) for i, x in enumerate(arrays)]


def value_and_gradients(torch: Any, function: Function, call: Call, dtype: str) -> list[Any]:
    """What a call returns, and the gradients of a weighted sum of it."""
    arrays = arguments(torch, function, dtype)
    value = call(*arrays)
    if not function.differentiable:
        return [value]
    value.backward(torch.linspace(-1, 2, value.numel(), dtype=value.dtype).reshape(value.shape))
    return [value.detach(), *[arrays[i].grad for i in function.differentiable]]


def assert_same_bits(found: list[Any], expected: list[Any], function: Function) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype, function.name
        np.testing.assert_array_equal(*map(ts.get_backend("torch").to_numpy, (one, other)), err_msg=function.name)


def assert_same(found: Any, expected: Any, function: Function) -> None:
    """What is drawn or reproducible is the same in all bits; the rest to a few roundings of float32."""
    if not function.differentiable or "reproducible" in function.name:
        assert_same_bits([found], [expected], function)
    else:
        np.testing.assert_allclose(found.detach(), expected.detach(), 1e-6, 1e-6, err_msg=function.name)


# Contexts


def as_buffers(torch: Any, call: Call) -> Call:
    """A call of a module whose buffers are the arguments, handed over by `functional_call`."""

    class Calling(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self) -> Any:
            return call(*self.buffers())

    def called(*arrays: Any) -> Any:
        module, given = Calling(), {f"argument{i}": x for i, x in enumerate(arrays)}
        for name, x in given.items():
            module.register_buffer(name, torch.zeros_like(x))
        return torch.func.functional_call(module, given, ())

    return called


def autocast(torch: Any, call: Call) -> Call:
    def called(*arrays: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return call(*arrays)

    return called


def checkpoint(torch: Any, call: Call) -> Call:
    return partial(torch.utils.checkpoint.checkpoint, call, use_reentrant=False)


def reentrant_checkpoint(torch: Any, call: Call) -> Call:
    return partial(torch.utils.checkpoint.checkpoint, call, use_reentrant=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("context", [as_buffers, autocast, checkpoint], ids=lambda context: context.__name__)
def test_values_and_gradients_have_the_same_bits_in_a_context(context: Any, dtype: str, torch: Any) -> None:
    for function in FUNCTIONS:
        if dtype == "float64" and "reproducible" in function.name:
            continue
        expected = value_and_gradients(torch, function, function.call, dtype)
        found = value_and_gradients(torch, function, context(torch, function.call), dtype)
        assert_same_bits(found, expected, function)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_gradients_have_the_same_bits_in_a_reentrant_checkpoint(torch: Any) -> None:
    """Its value is that of a call without gradients."""
    for function in FUNCTIONS:
        expected = value_and_gradients(torch, function, function.call, "float32")
        found = value_and_gradients(torch, function, reentrant_checkpoint(torch, function.call), "float32")
        assert_same(found[0], expected[0], function)
        assert_same_bits(found[1:], expected[1:], function)


@contextmanager
def deterministic_and_looking_for_nan(torch: Any) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with warnings.catch_warnings(action="ignore"), torch.autograd.detect_anomaly():
            yield
    finally:
        torch.use_deterministic_algorithms(before)


def test_strict_settings_refuse_nothing_and_change_no_bits(torch: Any) -> None:
    for function in FUNCTIONS:
        expected = value_and_gradients(torch, function, function.call, "float32")
        with deterministic_and_looking_for_nan(torch):
            found = value_and_gradients(torch, function, function.call, "float32")
        assert_same_bits(found, expected, function)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_values_are_the_same_without_gradients(mode: str, torch: Any) -> None:
    for function in FUNCTIONS:
        expected = function.call(*arguments(torch, function))
        with getattr(torch, mode)():
            found = function.call(*arguments(torch, function))
        assert not found.requires_grad
        assert_same(found, expected, function)


# Export

EXPORTED = ("softmax with a mask", "accurate log_softmax", "reproducible entropy")
EXPORTED += ("cross_entropy with smoothing and weights", "sample", "normal")
"""What is exported: a native, both precisions, a loss, tokens, and a distribution stand for their kinds."""


def dynamic(function: Function, sizes: dict[int, Any]) -> list[Any]:
    """For each argument the dimensions that may vary, by the sizes that they have; none in a key."""
    return [
        None if x is KEY else {i: sizes[n] for i, n in enumerate(x.shape) if n in sizes}
        for x in function.arguments((ROWS,), CLASSES)
    ]


def test_functions_are_exported_with_dynamic_rows_and_classes(torch: Any) -> None:
    functions = [function for function in FUNCTIONS if function.name in EXPORTED]

    class Every(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, given: Any) -> Any:
            return [function.call(*arrays) for function, arrays in zip(functions, given, strict=True)]

    sizes = {ROWS: torch.export.Dim("rows"), CLASSES: torch.export.Dim("classes", max=2**18)}
    shapes = ([dynamic(function, sizes) for function in functions],)
    example = [arguments(torch, function) for function in functions]
    program = torch.export.export(Every(), (example,), dynamic_shapes=shapes).module()
    given = [arguments(torch, function, rows=5) for function in functions]
    for function, arrays, found in zip(functions, given, program(given), strict=True):
        assert_same(found, function.call(*arrays), function)
