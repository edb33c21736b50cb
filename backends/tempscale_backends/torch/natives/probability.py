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
from torch.autograd import forward_ad

from tempscale import log_softmax, softmax
from tempscale.backend import Array
from tempscale.kernels import LARGEST, SMALLEST_NORMAL, Operation
from tempscale.kernels.indexing import entry_at
from tempscale.kernels.reductions import (
    SHORT,
    accurate_sum,
    minus_row,
    minus_row_accurately,
    split_sum,
    sum_in_float64,
    sum_of_halves,
    times_row,
    times_row_accurately,
)
from tempscale.kernels.temperature import is_limit, reciprocal
from tempscale_backends.torch import internals

BLOCK = 2**20
"""Entries that are worked on at a time."""

SMALL = 1024
"""Entries of an array for which the number of calls decides how long it takes."""

HALF = (torch.float16, torch.bfloat16)
LOG2_E = math.log2(math.e)


@entry_at.native("torch")
def _entry_at(x: Array, index: Array, *, axis: int) -> Array:
    # torch.take_along_dim, which the namespace has, makes torch.compile recompile for every batch size
    shape = list(x.shape)
    shape[axis] = index.shape[axis]
    return torch.gather(x, axis, index.expand(shape))


@accurate_sum.native("torch")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    # Inductor adds a row one vector after another, eager PyTorch up to 64 vectors.
    compiling = torch.compiler.is_compiling()
    if x.dtype == torch.float64:
        return split_sum(x, axis, xp) if compiling else sum_of_halves(x, axis, xp)
    if x.device.type == "mps":  # has no float64
        return sum_of_halves(x, axis, xp)
    if compiling or is_jit_traced() or x.shape[axis] < SHORT:
        return torch.sum(x, axis, keepdim=True, dtype=torch.float64).to(x.dtype)
    return sum_in_float64(x, axis, xp)


@times_row.native("torch")
def _times_row(x: Array, row: Array) -> Array:
    return times_row_accurately(x, row) if row.requires_grad else x * row


@minus_row.native("torch")
def _minus_row(x: Array, row: Array) -> Array:
    return minus_row_accurately(x, row) if row.requires_grad else x - row


def viewed(x: Array, dtype: torch.dtype) -> Array:
    """Take the bits of `x` for another dtype."""
    return torch.view_copy(x, dtype=dtype) if is_jit_traced() else x.view(dtype)


