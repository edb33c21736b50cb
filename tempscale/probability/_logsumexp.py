"""The logarithm of the partition function, and what it shares with the other functions of one value per row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tempscale._core.arguments import as_flag, prepare_logits
from tempscale._core.dtypes import cast, is_array, working_dtype
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.arrays import stop_gradient
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract
from tempscale.kernels.derivatives import (
    Derivatives,
    Gradients,
    rate,
    tangent_of_rate,
    tangent_of_z,
    to_logits,
    to_temperature,
    with_axis,
    with_derivatives,
)
from tempscale.kernels.exact.rows import log_of_total, prepared, selected
from tempscale.kernels.precision import Precision, limit, of_rows, with_precision
from tempscale.kernels.reductions import accurate_sum, row_max_or_nan
from tempscale.kernels.temperature import Known, Scaled, log_total, offset, probabilities, scale, widen
from tempscale.probability._quantities import LOG_LEGEND


@of_rows
def logsumexp_value(x: Array, temperature: Any, *, axis: int, xp: Any) -> Array:
    """Return the logarithm of the partition function."""
    q = prepared(x, temperature, axis, xp)
    at_zero = xp.where(q.m > 0, math.inf, xp.where(q.m < 0, -math.inf, q.m))
    shift = selected(q.rate.cold, at_zero, selected(q.rate.hot, 0.0, q.m * q.rate.value, xp), xp)
    # selected once more, though only `special` counts there: a product may not stand before a sum
    total = xp.where(q.valid, shift, q.m) + log_of_total(q, axis, xp)
    # a maximum that is not finite is the result, with NaN above all
    top = xp.max(xp.where(x == x, x, -math.inf), axis=axis, keepdims=True)
    nan = xp.max(xp.astype(x != x, x.dtype), axis=axis, keepdims=True) > 0
    if q.rate.valid is not True:
        nan = nan | ~q.rate.valid
    special = xp.where(nan, math.nan, xp.astype(top, total.dtype))
    return xp.where(q.valid, total, special)


def prepare_reduction(
    backend: Backend, logits: Array, /, *, keepdims: bool = False, **options: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Check the arguments of a function of logits that gives one value per row."""
    args, options = prepare_logits(backend, logits, **options)
    return args, {**options, "keepdims": as_flag(keepdims, "keepdims")}


def reduced(row: Array, logits: Array, axis: int, keepdims: bool, xp: Any) -> Array:
    """Return one value per row in the dtype of the logits, with `axis` kept or not."""
    return cast(row if keepdims else xp.squeeze(row, axis=axis), logits.dtype, xp)


class _Rows(NamedTuple):
    scaled: Scaled
    """With zeros in place of a row whose maximum is infinite: derivatives would be NaN, and reach a shared T."""
    m: Array
    infinite: Array
    """Where the maximum is infinite, which is the result then."""


def _rows(logits: Array, temperature: Any, axis: int, where: Array | None, xp: Any) -> _Rows:
    x = widen(logits, where, xp)
    m = stop_gradient(row_max_or_nan(x, axis=axis))
    infinite = (m == math.inf) | (m == -math.inf)
    if isinstance(temperature, Known):
        temperature = temperature._replace(
            m=xp.where(infinite, 0.0, m),
            total=xp.where(infinite, 1.0, temperature.total),
            others=xp.where(infinite, 0.0, temperature.others),
        )
    return _Rows(scale(xp.where(infinite, 0.0, x), temperature, axis, None, xp), m, infinite)


def _slope(rows: _Rows, axis: int, xp: Any) -> tuple[Array, Array]:
    """Return dlogsumexp / dz, the probabilities, and dlogsumexp / dlog(1/T) but for what goes through z, m / T."""
    p, q = probabilities(rows.scaled, axis, xp), rows.scaled
    return xp.where(rows.infinite & (p == p), 0.0, p), q.m * rate(q, xp)


