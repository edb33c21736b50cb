"""The cross-entropy, of classes and of probabilities."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from tempscale._core.arguments import as_axis, as_float, as_integer, as_number, as_temperature, one_of, same_shape
from tempscale._core.checks import check_labels, check_logits, checking
from tempscale._core.dispatch import as_data, backend_of, is_number
from tempscale._core.dtypes import INTEGER_RANGES, INTEGERS, cast, is_array, working_dtype
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import FLOATS, Array, Backend
from tempscale.contracts import Contract
from tempscale.kernels.derivatives import (
    Derivatives,
    Gradients,
    tangent_of_z,
    to_logits,
    to_temperature,
    with_derivatives,
)
from tempscale.kernels.exact.arithmetic import exact_sum, flushed, narrow
from tempscale.kernels.exact.rows import log_of_total, log_probabilities, prepared
from tempscale.kernels.indexing import class_index, entry_at, indices
from tempscale.kernels.precision import Precision, in_blocks, limit, with_precision
from tempscale.kernels.reductions import accurate_sum, sum_to_row
from tempscale.kernels.temperature import Scaled, log_of_entries, log_probability, log_total, probabilities, scale

REDUCTIONS = ("mean", "sum", "none")


class Smoothing(NamedTuple):
    """The number s of label smoothing, unless it is 0, where there is None. See `is_numbers`."""

    share: Any
    """s: for all classes together."""
    rest: Any
    """1 - s: for the label."""


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


class _Terms(NamedTuple):
    """What losses are made of: in the default precision, or so that they are reproducible."""

    surprise: Callable[[], Array]
    """-log p of every class."""
    surprise_at: Callable[[Array], Array]
    """-log p of one class per row, at an index."""
    add: Callable[[Array], Array]
    """Sum of a row, kept as an axis."""


def _are_classes(labels: Array) -> bool:
    return backend_of(labels).dtype_name(labels) in INTEGERS


def _losses(
    terms: _Terms,
    x: Array,
    labels: Array,
    smoothing: Any,
    weights: Array | None,
    ignore_index: Array | None,
    axis: int,
    xp: Any,
) -> Array:
    """Loss of each example; weights and labels are shaped as the logits `x`, with axes of size 1."""
    if not _are_classes(labels):
        target = labels if weights is None else labels * weights
        loss = terms.add(_weighted(terms.surprise(), target, xp))
        return _smoothed(loss, terms, smoothing, weights, axis, xp)
    index, valid = class_index(labels, x, axis, xp)
    loss = terms.surprise_at(index)
    if weights is not None:
        loss = _weighted(loss, _entry_of_rows(weights, index, x, axis, xp), xp)
    loss = xp.where(valid, _smoothed(loss, terms, smoothing, weights, axis, xp), math.nan)
    return loss if ignore_index is None else xp.where(labels == ignore_index, 0.0, loss)


def _smoothed(loss: Array, terms: _Terms, smoothing: Any, weights: Array | None, axis: int, xp: Any) -> Array:
    """The loss under the target (1 - s) t + s / n: every class has a share of the mass."""
    if smoothing is None:
        return loss
    every = terms.surprise() if weights is None else _weighted(terms.surprise(), weights, xp)
    share = smoothing.share / _count(every, axis, xp)
    return terms.add(xp.concat([_weighted(loss, smoothing.rest, xp), terms.add(every) * share], axis=axis))


def _count(x: Array, axis: int, xp: Any) -> Array:
    """Return the number of classes as one number per row, which is exact."""
    return xp.sum(xp.ones_like(x), axis=axis, keepdims=True)


def _entry_of_rows(weights: Array, index: Array, x: Array, axis: int, xp: Any) -> Array:
    return entry_at(weights * xp.ones_like(cast(x, weights.dtype, xp)), index, axis=axis)


def _weights(
    x: Array,
    labels: Array,
    weights: Array | None,
    ignore_index: Array | None,
    add: Callable[[Array], Array],
    dtype: Any,
    axis: int,
    xp: Any,
) -> Array:
    """Weight of each example in the mean, in a dtype."""
    if not _are_classes(labels):
        target = cast(labels, dtype, xp)
        return add(target if weights is None else target * weights)
    index, _ = class_index(labels, x, axis, xp)
    weight = xp.ones_like(cast(index, dtype, xp)) if weights is None else _entry_of_rows(weights, index, x, axis, xp)
    return weight if ignore_index is None else xp.where(labels == ignore_index, 0.0, weight)


def _weighted(loss: Array, weight: Any, xp: Any) -> Array:
    """`weight * loss`, where a weight of 0 makes even an infinite loss 0."""
    infinite = loss == math.inf
    # kept out of the product, whose derivative with respect to the weight would be infinite, or 0 times that
    product = weight * xp.where(infinite, 0.0, loss)
    mass = weight * cast(infinite, loss.dtype, xp)  # an array, whose comparisons torch.jit.trace records
    return xp.where(mass > 0, math.inf, xp.where(mass < 0, -math.inf, product))


def _reduce(loss: Array, weight: Any, reduction: str, axis: int, total: Callable[[Array], Array], xp: Any) -> Array:
    """Reduce losses, with the sum of an array of one axis."""
    if reduction == "none":
        return xp.squeeze(loss, axis=axis)
    found = total(xp.reshape(loss, (-1,)))
    if reduction == "mean":
        found = found / total(xp.reshape(weight, (-1,)))
    return xp.reshape(found, ())


def _along(weights: Array, axis: int, rank: int, xp: Any) -> Array:
    """Class weights as an array of that rank, along `axis`."""
    return xp.reshape(weights, (1,) * axis + (-1,) + (1,) * (rank - axis - 1))


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
    is_classes = _are_classes(labels)

    def examples(logits: Array, *, labels: Array, temperature: Any, class_weights: Array | None, axis: int) -> Array:
        """Losses and weights, side by side along `axis`."""
        q = prepared(cast(logits, backend.dtype("float32"), xp), temperature, axis, xp)
        of_total = log_of_total(q, axis, xp)
        add = functools.partial(exact_sum, axis=axis, xp=xp)

        def surprise(x: Array) -> Array:
            found = -log_probabilities(x, q.m, q.rate.value, of_total)
            return xp.where(found > 2.0**512, math.inf, found)  # at T = 0

        terms = _Terms(lambda: surprise(q.x), lambda index: surprise(entry_at(q.x, index, axis=axis)), add)
        weights = None if class_weights is None else _exact(class_weights, xp)
        target = labels if is_classes else _exact(labels, xp)
        loss = _losses(terms, q.x, target, label_smoothing, weights, ignore_index, axis, xp)
        return xp.concat([loss, _weights(q.x, target, weights, ignore_index, add, loss.dtype, axis, xp)], axis=axis)

    if class_weights is not None:
        class_weights = _along(class_weights, axis, len(logits.shape), xp)
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


# Derivatives


class _Slope(NamedTuple):
    """What the loss of each example changes with."""

    q: Scaled
    z: Array
    """Gradient with respect to z."""
    counts: Array
    """Where the loss is neither that of no class nor ignored: a constant, and nothing changes it, elsewhere."""
    target: Array
    """Mass of each class, smoothing included."""
    surprise: Array
    """-log p where it is finite, 0 elsewhere."""


def _slope(
    logits: Array,
    labels: Array,
    temperature: Any,
    smoothing: Any,
    weights: Array | None,
    ignore_index: Array | None,
    axis: int,
    xp: Any,
) -> _Slope:
    q = scale(logits, temperature, axis, None, xp)
    if _are_classes(labels):
        index, counts = class_index(labels, logits, axis, xp)
        classes = cast(_along(indices(logits, axis=axis), axis, len(logits.shape), xp), index.dtype, xp)
        target = cast(index == classes, q.z.dtype, xp)
        if ignore_index is not None:
            counts = counts & (labels != ignore_index)
    else:
        target = cast(labels, q.z.dtype, xp)
        counts = xp.ones_like(q.m) > 0
    if smoothing is not None:
        target = smoothing.rest * target + smoothing.share / _count(q.z, axis, xp)
    mass = target if weights is None else target * weights
    live = xp.where(q.z == -math.inf, 0.0, mass)
    if _are_classes(labels) and smoothing is None:
        total = entry_at(live, index, axis=axis)  # all others are 0
    else:
        total = accurate_sum(live, axis=axis)
    log_p = log_probability(q, axis, xp)
    slope = probabilities(q, axis, xp) * total - live
    return _Slope(q, xp.where(counts, slope, 0.0), counts, target, xp.where(log_p == -math.inf, 0.0, -log_p))


@agnostic
def _gradient(
    logits: Array,
    labels: Array,
    result: Array,
    g: Array,
    /,
    *,
    temperature: Any,
    label_smoothing: Any,
    class_weights: Array | None,
    ignore_index: Array | None,
    axis: int,
    xp: Any = INJECTED,
) -> Gradients:
    of = _slope(logits, labels, temperature, label_smoothing, class_weights, ignore_index, axis, xp)
    found = {"logits": to_logits(of.z * g, of.q, logits, None, xp)}
    if is_array(temperature):
        found["temperature"] = to_temperature(of.z * g, of.q, temperature, axis, xp)
    to_mass = xp.where(of.counts, of.surprise * g, 0.0)
    if class_weights is not None:
        found["class_weights"] = sum_to_row(of.target * to_mass, class_weights)
    if not _are_classes(labels):
        to_target = to_mass if class_weights is None else to_mass * class_weights
        to_target = to_target if label_smoothing is None else to_target * label_smoothing.rest
        found["labels"] = cast(to_target, labels.dtype, xp)
    return found


def _tangent(
    logits: Array,
    labels: Array,
    result: Array,
    /,
    *,
    temperature: Any,
    label_smoothing: Any,
    class_weights: Array | None,
    ignore_index: Array | None,
    axis: int,
    tangents: Mapping[str, Array],
    xp: Any,
) -> Array:
    of = _slope(logits, labels, temperature, label_smoothing, class_weights, ignore_index, axis, xp)
    terms = of.z * tangent_of_z(tangents, of.q, None, xp)
    t_mass = 0.0
    if class_weights is not None:
        t_mass = of.target * tangents["class_weights"]
    if "labels" in tangents:
        t_target = cast(tangents["labels"], of.z.dtype, xp)
        t_target = t_target if class_weights is None else t_target * class_weights
        t_mass = t_mass + (t_target if label_smoothing is None else t_target * label_smoothing.rest)
    return accurate_sum(terms + xp.where(of.counts, of.surprise * t_mass, 0.0), axis=axis)


losses_of_examples_derivatives = Derivatives(_gradient, _tangent)


@agnostic
@with_derivatives(losses_of_examples_derivatives)
def losses_of_examples(
    logits: Array,
    labels: Array,
    /,
    *,
    temperature: Any,
    label_smoothing: Any,
    class_weights: Array | None,
    ignore_index: Array | None,
    axis: int,
    xp: Any = INJECTED,
) -> Array:
    """Return the loss of each example in the working precision, with `axis` kept.

    Labels that are classes have an axis of size 1; class weights are of the working precision and lie along `axis`.
    """
    q = scale(logits, temperature, axis, None, xp)
    total = log_total(q, axis, xp)

    def surprise_at(index: Array) -> Array:
        entries = q._replace(z=entry_at(q.z, index, axis=axis), x=entry_at(q.x, index, axis=axis))
        return -log_of_entries(entries, total, xp)

    terms = _Terms(lambda: -log_of_entries(q, total, xp), surprise_at, functools.partial(accurate_sum, axis=axis))
    target = labels if _are_classes(labels) else cast(labels, q.z.dtype, xp)
    return _losses(terms, q.z, target, label_smoothing, class_weights, ignore_index, axis, xp)


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
        class_weights = _along(cast(class_weights, working, xp), axis, len(logits.shape), xp)
    labels = xp.expand_dims(labels, axis=axis) if _are_classes(labels) else labels
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
        weight = _weights(logits, labels, class_weights, ignore_index, add, working, axis, xp)
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
