"""``tempscale conform``: select what to run, run it, show the report and write it to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tempscale._core.operation import Operation
from tempscale.cli.console import progress_bar, stdout
from tempscale.cli.errors import UsageError
from tempscale.cli.files import read_logits
from tempscale.cli.writing import require_writable, write
from tempscale.reporting.formats import to_html, to_json, to_junit
from tempscale.reporting.report import Report
from tempscale.reporting.tables import show_report
from tempscale.testing import conformance

__all__ = ["Destinations", "conform", "logits", "selection", "split_names"]


@dataclass(frozen=True)
class Destinations:
    """Files to write the report to, by format."""

    json: Path | None = None
    junit: Path | None = None
    html: Path | None = None

    def wanted(self) -> list[tuple[Path, Callable[[Report], str]]]:
        """Return the files that were asked for, each with what renders it."""
        formats = ((self.json, to_json), (self.junit, to_junit), (self.html, to_html))
        return [(path, render) for path, render in formats if path is not None]


def selection(
    backends: Sequence[str] | None,
    operations: Sequence[str] | None,
    dtypes: Sequence[str] | None,
    modes: Sequence[str] | None,
    devices: Sequence[str] | None,
    *,
    quick: bool,
    drawn: int,
) -> conformance.Selection:
    """Return what the options select. An option that is not given selects everything."""
    everything = conformance.Selection()
    return conformance.Selection(
        backends=split_names(backends, "--backend"),
        operations=split_names(operations, "--op"),
        dtypes=split_names(dtypes, "--dtype") or everything.dtypes,
        modes=split_names(modes, "--mode") or everything.modes,
        devices=split_names(devices, "--device"),
        quick=quick,
        drawn=drawn,
    )


def logits(path: Path | None, *, key: str | None, log: bool) -> np.ndarray[Any, Any] | None:
    """Return the user's own logits, or None if the built-in cases are to run."""
    if path is not None:
        return read_logits(path, key=key, log=log)
    if key is not None or log:
        option = "--key" if key is not None else "--log"
        raise UsageError(f"{option} needs a file of logits: add --logits FILE")
    return None


def conform(
    chosen: conformance.Selection,
    data: np.ndarray[Any, Any] | None,
    destinations: Destinations,
    *,
    operations: Sequence[Operation[..., Any]] | None = None,
    allow_unavailable: bool,
) -> int:
    """Run what was chosen, show the report, write the files, and return the exit status.

    `operations` are run instead of those of this library.
    """
    for path, _ in destinations.wanted():
        require_writable(path)
    report = _run(chosen, data, operations)
    # Files first: they hold the full report, and an error on the screen must not lose them.
    problems = [write(path, render(report)) for path, render in destinations.wanted()]
    console = stdout()
    show_report(report, console, allow_unavailable=allow_unavailable)
    for (path, _), problem in zip(destinations.wanted(), problems, strict=True):
        console.print(f"could not write {path}: {problem}" if problem else f"wrote {path}", soft_wrap=True)
    status = report.exit_status(allow_unavailable=allow_unavailable)
    return status or (2 if any(problems) else 0)


def split_names(given: Sequence[str] | None, option: str) -> tuple[str, ...] | None:
    """Return the names given to an option, repeated or separated by commas; None if it was not given."""
    if not given:
        return None
    names = [name.strip() for text in given for name in text.split(",")]
    if not all(names):
        raise UsageError(f"{option} {','.join(given)!r} has an empty name: separate the names by single commas")
    return tuple(dict.fromkeys(names))


def _run(
    chosen: conformance.Selection,
    data: np.ndarray[Any, Any] | None,
    operations: Sequence[Operation[..., Any]] | None,
) -> Report:
    with progress_bar("importing the frameworks") as update:
        try:
            return conformance.run(
                chosen,
                operations=operations,
                logits=data,
                progress=lambda now: update(now.done, now.total, now.label),
            )
        except ValueError as error:  # an unknown name; an error of a backend becomes a cell
            raise UsageError(str(error)) from error
