"""Wording that every way of showing a report shares: what a cell is about, what is wrong with it, numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tempscale.reporting.grouping import fraction
from tempscale.reporting.report import Cell, State

__all__ = [
    "NOT_RUN_HEADINGS",
    "PRECISIONS_LEAD",
    "PRECISION_HEADINGS",
    "PRECISION_PROMISES",
    "circumstances",
    "flat",
    "format_elements",
    "format_fraction",
    "format_seconds",
    "format_ulp",
    "headline",
    "number",
    "subject",
    "wrong",
]

PRECISION_HEADINGS = {"accurate": "accurate: worst ulp", "reproducible": "reproducible: differing"}
PRECISION_PROMISES = {
    "accurate": "within 1 ulp of the exact value",
    "reproducible": "within 1 ulp of the exact value, with the bits that NumPy has eagerly, eager and compiled",
}
PRECISIONS_LEAD = (
    "Of accurate results the largest error in units in the last place; 1 is allowed. Of reproducible results how many "
    "elements have other bits than NumPy's eager result: none may. Each over all variants, dtypes and compilers."
)
NOT_RUN_HEADINGS = {State.UNAVAILABLE: "Unavailable here", State.NOT_APPLICABLE: "Not applicable"}


def subject(cell: Cell) -> str:
    """Return what a cell is about, whatever the backend: the operation, with a precision that is not the default."""
    return cell.title if cell.precision == "default" else f"{cell.title}, {cell.precision},"


def circumstances(cell: Cell) -> str:
    """Return what sets a cell apart from its neighbours: ``"float32, compiled (xla), body, cpu"``."""
    precision = "" if cell.precision == "default" else cell.precision
    return ", ".join(part for part in (cell.dtype, precision, cell.way, cell.form, cell.device) if part)


def wrong(cell: Cell) -> str:
    """Return what is wrong with a broken cell: its own reason, else how far out it is."""
    if cell.reason:
        return cell.reason
    if cell.precision == "default":
        return f"{format_fraction(fraction(cell))} times the bound"
    found = []
    if cell.precision == "reproducible" and cell.differing:
        found.append(f"{cell.differing:,} of {cell.elements:,} elements differ from NumPy's in their bits")
    if fraction(cell) > 1:
        found.append(f"{format_fraction(fraction(cell))} ulp off, 1 is promised")
    return "; ".join(found)


def number(cells: Sequence[Cell]) -> str:
    """Return what counts of cells of one precision that ran: how many bits differ, or the worst error."""
    if cells[0].precision == "reproducible" and not any(cell.reason for cell in cells):
        return f"{sum(cell.differing for cell in cells):,}"
    return format_fraction(max(map(fraction, cells)))


def headline(cells: Sequence[Cell], seconds: float) -> str:
    """Return the one line that says it all: ``"412 held, 0 broken, ... in 95 s"``."""
    counts = Counter(cell.state for cell in cells)
    return ", ".join(f"{counts[state]} {state}" for state in State) + f" in {format_seconds(seconds)}"


def format_fraction(value: float) -> str:
    """Return an error over its bound in few characters, never rounded across the bound itself."""
    if value == 0 or math.isinf(value):
        return "0" if value == 0 else "inf"
    if value < 0.005:
        return "<0.01"
    if value > 1 and f"{value:.2f}" == "1.00":
        return ">1.00"
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.0f}" if value < 10_000 else f"{value:.1e}"


def format_ulp(value: int) -> str:
    """Return a distance in units in the last place, short even when it is absurd."""
    return str(value) if value < 10**7 else f"{value:.1e}"


def format_seconds(value: float) -> str:
    """Return a duration, in tenths of a second only where they matter."""
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def format_elements(cells: Sequence[Cell]) -> str:
    """Return how many elements were checked in cells, with commas."""
    return f"{sum(cell.elements for cell in cells):,}"


def flat(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested mappings, such as a report's environment, to pairs of a dotted name and a text."""
    pairs: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += flat(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            pairs.append((name, ", ".join(map(str, value)) or "none"))
        else:
            pairs.append((name, str(value)))
    return pairs
