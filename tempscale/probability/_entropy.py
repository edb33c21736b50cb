"""Entropy."""

from __future__ import annotations

import math
from typing import Any

from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import Array
from tempscale.contracts import Contract
from tempscale.kernels.derivatives import Slope, derivatives_of, slope_of_rows, with_derivatives
from tempscale.kernels.exact.arithmetic import log1p, power_of_two, whole_sum
from tempscale.kernels.exact.rows import others_of, prepared
from tempscale.kernels.precision import Precision, limit, of_rows, with_precision
from tempscale.kernels.reductions import accurate_sum
from tempscale.kernels.temperature import Scaled, exponential, log_probability, scale
from tempscale.probability._logsumexp import prepare_reduction, reduced
from tempscale.probability._quantities import LOG_LEGEND


@of_rows
def entropy_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the entropy: the logarithm of the total plus the mean of -z, in which nothing cancels.

    With z2 the largest z below the maximum, that sum over the others is |z2| * mass + sum of e * (z2 - z), of which
    no term exceeds 1: whatever the temperature, integers of 44 bits hold it.
    """
    q = prepared(x, temperature, axis, xp)
    others = others_of(q, axis, xp)
    below = (others.second - xp.astype(others.x, q.m.dtype)) * q.rate.value
    terms = others.e * 2.0 * xp.where(below < 64.0, below, 0.0)
    rest = xp.where(others.mass > 0, whole_sum(terms, axis=axis) * 2.0**-44, 0.0)
    moment = xp.abs(xp.abs((others.second - q.m) * q.rate.value) * others.mass) + rest
    mean = moment * power_of_two(others.k) / (1.0 + others.total)
    return xp.where(q.valid, log1p(others.total, xp) + mean, math.nan)


def _terms(q: Scaled, axis: int, xp: Any) -> tuple[Array, Array]:
    """Return the probabilities, and -log p where there is one."""
    log_p = log_probability(q, axis, xp)
    return exponential(log_p), xp.where(log_p == -math.inf, 0.0, -log_p)


def _slope(q: Scaled, result: Array, axis: int, xp: Any) -> Slope:
    """Of dz it makes sum(p * (-log p - H) * dz)."""
    p, surprise = _terms(q, axis, xp)
    return slope_of_rows(p * (surprise - accurate_sum(p * surprise, axis=axis)), axis)


entropy_derivatives = derivatives_of(_slope)


@agnostic(prepare=prepare_reduction, arrays=("temperature", "where"), run_in=with_precision(entropy_value))
@with_derivatives(entropy_derivatives)
def entropy(
    logits: Array,
    /,
    *,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Array | None = None,
    keepdims: bool = False,
    precision: Precision = "default",
    xp: Any = INJECTED,
) -> Array:
    """Shannon entropy of softmax(logits / T), in nats (divide by log(2) for bits).

    Parameters
    ----------
    logits, temperature, axis, where, precision
        As for `softmax`.
    keepdims : bool, default False
        Keep `axis` with size 1.

    Returns
    -------
    array
        The shape of `logits` without `axis`, the dtype and device of `logits`; between 0 and log(n). A masked
        entry contributes nothing; invalid rows are NaN as for `softmax`.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`.

    Notes
    -----
    (numeric contract)

    References
    ----------
    C. E. Shannon, "A mathematical theory of communication", 1948.

    Examples
    --------
    >>> import math, tempscale
    >>> bool(abs(tempscale.entropy([0.0] * 8) - math.log(8)) < 1e-15)
    True
    """
    p, surprise = _terms(scale(logits, temperature, axis, where, xp), axis, xp)
    total = accurate_sum(p * surprise, axis=axis)
    return reduced(total, logits, axis, keepdims, xp)


@entropy.specified_by(
    Contract(
        "(sum(p*abs(l) * (3*abs(z) + 3*y + 16 + log2(n)) + p*E) + (4 + log2(n))*H) * u + 1024*n*tiny",
        gradients={
            "logits": (
                "((E + 24 + 2*log2(n)) * a + p*abs(g)*r * sum(p*(abs(l) + 1) * (E + 16 + log2(n)))) * u"
                " + 1024*n*tiny * (1 + abs(g)*r)"
            ),
            "temperature": (
                "sum(abs(z) * ((E + 32 + 3*log2(n)) * a"
                " + p*abs(g)*r * sum(p*(abs(l) + 1) * (E + 16 + log2(n))))) * u"
                " + 1024*n*tiny * (1 + abs(g)*r) * (1 + sum(abs(z)))"
            ),
        },
        legend={
            **LOG_LEGEND,
            "E": "the bound of log_softmax in units of u",
            "H": "the entropy, exactly",
            "r": "1/T, 0 at the limits",
            "a": "p * (|l| + H + 2) * |g| * r",
        },
    ),
    limit=limit,
)
def _entropy_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = partition.Partition(logits, temperature)
    surprise = -wide.finite_or_zero(q.log_p)
    entropy = wide.row_sum(q.p * surprise)

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        # the derivative of p * surprise is surprise - 1: the ones cancel, but not their rounding errors
        to_z = q.p * ((surprise - 1) - (entropy - 1)) * g
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * wide.row_sum(wide.finite_or_zero(q.z) * to_z),
            "a": q.r * q.p * (abs(surprise) + entropy + 2) * abs(g),
            "g": g,
        }

    return {**q.quantities(), "H": entropy, "value": entropy[..., 0], "gradients": gradients}
