"""Log-probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tempscale._core.arguments import prepare_logits
from tempscale._core.dtypes import cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import Array
from tempscale.contracts import Contract
from tempscale.kernels.derivatives import Slope, derivatives_of, with_derivatives
from tempscale.kernels.exact.rows import log_of_total, log_probabilities, prepared
from tempscale.kernels.precision import Precision, limit, of_rows, with_precision
from tempscale.kernels.reductions import accurate_sum
from tempscale.kernels.temperature import Scaled, log_probability, probabilities, scale
from tempscale.probability._quantities import LOG_ERROR, LOG_LEGEND


@of_rows
def log_softmax_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the log-probabilities, within 0.51 ulp of float32."""
    q = prepared(x, temperature, axis, xp)
    return log_probabilities(q.x, q.m, q.rate.value, log_of_total(q, axis, xp))


def _slope(q: Scaled, result: Array, axis: int, xp: Any) -> Slope:
    """Of dz it makes dz - sum(p * dz); nothing reaches or leaves a masked entry."""
    p = probabilities(q, axis, xp)  # more accurate than exp of the result
    masked = q.z == -math.inf

    def backward(g: Array) -> Array:
        g = xp.where(masked, 0.0, g)
        return g - p * accurate_sum(g, axis=axis)

    def forward(t: Array) -> Array:
        return xp.where(masked, 0.0, t - accurate_sum(p * t, axis=axis))

    return Slope(backward, forward)


log_softmax_derivatives = derivatives_of(_slope)


@with_derivatives(log_softmax_derivatives)
def wide_log_softmax(logits: Array, /, *, temperature: Any, axis: int, where: Array | None, xp: Any) -> Array:
    """Log-probabilities in the working precision."""
    return log_probability(scale(logits, temperature, axis, where, xp), axis, xp)


@agnostic(prepare=prepare_logits, arrays=("temperature", "where"), run_in=with_precision(log_softmax_value))
@with_derivatives(log_softmax_derivatives)
def log_softmax(
    logits: Array,
    /,
    *,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Array | None = None,
    precision: Precision = "default",
    xp: Any = INJECTED,
) -> Array:
    """Log-probabilities, log(softmax(logits / T)), in nats, without the cancellation of that form.

    Parameters
    ----------
    logits, temperature, axis, where, precision
        As for `softmax`.

    Returns
    -------
    array
        Shape, dtype and device of `logits`. A masked entry is -inf; invalid rows are NaN as for `softmax`.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`.

    Notes
    -----
    ``log(softmax(x))`` is -inf where a probability underflows, and ``z - log(sum(exp(z)))`` is 0 at an entry
    that dominates. This function computes ``z - log1p(sum of the others)`` and is accurate in both places.

    (numeric contract)

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", IMA
    J. Numer. Anal. 41 (2021).

    Examples
    --------
    >>> import numpy, tempscale
    >>> x = numpy.asarray([0.0, -200.0], dtype="float32")
    >>> with numpy.errstate(divide="ignore"):
    ...     numpy.log(tempscale.softmax(x))
    array([  0., -inf], dtype=float32)
    >>> tempscale.log_softmax(x)
    array([   0., -200.], dtype=float32)
    """
    return cast(log_probability(scale(logits, temperature, axis, where, xp), axis, xp), logits.dtype, xp)


LOG_SOFTMAX_GRADIENTS = {
    "logits": "((3*abs(z) + 3*y + 20 + 2*log2(n)) * p*G + 4*abs(g)*r) * u + tiny * (1 + G)",
    "temperature": (
        "sum(abs(z) * ((3*abs(z) + 3*y + 28 + 3*log2(n)) * p*G + (12 + log2(n)) * abs(g)*r)) * u"
        " + tiny * (1 + n * sum(abs(z) * G))"
    ),
}


@log_softmax.specified_by(
    Contract(
        f"({LOG_ERROR}) * u + tiny",
        gradients=LOG_SOFTMAX_GRADIENTS,
        legend={**LOG_LEGEND, "r": "1/T, 0 at the limits", "G": "sum(|g|) * r"},
    ),
    limit=limit,
)
def log_softmax_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    """Return the exact log-probabilities, for `log_prob` too."""
    q = partition.Partition(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        g = np.where(q.masked, 0, g)
        to_z = g - q.p * wide.row_sum(g)
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * wide.row_sum(wide.finite_or_zero(q.z) * to_z),
            "G": q.r * wide.row_sum(abs(g)),
            "g": g,
        }

    return {**q.quantities(), "value": q.log_p, "gradients": gradients}
