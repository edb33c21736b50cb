"""Indexing functions."""

from __future__ import annotations

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import axis_of, only_axis, rank, size_of, sizes, swap_last


def _from_front(indices: Array, size: object) -> Array:
    """Count negative indices from the front."""
    if indices.dtype not in (tf.int32, tf.int64):
        indices = tf.cast(indices, tf.int64)
    return tf.where(indices < 0, indices + tf.cast(size, indices.dtype), indices)


def take(x: Array, indices: Array, /, *, axis: int | None = None) -> Array:
    """Slices of `x` at `indices` along an axis; negative ones count from the end."""
    place = only_axis("take", x, axis)
    return tf.gather(x, _from_front(tf.convert_to_tensor(indices), size_of(x, place)), axis=place)


def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """Entries of `x` at `indices` along an axis, which both have; negative ones count from the end.

    The other axes broadcast, where their sizes are known; unknown ones are taken to be equal.
    """
    ndim = rank(x)
    place = axis_of(axis, ndim)
    if rank(indices) != ndim:
        raise ValueError(f"indices have {rank(indices)} axes and the array {ndim}: take_along_axis needs as many")
    indices = _from_front(indices, size_of(x, place))
    x, indices = _one_shape_but(place, x, indices)
    found = tf.gather(swap_last(x, place), swap_last(indices, place), axis=-1, batch_dims=ndim - 1)
    return swap_last(found, place)


def _one_shape_but(axis: int, x: Array, y: Array) -> tuple[Array, Array]:
    """Broadcast two arrays along all axes but one, if a size is known to be 1 in one of them alone."""
    others = [i for i in range(rank(x)) if i != axis]
    if all(x.shape[i] == y.shape[i] or 1 not in (x.shape[i], y.shape[i]) for i in others):
        return x, y
    shapes = sizes(x), sizes(y)
    common = [b if x.shape[i] == 1 else a for i, (a, b) in enumerate(zip(*shapes, strict=True))]
    first, second = [
        tf.broadcast_to(a, [*common[:axis], shape[axis], *common[axis + 1 :]])
        for a, shape in zip((x, y), shapes, strict=True)
    ]
    return first, second
