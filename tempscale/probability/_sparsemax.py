"""Sparse probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from tempscale._core.arguments import prepare_logits
from tempscale._core.dtypes import cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.arrays import stop_gradient
from tempscale.backend import Array
from tempscale.contracts import Contract
from tempscale.kernels.derivatives import Slope, derivatives_of, with_derivatives
from tempscale.kernels.reductions import accurate_sum, minus_row
from tempscale.kernels.temperature import Scaled, scale


def _slope(q: Scaled, result: Array, axis: int, xp: Any) -> Slope:
    """Of dz it makes dz less the mean of dz, both in the support, which is its own transpose."""
    p = stop_gradient(_projected(q.z, axis, xp) if result.dtype != q.z.dtype else result)
    support = cast(p > 0, p.dtype, xp) + 0.0 * p  # NaN in a row that is
    size = accurate_sum(support, axis=axis)

    def across(v: Array) -> Array:
        return support * (v - accurate_sum(support * v, axis=axis) / size)

    return Slope(across, across)


sparsemax_derivatives = derivatives_of(_slope)


@agnostic(prepare=prepare_logits, arrays=("temperature", "where"))
@with_derivatives(sparsemax_derivatives)
def sparsemax(
    logits: Array,
    /,
    *,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Array | None = None,
    xp: Any = INJECTED,
) -> Array:
    """Euclidean projection of logits / T onto the probability simplex: probabilities, many of them exactly 0.

    Parameters
    ----------
    logits, temperature, axis, where
        As for `softmax`.

    Returns
    -------
    array
        Shape, dtype and device of `logits`; max(logits / T - tau, 0) with the tau that makes it sum to 1. Invalid
        rows are NaN as for `softmax`. The limit T = 0 is that of `softmax`, T = inf too.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`.

    Notes
    -----
    The support is found by sorting; O(n log n) per row.

    (numeric contract)

    References
    ----------
    A. F. T. Martins, R. F. Astudillo, "From softmax to sparsemax", ICML 2016, algorithm 1.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.sparsemax([1.0, 0.5, -1.0])
    array([0.75, 0.25, 0.  ])
    """
    return cast(_projected(scale(logits, temperature, axis, where, xp).z, axis, xp), logits.dtype, xp)


def _projected(z: Array, axis: int, xp: Any) -> Array:
    # An entry 1 or more below the maximum has no mass. Clipped there it cannot change tau, and is finite.
    near = xp.where(z <= -1.0, -1.0, z)
    ordered = -xp.sort(-near, axis=axis)
    rank = xp.cumulative_sum(xp.ones_like(ordered), axis=axis)
    inside = 1.0 + rank * ordered > xp.cumulative_sum(ordered, axis=axis)
    threshold = _threshold(ordered, inside, axis, xp)
    # Rounding in the running sum can misplace the edge of the support; one Newton step from there mends it.
    tau = _threshold(near, near > threshold, axis, xp)
    # With a NaN anywhere in the row, tau is NaN, compares as False, and so reaches every entry.
    tau = tau + 0.0 * accurate_sum(near, axis=axis)
    return xp.where(near <= tau, 0.0, minus_row(near, tau))


def _threshold(values: Array, inside: Array, axis: int, xp: Any) -> Array:
    """Tau = (sum of the support - 1) / its size."""
    total = accurate_sum(xp.where(inside, values, 0.0), axis=axis)
    return (total - 1.0) / accurate_sum(cast(inside, values.dtype, xp), axis=axis)


@sparsemax.specified_by(
    Contract(
        "(3*min(abs(z), 1) + 12 + 2*log2(n)) * u + tiny",
        gradients={
            "logits": "(8 + 2*log2(n)) * (abs(g) + sum(k * abs(g)) / sum(k)) * k*r * u + tiny + edge",
            "temperature": (
                "sum((16 + 3*log2(n)) * abs(z) * (abs(g) + sum(k * abs(g)) / sum(k)) * k*r) * u + tiny + edge"
            ),
        },
        legend={
            "z": "(logits - max) / T",
            "k": "1 in the support, 0 outside",
            "edge": "inf in a row with an entry within the error of the edge of the support, where the gradient jumps",
            "r": "1/T, 0 at the limits",
        },
    )
)
def _sparsemax_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = partition.Partition(logits, temperature)
    ordered = -np.sort(-q.z, axis=-1)
    inside = 1 + np.arange(1, q.n + 1) * ordered > np.cumsum(ordered, axis=-1)
    size = wide.row_sum(inside)
    tau = wide.divide(wide.row_sum(np.where(inside, ordered, 0)) - 1, size)
    value = np.where(wide.row_sum(wide.isnan(q.z)) > 0, np.nan, np.maximum(q.z - tau, 0))
    support = np.where(wide.isnan(value), np.nan, np.where(value > 0, 1.0, 0.0))
    on_edge = abs(q.z - tau) <= (16 + 2 * np.log2(q.n)) * 2.0**-24
    edge = np.where(np.any(on_edge, axis=-1, keepdims=True), np.inf, 0.0)

    def gradients(g: Any) -> dict[str, Any]:
        to_z = support * (g - wide.divide(wide.row_sum(support * g), size))
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * wide.row_sum(wide.finite_or_zero(q.z) * to_z),
            "g": g,
        }

    return {**q.quantities(), "k": support, "edge": edge, "value": value, "gradients": gradients}
