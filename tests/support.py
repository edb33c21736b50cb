"""What several test files need: the names of the backends, a fresh interpreter, a cell of a report."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tempscale import Backend
from tempscale.reporting.report import Cell, State
from tempscale.testing.plugin import backend_or_skip

NAMES = ("numpy", "torch", "tensorflow", "jax")
DIFFERENTIATING = ("torch", "tensorflow", "jax")
ROOT = Path(__file__).parents[1]
PLUGIN = Path(__file__).with_name("plugin")  # an installable package that brings a fifth backend


class Run:
    """The run of pytest that this is; conftest.py says."""

    config: pytest.Config


def require(name: str) -> Backend:
    """The backend, or a skip with the reason; a failure under --require-backends."""
    return backend_or_skip(name, Run.config)


def cell(state: State = State.HELD, **changes: Any) -> Cell:
    """A cell of a report, as a run could have found it."""
    fields = {
        "operation": "softmax",
        "variant": "",
        "backend": "numpy",
        "device": "cpu",
        "dtype": "float32",
        "mode": "eager",
        "compiler": "",
        "form": "public",
        "state": state,
        "worst": 0.57,
        "where": "offset 1e4: [2, 3] is 0.25, exactly 0.125",
        "elements": 10,
    }
    return Cell(**(fields | changes))


def run_python(
    code: str,
    *,
    path: Iterable[Path] = (),
    env: Mapping[str, str] | None = None,
    options: Iterable[str] = (),
) -> str:
    """Standard output of a fresh interpreter that runs `code`; an assertion that it succeeds."""
    variables = {**os.environ, **(env or {})}
    if path:
        variables["PYTHONPATH"] = os.pathsep.join(map(str, path))
    done = subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=variables,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
