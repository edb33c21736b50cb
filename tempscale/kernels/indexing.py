"""Entries at indices, and the size of an axis: frameworks differ in both."""

from __future__ import annotations

from typing import Any

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array


@agnostic
def axis_size(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Any:
    """Return the number of entries along `axis`: an integer, or a 0-d array where it is not known yet."""
    return x.shape[axis]


@agnostic
def indices(x: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Return 0, 1, ... as int32, as many as there are entries along an axis."""
    return xp.arange(x.shape[axis], dtype=backend_of(x).dtype("int32"))


@agnostic
def entry_at(x: Array, index: Array, /, *, axis: int, xp: Any = INJECTED) -> Array:
    """Return the entries at indices along `axis`; the indices broadcast along the others."""
    return xp.take_along_axis(x, index, axis=axis)


def class_index(labels: Array, x: Array, axis: int, xp: Any) -> tuple[Array, Array]:
    """Return labels as indices along `axis`, 0 in place of those that are no class, and which of them are one."""
    backend = backend_of(labels)
    # widened first: labels of 8 bits could not be compared with 300 classes
    index = cast(labels, backend.dtype(backend.default_index()), xp)
    valid = (index >= 0) & (index < axis_size(x, axis=axis))
    return xp.where(valid, index, xp.zeros_like(index)), valid
