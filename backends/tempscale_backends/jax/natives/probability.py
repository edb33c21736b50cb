"""Natives for JAX: the bodies, compiled. An eager call then costs one dispatch instead of one per step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tempscale.backend import Array
from tempscale.kernels import OPERATIONS
from tempscale.kernels.reductions import accurate_sum, equal_parts, row_max_or_nan, split_sum
from tempscale.kernels.temperature import Reciprocal, exponential, exponential_but_of_nan, is_limit, is_numbers
from tempscale_backends.jax.meshes import on_meshes
from tempscale_backends.jax.wide import in_64_bits

_TEMPERATURES = ("temperature", "q_temperature")


@accurate_sum.native("jax")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    # XLA adds 32 entries one after another, or a whole row
    n = x.shape[axis]
    if x.dtype == jnp.float64:
        return _sum_of_halves(x, axis) if isinstance(n, int) else split_sum(x, axis, jnp)
    parts = equal_parts(n) if isinstance(n, int) else 1
    if parts > 1:
        x = jnp.sum(x.reshape(*x.shape[:axis], parts, n // parts, *x.shape[axis + 1 :]), axis=axis)
    return _sum_in_float64(axis)(x)


@functools.lru_cache(maxsize=64)
def _sum_in_float64(axis: int) -> Callable[..., Array]:
    return in_64_bits(lambda x: jnp.sum(x.astype("float64"), axis=axis, keepdims=True).astype(jnp.float32))


@functools.partial(jax.jit, static_argnums=1)
def _sum_of_halves(x: Array, axis: int) -> Array:
    """Add the second half to the first, until one is left; a zero makes an odd number of entries even."""
    x = jnp.moveaxis(x, axis, -1)
    while x.shape[-1] > 1:
        half = -(-x.shape[-1] // 2)
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 2 * half - x.shape[-1])])
        x = jnp.sum(x.reshape(*x.shape[:-1], 2, half), axis=-2)
        x = jax.lax.optimization_barrier(x)  # type: ignore[no-untyped-call]  # or XLA makes one sum of them all
    return jnp.moveaxis(jnp.sum(x, axis=-1, keepdims=True), -1, axis)


@exponential.native("jax")
def _exponential(x: Array) -> Array:
    return exponential_but_of_nan(x, jnp)


@row_max_or_nan.native("jax")
def _row_max_or_nan(x: Array, *, axis: int) -> Array:
    # in a long row XLA finds an infinity greater than a NaN, at some places
    has_nan = jnp.any(x != x, axis=axis, keepdims=True)
    return jnp.where(has_nan, jnp.nan, jnp.max(x, axis=axis, keepdims=True))


def _compiled(body: Any) -> Any:
    """Compile a body once per set of options; numbers that may vary from call to call go in as operands."""

    @functools.lru_cache(maxsize=256)
    def for_options(options: tuple[tuple[str, Any], ...]) -> Any:
        named = dict(options)
        return jax.jit(on_meshes(functools.partial(body, xp=jnp, **named), axis=named.get("axis", -1)))

    @functools.wraps(body)
    def native(*arrays: Any, **options: Any) -> Any:
        traced: dict[str, Any] = {}
        static: list[tuple[str, Any]] = []
        for key, value in options.items():
            if key in _TEMPERATURES and isinstance(value, float) and not is_limit(value):
                traced[key] = Reciprocal(1.0 / value)
            elif isinstance(value, jax.Array) or is_numbers(value):
                traced[key] = value
            else:
                static.append((key, value))
        return for_options(tuple(static))(*arrays, **traced)

    return native


for _operation in OPERATIONS.values():
    _operation.native("jax")(_compiled(_operation.body))
