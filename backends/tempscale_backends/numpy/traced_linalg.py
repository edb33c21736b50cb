"""The extension `linalg` for NumPy arrays that autograd traces: `autograd.numpy.linalg`, and what it lacks."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np

from tempscale.backend import Array


def __getattr__(name: str) -> Any:
    return getattr(anp.linalg, name)


def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """The diagonals of the last two axes."""
    rows, columns = x.shape[-2:]
    size = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    return x[..., np.arange(size) - min(offset, 0), np.arange(size) + max(offset, 0)]


def trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """Sum of the diagonals of the last two axes."""
    return anp.sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def outer(x1: Array, x2: Array, /) -> Array:
    """All products of the entries of two vectors."""
    return x1[:, None] * x2[None, :]


def vector_norm(x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Array:
    """Norm of vectors, along one axis or over several, all by default."""
    size = anp.abs(x)
    if ord == 0:
        return anp.sum(size != 0, axis=axis, keepdims=keepdims, dtype=x.dtype)
    if ord in (float("inf"), float("-inf")):
        return (anp.max if ord > 0 else anp.min)(size, axis=axis, keepdims=keepdims)
    return anp.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """Norm of the matrices in the last two axes."""
    norm = _matrix_norm(x, ord)
    return norm[..., None, None] if keepdims else norm


def _matrix_norm(x: Array, ord: Any) -> Array:
    if ord == "fro":
        return anp.sqrt(anp.sum(anp.abs(x) ** 2, axis=(-2, -1)))
    if ord in (1, -1, float("inf"), float("-inf")):
        sums = anp.sum(anp.abs(x), axis=-2 if abs(ord) == 1 else -1)
        return (anp.max if ord > 0 else anp.min)(sums, axis=-1)
    values = anp.linalg.svd(x, full_matrices=False)[1]
    if ord == "nuc":
        return anp.sum(values, axis=-1)
    return (anp.max if ord > 0 else anp.min)(values, axis=-1)


def matrix_power(x: Array, n: int, /) -> Array:
    """A square matrix, multiplied with itself; its inverse for negative `n`."""
    if n < 0:
        return matrix_power(anp.linalg.inv(x), -n)
    if n == 0:
        return anp.broadcast_to(anp.eye(x.shape[-1], dtype=x.dtype), x.shape)
    half = matrix_power(x, n // 2)
    square = anp.matmul(half, half)
    return anp.matmul(square, x) if n % 2 else square
