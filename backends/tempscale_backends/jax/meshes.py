"""Arrays on meshes with explicit axes.

There an operation of JAX wants to be told how its result is sharded, where that does not follow from its arguments. For
a function of rows it does: as the rows are. So JAX decides about what is in between, as it does on automatic axes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tempscale.backend import Array


def on_meshes(body: Callable[..., Array], *, like: int = 0, axis: int = -1) -> Callable[..., Array]:
    """Make a function of arrays, to be compiled, one that takes them on a mesh with explicit axes too.

    The result is sharded as the argument number `like`, if it has that shape but perhaps for `axis`; else not at all.
    """

    @functools.wraps(body)
    def call(*arrays: Array, **named: Any) -> Array:
        mesh = jax.typeof(arrays[like]).sharding.mesh
        kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
        explicit = tuple([name for name, kind in kinds if kind == AxisType.Explicit])
        if not explicit:
            return body(*arrays, **named)

        def automatic(arrays: tuple[Array, ...], named: dict[str, Any]) -> Array:
            return body(*arrays, **named)

        shapes = jax.tree.map(_type, (arrays, named))
        sharding = NamedSharding(mesh, _spec(jax.eval_shape(automatic, *shapes).shape, arrays[like], axis))
        return jax.sharding.auto_axes(automatic, axes=explicit, out_sharding=sharding)(arrays, named)

    return call


def _type(x: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)  # type: ignore[no-untyped-call]


def _spec(shape: tuple[int, ...], like: Array, axis: int) -> PartitionSpec:
    """Return how an array of a shape is sharded as another is, whose axis it may lack or have in another size."""
    batch = list(jax.typeof(like).sharding.spec)
    classes = batch.pop(axis) if batch else None
    if len(shape) == like.ndim > 0:
        batch.insert(axis % like.ndim, classes if shape[axis] == like.shape[axis] else None)
    return PartitionSpec(*batch if len(batch) == len(shape) else ())  # type: ignore[no-untyped-call]
