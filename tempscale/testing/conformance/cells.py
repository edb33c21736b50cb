"""Tallying: from what came of a step to a cell of the report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tempscale.reporting.report import Cell, State
from tempscale.testing.check import Verdict
from tempscale.testing.conformance.plan import Step
from tempscale.testing.conformance.precisions import Measurement

Title = tuple[str, str]
"""Name of a function, and of the set of options that it ran with."""


def cell_of(step: Step, title: Title, state: State, **found: Any) -> Cell:
    """Return a cell about a function in a step."""
    where = (step.backend, step.device, step.dtype, step.mode, step.compiler, step.form)
    return Cell(*title, *where, state, precision=step.precision, **found)


def not_run(step: Step, title: Title) -> Cell:
    """Return the cell of a step that has a problem."""
    state = State.UNAVAILABLE if step.applicable else State.NOT_APPLICABLE
    return cell_of(step, title, state, reason=step.problem)


def failed(step: Step, title: Title, error: Exception, started: float) -> Cell:
    """Return the cell of a call that raised."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"
    seconds = time.perf_counter() - started
    return cell_of(step, title, State.BROKEN, worst=np.inf, reason=reason, seconds=seconds)


def judged(step: Step, title: Title, verdicts: Sequence[Verdict], started: float) -> Cell:
    """Return the cell of what was compared with bounds, or measured in another precision."""
    if step.precision != "default":
        return measured(step, title, [v for v in verdicts if isinstance(v, Measurement)], started)
    worst = max(verdicts, key=lambda verdict: verdict.worst)
    return cell_of(
        step,
        title,
        State.HELD if worst.held else State.BROKEN,
        worst=worst.worst,
        where=worst.where,
        reason="" if worst.held else f"{worst.worst:.3g} times the bound",
        elements=sum(verdict.elements for verdict in verdicts),
        seconds=time.perf_counter() - started,
    )


def measured(step: Step, title: Title, found: Sequence[Measurement], started: float) -> Cell:
    """Return the cell of what was measured in a precision other than the default."""
    worst = max(found, key=lambda measurement: measurement.worst)
    differing = sum(measurement.differing for measurement in found)
    where = worst.where
    if step.precision == "reproducible" and differing:
        where = next(measurement.difference for measurement in found if measurement.differing)
    held = worst.held and (step.precision != "reproducible" or not differing)
    return cell_of(
        step,
        title,
        State.HELD if held else State.BROKEN,
        worst=worst.worst,
        where=where,
        elements=sum(measurement.elements for measurement in found),
        seconds=time.perf_counter() - started,
        differing=differing,
    )
