"""Natives for JAX: the bodies, compiled. An eager call then costs one dispatch instead of one per step."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from tempscale import linear_cross_entropy
from tempscale.backend import Array
from tempscale.kernels import OPERATIONS
from tempscale.kernels.reductions import accurate_sum, equal_parts, row_max, row_max_or_nan, split_sum
from tempscale.kernels.temperature import (
    Known,
    Reciprocal,
    exponential,
    exponential_but_of_nan,
    is_limit,
    is_numbers,
    widen,
)
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


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _known(x: Array, c: Array, axis: int) -> Known:
    """Return what is known of rows of logits.

    XLA on a CPU has kernels for the maximum and the sum of a row, into which it takes exp and arithmetic, but neither
    comparisons nor selections. It takes them in only if nobody else needs what they compute: so each sum has a
    maximum, and with that an exp, of its own.
    """
    m = row_max(x, axis=axis)

    def z(times: float) -> Array:
        """Return z as another value to the compiler, which must not share what follows from it."""
        zero = jnp.minimum(jnp.abs(m) * times, 0.0)
        return (x - (m + zero)) * (c + zero)

    total = accurate_sum(jnp.exp(z(1.0)), axis=axis)
    e = jnp.exp(z(2.0))
    # below 2 there is one maximum, which alone has a fraction of 0
    others = jnp.where(total < 2.0, accurate_sum(e - jnp.floor(e), axis=axis), total - 1.0)
    return Known(c, m, total, others)


@_known.defjvp
def _known_along(axis: int, primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Known, Known]:
    (x, c), (t, _) = primals, tangents
    known = _known(x, c, axis)
    # nothing moves a row whose maximum is infinite: NaN would reach what has no use for its sum
    e = jnp.where(jnp.isinf(known.m), 0.0, exponential((x - known.m) * c))
    moved = accurate_sum(e * (t * c), axis=axis)
    return known, Known(jnp.zeros_like(c), jnp.zeros_like(known.m), moved, moved)


def _with_known(body: Any) -> Any:
    """Have a body, and the rules of its derivatives, share what they need to know of the rows of logits."""

    @functools.wraps(body)
    def call(*arrays: Array, xp: Any, **options: Any) -> Array:
        for logits, name in zip(arrays, _TEMPERATURES, strict=False):
            if isinstance(options.get(name), Reciprocal):
                x = widen(logits, options.get("where"), xp)
                options[name] = _known(x, jnp.asarray(options[name].value, x.dtype), options.get("axis", x.ndim - 1))
        return body(*arrays, xp=xp, **options)

    return call


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
    # the one operation whose arguments are not logits
    _body = _operation.body if _operation is linear_cross_entropy else _with_known(_operation.body)
    _operation.native("jax")(_compiled(_body))
