"""Statistical functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import (
    axes_of,
    axis_of,
    in_signed,
    only_axis,
    rank,
    sizes,
    sizes_tensor,
    take_kind,
    tensor,
    wrong_kind,
)
from tempscale_backends.tensorflow.namespace._dtypes import (
    COMPLEX,
    DEFAULT_FLOAT,
    DEFAULT_INT,
    FLOATING,
    KINDS,
    SIGNED,
    UNSIGNED,
)


def _reduced_over(x: Array, axis: Any) -> Any:
    """Return axes as TensorFlow takes them, checked; none at all would be an empty list of floats."""
    if axis is None or isinstance(axis, int):
        return axis if axis is None else axis_of(axis, rank(x))
    return axes_of(axis, rank(x)) or tf.zeros([0], tf.int32)


def _accumulated(x: Array, dtype: Any) -> Array:
    """Bring `x` to the dtype of its sum or product: small integers to the default integer of their kind."""
    if dtype is not None:
        return tf.cast(x, dtype)
    if x.dtype in FLOATING or x.dtype in COMPLEX:
        return x
    wide = tf.uint32 if x.dtype in UNSIGNED else DEFAULT_INT
    return tf.cast(x, wide) if x.dtype.size < wide.size or x.dtype == tf.bool else x


def sum(x: Array, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Array:
    """Sum; small integers are added up in int32 or uint32."""
    return tf.reduce_sum(_accumulated(tensor(x), dtype), _reduced_over(x, axis), keepdims)


def prod(x: Array, /, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Array:
    """Product; small integers are multiplied in int32 or uint32."""
    return tf.reduce_prod(_accumulated(tensor(x), dtype), _reduced_over(x, axis), keepdims)


def max(x: Array, /, *, axis: Any = None, keepdims: Any = False) -> Array:
    """Largest element; NaN wins, which `tf.reduce_max` does not promise."""
    return _extreme("max", tf.reduce_max, x, axis, keepdims)


def min(x: Array, /, *, axis: Any = None, keepdims: Any = False) -> Array:
    """Smallest element; NaN wins, which `tf.reduce_min` does not promise."""
    return _extreme("min", tf.reduce_min, x, axis, keepdims)


def _extreme(name: str, reduce: Callable[..., Array], x: Array, axis: Any, keepdims: Any) -> Array:
    axis = _reduced_over(x, axis)
    if x.dtype not in KINDS["real"]:
        raise wrong_kind(name, "real", x.dtype)
    if 0 in _lengths(x, axis):
        raise ValueError(f"{name} of no elements: an array of shape {tuple(x.shape)} is empty along axis {axis}")
    found = reduce(x, axis, keepdims)
    if not x.dtype.is_floating:
        return found
    # x * 0 would be NaN for inf as well
    has_nan = tf.reduce_any(tf.math.is_nan(x), axis, keepdims)
    return tf.where(has_nan, tf.constant(math.nan, x.dtype), found)


def _lengths(x: Array, axis: Any) -> list[int | None]:
    if axis is None or isinstance(axis, int):
        return list(x.shape) if axis is None else [x.shape[axis]]
    return [x.shape[a] for a in axis] if isinstance(axis, list) else []


def mean(x: Array, /, *, axis: Any = None, keepdims: Any = False) -> Array:
    """Arithmetic mean; of integers in the default floating dtype."""
    x = tensor(x)
    if x.dtype in KINDS["integral"]:
        return tf.cast(mean(tf.cast(x, tf.float64), axis=axis, keepdims=keepdims), DEFAULT_FLOAT)
    return tf.reduce_mean(take_kind("mean", "floating", x), _reduced_over(x, axis), keepdims)


def var(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: Any = False) -> Array:
    """Variance; the squares are divided by the number of elements less `correction`."""
    x = take_kind("var", "real floating", tensor(x))
    over = axes_of(axis, rank(x))
    count = tf.reduce_prod(tf.cast(tf.gather(tf.shape(x), tf.constant(over, tf.int32)), tf.float64))
    deviation = x - mean(x, axis=axis, keepdims=True)
    squares = sum(tf.square(deviation), axis=axis, keepdims=keepdims)
    # a division by what is not positive has no meaning: NaN or inf, as in NumPy
    return squares / tf.cast(tf.maximum(count - correction, 0), x.dtype)


def std(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: Any = False) -> Array:
    """Standard deviation, the root of the variance."""
    return tf.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def cumulative_sum(x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """Running sum, in float64 for floats: a long float32 `tf.cumsum` is off by 1e-4."""
    place = only_axis("cumulative_sum", x, axis)
    x = _accumulated(x, dtype)
    return _with_initial(_running_sum(x, place), place, 0, include_initial)


def _running_sum(x: Array, axis: int) -> Array:
    if x.dtype in COMPLEX:
        # for complex numbers there is no compiled running sum
        return tf.complex(_running_sum(tf.math.real(x), axis), _running_sum(tf.math.imag(x), axis))
    if x.dtype in FLOATING:
        return tf.cast(tf.cumsum(tf.cast(x, tf.float64), axis), x.dtype)
    return _in_compiled_integers(tf.cumsum, x, axis)


def _in_compiled_integers(function: Callable[..., Array], x: Array, axis: int) -> Array:
    """Compute in int32 or int64, the integers that XLA has running sums and products for; the rest is the same bits."""
    if x.dtype in UNSIGNED[2:]:
        return in_signed(lambda y: function(y, axis), x)
    return function(x, axis) if x.dtype in SIGNED[2:] else tf.cast(function(tf.cast(x, tf.int32), axis), x.dtype)


def cumulative_prod(x: Array, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Array:
    """Running product."""
    place = only_axis("cumulative_prod", x, axis)
    x = _accumulated(x, dtype)
    if x.dtype in KINDS["integral"]:
        running = _in_compiled_integers(tf.math.cumprod, x, place)
    else:
        running = tf.math.cumprod(x, place)
    return _with_initial(running, place, 1, include_initial)


def _with_initial(x: Array, axis: int, value: int, wanted: bool) -> Array:
    if not wanted:
        return x
    shape = sizes(x)
    shape[axis] = 1
    return tf.concat([tf.fill(sizes_tensor(shape), tf.constant(value, x.dtype)), x], axis)
