"""Probabilities."""

from __future__ import annotations

import math
from typing import Any

from tempscale._core.arguments import prepare_logits
from tempscale._core.dtypes import cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import Array
from tempscale.contracts import Contract
from tempscale.kernels.derivatives import Slope, derivatives_of, with_derivatives
from tempscale.kernels.exact.arithmetic import LOG2_E, exponentials, whole_sum
from tempscale.kernels.exact.rows import LOWEST, prepared
from tempscale.kernels.precision import Precision, limit, of_rows, with_precision
from tempscale.kernels.reductions import accurate_sum
from tempscale.kernels.temperature import Scaled, probabilities, scale
from tempscale.probability._quantities import GRADIENT_LEGEND, LEGEND


@of_rows
def softmax_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the probabilities, within 0.51 ulp of float32."""
    q = prepared(x, temperature, axis, xp)
    e = exponentials(q.x, q.m, q.rate.value * LOG2_E, LOWEST, 44.0)
    total = whole_sum(e, axis=axis)
    return e * xp.where(q.valid, 1.0 / xp.where(q.valid, total, 1.0), math.nan)


def _slope(q: Scaled, result: Array, axis: int, xp: Any) -> Slope:
    """Of dz it makes p * (dz - sum(p * dz)), which is its own transpose."""
    p = result if result.dtype == q.z.dtype else probabilities(q, axis, xp)

    def across(v: Array) -> Array:
        return p * (v - accurate_sum(p * v, axis=axis))

    return Slope(across, across)


softmax_derivatives = derivatives_of(_slope)


@agnostic(prepare=prepare_logits, arrays=("temperature", "where"), run_in=with_precision(softmax_value))
@with_derivatives(softmax_derivatives)
def softmax(
    logits: Array,
    /,
    *,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Array | None = None,
    precision: Precision = "default",
    xp: Any = INJECTED,
) -> Array:
    """Probabilities exp(logits / T) / sum(exp(logits / T)).

    Parameters
    ----------
    logits : array
        Floats of any shape with at least one axis; -inf marks a masked entry. Integers are computed in the
        framework's default float dtype.
    temperature : float or array, default 1
        T >= 0: a number, a 0-d array, or one per row (the rank of `logits`, size 1 on `axis`). 0 and inf give
        the limits: all mass on the maximum, shared by exact ties; uniform over what is not masked.
    axis : int, default -1
        The axis of the classes.
    where : array of bool, optional
        Broadcasts to `logits`; False masks an entry, as -inf does.
    precision : {"default", "accurate", "reproducible"}, default "default"
        "accurate" computes in float64 and rounds once: within 1 ulp of the true value for float32, for logits of 16
        bits within the rounding to their dtype. "reproducible" has the same bits in every framework, eager and
        compiled, and is within 1 ulp too; for float16, bfloat16 and float32, up to 2^18 classes. Its derivatives
        are those of the default. See docs/precision.md.

    Returns
    -------
    array
        Shape, dtype and device of `logits`. A masked entry is exactly 0. A row with NaN, with +inf, or with
        nothing but masked entries is NaN; so is one with an array temperature that is negative or NaN.

    Raises
    ------
    TypeError
        For boolean or complex logits, arrays of two frameworks, a mask that is not boolean, float64 logits that are
        to be "reproducible".
    ValueError
        For a negative or NaN number as temperature, an axis that does not exist or is empty, shapes that do
        not fit, an unknown precision, more than 2^18 classes that are to be "reproducible".

    Notes
    -----
    Computed in float32 for float16, bfloat16 and float32, else in float64; the maximum is subtracted before the
    reciprocal of T is multiplied, which `softmax(logits / T)` does not.

    (numeric contract)

    References
    ----------
    J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990. Temperature:
    G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", 2015, eq. 1.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.softmax([1.0, 2.0, 3.0], temperature=0.5).round(3)
    array([0.016, 0.117, 0.867])
    """
    return cast(probabilities(scale(logits, temperature, axis, where, xp), axis, xp), logits.dtype, xp)


@softmax.specified_by(
    Contract(
        "(3*abs(z) + 8 + log2(n)) * u * p + tiny",
        gradients={
            "logits": "((3*abs(z) + 20 + 2*log2(n)) * p*G + 3*b) * u + tiny * (1 + G)",
            "temperature": (
                "sum(abs(z) * ((3*abs(z) + 28 + 3*log2(n)) * p*G + 3*b)) * u + tiny * (1 + n * sum(abs(z) * G))"
            ),
        },
        legend={**LEGEND, **GRADIENT_LEGEND},
    ),
    limit=limit,
)
def _softmax_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = partition.Partition(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        p_g = wide.row_sum(q.p * g)
        size = wide.row_sum(q.p * abs(g))
        to_z = q.p * (g - p_g)
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * wide.row_sum(wide.finite_or_zero(q.z) * to_z),
            "G": q.r * (abs(g) + size),
            "b": q.r * q.p * wide.row_sum(q.p * abs(g) * q.abs_z),
        }

    return {**q.quantities(), "value": q.p, "gradients": gradients}
