"""PyTorch as a backend."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.torch as namespace
import ml_dtypes
import numpy as np
import torch
from torch.autograd import forward_ad

from tempscale.backend import Array, ArrayFunction, Backend, ForwardRule, ReverseRule
from tempscale.kernels import with_code_of_its_own
from tempscale_backends.torch import internals
from tempscale_backends.torch import natives as natives

_DTYPES = {
    name: getattr(torch, name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
        *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    )
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

# What NumPy has from ml_dtypes, which PyTorch does not know: such arrays change hands as bits
_BITS = {1: "int8", 2: "int16"}
_OF_ML_DTYPES = {
    dtype: np.dtype(getattr(ml_dtypes, name)) for name, dtype in _DTYPES.items() if hasattr(ml_dtypes, name)
}


def _has_negative_strides(x: Array) -> bool:
    """Whether an array of another framework runs backwards in memory; only those like NumPy's have `strides`."""
    return any(stride < 0 for stride in getattr(x, "strides", ()))


COPIES = 32
"""Most kinds of arguments that a function is kept compiled for, each with up to `recompile_limit` variants."""


class _Compiled:
    """A function compiled in a copy for each kind of arguments, the least recently used of which is dropped.

    Of one code object torch.compile makes no more than `recompile_limit` variants (8), and then fails for good. Shapes
    that differ in size alone share one. Should a copy come to its limit all the same, another takes its place.
    """

    def __init__(self, fn: ArrayFunction, dynamic: bool | None) -> None:
        self.fn, self.dynamic = fn, dynamic
        self.copies: dict[Any, tuple[ArrayFunction, ArrayFunction]] = {}
        """The copy and its compiled form for each kind, the one last used at the end."""
        self.lock = threading.Lock()

    def __call__(self, *arrays: Array) -> Any:
        kind = torch.is_grad_enabled(), *[_kind(x) for x in arrays]
        try:
            return self._compiled_for(kind)(*arrays)
        except internals.recompile_limit_hit():
            return self._compiled_for(kind, anew=True)(*arrays)

    def _compiled_for(self, kind: Any, *, anew: bool = False) -> ArrayFunction:
        with self.lock:
            found = self.copies.pop(kind, None)
            if anew and found:
                internals.forget(found[0])
            if anew or not found:
                copy = with_code_of_its_own(self.fn)
                found = copy, torch.compile(copy, fullgraph=True, dynamic=self.dynamic)
            self.copies[kind] = found
            if len(self.copies) > COPIES:
                internals.forget(self.copies.pop(next(iter(self.copies)))[0])
            return found[1]


def _kind(x: Array) -> tuple[Any, ...]:
    """Return what torch.compile makes a variant for: sizes 0 and 1 are constants to it, other sizes need not be."""
    return x.dtype, x.device, x.requires_grad, x.is_contiguous(), *[min(n, 2) for n in x.shape]


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

    @staticmethod
    def backward(ctx: Any, *cotangents: Array) -> Any:
        *arrays, result = ctx.saved_tensors
        return (None, None, None, *ctx.vjp_rule(tuple(arrays), result, cotangents[0]))


