"""Natives for PyTorch.

Sums that do not depend on how the compiler orders them; softmax and log_softmax in place, by blocks of rows, where
nothing is differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale import log_softmax, softmax
from tempscale._agnostic import Operation
from tempscale._arguments import LARGEST, SMALLEST_NORMAL
from tempscale._scaling import (
    accurate_sum,
    entry_at,
    is_limit,
    minus_row,
    minus_row_accurately,
    reciprocal,
    split_sum,
    times_row,
    times_row_accurately,
)
from tempscale.backend import Array

BLOCK = 2**20
"""Entries that are worked on at a time."""

FEW = 64
"""Classes up to which torch.softmax of a scaled row is accurate: it adds eight running sums, n / 8 roundings."""


@entry_at.native("torch")
def _entry_at(x: Array, index: Array, *, axis: int) -> Array:
    # torch.take_along_dim, which the namespace has, makes torch.compile recompile for every batch size
    return torch.gather(x, axis, index)


@accurate_sum.native("torch")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    # Eager sums are blocked and fine. Inductor adds a row one vector after another.
    if not torch.compiler.is_compiling():
        return torch.sum(x, axis, keepdim=True)
    if x.dtype == torch.float64:
        return split_sum(x, axis, xp)
    return torch.sum(x, axis, keepdim=True, dtype=torch.float64).to(x.dtype)


@times_row.native("torch")
def _times_row(x: Array, row: Array) -> Array:
    return times_row_accurately(x, row) if row.requires_grad else x * row


@minus_row.native("torch")
def _minus_row(x: Array, row: Array) -> Array:
    return minus_row_accurately(x, row) if row.requires_grad else x - row


def _differentiated(*values: Any) -> bool:
    """Whether a derivative may be asked for, in either mode, or a transform looks at the tensors."""
    for x in values:
        if not isinstance(x, torch.Tensor):
            continue
        if (x.requires_grad and torch.is_grad_enabled()) or torch._C._functorch.is_functorch_wrapped_tensor(x):
            return True
        if torch.autograd.forward_ad.unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call]
            return True
    return False


def _scaled(x: Array, m: Array, temperature: Any, *, in_place: bool) -> Array:
    """(x - max) / T, in new memory unless `in_place`. For an array T the limits are products, not selections."""
    z = x.sub_(m) if in_place else torch.sub(x, m)
    if not isinstance(temperature, torch.Tensor):
        return z.mul_(1.0 / temperature)
    working = "float64" if x.dtype == torch.float64 else "float32"
    c = reciprocal(temperature, working, xp)
    # A second factor takes the clamped 1/T to the limit: differences overflow to -inf at T = 0, vanish at T = inf.
    limit = torch.where((c >= LARGEST[working]) | (c <= SMALLEST_NORMAL[working]), c, 1.0)
    return z.mul_(c).mul_(limit)


def _widened(logits: Array, where: Array | None) -> Array:
    """`widen` without its look-ups, which would take a third of the time of a small call."""
    x = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return x if where is None else torch.where(where, x, -math.inf)


def _eager(operation: Operation[..., Any]) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register the native for eager calls without derivatives, by blocks of rows; the body serves all others."""

    def register(run: Callable[..., Array]) -> Callable[..., Array]:
        def native(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
            if torch.compiler.is_compiling() or is_limit(temperature) or _differentiated(logits, temperature):
                return operation.body(logits, temperature=temperature, axis=axis, where=where, xp=xp)
            if logits.numel() <= BLOCK or axis != logits.ndim - 1:
                return run(logits, temperature, axis, where).to(logits.dtype)
            return _by_blocks(run, logits, temperature, where)

        operation.native("torch")(native)
        return run

    return register


def _by_blocks(run: Callable[..., Array], logits: Array, temperature: Any, where: Array | None) -> Array:
    """Run on some rows at a time: what is in between stays in the cache, and peak memory is small."""
    rows = logits.reshape(-1, logits.shape[-1])
    masks = None if where is None else where.expand(logits.shape).reshape(rows.shape)
    if isinstance(temperature, torch.Tensor):
        temperature = temperature.expand((*logits.shape[:-1], 1)).reshape(-1, 1)
    out = torch.empty_like(rows)
    step = max(1, BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        t = temperature[block] if isinstance(temperature, torch.Tensor) else temperature
        out[block] = run(rows[block], t, 1, None if masks is None else masks[block])
    return out.reshape(logits.shape)


@_eager(softmax)
def _softmax(logits: Array, temperature: Any, axis: int, where: Array | None) -> Array:
    x = _widened(logits, where)
    z = _scaled(x, torch.amax(x, axis, keepdim=True), temperature, in_place=x is not logits)
    p = torch.softmax(z, axis)
    if logits.shape[axis] > FEW:
        # torch has divided each row by an inaccurate sum: a common factor, which the accurate one takes out again
        p.mul_(p.sum(axis, keepdim=True).reciprocal_())
    return p


@_eager(log_softmax)
def _log_softmax(logits: Array, temperature: Any, axis: int, where: Array | None) -> Array:
    x = _widened(logits, where)
    m, at = torch.max(x, axis, keepdim=True)
    z = _scaled(x, m, temperature, in_place=x is not logits)
    p = torch.softmax(z, axis)
    top = p.gather(axis, at)  # NaN in a row that is invalid
    others = p.scatter_(axis, at, 0.0).sum(axis, keepdim=True).div_(top)
    return z.sub_(others.log1p_())
