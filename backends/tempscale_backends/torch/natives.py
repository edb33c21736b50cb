"""Natives for PyTorch.

Sums that do not depend on how the compiler orders them, and softmax and log_softmax in place where nothing is
differentiated.
"""

from __future__ import annotations

from typing import Any

import torch

from tempscale import log_softmax, softmax, stop_gradient
from tempscale._scaling import (
    LARGEST,
    SMALLEST_NORMAL,
    accurate_sum,
    host_reciprocal,
    is_limit,
    reciprocal,
    spread,
    widen,
    working_dtype,
)
from tempscale.arrays import custom_gradient
from tempscale.backend import Array

import array_api_compat.torch as xp


@accurate_sum.native("torch")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    # Eager sums are blocked and fine. Inductor adds a row one vector after another.
    if not torch.compiler.is_compiling():
        return torch.sum(x, axis, keepdim=True)
    if x.dtype == torch.float64:
        return _split_sum(x, axis)
    return torch.sum(x, axis, keepdim=True, dtype=torch.float64).to(x.dtype)


def _split_sum(x: Array, axis: int) -> Array:
    """Sum float64 in two parts: whole multiples of a grid, exact in any order, and what is left."""
    top = torch.amax(stop_gradient(x).abs(), axis, keepdim=True)
    grid = torch.where(top > 0, top, 1.0) * 2.0**-30
    whole = torch.round(stop_gradient(x) / grid)
    rest = torch.sum(x - whole * grid, axis, keepdim=True)
    return torch.sum(whole, axis, keepdim=True) * grid + rest


@spread.native("torch")
def _spread(row: Array, x: Array) -> Array:
    if not row.requires_grad:
        return row.expand_as(x)
    axes = [i for i, (r, n) in enumerate(zip(row.shape, x.shape, strict=True)) if r == 1 and n != 1]
    shape = x.shape

    def vjp(arrays: tuple[Array, ...], result: Array, g: Array) -> tuple[Array]:
        for axis in axes:
            g = accurate_sum(g, axis=axis)
        return (g,)

    return custom_gradient(
        lambda row: row.expand(shape).clone(),
        vjp=vjp,
        jvp=lambda arrays, result, tangents: tangents[0].expand(shape),
    )(row)


def _differentiated(*values: Any) -> bool:
    """Whether a derivative may be asked for, in either mode, or a transform looks at the tensors."""
    for x in values:
        if not isinstance(x, torch.Tensor):
            continue
        if (x.requires_grad and torch.is_grad_enabled()) or torch._C._functorch.is_functorch_wrapped_tensor(x):
            return True
        if torch.autograd.forward_ad.unpack_dual(x).tangent is not None:
            return True
    return False


def _scaled_in_place(x: Array, temperature: Any, axis: int) -> tuple[Array, Array]:
    """(x - max) / T in new memory, and the index of a maximum. For an array T limits are products, not selections."""
    working = working_dtype(x)
    m, at = torch.max(x, axis, keepdim=True)
    if not isinstance(temperature, torch.Tensor):
        return torch.sub(x, m).mul_(host_reciprocal(temperature, working)), at
    c = reciprocal(temperature, working, xp)
    z = torch.sub(x, m).mul_(c)
    # A second factor takes the clamped 1/T to the limit: differences overflow to -inf at T = 0, vanish at T = inf.
    limit = torch.where((c >= LARGEST[working]) | (c <= SMALLEST_NORMAL[working]), c, 1.0)
    return z.mul_(limit), at


@softmax.native("torch")
def _softmax(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
    if torch.compiler.is_compiling() or is_limit(temperature) or _differentiated(logits, temperature):
        return softmax.body(logits, temperature=temperature, axis=axis, where=where, xp=xp)
    z, _ = _scaled_in_place(widen(logits, where, xp), temperature, axis)
    e = z.exp_()
    return e.mul_(e.sum(axis, keepdim=True).reciprocal_()).to(logits.dtype)


@log_softmax.native("torch")
def _log_softmax(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
    if torch.compiler.is_compiling() or is_limit(temperature) or _differentiated(logits, temperature):
        return log_softmax.body(logits, temperature=temperature, axis=axis, where=where, xp=xp)
    z, at = _scaled_in_place(widen(logits, where, xp), temperature, axis)
    # z at the maximum is 0, or NaN in a row that is invalid
    others = z.exp().scatter_(axis, at, z.gather(axis, at)).sum(axis, keepdim=True)
    return z.sub_(others.log1p_()).to(logits.dtype)
