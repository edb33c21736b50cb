"""The cross-entropy of each example: the kernel of the losses, with its derivatives in closed form."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import INTEGERS, cast, is_array
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels.derivatives import (
    Derivatives,
    Gradients,
    tangent_of_z,
    to_logits,
    to_temperature,
    with_derivatives,
)
from tempscale.kernels.indexing import class_index, entry_at, indices
from tempscale.kernels.reductions import accurate_sum, sum_to_row
from tempscale.kernels.temperature import Scaled, log_of_entries, log_probability, log_total, probabilities, scale


class Smoothing(NamedTuple):
    """The number s of label smoothing, unless it is 0, where there is None. See `is_numbers`."""

    share: Any
    """s: for all classes together."""
    rest: Any
    """1 - s: for the label."""


class Terms(NamedTuple):
    """What losses are made of: in the default precision, or so that they are reproducible."""

    surprise: Callable[[], Array]
    """-log p of every class."""
    surprise_at: Callable[[Array], Array]
    """-log p of one class per row, at an index."""
    add: Callable[[Array], Array]
    """Sum of a row, kept as an axis."""


def are_classes(labels: Array) -> bool:
    """Whether labels are classes, not probabilities."""
    return backend_of(labels).dtype_name(labels) in INTEGERS


def losses(
    terms: Terms,
    x: Array,
    labels: Array,
    smoothing: Any,
    weights: Array | None,
    ignore_index: Array | None,
    axis: int,
    xp: Any,
) -> Array:
    """Loss of each example; weights and labels are shaped as the logits `x`, with axes of size 1."""
    if not are_classes(labels):
        target = labels if weights is None else labels * weights
        loss = terms.add(weighted(terms.surprise(), target, xp))
        return _smoothed(loss, terms, smoothing, weights, axis, xp)
    index, valid = class_index(labels, x, axis, xp)
    loss = terms.surprise_at(index)
    if weights is not None:
        loss = weighted(loss, _entry_of_rows(weights, index, x, axis, xp), xp)
    loss = xp.where(valid, _smoothed(loss, terms, smoothing, weights, axis, xp), math.nan)
    return loss if ignore_index is None else xp.where(labels == ignore_index, 0.0, loss)


def _smoothed(loss: Array, terms: Terms, smoothing: Any, weights: Array | None, axis: int, xp: Any) -> Array:
    """The loss under the target (1 - s) t + s / n: every class has a share of the mass."""
    if smoothing is None:
        return loss
    every = terms.surprise() if weights is None else weighted(terms.surprise(), weights, xp)
    share = smoothing.share / _count(every, axis, xp)
    return terms.add(xp.concat([weighted(loss, smoothing.rest, xp), terms.add(every) * share], axis=axis))


def _count(x: Array, axis: int, xp: Any) -> Array:
    """Return the number of classes as one number per row, which is exact."""
    return xp.sum(xp.ones_like(x), axis=axis, keepdims=True)


def _entry_of_rows(weights: Array, index: Array, x: Array, axis: int, xp: Any) -> Array:
    return entry_at(weights * xp.ones_like(cast(x, weights.dtype, xp)), index, axis=axis)


def weights_of_examples(
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
    if not are_classes(labels):
        target = cast(labels, dtype, xp)
        return add(target if weights is None else target * weights)
    index, _ = class_index(labels, x, axis, xp)
    weight = xp.ones_like(cast(index, dtype, xp)) if weights is None else _entry_of_rows(weights, index, x, axis, xp)
    return weight if ignore_index is None else xp.where(labels == ignore_index, 0.0, weight)


def weighted(loss: Array, weight: Any, xp: Any) -> Array:
    """`weight * loss`, where a weight of 0 makes even an infinite loss 0."""
    infinite = loss == math.inf
    # kept out of the product, whose derivative with respect to the weight would be infinite, or 0 times that
    product = weight * xp.where(infinite, 0.0, loss)
    mass = weight * cast(infinite, loss.dtype, xp)  # an array, whose comparisons torch.jit.trace records
    return xp.where(mass > 0, math.inf, xp.where(mass < 0, -math.inf, product))


def along(weights: Array, axis: int, rank: int, xp: Any) -> Array:
    """Class weights as an array of that rank, along `axis`."""
    return xp.reshape(weights, (1,) * axis + (-1,) + (1,) * (rank - axis - 1))


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
    if are_classes(labels):
        index, counts = class_index(labels, logits, axis, xp)
        classes = cast(along(indices(logits, axis=axis), axis, len(logits.shape), xp), index.dtype, xp)
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
    if are_classes(labels) and smoothing is None:
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
    if not are_classes(labels):
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

    terms = Terms(lambda: -log_of_entries(q, total, xp), surprise_at, functools.partial(accurate_sum, axis=axis))
    target = labels if are_classes(labels) else cast(labels, q.z.dtype, xp)
    return losses(terms, q.z, target, label_smoothing, class_weights, ignore_index, axis, xp)
