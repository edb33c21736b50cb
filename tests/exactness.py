"""Arrays of a backend from plain numbers, and results held to their contract."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

import tempscale
from tempscale._core.operation import OPERATIONS
from tempscale._reference import wide
from tempscale.testing import check
from tempscale.testing.ulp import smallest_normal

FLOATS = ("float16", "bfloat16", "float32", "float64")


def make(backend: Any, values: Any, dtype: str = "float32") -> Any:
    """An array of the backend, on its default device; the values go through NumPy."""
    numpy = tempscale.get_backend("numpy")
    with np.errstate(over="ignore"):
        return backend.asarray(np.asarray(values).astype(numpy.dtype(dtype)))


def allowing(*dtypes: str) -> Any:
    """A context in which every backend can hold these dtypes (JAX has to be told about 64 bits)."""
    stack = contextlib.ExitStack()
    for name in tempscale.backends():
        for dtype in dtypes:
            stack.enter_context(tempscale.get_backend(name).allowing(dtype))
    return stack


def exact_of(name: str, *operands: Any, temperature: Any = 1.0, axis: int = -1, **options: Any) -> dict[str, Any]:
    """The exact value and its bound, as rows, for NumPy operands with the classes anywhere."""
    specification = OPERATIONS[name].specification
    logits = operands[0]
    working = "float64" if logits.dtype == np.float64 else "float32"
    rows = [
        x if x.dtype.kind in "iu" else wide.to_wide(np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]), working)
        for x in operands
    ]
    per_row = [1 if i == axis % logits.ndim else n for i, n in enumerate(logits.shape)]
    temperature = wide.to_wide(np.broadcast_to(temperature, per_row).reshape(-1, 1), working)
    constants = {"u": 2.0**-53 if working == "float64" else 2.0**-24, "tiny": smallest_normal(working)}
    with np.errstate(all="ignore"):
        found = specification.reference(*rows, temperature, **options)
        quantities = {k: v for k, v in found.items() if k not in ("value", "gradients")} | constants
        bound = np.asarray(specification.contract.bound(**quantities))
        if bound.ndim == found["value"].ndim + 1:
            bound = bound[..., 0]
        return {
            "value": found["value"],
            "bound": bound,
            "gradients": found["gradients"],
            "quantities": quantities,
        }


def assert_held(name: str, result: Any, *operands: Any, axis: int = -1, **arguments: Any) -> None:
    """Every element of a result is within its operation's contract, for these NumPy operands."""
    exact = exact_of(name, *operands, axis=axis, **arguments)
    backend = tempscale.backend_of(result)
    actual = np.asarray(tempscale.to_numpy(result))
    if exact["value"].ndim == 2:
        assert actual.shape == operands[0].shape
        actual = np.moveaxis(actual, axis, -1)
    actual = actual.reshape(exact["value"].shape)
    dtype = backend.dtype_name(result)
    cases = [f"row {i}" for i in range(len(actual))]
    verdict = check(
        actual,
        exact["value"],
        exact["bound"],
        dtype=dtype,
        expected_dtype=str(operands[0].dtype),
        names=cases,
    )
    assert verdict.held, f"{name} on {backend.name}: {verdict.worst:.3g} times the bound at {verdict.where}"
