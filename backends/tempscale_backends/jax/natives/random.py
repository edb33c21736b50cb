"""Random numbers in JAX: the bodies, compiled, with 64-bit numbers inside whether or not x64 is on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tempscale.backend import Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import DRAWS, rarely
from tempscale.kernels.exact.quantiles import split_float
from tempscale_backends.jax.meshes import on_meshes
from tempscale_backends.jax.operands import Named, as_operands, with_numbers
from tempscale_backends.jax.wide import in_64_bits


def _is_typed(key: Array) -> bool:
    return bool(jnp.issubdtype(key.dtype, jax.dtypes.prng_key))


@threefry.raw_key.native("jax")
def _raw_key(key: Array) -> Array:
    if not _is_typed(key):
        return key
    kind = str(jax.random.key_impl(key))
    if kind not in ("threefry2x32", "fry"):
        raise TypeError(f"key is one of JAX's of the kind {kind}, expected threefry2x32")
    return jax.random.key_data(key)


@threefry.key_like.native("jax")
def _key_like(words: Array, key: Array) -> Array:
    return jax.random.wrap_key_data(words, impl="threefry2x32") if _is_typed(key) else words.astype(key.dtype)


@threefry.as_words.native("jax")
def _as_words(x: Array) -> Array:
    return x.astype(jnp.uint32)  # wraps


@split_float.native("jax")
def _split_float(x: Array) -> tuple[Array, Array]:
    pattern = jax.lax.bitcast_convert_type(x, jnp.int64)
    m = jax.lax.bitcast_convert_type((pattern & (2**52 - 1)) | (1022 << 52), jnp.float64)
    return jnp.where(x == 0, 0.0, m), ((pattern >> 52) - 1022).astype(jnp.float64)


@rarely.native("jax")
def _rarely(condition: Array, x: Array, *, instead: Callable[[], Array]) -> Array:
    return jax.lax.cond(jnp.any(condition), lambda: jnp.where(condition, instead(), x), lambda: x)


def _compiled(body: Callable[..., Array]) -> Callable[..., Array]:
    """Compile a body once per set of options; numbers that may vary from call to call go in as operands."""

    @functools.lru_cache(maxsize=1024)
    def for_options(static: tuple[tuple[str, Any], ...], named: Named) -> Callable[..., Array]:
        def call(*arrays: Array) -> Array:
            operands, options = with_numbers(arrays, named)
            return body(*operands, xp=jnp, **dict(static), **options)

        return in_64_bits(on_meshes(call, like=-1 - len(named)))

    @functools.wraps(body)
    def native(*arrays: Array, **options: Any) -> Array:
        operands, named, static = as_operands(options)
        return for_options(static, named)(*arrays, *operands)

    return native


for _draw in DRAWS:
    _draw.native("jax")(_compiled(_draw.body))