@agnostic
def _gradient(
    logits: Array,
    result: Array,
    g: Array,
    /,
    *,
    temperature: Any,
    axis: int,
    where: Array | None,
    keepdims: bool,
    xp: Any = INJECTED,
) -> Gradients:
    rows = _rows(logits, temperature, axis, where, xp)
    p, shift = _slope(rows, axis, xp)
    g = with_axis(g, rows.scaled, axis, keepdims, xp)
    found = {"logits": to_logits(p * g, rows.scaled, logits, where, xp)}
    if is_array(temperature):
        found["temperature"] = to_temperature(p * g, rows.scaled, temperature, axis, xp, more=shift * g)
    return found


def _tangent(
    logits: Array,
    result: Array,
    /,
    *,
    temperature: Any,
    axis: int,
    where: Array | None,
    keepdims: bool,
    tangents: Mapping[str, Array],
    xp: Any,
) -> Array:
    rows = _rows(logits, temperature, axis, where, xp)
    p, shift = _slope(rows, axis, xp)
    t = accurate_sum(p * tangent_of_z(tangents, rows.scaled, where, xp), axis=axis)
    faster = tangent_of_rate(tangents, rows.scaled, xp)
    return reduced(t if faster is None else t + faster * shift, logits, axis, keepdims, xp)


logsumexp_derivatives = Derivatives(_gradient, _tangent)


@agnostic(prepare=prepare_reduction, arrays=("temperature", "where"), run_in=with_precision(logsumexp_value))
@with_derivatives(logsumexp_derivatives)
def logsumexp(
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
    """Logarithm of the partition function, log(sum(exp(logits / T))), in nats.

    Parameters
    ----------
    logits, temperature, axis, where, precision
        As for `softmax`.
    keepdims : bool, default False
        Keep `axis` with size 1.

    Returns
    -------
    array
        The shape of `logits` without `axis`, the dtype and device of `logits`. NaN if any entry is NaN, else
        +inf if any is +inf; -inf if all are masked. At T = 0 it is +inf, 0 or -inf by the sign of the maximum,
        and the log of the number of maxima where that is 0.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`.

    Notes
    -----
    (numeric contract)

    References
    ----------
    P. Blanchard, D. J. Higham, N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", IMA
    J. Numer. Anal. 41 (2021).

    Examples
    --------
    >>> import tempscale
    >>> float(tempscale.logsumexp([1000.0, 1000.0], temperature=2.0).round(4))
    500.6931
    """
    scaled, m, infinite = _rows(logits, temperature, axis, where, xp)
    total = offset(scaled, working_dtype(logits), xp) + log_total(scaled, axis, xp)
    total = xp.where(infinite & (total == total), m, total)
    return reduced(total, logits, axis, keepdims, xp)


@logsumexp.specified_by(
    Contract(
        "(3*abs(m)*r + (3*y + 8 + log2(n)) * s + 8*L + 2*abs(A)) * u + tiny",
        gradients={
            "logits": "(3*abs(z) + 3*y + 16 + log2(n)) * a * u + tiny * (1 + abs(g)*r)",
            "temperature": (
                "(8*abs(m)*r + sum(p*abs(z) * (3*abs(z) + 3*y + 28 + 2*log2(n)))) * abs(g)*r * u"
                " + tiny * (1 + (n + sum(abs(z))) * abs(g)*r)"
            ),
        },
        legend={
            **LOG_LEGEND,
            "m": "the maximum of the row",
            "A": "logsumexp, exactly",
            "r": "1/T, 0 at the limits",
            "a": "p * |g| * r",
        },
    ),
    limit=limit,
)
def _logsumexp_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = partition.Partition(logits, temperature)
    value = q.log_sum_exp(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        mean_z = wide.row_sum(q.p * wide.finite_or_zero(q.z))
        return {
            "logits": q.r * q.p * g,
            "temperature": -q.r * g * (wide.finite_or_zero(q.m) * q.r + mean_z),
            "a": q.r * q.p * abs(g),
            "g": g,
        }

    quantities = {**q.quantities(), "m": wide.finite_or_zero(q.m), "A": wide.finite_or_zero(value)}
    # m/T and log sum exp(z), whose sum may be near 0
    magnitude = wide.finite_or_zero(abs(q.m * q.r) + q.L)[..., 0]
    return {**quantities, "value": value[..., 0], "magnitude": magnitude, "gradients": gradients}
