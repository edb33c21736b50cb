"""What the distributions of `tempscale.random` share: operations that draw from a key, which backends compile."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tempscale._core.dispatch import backend_of
from tempscale._core.operation import INJECTED, Operation, agnostic
from tempscale.backend import Array
from tempscale.kernels import threefry

DRAWS: list[Operation[..., Any]] = []
"""Operations that draw from a key, an array of two integers. Their arguments are checked. Backends compile them."""


def draw(body: Callable[..., Any]) -> Operation[..., Any]:
    """Make an operation of a body that draws from a key, and have backends compile it."""
    operation: Operation[..., Any] = agnostic(body)
    DRAWS.append(operation)
    return operation


@draw
def random_bits(key: Array, /, *, shape: tuple[int, ...], dtype: str, xp: Any = INJECTED) -> Array:
    """Return random bits of a dtype: entry i is made of the counter i."""
    count, kind = math.prod(shape), backend_of(key).dtype(dtype)
    if dtype == "uint64":
        y0, y1 = [xp.astype(y, kind) for y in threefry.pairs(key, count=count)]
        return xp.reshape(xp.bitwise_or(xp.bitwise_left_shift(y0, 32), y1), shape)
    words = threefry.words(key, count=count)
    if dtype != "uint32":
        words = xp.bitwise_and(words, (1 << int(dtype[4:])) - 1)
    return xp.reshape(xp.astype(words, kind), shape)


@agnostic
def rarely(condition: Array, x: Array, /, *, instead: Callable[[], Array], xp: Any = INJECTED) -> Array:
    """Return ``where(condition, instead(), x)``; natives call `instead` only if the condition is met anywhere."""
    return xp.where(condition, instead(), x)


@agnostic
def in_blocks(*arrays: Array, function: Callable[..., Array], xp: Any = INJECTED) -> Array:
    """Return an elementwise function of arrays of one axis; natives keep what is in between in the cache."""
    return function(*arrays)
