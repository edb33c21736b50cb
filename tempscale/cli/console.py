"""The console that tables are printed on, and the bar that says how far a run is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["PIPED_WIDTH", "progress_bar", "stdout"]

PIPED_WIDTH = 100
"""Width of a table that goes to a file: wide enough for four backends, narrow enough for a log viewer."""


def stdout() -> Console:
    """Return a console on standard output that looks the same in a file as in a terminal of 100 columns."""
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console


@contextmanager
def progress_bar(first: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on standard error while the block runs, if that is a terminal.

    What is yielded takes how much is done, of how much, and a label; `first` is the label until then.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total, label: None
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
        task = bar.add_task(first, total=None)
        yield lambda done, total, label: bar.update(task, completed=done, total=total, description=label)
