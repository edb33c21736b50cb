"""Drawing tokens in JAX: the body, compiled; an eager call costs one dispatch instead of one per step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tempscale import _gumbel
from tempscale._agnostic import Operation
from tempscale._scaling import Reciprocal
from tempscale.backend import Array
from tempscale.decoding import _sample


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


@_gumbel.grouped.native("jax")
def _grouped(x: Array) -> Array:
    rows, classes = x.shape
    if classes <= _gumbel.GROUPS:
        return x[:, None, :]
    slots = -(-classes // _gumbel.GROUPS)
    x = jnp.pad(x, ((0, 0), (0, slots * _gumbel.GROUPS - classes)), constant_values=-jnp.inf)
    return x.reshape(rows, slots, _gumbel.GROUPS)


def _compiled(operation: Operation[..., Any]) -> Callable[..., Array]:
    """Compile a body once per set of options; a number is an operand, so that another one does not compile again."""

    @functools.lru_cache(maxsize=256)
    def for_options(options: tuple[tuple[str, Any], ...]) -> Callable[..., Array]:
        return jax.jit(functools.partial(operation.body, xp=jnp, **dict(options)))

    def native(*arrays: Array, **options: Any) -> Array:
        traced: dict[str, Any] = {}
        static: list[tuple[str, Any]] = []
        for name, value in options.items():
            if isinstance(value, float) and value != _gumbel.AT_ZERO:
                traced[name] = Reciprocal(np.float32(value))
            elif isinstance(value, (jax.Array, Reciprocal)):
                traced[name] = value
            else:
                static.append((name, value))
        return for_options(tuple(static))(*arrays, **traced)

    return native


for _operation in (_gumbel.tokens_of_rows, _sample):
    _operation.native("jax")(_compiled(_operation))
