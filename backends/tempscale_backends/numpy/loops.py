"""Words and the race for a token as plain loops, which numba compiles: down to a fifth of the time of NumPy's calls.

The functions here do what those of the same name in `tempscale.kernels.threefry` and `tempscale.kernels.gumbel` do, one
row or one entry after another. numba makes 64 bits of what is done with 32; `int32` and `uint32` take them back, and
the compiler then computes in 32.

Importing this takes some seconds the first time, and later about as long as importing numba, which keeps on disk what
it compiled for as long as this file is the same. So the tables are arguments: as constants they would be kept, too.
The constants that are imported are kept, which are part of the definition: whoever changes one has to touch this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types

from tempscale.backend import Array
from tempscale.kernels.gumbel.tables import GROUPS, NOBODY, ONE, TABLES
from tempscale.kernels.gumbel.top_k import DRAW, FARTHEST

if numba.config.DISABLE_JIT:
    raise ImportError("numba is told not to compile: as Python these loops would take a thousand times as long")

F = TypeVar("F", bound=Callable[..., Any])

int32, uint32, float32 = np.int32, np.uint32, np.float32

_HALF = GROUPS // 2
MOST = 2**26
"""Words in one call, which nothing interrupts: some tenths of a second."""
BLOCK = 1024
"""Entries that noise is made for at a time, without replacement."""
_TABLES = tuple([TABLES[name] for name in ("log2", "log2 steps", "tail", "tail steps")])


def inlined(fn: F) -> F:
    """Have a function compiled into those that call it."""
    made: F = numba.njit(fn)
    return made


def compiled(*arguments: Any) -> Callable[[F], F]:
    """Compile a function for arguments of these types, now."""

    def compile(fn: F) -> F:
        options = {"nogil": True, "error_model": "numpy"}
        try:
            made: F = numba.njit([arguments], cache=True, **options)(fn)
        except Exception:  # no folder that it can be kept in, a full disk, or a damaged file from before
            made = numba.njit([arguments], **options)(fn)
        return made

    return compile


def _read(dtype: Any, dimensions: int = 1) -> Any:
    """Return the type of an array that is not written to."""
    return types.Array(dtype, dimensions, "C", readonly=True)


_INPUT = _read(types.float32, 2), types.UniTuple(_read(types.uint32), 2), _read(types.float32)
_OF_TABLES = types.UniTuple(types.int32[::1], 4)


# Words


@inlined
def rotated(x: Any, places: Any) -> Any:
    """Rotate a word to the left."""
    return uint32((x << uint32(places)) | (x >> uint32(32 - places)))


@inlined
def rounds(x0: Any, x1: Any, places: Any) -> Any:
    """Do four rounds."""
    a, b, c, d = places  # one after another: of a loop over them the compiler makes no constants
    x0 = uint32(x0 + x1)
    x1 = rotated(x1, a) ^ x0
    x0 = uint32(x0 + x1)
    x1 = rotated(x1, b) ^ x0
    x0 = uint32(x0 + x1)
    x1 = rotated(x1, c) ^ x0
    x0 = uint32(x0 + x1)
    x1 = rotated(x1, d) ^ x0
    return x0, x1


@inlined
def block(k0: Any, k1: Any, x0: Any, x1: Any) -> Any:
    """Encrypt a counter of two words."""
    even, odd = (13, 15, 26, 6), (17, 29, 16, 24)
    k2 = uint32(k0 ^ k1 ^ uint32(0x1BD11BDA))
    x0, x1 = rounds(uint32(x0 + k0), uint32(x1 + k1), even)
    x0, x1 = rounds(uint32(x0 + k1), uint32(x1 + k2 + 1), odd)
    x0, x1 = rounds(uint32(x0 + k2), uint32(x1 + k0 + 2), even)
    x0, x1 = rounds(uint32(x0 + k0), uint32(x1 + k1 + 3), odd)
    x0, x1 = rounds(uint32(x0 + k1), uint32(x1 + k2 + 4), even)
    return uint32(x0 + k2), uint32(x1 + k0 + 5)


@compiled(types.uint32[::1], types.uint32[::1], types.uint32, types.uint32, types.uint32, types.uint32)
def _fill_pairs(y0: Any, y1: Any, k0: Any, k1: Any, stream: Any, start: Any) -> None:
    for i in range(y0.size):
        y0[i], y1[i] = block(k0, k1, stream, uint32(start + i))


@compiled(types.uint32[::1], types.uint32, types.uint32, types.uint32)
def _fill_words(out: Any, k0: Any, k1: Any, start: Any) -> None:
    for i in range(out.size):
        y0, y1 = block(k0, k1, uint32(0), uint32(start + i))
        out[i] = y0 ^ y1


def pairs(key: Array, count: int, stream: int = 0) -> tuple[Array, Array]:
    """Do what `tempscale.kernels.threefry.pairs` does, with a key of uint32."""
    y0, y1 = np.empty(count, np.uint32), np.empty(count, np.uint32)
    for at in range(0, count, MOST):
        _fill_pairs(y0[at : at + MOST], y1[at : at + MOST], key[0], key[1], stream, at)
    return y0, y1


def words(key: Array, count: int) -> Array:
    """Do what `tempscale.kernels.threefry.words` does, with a key of uint32."""
    out = np.empty(count, np.uint32)
    for at in range(0, count, MOST):
        _fill_words(out[at : at + MOST], key[0], key[1], at)
    return out


# Integer functions


@inlined
def log2_of(m: Any, tables: Any) -> Any:
    """log2 of integers from 1 to 2^32 - 1."""
    bits = float32(m).view(int32)
    k = (bits >> 13) & 1023
    between = int32(tables[1][k] * (bits & 8191)) >> 13
    return int32(((bits >> 23) - 127) * ONE + tables[0][k] + between)


@inlined
def noise(word: Any, tables: Any) -> Any:
    """Return log2 of an exponential variate, made of a word."""
    y = int32(word)
    a = int32(~y if y < 0 else y)
    if a < 2**30:
        log = int32(log2_of(uint32(2 * a + 1), tables) - 33 * ONE)
    else:
        log = int32(log2_of(uint32(a), tables) - 32 * ONE)
    if y < 0:
        return int32(log2_of(uint32(-log), tables) - 24 * ONE)
    k = a >> 21
    fraction = (a >> 5) & 65535
    return int32(log + tables[2][k] + (int32(tables[3][k] * fraction) >> 16))


# Differences


@inlined
def product(difference: Any, x: Any, c: Any, limit: Any) -> Any:
    """Return the difference of an entry x from a maximum, times c, up to a limit; the limit where x is -inf."""
    found = float32(np.inf) if x == -np.inf else float32(0) if c == 0 else difference * c
    return found if found < limit else float32(limit)


@inlined
def scaled(difference: Any, x: Any, c: Any, limit: Any) -> Any:
    """Return `product` as an integer."""
    return int32(product(difference, x, c, limit))


@inlined
def weight(difference: Any, x: Any, c: Any, s: Any) -> Any:
    """Return 2^-difference with 30 - s fractional bits."""
    i = scaled(difference, x, c * float32(2.0**-9), (31 - s) << 15)
    whole, f = i >> 15, i & 32767
    p = int32(3566 - (int32(f * 488) >> 15))
    p = int32(15739 - (int32(f * p) >> 15))
    p = int32(45428 - (int32(f * p) >> 15))
    return int32(int32((1 << (30 - s)) - (int32(f * p) >> (1 + s))) >> whole)


# A token of a row


@inlined
def prepare(x: Any, c: Any, highest: Any, start: Any, total: Any, tables: Any) -> Any:
    """Fill in the maximum of each group and its score before any noise. Return whether the row has a distribution."""
    groups = highest.size
    slots = -(-x.size // GROUPS)
    s = 0
    while (slots - 1) >> s:
        s += 1
    highest[:] = -np.inf
    for slot in range(slots):
        entries = x[slot * GROUPS : (slot + 1) * GROUPS]
        for g in range(entries.size):
            entry = entries[g] if entries[g] < np.inf else float32(np.inf)  # of NaN, too
            highest[g] = entry if entry > highest[g] else highest[g]
    top = highest.max()
    if abs(top) == np.inf:
        return False
    total[:] = 0
    for slot in range(slots if slots > 1 else 0):
        entries = x[slot * GROUPS : (slot + 1) * GROUPS]
        for g in range(entries.size):
            total[g] += weight(highest[g] - entries[g], entries[g], c, s)
    for g in range(groups):
        start[g] = scaled(top - highest[g], highest[g], c, 2**30)
        if slots > 1:
            start[g] += (30 - s) * ONE - log2_of(max(total[g], 1), tables)
    return True


@inlined
def race(x: Any, c: Any, k0: Any, k1: Any, highest: Any, start: Any, words: Any, tables: Any) -> Any:
    """Return the token of a draw with this subkey."""
    groups = highest.size
    for i in range(min(groups, _HALF)):
        words[i], words[_HALF + i] = block(k0, k1, uint32(0), uint32(i))
    group, lowest = 0, int32(NOBODY)
    for g in range(groups):
        score = int32(start[g] + noise(words[g], tables))
        if score < lowest and highest[g] > -np.inf:
            group, lowest = g, score
    token, lowest = group, int32(NOBODY)
    for slot in range(-(-(x.size - group) // GROUPS) if x.size > GROUPS else 0):
        entry = x[slot * GROUPS + group]
        word, _ = block(k0, k1, uint32(0), uint32(_HALF + slot))
        score = int32(scaled(highest[group] - entry, entry, c, 2**30) + noise(word, tables))
        if score < lowest and entry > -np.inf:
            token, lowest = slot * GROUPS + group, score
    return token


@compiled(types.int32[:, :], *_INPUT, _read(types.int32), _read(types.int32), _OF_TABLES)
def _draw(tokens: Any, x: Any, key: Any, c: Any, draws: Any, rows: Any, tables: Any) -> None:
    groups = min(GROUPS, x.shape[1])
    highest, start, total = np.empty(groups, float32), np.empty(groups, int32), np.empty(groups, int32)
    words = np.empty(GROUPS, uint32)
    for row in range(x.shape[0]):
        of_row, of_key = c[row if c.size > 1 else 0], row if key[0].size > 1 else 0
        if not prepare(x[row], of_row, highest, start, total, tables):
            tokens[row] = -1
            continue
        for draw in range(draws.size):
            k0, k1 = block(key[0][of_key], key[1][of_key], uint32(draws[draw]), uint32(rows[row]))
            tokens[row, draw] = race(x[row], of_row, k0, k1, highest, start, words, tables)


def drawn(x: Array, key: tuple[Array, Array], c: Any, draws: Array, rows: Array, xp: Any) -> Array:
    """Do what `tempscale.kernels.gumbel.racing.drawn` does."""
    tokens = np.empty((len(rows), len(draws)), np.int32)
    step = max(1, MOST // max(1, len(rows) * max(64, x.shape[1])))
    for at in range(0, len(draws), step):
        _draw(tokens[:, at : at + step], *_given(x, key, c, draws[at : at + step], rows))
    return tokens


def _given(x: Array, key: tuple[Array, Array], c: Any, *numbers: Array) -> tuple[Any, ...]:
    """Return arrays as the loops expect them: aligned, and without gaps."""
    words = tuple([np.ascontiguousarray(word).reshape(-1).view(np.uint32) for word in key])
    factors = np.ascontiguousarray(c, np.float32).reshape(-1)
    x = np.ascontiguousarray(x, np.float32)
    x = x if x.flags.aligned else x.copy()
    for given in (*words, factors):
        if len(given) not in (1, len(x)):  # the loops would read beyond its end
            raise ValueError(f"{len(given)} for {len(x)} rows")
    return x, words, factors, *[np.ascontiguousarray(n) for n in numbers], _TABLES


# Without replacement


@compiled(types.float32[:, ::1], *_INPUT, _read(types.int32), _OF_TABLES)
def _arrive(arrivals: Any, x: Any, key: Any, c: Any, rows: Any, tables: Any) -> None:
    words = np.empty(BLOCK, uint32)
    for row in range(x.shape[0]):
        of_row, of_key = c[row if c.size > 1 else 0], row if key[0].size > 1 else 0
        k0, k1 = block(key[0][of_key], key[1][of_key], uint32(DRAW), uint32(rows[row]))
        best = x[row].max()
        for at in range(0, x.shape[1], BLOCK):
            entries, of_entries = x[row, at : at + BLOCK], arrivals[row, at : at + BLOCK]
            for i in range((entries.size + 1) // 2):
                words[2 * i], words[2 * i + 1] = block(k0, k1, uint32(0), uint32(at // 2 + i))
            for j in range(entries.size):
                behind = np.trunc(product(best - entries[j], entries[j], of_row, FARTHEST))
                arrival = behind + float32(noise(words[j], tables))
                of_entries[j] = np.inf if entries[j] == -np.inf else arrival


def arrivals(x: Array, k0: Array, k1: Array, rows: Array, *, c: Any) -> Array:
    """Do what `tempscale.kernels.gumbel.top_k.arrivals` does."""
    found = np.empty(x.shape, np.float32)
    _arrive(found, *_given(x, (k0, k1), c, rows))
    return found
