"""Random numbers in NumPy: words block by block, and what has a function of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tempscale import _threefry
from tempscale._quantiles import split_float
from tempscale.backend import Array
from tempscale.random import in_blocks, rarely

BLOCK = 2**13
"""Entries that are worked on at a time: a dozen float64 arrays of this size fit in a core's second-level cache."""


@_threefry.as_words.native("numpy")
def _as_words(x: Array) -> Array:
    return x.astype(np.uint32)  # wraps


@_threefry.words.native("numpy")
def _words(key: Array, *, count: int) -> Array:
    return _threefry.host_words(key.astype(np.uint32), count)


@_threefry.pairs.native("numpy")
def _pairs(key: Array, *, count: int, stream: int = 0) -> tuple[Array, Array]:
    y0, y1 = _threefry.host_pairs(key.astype(np.uint32), count, stream)
    return y0, y1


@split_float.native("numpy")
def _split_float(x: Array) -> tuple[Array, Array]:
    m, k = np.frexp(x)
    return m, k.astype(np.float64)


@rarely.native("numpy")
def _rarely(condition: Array, x: Array, *, instead: Callable[[], Any]) -> Array:
    return np.where(condition, instead(), x) if condition.any() else x


@in_blocks.native("numpy")
def _in_blocks(*arrays: Array, function: Callable[..., Any]) -> Array:
    first = function(*[x[:BLOCK] for x in arrays])
    if len(first) == len(arrays[0]):
        return first
    out = np.empty(arrays[0].shape, first.dtype)
    out[:BLOCK] = first
    for start in range(BLOCK, len(out), BLOCK):
        out[start : start + BLOCK] = function(*[x[start : start + BLOCK] for x in arrays])
    return out
