"""Natives for PyTorch.

Sums that do not depend on how the compiler orders them; softmax and log_softmax in place, by blocks of rows; gradients
of all functions of logits by blocks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale import entropy, kl_divergence, log_softmax, logsumexp, softmax, sparsemax
from tempscale.backend import Array
from tempscale.kernels import Operation
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
from tempscale.kernels.temperature import is_limit
from tempscale_backends.torch.rows import (
    BLOCK,
    HALF,
    Block,
    Kernel,
    Named,
    blocks_of_logits,
    eager,
    exp,
    has_masked,
    in_place,
    of_body,
    of_rule,
    others_of,
    scaled,
)
from tempscale_backends.torch.tensors import is_differentiated, is_jit_traced, is_plain

SMALL = 2048
"""Entries of an array for which the number of calls decides how long it takes."""


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


def _eager(
    operation: Operation[..., Any],
    to_z: Callable[[Named, Block, Array, Array | None, list[Array]], Array],
    small: Callable[..., Array],
    *,
    keeps_result: bool = False,
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register the native for eager calls, by blocks of rows; the body serves all others."""
    rule = operation.body.derivatives.gradient  # type: ignore[attr-defined]

    def register(run: Callable[..., Array]) -> Callable[..., Array]:
        def native(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
            body = functools.partial(operation.body, temperature=temperature, axis=axis, where=where, xp=xp)
            if torch.compiler.is_compiling() or is_limit(temperature):
                return body(logits)
            if is_small(logits, temperature) and (is_plain(logits) or _traced_for_its_value(logits)):
                return small(logits if where is None else torch.where(where, logits, -math.inf), temperature, axis)
            if is_differentiated(logits, temperature):
                named = {"logits": logits, "temperature": temperature, "axis": axis, "where": where}
                return eager(kernel, named, lambda: body(logits))
            dtype = logits.dtype
            if logits.numel() > BLOCK and axis == logits.ndim - 1:
                return _by_blocks(run, logits, temperature, where)
            if where is not None:
                logits = torch.where(where, logits, -math.inf)
            # `widen` and `cast` without their look-ups, which would take a third of the time of a small call
            result = run(logits.float() if dtype in HALF else logits, temperature, axis, None, None)
            return result if result.dtype == dtype else result.to(dtype)

        gradient = in_place(to_z, ("logits",), rule)
        kernel = Kernel(("logits",), lambda named: (native(**named), ()), gradient, rule, keeps_result)
        operation.native("torch")(native)
        return run

    return register


def _by_blocks(run: Callable[..., Array], logits: Array, temperature: Any, where: Array | None) -> Array:
    """Run on some rows at a time, in memory that they share: what is in between stays in the cache."""
    named = {"logits": logits, "temperature": temperature, "axis": logits.ndim - 1, "where": where}
    result = torch.empty_like(logits.reshape(-1, logits.shape[-1]))
    for block in blocks_of_logits(named, result):
        run(block.x, block.temperature, 1, block.out, block.spare)
        if result.dtype in HALF:
            result[block.here] = block.out
    return result.reshape(logits.shape)


# The natives of one block: `out` is for the result (x may be in it), `spare` for what is in between; None stands for
# new memory.


def is_small(logits: Array, temperature: Any) -> bool:
    """Whether float64 is as fast as any other way, and wide enough: x / T cannot overflow there."""
    few = logits.numel() <= SMALL and logits.dtype != torch.float64
    return few and logits.is_cpu and isinstance(temperature, float) and temperature > 1e-200


def _traced_for_its_value(x: Array) -> bool:
    """Whether `torch.jit.trace` records a call, and no gradient: what depends on the values would be recorded, too."""
    return is_jit_traced() and not x.requires_grad


def _small_softmax(x: Array, temperature: float, axis: int) -> Array:
    """In float64, where logits need no care: x / T errs by at most 2^-53 |x| / T, and two x differ by 2^-24 |x|."""
    return torch.softmax(over_temperature(x, temperature), axis).to(x.dtype)


def over_temperature(x: Array, temperature: float) -> Array:
    """Return x / T in float64."""
    return x.double() if temperature == 1.0 else x.double() * (1.0 / temperature)


def _small_log_softmax(x: Array, temperature: float, axis: int) -> Array:
    return torch.log_softmax(without_gradients_at_masked(over_temperature(x, temperature)), axis).to(x.dtype)


def without_gradients_at_masked(z: Array) -> Array:
    """Return z with constants in place of -inf."""
    return z.masked_fill(z == -math.inf, -math.inf) if z.requires_grad and has_masked(z) else z


def _softmax_to_z(named: Named, block: Block, g: Array, p: Array | None, kept: list[Array]) -> Array:
    if p is None:
        p = _softmax(block.x, block.temperature, 1, block.out, block.spare)
    mean = _accurate_sum(torch.mul(p, g, out=block.spare), axis=1)
    return torch.mul(torch.sub(g, mean, out=block.spare), p, out=block.out)


def _log_softmax_to_z(named: Named, block: Block, g: Array, p: Array | None, kept: list[Array]) -> Array:
    if has_masked(block.x):
        g = torch.where(block.x == -math.inf, 0.0, g)
    p = _softmax(block.x, block.temperature, 1, block.out, block.spare)
    return torch.addcmul(g, p, _accurate_sum(g, axis=1), value=-1.0, out=p)


@_eager(softmax, _softmax_to_z, _small_softmax, keeps_result=True)
def _softmax(x: Array, temperature: Any, axis: int, out: Array | None, spare: Array | None) -> Array:
    z = torch.sub(x, torch.amax(x, axis, keepdim=True), out=out)
    e = exp(z, temperature, z)
    return e.mul_(_accurate_sum(e, axis=axis).reciprocal_())


@_eager(log_softmax, _log_softmax_to_z, _small_log_softmax)
def _log_softmax(x: Array, temperature: Any, axis: int, out: Array | None, spare: Array | None) -> Array:
    z = torch.sub(x, torch.amax(x, axis, keepdim=True), out=out)
    e = exp(z, temperature, spare)
    return scaled(z, temperature, z).sub_(others_of(e, axis).log1p_())


# Functions with one value per row


def _by_blocks_of_body(operation: Operation[..., Any], names: tuple[str, ...], *, keeps_result: bool = False) -> None:
    """Register a native that runs the body, and the rule of its gradient, by blocks."""
    rule = operation.body.derivatives.gradient  # type: ignore[attr-defined]
    kernel = Kernel(names, of_body(names, operation.body), of_rule(names, rule), rule, keeps_result)

    def native(*arrays: Array, **options: Any) -> Array:
        named = {**dict(zip(names, arrays, strict=True)), **options}
        return eager(kernel, named, lambda: operation.body(*arrays, xp=xp, **options))

    operation.native("torch")(native)


_by_blocks_of_body(entropy, ("logits",))
_by_blocks_of_body(logsumexp, ("logits",))
_by_blocks_of_body(kl_divergence, ("p_logits", "q_logits"))
_by_blocks_of_body(sparsemax, ("logits",), keeps_result=True)
