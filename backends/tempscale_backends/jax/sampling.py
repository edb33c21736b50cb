"""Drawing tokens in JAX: the body, compiled; an eager call costs one dispatch instead of one per step."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from tempscale import _gumbel
from tempscale._scaling import Reciprocal
from tempscale.backend import Array


@_gumbel.lookup.native("jax")
def _lookup(index: Array, *, table: str) -> Array:
    return jnp.asarray(_gumbel.TABLES[table]).at[index].get(mode="promise_in_bounds")


@_gumbel.float_bits.native("jax")
def _float_bits(m: Array) -> Array:
    return jax.lax.bitcast_convert_type(m.astype(jnp.float32), jnp.int32)


@_gumbel.is_exactly_zero.native("jax")
def _is_exactly_zero(x: Array) -> Array:
    # In halves: of a comparison of all bits with 0 the compiler makes one of floats, which takes subnormal ones for 0.
    halves = jax.lax.bitcast_convert_type(x, jnp.uint16)
    return (halves[..., 0] == 0) & (halves[..., 1] & 0x7FFF == 0)


@functools.partial(jax.jit, static_argnames=("at_zero", "is_factor"))
def _compiled(x: Array, key: Array, draws: Array, rows: Array, operand: Any, at_zero: bool, is_factor: bool) -> Array:
    temperature = _gumbel.AT_ZERO if at_zero else Reciprocal(operand) if is_factor else operand
    return _gumbel.tokens_of_rows.body(x, key, temperature=temperature, draws=draws, rows=rows, xp=jnp)


@_gumbel.tokens_of_rows.native("jax")
def _tokens_of_rows(x: Array, key: Array, *, temperature: Any, draws: Array, rows: Array) -> Array:
    is_factor = isinstance(temperature, float)  # an operand, so that another number does not compile again
    at_zero = is_factor and temperature == _gumbel.AT_ZERO
    return _compiled(x, key, draws, rows, jnp.float32(temperature) if is_factor else temperature, at_zero, is_factor)
