"""The array API standard for NumPy arrays that autograd traces: `autograd.numpy`, and what it lacks.

autograd wraps all of NumPy, but has no derivatives for functions that NumPy named after the standard. They are
written here in terms of those it has. Whatever is not defined here is `autograd.numpy`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defjvp, defvjp, primitive
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import getval

from tempscale.backend import Array
from tempscale_backends.numpy import traced_linalg

__array_api_version__ = np.__array_api_version__

linalg = traced_linalg


def __getattr__(name: str) -> Any:
    return getattr(anp, name)


def values(x: Any) -> Any:
    """What is in a box, however many traces it is in."""
    while isinstance(x, ArrayBox):
        x = getval(x)
    return x


@primitive  # type: ignore[untyped-decorator]
def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    """`x` in another dtype; the gradient comes back in the dtype of `x`."""
    return np.asarray(x).astype(dtype, copy=copy)


defvjp(astype, lambda result, x, dtype, **options: lambda g: astype(g, x.dtype))
defjvp(astype, lambda g, result, x, dtype, **options: astype(g, dtype))


# Elementwise


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """`x` limited to [min, max]; differentiable in the limits as well."""
    if min is not None:
        x = anp.where(x < min, min, x)
    return x if max is None else anp.where(x > max, max, x)


def positive(x: Array, /) -> Array:
    """`x` itself."""
    return x * 1


def copysign(x: Array, sign: Array, /) -> Array:
    """The magnitude of `x` with the sign of another array, which is a constant to differentiation."""
    same = np.signbit(values(x)) == np.signbit(values(sign))
    return x * np.where(same, 1, -1).astype(x.dtype)


# Statistics


def mean(x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Arithmetic mean."""
    return anp.mean(x, axis=axis, keepdims=keepdims)


def var(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """Variance, with `correction` taken off the number of entries."""
    return anp.var(x, axis=axis, ddof=correction, keepdims=keepdims)


def std(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
    """Standard deviation, with `correction` taken off the number of entries."""
    return anp.std(x, axis=axis, ddof=correction, keepdims=keepdims)


def cumulative_sum(x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """Running sum."""
    axis = 0 if axis is None else axis
    x = x if dtype is None else astype(x, dtype)
    return anp.cumsum(_after(x, 0, axis) if include_initial else x, axis=axis)


def cumulative_prod(x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """Running product."""
    axis = 0 if axis is None else axis
    x = x if dtype is None else astype(x, dtype)
    parts = unstack(_after(x, 1, axis) if include_initial else x, axis=axis)
    products = list(parts[:1])
    for part in parts[1:]:
        products.append(products[-1] * part)
    return anp.stack(products, axis=axis)


def _after(x: Array, first: int, axis: int) -> Array:
    """`x` behind one entry along `axis`."""
    shape = list(x.shape)
    shape[axis] = 1
    return anp.concatenate([np.full(shape, first, x.dtype), x], axis=axis)


# Manipulation


def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Join arrays along an axis; along the first one of their entries in a row if it is None."""
    if axis is None:
        return anp.concatenate([anp.reshape(x, (-1,)) for x in arrays], axis=0)
    return anp.concatenate(list(arrays), axis=axis)


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """Split an array into those along an axis."""
    x = anp.moveaxis(x, axis, 0)
    return tuple([x[i] for i in range(x.shape[0])])


def matrix_transpose(x: Array, /) -> Array:
    """`x` with its last two axes exchanged."""
    return anp.swapaxes(x, -1, -2)


def flip(x: Array, /, *, axis: Any = None) -> Array:
    """`x` in reverse order along some axes, all by default."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    turned = {a % x.ndim for a in axes}
    return x[tuple([slice(None, None, -1 if a in turned else None) for a in range(x.ndim)])]


def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
    """`x` broadcast to a shape."""
    return x + np.zeros(shape, x.dtype)


def broadcast_arrays(*arrays: Array) -> tuple[Array, ...]:
    """Broadcast arrays against each other."""
    shape = np.broadcast_shapes(*[np.shape(x) for x in arrays])
    return tuple([broadcast_to(x, shape) for x in arrays])


def meshgrid(*arrays: Array, indexing: str = "xy") -> tuple[Array, ...]:
    """Coordinate matrices from coordinate vectors."""
    n = len(arrays)
    grids = [anp.reshape(x, (1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(arrays)]
    grids = list(broadcast_arrays(*grids))
    return tuple([anp.swapaxes(x, 0, 1) for x in grids] if indexing == "xy" and n > 1 else grids)


def sort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """Sorted along an axis."""
    order = np.argsort(values(x), axis=axis, stable=stable)
    return take_along_axis(x, np.flip(order, axis=axis) if descending else order, axis=axis)


# Indexing


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """Entries of `x` at some indices along an axis."""
    axis = 0 if axis is None else axis % x.ndim
    return x[(slice(None),) * axis + (indices,)]


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """Entries of `x` at indices along an axis, row by row."""
    axis %= x.ndim
    shape = [*indices.shape]
    shape[axis] = 1
    shape = [1 if n == 1 else m for n, m in zip(shape, [*x.shape], strict=True)]
    places = [
        indices if i == axis else np.arange(n).reshape([-1 if j == i else 1 for j in range(x.ndim)])
        for i, n in enumerate(x.shape)
    ]
    return x[tuple(places)]


# Linear algebra


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """Sum of products along an axis, the first factor conjugated."""
    return anp.sum(anp.conj(x1) * x2, axis=axis)
