"""Drawing tokens in JAX: the body, compiled; an eager call costs one dispatch instead of one per step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tempscale.backend import Array
from tempscale.kernels import gumbel
from tempscale.kernels.gumbel import top_k
from tempscale.kernels.gumbel.tokens import tokens_of_batch
from tempscale.kernels.temperature import Reciprocal
from tempscale_backends.jax.meshes import on_meshes

BLOCK = 2**18
"""Entries that are worked on at a time."""


@gumbel.lookup.native("jax")
def _lookup(index: Array, *, table: str) -> Array:
    return jnp.asarray(gumbel.TABLES[table]).at[index].get(mode="promise_in_bounds")


@gumbel.float_bits.native("jax")
def _float_bits(m: Array) -> Array:
    return jax.lax.bitcast_convert_type(m.astype(jnp.float32), jnp.int32)


@gumbel.is_exactly_zero.native("jax")
def _is_exactly_zero(x: Array) -> Array:
    # In halves: of a comparison of all bits with 0 the compiler makes one of floats, which takes subnormal ones for 0.
    halves = jax.lax.bitcast_convert_type(x, jnp.uint16)
    return (halves[..., 0] == 0) & (halves[..., 1] & 0x7FFF == 0)


@top_k.first.native("jax")
def _first(arrivals: Array, draws: Array) -> Array:
    return jax.lax.top_k(-arrivals, draws.shape[0])[1]


def _race(field: gumbel.Field, key: tuple[Array, Array], draws: Array, rows: Array, xp: Any) -> Array:
    """Race for some draws at a time: all at once would take as many numbers for each as there are groups, or slots."""
    count, groups = field.best.shape
    if not isinstance(count, int):  # a symbol, for exported code
        return gumbel.race(field, key, draws, rows, xp)
    step = max(1, BLOCK // max(1, count * max(groups, sum(part.shape[1] for part in field.parts))))
    blocks = -(-draws.shape[0] // step)
    if blocks < 2:
        return gumbel.race(field, key, draws, rows, xp)
    in_blocks = jnp.pad(draws, (0, blocks * step - draws.shape[0])).reshape(blocks, step)
    found = jax.lax.map(lambda some: gumbel.race(field, key, some, rows, xp), in_blocks)
    return jnp.moveaxis(found, 1, 0).reshape(count, blocks * step)[:, : draws.shape[0]]


def _by_blocks(body: Callable[..., Array]) -> Callable[..., Array]:
    """Make of a body one that draws some rows at a time, so that what is in between stays in the cache."""

    @functools.wraps(body)
    def draw(x: Array, key: Array, *, temperature: Any, draws: Array, rows: Array, xp: Any) -> Array:
        if not all(isinstance(n, int) for n in x.shape):  # symbols, for exported code: they cannot be compared
            return body(x, key, temperature=temperature, draws=draws, rows=rows, xp=xp)
        step = max(1, BLOCK // x.shape[1])
        blocks, rest = divmod(x.shape[0], step)
        # as words, because XLA widens all of an array of 16 bits that it takes floats out of
        as_words = jax.lax.bitcast_convert_type(x, jnp.uint16) if x.dtype.itemsize == 2 else x
        by_row = {"x": as_words, "rows": rows}
        if key.ndim == 2:
            by_row["key"] = key
        if isinstance(temperature, jax.Array) and temperature.ndim == 2 and temperature.shape[0] == x.shape[0]:
            by_row["temperature"] = temperature

        def some(given: dict[str, Array]) -> Array:
            given = {"key": key, "temperature": temperature, **given}
            logits = jax.lax.bitcast_convert_type(given.pop("x"), x.dtype)
            return body(logits, given.pop("key"), draws=draws, xp=xp, **given)

        if blocks < 2:
            return some(by_row)
        in_blocks = {name: a[: blocks * step].reshape(blocks, step, *a.shape[1:]) for name, a in by_row.items()}
        found = jax.lax.map(some, in_blocks).reshape(blocks * step, draws.shape[0])
        return jnp.concatenate([found, some({name: a[-rest:] for name, a in by_row.items()})]) if rest else found

    return draw


def _compiled(body: Callable[..., Array]) -> Callable[..., Array]:
    """Compile a body once per set of options; a number is an operand, so that another one does not compile again."""

    @functools.lru_cache(maxsize=256)
    def for_options(options: tuple[tuple[str, Any], ...]) -> Callable[..., Array]:
        return jax.jit(on_meshes(functools.partial(body, xp=jnp, **dict(options))))

    def native(*arrays: Array, **options: Any) -> Array:
        traced: dict[str, Any] = {}
        static: list[tuple[str, Any]] = []
        for name, value in options.items():
            if isinstance(value, float) and value != gumbel.AT_ZERO:
                traced[name] = Reciprocal(np.float32(value))
            elif isinstance(value, (jax.Array, Reciprocal)):
                traced[name] = value
            else:
                static.append((name, value))
        return for_options(tuple(static))(*arrays, **traced)

    return native


_eagerly = _compiled(tokens_of_batch.body)


@tokens_of_batch.native("jax")
def _draw(logits: Array, key: Array, **options: Any) -> Array:
    classes = logits.shape[-1]
    if not isinstance(classes, int):
        raise ValueError(
            f"logits have {classes} classes, a symbol; expected a number: export with a symbol for rows only"
        )
    return _eagerly(logits, key, **options)


_drawn = functools.partial(gumbel.drawn, stages=gumbel.STAGES._replace(race=_race))
_with_replacement = functools.partial(gumbel.tokens_of_rows.body, run=_drawn)
gumbel.tokens_of_rows.native("jax")(_compiled(_by_blocks(_with_replacement)))
top_k.distinct_tokens_of_rows.native("jax")(_compiled(_by_blocks(top_k.distinct_tokens_of_rows.body)))
