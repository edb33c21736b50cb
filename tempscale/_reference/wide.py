"""Numbers of higher precision, in which references compute what is exact.

Rows lie along the last axis. Arrays are float64 (for results of 32 bits and fewer), longdouble, or, where
that is no wider than float64, objects of mpmath.
"""

from __future__ import annotations

from typing import Any

import numpy as np

WIDE_LONGDOUBLE = bool(np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant)
Wide = np.ndarray[Any, Any]


def to_wide(x: Any, working: str, *, longdouble: bool = WIDE_LONGDOUBLE) -> Wide:
    """Return `x` in the precision of the reference for the working precision `working`, exactly."""
    # every dtype that is tested fits; side by side, because NumPy's sums are not in pairs along other axes
    exact = np.asarray(x).astype(np.float64, order="C")
    if working == "float32":
        return exact
    return exact.astype(np.longdouble) if longdouble else _to_mpmath(exact)


def as_floats(x: Any) -> Wide:
    """Return `x` as floats that NumPy's ufuncs take: longdouble where it is wide, else float64."""
    x = np.asarray(x)
    if x.dtype != object:
        return np.asarray(x, dtype=np.longdouble)
    # in two parts, because NumPy takes an mpmath number for a float64
    high = x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        rest = np.where(np.isfinite(high), x - high, 0.0).astype(np.float64)
    return np.asarray(high.astype(np.longdouble) + rest)


def _to_mpmath(x: Wide) -> Wide:
    import mpmath

    mpmath.mp.prec = max(mpmath.mp.prec, 120)
    return np.asarray(np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)(x), dtype=object)


def _elementwise(name: str) -> Any:
    def apply(x: Any) -> Any:
        if x.dtype != object:
            return getattr(np, name)(x)
        import mpmath

        if name == "isnan":
            return np.asarray(np.frompyfunc(mpmath.isnan, 1, 1)(x), dtype=bool)
        return np.asarray(np.frompyfunc(getattr(mpmath, {"abs": "fabs"}.get(name, name)), 1, 1)(x), dtype=object)

    return apply


exp, log, log1p, tanh, isnan, absolute = map(_elementwise, ("exp", "log", "log1p", "tanh", "isnan", "abs"))


def divide(x: Wide, y: Wide) -> Wide:
    """Return ``x / y``, by IEEE 754 also where mpmath raises: NaN for 0 / 0."""
    if object not in (np.asarray(x).dtype, np.asarray(y).dtype):
        return np.asarray(x / y)
    zero = y == 0
    return np.where(zero, np.where(x > 0, np.inf, np.where(x < 0, -np.inf, np.nan)), x / np.where(zero, 1, y))


def row_sum(x: Wide) -> Wide:
    """Sum along the classes, kept as an axis."""
    total: Wide = np.sum(x, axis=-1, keepdims=True)
    return total


def held(x: Any) -> Any:
    """`x`, as a constant to differentiation, where a reference is differentiated along a line."""
    return x.held() if hasattr(x, "held") else x


def finite_or_zero(x: Wide) -> Wide:
    """`x` with 0 in place of what is infinite or NaN: a quantity that conditions nothing there."""
    return np.where(isnan(x) | (absolute(x) == np.inf), 0.0, x)
