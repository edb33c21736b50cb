"""A conformance report as one web page that needs nothing from anywhere: no script, no font, no request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tempscale.reporting.grouping import (
    Grid,
    Shared,
    Summary,
    agreement_grid,
    columns,
    fraction,
    grid,
    precision_grid,
    shared_reasons,
    summarize,
)
from tempscale.reporting.html import Html, element
from tempscale.reporting.parts import document, section, table
from tempscale.reporting.report import Agreement, Cell, Report, State
from tempscale.reporting.wording import (
    NOT_RUN_HEADINGS,
    PRECISION_HEADINGS,
    PRECISION_PROMISES,
    PRECISIONS_LEAD,
    circumstances,
    flat,
    format_elements,
    format_fraction,
    format_seconds,
    format_ulp,
    headline,
    number,
    subject,
    wrong,
)

__all__ = ["to_html"]

_CLASS = {
    State.HELD: "held",
    State.BROKEN: "broken",
    State.UNAVAILABLE: "unavailable",
    State.NOT_APPLICABLE: "na",
}
_INTERRUPTED = element("p", "The run was interrupted; this is what was done until then.", class_="note")


def to_html(report: Report) -> str:
    """Return the report as one self-contained page.

    Parameters
    ----------
    report : Report
        What a run found.

    Returns
    -------
    str
        HTML with its style inline. It holds no script, and its content security policy forbids the browser
        to fetch anything: it reads the same offline, and no text in the report can become code.
    """
    return document(f"{_verdict(report)} - tempscale conformance", *_sections(report))


def _sections(report: Report) -> list[Html]:
    by_backend = grid(report.cells, lambda cell: cell.title, lambda cell: cell.backend)
    by_mode = grid(report.cells, lambda cell: cell.title, lambda cell: cell.mode)
    sections = [_header(report), _broken_section(report)]
    if report.cells:
        sections += [
            section(
                "Worst error, by backend",
                "The largest |error| / bound over every dtype, mode and form: up to 1 is within the "
                "contract. Select a cell for its worst case, and again to close it.",
                _scale(),
                _heat_map(by_backend, report),
            ),
            section(
                "Worst error, by mode",
                "The same numbers, with the backend that is worst. What did not hold says so.",
                _heat_map(by_mode, report, name_backend=True),
            ),
        ]
    return [
        *sections,
        _precisions_section(report),
        _agreement_section(report),
        _not_run_section(report),
        _contracts(report),
        _environment(report),
    ]


# The verdict


def _header(report: Report) -> Html:
    counts = [(state, report.count(state)) for state in State]
    bar = [element("i", class_=f"fill {_CLASS[state]}", style=f"flex-grow:{count}") for state, count in counts if count]
    legend = [
        element("li", element("i", class_=f"fill {_CLASS[state]}"), element("b", str(count)), f" {state}")
        for state, count in counts
    ]
    return element(
        "header",
        element("p", f"tempscale conformance{_version(report)}", class_="kicker"),
        element("h1", _verdict(report)),
        _INTERRUPTED if report.interrupted else "",
        element("div", *bar, class_="bar"),
        element("ul", *legend, element("li", f"in {format_seconds(report.seconds)}"), class_="legend"),
    )


def _verdict(report: Report) -> str:
    broken = report.count(State.BROKEN)
    if broken:
        return f"{broken} of {len(report.combinations)} combinations {'is' if broken == 1 else 'are'} broken"
    if not report.count(State.HELD):
        return "Nothing was checked"
    return "Every combination that ran held" if _incomplete(report) else "Everything held"


def _incomplete(report: Report) -> bool:
    return report.interrupted or report.count(State.UNAVAILABLE) > 0


def _version(report: Report) -> str:
    version = report.environment.get("tempscale")
    return f", version {version}" if isinstance(version, str) else ""


# The heat maps


def _scale() -> Html:
    return element("p", "0", element("i", class_="scale"), "1, the bound", class_="legend")


def _heat_map(rows: Grid, report: Report, *, name_backend: bool = False) -> Html:
    names = columns(name for row in rows.values() for name in row)
    return table(
        ["operation", *names],
        [
            [
                element("th", title, scope="row"),
                *(_heat_cell(row.get(name, ()), report, name_backend) for name in names),
            ]
            for title, row in rows.items()
        ],
        class_="heat",
    )


def _heat_cell(cells: Sequence[Cell], report: Report, name_backend: bool) -> Html:
    if not cells:
        return element("td")
    summary = summarize(cells)
    label = _label(cells, summary, name_backend)
    if name_backend:
        return element("td", element("div", label, **_colour(summary)))
    # One name for all of them: opening one closes the other.
    opened = element("details", element("summary", label), _panel(cells, summary, report), name="cell")
    return element("td", element("div", opened, **_colour(summary)))


def _label(cells: Sequence[Cell], summary: Summary, name_backend: bool) -> Html:
    """Say the state in words beside the number: colour alone says nothing to some readers.

    Beside the name of a backend there is room for one word: a number alone is of what held.
    """
    words = [] if name_backend and summary.state is State.HELD else [str(summary.state)]
    missing = summary.counts[State.UNAVAILABLE]
    if not summary.ran:
        return element("span", element("small", *words), class_="label")
    if name_backend:
        words.append(summary.worst.backend)
    elif missing:
        words.append(f"{missing} unavailable")
    if cells[0].precision != "default":
        words.append(f"{format_elements(cells)} elements")
    # Each on its own, so that a line breaks between them and not inside.
    smalls = [[" ", element("small", f"{word},")] for word in words[:-1]]
    return element("span", element("b", number(cells)), *smalls, " ", element("small", words[-1]), class_="label")


def _colour(summary: Summary) -> dict[str, str | bool]:
    """Return the class of the state, and for what held its place on the colour scale."""
    if summary.state is not State.HELD:
        return {"class_": f"fill {_CLASS[summary.state]}"}
    # of bits that do not differ there is no more and no less
    share = 0.0 if summary.worst.precision == "reproducible" else min(fraction(summary.worst), 1.0)
    return {"class_": "fill held", "style": f"--share:{share:.0%}"}


# What a cell opens to


def _panel(cells: Sequence[Cell], summary: Summary, report: Report) -> Html:
    first = cells[0]
    broken = [cell for cell in cells if cell.state is State.BROKEN]
    return element(
        "div",
        element("h3", f"{subject(first)} on {first.backend}"),
        _worst_case(summary),
        _breakdown(cells),
        _more_broken(broken, summary.worst),
        _reasons(cells),
        element("h4", "Contract"),
        element("pre", PRECISION_PROMISES.get(first.precision) or report.contracts.get(first.operation, "none")),
        element(
            "p",
            f"{format_elements(cells)} elements checked in {format_seconds(sum(cell.seconds for cell in cells))}",
            class_="muted",
        ),
        class_="panel",
    )


def _worst_case(summary: Summary) -> list[Html]:
    if not summary.ran:
        return []
    worst = summary.worst
    unit = "of the bound" if worst.precision == "default" else "ulp"
    how_far = f"{format_fraction(fraction(worst))} {unit}" if worst.state is State.HELD else wrong(worst)
    return [
        element("h4", "Worst case"),
        element("p", element("b", how_far), f", in {circumstances(worst)}"),
        element("pre", worst.where) if worst.where else Html(""),
    ]


def _breakdown(cells: Sequence[Cell]) -> list[Html]:
    """Every cell of the group: a row per mode and form, a column per dtype."""
    several_devices = len({cell.device for cell in cells if cell.device}) > 1

    def row_name(cell: Cell) -> str:
        return ", ".join(part for part in (cell.way, cell.form, cell.device if several_devices else "") if part)

    rows = grid(cells, row_name, lambda cell: cell.dtype or "any dtype")
    dtypes = columns(dtype for row in rows.values() for dtype in row)
    shown = table(
        ["mode, form", *dtypes],
        [
            [element("th", name, scope="row"), *(_small_cell(row.get(dtype, ())) for dtype in dtypes)]
            for name, row in rows.items()
        ],
        class_="small",
    )
    return [element("h4", "By mode, form and dtype"), shown]


def _small_cell(cells: Sequence[Cell]) -> Html:
    if not cells:
        return element("td")
    summary = summarize(cells)
    shown = [number(cells)] if summary.ran else []
    word = [] if summary.state is State.HELD else [str(summary.state)]
    return element("td", element("div", " ".join(shown + word), **_colour(summary)))


def _more_broken(broken: Sequence[Cell], shown: Cell) -> list[Html]:
    others = sorted((cell for cell in broken if cell is not shown), key=fraction, reverse=True)
    if not others:
        return []
    items = [
        element("li", f"{circumstances(cell)}: {wrong(cell)}", element("pre", cell.where) if cell.where else "")
        for cell in others
    ]
    return [element("h4", f"{len(others)} more broken"), element("ul", *items, class_="plain")]


def _reasons(cells: Sequence[Cell]) -> list[Html]:
    found: list[Html] = []
    for state, heading in NOT_RUN_HEADINGS.items():
        shared = shared_reasons(cells, state)
        if shared:
            found += [element("h4", heading), _shared_list(shared)]
    return found


# The other sections


def _broken_section(report: Report) -> Html:
    rows = grid(report.combinations, subject, lambda cell: cell.backend)
    groups = [(group, summarize(group)) for row in rows.values() for group in row.values()]
    broken = [(group, summary) for group, summary in groups if summary.state is State.BROKEN]
    if not broken:
        return Html("")
    lead = "The worst of each; the cells of the tables below have all of them."
    return section("Broken", lead, element("ul", *(_broken_item(*pair) for pair in broken), class_="plain"))


def _broken_item(cells: Sequence[Cell], summary: Summary) -> Html:
    worst = summary.worst
    return element(
        "li",
        element("b", f"{subject(worst)} on {worst.backend}"),
        f", {summary.counts[State.BROKEN]} of {len(cells)}: {wrong(worst)}, in {circumstances(worst)}",
        element("pre", worst.where) if worst.where else "",
    )


def _not_run_section(report: Report) -> Html:
    content = _reasons(report.combinations)
    return section("What did not run", "", *content) if content else Html("")


def _shared_list(shared: Iterable[Shared]) -> Html:
    return element(
        "ul",
        *(
            element(
                "li",
                element("b", group.backend),
                f": {group.reason} ",
                element("small", group.extent, class_="muted"),
            )
            for group in shared
        ),
        class_="plain",
    )


def _precisions_section(report: Report) -> Html:
    if not report.precisions:
        return Html("")
    rows = [
        [
            *([element("th", operation, scope="rowgroup", rowspan=str(len(row)))] if line == 0 else []),
            element("th", backend, scope="row"),
            *(_heat_cell(groups[precision], report, name_backend=False) for precision in PRECISION_HEADINGS),
        ]
        for operation, row in precision_grid(report.precisions).items()
        for line, (backend, groups) in enumerate(row.items())
    ]
    shown = table(["operation", "backend", *PRECISION_HEADINGS.values()], rows, class_="heat precisions")
    return section("The other precisions", f"{PRECISIONS_LEAD} Select a cell for its worst case.", shown)


def _agreement_section(report: Report) -> Html:
    rows = agreement_grid(report.agreements)
    if not rows:
        return Html("")
    dtypes = columns(agreement.dtype for agreement in report.agreements)
    shown = table(
        ["operation", *dtypes],
        [
            [element("th", title, scope="row"), *(_agreement_cell(row.get(dtype)) for dtype in dtypes)]
            for title, row in rows.items()
        ],
        class_="agreement",
    )
    return section(
        "Largest distance between two backends",
        "In units in the last place, over well-conditioned elements (those whose bound is below 1024 u of "
        "their value). Select a cell for the input that caused it.",
        shown,
    )


def _agreement_cell(agreement: Agreement | None) -> Html:
    if agreement is None:
        return element("td")
    one, other = agreement.backends
    label = element(
        "span",
        element("b", format_ulp(agreement.ulp)),
        " ",
        element("small", f"{one} / {other}" if agreement.ulp else "no difference"),
        class_="label",
    )
    panel = element(
        "div",
        element("h3", f"{agreement.title}, {agreement.dtype}"),
        element("p", f"{agreement.ulp} ulp between {one} and {other}, over {agreement.elements:,} elements."),
        element("pre", agreement.where) if agreement.where else "",
        class_="panel",
    )
    return element(
        "td", element("div", element("details", element("summary", label), panel, name="cell"), class_="fill")
    )


def _contracts(report: Report) -> Html:
    cards = [element("article", element("h3", name), element("pre", text)) for name, text in report.contracts.items()]
    if not cards:
        return Html("")
    lead = "What every element is held to. u is half an ulp of 1 in the working precision."
    return section("Contracts", lead, element("div", *cards, class_="cards"))


def _environment(report: Report) -> Html:
    pairs = [*flat(report.environment), ("result", headline(report.combinations, report.seconds))]
    rows = [[element("th", name, scope="row"), element("td", value)] for name, value in pairs]
    return section("Environment", "What is needed to repeat the run.", table([], rows, class_="pairs"))
