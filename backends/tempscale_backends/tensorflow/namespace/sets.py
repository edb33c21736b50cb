"""Set functions: the distinct elements of an array, in ascending order.

Their number depends on the values, so XLA cannot compile them. NaN equals nothing, so each is distinct.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._dtypes import COMPLEX, DEFAULT_INDEX
from tempscale_backends.tensorflow.namespace.sorting import argsort


class UniqueAll(NamedTuple):
    """Distinct values, where each is first, which of them each element is, and how many of each there are."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCounts(NamedTuple):
    """Distinct values, and how many of each there are."""

    values: Array
    counts: Array


class UniqueInverse(NamedTuple):
    """Distinct values, and which of them each element is."""

    values: Array
    inverse_indices: Array


def unique_all(x: Array, /) -> UniqueAll:
    """Return the distinct values, their first indices, the inverse indices and the counts."""
    flat = tf.reshape(x, [-1])
    order = _order(flat)
    ordered = tf.gather(flat, order)
    differs = tf.not_equal(ordered[1:], ordered[:-1])
    starts = tf.concat([tf.ones_like(order[:1], tf.bool), differs], 0)
    group = tf.cumsum(tf.cast(starts, DEFAULT_INDEX)) - 1
    first = tf.reshape(tf.where(starts), [-1])
    ends = tf.concat([first[1:], tf.shape(order, DEFAULT_INDEX)], 0)[: tf.shape(first)[0]]
    inverse = tf.scatter_nd(order[:, None], group, tf.shape(order, DEFAULT_INDEX))
    indices = tf.gather(order, first)
    return UniqueAll(tf.gather(flat, indices), indices, tf.reshape(inverse, tf.shape(x)), ends - first)


def _order(flat: Array) -> Array:
    """Sort stably; complex numbers by their real parts, then by their imaginary parts."""
    if flat.dtype not in COMPLEX:
        return argsort(flat)
    by_imaginary = argsort(tf.math.imag(flat))
    return tf.gather(by_imaginary, argsort(tf.gather(tf.math.real(flat), by_imaginary)))


def unique_counts(x: Array, /) -> UniqueCounts:
    """Return the distinct values and their counts."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Array, /) -> UniqueInverse:
    """Return the distinct values and the inverse indices."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Array, /) -> Array:
    """Return the distinct values."""
    return unique_all(x).values
