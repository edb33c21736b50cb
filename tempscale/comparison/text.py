"""A comparison as plain text: a table that reads the same in a terminal, a log and an error message."""

from __future__ import annotations

import math
import textwrap

from tempscale.comparison.report import ComparisonReport, LayerPair

__all__ = ["in_floors", "sentence", "to_text"]

_WIDTH = 100
_NAME = 34


def sentence(report: ComparisonReport) -> str:
    """Return the verdict in a sentence."""
    first = report.first
    if first is not None:
        return f"different, first at {first.title}"
    if report.verdict == "look":
        odd = next((pair for pair in report.layers if pair.verdict == "look"), None)
        return f"look at {odd.title}" if odd else "the same numbers, but see the notes"
    return "the same, up to rounding"


def in_floors(error: float, pair: LayerPair) -> str:
    """Return an error in units of what rounding may do."""
    value = error / pair.floor
    return "inf" if math.isinf(value) else f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def to_text(report: ComparisonReport) -> str:
    """Return the whole report as text."""
    lines = [f"a: {report.frameworks[0]}, b: {report.frameworks[1]}. {sentence(report)}".replace("a: , b: . ", "")]
    lines += [line for note in report.notes for line in _wrapped(note, "note: ")]
    rows = [("layer", "counterpart", "shape", "own", "inherited", "")]
    rows += [_row(pair) for pair in report.layers]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines.append("")
    for row, pair in zip(rows, [None, *report.layers], strict=True):
        cells = [
            text.ljust(width) if column < 3 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join([*cells, row[5]]).rstrip())
        if pair is not None and pair.reason:
            lines += _wrapped(pair.reason, "    -> ")
    lines.append("")
    lines.append("own: what b adds, computing from a's values; inherited: each from its own. In units of what rounding")
    lines.append("may do there: below 3 is rounding, above 10 a mistake.")
    for name, layers in report.unpaired.items():
        if layers:
            lines += _wrapped(f"no counterpart for {', '.join(layers)} of {name}", "")
    return "\n".join(lines)


def _row(pair: LayerPair) -> tuple[str, str, str, str, str, str]:
    into = {"code": "into ", "output": ""}.get(pair.what, "")
    a, b = ("output", "output") if pair.what == "output" else (into + pair.a, into + pair.b)
    shape = "x".join(map(str, pair.shape))
    return _short(a), _short(b), shape, in_floors(pair.own, pair), in_floors(pair.inherited, pair), pair.verdict


def _short(name: str) -> str:
    """Return the end of a long name, which is what tells layers apart."""
    return name if len(name) <= _NAME else "..." + name[3 - _NAME :]


def _wrapped(text: str, lead: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False)
