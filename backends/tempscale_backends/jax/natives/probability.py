"""Natives for JAX: the bodies, compiled. An eager call then costs one dispatch instead of one per step."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from tempscale.backend import Array
from tempscale.kernels import OPERATIONS
from tempscale.kernels.reductions import accurate_sum, row_max_or_nan
from tempscale.kernels.temperature import Reciprocal, exponential, exponential_but_of_nan, is_limit, is_numbers
from tempscale_backends.jax.meshes import on_meshes

_TEMPERATURES = ("temperature", "q_temperature")


@accurate_sum.native("jax")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    # beside an axis of one entry XLA may add what it has just computed one after another, not in a tree
    ones = tuple([i for i, n in enumerate(x.shape) if n == 1 and i != axis])
    total = jnp.sum(jnp.squeeze(x, ones), axis=axis - sum(i < axis for i in ones))
    return jnp.expand_dims(total, (*ones, axis))


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
