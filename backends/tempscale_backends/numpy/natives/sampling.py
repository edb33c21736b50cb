"""Drawing tokens in NumPy: by blocks of rows and of draws, and in place; or by numba, where it is installed.

The functions here do what those of the same name in `tempscale.kernels.gumbel` do. On a small array most of the time
goes into the calls: so there are few of them, and constants are arrays, which NumPy takes faster than numbers.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tempscale.backend import Array
from tempscale.kernels import LARGEST, gumbel
from tempscale.kernels.gumbel import top_k
from tempscale.kernels.gumbel.racing import Field, Shifts, Stages
from tempscale.kernels.gumbel.tables import NOBODY, ONE, TABLES
from tempscale.kernels.threefry import host_block
from tempscale_backends.numpy.natives import random

BLOCK = 2**15
"""Entries of a group stage that are worked on at a time: three arrays of them fit in a core's second-level cache."""


@gumbel.lookup.native("numpy")
def _lookup(index: Array, *, table: str) -> Array:
    return TABLES[table].take(index)


@gumbel.float_bits.native("numpy")
def _float_bits(m: Array) -> Array:
    return m.astype(np.float32).view(np.int32)


@gumbel.threefry.native("numpy")
def _threefry(*words: Array) -> tuple[Array, Array]:
    k0, k1, x0, x1 = [word.view(np.uint32) for word in words]
    y0, y1 = host_block((k0, k1), x0, x1)
    return y0.view(np.int32), y1.view(np.int32)


@gumbel.no_token.native("numpy")
def _no_token(x: Array) -> Array:
    return ~(abs(x.max(axis=1, keepdims=True)) < np.inf)


