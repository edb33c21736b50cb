"""The option `precision` of functions of logits: "default", "accurate" and "reproducible".

Natives and bodies know nothing of it. "accurate" runs them on wider logits. "reproducible" takes the value from a
function beside the operation, in which every step is exact or rounded once by IEEE 754, and the
derivatives from the default.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from tempscale._core.arguments import one_of
from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import cast, is_array
from tempscale._core.operation import INJECTED, agnostic
from tempscale.arrays import custom_gradient, stop_gradient
from tempscale.backend import Array, Backend
from tempscale.kernels.exact.arithmetic import flushed, narrow

Precision: TypeAlias = Literal["default", "accurate", "reproducible"]
Run: TypeAlias = Callable[..., Array]
"""An operation on arguments that are checked: the native of a backend, or the body."""
PRECISIONS = ("default", "accurate", "reproducible")
CLASSES = 2**18
"""Most classes of a reproducible value: the sum of this many integers of 44 bits has 62."""
BLOCK = 2**18
"""Entries that are widened at a time in an eager call: 2 MiB as float64."""


def limit(precision: str, dtype: str, classes: int) -> str:
    """Say why an operation has no such precision for logits of a dtype and so many classes; "" if it has."""
    if precision == "accurate" and dtype == "float64":
        return "'accurate' computes in float64, as the default does for float64 logits"
    if precision == "reproducible" and dtype == "float64":
        return "'reproducible' is for logits of float16, bfloat16 and float32"
    if precision == "reproducible" and classes > CLASSES:
        return f"'reproducible' is for at most {CLASSES} classes (2^18)"
    return ""


def with_precision(value: Run, *, rowwise: bool = True) -> Callable[..., Array]:
    """Return how an operation is run in a precision, for `agnostic`.

    Parameters
    ----------
    value : callable
        The reproducible value: takes the arguments of the operation and `xp`.
    rowwise : bool
        Whether the operation is one of rows of logits alone, so that "accurate" can run it on some of them at a time.
    """

    def run_in(precision: Any, backend: Backend, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
        precision = one_of(precision, "precision", PRECISIONS)
        if precision == "default":
            return run(*args, **kwargs)
        if precision == "reproducible":
            _check_reproducible(backend, args[0], kwargs.get("axis", -1))
            return _with_value(backend, functools.partial(reproducible, value=value), run, args, kwargs)
        if backend.dtype_name(args[0]) == "float64":
            return run(*args, **kwargs)
        wide = functools.partial(accurate, run=run)
        if rowwise:
            return in_blocks(backend, wide)(*args, **kwargs)
        return _with_value(backend, wide, run, args, kwargs)

    return run_in


def _with_value(backend: Backend, value: Run, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Array:
    """Return ``value(*args, **kwargs)``, with the derivatives of `run`.

    Every array is an argument of the function with derivatives of its own, as tracers of a transform have to be.
    """
    names = [name for name, option in kwargs.items() if is_array(option)]
    arrays = [*args, *[kwargs[name] for name in names]]
    if not differentiable(*arrays):
        return value(*args, **kwargs)
    xp = backend.namespace

    def replacement(default: Array, *arrays: Array) -> Array:
        named = dict(zip(names, arrays[len(args) :], strict=True))
        return value(*arrays[: len(args)], **{**kwargs, **named})

    replaced = custom_gradient(
        replacement,
        vjp=lambda arrays, result, g: (g, *[xp.zeros_like(x) for x in arrays[1:]]),
        jvp=lambda arrays, result, tangents: tangents[0],
    )
    return replaced(run(*args, **kwargs), *[stop_gradient(x) for x in arrays])


@agnostic
def differentiable(*arrays: Array, xp: Any = INJECTED) -> bool:
    """Whether a derivative with respect to one of these may be asked for. Where not, the default is not computed."""
    return True


@agnostic
def accurate(logits: Array, *others: Array, run: Run, xp: Any = INJECTED, **options: Any) -> Array:
    """Run an operation in float64, and round once. Natives compile it.

    An array temperature is widened where its reciprocal is taken.
    """
    backend = backend_of(logits)
    with backend.allowing("float64"):
        wide = run(xp.astype(logits, backend.dtype("float64")), *others, **options)
        return narrow(wide, dtype=backend.dtype_name(logits))


@agnostic
def can_be_cut(x: Array, /, *, xp: Any = INJECTED) -> bool:
    """Whether some rows of an array can be taken after the others: its values are there, in one place."""
    return not backend_of(x).is_traced(x)


def in_blocks(backend: Backend, mode: Run) -> Run:
    """Run a function of rows on some at a time where values are at hand; a compiler fuses the steps by itself.

    Options that are arrays broadcast to the logits, but for their size along the axis.
    """

    def run(logits: Array, *, axis: int, **options: Any) -> Array:
        if not can_be_cut(logits):
            return mode(logits, axis=axis, **options)
        xp, shape = backend.namespace, tuple([int(n or 0) for n in backend.shape(logits)])
        if math.prod(shape) <= BLOCK:
            return mode(logits, axis=axis, **options)
        batch = shape[:axis] + shape[axis + 1 :]

        def as_rows(x: Array) -> Array:
            x = xp.moveaxis(xp.reshape(x, (1,) * (len(shape) - len(x.shape)) + tuple(x.shape)), axis, -1)
            if math.prod(x.shape[:-1]) > 1:
                x = xp.broadcast_to(x, (*batch, x.shape[-1]))
            return xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))

        by_rows = {name: as_rows(x) for name, x in options.items() if is_array(x)}
        rows = as_rows(logits)
        count, step = math.prod(batch), max(1, BLOCK // shape[axis])
        parts = []
        for start in range(0, count, step):
            here = slice(start, min(start + step, count))
            own = {name: x[here, :] if x.shape[0] > 1 else x for name, x in by_rows.items()}
            parts.append(mode(rows[here, :], axis=1, **{**options, **own}))
        found = xp.concat(parts, axis=0)
        if len(found.shape) == 1:
            return xp.reshape(found, batch)
        return xp.moveaxis(xp.reshape(found, (*batch, found.shape[1])), -1, axis)

    return run


def _check_reproducible(backend: Backend, logits: Array, axis: int) -> None:
    dtype, classes = backend.dtype_name(logits), backend.shape(logits)[axis]
    refused = limit("reproducible", dtype, 0 if classes is None else classes)
    if not refused:
        return
    if dtype == "float64":
        raise TypeError(
            f"precision {refused}, and logits is float64, as lists and integers become in NumPy: convert it, or take "
            "precision='accurate'"
        )
    raise ValueError(f"precision {refused}, and logits has {classes}")


@agnostic
def reproducible(logits: Array, *others: Array, value: Run, xp: Any = INJECTED, **options: Any) -> Array:
    """Return a reproducible value. Natives compile it."""
    with backend_of(logits).allowing("float64"):
        return value(logits, *others, xp=xp, **options)


def of_rows(function: Callable[..., Array]) -> Run:
    """Make a reproducible value of a function of rows.

    It takes float32 logits, a temperature, `axis` and `xp`, and returns float64 with `axis` kept; here that is rounded.
    """

    @functools.wraps(function)
    def value(logits: Array, *, temperature: Any, axis: int, where: Array | None, xp: Any, **shape: Any) -> Array:
        backend = backend_of(logits)

        def mode(logits: Array, *, temperature: Any, axis: int, where: Array | None, keepdims: bool = True) -> Array:
            x = cast(logits, backend.dtype("float32"), xp)
            x = x if where is None else xp.where(where, x, -math.inf)
            found = function(x, temperature, axis=axis, xp=xp)
            found = found if keepdims else xp.squeeze(found, axis=axis)
            return narrow(flushed(found), dtype=backend.dtype_name(logits))

        return in_blocks(backend, mode)(logits, temperature=temperature, axis=axis, where=where, **shape)

    return value
