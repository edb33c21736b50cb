"""How an array of one model lies in the other: as it is, with its channels elsewhere, or flattened in another order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "Layout", "best", "layouts", "move_between"]


@dataclass(frozen=True)
class Layout:
    """A legal way in which B may hold what A holds.

    Attributes
    ----------
    name : str
        What it does to A's array, in words; "" if nothing.
    there, back : callable
        From A's array to B's, and the other way.
    """

    name: str
    there: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
    back: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


AS_IT_IS = Layout("", lambda x: x, lambda x: x)
CHANNELS_LAST = Layout("channels moved last", lambda x: np.moveaxis(x, 1, -1), lambda x: np.moveaxis(x, -1, 1))
CHANNELS_FIRST = Layout("channels moved first", lambda x: np.moveaxis(x, -1, 1), lambda x: np.moveaxis(x, 1, -1))


def move_between(a: bool | None, b: bool | None) -> Layout | None:
    """Return what moves the channels from A's place to B's: first or not, or None where that is not known."""
    if a is None or b is None or a == b:
        return None
    return CHANNELS_LAST if a else CHANNELS_FIRST


def layouts(
    a: tuple[int, ...], b: tuple[int, ...], image: tuple[int, ...] | None = None, move: Layout | None = None
) -> list[Layout]:
    """Return the layouts in which an array of shape `b` may be one of shape `a`, the likeliest first.

    `image` is the shape, in A, of the image that came last before it: a row of features may be that image, flattened.
    `move` is what the layers say of where the channels are: of an image that is a cube, the shape says nothing.
    """
    found = [AS_IT_IS] if a == b else []
    if len(a) == len(b) >= 3:
        found += [other for other in (CHANNELS_LAST, CHANNELS_FIRST) if _moved(a, other) == b]
    if move in found and image and len(image) == len(a):
        found = [move, *(other for other in found if other is not move)]
    if image and a == b and len(a) == 2 and math.prod(image[1:]) == a[1]:
        found += [_flattened(image, other) for other in (CHANNELS_LAST, CHANNELS_FIRST)]
    if not found and a[:1] == b[:1] and math.prod(a) == math.prod(b) and max(len(a), len(b)) > 1:
        found = [Layout(f"reshaped to {b}", lambda x: x.reshape(b), lambda x: x.reshape(a))]
    return found


def best(found: list[Layout], a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> Layout:
    """Return the likeliest layout; another only if the values of `b` are a thousand times nearer in it."""
    likeliest = found[0]
    if len(found) == 1:
        return likeliest
    nearest = min(found, key=lambda layout: _distance(layout.there(a), b))
    far = _distance(likeliest.there(a), b)
    return nearest if _distance(nearest.there(a), b) < far / 1000 else likeliest


def _moved(shape: tuple[int, ...], move: Layout) -> tuple[int, ...]:
    moved: tuple[int, ...] = move.there(np.empty(shape, np.bool_)).shape
    return moved


def _distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(np.abs(a.astype(np.float64) - b.astype(np.float64)), nan=np.inf).max(initial=0))


def _flattened(image: tuple[int, ...], move: Layout) -> Layout:
    """Return the layout of a row in which A flattened an image, and B that image with its channels moved."""
    moved = _moved(image, move)
    order = "last" if move is CHANNELS_LAST else "first"
    return Layout(
        f"flattened with the channels {order}",
        lambda x: move.there(x.reshape(-1, *image[1:])).reshape(len(x), -1),
        lambda x: move.back(x.reshape(-1, *moved[1:])).reshape(len(x), -1),
    )
