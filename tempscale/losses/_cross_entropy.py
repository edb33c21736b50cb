"""The cross-entropy, of classes and of probabilities."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from tempscale._core.arguments import as_axis, as_float, as_integer, as_number, as_temperature, one_of, same_shape
from tempscale._core.checks import check_labels, check_logits, checking
from tempscale._core.dispatch import as_data, backend_of, is_number
from tempscale._core.dtypes import INTEGER_RANGES, INTEGERS, cast, working_dtype
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import FLOATS, Array, Backend
from tempscale.contracts import Contract
from tempscale.kernels.exact.arithmetic import exact_sum, flushed, narrow
from tempscale.kernels.exact.rows import log_of_total, log_probabilities, prepared
from tempscale.kernels.example_losses import (
    Smoothing,
    Terms,
    along,
    are_classes,
    losses,
    losses_of_examples,
    weights_of_examples,
)
from tempscale.kernels.indexing import entry_at
from tempscale.kernels.precision import Precision, in_blocks, limit, with_precision
from tempscale.kernels.reductions import accurate_sum

REDUCTIONS = ("mean", "sum", "none")


def _prepare(
    backend: Backend,
    logits: Array,
    labels: Array,
    /,
    *,
    temperature: Any = 1.0,
    label_smoothing: float = 0.0,
    class_weights: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    axis: int = -1,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    logits = as_float(backend, logits, "logits")
    axis = as_axis(backend, logits, axis, "logits")
    temperature = as_temperature(backend, temperature, logits, axis)
    if is_number(labels):
        labels = as_data(backend, labels, "'labels'", like=logits)
    _check_label_shape(backend, logits, labels, axis)
    if ignore_index is not None:
        ignore_index = _as_label(ignore_index, backend.dtype_name(labels))
    label_smoothing = as_number(label_smoothing, "label_smoothing")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing is {label_smoothing}, expected a number between 0 and 1")
    reduction = one_of(reduction, "reduction", REDUCTIONS)
    if class_weights is not None:
        classes = backend.shape(logits)[axis]
        given = () if is_number(class_weights) else backend.shape(class_weights)
        if not same_shape(given, (classes,)):
            raise ValueError(f"class_weights has shape {given}, expected one weight per class, ({classes},)")
    if checking():
        check_logits(backend, logits, None, axis, "logits")
        if backend.dtype_name(labels) in INTEGERS:
            check_labels(backend, labels, logits.shape[axis], ignore_index, mean=reduction == "mean")
    if ignore_index is not None:  # an array, as what varies from call to call without being compiled in
        ignore_index = backend.asarray(ignore_index, dtype=backend.dtype_name(labels), like=labels)
    return (logits, labels), {
        "temperature": temperature,
        "label_smoothing": Smoothing(float(label_smoothing), 1.0 - label_smoothing) if label_smoothing else None,
        "class_weights": class_weights,
        "ignore_index": ignore_index,
        "reduction": reduction,
        "axis": axis,
    }


def _as_label(ignore_index: Any, dtype: str) -> int | None:
    """Return `ignore_index`, or None if labels of that dtype cannot hold it: some frameworks would wrap it around."""
    if dtype in FLOATS:
        raise ValueError(
            "ignore_index is for labels that are classes; give an example with probability labels a weight of 0, or "
            "leave it out"
        )
    index = as_integer(ignore_index, "ignore_index", " or None")
    least, largest = INTEGER_RANGES[dtype]
    return index if least <= index <= largest else None


def _check_label_shape(backend: Backend, logits: Array, labels: Array, axis: int) -> None:
    dtype, given, shape = backend.dtype_name(labels), backend.shape(labels), backend.shape(logits)
    if dtype in INTEGERS:
        want, what = shape[:axis] + shape[axis + 1 :], "classes (integers)"
    elif dtype in FLOATS:
        want, what = shape, "probabilities (floats)"
    else:
        raise TypeError(f"labels is {dtype}, expected integers (classes) or floats (probabilities)")
    if not same_shape(given, want):
        raise ValueError(
            f"labels has shape {given}, expected {want}: labels that are {what} for logits of shape {shape} with "
            f"classes on axis {axis}"
        )


def _reduce(loss: Array, weight: Any, reduction: str, axis: int, total: Callable[[Array], Array], xp: Any) -> Array:
    """Reduce losses, with the sum of an array of one axis."""
    if reduction == "none":
        return xp.squeeze(loss, axis=axis)
    found = total(xp.reshape(loss, (-1,)))
    if reduction == "mean":
        found = found / total(xp.reshape(weight, (-1,)))
    return xp.reshape(found, ())


# Reproducible


def _value(
    logits: Array,
    labels: Array,
    *,
    temperature: Any,
    label_smoothing: Smoothing | None,
    class_weights: Array | None,
    ignore_index: Array | None,
    reduction: str,
    axis: int,
    xp: Any,
) -> Array:
    """Reproducible cross-entropy.

    -log p is a sum of two numbers that are not negative, within 2^-34 of itself. Products with targets and weights are
    rounded to float64, and `exact_sum` adds n of them to within n * 2^-60 of the sum of their magnitudes. Where labels
    and weights are not negative that is the sum itself, so that the result is within 1 ulp of float32, be it of 2^32
    examples; the mean is a quotient of two such sums. Where terms cancel, the error is 2^-33 of their magnitudes.
    """
    backend = backend_of(logits)
    is_classes = are_classes(labels)

    def examples(logits: Array, *, labels: Array, temperature: Any, class_weights: Array | None, axis: int) -> Array:
        """Losses and weights, side by side along `axis`."""
        q = prepared(cast(logits, backend.dtype("float32"), xp), temperature, axis, xp)
        of_total = log_of_total(q, axis, xp)
        add = functools.partial(exact_sum, axis=axis, xp=xp)

        def surprise(x: Array) -> Array:
            found = -log_probabilities(x, q.m, q.rate.value, of_total)
            return xp.where(found > 2.0**512, math.inf, found)  # at T = 0

        terms = Terms(lambda: surprise(q.x), lambda index: surprise(entry_at(q.x, index, axis=axis)), add)
        weights = None if class_weights is None else _exact(class_weights, xp)
        target = labels if is_classes else _exact(labels, xp)
        loss = losses(terms, q.x, target, label_smoothing, weights, ignore_index, axis, xp)
        weight = weights_of_examples(q.x, target, weights, ignore_index, add, loss.dtype, axis, xp)
        return xp.concat([loss, weight], axis=axis)

    if class_weights is not None:
        class_weights = along(class_weights, axis, len(logits.shape), xp)
    labels = xp.expand_dims(labels, axis=axis) if is_classes else labels
    options = {"labels": labels, "temperature": temperature, "class_weights": class_weights}
    both = in_blocks(backend, examples)(logits, axis=axis, **options)
    before, after = (slice(None),) * axis, (slice(None),) * (len(logits.shape) - axis - 1)
    loss, weight = [both[(*before, slice(place, place + 1), *after)] for place in range(2)]

    def total(x: Array) -> Array:
        zero = xp.sum(xp.zeros_like(x), axis=0, keepdims=True)  # there may be no examples
        return exact_sum(xp.concat([x, zero], axis=0), 0, xp)

    found = _reduce(loss, weight, reduction, axis, total, xp)
    return narrow(flushed(found), dtype=backend.dtype_name(logits))


def _exact(x: Array, xp: Any) -> Array:
    return flushed(xp.astype(x, backend_of(x).dtype("float64")))


@agnostic(prepare=_prepare, arrays=("temperature", "class_weights"), run_in=with_precision(_value, rowwise=False))
def cross_entropy(
    logits: Array,
    labels: Array,
    /,
    *,
    temperature: Any = 1.0,
    label_smoothing: float = 0.0,
    class_weights: Array | None = None,
    ignore_index: int | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    axis: int = -1,
    precision: Precision = "default",
    xp: Any = INJECTED,
) -> Array:
    """Cross-entropy of softmax(logits / T) under the labels, in nats.

    Parameters
    ----------
    logits : array
        As for `softmax`.
    labels : array
        Classes: integers, shaped as `logits` without `axis`. Or probabilities: floats, shaped as `logits`. They
        are taken as they are, and need not sum to 1.
    temperature : float or array, default 1
        As for `softmax`.
    label_smoothing : float, default 0
        Replaces the target t by (1 - s) t + s / n, over all n classes.
    class_weights : array, optional
        One weight per class; multiplies the class's term.
    ignore_index : int, optional
        A label of this value contributes neither loss nor weight. There is none by default.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides the sum by the summed weight of the labels (without class weights: by their number, or
        the sum of the probabilities); "none" gives one loss per example, 0 where it is ignored.
    axis : int, default -1
        The axis of the classes.
    precision : {"default", "accurate", "reproducible"}, default "default"
        As for `softmax`; the derivatives of both are those of the default. 1 ulp is for labels and weights that are
        not negative, for reductions too if "reproducible".

    Returns
    -------
    array
        0-d, or for "none" shaped as `logits` without `axis`; dtype and device of `logits`. A label out of
        range gives NaN for its example, a masked class with target mass +inf, a mean over nothing NaN.

    Raises
    ------
    TypeError
        As for `softmax`, and for labels that are neither integers nor floats.
    ValueError
        As for `softmax`, and for shapes that do not fit, a smoothing outside [0, 1], an unknown reduction or
        precision, an `ignore_index` beside labels that are probabilities.

    Notes
    -----
    Where the frameworks have other rules:

    ==========================================  =========================================================
    there                                       the same here
    ==========================================  =========================================================
    torch ignores the label -100 by itself      ``ignore_index=-100``
    torch's mean of probability labels divides  ``cross_entropy(..., reduction="sum") / examples``
    by the examples, whatever their weight
    torch, label smoothing with weights: the    the same: the mean divides by the weight of the label before
    smoothed terms weighted by their class      smoothing
    Keras, TensorFlow: the class weights are    ``(cross_entropy(..., reduction="none") * w).mean()``
    the caller's `sample_weight`, and the mean
    divides by the examples
    Keras ``from_logits=False`` clips at 1e-7   no counterpart: pass logits
    optax ``where``, shaped as the labels       ``ignore_index``
    optax ``where``, shaped as the logits       -inf among the logits
    torch raises for a label out of range,      NaN for that example; `tempscale.checks` raises
    TensorFlow on CPU too; optax gives NaN, but
    counts a negative label from the end
    ==========================================  =========================================================

    The bound is for one example (``reduction="none"``); a sum or mean of N adds (log2(N) + 8) u of the sum of the
    magnitudes.

    (numeric contract)

    References
    ----------
    Label smoothing: C. Szegedy et al., "Rethinking the inception architecture", 2016, section 7.

    Examples
    --------
    >>> import tempscale
    >>> logits = [[2.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    >>> tempscale.cross_entropy(logits, [0, 1], reduction="none").round(4)
    array([0.2395, 1.5514])
    >>> float(tempscale.cross_entropy(logits, [0, 1], temperature=2.0).round(4))
    0.9229
    """
    working = backend_of(logits).dtype(working_dtype(logits))
    if class_weights is not None:
        class_weights = along(cast(class_weights, working, xp), axis, len(logits.shape), xp)
    labels = xp.expand_dims(labels, axis=axis) if are_classes(labels) else labels
    loss = losses_of_examples(
        logits,
        labels,
        temperature=temperature,
        label_smoothing=label_smoothing,
        class_weights=class_weights,
        ignore_index=ignore_index,
        axis=axis,
    )
    weight = None
    if reduction == "mean":
        add = functools.partial(accurate_sum, axis=axis)
        weight = weights_of_examples(logits, labels, class_weights, ignore_index, add, working, axis, xp)
    found = _reduce(loss, weight, reduction, axis, functools.partial(accurate_sum, axis=0), xp)
    return cast(found, logits.dtype, xp)


@cross_entropy.specified_by(
    Contract(
        "(sum(w * E) + (8 + 2*log2(n)) * sum(w * abs(l))) * u + 4*n*tiny",
        gradients={
            "logits": (
                "(p * (3*abs(z) + 3*y + 24 + 3*log2(n)) * sum(w) + 12*w) * abs(g)*r * u + 4*tiny * (1 + abs(g)*r)"
            ),
            "temperature": (
                "sum(abs(z) * (p * (3*abs(z) + 3*y + 32 + 4*log2(n)) * sum(w) + (20 + log2(n))*w)) * abs(g)*r * u"
                " + 4*tiny * (1 + n*sum(abs(z))*abs(g)*r)"
            ),
        },
        legend={
            "z": "(logits - max) / T",
            "p, l": "softmax and log_softmax, exactly",
            "y": "mean of |z| over all but one maximum, weighted by exp(z)",
            "E": "the bound of log_softmax in units of u",
            "w": "weight of the class's term: target, smoothing and class weight together",
            "r": "1/T, 0 at the limits",
        },
    ),
    variants={
        "classes": {"reduction": "none"},
        "probabilities": {"reduction": "none", "labels_as": "probabilities"},
        "smoothing 0.1": {"reduction": "none", "label_smoothing": 0.1},
    },
    limit=limit,
)
def _cross_entropy_reference(
    logits: Any,
    labels: Any,
    temperature: Any,
    *,
    label_smoothing: float = 0.0,
    class_weights: Any = 1.0,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> dict[str, Any]:
    q = partition.Partition(logits, temperature)
    if labels.ndim == logits.ndim:
        target, ignored = labels, np.zeros(logits.shape[:-1] + (1,), bool)
    else:
        target = (labels[..., None] == np.arange(q.n)) + 0 * q.r
        target = np.where((labels[..., None] < 0) | (labels[..., None] >= q.n), np.nan, target)
        ignored = labels[..., None] == ignore_index
    weight = class_weights * ((1 - label_smoothing) * target + label_smoothing / q.n)
    terms = np.where((weight == 0) & q.masked, 0, -weight * q.log_p)
    loss = np.where(ignored, 0, wide.row_sum(terms))

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        live = np.where(q.masked, 0, weight)
        to_z = (q.p * wide.row_sum(live) - live) * g
        return {
            "logits": q.r * to_z,
            "temperature": -q.r * wide.row_sum(wide.finite_or_zero(q.z) * to_z),
            "g": g,
        }

    return {**q.quantities(), "w": abs(weight), "value": loss[..., 0], "gradients": gradients}
