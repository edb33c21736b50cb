"""Making arguments: NumPy's arrays as those of a backend, in memory of several layouts, and as exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tempscale._reference import wide
from tempscale.backend import Array, Backend
from tempscale.testing.conformance.cases import SEED, Group
from tempscale.testing.conformance.plan import Step
from tempscale.testing.conformance.subjects import Subject

Host = np.ndarray[Any, Any]


def moved(step: Step, backend: Backend, hosts: Iterable[Host]) -> list[Array]:
    """Return arrays of a backend, on the device of a step."""
    return [backend.asarray(x, device=step.device) for x in hosts]


def arrays_of(
    step: Step,
    backend: Backend,
    group: Group,
    subject: Subject,
    layout: Callable[[Step, Backend, Host], Array] | None = None,
) -> dict[str, Array]:
    """The arguments of an operation on a backend, by name."""
    hosts = [group.operands[source] for source in subject.sources.values()]
    arrays = [layout(step, backend, x) for x in hosts] if layout else moved(step, backend, hosts)
    return dict(zip(subject.sources, arrays, strict=True))


def with_gaps(step: Step, backend: Backend, x: Host) -> Array:
    """Every second entry of a larger array: a view with gaps, in frameworks that have views."""
    return backend.asarray(np.stack([x, np.zeros_like(x)], axis=-1), device=step.device)[..., 0]


def turned(step: Step, backend: Backend, x: Host) -> Array:
    """With the axes exchanged: the classes come first."""
    return backend.asarray(np.ascontiguousarray(x.T), device=step.device)


def exact_operands(subject: Subject, group: Group, working: str, number: float | None) -> dict[str, Any]:
    """The arguments in the precision of a reference, by name: integers as they are, a number in every row."""
    hosts = {name: group.operands[source] for name, source in subject.sources.items()}
    if number is not None:
        hosts["temperature"] = np.full(hosts["temperature"].shape, number)
    return {name: x if x.dtype.kind == "i" else wide.to_wide(x, working) for name, x in hosts.items()}


def directions(subject: Subject, group: Group, number: float | None) -> dict[str, Host]:
    """Where the arguments that a subject is differentiated in move; a number as temperature does not."""
    rng = np.random.default_rng(SEED)
    names = [name for name in subject.differentiable if number is None or name != "temperature"]
    hosts = {name: group.operands[subject.sources[name]] for name in names}
    return {name: rng.standard_normal(x.shape).astype(x.dtype) for name, x in hosts.items()}
