"""Natives for PyTorch.

Sums that do not depend on how the compiler orders them, and softmax and log_softmax in place where nothing is
differentiated.
"""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale import log_softmax, softmax
from tempscale._scaling import (
    LARGEST,
    SMALLEST_NORMAL,
    accurate_sum,
    host_reciprocal,
    is_limit,
    minus_row,
    minus_row_accurately,
    reciprocal,
    split_sum,
    times_row,
    times_row_accurately,
    widen,
    working_dtype,
)
from tempscale.backend import Array

FEW = 64
"""Classes up to which torch.softmax of a scaled row is accurate: it adds eight running sums, n / 8 roundings."""


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


def _scaled_in_place(x: Array, m: Array, temperature: Any) -> Array:
    """(x - max) / T in new memory. For an array T the limits are products, not selections."""
    working = working_dtype(x)
    if not isinstance(temperature, torch.Tensor):
        return torch.sub(x, m).mul_(host_reciprocal(temperature, working))
    c = reciprocal(temperature, working, xp)
    # A second factor takes the clamped 1/T to the limit: differences overflow to -inf at T = 0, vanish at T = inf.
    limit = torch.where((c >= LARGEST[working]) | (c <= SMALLEST_NORMAL[working]), c, 1.0)
    return torch.sub(x, m).mul_(c).mul_(limit)


@softmax.native("torch")
def _softmax(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
    if torch.compiler.is_compiling() or is_limit(temperature) or _differentiated(logits, temperature):
        return softmax.body(logits, temperature=temperature, axis=axis, where=where, xp=xp)
    x = widen(logits, where, xp)
    z = _scaled_in_place(x, torch.amax(x, axis, keepdim=True), temperature)
    if logits.shape[axis] <= FEW:
        return torch.softmax(z, axis).to(logits.dtype)
    e = z.exp_()
    return e.mul_(e.sum(axis, keepdim=True).reciprocal_()).to(logits.dtype)


@log_softmax.native("torch")
def _log_softmax(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
    if torch.compiler.is_compiling() or is_limit(temperature) or _differentiated(logits, temperature):
        return log_softmax.body(logits, temperature=temperature, axis=axis, where=where, xp=xp)
    x = widen(logits, where, xp)
    m, at = torch.max(x, axis, keepdim=True)
    z = _scaled_in_place(x, m, temperature)
    # z at the maximum is 0, or NaN in a row that is invalid
    others = z.exp().scatter_(axis, at, z.gather(axis, at)).sum(axis, keepdim=True)
    return z.sub_(others.log1p_()).to(logits.dtype)