class _CustomWithForwardMode(_Custom):
    """`custom_gradient` in both modes. Dynamo refuses a Function that has a `jvp`."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Array) -> None:
        _Custom.setup_context(ctx, inputs, output)
        ctx.save_for_forward(*inputs[3:], output)

    @staticmethod
    def jvp(ctx: Any, *tangents: Array) -> Array:
        *arrays, result = ctx.saved_tensors
        if internals.in_nested_forward_mode(*arrays, *tangents[3:]):
            # PyTorch differentiates nothing in here, so that the derivative of this one would come out as 0
            raise NotImplementedError(
                "PyTorch cannot differentiate a custom gradient in forward mode more than twice, nor twice "
                "around a vmap: use reverse mode for one of the derivatives (torch.func.jacrev)"
            )
        return ctx.jvp_rule(tuple(arrays), result, tangents[3:])


def _requires_grad(arrays: Sequence[Array]) -> bool:
    return torch.is_grad_enabled() and any(x.requires_grad for x in arrays)


def _forward_mode(call: ArrayFunction, jvp: Any, arrays: tuple[Array, ...]) -> Array:
    """`custom_gradient` right inside `torch.func.jvp`, in open code that can be differentiated again."""
    duals: list[Any] = [forward_ad.unpack_dual(x, level=0) for x in arrays]  # type: ignore[no-untyped-call]
    primals = tuple([dual.primal for dual in duals])
    result = call(*primals)
    if all(dual.tangent is None for dual in duals):
        return result
    tangents = tuple([torch.zeros_like(d.primal) if d.tangent is None else d.tangent for d in duals])
    tangent = jvp(primals, result, tangents)
    return forward_ad.make_dual(result, tangent, level=0)  # type: ignore[no-untyped-call]


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
        if isinstance(obj, torch.Tensor):
            return obj.detach().clone().to(device=place, dtype=kind)
        if not isinstance(obj, np.ndarray):
            return torch.tensor(obj, dtype=kind, device=place)
        if _has_negative_strides(obj) or not obj.dtype.isnative:
            obj = obj.astype(obj.dtype.newbyteorder("="), order="C")
        own: Any = _DTYPES.get(obj.dtype.name)
        if own in _OF_ML_DTYPES:
            return torch.tensor(obj.view(_BITS[obj.itemsize]), device=place).view(own).to(kind or own)
        return torch.tensor(obj, dtype=kind, device=place)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        host = x.detach().cpu().resolve_conj().resolve_neg()
        if host.dtype in _OF_ML_DTYPES:
            bits: np.ndarray[Any, Any] = host.contiguous().view(_DTYPES[_BITS[host.itemsize]]).numpy()
            return np.array(bits.view(_OF_ML_DTYPES[host.dtype]))
        return np.array(host.numpy())

    def from_dlpack(self, x: Array) -> Array:
        if _has_negative_strides(x):  # PyTorch would end the process
            raise ValueError("PyTorch has no negative strides")
        return torch.from_dlpack(x)  # type: ignore[attr-defined]

    def is_traced(self, x: Array) -> bool:
        return torch.compiler.is_compiling() or internals.is_wrapped(x)

    def unsupported(self, x: Array) -> str:
        if x.is_nested:
            return "a nested tensor: pass torch.nested.to_padded_tensor(x, -inf), or one row at a time"
        if x.is_quantized:
            return "a quantized tensor: pass x.dequantize()"
        if x.layout is not torch.strided:
            return f"a tensor of the layout {x.layout}: pass x.to_dense()"
        return ""

    def stop_gradient(self, x: Array) -> Array:
        return x.detach()

    def custom_gradient(self, fn: ArrayFunction, *, vjp: ReverseRule, jvp: ForwardRule) -> ArrayFunction:
        compiling = torch.compiler.is_compiling()
        function = _Custom if compiling else _CustomWithForwardMode

        def apply(*arrays: Array) -> Array:
            # Dynamo traces no custom gradient in a transform, and without a gradient miscounts the arguments
            if compiling and (internals.in_transform() or not _requires_grad(arrays)):
                return fn(*arrays)
            return function.apply(fn, vjp, jvp, *arrays)  # type: ignore[no-untyped-call]

        def call(*arrays: Array) -> Array:
            forward = internals.in_forward_mode(*(() if compiling else arrays))
            return _forward_mode(apply, jvp, arrays) if forward else apply(*arrays)

        return call

    def vjp(self, fn: ArrayFunction, arrays: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
        leaves = [x.detach().requires_grad_() for x in arrays]
        result = fn(*leaves)
        if not result.requires_grad:
            return tuple([torch.zeros_like(x) for x in arrays])
        return torch.autograd.grad(result, leaves, cotangent, materialize_grads=True)

    def value_and_grad(
        self, fn: Callable[..., tuple[Array, Any]], arrays: Sequence[Array]
    ) -> tuple[Array, Any, tuple[Array, ...]]:
        call = torch.func.grad_and_value(fn, argnums=tuple(range(len(arrays))), has_aux=True)
        gradients, (value, more) = call(*arrays)
        return value, more, gradients

    def jvp(self, fn: ArrayFunction, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
        return torch.func.jvp(fn, tuple(arrays), tuple(tangents))[1]

    def vmap(self, fn: ArrayFunction) -> ArrayFunction:
        mapped: ArrayFunction = torch.func.vmap(fn)
        return mapped

    def jit(self, fn: ArrayFunction, *, compiler: str | None = None, unknown_dims: bool = False) -> ArrayFunction:
        if torch.compiler.is_compiling():
            return fn  # it becomes part of what is being compiled
        compiled = _Compiled(fn, unknown_dims or None)

        def call(*arrays: Array) -> Any:
            # torch.func cannot transform what is compiled; inside its transforms, and a compiler, it is `fn` itself
            inside = torch.compiler.is_compiling() or internals.in_transform(*arrays)
            return fn(*arrays) if inside else compiled(*arrays)

        return call

    def compiler_problem(self, compiler: str) -> str | None:
        if torch.cuda.is_available() or any(map(shutil.which, ("g++", "c++", "clang++", "cl"))):
            return None
        return "torch.compile needs a C++ compiler, and there is none" + (
            ": apt-get install g++" if sys.platform == "linux" else ""
        )