@gumbel.grouped.native("numpy")
def _grouped(x: Array) -> tuple[Array, ...]:
    rows, classes = x.shape
    slots = -(-classes // gumbel.GROUPS)
    if slots == 1:
        return (x.astype(np.float32, copy=False).reshape(rows, 1, classes),)
    # in one part: to copy a block of rows takes less time than to go through two parts
    entries = np.empty((rows, slots * gumbel.GROUPS), np.float32)
    entries[:, :classes] = x
    entries[:, classes:] = -np.inf
    return (entries.reshape(rows, slots, gumbel.GROUPS),)


# Noise

_SHIFTS = {places: np.array(places, np.int32) for places in (5, 13, 16, 21, 30, 31)}
_MASKS = {bits: np.array(2**bits - 1, np.int32) for bits in (13, 16)}
_HALF = np.array(2**30, np.int32)

# For exponents from 0 to 32, one after another: an index is the exponent and 10 bits of the fraction.
_LOG2 = (np.arange(33, dtype=np.int32)[:, None] * ONE + TABLES["log2"][:1024]).reshape(-1)
_LOG2_STEPS = np.tile(TABLES["log2 steps"], 33)
_FIRST = np.array(127 << 10, np.int32)
_OF_WORD, _OF_LOG = np.array(33 * ONE, np.int32), np.array(24 * ONE, np.int32)


def _log2(m: Array) -> Array:
    """log2 of integers from 1 to 2^32 - 1."""
    bits = m.astype(np.float32).view(np.int32)
    at = bits >> _SHIFTS[13]
    at -= _FIRST
    at = at.astype(np.intp)
    bits &= _MASKS[13]
    bits *= _LOG2_STEPS.take(at)
    bits >>= _SHIFTS[13]
    bits += _LOG2.take(at)
    return bits


@gumbel.noise.native("numpy")
def _noise(y: Array) -> Array:
    sign = y >> _SHIFTS[31]  # -1 where the bits are inverted
    a = y ^ sign
    doubled = a ^ _HALF
    doubled >>= _SHIFTS[30]  # 1 where the float32 of 2a + 1 is asked for, 0 where that of a
    doubled += a
    doubled += a
    log = _log2(doubled.view(np.uint32))
    log -= _OF_WORD
    twice = _log2(-log)
    twice -= _OF_LOG
    at = (a >> _SHIFTS[21]).astype(np.intp)
    a >>= _SHIFTS[5]
    a &= _MASKS[16]
    a *= TABLES["tail steps"].take(at)
    a >>= _SHIFTS[16]
    a += TABLES["tail"].take(at)
    a += log
    twice ^= a
    twice &= sign
    twice ^= a  # a where the sign is 0
    return twice


# The race


_LARGEST = np.array(LARGEST["float32"], np.float32)
_FARTHEST = np.array(2**30, np.float32)


def _has_zero(c: Any) -> bool:
    return not (c if isinstance(c, float) else c.all())


def _field_of(parts: tuple[Array, ...], numbers: Shifts | None, c: Any, xp: Any) -> Field:
    if _has_zero(c):
        return gumbel.field_of(parts, numbers, c, xp)
    [entries] = parts
    highest = entries.max(axis=1) if numbers is not None else entries[:, 0]
    top = highest.max(axis=1, keepdims=True)  # NaN, if there is one
    best = _at_finite(highest)
    difference = _at_finite(top) - best
    difference *= c
    start = np.minimum(difference, _FARTHEST, out=difference).astype(np.int32)
    if numbers is not None:
        start -= _log2(np.maximum(_weights(entries, best, numbers, c), 1))
        start += numbers.log
    return Field(parts, best, start, highest == -np.inf, numbers is not None, c, ~(abs(top) < np.inf))


def _at_finite(x: Array) -> Array:
    finite: Array = np.minimum(x, _LARGEST)
    return np.maximum(finite, -_LARGEST, out=finite)


def _weights(entries: Array, best: Array, numbers: Shifts, c: Any) -> Array:
    per_entry = np.float32(c * 2.0**-9) if isinstance(c, float) else (c * np.float32(2.0**-9))[..., None]
    total = np.zeros_like(best, np.int32)
    step = max(1, BLOCK // max(1, best.size))
    for at in range(0, entries.shape[1], step):
        d = best[:, None, :] - entries[:, at : at + step]
        d *= per_entry
        i = np.minimum(d, np.float32(numbers.limit), out=d).astype(np.int32)
        whole = i >> 15
        i &= 32767
        p = i * 488
        for constant in (3566, 15739, 45428):
            p >>= 15
            np.subtract(constant, p, out=p)
            p *= i
        p >>= numbers.lost
        np.subtract(numbers.one, p, out=p)
        p >>= whole
        total += p.sum(axis=1, dtype=np.int32)
    return total


def _group_words(key: tuple[Array, Array], groups: int) -> Array:
    at = np.arange(min(groups, gumbel.GROUPS // 2), dtype=np.int32)
    # Threefry adds keys ten times, which takes NumPy longer where they broadcast
    k0, k1 = [word.repeat(at.size).reshape(*word.shape, at.size) for word in key]
    y0, y1 = _threefry(k0, k1, np.zeros_like(at), at)
    return y0 if groups <= at.size else np.concatenate([y0, y1[..., : groups - at.size]], axis=2)


def _race(field: Field, key: tuple[Array, Array], draws: Array, rows: Array, xp: Any) -> Array:
    subkey = _threefry(*key, draws[None, :], rows[:, None])
    score = _noise(_group_words(subkey, field.best.shape[1]))
    score += field.start[:, None, :]
    if field.empty.any():
        np.copyto(score, NOBODY, where=field.empty[:, None, :])
    group = score.argmin(axis=2)
    token = group.astype(np.int32)
    return gumbel.slot(field, subkey, group, np) * gumbel.GROUPS + token if field.has_slots else token


@gumbel.tokens_of_rows.native("numpy")
def _tokens_of_rows(x: Array, key: Array, **options: Any) -> Array:
    fast = random.loops()
    with np.errstate(all="ignore"):
        if fast is None:
            return gumbel.in_blocks(x, key, xp=np, stages=Stages(_field_of, _race), **options)
        draw = functools.partial(gumbel.tokens_of_rows.body, run=fast.drawn, xp=np)
        return gumbel.by_rows(draw, x, key, xp=np, **options)


# Without replacement


@top_k.arrivals.native("numpy")
def _arrivals(*arrays: Array, c: Any) -> Array:
    fast = random.loops()
    found: Array = top_k.arrivals.body(*arrays, c=c, xp=np) if fast is None else fast.arrivals(*arrays, c=c)
    return found


@top_k.first.native("numpy")
def _first(arrivals: Array, draws: Array) -> Array:
    count = len(draws)
    found = np.empty((len(arrivals), count), np.intp)
    if not found.size:
        return found
    bounds = np.partition(arrivals, count - 1, axis=1)[:, count - 1]
    for row, (of_row, bound) in enumerate(zip(arrivals, bounds, strict=True)):
        among = np.flatnonzero(~(of_row > bound))  # more of them than draws, where some tie; all beside a NaN
        found[row] = among[np.argsort(of_row[among], kind="stable")[:count]]
    return found


@top_k.distinct_tokens_of_rows.native("numpy")
def _distinct_tokens_of_rows(x: Array, key: Array, **options: Any) -> Array:
    draw = functools.partial(top_k.distinct_tokens_of_rows.body, xp=np)
    with np.errstate(all="ignore"):
        return gumbel.by_rows(draw, x, key, xp=np, **options)
