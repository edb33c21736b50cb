"""Rows of logits that are never held: softcap(hidden @ weight.T + bias), block by block of classes.

A loss of the rows needs five numbers of each (`statistics`), and its derivatives need nothing but these: the logits of
a block are computed once more when they are differentiated. All that is as large as a block is of its logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import LARGEST, SMALLEST_NORMAL, cast, is_array, working_dtype
from tempscale._core.operation import INJECTED, agnostic
from tempscale.arrays import custom_gradient, stop_gradient
from tempscale.backend import Array
from tempscale.kernels.indexing import entry_at, indices
from tempscale.kernels.reductions import accurate_sum, row_max, sum_to_row
from tempscale.kernels.temperature import exponential, is_limit, over_temperature

BLOCK = 2**19
"""Logits that are computed at a time: 2 MiB as float32."""

LEAST = 512
"""Fewest classes of a block: with fewer, adding up the gradient of `hidden` would take as long as the products."""

Arrays: TypeAlias = tuple[Array, ...]
Step: TypeAlias = Callable[[Arrays, Arrays, Any, Any], tuple[Arrays, Arrays]]


class Rows(NamedTuple):
    """What makes rows of logits over a temperature. Numbers may be Python's, or traced ones in 0-d arrays."""

    hidden: Array
    """(rows, width), in the working precision."""
    weight: Array
    """(classes, width)."""
    index: Array
    """(rows, 1): the class whose entry is wanted."""
    bias: Array | None = None
    """(classes,)."""
    c: Any = 1.0
    """1/T as of `rate_of`: a number, a limit, or an array of shape (1, 1) or (rows, 1)."""
    cap: Any = None
    """s of the logits s tanh(a / s)."""

    def taken_apart(self) -> tuple[Arrays, Callable[[Arrays], Rows]]:
        """Return the arrays in it, and what puts others in their place."""
        names = [name for name, value in self._asdict().items() if is_array(value)]
        return tuple([getattr(self, name) for name in names]), lambda arrays: self._replace(
            **dict(zip(names, arrays, strict=False))
        )


class Statistics(NamedTuple):
    """What `statistics` says of each row, (rows, 1) each; z is (logits - m) / T."""

    m: Array
    """The largest logit; a constant to differentiation."""
    total: Array
    """log sum exp(z); NaN if the row is invalid."""
    entry: Array
    """z of the class that is wanted."""
    sum: Any = None
    """The sum of z over all classes that are not masked."""
    live: Any = None
    """How many are not masked."""


# What backends do in ways of their own


