"""Logits to probabilities, and what is said about them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tempscale import _wide
from tempscale._agnostic import INJECTED, agnostic
from tempscale._arguments import (
    INTEGERS,
    as_axis,
    as_float,
    as_mask,
    as_temperature,
    common_float,
    prepare_logits,
    same_shape,
)
from tempscale._checks import check_labels, check_logits, checking
from tempscale._dispatch import backend_of, is_number
from tempscale._precision import (
    Precision,
    entropy_value,
    flushed,
    in_blocks,
    log_of_total,
    log_probabilities,
    log_softmax_value,
    logsumexp_value,
    narrow,
    prepared,
    softmax_value,
    with_precision,
)
from tempscale._scaling import (
    accurate_sum,
    cast,
    class_index,
    entry_at,
    log_probability,
    log_total,
    offset,
    row_max_or_nan,
    scale,
    times_row,
    widen,
    working_dtype,
)
from tempscale.arrays import stop_gradient
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract

__all__ = ["entropy", "kl_divergence", "log_prob", "log_softmax", "logsumexp", "softmax"]

_LEGEND = {"z": "(logits - max) / T", "p": "softmax, exactly"}
_LOG_LEGEND = {
    **_LEGEND,
    "l": "log_softmax, exactly",
    "L": "-l at the maximum, log sum exp(z)",
    "s": "1 - exp(-L), the mass of all but one maximum",
    "y": "mean of |z| over all but one maximum, weighted by exp(z)",
}
_LOG_ERROR = "3*abs(z) + (3*y + 8 + log2(n)) * s + 8*L + 2*abs(l)"
_GRADIENT_LEGEND = {"G": "(|g| + sum(p |g|)) / T", "b": "p * sum(p |g z|) / T; both 0 at the limits of T"}


@agnostic(prepare=prepare_logits, arrays=("temperature", "where"), run_in=with_precision(softmax_value))
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
    e = xp.exp(scale(logits, temperature, axis, where, xp).z)
    p = times_row(e, 1.0 / accurate_sum(e, axis=axis))
    return cast(p, logits.dtype, xp)


@softmax.specified_by(
    Contract(
        "(3*abs(z) + 8 + log2(n)) * u * p + tiny",
        gradients={
            "logits": "((3*abs(z) + 20 + 2*log2(n)) * p*G + 3*b) * u + tiny * (1 + G)",
            "temperature": (
                "sum(abs(z) * ((3*abs(z) + 28 + 3*log2(n)) * p*G + 3*b)) * u + tiny * (1 + n * sum(abs(z) * G))"
            ),
        },
        legend={**_LEGEND, **_GRADIENT_LEGEND},
    )
)
def _softmax_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = _wide.Partition(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        p_g = _wide.row_sum(q.p * g)
        size = _wide.row_sum(q.p * abs(g))
        to_z = q.p * (g - p_g)
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * _wide.row_sum(_wide.finite_or_zero(q.z) * to_z),
            "G": q.r * (abs(g) + size),
            "b": q.r * q.p * _wide.row_sum(q.p * abs(g) * q.abs_z),
        }

    return {**q.quantities(), "value": q.p, "gradients": gradients}


@agnostic(prepare=prepare_logits, arrays=("temperature", "where"), run_in=with_precision(log_softmax_value))
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


_LOG_SOFTMAX_GRADIENTS = {
    "logits": "((3*abs(z) + 3*y + 20 + 2*log2(n)) * p*G + 4*abs(g)*r) * u + tiny * (1 + G)",
    "temperature": (
        "sum(abs(z) * ((3*abs(z) + 3*y + 28 + 3*log2(n)) * p*G + (12 + log2(n)) * abs(g)*r)) * u"
        " + tiny * (1 + n * sum(abs(z) * G))"
    ),
}


@log_softmax.specified_by(
    Contract(
        f"({_LOG_ERROR}) * u + tiny",
        gradients=_LOG_SOFTMAX_GRADIENTS,
        legend={**_LOG_LEGEND, "r": "1/T, 0 at the limits", "G": "sum(|g|) * r"},
    )
)
def _log_softmax_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = _wide.Partition(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        g = np.where(q.masked, 0, g)
        to_z = g - q.p * _wide.row_sum(g)
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * _wide.row_sum(_wide.finite_or_zero(q.z) * to_z),
            "G": q.r * _wide.row_sum(abs(g)),
            "g": g,
        }

    return {**q.quantities(), "value": q.log_p, "gradients": gradients}


def _prepare_log_prob(
    backend: Backend, logits: Array, tokens: Array, /, **options: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    (logits,), options = prepare_logits(backend, logits, **options)
    if is_number(tokens):
        tokens = backend.asarray(tokens, like=logits)
    if backend.dtype_name(tokens) not in INTEGERS:
        raise TypeError(
            f"tokens is {backend.dtype_name(tokens)}, expected integers: the classes whose probability to take"
        )
    given, (*batch, classes) = backend.shape(tokens), backend.shape(logits)
    if not same_shape(given[: len(batch)], tuple(batch)) or len(given) > len(batch) + 1:
        raise ValueError(
            f"tokens has shape {given}, expected {tuple(batch)}, one per row of logits of shape {(*batch, classes)}, "
            "or several on one more axis"
        )
    if checking():
        check_labels(backend, tokens, logits.shape[-1], None, mean=False, name="tokens")
    options.pop("axis")
    return (logits, tokens), options


def _one_more_axis(tokens: Array, logits: Array, xp: Any) -> Array:
    """Return tokens with an axis of draws, as they may have it already."""
    return tokens if len(tokens.shape) == len(logits.shape) else xp.expand_dims(tokens, axis=len(tokens.shape))


def _log_prob_value(logits: Array, tokens: Array, *, temperature: Any, where: Array | None, xp: Any) -> Array:
    backend, last = backend_of(logits), len(logits.shape) - 1

    def of_rows(logits: Array, *, axis: int, tokens: Array, temperature: Any, where: Array | None) -> Array:
        x = cast(logits, backend.dtype("float32"), xp)
        q = prepared(x if where is None else xp.where(where, x, -math.inf), temperature, axis, xp)
        index, valid = class_index(tokens, x, axis, xp)
        entries = entry_at(q.x, index, axis=axis)
        found = log_probabilities(entries, q.m, q.rate.value, log_of_total(q, axis, xp))
        return narrow(flushed(xp.where(valid, found, math.nan)), dtype=backend.dtype_name(logits))

    options = {"tokens": _one_more_axis(tokens, logits, xp), "temperature": temperature, "where": where}
    found = in_blocks(backend, of_rows)(logits, axis=last, **options)
    return found if len(tokens.shape) == len(logits.shape) else xp.squeeze(found, axis=last)


@agnostic(
    prepare=_prepare_log_prob, arrays=("temperature", "where"), run_in=with_precision(_log_prob_value, rowwise=False)
)
def log_prob(
    logits: Array,
    tokens: Array,
    /,
    *,
    temperature: Any = 1.0,
    where: Array | None = None,
    precision: Precision = "default",
    xp: Any = INJECTED,
) -> Array:
    """Log-probabilities of classes that were drawn, log(softmax(logits / T)) at these, in nats.

    Parameters
    ----------
    logits : array
        Floats or integers of shape (..., classes).
    tokens : array
        Integers of shape (...), one class per row; or of shape (..., k), several per row, as `sample` draws them
        with ``num_samples``.
    temperature, where, precision
        As for `softmax`. Give the temperature and the mask that the tokens were drawn with.

    Returns
    -------
    array
        Of the shape of `tokens`, the dtype and device of `logits`. A masked class has -inf; an index of no class, as
        -1, has NaN, and so has a row that is invalid for `softmax`.

    Raises
    ------
    TypeError
        For tokens that are not integers; otherwise as for `softmax`.
    ValueError
        For tokens whose shape does not fit; otherwise as for `softmax`.

    Notes
    -----
    These are the entries of `log_softmax` at the tokens, which are accurate also where one class dominates.

    (numeric contract)

    Examples
    --------
    >>> import tempscale
    >>> from tempscale import random
    >>> logits = [[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]
    >>> tokens = tempscale.sample(logits, random.key(0), temperature=0.7)
    >>> tempscale.log_prob(logits, tokens, temperature=0.7).round(4)
    array([-0.2601, -0.0016])
    """
    axis = len(logits.shape) - 1
    log_p = log_probability(scale(logits, temperature, axis, where, xp), axis, xp)
    index, valid = class_index(_one_more_axis(tokens, logits, xp), log_p, axis, xp)
    found = cast(xp.where(valid, entry_at(log_p, index, axis=axis), math.nan), logits.dtype, xp)
    return found if len(tokens.shape) == len(logits.shape) else xp.squeeze(found, axis=axis)


@log_prob.specified_by(
    Contract(
        "sum(w * E) * u + tiny",
        gradients=_LOG_SOFTMAX_GRADIENTS,
        legend={
            **_LOG_LEGEND,
            "w": "1 at the token, 0 elsewhere",
            "E": "the bound of log_softmax in units of u",
            "r": "1/T, 0 at the limits",
            "g": "the cotangent at the token, 0 elsewhere",
            "G": "sum(|g|) * r",
        },
    )
)
def _log_prob_reference(logits: Any, labels: Any, temperature: Any) -> dict[str, Any]:
    q = _wide.Partition(logits, temperature)
    index = labels[..., None]
    drawn = (index == np.arange(q.n)) + 0 * q.r
    drawn = np.where((index < 0) | (index >= q.n), np.nan, drawn)
    full = _log_softmax_reference(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        return dict(full["gradients"](drawn * g[..., None]))

    value = _wide.row_sum(np.where(drawn == 0, 0, drawn * q.log_p))[..., 0]
    return {**full, "w": drawn, "value": value, "gradients": gradients}


def _prepare_reduction(
    backend: Backend, logits: Array, /, *, keepdims: bool = False, **options: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, options = prepare_logits(backend, logits, **options)
    return args, {**options, "keepdims": bool(keepdims)}


def _reduced(row: Array, logits: Array, axis: int, keepdims: bool, xp: Any) -> Array:
    return cast(row if keepdims else xp.squeeze(row, axis=axis), logits.dtype, xp)


@agnostic(prepare=_prepare_reduction, arrays=("temperature", "where"), run_in=with_precision(logsumexp_value))
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
    x = widen(logits, where, xp)
    # where the maximum is infinite it is the result
    m = stop_gradient(row_max_or_nan(x, axis=axis))
    infinite = (m == math.inf) | (m == -math.inf)
    # zeros in place of such a row: its derivatives would be NaN, and reach a temperature that all rows share
    scaled = scale(xp.where(infinite, 0.0, x), temperature, axis, None, xp)
    total = offset(scaled, working_dtype(logits), xp) + log_total(scaled.z, axis, xp)
    total = xp.where(infinite & (scaled.c == scaled.c), m, total)
    return _reduced(total, logits, axis, keepdims, xp)


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
            **_LOG_LEGEND,
            "m": "the maximum of the row",
            "A": "logsumexp, exactly",
            "r": "1/T, 0 at the limits",
            "a": "p * |g| * r",
        },
    )
)
def _logsumexp_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = _wide.Partition(logits, temperature)
    value = q.log_sum_exp(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        mean_z = _wide.row_sum(q.p * _wide.finite_or_zero(q.z))
        return {
            "logits": q.r * q.p * g,
            "temperature": -q.r * g * (_wide.finite_or_zero(q.m) * q.r + mean_z),
            "a": q.r * q.p * abs(g),
            "g": g,
        }

    quantities = {**q.quantities(), "m": _wide.finite_or_zero(q.m), "A": _wide.finite_or_zero(value)}
    # m/T and log sum exp(z), whose sum may be near 0
    magnitude = _wide.finite_or_zero(abs(q.m * q.r) + q.L)[..., 0]
    return {**quantities, "value": value[..., 0], "magnitude": magnitude, "gradients": gradients}


@agnostic(prepare=_prepare_reduction, arrays=("temperature", "where"), run_in=with_precision(entropy_value))
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
    log_p = log_probability(scale(logits, temperature, axis, where, xp), axis, xp)
    surprise = xp.where(log_p == -math.inf, 0.0, -log_p)
    total = accurate_sum(xp.exp(log_p) * surprise, axis=axis)
    return _reduced(total, logits, axis, keepdims, xp)


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
            **_LOG_LEGEND,
            "E": "the bound of log_softmax in units of u",
            "H": "the entropy, exactly",
            "r": "1/T, 0 at the limits",
            "a": "p * (|l| + H + 2) * |g| * r",
        },
    )
)
def _entropy_reference(logits: Any, temperature: Any) -> dict[str, Any]:
    q = _wide.Partition(logits, temperature)
    surprise = -_wide.finite_or_zero(q.log_p)
    entropy = _wide.row_sum(q.p * surprise)

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        to_z = q.p * (surprise - entropy) * g
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * _wide.row_sum(_wide.finite_or_zero(q.z) * to_z),
            "a": q.r * q.p * (abs(surprise) + entropy + 2) * abs(g),
            "g": g,
        }

    return {**q.quantities(), "H": entropy, "value": entropy[..., 0], "gradients": gradients}


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
    return (p, q), {**options, "keepdims": bool(keepdims)}


@agnostic(prepare=_prepare_kl, arrays=("temperature", "q_temperature", "where"))
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
    log_p = log_probability(scale(p_logits, temperature, axis, where, xp), axis, xp)
    log_q = log_probability(scale(q_logits, q_temperature, axis, where, xp), axis, xp)
    no_p, no_q = log_p == -math.inf, log_q == -math.inf
    ratio = xp.where(no_p | no_q, 0.0, log_p) - xp.where(no_p | no_q, 0.0, log_q)
    terms = xp.where(no_q & (log_p > -math.inf), math.inf, xp.exp(log_p) * ratio)
    return _reduced(accurate_sum(terms, axis=axis), p_logits, axis, keepdims, xp)


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
    p, q = _wide.Partition(p_logits, temperature), _wide.Partition(q_logits, temperature)
    l_p, l_q = _wide.finite_or_zero(p.log_p), _wide.finite_or_zero(q.log_p)
    impossible = (q.log_p == -np.inf) & (p.log_p > -np.inf)
    terms = np.where(impossible, np.inf, np.where(p.p == 0, 0 * p.p, p.p * (l_p - l_q)))
    value = _wide.row_sum(terms)

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        ratio = np.where(impossible, 0, l_p - l_q)
        size = abs(l_p) + abs(l_q) + 1
        possible = np.where(impossible, 0, p.p)
        to_p = possible * (ratio + 1) - p.p * _wide.row_sum(possible * (ratio + 1))
        to_q = q.p * _wide.row_sum(possible) - possible
        z_p, z_q = _wide.finite_or_zero(p.z), _wide.finite_or_zero(q.z)
        return {
            "p_logits": p.r * to_p * g,
            "q_logits": p.r * to_q * g,
            "temperature": -p.r * _wide.row_sum(z_p * to_p + z_q * to_q) * g,
            "a": p.r * p.p * (size + _wide.row_sum(p.p * size)) * abs(g),
            "g": g,
        }

    return {
        **{"n": p.n, "z_p": p.abs_z, "z_q": q.abs_z, "p": p.p, "q": q.p, "l_p": l_p, "l_q": l_q, "r": p.r},
        **{"E_p": p.log_error(), "E_q": q.log_error()},
        "value": value[..., 0],
        "gradients": gradients,
    }
