"""Kullback-Leibler divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tempscale._core.arguments import as_axis, as_flag, as_float, as_mask, as_temperature, common_float, same_shape
from tempscale._core.checks import check_logits, checking
from tempscale._core.dtypes import is_array
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract
from tempscale.kernels.derivatives import (
    Derivatives,
    Gradients,
    tangent_of_z,
    to_logits,
    to_temperature,
    with_axis,
    with_derivatives,
)
from tempscale.kernels.reductions import accurate_sum
from tempscale.kernels.temperature import Scaled, exponential, log_probability, scale
from tempscale.probability._logsumexp import reduced


def _prepare_kl(
    backend: Backend,
    p_logits: Array,
    q_logits: Array,
    /,
    *,
    temperature: Any = 1.0,
    q_temperature: Any = None,
    axis: int = -1,
    where: Any = None,
    keepdims: bool = False,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    p, q = as_float(backend, p_logits, "p_logits"), as_float(backend, q_logits, "q_logits")
    if not same_shape(backend.shape(p), backend.shape(q)):
        raise ValueError(
            f"p_logits has shape {backend.shape(p)} and q_logits {backend.shape(q)}, expected the same shape"
        )
    p, q = common_float(backend, p, q)
    axis = as_axis(backend, p, axis, "p_logits")
    temperature = as_temperature(backend, temperature, p, axis)
    if q_temperature is None:
        q_temperature = temperature
    else:
        q_temperature = as_temperature(backend, q_temperature, q, axis, "q_temperature")
    where = as_mask(backend, where, p)
    if checking():
        check_logits(backend, p, where, axis, "p_logits")
        check_logits(backend, q, where, axis, "q_logits")
    options = {"temperature": temperature, "q_temperature": q_temperature, "axis": axis, "where": where}
    return (p, q), {**options, "keepdims": as_flag(keepdims, "keepdims")}


class _Two(NamedTuple):
    """Two distributions, and what their divergence is the sum of."""

    p: Scaled
    q: Scaled
    log_p: Array
    log_q: Array
    ratio: Array
    """log p - log q; 0 where one of them is masked."""
    impossible: Array
    """Where only q is masked."""


def _two(
    p_logits: Array, q_logits: Array, temperature: Any, q_temperature: Any, axis: int, where: Array | None, xp: Any
) -> _Two:
    p, q = scale(p_logits, temperature, axis, where, xp), scale(q_logits, q_temperature, axis, where, xp)
    log_p, log_q = log_probability(p, axis, xp), log_probability(q, axis, xp)
    no_p, no_q = log_p == -math.inf, log_q == -math.inf
    ratio = xp.where(no_p | no_q, 0.0, log_p) - xp.where(no_p | no_q, 0.0, log_q)
    return _Two(p, q, log_p, log_q, ratio, no_q & (log_p > -math.inf))


def _slopes(two: _Two, axis: int, xp: Any) -> tuple[Array, Array]:
    """Return the gradients with respect to z of p and of q; what is impossible is a constant."""
    p, q = exponential(two.log_p), exponential(two.log_q)
    possible = xp.where(two.impossible, 0.0, p)
    terms = possible * (two.ratio + 1.0)
    return terms - p * accurate_sum(terms, axis=axis), q * accurate_sum(possible, axis=axis) - possible


@agnostic
def _gradient(
    p_logits: Array,
    q_logits: Array,
    result: Array,
    g: Array,
    /,
    *,
    temperature: Any,
    q_temperature: Any,
    axis: int,
    where: Array | None,
    keepdims: bool,
    xp: Any = INJECTED,
) -> Gradients:
    two = _two(p_logits, q_logits, temperature, q_temperature, axis, where, xp)
    g = with_axis(g, two.p, axis, keepdims, xp)
    to_p, to_q = [slope * g for slope in _slopes(two, axis, xp)]
    found = {
        "p_logits": to_logits(to_p, two.p, p_logits, where, xp),
        "q_logits": to_logits(to_q, two.q, q_logits, where, xp),
    }
    if is_array(temperature):
        found["temperature"] = to_temperature(to_p, two.p, temperature, axis, xp)
    if is_array(q_temperature):
        found["q_temperature"] = to_temperature(to_q, two.q, q_temperature, axis, xp)
    return found


def _tangent(
    p_logits: Array,
    q_logits: Array,
    result: Array,
    /,
    *,
    temperature: Any,
    q_temperature: Any,
    axis: int,
    where: Array | None,
    keepdims: bool,
    tangents: Mapping[str, Array],
    xp: Any,
) -> Array:
    two = _two(p_logits, q_logits, temperature, q_temperature, axis, where, xp)
    along_p, along_q = _slopes(two, axis, xp)
    of_p = {"logits": tangents["p_logits"], "temperature": tangents.get("temperature")}
    of_q = {"logits": tangents["q_logits"], "temperature": tangents.get("q_temperature")}
    terms = along_p * tangent_of_z(of_p, two.p, where, xp) + along_q * tangent_of_z(of_q, two.q, where, xp)
    return reduced(accurate_sum(terms, axis=axis), p_logits, axis, keepdims, xp)


kl_divergence_derivatives = Derivatives(_gradient, _tangent)


@agnostic(prepare=_prepare_kl, arrays=("temperature", "q_temperature", "where"))
@with_derivatives(kl_divergence_derivatives)
def kl_divergence(
    p_logits: Array,
    q_logits: Array,
    /,
    *,
    temperature: Any = 1.0,
    q_temperature: Any = None,
    axis: int = -1,
    where: Array | None = None,
    keepdims: bool = False,
    xp: Any = INJECTED,
) -> Array:
    """Kullback-Leibler divergence KL(p || q) of two softmax distributions, in nats.

    Parameters
    ----------
    p_logits, q_logits : array
        Logits of the distribution that is averaged over (the teacher) and of the other (the student), of one
        shape. Two float dtypes are promoted as the array API standard says.
    temperature : float or array, default 1
        Temperature of p, and of q unless `q_temperature` is given. Shapes as for `softmax`.
    q_temperature : float or array, optional
        Temperature of q.
    axis, where
        As for `softmax`; `where` masks both.
    keepdims : bool, default False
        Keep `axis` with size 1.

    Returns
    -------
    array
        One value per row, in the common dtype. Where p is masked nothing is contributed; where q is masked and
        p is not, the result is +inf. Invalid rows are NaN.

    Raises
    ------
    TypeError, ValueError
        As for `softmax`, and `ValueError` if the shapes differ.

    Notes
    -----
    The frameworks take other arguments. For the same number:

    ==================================================  =====================================================
    here                                                there
    ==================================================  =====================================================
    ``kl_divergence(p, q).mean()``                      ``torch.nn.functional.kl_div(log_softmax(q),
                                                        log_softmax(p), log_target=True,
                                                        reduction="batchmean")`` for rows on one axis (it
                                                        divides by the first); ``"mean"`` divides by the
                                                        classes as well
    ``kl_divergence(p, q)``                             ``keras.losses.KLDivergence(reduction=None)(softmax(p),
                                                        softmax(q))`` but for its clipping of both at 1e-7
    ``kl_divergence(p, q)``                             ``optax.losses.kl_divergence_with_log_targets(
                                                        log_softmax(q), log_softmax(p))``
    ``T**2 * kl_divergence(p, q, temperature=T)``       the distillation term of Hinton et al. 2015
    ==================================================  =====================================================

    Where p is near q the terms cancel, so that the bound is absolute. It holds for results below 0 as well.

    (numeric contract)

    References
    ----------
    S. Kullback, R. A. Leibler, "On information and sufficiency", 1951.

    Examples
    --------
    >>> import tempscale
    >>> float(tempscale.kl_divergence([0.0, 1.0], [0.0, 1.0]))
    0.0
    >>> float(tempscale.kl_divergence([0.0, 0.0], [0.0, float("-inf")]))
    inf
    """
    two = _two(p_logits, q_logits, temperature, q_temperature, axis, where, xp)
    terms = xp.where(two.impossible, math.inf, exponential(two.log_p) * two.ratio)
    return reduced(accurate_sum(terms, axis=axis), p_logits, axis, keepdims, xp)


@kl_divergence.specified_by(
    Contract(
        "sum(p * (E_p + E_q + (E_p + 8 + log2(n)) * (abs(l_p) + abs(l_q)))) * u + 2048*n*tiny",
        gradients={
            "p_logits": (
                "((E_p + 24 + 2*log2(n)) * a + p*abs(g)*r * (E_p + E_q"
                " + sum(p*((E_p + 16 + log2(n)) * (abs(l_p) + abs(l_q) + 1) + E_q)))) * u"
                " + 2048*n*tiny * (1 + abs(g)*r)"
            ),
            "q_logits": (
                "(p * (E_p + 12) + q * (E_q + 24 + 2*log2(n) + sum(p * E_p))) * abs(g)*r * u"
                " + 4*n*tiny * (1 + abs(g)*r)"
            ),
            "temperature": (
                "sum(abs(z_p) * ((E_p + 32 + 3*log2(n)) * a + p*abs(g)*r * (E_p + E_q"
                " + sum(p*((E_p + 16 + log2(n)) * (abs(l_p) + abs(l_q) + 1) + E_q))))"
                " + abs(z_q) * (p * (E_p + 20 + log2(n)) + q * (E_q + 32 + 3*log2(n) + sum(p * E_p))) * abs(g)*r) * u"
                " + 2048*n*tiny * (1 + abs(g)*r) * (1 + sum(abs(z_p) + abs(z_q)))"
            ),
        },
        legend={
            "z_p, z_q": "(logits - max) / T of the two",
            "p, q": "the two softmax distributions, exactly",
            "l_p, l_q": "their logarithms",
            "E_p, E_q": "the bounds of their log_softmax in units of u",
            "r": "1/T, 0 at the limits",
            "a": "p * (|l_p| + |l_q| + 1 + sum(p * (|l_p| + |l_q| + 1))) * |g| * r",
        },
    )
)
def _kl_reference(p_logits: Any, q_logits: Any, temperature: Any) -> dict[str, Any]:
    p, q = partition.Partition(p_logits, temperature), partition.Partition(q_logits, temperature)
    l_p, l_q = wide.finite_or_zero(p.log_p), wide.finite_or_zero(q.log_p)
    impossible = (q.log_p == -np.inf) & (p.log_p > -np.inf)
    terms = np.where(impossible, np.inf, np.where(p.p == 0, 0 * p.p, p.p * (l_p - l_q)))
    value = wide.row_sum(terms)

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        ratio = np.where(impossible, 0, l_p - l_q)
        size = abs(l_p) + abs(l_q) + 1
        possible = np.where(impossible, 0, p.p)
        to_p = possible * (ratio + 1) - p.p * wide.row_sum(possible * (ratio + 1))
        to_q = q.p * wide.row_sum(possible) - possible
        z_p, z_q = wide.finite_or_zero(p.z), wide.finite_or_zero(q.z)
        return {
            "p_logits": p.r * to_p * g,
            "q_logits": p.r * to_q * g,
            "temperature": -p.r * wide.row_sum(z_p * to_p + z_q * to_q) * g,
            "a": p.r * p.p * (size + wide.row_sum(p.p * size)) * abs(g),
            "g": g,
        }

    return {
        **{"n": p.n, "z_p": p.abs_z, "z_q": q.abs_z, "p": p.p, "q": q.p, "l_p": l_p, "l_q": l_q, "r": p.r},
        **{"E_p": p.log_error(), "E_q": q.log_error()},
        "value": value[..., 0],
        "gradients": gradients,
    }
