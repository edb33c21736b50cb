"""What several test files need: the names of the backends, and a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

import tempscale
from tempscale import Backend, BackendUnavailableError

NAMES = ("numpy", "torch", "tensorflow", "jax")
DIFFERENTIATING = ("torch", "tensorflow", "jax")


def require(name: str) -> Backend:
    """The backend, or a skip with the reason; a failure where TEMPSCALE_REQUIRE_BACKENDS asks for it."""
    try:
        return tempscale.get_backend(name)
    except BackendUnavailableError as error:
        if name in os.environ.get("TEMPSCALE_REQUIRE_BACKENDS", "").split(","):
            pytest.fail(f"TEMPSCALE_REQUIRE_BACKENDS asks for {name}: {error}")
        pytest.skip(str(error))


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
