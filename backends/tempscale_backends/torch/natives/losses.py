"""Losses for PyTorch: value and gradient of the cross-entropy by blocks of rows, without an array of probabilities."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale.backend import Array
from tempscale.kernels.example_losses import losses_of_examples
from tempscale.kernels.indexing import class_index
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

_NAMES = ("logits", "labels")
_RULE = losses_of_examples.body.derivatives.gradient  # type: ignore[attr-defined]


@losses_of_examples.native("torch")
def _losses_of_examples(logits: Array, labels: Array, **options: Any) -> Array:
    named = {"logits": logits, "labels": labels, **options}
    simple = not labels.dtype.is_floating_point and options["class_weights"] is None
    kernel = _OF_CLASSES if simple else _OF_ANY
    return eager(kernel, named, lambda: losses_of_examples.body(logits, labels, xp=xp, **options))


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
