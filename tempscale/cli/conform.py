"""``tempscale conform``: select what to run, run it, show the report and write it to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tempscale._core.operation import Operation
from tempscale.cli.console import stdout
from tempscale.cli.errors import UsageError
from tempscale.cli.files import read_logits
from tempscale.reporting.formats import to_html, to_json, to_junit
from tempscale.reporting.report import Report
from tempscale.reporting.tables import show_report
from tempscale.testing import conformance

__all__ = ["Destinations", "conform", "logits", "require_writable", "selection", "split_names", "write"]


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
    with _progress_bar() as progress:
        try:
            return conformance.run(chosen, operations=operations, logits=data, progress=progress)
        except ValueError as error:  # an unknown name; an error of a backend becomes a cell
            raise UsageError(str(error)) from error


@contextmanager
def _progress_bar() -> Iterator[Callable[[conformance.Progress], None] | None]:
    """Show a bar on standard error while the block runs, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("importing the frameworks", total=None)
        yield lambda now: bar.update(task, completed=now.done, total=now.total, description=now.label)


def require_writable(path: Path) -> None:
    """Raise before the run if the file cannot be written, rather than lose the report after it."""
    existed = path.exists()
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {_reason(error)}; choose a file in an existing folder that you can write to"
        ) from error
    if not existed:
        path.unlink()


def write(path: Path, text: str) -> str:
    """Write a file. Return what went wrong, or "": the other files are written all the same."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        return _reason(error)
    return ""


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
