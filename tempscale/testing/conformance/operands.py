"""Operands of the cases as arrays of a backend, in memory of several layouts, and as exact numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tempscale._reference import wide
from tempscale.backend import Array, Backend
from tempscale.testing.conformance.cases import Group
from tempscale.testing.conformance.plan import Step
from tempscale.testing.conformance.subjects import Subject


def arrays_of(
    backend: Backend,
    step: Step,
    group: Group,
    subject: Subject,
    layout: Callable[[Backend, np.ndarray[Any, Any], str], Array] | None = None,
) -> dict[str, Array]:
    """The arguments of an operation on a backend, by name."""
    make = layout or (lambda backend, x, device: backend.asarray(x, device=device))
    return {name: make(backend, group.operands[source], step.device) for name, source in subject.sources.items()}


def with_gaps(backend: Backend, x: np.ndarray[Any, Any], device: str) -> Array:
    """Every second entry of a larger array: a view with gaps, in frameworks that have views."""
    return backend.asarray(np.stack([x, np.zeros_like(x)], axis=-1), device=device)[..., 0]


def turned(backend: Backend, x: np.ndarray[Any, Any], device: str) -> Array:
    """With the axes exchanged: the classes come first."""
    return backend.asarray(np.ascontiguousarray(x.T), device=device)


def exact_operand(x: np.ndarray[Any, Any], working: str) -> Any:
    """Return an operand in the precision of its reference; integers as they are."""
    return x if x.dtype.kind == "i" else wide.widen(x, working)


def fitted(bound: Any, shape: tuple[int, ...]) -> Any:
    """Bring a bound to the shape of what it bounds: one per row where the result has no classes axis."""
    bound = np.asarray(bound)
    if bound.ndim == len(shape) + 1:
        bound = bound[..., 0]
    return np.broadcast_to(bound, shape)
