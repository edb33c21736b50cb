"""``tempscale backends``: which backends are installed, missing or broken, and why."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tempscale import __version__
from tempscale._core.registry import get_backend, known_backends
from tempscale.backend import Backend, BackendUnavailableError
from tempscale.cli.console import stdout

__all__ = ["show_backends"]


@dataclass(frozen=True)
class Finding:
    """One backend, or why it is not available."""

    name: str
    backend: Backend | None = None
    missing: str = ""
    broken: str = ""


def show_backends() -> None:
    """Print a table of the backends that work, then the reason for each one that is missing or broken."""
    with Console(stderr=True).status("importing the frameworks"):
        findings = [_find(name) for name in known_backends()]
        table = _table([finding.backend for finding in findings if finding.backend is not None])
    console = stdout()
    console.print(
        f"tempscale {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores"
    )
    console.print(table)
    for heading, style, reasons in (
        ("missing", "yellow", [finding.missing for finding in findings]),
        ("broken", "bold red", [finding.broken for finding in findings]),
    ):
        for reason in filter(None, reasons):
            console.print(Text.assemble((heading, style), f": {reason}"))


def _find(name: str) -> Finding:
    try:
        backend = get_backend(name)
        backend.devices()  # a framework may be imported and still fail here
    except BackendUnavailableError as error:
        # there is a cause if the import failed, and none if the framework is not installed
        reason = str(error)
        return Finding(name, broken=reason) if error.__cause__ else Finding(name, missing=reason)
    except Exception as error:  # one framework's failure must not hide the others
        return Finding(name, broken=f"backend {name!r} cannot list its devices: {type(error).__name__}: {error}")
    return Finding(name, backend)


def _table(backends: list[Backend]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("backend", "version", "devices", "settings", "compilers"):
        table.add_column(heading)
    for backend in backends:
        table.add_row(
            Text(backend.name, "bold"),
            backend.version,
            ", ".join(backend.devices()),
            ", ".join(f"{name}: {value}" for name, value in backend.settings().items()) or "none",
            _compilers(backend),
        )
    return table


def _compilers(backend: Backend) -> Text:
    text = Text("" if backend.compilers else "none")
    for compiler in backend.compilers:
        problem = backend.compiler_problem(compiler)
        text.append(", " if text else "")
        text.append(compiler)
        if problem:
            text.append(f" (unavailable: {problem})", "yellow")
    return text
