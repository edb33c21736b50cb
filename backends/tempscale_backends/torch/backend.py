"""PyTorch as a backend."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.torch as namespace
import ml_dtypes
import numpy as np
import torch

from tempscale.backend import Array, ArrayFunction, Backend
from tempscale_backends.torch import natives as natives

_DTYPES = {
    name: getattr(torch, name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    )
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class _Custom(torch.autograd.Function):
    """`custom_gradient` in reverse mode; what `torch.compile` can trace."""

    generate_vmap_rule = True

    @staticmethod
    def forward(fn: Any, vjp: Any, jvp: Any, *arrays: Array) -> Array:
        return fn(*arrays)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        _fn, ctx.vjp_rule, ctx.jvp_rule, *arrays = inputs
        ctx.save_for_backward(*arrays, output)
        ctx.save_for_forward(*arrays, output)

    @staticmethod
    def backward(ctx: Any, *cotangents: Array) -> Any:
        *arrays, result = ctx.saved_tensors
        return (None, None, None, *ctx.vjp_rule(tuple(arrays), result, cotangents[0]))


class _CustomWithForwardMode(_Custom):
    """`custom_gradient` in both modes. Dynamo refuses a Function that has a `jvp`."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx: Any, *tangents: Array) -> Array:
        *arrays, result = ctx.saved_tensors
        return ctx.jvp_rule(tuple(arrays), result, tangents[3:])


class TorchBackend(Backend):
    """`torch.Tensor`, parameters and other subclasses, on any device."""

    name = "torch"
    array_types = (torch.Tensor,)
    compilers = ("torch.compile",)

    @property
    def version(self) -> str:
        return str(torch.__version__)

    def devices(self) -> tuple[str, ...]:
        found = ["cpu"]
        if torch.cuda.is_available():
            found += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            found.append("mps:0")
        return tuple(found)

    def device_of(self, x: Array) -> str:
        return str(x.device)

    def settings(self) -> dict[str, str]:
        return {"default dtype": self.default_float(), "threads": str(torch.get_num_threads())}

    @property
    def namespace(self) -> Any:
        return namespace

    def shape(self, x: Array) -> tuple[int | None, ...]:
        return tuple(x.shape)

    def dtype_name(self, x: Array) -> str:
        return _NAMES.get(x.dtype) or str(x.dtype).removeprefix("torch.")

    def dtype(self, name: str) -> Any:
        if name not in _DTYPES:
            raise TypeError(f"PyTorch has no dtype {name}; there are {', '.join(_DTYPES)}")
        return _DTYPES[name]

    def default_float(self) -> str:
        return _NAMES[torch.get_default_dtype()]

    def default_index(self) -> str:
        return "int64"

    def asarray(
        self, obj: Any, *, dtype: str | None = None, like: Array | None = None, device: str | None = None
    ) -> Array:
        place = device if device is not None else None if like is None else like.device
        kind = None if dtype is None else self.dtype(dtype)
        if isinstance(obj, np.ndarray) and obj.dtype == ml_dtypes.bfloat16:
            # torch does not know ml_dtypes: hand over the bits
            bits = torch.tensor(obj.view(np.int16), device=place)
            return bits.view(torch.bfloat16).to(kind or torch.bfloat16)
        if isinstance(obj, torch.Tensor):
            return obj.detach().clone().to(device=place, dtype=kind)
        return torch.tensor(obj, dtype=kind, device=place)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        host = x.detach().cpu().resolve_conj().resolve_neg()
        if host.dtype == torch.bfloat16:
            bits: np.ndarray[Any, Any] = host.contiguous().view(torch.int16).numpy()
            return np.array(bits.view(ml_dtypes.bfloat16))
        return np.array(host.numpy())

    def from_dlpack(self, x: Array) -> Array:
        return torch.from_dlpack(x)

    def is_traced(self, x: Array) -> bool:
        return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x)

    def stop_gradient(self, x: Array) -> Array:
        return x.detach()

    def custom_gradient(
        self,
        fn: ArrayFunction,
        *,
        vjp: Callable[[tuple[Array, ...], Array, Array], Sequence[Array]],
        jvp: Callable[[tuple[Array, ...], Array, tuple[Array, ...]], Array],
    ) -> ArrayFunction:
        function = _Custom if torch.compiler.is_compiling() else _CustomWithForwardMode

        def call(*arrays: Array) -> Array:
            return function.apply(fn, vjp, jvp, *arrays)

        return call

    def vjp(self, fn: ArrayFunction, arrays: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
        leaves = [x.detach().requires_grad_() for x in arrays]
        return torch.autograd.grad(fn(*leaves), leaves, cotangent)

    def jvp(self, fn: ArrayFunction, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
        return torch.func.jvp(fn, tuple(arrays), tuple(tangents))[1]

    def vmap(self, fn: ArrayFunction) -> ArrayFunction:
        mapped: ArrayFunction = torch.func.vmap(fn)
        return mapped

    def jit(
        self, fn: ArrayFunction, *, compiler: str | None = None, unknown_dims: bool = False
    ) -> ArrayFunction:
        compiled: ArrayFunction = torch.compile(fn, fullgraph=True, dynamic=unknown_dims or None)
        return compiled

    def compiler_problem(self, compiler: str) -> str | None:
        if torch.cuda.is_available() or any(map(shutil.which, ("g++", "c++", "clang++", "cl"))):
            return None
        return "torch.compile needs a C++ compiler, and there is none" + (
            ": apt-get install g++" if sys.platform == "linux" else ""
        )
