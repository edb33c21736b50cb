"""Arrays of millions of entries are worked on by blocks of rows: each row still keeps its contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exactness import FLOATS, allowing, assert_held, make

import tempscale
from tempscale import Backend

ROWS, CLASSES = 37, 70_001  # 2.6 million entries: several blocks of unequal size
LOOKED_AT = [0, 3, 11, 13, 14, 18, 19, 36]
OPERATIONS = (tempscale.softmax, tempscale.log_softmax)


@pytest.fixture(scope="module")
def logits() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((ROWS, CLASSES), dtype=np.float32)
    rows *= np.linspace(0.1, 30, ROWS, dtype=np.float32)[:, None]
    rows[3, ::7] = -np.inf
    rows[11, 5] = np.nan
    rows[13] = -np.inf
    rows[14, 100] = np.inf
    return rows


def assert_rows_held(operation: Any, backend: Backend, given: Any, exact_temperature: Any, **options: Any) -> None:
    """Some rows of a result are what the contract says for these rows of the NumPy array `given`."""
    result = operation(make(backend, given, str(given.dtype)), **options)
    rows = backend.asarray(backend.to_numpy(result)[LOOKED_AT])
    some = np.broadcast_to(exact_temperature, (ROWS, 1))[LOOKED_AT]
    assert_held(operation.__name__, rows, given[LOOKED_AT], temperature=some)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("dtype", FLOATS)
def test_in_every_dtype(backend, operation, logits, dtype):
    with allowing(dtype):
        given = logits.astype(tempscale.get_backend("numpy").dtype(dtype))
        assert_rows_held(operation, backend, given, 0.7, temperature=0.7)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.__name__)
def test_with_a_temperature_per_row(backend, operation, logits):
    t = np.linspace(0.1, 20, ROWS, dtype=np.float32)[:, None]
    t[0], t[18], t[36] = 0, np.inf, 1e-3
    assert_rows_held(operation, backend, logits, t, temperature=backend.asarray(t))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("shape", [(ROWS, CLASSES), (CLASSES,), (1, CLASSES), (ROWS, 1)])
def test_with_a_mask_of_any_shape(backend, operation, logits, shape):
    mask = np.random.default_rng(6).random(shape) < 0.6
    masked = np.where(mask, logits, np.float32(-np.inf))
    result = operation(backend.asarray(logits), where=backend.asarray(mask))
    rows = backend.asarray(backend.to_numpy(result)[LOOKED_AT])
    assert_held(operation.__name__, rows, masked[LOOKED_AT], temperature=1.0)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.__name__)
def test_with_one_temperature_for_all_in_an_array(backend, operation, logits):
    t = np.float32(0.7)
    assert_rows_held(operation, backend, logits, t, temperature=backend.asarray(t))
