"""Grouping what every way of showing a report groups: cells by row and column, by what they come to, by reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tempscale.backend import FLOATS
from tempscale.reporting.report import MODES, OTHER_PRECISIONS, Agreement, Cell, State

__all__ = [
    "Grid",
    "Shared",
    "Summary",
    "agreement_grid",
    "columns",
    "fraction",
    "grid",
    "precision_grid",
    "shared_reasons",
    "summarize",
]

Grid = dict[str, dict[str, list[Cell]]]
"""Cells by row, then by column, both in the order of their first appearance."""


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

    @property
    def ran(self) -> bool:
        """Whether anything was computed."""
        return self.state.ran


@dataclass(frozen=True)
class Shared:
    """Cells of one backend that share a state and its reason."""

    backend: str
    reason: str
    cells: tuple[Cell, ...]

    @property
    def extent(self) -> str:
        """Which modes (and compilers) and dtypes are concerned, and how many combinations."""
        modes = ", ".join(columns(cell.way for cell in self.cells if cell.mode))
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
        row = table.setdefault(agreement.title, {})
        known = row.get(agreement.dtype)
        if known is None or agreement.ulp > known.ulp:
            row[agreement.dtype] = agreement
    return table


def precision_grid(cells: Iterable[Cell]) -> dict[str, dict[str, dict[str, list[Cell]]]]:
    """Sort the cells of the precisions by operation, all its variants together; then by backend; then by precision."""
    rows = grid(cells, lambda cell: cell.operation, lambda cell: cell.backend)
    return {
        operation: {
            backend: {p: [cell for cell in found if cell.precision == p] for p in OTHER_PRECISIONS}
            for backend, found in row.items()
        }
        for operation, row in rows.items()
    }


def columns(names: Iterable[str]) -> list[str]:
    """Return names without repetition: modes and dtypes in their usual order, all others as they came."""
    unique = dict.fromkeys(names)
    usual = [name for name in (*MODES, *FLOATS) if name in unique]
    return usual + [name for name in unique if name not in usual]


def shared_reasons(cells: Iterable[Cell], state: State) -> list[Shared]:
    """Gather the cells in a state by backend and reason."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.state is state:
            groups.setdefault((cell.backend, cell.reason), []).append(cell)
    return [Shared(backend, reason, tuple(group)) for (backend, reason), group in groups.items()]
