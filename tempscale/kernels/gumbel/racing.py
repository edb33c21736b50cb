"""The race that draws a token: first of groups of entries, then of the entries of the group that won."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import LARGEST, cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels.gumbel.factors import AT_ZERO, factor, scaled
from tempscale.kernels.gumbel.tables import BLOCK, GROUPS, NOBODY, ONE
from tempscale.kernels.gumbel.words import group_words, log2_of, noise, signed_words, slot_words, subkeys
from tempscale.kernels.indexing import entry_at, indices


@agnostic
def grouped(x: Array, /, *, xp: Any = INJECTED) -> tuple[Array, ...]:
    """Return rows of entries as float32, taken apart into slots of groups: (rows, slots, groups).

    Slots that are full are one part, the last one, filled up with -inf, is another: to fill up all would copy them.
    """
    classes = x.shape[1]
    float32 = backend_of(x).dtype("float32")
    if classes <= GROUPS:
        return (xp.reshape(cast(x, float32, xp), (-1, 1, classes)),)  # groups without an entry cannot win
    full = classes // GROUPS
    parts = [xp.reshape(cast(x[:, : full * GROUPS], float32, xp), (-1, full, GROUPS))]
    if classes % GROUPS:
        missing = xp.zeros_like(x[:, classes % GROUPS : GROUPS]) - math.inf
        last = xp.concat([x[:, full * GROUPS :], missing], axis=1)
        parts.append(cast(last[:, None, :], float32, xp))
    return tuple(parts)


@agnostic
def count_to(x: Array, /, *, count: int, xp: Any = INJECTED) -> Array:
    """Return 0, 1, ... count - 1 as int32, on the device of an array."""
    return xp.arange(count, dtype=backend_of(x).dtype("int32"))


@agnostic
def flat_rows(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return an array as rows of its last axis."""
    return xp.reshape(x, (-1, x.shape[-1]))


@agnostic
def batched(tokens: Array, logits: Array, /, *, several: bool, xp: Any = INJECTED) -> Array:
    """Return tokens of shape (rows, draws) in the shape of the batch, as indices."""
    batch = tuple(logits.shape[:-1])
    backend = backend_of(tokens)
    shape = (*batch, tokens.shape[1]) if several else batch
    return xp.reshape(cast(tokens, backend.dtype(backend.default_index()), xp), shape)


class Shifts(NamedTuple):
    """Numbers of the group stage that depend on s, the bits of a slot: integers, or 0-d int32 arrays."""

    bits: Any
    """s: the sum over the slots of a group keeps 30 - s bits of an entry, so that it cannot overflow."""
    lost: Any
    """1 + s"""
    one: Any
    """1 with 30 - s fractional bits."""
    log: Any
    """log2 of 2^(30 - s), as a score."""
    limit: Any
    """Difference in float32 from which on an entry counts for nothing, with 15 fractional bits."""


