"""Distances between floating-point numbers, in units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["spacing", "ulp_distance", "ulp_error"]

_FORMATS = {
    # name: (bits of the fraction, exponent of the smallest normal number, largest finite number)
    "float16": (10, -14, 65504.0),
    "bfloat16": (7, -126, float.fromhex("0x1.fep127")),
    "float32": (23, -126, float.fromhex("0x1.fffffep127")),
    "float64": (52, -1022, float.fromhex("0x1.fffffffffffffp1023")),
}

FLUSHED = 2.0**-126
"""What is smaller is 0 to some frameworks, in every dtype of up to 32 bits."""

_FARTHEST = np.iinfo(np.int64).max


def largest(dtype: str) -> float:
    """Return the largest finite number of a float dtype."""
    return _FORMATS[dtype][2]


def smallest_normal(dtype: str) -> float:
    """Return the smallest normal number of a float dtype."""
    return float(2.0 ** _FORMATS[dtype][1])


def spacing(x: Any, dtype: str) -> Any:
    """Return the distance between neighbouring numbers of a dtype at `x`, subnormal ones included; in float64 or more.

    Examples
    --------
    >>> float(spacing(1.0, "bfloat16"))
    0.0078125
    """
    fraction, smallest, _ = _FORMATS[dtype]
    x = np.asarray(x)
    wide = np.result_type(x, np.float64).type
    # frexp gives 0 the exponent of 1/2
    _, exponent = np.frexp(np.maximum(np.abs(x.astype(wide)), wide(2.0) ** smallest))
    return np.ldexp(wide(1.0), np.maximum(exponent - 1, smallest) - fraction)


def ulp_distance(a: Any, b: Any, dtype: str) -> np.ndarray[Any, Any]:
    """Return how many numbers of `dtype` lie between `a` and `b`; 0 where both are NaN.

    Subnormal numbers count as zero, because TensorFlow and JAX flush them; zero and the smallest normal number
    are neighbours. A NaN beside a number is as far away as can be.

    Examples
    --------
    >>> import numpy
    >>> ulp_distance(numpy.float32([1.0, 0.0]), numpy.float32([1.0 + 2**-22, 1e-40]), "float32")
    array([2, 0])
    """
    a, b = (np.asarray(x).astype(np.float64) for x in (a, b))
    nan = np.isnan(a) != np.isnan(b)
    one, other = _position(a, dtype), _position(b, dtype)
    steps = np.abs(one - other)
    too_far = (one > 0) & (other < one - _FARTHEST) | (one < 0) & (other > one + _FARTHEST)
    return np.where(nan | too_far, _FARTHEST, steps)


def ulp_error(x: Any, exact: Any, dtype: str, *, beyond: Any = 0.0) -> np.ndarray[Any, Any]:
    """Return |x - exact| beyond `beyond` in spacings of `dtype` at `exact`, which is of higher precision.

    `dtype` is one of up to 32 bits.

    NaN and infinities that are exact must be met; an infinity in the place of a number too large counts as the next
    after the largest. Where `x` and `exact` are both below 2^-126 there is no error, because TensorFlow and JAX flush.

    Examples
    --------
    >>> import numpy
    >>> ulp_error(numpy.float32([0.5, 0.0]), [0.5 + 2**-26, 1e-40], "float32")
    array([0.25, 0.  ])
    """
    x, exact, beyond = (np.asarray(a).astype(np.float64) for a in (x, exact, beyond))
    end = largest(dtype) + float(spacing(largest(dtype), dtype))
    with np.errstate(all="ignore"):
        error = np.maximum(np.abs(np.clip(x, -end, end) - np.clip(exact, -end, end)) - beyond, 0.0)
        flushed = np.maximum(np.abs(x), np.abs(exact)) <= FLUSHED
        error = np.where(flushed, 0.0, error / spacing(np.clip(exact, -end, end), dtype))
    special = ~np.isfinite(exact) | np.isnan(x)
    met = (x == exact) | np.isnan(x) & np.isnan(exact)
    return np.where(special, np.where(met, 0.0, np.inf), error)


def _position(x: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """Count the normal numbers between 0 and `x`, with sign: neighbours differ by 1."""
    fraction, smallest, greatest = _FORMATS[dtype]
    # an infinity, of whatever dtype it was, comes next after the largest number
    beyond = greatest + float(spacing(greatest, dtype)) if greatest < 2.0**1000 else np.inf
    magnitude = np.minimum(np.abs(np.where(np.isnan(x), 0.0, x)), beyond)
    bits = magnitude.view(np.int64)
    # float64 bits, cut to the fraction of the dtype, from its smallest normal number on
    steps = (bits >> (52 - fraction)) - ((smallest + 1023) << fraction) + 1
    return np.where(np.isnan(x), 0, np.where(x < 0, -1, 1) * np.maximum(steps, 0))
