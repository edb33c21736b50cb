"""``tempscale compare``: two models, or two traces; show the report, write it to files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tempscale.cli.console import stdout
from tempscale.cli.errors import UsageError
from tempscale.cli.files import read_arrays
from tempscale.cli.modules import model_at
from tempscale.cli.writing import require_writable, write
from tempscale.comparison import ComparisonReport, compare_traces
from tempscale.comparison import compare as compare_models

__all__ = ["compare"]

_STATUS = {"same": 0, "different": 1, "look": 3}


def compare(a: str, b: str, *, given: Path | None, json: Path | None, html: Path | None) -> int:
    """Compare what `a` and `b` name, show the report, write the files, and return the exit status."""
    for path in (json, html):
        if path is not None:
            require_writable(path)
    report = _report(a, b, given)
    console = stdout()
    problems = []
    for path, render in ((json, ComparisonReport.to_json), (html, ComparisonReport.to_html)):
        if path is not None:
            problems.append(write(path, render(report)))
            console.print(
                f"could not write {path}: {problems[-1]}" if problems[-1] else f"wrote {path}", soft_wrap=True
            )
    console.print(str(report), soft_wrap=True)
    return _STATUS[report.verdict] or (2 if any(problems) else 0)


def _report(a: str, b: str, given: Path | None) -> ComparisonReport:
    try:
        if a.endswith(".npz") and b.endswith(".npz"):
            if given is not None:
                raise UsageError("traces take no --input: what was computed from it is already in them")
            return compare_traces(read_arrays(Path(a)), read_arrays(Path(b)))
        if given is None:
            raise UsageError("--input FILE is needed: what both models are called with")
        return compare_models(model_at(a), model_at(b), _input(read_arrays(given)))
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from error


def _input(arrays: dict[str, Any]) -> Any:
    """Return what the models are called with: by position if the arrays have no names of their own, else by name."""
    if len(arrays) == 1 or all(re.fullmatch(r"arr_\d+", name) for name in arrays):
        return tuple(arrays.values())
    return arrays
