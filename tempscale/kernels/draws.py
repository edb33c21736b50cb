"""Draws from a key, as backends compile them, and what they do in ways of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tempscale._core.operation import INJECTED, Operation, agnostic
from tempscale.backend import Array

DRAWS: list[Operation[..., Any]] = []
"""What computes, without arguments to check: from a key, an array of two integers. Backends compile these."""


@agnostic
def rarely(condition: Array, x: Array, /, *, instead: Callable[[], Array], xp: Any = INJECTED) -> Array:
    """Return ``where(condition, instead(), x)``; natives call `instead` only if the condition is met anywhere."""
    return xp.where(condition, instead(), x)


@agnostic
def in_blocks(*arrays: Array, function: Callable[..., Array], xp: Any = INJECTED) -> Array:
    """Return an elementwise function of arrays of one axis; natives keep what is in between in the cache."""
    return function(*arrays)
