"""Random numbers in NumPy: words by numba or else block by block, and what has a function of its own."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from tempscale.backend import Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import in_blocks, rarely
from tempscale.kernels.exact.quantiles import split_float

BLOCK = 2**13
"""Entries that are worked on at a time: a dozen float64 arrays of this size fit in a core's second-level cache."""

MANY = 2**16
"""Words that take NumPy a millisecond: for fewer of them numba is not imported."""

LOOPS = "tempscale_backends.numpy.loops"

WORDS = 2**15
"""Words that are made at a time, where nothing is compiled."""


@threefry.as_words.native("numpy")
def _as_words(x: Array) -> Array:
    return x.astype(np.uint32)  # wraps


@functools.cache
def loops() -> ModuleType | None:
    """Return the loops that numba compiles, if it is installed: imported when first needed, for that takes a while."""
    if os.environ.get("TEMPSCALE_NUMBA") == "0":
        return None
    try:
        return importlib.import_module(LOOPS)
    except ImportError:
        return None
    except Exception as error:  # whatever is wrong with it must not reach users of NumPy
        warnings.warn(
            f"numba is installed but does not work, so NumPy draws without it, slower: {error!r}. "
            "TEMPSCALE_NUMBA=0 in the environment leaves it alone.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _loops_for(count: int) -> ModuleType | None:
    """Return the loops if they are loaded, or worth waiting for."""
    return loops() if count >= MANY or LOOPS in sys.modules else None


@threefry.words.native("numpy")
def _words(key: Array, *, count: int) -> Array:
    key, fast = key.astype(np.uint32), _loops_for(count)
    if fast is not None:
        words: Array = fast.words(key, count)
        return words
    out = np.empty(count, np.uint32)
    for part, (y0, y1) in _blocks(key, count):
        np.bitwise_xor(y0, y1, out[part])
    return out


@threefry.pairs.native("numpy")
def _pairs(key: Array, *, count: int, stream: int = 0) -> tuple[Array, Array]:
    key, fast = key.astype(np.uint32), _loops_for(count)
    if fast is not None:
        y0, y1 = fast.pairs(key, count, stream)
        return y0, y1
    out = np.empty((2, count), np.uint32)
    for part, both in _blocks(key, count, stream):
        out[:, part] = both
    return out[0], out[1]


def _blocks(key: Array, count: int, stream: int = 0) -> Iterator[tuple[slice, tuple[Array, Array]]]:
    k0, k1, x0 = key[0:1], key[1:2], np.array([stream], np.uint32)
    for start in range(0, count, WORDS):
        i = np.arange(start, min(start + WORDS, count), dtype=np.uint32)
        yield slice(start, start + WORDS), threefry.host_block((k0, k1), x0, i)


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
