"""The option `precision` in PyTorch: in place, where no compiler and no transform is at work."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale.backend import Array
from tempscale.kernels import Operation, exact, precision
from tempscale_backends.torch.tensors import is_differentiated, is_jit_traced, viewed


@precision.differentiable.native("torch")
def _differentiable(*arrays: Array) -> bool:
    return torch.compiler.is_compiling() or is_differentiated(*arrays)


@exact.power_of_two.native("torch")
def _power_of_two(k: Array) -> Array:
    return viewed(viewed(k + (exact.MAGIC + 1023), torch.int64) << 52, torch.float64)


def _eager(operation: Operation[..., Any]) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register the native for plain eager calls; the body serves all others."""

    def register(run: Callable[..., Array]) -> Callable[..., Array]:
        def native(x: Array, *operands: Any, **options: Any) -> Array:
            if torch.compiler.is_compiling() or is_jit_traced() or torch._C._functorch.is_functorch_wrapped_tensor(x):
                return operation.body(x, *operands, xp=xp, **options)
            return run(x, *operands, **options)

        operation.native("torch")(native)
        return run

    return register


@_eager(exact.flushed)
def _flushed(x: Array) -> Array:
    below = exact.TINY - 2.0**-149 if x.dtype == torch.float32 else math.nextafter(exact.TINY, 0.0)
    return torch.nn.functional.hardshrink(x, below)  # 0 up to there, in one pass


@_eager(exact.row_top)
def _row_top(x: Array, *, axis: int) -> Array:
    return torch.amax(x, axis, keepdim=True)


@_eager(exact.below_top)
def _below_top(x: Array, top: Array, *, axis: int) -> tuple[Array, Array]:
    at_top = x == top
    return x.masked_fill(at_top, -math.inf), at_top.sum(axis, keepdim=True)


@_eager(exact.exponentials)
def _exponentials(x: Array, m: Array, rate: Any, lowest: Any, unit: Any) -> Array:
    y = x.to(torch.float64).sub_(m).mul_(rate).clamp_(min=lowest)
    return exact.exponentials_in_place(y, y.floor(), unit, torch.int64)


@_eager(exact.log_probabilities)
def _log_probabilities(x: Array, m: Array, rate: Any, total: Array) -> Array:
    return x.to(torch.float64).sub_(m).mul_(rate).sub_(total)


@_eager(exact.whole_sum)
def _whole_sum(x: Array, *, axis: int) -> Array:
    integers = viewed(x + exact.MAGIC, torch.int64).sub_(exact.MAGIC_BITS)
    return integers.sum(axis, keepdim=True).to(torch.float64)
