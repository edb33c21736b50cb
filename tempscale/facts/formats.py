"""What was found as JSON and as Markdown, and the grid that its other faces show too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tempscale.facts.fact import Fact, Finding, Survey, shown
from tempscale.facts.libraries import LIBRARIES, label
from tempscale.facts.table import TOPICS

__all__ = ["Row", "by_topic", "rows", "summary", "title", "to_json", "to_markdown"]


@dataclass(frozen=True)
class Row:
    """What one library does: its default, its behaviour, and the code that makes it equal to the others."""

    name: str
    default: str
    measured: str
    equal: str
    broken: bool


def rows(finding: Finding) -> list[Row]:
    """Return a row for each entry of a fact, in the order of `LIBRARIES`."""
    fact = finding.fact
    names = dict.fromkeys([*fact.probes, *fact.defaults, *fact.equal])
    order = {name: place for place, name in enumerate(LIBRARIES)}
    return [_row(finding, name) for name in sorted(names, key=lambda name: order[name.partition(" ")[0]])]


def _row(finding: Finding, name: str) -> Row:
    missing = finding.missing.get(name.partition(" ")[0], "")
    measured = shown(finding.measured[name]) if name in finding.measured else missing
    return Row(
        label(name),
        finding.defaults.get(name, ""),
        measured,
        finding.fact.equal.get(name, ""),
        name in finding.broken,
    )


def by_topic(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    """Return the findings of each topic, with its heading."""
    return [(TOPICS[topic], list(group)) for topic, group in groupby(findings, lambda finding: finding.fact.topic)]


def summary(survey: Survey) -> str:
    """Say in a sentence how many facts there are, and with how many something is wrong."""
    broken = sum(not finding.holds for finding in survey.findings)
    missing = sum(bool(finding.missing) for finding in survey.findings)
    parts = [f"{len(survey.findings)} {'fact' if len(survey.findings) == 1 else 'facts'}"]
    parts += [f"{broken} no longer as described"] if broken else []
    parts += [f"{missing} not measured in full, because a library is missing"] if missing else []
    return ", ".join(parts)


def to_json(survey: Survey) -> str:
    """Return what was found as JSON, with the versions: a file to compare a later run with.

    Parameters
    ----------
    survey : Survey
        What `measure` found.

    Returns
    -------
    str
        An object with ``versions`` and ``facts``; in the latter an object for each id. NaN and inf are strings.
    """
    facts = {finding.fact.id: _plain(finding.fact, finding) for finding in survey.findings}
    return json.dumps({"versions": dict(survey.versions), "facts": facts}, indent=1, allow_nan=False) + "\n"


def _plain(fact: Fact, finding: Finding) -> dict[str, object]:
    return {
        "topic": fact.topic,
        "title": fact.title,
        "defaults": dict(finding.defaults),
        "measures": fact.measures,
        "measured": dict(finding.measured),
        "holds": finding.holds,
        "missing": dict(finding.missing),
        "cost": finding.cost,
        "equal": dict(fact.equal),
        "source": fact.source,
    }


def to_markdown(survey: Survey) -> str:
    """Return what was found as Markdown: a section for each topic, a table for each fact.

    Parameters
    ----------
    survey : Survey
        What `measure` found.

    Returns
    -------
    str
        Text that begins with the versions.
    """
    parts = [", ".join(f"{title(name)} {version}" for name, version in survey.versions.items()) + "."]
    for heading, findings in by_topic(survey.findings):
        parts.append(f"## {heading}")
        parts += [part for finding in findings for part in _fact(finding)]
    return "\n\n".join(parts) + "\n"


def title(name: str) -> str:
    """Return the title of a library, or of Python."""
    return LIBRARIES[name].title if name in LIBRARIES else name.capitalize()


def _fact(finding: Finding) -> list[str]:
    fact = finding.fact
    table = [("", "default", "measured", "to make them equal"), ("---",) * 4]
    table += [(row.name, _code(row.default), row.measured, _code(row.equal)) for row in rows(finding)]
    return [
        f"### {fact.id}",
        fact.title if finding.holds else f"{fact.title} **No longer as described.**",
        f"Measured: {fact.measures}.",
        "\n".join(map(_line, table)),
        f"{finding.cost} Source: {fact.source}.",
    ]


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
