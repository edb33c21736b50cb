"""Sums of rows made to lose digits: one entry dominates, and what is added to it alone is rounded away."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from exactness import allowing, assert_held
from support import require

import tempscale as ts
from tempscale import Backend
from tempscale.kernels.reductions import accurate_sum

CLASSES = (31, 1000)
LONG = 1_000_000


def _rows(n: int, dtype: str) -> np.ndarray[Any, Any]:
    """Rows whose tails are a half of an ulp of the dominant entry, or less."""
    ulp = np.finfo(dtype).eps
    places = (0, n // 2, n - 1)
    rows = np.full((len(places) + 2, n), 0.49 * ulp, dtype)
    rows[range(len(places)), places] = 1.0
    rows[-2, 0] = 1.0
    rows[-2, 1::2] *= -1.0  # signs alternate
    rows[-1, : min(n, 32)] = 1.0  # not all lanes of a vector are alike
    return rows


def _turned(backend: Backend, rows: Any) -> Any:
    return backend.asarray(np.ascontiguousarray(rows.T))


LAYOUTS: dict[str, tuple[int, Callable[[Backend, Any], Any]]] = {
    "last": (1, lambda backend, rows: backend.asarray(rows)),
    "first": (0, _turned),
    "in the middle": (1, lambda backend, rows: _turned(backend, rows)[None]),
    "transposed": (1, lambda backend, rows: backend.namespace.permute_dims(_turned(backend, rows), (1, 0))),
    "with gaps": (1, lambda backend, rows: backend.asarray(np.stack([rows, rows], -1))[..., 0]),
}


def _assert_sums(backend: Backend, sums: Any, rows: np.ndarray[Any, Any], what: str) -> None:
    u = np.finfo(rows.dtype).eps / 2
    wide = rows.astype(np.longdouble)
    exact = np.asarray([math.fsum(row) for row in rows])
    bound = (math.log2(rows.shape[1]) + 2) * u * np.abs(wide).sum(axis=1)
    error = np.abs(backend.to_numpy(sums).reshape(-1).astype(np.longdouble) - exact)
    assert (error <= bound).all(), f"{what}: {(error / bound).max():.3g} times the bound"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accurate_sums_hold_their_bound_in_every_layout(backend: Backend, dtype: str) -> None:
    with backend.allowing(dtype):
        for n in CLASSES:
            rows = _rows(n, dtype)
            for layout, (axis, lay) in LAYOUTS.items():
                _assert_sums(backend, accurate_sum(lay(backend, rows), axis=axis), rows, f"{n} classes, {layout}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accurate_sums_hold_their_bound_compiled(differentiating: Backend, dtype: str) -> None:
    backend = differentiating
    with backend.allowing(dtype):
        rows = [_rows(n, dtype) for n in CLASSES]

        def together(*arrays: Any) -> tuple[Any, ...]:
            return tuple([accurate_sum(x, axis=axis) for x in arrays for axis in (0, 1) if x.shape[1 - axis] == 5])

        # XLA is the last compiler, or the only one
        compiled = backend.jit(together, compiler=backend.compilers[-1])
        found = compiled(*[lay(backend, x) for x in rows for lay in (LAYOUTS["last"][1], _turned)])
        for sums, x in zip(found, [x for x in rows for _ in range(2)], strict=True):
            _assert_sums(backend, sums, x, f"{x.shape[1]} classes")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accurate_sums_of_a_million_entries_hold_their_bound(backend: Backend, dtype: str) -> None:
    with backend.allowing(dtype):
        rows = _rows(LONG, dtype)
        _assert_sums(backend, accurate_sum(backend.asarray(rows), axis=1), rows, "last")
        _assert_sums(backend, accurate_sum(_turned(backend, rows), axis=0), rows, "first")


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "entropy"])
def test_operations_hold_their_contracts_on_rows_made_to_lose_digits(backend: Backend, name: str) -> None:
    rows = np.full((3, 1000), math.log(0.49 * 2.0**-23), np.float32)
    rows[[0, 1, 2], [0, 500, 999]] = 0.0
    assert_held(name, getattr(ts, name)(backend.asarray(rows)), rows)
    if backend.transforms:
        one_batch = backend.vmap(getattr(ts, name))(backend.asarray(rows[:, None]))
        assert_held(name, one_batch, rows[:, None])


def test_empty_rows_sum_to_zero() -> None:
    for name in ts.backends():
        backend = require(name)
        with allowing("float64"):
            for dtype in ("float32", "float64"):
                sums = accurate_sum(backend.asarray(np.zeros((2, 0), dtype)), axis=1)
                assert backend.to_numpy(sums).tolist() == [[0.0], [0.0]]
