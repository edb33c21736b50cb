"""Natives for JAX: loops over blocks that are compiled once, and a custom gradient whose reverse rule is called."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from tempscale.backend import Array
from tempscale.kernels import linear
from tempscale.kernels.linear import Arrays, Step


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

_tangent = Primitive("tempscale_tangent")


def _tangent_of(*given: Array, jvp: Any, vjp: Any, linear: tuple[int, ...]) -> Array:
    """The directional derivative at arrays and a result along tangents, which are there for the numbers in `linear`."""
    result, arrays = given[-1 - len(linear)], given[: -1 - len(linear)]
    known = dict(zip(linear, given[-len(linear) :], strict=True))
    return jvp(arrays, result, tuple([known.get(i, x) for i, x in enumerate(arrays)]))


def _transposed(cotangent: Any, *given: Any, jvp: Any, vjp: Any, linear: tuple[int, ...]) -> list[Any]:
    head = given[: -len(linear)]
    if isinstance(cotangent, ad.Zero):
        return [None] * len(head) + [ad.Zero(x.aval) for x in given[-len(linear) :]]
    every = vjp(head[:-1], head[-1], cotangent)
    asked = zip(linear, given[-len(linear) :], strict=True)
    return [None] * len(head) + [every[i] if isinstance(x, ad.UndefinedPrimal) else None for i, x in asked]


def _differentiated_again(primals: Any, tangents: Any, **rules: Any) -> tuple[Array, Array]:
    moving = [i for i, x in enumerate(tangents) if not isinstance(x, ad.Zero)]

    def of_moving(*some: Array) -> Array:
        given = list(primals)
        for i, x in zip(moving, some, strict=True):
            given[i] = x
        return _tangent_of(*given, **rules)

    return jax.jvp(of_moving, [primals[i] for i in moving], [tangents[i] for i in moving])


def _mapped(given: Any, axes: Any, **rules: Any) -> tuple[Array, int]:
    return jax.vmap(lambda *x: _tangent_of(*x, **rules), tuple(axes))(*given), 0


_tangent.def_impl(_tangent_of)  # type: ignore[no-untyped-call]
_tangent.def_abstract_eval(lambda *given, linear, **rules: given[-1 - len(linear)])  # type: ignore[no-untyped-call]
ad.primitive_transposes[_tangent] = _transposed
ad.primitive_jvps[_tangent] = _differentiated_again
batching.primitive_batchers[_tangent] = _mapped
mlir.register_lowering(_tangent, mlir.lower_fun(_tangent_of, multiple_results=False))


@linear.differentiated.native("jax")
def _differentiated(*arrays: Array, fn: Any, vjp: Any, jvp: Any) -> Array:
    call = jax.custom_jvp(fn)
    floats = tuple([i for i, x in enumerate(arrays) if jnp.issubdtype(x.dtype, jnp.floating)])

    @call.defjvp
    def rule(primals: Arrays, tangents: Arrays) -> tuple[Array, Array]:
        result = call(*primals)
        given = (*primals, result, *[tangents[i] for i in floats])
        return result, _tangent.bind(*given, jvp=jvp, vjp=vjp, linear=floats)  # type: ignore[no-untyped-call]

    return call(*arrays)
