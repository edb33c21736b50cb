"""A namespace after the Python array API standard, for TensorFlow tensors.

It holds the functions that this library's operations are written with, in standard names and semantics, where
those of TensorFlow differ: NaN in `max`, `sort` and `argmax`, promotion with Python numbers, accurate running
sums. Built on public TensorFlow functions; traceable in `tf.function`, unknown dimensions included.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tempscale.backend import Array

bool = tf.bool
int8, int16, int32, int64 = tf.int8, tf.int16, tf.int32, tf.int64
uint8, uint16, uint32, uint64 = tf.uint8, tf.uint16, tf.uint32, tf.uint64
float32, float64 = tf.float32, tf.float64
complex64, complex128 = tf.complex64, tf.complex128
pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None

_KINDS: dict[str, Any] = {
    "bool": lambda d: d == tf.bool,
    "signed integer": lambda d: d.is_integer and not d.is_unsigned,
    "unsigned integer": lambda d: d.is_integer and d.is_unsigned,
    "integral": lambda d: d.is_integer,
    "real floating": lambda d: d.is_floating,
    "complex floating": lambda d: d.is_complex,
    "numeric": lambda d: d.is_integer or d.is_floating or d.is_complex,
}


def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether `dtype` is of a kind, named as in the standard, or one of several."""
    if isinstance(kind, tuple):
        return any_(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        return _KINDS[kind](tf.as_dtype(dtype))
    return tf.as_dtype(dtype) == kind


any_ = any  # the built-in


def astype(x: Array, dtype: Any, /, *, copy: Any = True) -> Array:
    """`x` in another dtype."""
    return tf.cast(x, dtype)


# Creation


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Array:
    """Make a tensor from numbers, nested lists or arrays."""
    return tf.convert_to_tensor(obj, dtype=dtype)


def zeros_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Zeros, shaped as `x`."""
    return tf.zeros_like(x, dtype=dtype)


def ones_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Ones, shaped as `x`."""
    return tf.ones_like(x, dtype=dtype)


# Element-wise

abs, exp, expm1 = tf.abs, tf.exp, tf.math.expm1
log, log1p, sqrt, tanh = tf.math.log, tf.math.log1p, tf.sqrt, tf.tanh
isfinite, isinf, isnan = tf.math.is_finite, tf.math.is_inf, tf.math.is_nan
floor, ceil, round, sign, square = tf.floor, tf.math.ceil, tf.round, tf.sign, tf.square
logical_and, logical_or, logical_not = tf.logical_and, tf.logical_or, tf.logical_not


def _pair(x: Any, y: Any) -> tuple[Array, Array]:
    """Bring a Python number to the dtype of the tensor beside it, a float beside integers apart."""
    dtype = x.dtype if hasattr(x, "dtype") else y.dtype
    return tf.convert_to_tensor(x, dtype), tf.convert_to_tensor(y, dtype)


def where(condition: Array, x1: Any, x2: Any, /) -> Array:
    """`x1` where the condition holds, else `x2`; either may be a Python number."""
    if not hasattr(x1, "dtype") and not hasattr(x2, "dtype"):
        return tf.where(condition, tf.constant(x1), tf.constant(x2))
    return tf.where(condition, *_pair(x1, x2))


def maximum(x1: Any, x2: Any, /) -> Array:
    """Element-wise maximum; NaN wins."""
    return tf.maximum(*_pair(x1, x2))


def minimum(x1: Any, x2: Any, /) -> Array:
    """Element-wise minimum; NaN wins."""
    return tf.minimum(*_pair(x1, x2))


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """`x` limited to [min, max]; NaN stays."""
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


# Statistics


def sum(x: Array, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Array:
    """Sum of elements."""
    return tf.reduce_sum(x if dtype is None else tf.cast(x, dtype), axis, keepdims)


def max(x: Array, /, *, axis: Any = None, keepdims: Any = False) -> Array:
    """Largest element; NaN wins, which `tf.reduce_max` does not promise."""
    return _nan_wins(x, tf.reduce_max(x, axis, keepdims), axis, keepdims)


def min(x: Array, /, *, axis: Any = None, keepdims: Any = False) -> Array:
    """Smallest element; NaN wins, which `tf.reduce_min` does not promise."""
    return _nan_wins(x, tf.reduce_min(x, axis, keepdims), axis, keepdims)


def _nan_wins(x: Array, reduced: Array, axis: Any, keepdims: Any) -> Array:
    if not x.dtype.is_floating:
        return reduced
    # x * 0 would be NaN for inf as well
    has_nan = tf.reduce_any(tf.math.is_nan(x), axis, keepdims)
    return tf.where(has_nan, tf.constant(math.nan, x.dtype), reduced)


def cumulative_sum(x: Array, /, *, axis: Any = None, dtype: Any = None) -> Array:
    """Running sum, in float64 for floats: a long float32 `tf.cumsum` is off by 1e-4."""
    axis = 0 if axis is None else axis
    kind = x.dtype if dtype is None else dtype
    if not kind.is_floating:
        return tf.cumsum(tf.cast(x, kind), axis)
    return tf.cast(tf.cumsum(tf.cast(x, tf.float64), axis), kind)


# Sorting, searching, indexing


def sort(x: Array, /, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> Array:
    """Sorted copy; NaN is last, as NumPy has it."""
    # tf.sort mis-sorts NaN: sort it as inf, and put the NaNs back at the end
    nan = tf.math.is_nan(x) if x.dtype.is_floating else tf.zeros_like(x, tf.bool)
    if x.dtype.is_floating:
        x = tf.where(nan, tf.constant(-math.inf if descending else math.inf, x.dtype), x)
    ordered = tf.sort(x, axis, "DESCENDING" if descending else "ASCENDING")
    if not x.dtype.is_floating:
        return ordered
    place = tf.cumsum(tf.ones_like(x, tf.int32), axis)
    numbers = tf.reduce_sum(tf.cast(~nan, tf.int32), axis, keepdims=True)
    return tf.where(place > numbers, tf.constant(math.nan, x.dtype), ordered)


def take_along_axis(x: Array, indices: Array, /, *, axis: Any = -1) -> Array:
    """Entries of `x` at `indices` along `axis`, which both have."""
    axis = axis % len(x.shape)
    return (
        tf.gather(_to_last(x, axis), _to_last(indices, axis), axis=-1, batch_dims=len(x.shape) - 1)
        if axis == len(x.shape) - 1
        else _from_last(
            tf.gather(_to_last(x, axis), _to_last(indices, axis), axis=-1, batch_dims=len(x.shape) - 1), axis
        )
    )


def _to_last(x: Array, axis: int) -> Array:
    rank = len(x.shape)
    return tf.transpose(x, [*range(axis), *range(axis + 1, rank), axis])


def _from_last(x: Array, axis: int) -> Array:
    rank = len(x.shape)
    return tf.transpose(x, [*range(axis), rank - 1, *range(axis, rank - 1)])


# Manipulation


def reshape(x: Array, /, shape: Any, *, copy: Any = None) -> Array:
    """`x` in another shape; one dimension may be -1."""
    return tf.reshape(x, shape)


def permute_dims(x: Array, /, axes: Any) -> Array:
    """`x` with its axes in another order."""
    return tf.transpose(x, axes)


def squeeze(x: Array, /, axis: Any) -> Array:
    """`x` without axes of size 1."""
    return tf.squeeze(x, axis)


def expand_dims(x: Array, /, *, axis: Any = 0) -> Array:
    """`x` with an axis of size 1 more."""
    return tf.expand_dims(x, axis)


def broadcast_to(x: Array, /, shape: Any) -> Array:
    """`x` broadcast to a shape, which may be a tensor where dimensions are unknown."""
    return tf.broadcast_to(x, shape)
