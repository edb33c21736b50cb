"""Grouping and wording that every way of showing a report shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempscale.backend import FLOATS
from tempscale.reporting.report import Agreement, Cell, State

__all__ = [
    "PRECISIONS_LEAD",
    "PRECISION_HEADINGS",
    "PRECISION_PROMISES",
    "Grid",
    "Shared",
    "Summary",
    "agreement_grid",
    "agreement_title",
    "circumstances",
    "columns",
    "flat",
    "format_fraction",
    "format_seconds",
    "format_ulp",
    "fraction",
    "grid",
    "headline",
    "number",
    "precision_grid",
    "shared_reasons",
    "subject",
    "summarize",
    "wrong",
]

Grid = dict[str, dict[str, list[Cell]]]
"""Cells by row, then by column, both in the order of their first appearance."""

_USUAL_ORDER = (
    *("eager", "compiled", "unknown-dims", "vmap", "gradient", "forward", "second"),
    *FLOATS,
)


PRECISION_HEADINGS = {"accurate": "accurate: worst ulp", "reproducible": "reproducible: differing"}
PRECISION_PROMISES = {
    "accurate": "within 1 ulp of the exact value",
    "reproducible": "within 1 ulp of the exact value, with the bits that NumPy has eagerly, eager and compiled",
}
PRECISIONS_LEAD = (
    "Of accurate results the largest error in units in the last place; 1 is allowed. Of reproducible results how many "
    "elements have other bits than NumPy's eager result: none may. Each over all variants, dtypes and compilers."
)


@dataclass(frozen=True)
class Summary:
    """What a group of cells comes to.

    Attributes
    ----------
    state : State
        Broken if any cell is; else held if any is; else unavailable if any is; else not applicable.
    worst : Cell
        The cell that decided: of those in that state, the one farthest out.
    counts : mapping of State to int
        How many cells of the group are in each state.
    """

    state: State
    worst: Cell
    counts: Mapping[State, int]


@dataclass(frozen=True)
class Shared:
    """Cells of one backend that share a state and its reason."""

    backend: str
    reason: str
    cells: tuple[Cell, ...]

    @property
    def extent(self) -> str:
        """Which modes (and compilers) and dtypes are concerned, and how many combinations."""
        modes = ", ".join(columns(_mode(cell) for cell in self.cells if cell.mode))
        dtypes = ", ".join(columns(cell.dtype for cell in self.cells if cell.dtype))
        count = f"{len(self.cells)} combination{'s' * (len(self.cells) != 1)}"
        return "; ".join(part for part in (modes, dtypes, count) if part)


def summarize(cells: Sequence[Cell]) -> Summary:
    """Return what a non-empty group of cells comes to."""
    counts = Counter(cell.state for cell in cells)
    state = next(s for s in (State.BROKEN, State.HELD, State.UNAVAILABLE, State.NOT_APPLICABLE) if counts[s])
    worst = max((cell for cell in cells if cell.state is state), key=_severity)
    return Summary(state, worst, counts)


def _severity(cell: Cell) -> tuple[int, float]:
    return cell.differing if cell.precision == "reproducible" else 0, fraction(cell)


def fraction(cell: Cell) -> float:
    """Return the worst error over the bound; a NaN, which no bound allows, as inf."""
    return math.inf if math.isnan(cell.worst) else cell.worst


def grid(cells: Iterable[Cell], row: Callable[[Cell], str], column: Callable[[Cell], str]) -> Grid:
    """Sort cells into rows and columns."""
    table: Grid = {}
    for cell in cells:
        table.setdefault(row(cell), {}).setdefault(column(cell), []).append(cell)
    return table


def agreement_grid(agreements: Iterable[Agreement]) -> dict[str, dict[str, Agreement]]:
    """Return the largest distance of each operation (with its variant) and dtype."""
    table: dict[str, dict[str, Agreement]] = {}
    for agreement in agreements:
        row = table.setdefault(agreement_title(agreement), {})
        known = row.get(agreement.dtype)
        if known is None or agreement.ulp > known.ulp:
            row[agreement.dtype] = agreement
    return table


def agreement_title(agreement: Agreement) -> str:
    """Return the operation with its variant, worded as `Cell.title` words it."""
    return f"{agreement.operation} ({agreement.variant})" if agreement.variant else agreement.operation


def precision_grid(cells: Iterable[Cell]) -> dict[str, dict[str, dict[str, list[Cell]]]]:
    """Sort the cells of the precisions by operation, all its variants together; then by backend; then by precision."""
    rows = grid(cells, lambda cell: cell.operation, lambda cell: cell.backend)
    return {
        operation: {
            backend: {p: [cell for cell in found if cell.precision == p] for p in PRECISION_HEADINGS}
            for backend, found in row.items()
        }
        for operation, row in rows.items()
    }


def columns(names: Iterable[str]) -> list[str]:
    """Return names without repetition: modes and dtypes in their usual order, all others as they came."""
    unique = dict.fromkeys(names)
    usual = [name for name in _USUAL_ORDER if name in unique]
    return usual + [name for name in unique if name not in usual]


def circumstances(cell: Cell) -> str:
    """Return what sets a cell apart from its neighbours: ``"float32, compiled (xla), body, cpu"``."""
    precision = "" if cell.precision == "default" else cell.precision
    return ", ".join(part for part in (cell.dtype, precision, _mode(cell), cell.form, cell.device) if part)


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


def shared_reasons(cells: Iterable[Cell], state: State) -> list[Shared]:
    """Gather the cells in a state by backend and reason."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.state is state:
            groups.setdefault((cell.backend, cell.reason), []).append(cell)
    return [Shared(backend, reason, tuple(group)) for (backend, reason), group in groups.items()]


def subject(cell: Cell) -> str:
    """Return what a cell is about, whatever the backend: the operation, with a precision that is not the default."""
    return cell.title if cell.precision == "default" else f"{cell.title}, {cell.precision},"


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


def _mode(cell: Cell) -> str:
    return f"{cell.mode} ({cell.compiler})" if cell.compiler else cell.mode
