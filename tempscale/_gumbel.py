"""Drawing a token, by a definition in integers: the same logits and key give the same token on every framework.

A Gumbel race in two stages. Token j is in group j & 1023, at slot j >> 10. First the groups race, each with the log of
the sum of its entries; then the entries of the group that won. A row needs noise for 1024 groups and for the slots of
one of them, instead of noise for each entry.

Whatever decides is an int32, which wraps around, or a float32 operation that IEEE 754 rounds the same everywhere: a
difference, a product, a maximum, a truncation. No sum follows a product in floats, because compilers fuse the two.
Numbers on a log scale are base 2 with 24 fractional bits, and negated: the lowest score wins.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tempscale._agnostic import INJECTED, agnostic
from tempscale._arguments import LARGEST, SMALLEST_NORMAL
from tempscale._dispatch import backend_of
from tempscale._scaling import Reciprocal, cast, entry_at
from tempscale._threefry import as_words, block
from tempscale.backend import Array

VERSION = 1
"""Version of the definition. Another one gives other tokens for the same key."""

GROUPS = 1024
MOST_SLOTS = 2**14
NOBODY = 2**31 - 1
"""Score of an entry, or of a group, that cannot win."""

ONE = 2**24
"""1 on the scale of scores."""

BLOCK = 2**17
"""Entries, or words of noise, that are worked on at a time where nothing is compiled: they stay in the cache."""


# Tables


def _differences(table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.diff(table).astype(np.int32)


def _log2_table() -> np.ndarray[Any, Any]:
    """Log2 of 1 + i/1024."""
    return np.array([round(ONE * math.log2(1 + i / 1024)) for i in range(1025)], np.int32)


def _tail_table() -> np.ndarray[Any, Any]:
    """Log2 of -log2(1 - v)/v at v = i/2048: what the noise is more than the log of its uniform number."""
    steps = [i / 2048 for i in range(1, 1025)]
    ratios = [1 / math.log(2), *[-math.log1p(-v) / math.log(2) / v for v in steps]]
    return np.array([round(ONE * math.log2(ratio)) for ratio in ratios], np.int32)


TABLES = {"log2": _log2_table(), "tail": _tail_table()}
TABLES |= {f"{name} steps": _differences(table) for name, table in TABLES.items()}


# What frameworks have in different ways


@agnostic
def lookup(index: Array, /, *, table: str, xp: Any = INJECTED) -> Array:
    """Return the entries of a table at indices that are within it."""
    values = backend_of(index).asarray(TABLES[table], like=index)
    return xp.reshape(xp.take(values, xp.reshape(index, (-1,)), axis=0), index.shape)


@agnostic
def float_bits(m: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return the bits of the float32 next to integers from 1 to 2^31 - 1, to the even one of two."""
    exponent = xp.zeros_like(m)
    rest = m
    for places in (16, 8, 4, 2, 1):
        high = rest >= 2**places
        exponent = xp.where(high, exponent + places, exponent)
        rest = xp.where(high, xp.bitwise_right_shift(rest, places), rest)
    up = xp.maximum(23 - exponent, xp.zeros_like(m))
    down = xp.maximum(exponent - 23, xp.zeros_like(m))
    kept = xp.bitwise_right_shift(xp.bitwise_left_shift(m, up), down)
    lost = m - xp.bitwise_left_shift(kept, down)  # nothing where bits were added
    half = xp.bitwise_right_shift(xp.bitwise_left_shift(xp.ones_like(m), down), 1)
    tie = xp.bitwise_and(kept, 1) == 1
    is_up = (down > 0) & ((lost > half) | ((lost == half) & tie))
    # carried into the exponent where the fraction overflows
    return kept + xp.astype(is_up, m.dtype) + (exponent + 126) * 2**23


