"""What a call looks like: who looks on, and whether a derivative may be asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad

from tempscale.backend import Array

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def viewed(x: Array, dtype: torch.dtype) -> Array:
    """Take the bits of `x` for another dtype."""
    return torch.view_copy(x, dtype=dtype) if is_jit_traced() else x.view(dtype)


def is_jit_traced() -> bool:
    """Whether `torch.jit.trace` looks on, which cannot record a view of the bits of a tensor, but a copy of them."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def is_plain(*tensors: Array) -> bool:
    """Whether nothing looks on that has to see an operator: not a compiler, a mode, a transform or a subclass."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state():
        return False
    return all(type(x) in _PLAIN and not _is_wrapped(x) for x in tensors)


def _is_wrapped(x: Array) -> bool:
    """Whether a transform looks at a tensor; `torch.autograd.grad(is_grads_batched=True)` is one of an older kind."""
    functorch = torch._C._functorch
    return bool(functorch.is_functorch_wrapped_tensor(x) or functorch.is_legacy_batchedtensor(x))


def is_differentiated(*values: Any) -> bool:
    """Whether a derivative may be asked for, in either mode, or a transform looks at the tensors."""
    for x in values:
        if not isinstance(x, torch.Tensor):
            continue
        if (x.requires_grad and torch.is_grad_enabled()) or torch._C._functorch.is_functorch_wrapped_tensor(x):
            return True
        if has_tangent(x):
            return True
    return False


def has_tangent(x: Array) -> bool:
    """Whether a tensor is differentiated in forward mode."""
    if forward_ad._current_level < 0:
        return False
    return forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]
