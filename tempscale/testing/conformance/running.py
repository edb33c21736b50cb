"""The conformance run: every operation on every backend, in every dtype and mode, held to its contract.

The exact result of each group of cases is computed once, and every backend is compared with it. In the
compiled modes all operations go into one graph, because compiling is what takes the time. The precisions that an
operation has besides the default come last: there the bound is 1 ulp, and bits are compared with NumPy's.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale._core.operation import OPERATIONS, Operation
from tempscale._core.registry import get_backend
from tempscale.backend import BackendUnavailableError
from tempscale.reporting.report import Report
from tempscale.testing.conformance.plan import (
    Selection,
    Step,
    plan,
    plan_precisions,
    require_known,
    require_known_selection,
)
from tempscale.testing.conformance.precisions import joined
from tempscale.testing.conformance.runner import Runner
from tempscale.testing.conformance.subjects import Subject

__all__ = ["Progress", "run"]


@dataclass(frozen=True)
class Progress:
    """How far the run has come."""

    done: int
    total: int
    label: str


_EVERYTHING = Selection()


def run(
    selection: Selection = _EVERYTHING,
    *,
    operations: Sequence[Operation[..., Any]] | None = None,
    logits: np.ndarray[Any, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Run the conformance suite.

    Parameters
    ----------
    selection : Selection
        What to run.
    operations : sequence of Operation, optional
        Operations with a specification to choose from, instead of those of this library.
    logits : numpy.ndarray, optional
        Rows of logits to run instead of the built-in cases.
    progress : callable, optional
        Called before each step with a `Progress`.

    Returns
    -------
    Report
        What was found; after an interruption (KeyboardInterrupt), what was found until then.

    Raises
    ------
    ValueError
        If the selection names something unknown.

    Examples
    --------
    >>> from tempscale.testing.conformance import Selection, run
    >>> report = run(Selection(("numpy",), ("entropy",), ("float32",), ("eager",), quick=True))
    >>> report.exit_status()
    0
    """
    there_are = {op.__name__: op for op in (OPERATIONS.values() if operations is None else operations)}
    require_known_selection(selection)
    require_known("operation", selection.operations, tuple(there_are))
    started = time.perf_counter()
    subjects = [
        Subject(operation, variant)
        for name, operation in there_are.items()
        if selection.operations is None or name in selection.operations
        for variant in (operation.specification.variants if operation.specification else ())
    ]
    contracts = {s.operation.__name__: s.specification.contract.text() for s in subjects}
    report = Report(contracts=contracts)
    runner = Runner(selection, logits)
    at_work = runner
    steps: list[Step] = []
    try:
        steps.extend(plan(selection))
        if any(subject.precisions for subject in subjects):
            drawn = 0 if selection.quick or logits is not None else selection.drawn
            steps.extend(plan_precisions(steps, selection, drawn=drawn))
        for done, step in enumerate(steps):
            if progress is not None:
                progress(Progress(done, len(steps), step.label))
            if step.draw != at_work.draw:
                if at_work is not runner:
                    at_work.references.forget()
                at_work = runner if step.draw is None else Runner(selection, logits, step.draw)
            found = at_work.run(step, runner.subjects_of(step, subjects))
            if step.precision == "default":
                report.cells.extend(found)
            else:
                report.precisions = joined([*report.precisions, *found])
        if progress is not None:
            progress(Progress(len(steps), len(steps), "done"))
    except KeyboardInterrupt:
        report.interrupted = True
    report.agreements = runner.agreements.largest()
    report.environment = _environment({step.backend for step in steps})
    report.seconds = time.perf_counter() - started
    return report


def _environment(names: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "tempscale": sys.modules["tempscale"].__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "backends": {},
    }
    for name in sorted(names):
        with contextlib.suppress(BackendUnavailableError):
            backend = get_backend(name)
            found["backends"][name] = {
                "version": backend.version,
                "devices": list(backend.devices()),
                **backend.settings(),
            }
    return found
