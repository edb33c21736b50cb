"""Drawing tokens in NumPy: by blocks of rows and of draws, and the sums of groups in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from tempscale import _gumbel
from tempscale._threefry import host_block
from tempscale.backend import Array

BLOCK = 2**15
"""Entries of a group stage that are worked on at a time: three arrays of them fit in a core's second-level cache."""


@_gumbel.lookup.native("numpy")
def _lookup(index: Array, *, table: str) -> Array:
    return _gumbel.TABLES[table].take(index)


@_gumbel.float_bits.native("numpy")
def _float_bits(m: Array) -> Array:
    return m.astype(np.float32).view(np.int32)


@_gumbel.threefry.native("numpy")
def _rounds(*words: Array) -> tuple[Array, Array]:
    k0, k1, x0, x1 = [word.view(np.uint32) for word in words]
    y0, y1 = host_block((k0, k1), x0, x1)
    return y0.view(np.int32), y1.view(np.int32)


@_gumbel.no_token.native("numpy")
def _no_token(x: Array) -> Array:
    return ~(abs(x.max(axis=1, keepdims=True)) < np.inf)


@_gumbel.grouped.native("numpy")
def _grouped(x: Array) -> Array:
    rows, classes = x.shape
    slots = -(-classes // _gumbel.GROUPS)
    if slots == 1:
        return x.astype(np.float32, copy=False).reshape(rows, 1, classes)
    entries = np.empty((rows, slots * _gumbel.GROUPS), np.float32)
    entries[:, :classes] = x
    entries[:, classes:] = -np.inf
    return entries.reshape(rows, slots, _gumbel.GROUPS)


@_gumbel.weights.native("numpy")
def _weights(entries: Array, best: Array, *, c: Any) -> Array:
    if not np.all(c):
        return _gumbel.weights.body(entries, best, c=c, xp=np)
    numbers = _gumbel.shifts(entries)
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


@_gumbel.tokens_of_rows.native("numpy")
def _tokens_of_rows(x: Array, key: Array, **options: Any) -> Array:
    with np.errstate(all="ignore"):
        return _gumbel.in_blocks(x, key, xp=np, **options)
