"""Natives for PyTorch: blocks in place where nothing is recorded; what is compiled holds all logits."""

from __future__ import annotations

from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale.backend import Array
from tempscale.kernels import linear
from tempscale.kernels.linear import Arrays, Step
from tempscale_backends.torch.tensors import is_differentiated, is_plain


@linear.product.native("torch")
def _product(x: Array, y: Array) -> Array:
    if not torch.amp.is_autocast_available(x.device.type):
        return torch.matmul(x, y)
    with torch.autocast(x.device.type, enabled=False):  # which would round to 16 bits
        return torch.matmul(x, y)


@linear.classes_at_a_time.native("torch")
def _classes_at_a_time(hidden: Array, weight: Array) -> Any:
    # a compiler would unroll the loop, and an exporter keep the number of blocks
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return None
    return linear.classes_at_a_time.body(hidden, weight, xp=xp)


@linear.over_blocks.native("torch")
def _over_blocks(arrays: Arrays, carry: Arrays, *, step: Step, size: Any) -> tuple[Arrays, Arrays]:
    given = (*arrays, *carry)
    if size is None or not is_plain(*given) or is_differentiated(*given):
        return linear.over_blocks.body(arrays, carry, step=step, size=size, xp=xp)  # type: ignore[no-any-return]
    return linear.over_blocks_in_place(
        arrays, carry, step=step, size=size, empty=lambda shape, like: like.new_empty(shape)
    )
