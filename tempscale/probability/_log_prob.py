"""Log-probabilities of classes that were drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tempscale._core.arguments import prepare_logits, same_shape
from tempscale._core.checks import check_labels, checking
from tempscale._core.dispatch import as_data, backend_of, is_number
from tempscale._core.dtypes import INTEGERS, cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract
from tempscale.kernels.exact.arithmetic import flushed, narrow
from tempscale.kernels.exact.rows import log_of_total, log_probabilities, prepared
from tempscale.kernels.example_losses import losses_of_examples
from tempscale.kernels.indexing import class_index, entry_at
from tempscale.kernels.precision import Precision, in_blocks, limit, with_precision
from tempscale.probability._log_softmax import LOG_SOFTMAX_GRADIENTS, log_softmax_reference, wide_log_softmax
from tempscale.probability._quantities import LOG_LEGEND


def _prepare_log_prob(
    backend: Backend, logits: Array, tokens: Array, /, **options: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    (logits,), options = prepare_logits(backend, logits, **options)
    if is_number(tokens):
        tokens = as_data(backend, tokens, "'tokens'", like=logits)
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
    if len(tokens.shape) < len(logits.shape):
        masked = logits if where is None else xp.where(where, logits, xp.full_like(logits, -math.inf))
        options = {"temperature": temperature, "label_smoothing": None, "class_weights": None, "ignore_index": None}
        loss = losses_of_examples(masked, xp.expand_dims(tokens, axis=axis), axis=axis, **options)
        return cast(xp.squeeze(-loss, axis=axis), logits.dtype, xp)
    log_p = wide_log_softmax(logits, temperature=temperature, axis=axis, where=where, xp=xp)
    index, valid = class_index(tokens, log_p, axis, xp)
    return cast(xp.where(valid, entry_at(log_p, index, axis=axis), math.nan), logits.dtype, xp)


@log_prob.specified_by(
    Contract(
        "sum(w * E) * u + tiny",
        gradients=LOG_SOFTMAX_GRADIENTS,
        legend={
            **LOG_LEGEND,
            "w": "1 at the token, 0 elsewhere",
            "E": "the bound of log_softmax in units of u",
            "r": "1/T, 0 at the limits",
            "g": "the cotangent at the token, 0 elsewhere",
            "G": "sum(|g|) * r",
        },
    ),
    limit=limit,
)
def _log_prob_reference(logits: Any, labels: Any, temperature: Any) -> dict[str, Any]:
    q = partition.Partition(logits, temperature)
    index = labels[..., None]
    drawn = (index == np.arange(q.n)) + 0 * q.r
    drawn = np.where((index < 0) | (index >= q.n), np.nan, drawn)
    full = log_softmax_reference(logits, temperature)

    def gradients(g: Any) -> dict[str, Any]:
        return dict(full["gradients"](drawn * g[..., None]))

    value = wide.row_sum(np.where(drawn == 0, 0, drawn * q.log_p))[..., 0]
    return {**full, "w": drawn, "value": value, "gradients": gradients}
