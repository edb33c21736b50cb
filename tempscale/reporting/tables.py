"""A conformance report in a terminal: the tables, and what is wrong in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tempscale.reporting.grouping import (
    Grid,
    agreement_grid,
    columns,
    grid,
    precision_grid,
    shared_reasons,
    summarize,
)
from tempscale.reporting.report import Agreement, Cell, Report, State
from tempscale.reporting.wording import (
    NOT_RUN_HEADINGS,
    PRECISION_HEADINGS,
    PRECISIONS_LEAD,
    circumstances,
    format_elements,
    format_ulp,
    headline,
    number,
    subject,
    wrong,
)

__all__ = ["show_report"]

_STYLE = {
    State.HELD: "green",
    State.BROKEN: "bold red",
    State.UNAVAILABLE: "yellow",
    State.NOT_APPLICABLE: "dim",
}
_WORD = {State.NOT_APPLICABLE: "n/a"}  # in full it would break the lines of the modes
_WIDTH_OF_NUMBERS = 12  # of a column of "held 0.08"
_WIDTH_OF_WORDS = 31  # of the two columns at the sides
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
    if report.cells:
        _show_by_backend(console, report.cells)
        _show_by_mode(console, report.cells)
    if report.precisions:
        _show_precisions(console, report.precisions)
    _show_broken(console, report.combinations)
    for state, heading in NOT_RUN_HEADINGS.items():
        _show_shared(console, heading, report.combinations, state)
    _show_agreements(console, report)
    _show_sum(console, report, allow_unavailable)


def _show_by_backend(console: Console, cells: Sequence[Cell]) -> None:
    rows = grid(cells, lambda cell: cell.title, lambda cell: cell.backend)
    title = "Worst error as a fraction of the bound, by backend"
    _show_table(console, title, *_summaries(rows, mark_missing=True), _missing_note(rows))


def _show_by_mode(console: Console, cells: Sequence[Cell]) -> None:
    title = "The same by mode, over all backends"
    for modes in _parts(columns(cell.mode for cell in cells), console.width):
        rows = grid([cell for cell in cells if cell.mode in modes], lambda cell: cell.title, lambda cell: cell.mode)
        headings, lines = _summaries(rows)
        headings = [heading.replace("-", "-\n") for heading in headings]
        lines = [[*line, _worst_on(row)] for line, row in zip(lines, rows.values(), strict=True)]
        _show_table(console, title, [*headings, "worst on"], lines)
        title = "The same by mode, continued"


def _parts(names: Sequence[str], width: int) -> list[Sequence[str]]:
    """As few parts of the names, of about one size, as have columns that fit beside two of words."""
    count = math.ceil(len(names) / max(1, (width - _WIDTH_OF_WORDS) // _WIDTH_OF_NUMBERS))
    size = math.ceil(len(names) / count)
    return [names[start : start + size] for start in range(0, len(names), size)]


def _summaries(rows: Grid, *, mark_missing: bool = False) -> tuple[list[str], list[list[Text | str]]]:
    """The headings and the rows of a table of what cells come to."""
    names = columns(name for row in rows.values() for name in row)
    lines: list[list[Text | str]] = [
        [title, *(_summary(row.get(name, ()), mark_missing) for name in names)] for title, row in rows.items()
    ]
    return ["operation", *names], lines


def _show_precisions(console: Console, cells: Sequence[Cell]) -> None:
    headings = [part for text in PRECISION_HEADINGS.values() for part in (text.replace(": ", ":\n"), "elements")]
    rows = (
        ["" if line else operation, backend, *(part for group in groups.values() for part in _measured(group))]
        for operation, row in precision_grid(cells).items()
        for line, (backend, groups) in enumerate(row.items())
    )
    _show_table(console, "The other precisions", ["operation", "backend", *headings], rows, PRECISIONS_LEAD)


def _measured(cells: Sequence[Cell]) -> tuple[Text, str]:
    return _summary(cells), format_elements(cells) if cells else ""


def _worst_on(row: Mapping[str, Sequence[Cell]]) -> str:
    worst = summarize([cell for cells in row.values() for cell in cells]).worst
    return worst.backend if worst.state.ran else ""


def _missing_note(rows: Grid) -> str:
    """Explain the mark, if any cell of the table bears it."""
    summaries = [summarize(cells) for row in rows.values() for cells in row.values()]
    partly = any(s.state is not State.UNAVAILABLE and s.counts[State.UNAVAILABLE] for s in summaries)
    return f"{_MISSING_MARK} some of it was unavailable, see below" if partly else ""


def _summary(cells: Sequence[Cell], mark_missing: bool = False) -> Text:
    if not cells:
        return Text("")
    summary = summarize(cells)
    text = Text(_WORD.get(summary.state, summary.state.value), _STYLE[summary.state])
    if summary.ran:
        text.append(f" {number(cells)}")
        if mark_missing and summary.counts[State.UNAVAILABLE]:
            text.append(_MISSING_MARK, _STYLE[State.UNAVAILABLE])
    return text


def _show_broken(console: Console, cells: Iterable[Cell]) -> None:
    rows = grid(cells, subject, lambda cell: cell.backend)
    groups = [(title, backend, group) for title, row in rows.items() for backend, group in row.items()]
    if not any(cell.state is State.BROKEN for *_, group in groups for cell in group):
        return
    _show_heading(console, "Broken")
    for title, backend, group in groups:
        broken = [cell for cell in group if cell.state is State.BROKEN]
        if broken:
            console.print(Text(f"  {title} on {backend}: {len(broken)} of {len(group)}", _STYLE[State.BROKEN]))
            for cell in broken[:_BROKEN_PER_GROUP]:
                _show_broken_cell(console, cell)
            if len(broken) > _BROKEN_PER_GROUP:
                console.print(f"    and {len(broken) - _BROKEN_PER_GROUP} more; --json and --html write all of them")


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
    _show_table(
        console,
        "Largest distance between two backends, in units in the last place",
        ["operation", *dtypes, "largest in, between"],
        (
            [title, *(format_ulp(row[d].ulp) if d in row else "" for d in dtypes), _between(row)]
            for title, row in rows.items()
        ),
    )


def _between(row: Mapping[str, Agreement]) -> str:
    largest = max(row.values(), key=lambda agreement: agreement.ulp)
    return f"{largest.dtype}, {' / '.join(largest.backends)}" if largest.ulp else ""


def _show_sum(console: Console, report: Report, allow_unavailable: bool) -> None:
    broken, held, unavailable = map(report.count, (State.BROKEN, State.HELD, State.UNAVAILABLE))
    verdict = State.BROKEN if broken else State.UNAVAILABLE if report.interrupted or not held else State.HELD
    console.print()
    if report.interrupted:
        console.print(Text("Interrupted: this is what was done until then.", _STYLE[State.UNAVAILABLE]))
    console.print(Text(headline(report.combinations, report.seconds), _STYLE[verdict]))
    if unavailable and not (held or broken):
        console.print("Nothing was checked: see above for what would make it available.")
    elif unavailable and not allow_unavailable:
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


def _show_table(
    console: Console,
    title: str,
    headings: Iterable[str],
    rows: Iterable[Iterable[Text | str]],
    note: str = "",
) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    _show_heading(console, title)
    console.print(table)
    if note:
        console.print(Text(note, "dim"))
