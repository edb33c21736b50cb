"""The option `precision` in JAX: reproducible values compiled, and powers of two by their bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tempscale.backend import Array
from tempscale.kernels import exact, precision
from tempscale.kernels.temperature import is_numbers


@precision.differentiable.native("jax")
def _differentiable(*arrays: Array) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in arrays)


@exact.power_of_two.native("jax")
def _power_of_two(k: Array) -> Array:
    return jax.lax.bitcast_convert_type((k.astype(jnp.int64) + 1023) << 52, jnp.float64)


@functools.lru_cache(maxsize=256)
def _compiled(options: tuple[tuple[str, Any], ...]) -> Callable[..., Array]:
    """Compile once per set of options."""
    return jax.jit(functools.partial(precision.reproducible.body, xp=jnp, **dict(options)))


@precision.reproducible.native("jax")
def _reproducible(*arrays: Array, temperature: Any, **options: Any) -> Array:
    named = {key: option for key, option in options.items() if isinstance(option, jax.Array) or is_numbers(option)}
    static = tuple([(key, option) for key, option in options.items() if key not in named])
    with jax.enable_x64(True):
        # an operand, so that another number does not compile again
        return _compiled(static)(*arrays, temperature=jnp.asarray(temperature, jnp.float64), **named)