def is_jit_traced() -> bool:
    """Whether `torch.jit.trace` looks on, which cannot record a view of the bits of a tensor, but a copy of them."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def is_plain(*tensors: Array) -> bool:
    """Whether nothing looks on that has to see an operator: not a compiler, a mode, a transform or a subclass."""
    if torch.compiler.is_compiling() or internals.in_dispatch_mode() or is_jit_traced():
        return False
    return all(type(x) is torch.Tensor and not internals.is_wrapped(x) for x in tensors)


def is_differentiated(*values: Any) -> bool:
    """Whether a derivative may be asked for, in either mode, or a transform looks at the tensors."""
    for x in values:
        if not isinstance(x, torch.Tensor):
            continue
        if (x.requires_grad and torch.is_grad_enabled()) or internals.is_wrapped(x):
            return True
        if forward_ad.unpack_dual(x).tangent is not None:  # type: ignore[no-untyped-call]
            return True
    return False


Factors = tuple[Any, ...]
"""Numbers, or one per row, that make z = (x - max) / T of a difference when they are multiplied in turn."""


def _factors(temperature: Any, working: str, unit: float = 1.0) -> Factors:
    """Return what makes z * unit of x - max. For an array T the limits are products, not selections."""
    if not isinstance(temperature, torch.Tensor):
        return (unit / temperature,)
    # in float64, so that the unit costs no rounding; halved, so that it does not overflow
    c = reciprocal(temperature, working, xp)
    exact = c if unit == 1.0 else reciprocal(temperature, "float64", xp) * (0.5 * unit)
    # A second factor takes the clamped 1/T to the limit: differences overflow to -inf at T = 0, vanish at T = inf.
    limit = (c >= LARGEST[working]) | (c <= SMALLEST_NORMAL[working])
    return torch.where(limit, c, exact.to(c.dtype)), torch.where(limit, c, 1.0 if unit == 1.0 else 2.0)


def _times(x: Array, factors: Factors, out: Array | None = None) -> Array:
    x = torch.mul(x, factors[0], out=out)
    return x if len(factors) == 1 else x.mul_(factors[1])


def _eager(
    operation: Operation[..., Any], small: Callable[..., Array] | None = None
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register the native for eager calls without derivatives, by blocks of rows; the body serves all others."""

    def register(run: Callable[..., Array]) -> Callable[..., Array]:
        def native(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
            if torch.compiler.is_compiling() or is_limit(temperature) or is_differentiated(logits, temperature):
                return operation.body(logits, temperature=temperature, axis=axis, where=where, xp=xp)
            dtype = logits.dtype
            if logits.numel() > BLOCK and axis == logits.ndim - 1:
                return _by_blocks(run, logits, temperature, where)
            if where is not None:
                logits = torch.where(where, logits, -math.inf)
            if small and logits.numel() <= SMALL and isinstance(temperature, float) and logits.is_cpu:
                return small(logits, temperature, axis)
            # `widen` and `cast` without their look-ups, which would take a third of the time of a small call
            result = run(logits.float() if dtype in HALF else logits, temperature, axis, None, None)
            return result if result.dtype == dtype else result.to(dtype)

        operation.native("torch")(native)
        return run

    return register


def _by_blocks(run: Callable[..., Array], logits: Array, temperature: Any, where: Array | None) -> Array:
    """Run on some rows at a time, in memory that they share: what is in between stays in the cache."""
    rows = logits.reshape(-1, logits.shape[-1])
    masks = None if where is None else where.expand(logits.shape).reshape(rows.shape)
    if isinstance(temperature, torch.Tensor):
        temperature = temperature.expand((*logits.shape[:-1], 1)).reshape(-1, 1)
    result = torch.empty_like(rows)
    step = max(1, BLOCK // rows.shape[1])
    half = rows.dtype in HALF
    working = torch.float32 if half else rows.dtype
    memory = torch.empty((1 + half, step, rows.shape[1]), dtype=working, device=rows.device)
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        t = temperature[block] if isinstance(temperature, torch.Tensor) else temperature
        x = rows[block]
        spare = memory[0, : len(x)]
        out = memory[1, : len(x)] if half else result[block]
        if half:
            x = out.copy_(x)
        if masks is not None:
            x = torch.where(masks[block], x, -math.inf)
        run(x, t, 1, out, spare)
        if half:
            result[block] = out
    return result.reshape(logits.shape)


# The natives of one block: `out` is for the result (x may be in it), `spare` for what is in between; None stands for
# new memory.


def _small_softmax(x: Array, temperature: float, axis: int) -> Array:
    """In float64, where logits need no care: x / T errs by at most 2^-53 |x| / T, and two x differ by 2^-24 |x|."""
    if x.dtype == torch.float64:
        return _softmax(x, temperature, axis, None, None)
    return torch.softmax(x.double().mul_(1.0 / temperature), axis).to(x.dtype)


@_eager(softmax, small=_small_softmax)
def _softmax(x: Array, temperature: Any, axis: int, out: Array | None, spare: Array | None) -> Array:
    z = torch.sub(x, torch.amax(x, axis, keepdim=True), out=out)
    e = _exp(z, temperature, z)
    return e.mul_(_accurate_sum(e, axis=axis).reciprocal_())


@_eager(log_softmax)
def _log_softmax(x: Array, temperature: Any, axis: int, out: Array | None, spare: Array | None) -> Array:
    z = torch.sub(x, torch.amax(x, axis, keepdim=True), out=out)
    e = _exp(z, temperature, spare)
    # all but one maximum: the fractions below 1, and the ones but one
    others = _accurate_sum(torch.frac(e), axis=axis)
    others += e.floor_().sum(axis, keepdim=True).sub_(1.0)
    return _times(z, _factors(temperature, _working(x)), z).sub_(others.log1p_())


def _working(x: Array) -> str:
    return "float64" if x.dtype == torch.float64 else "float32"


def _exp(difference: Array, temperature: Any, out: Array | None) -> Array:
    """exp(difference / T). In float32 as a power of two, whose kernel takes a quarter of the time of exp's."""
    too_cold = isinstance(temperature, float) and temperature * LARGEST["float32"] < LOG2_E
    if difference.dtype == torch.float64 or too_cold:
        return _times(difference, _factors(temperature, _working(difference)), out).exp_()
    return _times(difference, _factors(temperature, "float32", LOG2_E), out).exp2_()
