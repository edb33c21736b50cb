"""Data type functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import SCALARS, TENSORS, as_operand, on
from tempscale_backends.tensorflow.namespace._dtypes import (
    INTEGRAL,
    KINDS,
    PROMOTIONS,
    REAL_OF,
    STANDARD_KINDS,
    default_dtype,
    promote_dtypes,
    weak_dtype,
)


@dataclass(frozen=True)
class FloatInfo:
    """What a floating dtype can hold; of a complex dtype, what its parts can."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Any


@dataclass(frozen=True)
class IntegerInfo:
    """What an integer dtype can hold."""

    bits: int
    max: int
    min: int
    dtype: Any


def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
    """`x` in another dtype; complex numbers do not become real ones."""
    dtype = tf.as_dtype(dtype)
    if x.dtype.is_complex and not dtype.is_complex:
        raise TypeError(f"astype does not make {dtype.name} of {x.dtype.name}: take real(x), imag(x) or abs(x) first")
    with on(device):
        moved = x if device is None else tf.identity(x)
        return tf.cast(moved, dtype)


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether every value of one dtype is a value of the other, after the standard's promotion rules."""
    return bool(PROMOTIONS.get((_dtype(from_), tf.as_dtype(to))) == tf.as_dtype(to))


def _dtype(x: Any) -> Any:
    return x.dtype if isinstance(x, TENSORS) else tf.as_dtype(x)


def finfo(type: Any, /) -> FloatInfo:
    """Return the limits of a floating dtype, given itself or by an array."""
    dtype = _dtype(type)
    dtype = REAL_OF.get(dtype, dtype)
    if dtype not in KINDS["real floating"]:
        raise TypeError(f"finfo takes a floating dtype, not {dtype.name}: iinfo is for integers")
    if dtype == tf.bfloat16:
        return FloatInfo(16, 2.0**-7, float.fromhex("0x1.fep127"), float.fromhex("-0x1.fep127"), 2.0**-126, dtype)
    found = np.finfo(dtype.as_numpy_dtype)
    eps, high, low, normal = (float(n) for n in (found.eps, found.max, found.min, found.smallest_normal))
    return FloatInfo(dtype.size * 8, eps, high, low, normal, dtype)


def iinfo(type: Any, /) -> IntegerInfo:
    """Return the limits of an integer dtype, given itself or by an array."""
    dtype = _dtype(type)
    if dtype not in INTEGRAL:
        raise TypeError(f"iinfo takes an integer dtype, not {dtype.name}: finfo is for floating ones")
    return IntegerInfo(dtype.size * 8, int(dtype.max), int(dtype.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether `dtype` is of a kind, named as in the standard, or one of several."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in STANDARD_KINDS:
            raise ValueError(f"{kind!r} is not a kind of dtype: there are {', '.join(STANDARD_KINDS)}")
        return tf.as_dtype(dtype) in KINDS[kind]
    return bool(tf.as_dtype(dtype) == kind)


def result_type(*arrays_and_dtypes: Any) -> Any:
    """Return the dtype that arrays, dtypes and Python numbers promote to; numbers are weak."""
    if not arrays_and_dtypes:
        raise ValueError("result_type takes at least one array or dtype")
    given = [x if isinstance(x, tf.DType) else as_operand(x) for x in arrays_and_dtypes]
    strong = [x if isinstance(x, tf.DType) else x.dtype for x in given if not isinstance(x, SCALARS)]
    weak = [x for x in given if isinstance(x, SCALARS)]
    dtype = strong[0] if strong else default_dtype(sum(weak[1:], weak[0]))
    for other in strong[1:]:
        dtype = promote_dtypes(dtype, other)
    for scalar in weak if strong else ():
        dtype = weak_dtype(scalar, dtype)
    return dtype
