"""Constants and tables of the definition of a draw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tempscale._core.dispatch import backend_of
from tempscale._core.operation import INJECTED, agnostic
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


def _differences(table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.diff(table).astype(np.int32)


def _log2_table() -> np.ndarray[Any, Any]:
    """Return log2(1 + i/1024) for i from 0 to 1024, as scores."""
    return np.array([round(ONE * math.log2(1 + i / 1024)) for i in range(1025)], np.int32)


def _tail_table() -> np.ndarray[Any, Any]:
    """Return log2(-log2(1 - v) / v) at v = i/2048: what the noise has beyond the log of its uniform number."""
    steps = [i / 2048 for i in range(1, 1025)]
    ratios = [1 / math.log(2), *[-math.log1p(-v) / math.log(2) / v for v in steps]]
    return np.array([round(ONE * math.log2(ratio)) for ratio in ratios], np.int32)


TABLES = {"log2": _log2_table(), "tail": _tail_table()}
TABLES |= {f"{name} steps": _differences(table) for name, table in TABLES.items()}


@agnostic
def lookup(index: Array, /, *, table: str, xp: Any = INJECTED) -> Array:
    """Return the entries of a table at indices that are within it."""
    values = backend_of(index).asarray(TABLES[table], like=index)
    return xp.reshape(xp.take(values, xp.reshape(index, (-1,)), axis=0), index.shape)
