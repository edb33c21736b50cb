"""A conformance report in a terminal: the tables, and what is wrong in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tempscale.testing._summary import (
    agreement_grid,
    circumstances,
    columns,
    format_fraction,
    format_ulp,
    fraction,
    grid,
    headline,
    shared_reasons,
    summarize,
    wrong,
)
from tempscale.testing.report import Cell, Report, State

__all__ = ["show_report"]

_STYLE = {
    State.HELD: "green",
    State.BROKEN: "bold red",
    State.UNAVAILABLE: "yellow",
    State.NOT_APPLICABLE: "dim",
}
_MISSING_MARK = "*"
_BROKEN_PER_GROUP = 4  # enough to see a pattern; --json and --html have all of them


def show_report(report: Report, console: Console, *, allow_unavailable: bool = False) -> None:
    """Print a report: worst errors, what is broken and why, what did not run, agreement, and the sum.

    Parameters
    ----------
    report : Report
        What a run found.
    console : Console
        Where to print.
    allow_unavailable : bool
        Whether the caller accepts what was unavailable; only the advice in the last lines depends on it.
    """
    _show_by_backend(console, report.cells)
    _show_by_mode(console, report.cells)
    _show_broken(console, report.cells)
    _show_shared(console, "Unavailable here", report.cells, State.UNAVAILABLE)
    _show_shared(console, "Not applicable", report.cells, State.NOT_APPLICABLE)
    _show_agreements(console, report)
    _show_sum(console, report, allow_unavailable)


def _show_by_backend(console: Console, cells: Sequence[Cell]) -> None:
    rows = grid(cells, lambda cell: cell.title, lambda cell: cell.backend)
    names = columns(cell.backend for cell in cells)
    table = _table("Worst error as a fraction of the bound, by backend", ["operation", *names])
    for title, row in rows.items():
        table.add_row(title, *(_summary(row.get(name, ()), mark_missing=True) for name in names))
    table.caption = _missing_note(row.values() for row in rows.values())
    console.print(table)


def _show_by_mode(console: Console, cells: Sequence[Cell]) -> None:
    rows = grid(cells, lambda cell: cell.title, lambda cell: cell.mode)
    names = columns(cell.mode for cell in cells)
    table = _table("The same by mode, over all backends", ["operation", *names, "worst on"])
    for title, row in rows.items():
        worst = summarize([cell for group in row.values() for cell in group]).worst
        ran = worst.state in (State.HELD, State.BROKEN)
        table.add_row(title, *(_summary(row.get(name, ())) for name in names), worst.backend if ran else "")
    console.print(table)


def _missing_note(rows: Iterable[Iterable[Sequence[Cell]]]) -> str | None:
    """Explain the mark, if any cell of the table bears it."""
    summaries = [summarize(cells) for row in rows for cells in row]
    partly = any(s.state is not State.UNAVAILABLE and s.counts[State.UNAVAILABLE] for s in summaries)
    return f"{_MISSING_MARK} some of it was unavailable, see below" if partly else None


def _summary(cells: Sequence[Cell], *, mark_missing: bool = False) -> Text:
    if not cells:
        return Text("")
    summary = summarize(cells)
    text = Text(summary.state.value, _STYLE[summary.state])
    if summary.state in (State.HELD, State.BROKEN):
        text.append(f" {format_fraction(fraction(summary.worst))}")
        if mark_missing and summary.counts[State.UNAVAILABLE]:
            text.append(_MISSING_MARK, _STYLE[State.UNAVAILABLE])
    return text


def _show_broken(console: Console, cells: Iterable[Cell]) -> None:
    rows = grid(cells, lambda cell: cell.title, lambda cell: cell.backend)
    groups = [(title, backend, group) for title, row in rows.items() for backend, group in row.items()]
    if not any(cell.state is State.BROKEN for *_, group in groups for cell in group):
        return
    _show_heading(console, "Broken")
    for title, backend, group in groups:
        broken = [cell for cell in group if cell.state is State.BROKEN]
        if broken:
            console.print(
                Text(f"  {title} on {backend}: {len(broken)} of {len(group)}", _STYLE[State.BROKEN])
            )
            for cell in broken[:_BROKEN_PER_GROUP]:
                _show_broken_cell(console, cell)
            if len(broken) > _BROKEN_PER_GROUP:
                console.print(
                    f"    and {len(broken) - _BROKEN_PER_GROUP} more, all of them in the files of --json and --html"
                )


def _show_broken_cell(console: Console, cell: Cell) -> None:
    _show_paragraph(console, f"{circumstances(cell)}: {wrong(cell)}", indent=4)
    if cell.where:
        _show_paragraph(console, cell.where, indent=6)


def _show_shared(console: Console, heading: str, cells: Iterable[Cell], state: State) -> None:
    shared = shared_reasons(cells, state)
    if not shared:
        return
    _show_heading(console, heading)
    for group in shared:
        _show_paragraph(console, f"{group.backend}: {group.reason} [{group.extent}]", indent=2)


def _show_agreements(console: Console, report: Report) -> None:
    rows = agreement_grid(report.agreements)
    if not rows:
        return
    dtypes = columns(agreement.dtype for agreement in report.agreements)
    table = _table(
        "Largest distance between two backends, in units in the last place",
        ["operation", *dtypes, "largest between"],
    )
    for title, row in rows.items():
        largest = max(row.values(), key=lambda agreement: agreement.ulp)
        between = f"{' and '.join(largest.backends)}, {largest.dtype}" if largest.ulp else ""
        table.add_row(title, *(format_ulp(row[d].ulp) if d in row else "" for d in dtypes), between)
    console.print()
    console.print(table)


def _show_sum(console: Console, report: Report, allow_unavailable: bool) -> None:
    style = _STYLE[State.BROKEN if report.count(State.BROKEN) else State.HELD]
    console.print()
    if report.interrupted:
        console.print(Text("Interrupted: this is what was done until then.", "bold yellow"))
    console.print(Text(headline(report.cells, report.seconds), f"bold {style}"))
    if not report.count(State.HELD) and not report.count(State.BROKEN):
        console.print("Nothing was checked: see above for what would make it available.")
    elif report.count(State.UNAVAILABLE) and not allow_unavailable:
        console.print("Not all of what was selected could run here; --allow-unavailable accepts that.")


def _show_heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"))


def _show_paragraph(console: Console, text: str, *, indent: int) -> None:
    """Print text with a hanging indent, so that a long reason stays apart from the next."""
    for line in textwrap.wrap(
        " ".join(text.split()),
        console.width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    ):
        console.print(Text(line))


def _table(title: str, headings: Iterable[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", caption_justify="left", box=box.SIMPLE_HEAD
    )
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
