"""The console that tables are printed on."""

from __future__ import annotations

import os

from rich.console import Console

__all__ = ["PIPED_WIDTH", "stdout"]

PIPED_WIDTH = 100
"""Width of a table that goes to a file: wide enough for four backends, narrow enough for a log viewer."""


def stdout() -> Console:
    """Return a console on standard output that looks the same in a file as in a terminal of 100 columns."""
    console = Console(highlight=False, emoji=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console