@agnostic
def is_exactly_zero(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Whether float32 numbers are 0; natives where subnormal numbers compare as 0 too."""
    return x == 0


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
def indices(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Return 0, 1, ... as int32, as many as there are entries along an axis."""
    return xp.arange(x.shape[axis], dtype=backend_of(x).dtype("int32"))


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


# Integer functions


def log2_of(m: Array, xp: Any) -> Array:
    """log2 of integers from 1 to 2^31 - 1."""
    bits = float_bits(m)
    k = xp.bitwise_and(xp.bitwise_right_shift(bits, 13), 1023)
    between = xp.bitwise_right_shift(lookup(k, table="log2 steps") * xp.bitwise_and(bits, 8191), 13)
    return (xp.bitwise_right_shift(bits, 23) - 127) * ONE + lookup(k, table="log2") + between


@agnostic
def noise(y: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return log2 of an exponential variate, made of a word: minus a Gumbel variate, in base 2.

    The word is the place of a uniform number in (0, 1). Below one half its logarithm is taken twice; above, where
    that would cancel, the logarithm of its distance from 1 once, and the table has the rest.
    """
    upper = y < 0
    a = xp.where(upper, xp.bitwise_invert(y), y)
    small = a < 2**30
    log = log2_of(xp.where(small, 2 * a + 1, a), xp) - xp.where(small, xp.full_like(y, 33 * ONE), 32 * ONE)
    twice = log2_of(-log, xp) - 24 * ONE  # at most a half: its log is negative
    k = xp.bitwise_right_shift(a, 21)
    fraction = xp.bitwise_and(xp.bitwise_right_shift(a, 5), 65535)
    once = log + lookup(k, table="tail") + xp.bitwise_right_shift(lookup(k, table="tail steps") * fraction, 16)
    return xp.where(upper, twice, once)


# Words


@agnostic
def rotated(x: Array, /, *, places: int, xp: Any = INJECTED) -> Array:
    """Rotate int32 words to the left; the mask takes away the signs that a shift to the right brings in."""
    low = xp.bitwise_and(xp.bitwise_right_shift(x, 32 - places), (1 << places) - 1)
    return xp.bitwise_or(xp.bitwise_left_shift(x, places), low)


@agnostic
def threefry(k0: Array, k1: Array, x0: Array, x1: Array, /, *, xp: Any = INJECTED) -> tuple[Array, Array]:
    """Return the two words of a counter, all in int32."""
    return block((k0, k1), x0, x1, lambda x, places: rotated(x, places=places))


def signed_words(key: Array, xp: Any) -> tuple[Array, Array]:
    """Return the two words of a key, or of the keys of some rows, as int32 of shape (rows or 1, 1)."""
    words = cast(as_words(key), backend_of(key).dtype("int32"), xp)
    words = xp.reshape(words, (-1, 2))
    return words[:, 0:1], words[:, 1:2]


def subkeys(key: tuple[Array, Array], draws: Array, rows: Array, xp: Any) -> tuple[Array, Array]:
    """Return the key of each draw from each row, of shape (rows, draws)."""
    zero = xp.zeros_like(rows[:, None] + draws[None, :])
    return threefry(*key, zero + draws[None, :], zero + rows[:, None])


def group_words(key: tuple[Array, Array], groups: Array, xp: Any) -> Array:
    """Return a word for each group, on a new last axis. The two words of a block go to groups 512 apart."""
    at = groups if groups.shape[0] <= GROUPS // 2 else groups[: GROUPS // 2]
    y0, y1 = threefry(key[0][..., None], key[1][..., None], xp.zeros_like(at), at)
    more = groups.shape[0] - at.shape[0]
    return y0 if more == 0 else xp.concat([y0, y1[..., :more]], axis=-1)


def slot_words(key: tuple[Array, Array], slots: Array, xp: Any) -> Array:
    """Return a word for each slot, on a new axis 1."""
    at = (slots + GROUPS // 2)[:, None]
    return threefry(key[0][:, None, :], key[1][:, None, :], xp.zeros_like(at), at)[0]


# Temperature

LOG2_E = float(np.float32(ONE * math.log2(math.e)))
_SCALED_DOWN = 2.0**-24


AT_ZERO = -1.0
"""Stands for the factor of T = 0, which is a limit of its own."""


@agnostic
def number_or_factor(x: Array, /, *, temperature: float, xp: Any = INJECTED) -> Any:
    """Return what `tokens_of_rows` takes for a number: its factor, or an array of the number."""
    return factor_of_number(temperature)


def factor_of_number(temperature: float) -> float:
    """Return log2(e)/T with 24 fractional bits as a float32, or `AT_ZERO`."""
    with np.errstate(all="ignore"):
        t = np.float32(temperature)
        if t == 0:
            return AT_ZERO
        if t < SMALLEST_NORMAL["float32"]:
            return LARGEST["float32"]
        unit = np.float32(1.0 if t <= 2.0**126 else _SCALED_DOWN)
        c = np.float32(1) / (t * unit) * np.float32(LOG2_E) * unit
        return min(float(c), LARGEST["float32"])


class Factor(NamedTuple):
    """What differences of logits are multiplied by: a number, or an array of shape (rows or 1, 1)."""

    c: Any
    """log2(e)/T with 24 fractional bits, 0 at T = inf."""
    is_zero: Array | None = None
    """Whether T is 0, if that is not known yet."""
    is_wrong: Array | None = None
    """Whether T is negative or NaN, if that is not known yet."""


def factor_of_array(temperature: Array, xp: Any) -> Factor:
    """Return what `factor_of_number` does, for each of an array of temperatures.

    No subnormal number occurs on the way, because some frameworks flush them: neither 1/T where T is large, nor T.
    """
    backend = backend_of(temperature)
    t = cast(temperature, backend.dtype("float32"), xp)
    # from the float64, whose rounding may flush what is not 0 yet
    is_zero = xp.abs(temperature) <= 2.0**-150 if backend.dtype_name(temperature) == "float64" else is_exactly_zero(t)
    too_small = (t < SMALLEST_NORMAL["float32"]) & ~is_zero
    ordinary = (t >= SMALLEST_NORMAL["float32"]) & (t < math.inf)
    is_wrong = ~(is_zero | too_small | ordinary | (t == math.inf)) | (temperature < 0)
    t = xp.where(ordinary, t, xp.ones_like(t))
    unit = xp.where(t <= 2.0**126, xp.ones_like(t), xp.full_like(t, _SCALED_DOWN))
    c = xp.ones_like(t) / (t * unit) * LOG2_E * unit
    largest = xp.full_like(t, LARGEST["float32"])
    c = xp.where(too_small | (c > LARGEST["float32"]), largest, c)
    c = xp.where(ordinary | too_small, c, xp.zeros_like(c))
    return Factor(c, is_zero, is_wrong)


def factor(temperature: Any, xp: Any) -> Factor:
    """Return the factor of a number that is not `AT_ZERO`, or of an array of temperatures."""
    if isinstance(temperature, float):
        return Factor(temperature)
    if isinstance(temperature, Reciprocal):
        return Factor(temperature.value)
    return factor_of_array(xp.reshape(temperature, (-1, 1)), xp)


def products(difference: Array, c: Any, xp: Any) -> Array:
    """Return differences times c, where 0 times an overflow is 0; an array c can be 0."""
    if isinstance(c, float):
        return difference * c if c else xp.zeros_like(difference)
    return xp.where(c == 0, xp.zeros_like(difference), difference * c)


def scaled(difference: Array, x: Array, c: Any, limit: Any, xp: Any) -> Array:
    """Return differences from a maximum, times c, as integers up to a limit; the limit where x is -inf."""
    product = xp.clip(products(difference, c, xp), 0.0, limit)
    if not isinstance(c, float) or not c:  # else they are infinite already
        product = xp.where(x == -math.inf, xp.zeros_like(product) + limit, product)
    return cast(product, backend_of(x).dtype("int32"), xp)  # truncates


# The race


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


def weights(entries: Array, best: Array, numbers: Shifts, c: Any, xp: Any) -> Array:
    """Return the sum over the slots of 2^(-difference from the best of the group), in integers.

    A fraction's power of two is a polynomial in integers; the whole part of the difference shifts it.
    """
    per_entry = c * 2.0**-9
    per_entry = per_entry if isinstance(c, float) else per_entry[..., None]
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
    c = field.c if isinstance(field.c, float) else field.c[..., None]
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
    step = max(1, block // max(1, math.prod(field.best.shape)))
    parts = [race(field, key, draws[at : at + step], rows, xp) for at in range(0, max(1, draws.shape[0]), step)]
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)
