"""Losses for PyTorch: value and gradient of the cross-entropy by blocks of rows, without an array of probabilities."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale import cross_entropy
from tempscale.backend import Array
from tempscale.kernels.example_losses import losses_of_examples
from tempscale.kernels.indexing import class_index
from tempscale_backends.torch.natives.probability import is_small, over_temperature, without_gradients_at_masked
from tempscale_backends.torch.rows import (
    Block,
    Kernel,
    Named,
    as_rows,
    blocks_of_logits,
    eager,
    exp,
    from_rows,
    has_masked,
    in_place,
    of_body,
    of_rule,
    others_of,
    scaled,
    working_dtype,
)
from tempscale_backends.torch.tensors import is_plain

_NAMES = ("logits", "labels")
_RULE = losses_of_examples.body.derivatives.gradient  # type: ignore[attr-defined]


@losses_of_examples.native("torch")
def _losses_of_examples(logits: Array, labels: Array, **options: Any) -> Array:
    named = {"logits": logits, "labels": labels, **options}
    simple = not labels.dtype.is_floating_point and options["class_weights"] is None
    kernel = _OF_CLASSES if simple else _OF_ANY
    return eager(kernel, named, lambda: losses_of_examples.body(logits, labels, xp=xp, **options))


@cross_entropy.native("torch")
def _cross_entropy(logits: Array, labels: Array, **options: Any) -> Array:
    loss = _small(logits, labels, **options)
    return cross_entropy.body(logits, labels, xp=xp, **options) if loss is None else loss


def _small(
    logits: Array,
    labels: Array,
    *,
    temperature: Any,
    label_smoothing: Any,
    class_weights: Array | None,
    ignore_index: Array | None,
    reduction: str,
    axis: int,
) -> Array | None:
    """Return the loss of PyTorch itself in float64, where the number of calls decides, if it is the same."""
    if torch.compiler.is_compiling() or not is_small(logits, temperature) or not is_plain(logits, labels):
        return None
    usual = logits.ndim == 2 and axis == 1 and class_weights is None and ignore_index is None and logits.numel()
    if not usual or labels.dtype.is_floating_point or (label_smoothing is not None and not label_smoothing.rest):
        return None
    index = labels.long()
    first, last = index.aminmax()
    if first < 0 or last >= logits.shape[1]:
        return None
    z = without_gradients_at_masked(over_temperature(logits, temperature))
    share = 0.0 if label_smoothing is None else label_smoothing.share
    return torch.nn.functional.cross_entropy(z, index, label_smoothing=share, reduction=reduction).to(logits.dtype)


def _value(named: Named) -> tuple[Array, tuple[Array, ...]]:
    """Return losses; and of each row the maximum, 1 over the total, the label, and whether it counts."""
    logits, axis, smoothing = named["logits"], named["axis"], named["label_smoothing"]
    labels, ignored = named["labels"], named["ignore_index"]
    index, counts = [as_rows(x, logits, axis) for x in class_index(labels, logits, axis, xp)]
    loss, m, share = [torch.empty(index.shape, dtype=working_dtype(logits), device=logits.device) for _ in range(3)]
    for block in blocks_of_logits(named):
        here = block.here
        torch.amax(block.x, 1, keepdim=True, out=m[here])
        z = torch.sub(block.x, m[here], out=block.out)
        others = others_of(exp(z, block.temperature, block.spare))
        torch.reciprocal(others + 1.0, out=share[here])
        log_total = others.log1p_()
        loss[here] = log_total - scaled(z.gather(1, index[here]), block.temperature)
        if smoothing is not None:
            every = log_total - scaled(z, block.temperature, z).sum(1, keepdim=True) / z.shape[1]
            loss[here] = smoothing.share * every + (smoothing.rest * loss[here] if smoothing.rest else 0.0)
    loss.masked_fill_(~counts, math.nan)
    if ignored is not None:
        ignored = as_rows(labels == ignored, logits, axis)
        loss.masked_fill_(ignored, 0.0)
        counts = counts & ~ignored
    return from_rows(loss, logits, axis), (m, share, index, counts)


def _to_z(named: Named, block: Block, g: Array, p: Array | None, kept: list[Array]) -> Array:
    """(p * sum(w) - w) * g, where w is the mass of each class that is not masked."""
    m, share, index, counts = kept
    smoothing, x = named["label_smoothing"], block.x
    g = torch.where(counts, g, 0.0)
    each: Array | None = None
    at_label = torch.where(x.gather(1, index) == -math.inf, 0.0, g)
    mass = at_label
    if smoothing is not None:
        at_label = at_label * smoothing.rest
        each = g * (smoothing.share / x.shape[1])
        if has_masked(x):
            each = torch.where(x == -math.inf, 0.0, each)
            mass = at_label + each.sum(1, keepdim=True)
        else:
            mass = at_label + g * smoothing.share
    to_z = exp(torch.sub(x, m, out=block.out), block.temperature, block.out).mul_(share * mass)
    if each is not None:
        to_z -= each
    to_z.scatter_add_(1, index, -at_label)
    invalid = (share != share) & ~counts  # 0 times NaN, where an example does not count
    return to_z.masked_fill_(invalid, 0.0) if not x.is_cpu or invalid.any() else to_z


_OF_CLASSES = Kernel(_NAMES, _value, in_place(_to_z, _NAMES, _RULE), _RULE)
_OF_ANY = Kernel(_NAMES, of_body(_NAMES, losses_of_examples.body), of_rule(_NAMES, _RULE), _RULE)
"""Probabilities as labels, class weights."""
