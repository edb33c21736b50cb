"""Derivatives of functions of logits in closed form, in place of those that a framework makes of every step.

What is said of z = (x - max) / T by an operation, in the file that it is in, becomes rules for logits and temperatures
here: widening, masks, limits and casts are inside of them, so that nothing is kept in a wider dtype. The rules are made
of differentiable steps, and recompute from the logits what they need: derivatives of higher order are right as well.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import LARGEST, SMALLEST_NORMAL, cast, is_array, working_dtype
from tempscale._core.operation import INJECTED, Operation, agnostic
from tempscale._core.trees import LEAF, flatten
from tempscale.arrays import custom_gradient, stop_gradient
from tempscale.backend import FLOATS, Array
from tempscale.kernels.reductions import accurate_sum, sum_to_row
from tempscale.kernels.temperature import Known, Scaled, is_limit, scale

Body: TypeAlias = Callable[..., Array]
Gradients: TypeAlias = dict[str, Array]
"""By the names of an operation's arguments; an argument that is missing has none."""


OPERAND = ""
"""In place of the name of an argument: a number that is an operand of what is compiled, in a named tuple."""
KNOWN = "known"
"""The same of what a native knows of the rows: it has no derivative in a rule, but what is recomputed with it has."""


class Slope(NamedTuple):
    """The derivative of a function of z at one place: a linear map, and its transpose."""

    backward: Callable[[Array], Array]
    """From a cotangent of the result to one of z."""
    forward: Callable[[Array], Array]
    """From a tangent of z to one of the result."""


def slope_of_rows(gradient: Array, axis: int) -> Slope:
    """Return the slope of a function that has one value per row, from its gradient with respect to z."""
    return Slope(lambda g: gradient * g, lambda t: accurate_sum(gradient * t, axis=axis))


class Derivatives(NamedTuple):
    """The rules of one operation."""

    gradient: Operation[..., Gradients]
    """``gradient(*arguments, result, g, **options)``, where g is the cotangent of the result."""
    tangent: Body
    """``tangent(*arguments, result, **options, tangents=, xp=)``, with tangents by the names of arguments."""


def derivatives_of(slope: Callable[..., Slope]) -> Derivatives:
    """Make the rules of a function of one array of logits.

    Parameters
    ----------
    slope : callable
        ``slope(scaled, result, axis, xp)``, of the result in the dtype of the logits.
    """

    @agnostic
    def gradient(
        logits: Array,
        result: Array,
        g: Array,
        /,
        *,
        temperature: Any,
        axis: int,
        where: Array | None,
        keepdims: bool = True,
        xp: Any = INJECTED,
    ) -> Gradients:
        q = scale(logits, temperature, axis, where, xp)
        to_z = slope(q, result, axis, xp).backward(with_axis(g, q, axis, keepdims, xp))
        found = {"logits": to_logits(to_z, q, logits, where, xp)}
        if is_array(temperature):
            found["temperature"] = to_temperature(to_z, q, temperature, axis, xp)
        return found

    def tangent(
        logits: Array,
        result: Array,
        /,
        *,
        temperature: Any,
        axis: int,
        where: Array | None,
        keepdims: bool = True,
        tangents: Mapping[str, Array],
        xp: Any,
    ) -> Array:
        q = scale(logits, temperature, axis, where, xp)
        t = slope(q, result, axis, xp).forward(tangent_of_z(tangents, q, where, xp))
        return cast(t if keepdims else xp.squeeze(t, axis=axis), result.dtype, xp)

    return Derivatives(gradient, tangent)


def with_derivatives(rules: Derivatives) -> Callable[[Body], Body]:
    """Give the body of an operation derivatives in closed form, with respect to all arguments that are floats.

    At a number as temperature that is a limit, those of the steps remain: there is nothing to gain.
    """

    def decorate(body: Body) -> Body:
        names = tuple([p.name for p in inspect.signature(body).parameters.values() if p.kind is p.POSITIONAL_ONLY])

        @functools.wraps(body)
        def call(*args: Any, xp: Any, **options: Any) -> Array:
            if any(is_limit(option) for option in options.values()):
                return body(*args, xp=xp, **options)
            return _with_rules(body, rules, names, args, options)

        call.derivatives = rules  # type: ignore[attr-defined]
        return call

    return decorate


