"""Rows of one class that are masked entirely, on memory that was written to before: compilers fold such a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from every_function import PROBABILITIES, Function
from exactness import assert_held
from support import require

import tempscale as ts
from tempscale import Backend
from tempscale.testing import assert_ulp

ROWS = (20, 30)
MASK = (np.arange(20) % 2 == 0).reshape(20, 1, 1)


def _write_to_memory(backend: Backend) -> None:
    """Leave sevens in memory that is free again."""
    for _ in range(8):
        backend.to_numpy(backend.asarray(np.full((*ROWS, 1), 3.5, np.float32)) * 2)


def _assert_as_in_numpy(backend: Backend, function: Function, result: Any, arguments: tuple[Any, ...]) -> None:
    """A sum of one entry is exact, and so are 0, 1 and NaN; x / T is rounded twice, 1/T and the product, in both."""
    logits, *others = arguments
    expected = function.call(np.where(MASK, logits, -np.inf).astype(np.float32), *others)
    assert_ulp(result, expected, 3 if function.name == "logsumexp at a temperature of each row" else 0)


@pytest.mark.parametrize("framework", ["tensorflow", "jax"])
def test_rows_of_one_class_masked_in_compiled_code_come_out_as_in_numpy(framework: str) -> None:
    backend = require(framework)
    # the bits of a "reproducible" value do not depend on the compiler, which takes long over them
    functions = [f for f in PROBABILITIES if "reproducible" not in f.name]
    given = [function.arguments(ROWS, 1) for function in functions]

    def together(mask: Any, *arrays: Any) -> tuple[Any, ...]:
        rest = iter(arrays)
        results = []
        for function, arguments in zip(functions, given, strict=True):
            logits, *others = [next(rest) for _ in arguments]
            results.append(function.call(backend.namespace.where(mask, logits, -np.inf), *others))
        return tuple(results)

    # XLA is the last one, or the only one
    compiled = backend.jit(together, compiler=backend.compilers[-1])
    arrays = [backend.asarray(x) for arguments in given for x in arguments]
    compiled(backend.asarray(MASK), *arrays)
    _write_to_memory(backend)
    for function, arguments, result in zip(functions, given, compiled(backend.asarray(MASK), *arrays), strict=True):
        _assert_as_in_numpy(backend, function, result, arguments)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "entropy", "sparsemax"])
def test_rows_of_one_class_masked_by_where_hold_their_contracts(name: str, backend: Backend) -> None:
    x = np.ones((*ROWS, 1), np.float32)
    masked = np.where(MASK, x, -np.inf).astype(np.float32)
    for _ in range(2):
        _write_to_memory(backend)
        assert_held(name, getattr(ts, name)(backend.asarray(x), where=backend.asarray(MASK)), masked)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "entropy"])
def test_rows_masked_in_a_graph_that_was_traced_before_xla_compiles_it_are_nan(name: str, tf: Any) -> None:
    backend, x = require("tensorflow"), tf.ones((*ROWS, 1))
    traced = tf.function(lambda x: getattr(ts, name)(x, where=tf.constant(MASK)), autograph=False)
    traced(x)
    compiled = tf.function(lambda x: traced(x), autograph=False, jit_compile=True)
    _write_to_memory(backend)
    assert np.isnan(compiled(x).numpy()[~MASK[:, 0, 0]]).all()