@agnostic
def shifts(x: Array, /, *, xp: Any = INJECTED) -> Shifts | None:
    """Return the numbers that depend on how many slots the entries of a row take; None where they take one."""
    slots = -(-x.shape[1] // GROUPS)
    if slots == 1:
        return None
    s = (slots - 1).bit_length()
    return Shifts(s, 1 + s, 1 << (30 - s), (30 - s) * ONE, float((31 - s) * 2**15))


class Field(NamedTuple):
    """Rows of entries, ready for any number of draws."""

    parts: tuple[Array, ...]
    """The entries, as `grouped` returns them."""
    best: Array
    """Finite maximum of each group, (rows, groups)."""
    start: Array
    """Score of each group before any noise, (rows, groups)."""
    empty: Array
    """Whether a group has no entry that counts, (rows, groups)."""
    has_slots: bool
    """Whether there is more than one slot, and so a second stage."""
    c: Any
    """As in `Factor`; an array is of shape (rows or 1, 1)."""
    is_wrong: Array
    """Whether a row has NaN, +inf, or nothing but -inf, (rows, 1)."""


def at_finite(x: Array, xp: Any) -> Array:
    """Clip to finite numbers."""
    return xp.clip(x, -LARGEST["float32"], LARGEST["float32"])


def of_slots(c: Any) -> Any:
    """Return a factor for entries of slots, which have an axis more; a number is one for all."""
    return c if isinstance(c, float) or len(c.shape) == 0 else c[..., None]


def weights(entries: Array, best: Array, numbers: Shifts, c: Any, xp: Any) -> Array:
    """Return the sum over the slots of 2^(-difference from the best of the group), in integers.

    A fraction's power of two is a polynomial in integers; the whole part of the difference shifts it.
    """
    per_entry = of_slots(c * 2.0**-9)
    i = scaled(best[:, None, :] - entries, entries, per_entry, numbers.limit, xp)
    whole, f = xp.bitwise_right_shift(i, 15), xp.bitwise_and(i, 32767)
    p = 3566 - xp.bitwise_right_shift(f * 488, 15)
    p = 15739 - xp.bitwise_right_shift(f * p, 15)
    p = 45428 - xp.bitwise_right_shift(f * p, 15)
    w = xp.bitwise_right_shift(numbers.one - xp.bitwise_right_shift(f * p, numbers.lost), whole)
    return xp.sum(w, axis=1, dtype=w.dtype)


def prepared(parts: tuple[Array, ...], numbers: Shifts | None, c: Any, xp: Any) -> Field:
    """Return what does not depend on the draw."""
    # by a comparison, because a maximum that is compiled can lose a NaN, and some cannot make an integer of one
    parts = tuple([xp.where(entries < math.inf, entries, math.inf) for entries in parts])
    highest = functools.reduce(xp.maximum, [xp.max(entries, axis=1) for entries in parts])
    top = xp.max(highest, axis=1, keepdims=True)
    best = at_finite(highest, xp)
    start = scaled(at_finite(top, xp) - best, best, c, 2.0**30, xp)
    if numbers is not None:
        total = functools.reduce(operator.add, [weights(entries, best, numbers, c, xp) for entries in parts])
        start = start - log2_of(xp.maximum(total, xp.ones_like(total)), xp) + numbers.log
    return Field(parts, best, start, highest == -math.inf, numbers is not None, c, xp.abs(top) == math.inf)


def race(field: Field, key: tuple[Array, Array], draws: Array, rows: Array, xp: Any) -> Array:
    """Return the tokens of some draws, (rows, draws), as int32."""
    subkey = subkeys(key, draws, rows, xp)
    score = field.start[:, None, :] + noise(group_words(subkey, indices(field.best, axis=1), xp))
    group = xp.argmin(xp.where(field.empty[:, None, :], NOBODY, score), axis=2)
    token = cast(group, score.dtype, xp)
    return slot(field, subkey, group, xp) * GROUPS + token if field.has_slots else token


def slot(field: Field, subkey: tuple[Array, Array], group: Array, xp: Any) -> Array:
    """Return the slot that wins within the group that won, (rows, draws)."""
    x = xp.concat([entry_at(entries, group[:, None, :], axis=2) for entries in field.parts], axis=1)
    best = entry_at(field.best, group, axis=1)[:, None, :]
    c = of_slots(field.c)
    score = scaled(best - x, x, c, 2.0**30, xp) + noise(slot_words(subkey, indices(x, axis=1), xp))
    score = xp.where(x == -math.inf, NOBODY, score)
    return cast(xp.argmin(score, axis=1), score.dtype, xp)


def first_maximum(x: Array, xp: Any) -> Array:
    """Return the first maximum of each row, (rows, 1), as int32."""
    return cast(xp.argmax(x, axis=1, keepdims=True), backend_of(x).dtype("int32"), xp)


@agnostic
def no_token(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Whether a row has NaN, +inf, or nothing but -inf; (rows, 1).

    By comparisons: a maximum that is compiled can lose a NaN.
    """
    return ~(xp.all(x < math.inf, axis=1, keepdims=True) & xp.any(x > -math.inf, axis=1, keepdims=True))


Race = Callable[[Field, tuple[Array, Array], Array, Array, Any], Array]


class Stages(NamedTuple):
    """What is done before a draw and for it: the functions of these names here, or others that do the same."""

    prepared: Callable[[tuple[Array, ...], Shifts | None, Any, Any], Field]
    race: Race


STAGES = Stages(prepared, race)


def drawn(
    x: Array, key: tuple[Array, Array], c: Any, draws: Array, rows: Array, xp: Any, stages: Stages = STAGES
) -> Array:
    """Return the tokens of rows of logits at a factor c of their differences, (rows, draws), as int32."""
    field = stages.prepared(grouped(x), shifts(x), c, xp)
    return xp.where(field.is_wrong, -1, stages.race(field, key, draws, rows, xp))


@agnostic
def tokens_of_rows(
    x: Array,
    key: Array,
    /,
    *,
    temperature: Any,
    draws: Array,
    rows: Array,
    xp: Any = INJECTED,
    run: Callable[..., Array] = drawn,
) -> Array:
    """Return the tokens of rows of logits, (rows, draws), as int32.

    Parameters
    ----------
    x : array
        Logits, (rows, classes); -inf where masked.
    key : array
        Of shape (2,), or (rows, 2).
    temperature : float, Reciprocal or array
        What `factor_of_number` returns; or that as a 0-d array, if it is not `AT_ZERO`; or temperatures of shape (),
        (1, 1) or (rows, 1).
    draws, rows : array
        int32: which draws are asked for; the number of each row.
    run : callable
        What runs the race: `drawn`, or another that does the same.
    """
    if isinstance(temperature, float) and temperature == AT_ZERO:
        found = first_maximum(x, xp) + xp.zeros_like(draws)
        return xp.where(no_token(x), -1, found)
    c, is_zero, is_wrong = factor(temperature, xp)
    found = run(x, signed_words(key, xp), c, draws, rows, xp)
    if is_zero is not None:
        found = xp.where(is_zero & (found >= 0), first_maximum(x, xp), found)
        found = xp.where(is_wrong, -1, found)
    return found


def in_blocks(x: Array, key: Array, *, xp: Any, block: int = BLOCK, stages: Stages = STAGES, **options: Any) -> Array:
    """Do as `tokens_of_rows` does, some rows and some draws at a time: for natives that compile nothing."""
    stages = stages._replace(race=functools.partial(_race_in_blocks, race=stages.race, block=block))
    draw = functools.partial(tokens_of_rows.body, run=functools.partial(drawn, stages=stages), xp=xp)
    return by_rows(draw, x, key, xp=xp, block=block, **options)


def by_rows(
    draw: Callable[..., Array],
    x: Array,
    key: Array,
    *,
    temperature: Any,
    draws: Array,
    rows: Array,
    xp: Any,
    block: int = BLOCK,
) -> Array:
    """Draw some rows at a time."""
    step = max(1, block // x.shape[1])
    tokens = [
        draw(
            x[at : at + step],
            key if key.ndim == 1 else key[at : at + step],
            temperature=_part(temperature, at, step),
            draws=draws,
            rows=rows[at : at + step],
        )
        for at in range(0, max(1, x.shape[0]), step)
    ]
    return tokens[0] if len(tokens) == 1 else xp.concat(tokens, axis=0)


def _part(temperature: Any, at: int, step: int) -> Any:
    has_rows = hasattr(temperature, "shape") and temperature.ndim == 2 and temperature.shape[0] != 1
    return temperature[at : at + step] if has_rows else temperature


def _race_in_blocks(
    field: Field, key: tuple[Array, Array], draws: Array, rows: Array, xp: Any, *, race: Race, block: int
) -> Array:
    rows_at_once, groups = field.best.shape
    slots = sum(part.shape[1] for part in field.parts)
    step = max(1, block // max(1, rows_at_once * max(groups, slots)))
    parts = [race(field, key, draws[at : at + step], rows, xp) for at in range(0, max(1, draws.shape[0]), step)]
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)
