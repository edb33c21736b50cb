"""From what was found in a step to a cell of the report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tempscale.reporting.report import Cell, State
from tempscale.testing.check import Verdict
from tempscale.testing.conformance.plan import Step
from tempscale.testing.conformance.precisions import Measurement
from tempscale.testing.conformance.subjects import Subject


def cell_of(step: Step, subject: Subject, state: State, **found: Any) -> Cell:
    """Return a cell about an operation in a step."""
    operation, variant = subject.key
    return Cell(
        operation,
        variant,
        step.backend,
        step.device,
        step.dtype,
        step.mode,
        step.compiler,
        step.form,
        state,
        precision=step.precision,
        **found,
    )


def failed(step: Step, subject: Subject, error: Exception, started: float) -> Cell:
    """Return the cell of a call that raised."""
    first_lines = " ".join(str(error).split())[:600]
    return cell_of(
        step,
        subject,
        State.BROKEN,
        worst=np.inf,
        reason=f"{type(error).__name__}: {first_lines}",
        seconds=time.perf_counter() - started,
    )


def judged(step: Step, subject: Subject, verdicts: Sequence[Verdict], started: float) -> Cell:
    """Return the cell of what was compared with bounds, or measured in another precision."""
    if step.precision != "default":
        return measured(step, subject, [v for v in verdicts if isinstance(v, Measurement)], started)
    worst = max(verdicts, key=lambda verdict: verdict.worst)
    held = worst.held
    return cell_of(
        step,
        subject,
        State.HELD if held else State.BROKEN,
        worst=worst.worst,
        where=worst.where,
        reason="" if held else f"{worst.worst:.3g} times the bound",
        elements=sum(verdict.elements for verdict in verdicts),
        seconds=time.perf_counter() - started,
    )


def measured(step: Step, subject: Subject, found: Sequence[Measurement], started: float) -> Cell:
    """Return the cell of what was measured in a precision other than the default."""
    worst = max(found, key=lambda measurement: measurement.worst)
    differing = sum(measurement.differing for measurement in found)
    where = worst.where
    if step.precision == "reproducible" and differing:
        where = next(measurement.difference for measurement in found if measurement.differing)
    held = worst.held and (step.precision != "reproducible" or not differing)
    return cell_of(
        step,
        subject,
        State.HELD if held else State.BROKEN,
        worst=worst.worst,
        where=where,
        elements=sum(measurement.elements for measurement in found),
        seconds=time.perf_counter() - started,
        differing=differing,
    )
