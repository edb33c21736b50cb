"""Utility functions."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import axes_of, axis_of, promote, rank, tensor
from tempscale_backends.tensorflow.namespace.elementwise import not_equal, subtract


def _true(x: Array) -> Array:
    """Return which elements are true: those that are not zero, NaN among them."""
    x = tensor(x)
    return x if x.dtype == tf.bool else tf.not_equal(x, tf.zeros([], x.dtype))


def all(x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Whether all elements are true, those of no elements too."""
    x = _true(x)
    return tf.reduce_all(x, tf.constant(axes_of(axis, rank(x)), tf.int32), keepdims)


def any(x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Whether an element is true."""
    x = _true(x)
    return tf.reduce_any(x, tf.constant(axes_of(axis, rank(x)), tf.int32), keepdims)


def diff(
    x: Array, /, *, axis: int = -1, n: int = 1, prepend: Array | None = None, append: Array | None = None
) -> Array:
    """Differences of neighbours along an axis, taken `n` times; of truth values whether they differ."""
    if n < 0:
        raise ValueError(f"n is {n}: the number of times to take differences is not negative")
    place = axis_of(axis, rank(x))
    parts = promote(*(part for part in (prepend, x, append) if part is not None))
    joined = tf.concat(parts, place) if parts[1:] else parts[0]
    before = (slice(None),) * place
    for _ in range(n):
        later, earlier = joined[*before, 1:], joined[*before, :-1]
        joined = not_equal(later, earlier) if joined.dtype == tf.bool else subtract(later, earlier)
    return joined
