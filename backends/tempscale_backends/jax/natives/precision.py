"""The option `precision` in JAX: reproducible values compiled, and powers of two by their bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tempscale.backend import Array
from tempscale.kernels import exact, precision
from tempscale.kernels.temperature import Reciprocal, is_limit
from tempscale_backends.jax import internals
from tempscale_backends.jax.meshes import on_meshes
from tempscale_backends.jax.operands import Named, as_operands, with_numbers
from tempscale_backends.jax.wide import in_64_bits


@precision.differentiable.native("jax")
def _differentiable(*arrays: Array) -> bool:
    return any(map(internals.is_tracer, arrays))


@precision.can_be_cut.native("jax")
def _can_be_cut(x: Array) -> bool:
    return not internals.is_tracer(x) and len(x.devices()) == 1


@exact.power_of_two.native("jax")
def _power_of_two(k: Array) -> Array:
    return jax.lax.bitcast_convert_type((k.astype(jnp.int64) + 1023) << 52, jnp.float64)


@functools.lru_cache(maxsize=256)
def _in_float64(body: Callable[..., Array], static: tuple[tuple[str, Any], ...], named: Named) -> Callable[..., Array]:
    """Compile a body once per set of options; of the arrays that it then takes, the last ones are the `named`."""

    def call(*arrays: Array) -> Array:
        operands, options = with_numbers(arrays, named)
        return body(*operands, xp=jnp, **dict(static), **options)

    return in_64_bits(on_meshes(call, axis=dict(static).get("axis", -1)))


def _run(body: Callable[..., Array], arrays: tuple[Array, ...], options: dict[str, Any]) -> Array:
    operands, named, static = as_operands(options, numbers=("temperature",))
    return _in_float64(body, static, named)(*arrays, *operands)


@precision.accurate.native("jax")
def _accurate(*arrays: Array, temperature: Any, **options: Any) -> Array:
    if isinstance(temperature, float) and not is_limit(temperature):
        temperature = Reciprocal(1.0 / temperature)
    return _run(precision.accurate.body, arrays, {"temperature": temperature, **options})


@precision.reproducible.native("jax")
def _reproducible(*arrays: Array, **options: Any) -> Array:
    return _run(precision.reproducible.body, arrays, options)
