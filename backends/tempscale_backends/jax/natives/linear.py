"""Natives for JAX: loops over blocks that are compiled once, and a custom gradient whose reverse rule is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tempscale.backend import Array
from tempscale.kernels import linear
from tempscale.kernels.linear import Arrays, Step
from tempscale_backends.jax import internals


@linear.product.native("jax")
def _product(x: Array, y: Array) -> Array:
    # accelerators would multiply float32 in fewer digits
    return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


@linear.block_of.native("jax")
def _block_of(x: Array, *, start: Any, size: Any) -> Array:
    return x if size == x.shape[0] else jax.lax.dynamic_slice_in_dim(x, start, size)


@linear.over_blocks.native("jax")
def _over_blocks(arrays: Arrays, carry: Arrays, *, step: Step, size: Any) -> tuple[Arrays, Arrays]:
    classes = arrays[1].shape[0]
    if size is None or size == classes:
        return step(arrays, carry, 0, classes)
    count, rest = divmod(classes, size)
    shapes = jax.eval_shape(lambda arrays, carry: step(arrays, carry, 0, size)[1], arrays, carry)
    ends = [(classes if x.shape[0] == size else count + (rest > 0), *x.shape[1:]) for x in shapes]
    found = tuple([jnp.zeros(end, x.dtype) for end, x in zip(ends, shapes, strict=True)])

    def put(state: Any, i: Any, size_here: int) -> Any:
        # the parts go to their places at once: joined in the end, they would be there twice
        carry, parts = step(arrays, state[0], i * size, size_here)
        at = [i * (size if x.shape[0] == size_here else 1) for x in parts]
        placed = [
            jax.lax.dynamic_update_slice_in_dim(whole, part, start, 0)
            for whole, part, start in zip(state[1], parts, at, strict=True)
        ]
        return carry, tuple(placed)

    state = jax.lax.fori_loop(0, count, lambda i, state: put(state, i, size), (carry, found))
    return put(state, count, rest) if rest else state  # type: ignore[no-any-return]


# JAX transposes the forward rule of a `custom_jvp` for reverse mode, and would save all logits for it. A primitive of
# the tangent has a transpose of its own.


class Rules(NamedTuple):
    """The rules of a function, and the numbers of its arguments that may move."""

    vjp: Callable[..., Any]
    jvp: Callable[..., Array]
    moving: tuple[int, ...]


def _tangent_of(*given: Array, rules: Rules) -> Arrays:
    """The directional derivative: given are the arguments, the result, and tangents of those that move."""
    count = len(given) - 1 - len(rules.moving)
    known = dict(zip(rules.moving, given[count + 1 :], strict=True))
    return (rules.jvp(given[:count], given[count], tuple([known.get(i, x) for i, x in enumerate(given[:count])])),)


def _types(*given: Any, rules: Rules) -> Arrays:
    return (given[-1 - len(rules.moving)],)


def _transposed(cotangents: Any, *given: Any, rules: Rules) -> list[Any]:
    count = len(given) - 1 - len(rules.moving)
    every = rules.vjp(given[:count], given[count], internals.made_real(cotangents[0]))
    asked = zip(rules.moving, given[count + 1 :], strict=True)
    return [None] * (count + 1) + [every[i] if internals.is_linear(x) else None for i, x in asked]


def _differentiated_again(primals: Any, tangents: Any, *, rules: Rules) -> tuple[Arrays, Arrays]:
    moving = [i for i, x in enumerate(tangents) if not internals.is_zero(x)]

    def of_moving(*some: Array) -> Arrays:
        given = list(primals)
        for i, x in zip(moving, some, strict=True):
            given[i] = x
        return _tangent_of(*given, rules=rules)

    return jax.jvp(of_moving, [primals[i] for i in moving], [tangents[i] for i in moving])


def _mapped(given: Any, axes: Any, *, rules: Rules) -> tuple[Arrays, list[int]]:
    return jax.vmap(functools.partial(_tangent_of, rules=rules), tuple(axes))(*given), [0]


def _lower(context: Any, *values: Any, rules: Rules) -> Any:
    traced = jax.make_jaxpr(functools.partial(_tangent_of, rules=rules))(*context.avals_in)
    return internals.lowered(context, traced, values)


_tangent = internals.primitive(
    "tangent_by_rules",
    run=_tangent_of,
    types=_types,
    jvp=_differentiated_again,
    transpose=_transposed,
    batch=_mapped,
    lower=_lower,
    otherwise=_tangent_of,
)


@linear.differentiated.native("jax")
def _differentiated(*arrays: Array, fn: Any, vjp: Any, jvp: Any) -> Array:
    call = jax.custom_jvp(fn)
    floats = tuple([i for i, x in enumerate(arrays) if jnp.issubdtype(x.dtype, jnp.floating)])

    @call.defjvp
    def rule(primals: Arrays, tangents: Arrays) -> tuple[Array, Array]:
        result = call(*primals)
        (tangent,) = _tangent(*primals, result, *[tangents[i] for i in floats], rules=Rules(vjp, jvp, floats))
        return result, tangent

    return call(*arrays)