def _with_rules(
    value: Body, rules: Derivatives, names: tuple[str, ...], args: tuple[Any, ...], options: dict[str, Any]
) -> Array:
    """Call a function with these rules. Every array is an argument, as tracers of a transform have to be."""
    named = {**dict(zip(names, args, strict=True)), **options}
    leaves, structure = flatten(named)
    owners = [
        str(name) if part is LEAF else KNOWN if isinstance(named[str(name)], Known) else OPERAND
        for name, part in zip(structure.keys, structure.parts, strict=True)
        for _ in range(part.size)
    ]
    places = [i for i, leaf in enumerate(leaves) if is_array(leaf)]

    def given(arrays: tuple[Array, ...]) -> tuple[list[Any], dict[str, Any]]:
        rest = list(leaves)
        for i, x in zip(places, arrays, strict=True):
            # TensorFlow would multiply the tangent of a number, 0, by -inf
            rest[i] = stop_gradient(x) if owners[i] == OPERAND else x
        named = structure.rebuild(rest)
        return [named.pop(name) for name in names], named

    def fn(*arrays: Array) -> Array:
        args, options = given(arrays)
        return value(*args, xp=backend_of(arrays[0]).namespace, **options)

    def vjp(arrays: tuple[Array, ...], result: Array, g: Array) -> list[Array]:
        args, options = given(arrays)
        found = rules.gradient(*args, result, g, **options)
        xp = backend_of(arrays[0]).namespace
        return [
            found[owners[i]] if owners[i] in found else xp.zeros_like(x) for i, x in zip(places, arrays, strict=True)
        ]

    def jvp(arrays: tuple[Array, ...], result: Array, tangents: tuple[Array, ...]) -> Array:
        args, options = given(arrays)
        backend = backend_of(arrays[0])
        known = {
            owners[i]: t
            for i, x, t in zip(places, arrays, tangents, strict=True)
            if backend_of(x).dtype_name(x) in FLOATS
        }
        return rules.tangent(*args, result, tangents=known, xp=backend.namespace, **options)

    return custom_gradient(fn, vjp=vjp, jvp=jvp)(*[leaves[i] for i in places])


# Between z and what it is made of


def with_axis(g: Array, q: Scaled, axis: int, keepdims: bool, xp: Any) -> Array:
    """Return a cotangent in the working precision, with the axis that the result may lack."""
    g = cast(g, q.z.dtype, xp)
    return g if keepdims else xp.expand_dims(g, axis=axis)


def rate(q: Scaled, xp: Any) -> Any:
    """Return 1/T as derivatives see it: 0 at the limits."""
    if not is_array(q.c) or not len(q.c.shape):
        return q.c
    working = working_dtype(q.c)
    return xp.where((q.c >= LARGEST[working]) | (q.c <= SMALLEST_NORMAL[working]), 0.0, q.c)


def finite(z: Array, xp: Any) -> Array:
    """Return z with 0 in place of -inf, where nothing moves."""
    return xp.where(z == -float("inf"), 0.0, z)


def to_logits(to_z: Array, q: Scaled, logits: Array, where: Array | None, xp: Any) -> Array:
    """Return the gradient with respect to logits from that with respect to z."""
    to_x = rate(q, xp) * to_z
    return cast(to_x if where is None else xp.where(where, to_x, 0.0), logits.dtype, xp)


def to_temperature(to_z: Array, q: Scaled, temperature: Array, axis: int, xp: Any, more: Any = 0.0) -> Array:
    """Return the gradient with respect to an array temperature; `more` is added to the sum of each row."""
    rows = -rate(q, xp) * (accurate_sum(finite(q.z, xp) * to_z, axis=axis) + more)
    total = sum_to_row(rows, q.c)
    return cast(total if len(temperature.shape) else xp.reshape(total, ()), temperature.dtype, xp)


def tangent_of_z(tangents: Mapping[str, Any], q: Scaled, where: Array | None, xp: Any) -> Array:
    """Return the tangent of z from those of logits and, if there is one, of an array temperature."""
    t = cast(tangents["logits"], q.z.dtype, xp)
    t = rate(q, xp) * (t if where is None else xp.where(where, t, 0.0))
    faster = tangent_of_rate(tangents, q, xp)
    return t if faster is None else t + faster * finite(q.z, xp)


def tangent_of_rate(tangents: Mapping[str, Any], q: Scaled, xp: Any) -> Array | None:
    """Return the tangent of 1/T over 1/T, if there is one of the temperature."""
    if tangents.get("temperature") is None:
        return None
    t = cast(tangents["temperature"], q.z.dtype, xp)
    return -rate(q, xp) * (t if len(t.shape) else xp.reshape(t, (1,) * len(q.z.shape)))
