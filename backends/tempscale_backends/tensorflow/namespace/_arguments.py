"""From what a caller gives to tensors of one dtype that TensorFlow's kernels compute in."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._dtypes import (
    DEFAULT_FLOAT,
    HALF,
    INTEGRAL,
    KINDS,
    SIGNED_OF,
    default_dtype,
    promote_dtypes,
    weak_dtype,
)

TENSORS = (tf.Tensor, tf.Variable)
SCALARS = (bool, int, float, complex)

Function = Callable[..., Any]


def as_operand(x: Any) -> Any:
    """Leave a tensor and a Python number as they are, take the number out of a NumPy scalar, convert the rest."""
    if isinstance(x, TENSORS) or type(x) in SCALARS:
        return x
    return x.item() if isinstance(x, np.generic) else tf.convert_to_tensor(x)


def scalar_tensor(scalar: Any, dtype: Any) -> Array:
    """Make a 0-d tensor from a Python number; an integer that does not fit raises, where TensorFlow wraps."""
    if isinstance(scalar, int) and dtype in INTEGRAL and not dtype.min <= scalar <= dtype.max:
        raise OverflowError(f"{scalar} does not fit {dtype.name}, which holds {dtype.min} to {dtype.max}")
    if scalar == 0 and tf.executing_eagerly() and not isinstance(scalar, int):
        # TensorFlow keeps the tensors of numbers, and takes one zero for the other
        return tf.reshape(tf.constant([scalar], dtype), [])
    return tf.constant(scalar, dtype)


def convert(x: Any, dtype: Any) -> Array:
    """Bring an operand to a dtype it promotes to."""
    if isinstance(x, SCALARS):
        return scalar_tensor(x, dtype)
    return x if x.dtype == dtype else tf.cast(x, dtype)


def common_dtype(operands: Sequence[Any]) -> Any:
    """Return what operands, tensors and Python numbers, promote to."""
    strong = [x.dtype for x in operands if not isinstance(x, SCALARS)]
    weak = [x for x in operands if isinstance(x, SCALARS)]
    dtype = functools.reduce(promote_dtypes, strong) if strong else default_dtype(sum(weak[1:], weak[0]))
    for scalar in weak:
        dtype = weak_dtype(scalar, dtype) if strong else dtype
    return dtype


def promote(*arrays: Any) -> list[Array]:
    """Bring arrays and Python numbers to their common dtype."""
    operands = [as_operand(x) for x in arrays]
    dtype = common_dtype(operands)
    return [convert(x, dtype) for x in operands]


def pair(x1: Any, x2: Any) -> tuple[Array, Array]:
    """Promote two operands; those of one dtype pass through."""
    if isinstance(x1, TENSORS) and isinstance(x2, TENSORS) and x1.dtype is x2.dtype:
        return x1, x2
    x1, x2 = promote(x1, x2)
    return x1, x2


def tensor(x: Any) -> Array:
    """Return an operand as a tensor, of the default dtype where it is a Python number."""
    x = as_operand(x)
    return scalar_tensor(x, default_dtype(x)) if isinstance(x, SCALARS) else x


def wrong_kind(name: str, kind: str, dtype: Any) -> TypeError:
    """Return the error for a dtype that a function does not take."""
    return TypeError(f"{name} takes arrays of a {kind} dtype, not {dtype.name}: convert them with astype")


def take_kind(name: str, kind: str, x: Array) -> Array:
    """Check the kind of an array; an integer where a float is asked for becomes one of the default dtype."""
    if x.dtype in KINDS[kind]:
        return x
    if x.dtype in INTEGRAL and kind in ("floating", "real floating"):
        return tf.cast(x, DEFAULT_FLOAT)
    raise wrong_kind(name, kind, x.dtype)


def elementwise(kind: str, *, wide: Mapping[Any, Any] | None = None) -> Callable[[Function], Function]:
    """Promote the arguments of a function, check their kind, and compute in the dtype `wide` has for theirs, if any."""
    compute_in = wide or {}
    direct = KINDS[kind] - compute_in.keys()

    def decorate(function: Function) -> Function:
        name = function.__name__

        @functools.wraps(function)
        def unary(x: Any, /) -> Array:
            if isinstance(x, TENSORS) and x.dtype in direct:
                return function(x)
            return narrowed(take_kind(name, kind, tensor(x)))

        @functools.wraps(function)
        def binary(x1: Any, x2: Any, /) -> Array:
            x1, x2 = pair(x1, x2)
            if x1.dtype in direct:
                return function(x1, x2)
            return narrowed(take_kind(name, kind, x1), take_kind(name, kind, x2))

        def narrowed(*arrays: Array) -> Array:
            given = arrays[0].dtype
            working = compute_in.get(given, given)
            result = function(*[tf.cast(x, working) for x in arrays])
            return tf.cast(result, given) if result.dtype == working else result

        return unary if len(inspect.signature(function).parameters) == 1 else binary

    return decorate


HALF_IN_FLOAT32 = dict.fromkeys(HALF, tf.float32)


def in_signed(function: Function, *arrays: Array) -> Array:
    """Compute what is the same modulo a power of two, such as sums and products, in the signed integers as wide."""
    dtype = arrays[0].dtype
    signed = SIGNED_OF.get(dtype)
    if signed is None:
        return function(*arrays)
    return tf.bitcast(function(*[tf.bitcast(x, signed) for x in arrays]), dtype)


def on(device: Any) -> contextlib.AbstractContextManager[Any]:
    """Place what is computed inside on a device, if one is given."""
    return contextlib.nullcontext() if device is None else tf.device(device)


def rank(x: Array) -> int:
    """Return the number of axes, which has to be known."""
    if x.shape.rank is None:
        raise ValueError("the rank of a tensor is not known: give it with tf.TensorSpec or x.set_shape")
    return int(x.shape.rank)


def sizes(x: Array) -> list[Any]:
    """Return the shape as Python integers where it is known, as 0-d tensors where it is not."""
    static = x.shape.as_list()
    if None not in static:
        return list(static)
    dynamic = tf.shape(x)
    return [dynamic[i] if size is None else size for i, size in enumerate(static)]


def size_of(x: Array, axis: int) -> Any:
    """Return the size of an axis, a 0-d tensor where it is not known."""
    return tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]


def axis_of(axis: int, ndim: int) -> int:
    """Return an axis counted from the front."""
    if not -ndim <= axis < ndim:
        raise IndexError(f"axis {axis} is not one of an array of {ndim} axes: give -{ndim} to {ndim - 1}")
    return axis % ndim


def axes_of(axis: Any, ndim: int) -> list[int]:
    """Return axes counted from the front: all of them for None, one for an integer."""
    if axis is None:
        return list(range(ndim))
    axes = [axis_of(a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {axis} names an axis twice")
    return axes


def only_axis(name: str, x: Array, axis: int | None) -> int:
    """Return the axis of a function that may leave it out for an array of one axis."""
    if axis is None and rank(x) != 1:
        raise ValueError(f"{name} of an array of {rank(x)} axes needs axis=")
    return 0 if axis is None else axis_of(axis, rank(x))


def swap_last(x: Array, axis: int) -> Array:
    """Exchange an axis with the last; doing it again undoes it."""
    last = rank(x) - 1
    if axis == last:
        return x
    order = list(range(last + 1))
    order[axis], order[last] = last, axis
    return tf.transpose(x, order)


def sizes_tensor(shape: Any) -> Array:
    """Return a shape as an integer tensor, the empty one included."""
    if isinstance(shape, TENSORS):
        return shape
    return tf.stack([tf.cast(n, tf.int32) for n in shape] or tf.zeros([0], tf.int32))


def diagonal_number(k: int) -> int:
    """Limit the number of a diagonal to int32: there is none beyond, and the sizes it is compared with are int32."""
    return int(max(-tf.int32.max, min(k, tf.int32.max)))


def as_shape(shape: Any) -> Any:
    """Return a shape, given as one integer or several."""
    return (shape,) if isinstance(shape, int) else shape
