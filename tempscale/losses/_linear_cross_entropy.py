"""The cross-entropy of a linear layer's logits, which are never held."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from tempscale._core.arguments import as_float, as_integer, as_number, as_temperature, common_float, one_of, same_shape
from tempscale._core.checks import check_labels, checking
from tempscale._core.dispatch import as_data, backend_of, is_number
from tempscale._core.dtypes import INTEGERS, cast, is_array, working_dtype
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract
from tempscale.kernels.indexing import axis_size, class_index
from tempscale.kernels.linear import Statistics, statistics
from tempscale.kernels.temperature import Scaled, offset, rate_of
from tempscale.losses._cross_entropy import REDUCTIONS, Smoothing, _as_label, _reduce, _weighted, _without_ignored


class Number(NamedTuple):
    """A number that may be another at each call. See `is_numbers`."""

    value: Any


def _prepare(
    backend: Backend,
    hidden: Array,
    weight: Array,
    labels: Array,
    /,
    *,
    bias: Array | None = None,
    temperature: Any = 1.0,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    hidden, weight = as_float(backend, hidden, "hidden"), as_float(backend, weight, "weight")
    if bias is None:
        hidden, weight = common_float(backend, hidden, weight)
    else:
        hidden, weight, bias = common_float(backend, hidden, weight, as_float(backend, bias, "bias"))
    classes = _check_layer(backend, hidden, weight, bias)
    temperature = as_temperature(backend, temperature, hidden, len(backend.shape(hidden)) - 1)
    if is_number(labels):
        labels = as_data(backend, labels, "'labels'", like=hidden)
    _check_labels(backend, hidden, labels)
    dtype = backend.dtype_name(labels)
    if ignore_index is not None:
        ignore_index = _as_label(ignore_index, dtype)
    label_smoothing = _within(label_smoothing, "label_smoothing", 1.0, "between 0 and 1")
    z_loss = _within(z_loss, "z_loss", math.inf, "of at least 0")
    if softcap is not None:
        softcap = as_number(softcap, "softcap")
        if not 0.0 < softcap < math.inf:
            raise ValueError(f"softcap is {softcap}, expected a number above 0, or None")
    reduction = one_of(reduction, "reduction", REDUCTIONS)
    if checking() and classes is not None:
        check_labels(backend, labels, classes, ignore_index, mean=reduction == "mean")
    if ignore_index is not None:  # an array, as what varies from call to call without being compiled in
        ignore_index = backend.asarray(ignore_index, dtype=dtype, like=labels)
    return (hidden, weight, labels), {
        "bias": bias,
        "temperature": temperature,
        "label_smoothing": Smoothing(label_smoothing, 1.0 - label_smoothing) if label_smoothing else None,
        "ignore_index": ignore_index,
        "z_loss": Number(z_loss) if z_loss else None,
        "softcap": None if softcap is None else Number(softcap),
        "reduction": reduction,
    }


def _within(value: Any, name: str, largest: float, expected: str) -> float:
    number = as_number(value, name)
    if not 0.0 <= number <= largest or number == math.inf:
        raise ValueError(f"{name} is {number}, expected a number {expected}")
    return number


def _check_layer(backend: Backend, hidden: Array, weight: Array, bias: Array | None) -> int | None:
    """Return the number of classes, if it is known; the shapes must be those of a layer and its input."""
    given, shape = backend.shape(weight), backend.shape(hidden)
    if not shape:
        raise ValueError("hidden is 0-dimensional, expected its width as the last axis")
    if len(given) != 2 or not same_shape(given[1:], shape[-1:]):
        advice = ": pass weight.T" if len(given) == 2 and same_shape(given[:1], shape[-1:]) else ""
        raise ValueError(f"weight has shape {given}, expected (classes, width) for hidden of shape {shape}{advice}")
    if given[0] == 0:
        raise ValueError(f"weight of shape {given} has no classes: at least one is needed")
    if bias is not None and not same_shape(backend.shape(bias), given[:1]):
        raise ValueError(f"bias has shape {backend.shape(bias)}, expected one number per class, ({given[0]},)")
    return given[0]


def _check_labels(backend: Backend, hidden: Array, labels: Array) -> None:
    dtype, given, shape = backend.dtype_name(labels), backend.shape(labels), backend.shape(hidden)
    if dtype not in INTEGERS:
        raise TypeError(f"labels is {dtype}, expected integers (classes): cross_entropy takes probabilities")
    if not same_shape(given, shape[:-1]):
        raise ValueError(f"labels has shape {given}, expected {shape[:-1]} for hidden of shape {shape}")


@agnostic(prepare=_prepare, arrays=("bias", "temperature"))
def linear_cross_entropy(
    hidden: Array,
    weight: Array,
    labels: Array,
    /,
    *,
    bias: Array | None = None,
    temperature: Any = 1.0,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    xp: Any = INJECTED,
) -> Array:
    """Cross-entropy of a linear layer's logits, which are never held: ``cross_entropy(hidden @ weight.T + bias, ...)``.

    It is the loss of a language model's last layer. Its logits are computed in blocks of classes, and once more when
    the loss is differentiated.

    Parameters
    ----------
    hidden : array
        Floats, (..., width): the input of the layer.
    weight : array
        (classes, width), as `torch.nn.Linear` has it; the kernel of a Keras or Flax layer is its transpose.
    labels : array
        Classes: integers, shaped as `hidden` without its last axis.
    bias : array, optional
        (classes,). -inf masks a class.
    temperature : float or array, default 1
        As for `softmax`: a number, a 0-d array, or one per row (the rank of `hidden`, size 1 on its last axis).
    label_smoothing, ignore_index, reduction
        As for `cross_entropy`. An example that is ignored reaches no gradient, even if it is NaN.
    z_loss : float, default 0
        Adds ``z_loss * logsumexp(logits / T)**2`` to the loss of each example.
    softcap : float, optional
        s > 0: the logits are ``s * tanh(a / s)`` of the layer's output a. Infinite outputs stay as they are: -inf
        masks a class, with +inf the row is NaN.

    Returns
    -------
    array
        0-d, or for "none" shaped as `labels`; device of `hidden`, the common dtype of `hidden`, `weight` and `bias`.
        A label out of range gives NaN for its example, a masked class with target mass +inf, a mean over nothing NaN.

    Raises
    ------
    TypeError
        For arguments that are not floats, labels that are not integers, arrays of two frameworks.
    ValueError
        For shapes that do not fit, a smoothing outside [0, 1], a negative `z_loss` or temperature, a `softcap` that is
        not above 0, an unknown reduction.

    Notes
    -----
    float16 and bfloat16 are multiplied and summed in float32, and logits are not rounded to 16 bits: what overflows
    float16 there does not here. A logit beyond the range of float32 is infinite.

    Memory is that of a block of logits, 2^19 of them or 512 classes, and of the gradients. Derivatives in forward mode
    take blocks as well, those of second order hold all logits.

    The bound is for one example (``reduction="none"``); a sum or mean of N adds (log2(N) + 8) u of the sum of the
    magnitudes. It is for products in full float32: settings such as TensorFloat-32 are beyond it.

    (numeric contract)

    References
    ----------
    E. Wijmans et al., "Cut your losses in large-vocabulary language models", 2025. z-loss: A. Chowdhery et al., "PaLM",
    2022, section 5. Soft-capping: Gemma Team, "Gemma 2", 2024, section 2.

    Examples
    --------
    >>> import numpy, tempscale
    >>> hidden = numpy.asarray([[1.0, 2.0], [0.5, -1.0]])
    >>> weight = numpy.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> float(tempscale.linear_cross_entropy(hidden, weight, [2, 0]).round(4))
    0.4859
    >>> float(tempscale.cross_entropy(hidden @ weight.T, [2, 0]).round(4))
    0.4859
    """
    dtype, working, batch = hidden.dtype, working_dtype(hidden), labels
    labels = xp.reshape(labels, (-1, 1))
    hidden = cast(_as_rows(hidden, xp), backend_of(hidden).dtype(working), xp)
    c = rate_of(temperature, working, xp)
    if is_array(temperature):
        c = _one_per_row(c, batch, xp)
    ignored = None if ignore_index is None else labels == ignore_index
    if ignored is not None:  # whatever is there, its gradient is 0, and the gradients of the weight are free of it
        hidden = xp.where(ignored, 0.0, hidden)
        c = xp.where(ignored, 1.0, c) if is_array(temperature) else c
    index, valid = class_index(labels, weight, 0, xp)
    found = statistics(
        hidden,
        weight,
        index,
        bias=bias,
        c=c,
        cap=None if softcap is None else softcap.value,
        smooth=label_smoothing is not None,
    )
    of = Statistics(*[found[:, i : i + 1] for i in range(5 if label_smoothing else 3)])
    classes = xp.astype(xp.asarray(axis_size(weight, axis=0)), hidden.dtype) if label_smoothing else None
    loss = _loss(of, label_smoothing, classes, xp)
    if z_loss is not None:
        log_partition = offset(Scaled(of.total, of.entry, of.m, c), working, xp) + of.total
        loss = loss + z_loss.value * (log_partition * log_partition)
    loss = xp.where(valid, loss, math.nan)
    loss, weights = _without_ignored(loss, xp.ones_like(loss), labels, ignore_index, xp)
    if reduction == "none":
        return xp.reshape(cast(loss, dtype, xp), batch.shape)
    return _reduce(loss, weights, reduction, 1, dtype, xp)


def _as_rows(x: Array, xp: Any) -> Array:
    return xp.reshape(x, (-1, x.shape[-1]))


def _one_per_row(c: Array, batch: Array, xp: Any) -> Array:
    """1/T in the shape (rows, 1), or (1, 1) if there is one for all."""
    if len(c.shape) == 0:
        return xp.reshape(c, (1, 1))
    return xp.reshape(c * xp.ones_like(xp.astype(batch, c.dtype))[..., None], (-1, 1))


def _loss(of: Statistics, smoothing: Any, classes: Any, xp: Any) -> Array:
    """The loss of each example under the target (1 - s) t + s / n."""
    valid = of.total == of.total
    impossible = (of.entry == -math.inf) & valid  # no gradient reaches a masked class
    loss = xp.where(impossible, math.inf, of.total - of.entry)
    if smoothing is None:
        return loss
    others = (of.total * of.live - of.sum) * (smoothing.share / classes)
    others = others + xp.where((of.live < classes) & valid, math.inf, 0.0)
    return _weighted(loss, smoothing.rest, xp) + others
