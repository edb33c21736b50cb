"""Manipulation functions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import (
    axes_of,
    axis_of,
    promote,
    rank,
    size_of,
    sizes,
    sizes_tensor,
)


def broadcast_arrays(*arrays: Array) -> list[Array]:
    """Broadcast arrays to their common shape."""
    shapes = [tf.shape(x) for x in arrays]
    static = [x.shape for x in arrays]
    if all(shape.is_fully_defined() for shape in static):
        return [tf.broadcast_to(x, functools.reduce(tf.broadcast_static_shape, static)) for x in arrays]
    common = functools.reduce(tf.broadcast_dynamic_shape, shapes)
    return [tf.broadcast_to(x, common) for x in arrays]


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that arrays of these shapes broadcast to; a ValueError where there is none."""
    return tuple(functools.reduce(tf.broadcast_static_shape, map(tf.TensorShape, shapes), tf.TensorShape([])))


def broadcast_to(x: Array, /, shape: Any) -> Array:
    """`x` broadcast to a shape, which may be a tensor where dimensions are unknown."""
    return tf.broadcast_to(x, shape)


def concat(arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
    """Join arrays along an axis they have; flattened if that is None."""
    parts = promote(*arrays)
    if axis is None:
        return tf.concat([tf.reshape(x, [-1]) for x in parts], 0)
    return tf.concat(parts, axis_of(axis, rank(parts[0])))


def expand_dims(x: Array, /, axis: Any = 0) -> Array:
    """`x` with axes of size 1 more, at places of the result."""
    if isinstance(axis, int):
        return tf.expand_dims(x, axis_of(axis, rank(x) + 1))
    places = axes_of(axis, rank(x) + len(axis))
    for place in sorted(places):
        x = tf.expand_dims(x, place)
    return x


def flip(x: Array, /, *, axis: Any = None) -> Array:
    """`x` with the order of its elements turned round along axes, along all of them if that is None."""
    axes = axes_of(axis, rank(x))
    return tf.reverse(x, axes) if axes else tf.identity(x)


def moveaxis(x: Array, source: Any, destination: Any, /) -> Array:
    """`x` with some of its axes at other places; the others keep their order."""
    ndim = rank(x)
    from_, to = axes_of(source, ndim), axes_of(destination, ndim)
    if len(from_) != len(to):
        raise ValueError(f"moveaxis has {len(from_)} axes to move and {len(to)} places for them")
    order = [axis for axis in range(ndim) if axis not in from_]
    for place, axis in sorted(zip(to, from_, strict=True)):
        order.insert(place, axis)
    return tf.transpose(x, order)


def permute_dims(x: Array, /, axes: Any) -> Array:
    """`x` with its axes in another order."""
    return tf.transpose(x, axes)


def repeat(x: Array, repeats: Any, /, *, axis: int | None = None) -> Array:
    """Each element of `x` several times along an axis; flattened if that is None."""
    if axis is None:
        return repeat(tf.reshape(x, [-1]), repeats, axis=0)
    place = axis_of(axis, rank(x))
    if not isinstance(repeats, int) and tf.convert_to_tensor(repeats).dtype not in (tf.int32, tf.int64):
        repeats = tf.cast(repeats, tf.int64)
    # tf.repeat has no uint16
    return tf.gather(x, tf.repeat(tf.range(size_of(x, place)), repeats), axis=place)


def reshape(x: Array, /, shape: Any, *, copy: bool | None = None) -> Array:
    """`x` in another shape; one dimension may be -1."""
    return tf.reshape(x, shape)


def roll(x: Array, /, shift: Any, *, axis: Any = None) -> Array:
    """`x` with its elements moved on along axes, those beyond the end to the front; flattened if that is None."""
    if axis is None:
        return tf.reshape(tf.roll(tf.reshape(x, [-1]), shift, 0), tf.shape(x))
    axes = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    shifts = list(shift) if isinstance(shift, (tuple, list)) else [shift] * len(axes)
    if len(shifts) != len(axes):
        raise ValueError(f"roll has {len(shifts)} shifts for {len(axes)} axes: give one for each, or one for all")
    return tf.roll(x, shifts, [axis_of(a, rank(x)) for a in axes]) if axes else tf.identity(x)


def squeeze(x: Array, /, axis: Any) -> Array:
    """`x` without axes of size 1."""
    axes = axes_of(axis, rank(x))
    wrong = [a for a in axes if x.shape[a] not in (1, None)]
    if wrong:
        raise ValueError(f"squeeze removes axes of size 1, but axis {wrong[0]} has size {x.shape[wrong[0]]}")
    return tf.squeeze(x, axes) if axes else tf.identity(x)


def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
    """Join arrays of one shape along a new axis."""
    parts = promote(*arrays)
    return tf.stack(parts, axis_of(axis, rank(parts[0]) + 1))


def tile(x: Array, repetitions: Any, /) -> Array:
    """`x` several times along each axis; the shorter of shape and repetitions is filled up with ones in front."""
    repetitions = tuple(repetitions)
    missing = len(repetitions) - rank(x)
    if missing > 0:
        x = tf.reshape(x, sizes_tensor([1] * missing + sizes(x)))
    multiples = sizes_tensor([1] * -missing + list(repetitions))
    if x.dtype != tf.uint16:
        return tf.tile(x, multiples)
    return tf.bitcast(tf.tile(tf.bitcast(x, tf.int16), multiples), tf.uint16)


def unstack(x: Array, /, *, axis: int = 0) -> tuple[Array, ...]:
    """Slices of `x` along an axis, whose size has to be known."""
    place = axis_of(axis, rank(x))
    if x.shape[place] is None:
        raise ValueError(f"unstack needs to know the size of axis {axis}: give it with tf.TensorSpec or x.set_shape")
    return tuple(tf.unstack(x, axis=place))
