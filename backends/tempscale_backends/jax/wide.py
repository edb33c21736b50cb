"""Functions that compute with 64-bit numbers inside, whether or not x64 is on, as one primitive of JAX.

JAX differentiates, transposes, maps and lowers what it has traced later on, often when x64 is off again, and its own
rules then narrow 64-bit numbers. The rules of this primitive turn x64 on: between them JAX sees what is outside alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from tempscale.backend import Array
from tempscale_backends.jax import internals

Arrays = Sequence[Any]
Wide = Callable[..., Arrays]
"""Takes arrays and returns a list of arrays, none of which has to be wide."""


def in_64_bits(fn: Callable[..., Array]) -> Callable[..., Array]:
    """Return a function of arrays to one array that runs with x64 on, also where JAX transforms it."""

    def as_list(*arrays: Array) -> Arrays:
        return [fn(*arrays)]

    def call(*arrays: Array) -> Array:
        return _bind(as_list, arrays)[0]

    return call


def _bind(fn: Wide, arrays: Arrays) -> Any:
    return _wide(*arrays, fn=fn)


@functools.lru_cache(maxsize=1024)
def _compiled(fn: Wide) -> Wide:
    return jax.jit(fn)


def _run(*arrays: Array, fn: Wide) -> Arrays:
    with jax.enable_x64(True):
        return _compiled(fn)(*arrays)


def _types(*types: Any, fn: Wide) -> Arrays:
    with jax.enable_x64(True):
        return list(jax.make_jaxpr(fn)(*types).out_avals)


# The derivative


def _jvp(arrays: Arrays, tangents: Arrays, *, fn: Wide) -> tuple[Arrays, Arrays]:
    moving = tuple([not internals.is_zero(t) for t in tangents])
    results = _bind(fn, arrays)
    if not jnp.issubdtype(results[0].dtype, jnp.floating):
        return results, [internals.zero_for(x) for x in results]
    given = [t for t, moves in zip(tangents, moving, strict=True) if moves]
    return results, _bind(_derivative(fn, moving), [*arrays, *given])


@functools.lru_cache(maxsize=1024)
def _derivative(fn: Wide, moving: tuple[bool, ...]) -> Wide:
    """Return a function of the arrays and the tangents of those that move."""

    def derivative(*given: Array) -> Arrays:
        arrays, tangents = given[: len(moving)], given[len(moving) :]
        moved = tuple([x for x, moves in zip(arrays, moving, strict=True) if moves])
        fixed = [x for x, moves in zip(arrays, moving, strict=True) if not moves]
        return list(jax.jvp(lambda *some: fn(*_merged(moving, some, fixed)), moved, tangents)[1])

    return derivative


def _merged(choose: Sequence[bool], chosen: Arrays, others: Arrays) -> list[Any]:
    sources = iter(chosen), iter(others)
    return [next(sources[0 if first else 1]) for first in choose]


def _transpose(cotangents: Arrays, *arrays: Any, fn: Wide) -> Arrays:
    linear = tuple([internals.is_linear(x) for x in arrays])
    types = tuple([x.aval for x in arrays if internals.is_linear(x)])
    known = [x for x in arrays if not internals.is_linear(x)]
    found = _bind(_transposed(fn, linear, types), [*known, *[internals.made_real(g) for g in cotangents]])
    return _merged(linear, found, [None] * len(known))


@functools.lru_cache(maxsize=1024)
def _transposed(fn: Wide, linear: tuple[bool, ...], types: tuple[Any, ...]) -> Wide:
    """Return a function of the other arrays and the cotangents."""
    count = linear.count(False)

    def transposed(*given: Array) -> Arrays:
        def of_linear(*some: Array) -> Arrays:
            return fn(*_merged(linear, some, given[:count]))

        return list(jax.linear_transpose(of_linear, *types)(list(given[count:])))

    return transposed


# Mapping and lowering


def _mapped(arrays: Arrays, axes: Arrays, *, fn: Wide) -> tuple[Arrays, Arrays]:
    results = _bind(_vectorised(fn, tuple(axes)), arrays)
    return results, [0] * len(results)


@functools.lru_cache(maxsize=1024)
def _vectorised(fn: Wide, axes: tuple[int | None, ...]) -> Wide:
    return jax.vmap(fn, axes)


def _lower(context: Any, *values: Any, fn: Wide) -> Any:
    with jax.enable_x64(True):
        traced = jax.make_jaxpr(_compiled(fn))(*context.avals_in)
    # with x64 off again, as all around: it decides in how many bits dimensions are that are symbols
    return internals.lowered(context, traced, values)


def _run_or_refuse(*arrays: Array, fn: Wide) -> Any:
    """Run what is not a primitive, in a JAX that has none."""
    if any(map(internals.is_tracer, arrays)) and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        raise NotImplementedError(
            f"JAX {jax.__version__} narrows what it computes in 64 bits inside a transform or a compiled function: "
            "turn x64 on (jax.config.update('jax_enable_x64', True)), or call it outside of jit, grad and vmap"
        )
    return _run(*arrays, fn=fn)


_wide = internals.primitive(
    "in_64_bits",
    run=_run,
    types=_types,
    jvp=_jvp,
    transpose=_transpose,
    batch=_mapped,
    lower=_lower,
    otherwise=_run_or_refuse,
)