@agnostic
def classes_at_a_time(hidden: Array, weight: Array, /, *, xp: Any = INJECTED) -> Any:
    """Return how many classes a block has; None for all of them, where their number is not known."""
    backend = backend_of(weight)
    rows, classes = backend.shape(hidden)[0], backend.shape(weight)[0]
    return None if classes is None else min(classes, max(LEAST, BLOCK // max(rows or BLOCK, 1)))


@agnostic
def over_blocks(
    arrays: Arrays, carry: Arrays, /, *, step: Step, size: Any, xp: Any = INJECTED
) -> tuple[Arrays, Arrays]:
    """Run ``step(arrays, carry, start, size) -> carry, parts`` on one block of classes after another.

    Returns the last carry, and the parts joined along their first axis, which has one entry for a block or one for each
    of its classes. The second of the arrays is the weight.
    """
    classes = arrays[1].shape[0]
    if size is None or size == classes:
        return step(arrays, carry, 0, classes)
    found = []
    for start in range(0, classes, size):
        carry, parts = step(arrays, carry, start, min(size, classes - start))
        found.append(parts)
    return carry, tuple([xp.concat(parts, axis=0) for parts in zip(*found, strict=True)])


def over_blocks_in_place(
    arrays: Arrays, carry: Arrays, /, *, step: Step, size: int, empty: Callable[[tuple[int, ...], Array], Array]
) -> tuple[Arrays, Arrays]:
    """Do what `over_blocks` does and put parts in their places, for natives: joined in the end, they are there twice.

    ``empty(shape, like)`` makes an array that can be written to.
    """
    classes = arrays[1].shape[0]
    found: list[Array] = []
    for number, start in enumerate(range(0, classes, size)):
        here = min(size, classes - start)
        carry, parts = step(arrays, carry, start, here)
        if here == classes:
            return carry, parts
        if not found:
            ends = [classes if part.shape[0] == size else -(-classes // size) for part in parts]
            found = [empty((end, *part.shape[1:]), part) for end, part in zip(ends, parts, strict=True)]
        for whole, part in zip(found, parts, strict=True):
            first = start if part.shape[0] == here else number
            whole[first : first + part.shape[0]] = part
    return carry, tuple(found)


@agnostic
def block_of(x: Array, /, *, start: Any, size: Any, xp: Any = INJECTED) -> Array:
    """Return `size` entries of the first axis from `start` on."""
    return x[start : start + size, ...]


@agnostic
def product(x: Array, y: Array, /, *, xp: Any = INJECTED) -> Array:
    """The product of two matrices, summed in their own dtype at least, in any order."""
    return xp.matmul(x, y)


@agnostic
def differentiated(*arrays: Array, fn: Any, vjp: Any, jvp: Any, xp: Any = INJECTED) -> Array:
    """``fn(*arrays)`` with derivatives of its own. A native may see to it that reverse mode is the rule for it."""
    return custom_gradient(fn, vjp=vjp, jvp=jvp)(*arrays)


# The statistics


@agnostic
def statistics(
    hidden: Array,
    weight: Array,
    index: Array,
    /,
    *,
    bias: Array | None,
    c: Any,
    cap: Any,
    smooth: bool,
    xp: Any = INJECTED,
) -> Array:
    """Return `Statistics` side by side, (rows, 5); without the sum and the number of classes unless `smooth`."""
    given = Rows(hidden, weight, index, bias, c, cap)
    if is_limit(c):
        given = given._replace(hidden=stop_gradient(hidden), weight=stop_gradient(weight))
        given = given._replace(bias=None if bias is None else stop_gradient(bias))
    arrays, together = given.taken_apart()
    return differentiated(
        *arrays,
        fn=lambda *arrays: values(together(arrays), smooth, xp),
        vjp=lambda arrays, result, g: gradients(together(tuple(arrays)), result, g, xp),
        jvp=lambda arrays, result, tangents: tangent(together(tuple(arrays)), result, tuple(tangents), xp),
    )


def values(given: Rows, smooth: bool, xp: Any) -> Array:
    """Compute `statistics`."""
    arrays, together = given.taken_apart()

    def step(arrays: Arrays, carry: Arrays, start: Any, size: Any) -> tuple[Arrays, Arrays]:
        here = together(arrays)
        x = _block(here, start, size, xp).x
        m = stop_gradient(row_max(x, axis=1))
        z = over_temperature(x, _base(m, xp), here.c, xp)
        top = stop_gradient(cast(z == 0, z.dtype, xp))  # see `log_total`: one of them is left out of the sum
        others = accurate_sum(exponential(z) - top, axis=1) + (accurate_sum(top, axis=1) - 1.0)
        place, inside = _place(here.index, start, size, xp)
        found = [m, others, xp.where(inside, entry_at(x, place, axis=1), 0.0)]
        if smooth:
            live = x > -math.inf
            found.append(accurate_sum(xp.where(live, x - _base(m, xp), 0.0), axis=1))
            found.append(accurate_sum(cast(live, x.dtype, xp), axis=1))
        return carry, (xp.concat(found, axis=1)[None, ...],)

    _, (parts,) = over_blocks(arrays, (), step=step, size=classes_at_a_time(given.hidden, given.weight))
    return _joined(parts, given.c, xp)


def _joined(parts: Array, c: Any, xp: Any) -> Array:
    """The statistics of rows from those of blocks of them, (blocks, rows, 3 or 5)."""
    m, others, entry, *smooth = [parts[:, :, i : i + 1] for i in range(parts.shape[2])]
    top = xp.max(stop_gradient(m), axis=0, keepdims=True)
    base, rate = _base(top, xp), xp.expand_dims(c, axis=0) if is_array(c) and len(c.shape) else c
    # the block of the maximum has left that out, and the others are whole
    first = xp.argmax(stop_gradient(m), axis=0, keepdims=True)
    first = first == cast(indices(parts, axis=0), first.dtype, xp)[:, None, None]
    whole = (1.0 + others) * exponential(over_temperature(m, base, rate, xp))
    total = xp.log1p(accurate_sum(xp.where(first, others, whole), axis=0) + top * 0.0)
    found = [top, total, over_temperature(accurate_sum(entry, axis=0), base, rate, xp)]
    if smooth:
        below, live = smooth
        below = accurate_sum(below + live * (_base(m, xp) - base), axis=0)
        found += [over_temperature(below, xp.zeros_like(below), rate, xp), accurate_sum(live, axis=0)]
    return xp.concat(found, axis=2)[0, ...]


def _base(m: Array, xp: Any) -> Array:
    """The largest logit to subtract: 0 where all are masked, so that the others come out as masked."""
    return xp.where(m == -math.inf, 0.0, m)


def _place(index: Array, start: Any, size: Any, xp: Any) -> tuple[Array, Array]:
    """Return indices as those of a block, and which are in it."""
    place = _from(start, index, xp)
    inside = (place >= 0) & (place < size)
    return xp.where(inside, place, xp.zeros_like(place)), inside


def _from(start: Any, index: Array, xp: Any) -> Array:
    return index - (start if isinstance(start, int) else cast(start, index.dtype, xp))


class _Block(NamedTuple):
    """Logits of some classes, and what their derivatives need."""

    x: Array
    slope: Array | float
    """Of the cap."""
    weight: Array


def _block(given: Rows, start: Any, size: Any, xp: Any) -> _Block:
    dtype = given.hidden.dtype
    weight = cast(block_of(given.weight, start=start, size=size), dtype, xp)
    a = product(given.hidden, _turned(weight, xp))
    if given.bias is not None:
        a = a + cast(block_of(given.bias, start=start, size=size), dtype, xp)[None, :]
    if given.cap is None:
        return _Block(a, 1.0, weight)
    t = xp.tanh(a * (1.0 / given.cap))
    return _Block(xp.where(xp.abs(a) < math.inf, given.cap * t, a), 1.0 - t * t, weight)


def _turned(x: Array, xp: Any) -> Array:
    return xp.permute_dims(x, (1, 0))


# Derivatives


class _Derivatives(NamedTuple):
    """Of the logits of a block."""

    p: Array
    """Their softmax."""
    d: Array
    """The logits less the largest one, 0 where masked."""
    live: Array
    """Which are not masked."""
    own: Array
    """Which is that of the class whose entry is wanted."""


def _derivatives(given: Rows, x: Array, result: Array, start: Any, xp: Any) -> _Derivatives:
    base = _base(stop_gradient(result[:, 0:1]), xp)
    z = over_temperature(x, base, given.c, xp)
    place = _from(start, given.index, xp)
    own = place == cast(indices(x, axis=1), place.dtype, xp)[None, :]
    live = z != -math.inf
    return _Derivatives(exponential(z - result[:, 1:2]), xp.where(live, x - base, 0.0), live, own)


def gradients(given: Rows, result: Array, g: Array, xp: Any) -> Arrays:
    """Gradients with respect to each of the arrays that are given, for the cotangent of their statistics."""
    arrays, together = given.taken_apart()
    count = len(arrays)
    has_bias, has_rates = given.bias is not None, _is_differentiable(given.c)

    def step(arrays: Arrays, carry: Arrays, start: Any, size: Any) -> tuple[Arrays, Arrays]:
        here, (result, g) = together(arrays[:count]), arrays[count:]
        block = _block(here, start, size, xp)
        of = _derivatives(here, block.x, result, start, xp)
        to_z = g[:, 1:2] * of.p + xp.where(of.own, g[:, 2:3], 0.0)
        if g.shape[1] > 3:
            to_z = to_z + xp.where(of.live, g[:, 3:4], 0.0)
        to_x = to_z * _rate(here.c, xp) * block.slope
        to_hidden, *to_rates = carry
        if has_rates:
            to_rates = [to_rates[0] + accurate_sum(of.d * to_z, axis=1)]
        to_weight = cast(product(_turned(to_x, xp), here.hidden), here.weight.dtype, xp)
        parts = [to_weight]
        if here.bias is not None:
            parts.append(cast(accurate_sum(to_x, axis=0)[0, :], here.bias.dtype, xp))
        return (to_hidden + product(to_x, block.weight), *to_rates), tuple(parts)

    g = _without_limits(g, given.c, xp)
    zeros = (xp.zeros_like(given.hidden), *[xp.zeros_like(g[:, 0:1])] * has_rates)
    size = classes_at_a_time(given.hidden, given.weight)
    (to_hidden, *to_rates), parts = over_blocks((*arrays, result, g), zeros, step=step, size=size)
    found = {"hidden": to_hidden, "weight": parts[0], "index": xp.zeros_like(given.index)}
    if has_bias:
        found["bias"] = parts[1]
    if has_rates:
        found["c"] = sum_to_row(to_rates[0], given.c)
    elif is_array(given.c):
        found["c"] = xp.zeros_like(given.c)
    if is_array(given.cap):
        found["cap"] = xp.zeros_like(given.cap)
    return tuple([found[name] for name, value in given._asdict().items() if is_array(value)])


def tangent(given: Rows, result: Array, tangents: Arrays, xp: Any) -> Array:
    """Directional derivative of the statistics, for a tangent of each of the arrays that are given."""
    arrays, together = given.taken_apart()
    count = len(arrays)
    moving = _is_differentiable(given.c)

    def step(arrays: Arrays, carry: Arrays, start: Any, size: Any) -> tuple[Arrays, Arrays]:
        here, result, change = together(arrays[:count]), arrays[count], together(arrays[count + 1 :])
        block = _block(here, start, size, xp)
        of = _derivatives(here, block.x, result, start, xp)
        by_weight = cast(block_of(change.weight, start=start, size=size), block.x.dtype, xp)
        a = product(change.hidden, _turned(block.weight, xp)) + product(here.hidden, _turned(by_weight, xp))
        if change.bias is not None:
            a = a + cast(block_of(change.bias, start=start, size=size), block.x.dtype, xp)[None, :]
        z = a * block.slope * _rate(here.c, xp)
        if moving:
            z = z + of.d * _without_limits(change.c, here.c, xp)
        z = xp.where(of.live, z, 0.0)
        found = [z * of.p, xp.where(of.own, z, 0.0), z][: 3 if result.shape[1] > 3 else 2]
        return carry, (xp.concat([accurate_sum(x, axis=1) for x in found], axis=1)[None, ...],)

    size = classes_at_a_time(given.hidden, given.weight)
    _, (parts,) = over_blocks((*arrays, result, *tangents), (), step=step, size=size)
    found = accurate_sum(parts, axis=0)[0, ...]
    still = xp.zeros_like(found[:, 0:1])
    return xp.concat([still, found, *[still] * (result.shape[1] > 3)], axis=1)


def _is_differentiable(c: Any) -> bool:
    """Whether 1/T is an array of the caller's, not a number."""
    return is_array(c) and len(c.shape) > 0


def _rate(c: Any, xp: Any) -> Any:
    """1/T as derivatives see it."""
    return 0.0 if is_limit(c) else _without_limits(c, c, xp)


def _without_limits(x: Array, c: Any, xp: Any) -> Array:
    """0 in the rows at T = 0 or T = inf, where derivatives are defined to be 0."""
    if not _is_differentiable(c):
        return xp.zeros_like(x) if is_limit(c) else x
    working = working_dtype(c)
    return xp.where((c >= LARGEST[working]) | (c <= SMALLEST_NORMAL[working]), 0.0, x)
