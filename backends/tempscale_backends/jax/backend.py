"""JAX as a backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tempscale.backend import Array, ArrayFunction, Backend, ForwardRule, ReverseRule
from tempscale_backends.jax import internals
from tempscale_backends.jax import natives as natives


class JaxBackend(Backend):
    """`jax.Array` and every tracer."""

    name = "jax"
    array_types = internals.array_types()
    compilers = ("jax.jit",)
    unknown_dims = False

    @property
    def version(self) -> str:
        return str(jax.__version__)

    def devices(self) -> tuple[str, ...]:
        return tuple(f"{device.platform}:{device.id}" for device in jax.devices())

    def device_of(self, x: Array) -> str:
        if internals.is_tracer(x):
            return self.devices()[0]
        device = next(iter(x.devices()))
        return f"{device.platform}:{device.id}"

    def settings(self) -> dict[str, str]:
        return {"x64": "on" if jax.config.jax_enable_x64 else "off"}  # type: ignore[attr-defined]

    @property
    def namespace(self) -> Any:
        return jnp

    def shape(self, x: Array) -> tuple[int | None, ...]:
        return tuple([n if isinstance(n, int) else None for n in x.shape])  # exported code may leave symbols

    def dtype_name(self, x: Array) -> str:
        return str(x.dtype)

    def dtype(self, name: str) -> Any:
        if not hasattr(jnp, name):
            raise TypeError(f"JAX has no dtype {name}")
        dtype = jnp.dtype(name)
        if jax.dtypes.canonicalize_dtype(dtype) != dtype:
            raise TypeError(f"JAX has no {name} unless x64 is on (jax.config.update('jax_enable_x64', True))")
        return dtype

    def allowing(self, dtype: str) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = jax.enable_x64(True) if dtype.endswith("64") else nullcontext()
        return context

    def default_float(self) -> str:
        return str(jax.dtypes.canonicalize_dtype(float))

    def default_index(self) -> str:
        return str(jax.dtypes.canonicalize_dtype(int))

    def asarray(
        self, obj: Any, *, dtype: str | None = None, like: Array | None = None, device: str | None = None
    ) -> Array:
        if dtype is None and isinstance(obj, np.ndarray):
            dtype = obj.dtype.name  # else a float64 would be narrowed without a word
        kind = None if dtype is None else self.dtype(dtype)
        place: Any = None
        if device is not None:
            if device not in self.devices():
                raise ValueError(f"JAX has no device {device!r}; there are {', '.join(self.devices())}")
            place = jax.devices()[self.devices().index(device)]
        elif like is not None and not internals.is_tracer(like) and like.committed and len(like.devices()) == 1:
            place = next(iter(like.devices()))  # otherwise JAX brings it to where it is needed
        made = jnp.array(obj, dtype=kind)
        return made if place is None else jax.device_put(made, place)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(jax.lax.stop_gradient(x))

    def from_dlpack(self, x: Array) -> Array:
        return jnp.from_dlpack(x, copy=False)

    def is_traced(self, x: Array) -> bool:
        return internals.is_tracer(x)

    def stop_gradient(self, x: Array) -> Array:
        return jax.lax.stop_gradient(x)

    def custom_gradient(self, fn: ArrayFunction, *, vjp: ReverseRule, jvp: ForwardRule) -> ArrayFunction:
        # A custom_vjp would forbid forward mode; the transpose of the jvp serves both.
        call = jax.custom_jvp(fn)

        @call.defjvp
        def rule(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
            result = call(*primals)
            return result, jvp(primals, result, tangents)

        return call

    def vjp(self, fn: ArrayFunction, arrays: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
        gradients: tuple[Array, ...] = jax.vjp(fn, *arrays)[1](cotangent)
        return gradients

    def value_and_grad(
        self, fn: Callable[..., tuple[Array, Any]], arrays: Sequence[Array]
    ) -> tuple[Array, Any, tuple[Array, ...]]:
        call = jax.value_and_grad(fn, argnums=tuple(range(len(arrays))), has_aux=True)
        (value, more), gradients = call(*arrays)
        return value, more, gradients

    def jvp(self, fn: ArrayFunction, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
        return jax.jvp(fn, tuple(arrays), tuple(tangents))[1]

    def vmap(self, fn: ArrayFunction) -> ArrayFunction:
        return jax.vmap(fn)

    def jit(self, fn: ArrayFunction, *, compiler: str | None = None, unknown_dims: bool = False) -> ArrayFunction:
        if unknown_dims:
            raise NotImplementedError("jax.jit compiles for each shape anew: it knows no unknown dimensions")
        return jax.jit(fn)
