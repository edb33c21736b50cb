"""``tempscale facts``: where the frameworks differ, as measured here, and what has changed since an earlier run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tempscale import facts
from tempscale.cli.console import progress_bar, stdout
from tempscale.cli.errors import UsageError
from tempscale.cli.writing import reason, require_writable, write
from tempscale.facts.fact import shown
from tempscale.facts.formats import by_topic, rows, summary
from tempscale.facts.libraries import label

__all__ = ["Destinations", "show_facts"]


@dataclass(frozen=True)
class Destinations:
    """Files to write what was found to, by format."""

    markdown: Path | None = None
    json: Path | None = None
    html: Path | None = None

    def wanted(self) -> list[tuple[Path, Callable[[facts.Survey], str]]]:
        """Return the files that were asked for, each with what renders it."""
        formats = ((self.markdown, facts.to_markdown), (self.json, facts.to_json), (self.html, facts.to_html))
        return [(path, render) for path, render in formats if path is not None]


def show_facts(
    topic: str | None, frameworks: Sequence[str] | None, destinations: Destinations, *, against: Path | None
) -> int:
    """Measure, show, write, compare; return the exit status: 1 if something is not what it was in `against`."""
    try:
        chosen = facts.table(topic, frameworks)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not chosen:
        raise UsageError("no fact of this topic speaks of these libraries: leave out --framework")
    old = None if against is None else _read(against)
    for path, _ in destinations.wanted():
        require_writable(path)
    with progress_bar("importing the frameworks") as update:
        survey = facts.measure(chosen, progress=update)
    problems = [(path, write(path, render(survey))) for path, render in destinations.wanted()]
    console = stdout()
    if old is None:
        _show(console, survey, brief=topic is None)
    for path, problem in problems:
        console.print(f"could not write {path}: {problem}" if problem else f"wrote {path}", soft_wrap=True)
    changed = old is not None and _show_changes(console, old, survey)
    return 1 if changed else 2 if any(problem for _, problem in problems) else 0


def _read(path: Path) -> Any:
    """Return an earlier run, read before the long part begins."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        facts.changes(old, facts.Survey({}, []))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {reason(error)}") from error
    except ValueError:  # JSON and UTF-8 that are damaged are, too
        raise UsageError(f"{path} is not what `tempscale facts --json` writes") from None
    return old


def _show_changes(console: Console, old: Any, survey: facts.Survey) -> bool:
    changed = facts.changes(old, survey)
    before = old.get("versions", {})
    upgraded = [
        f"{name} {before[name]} to {version}"
        for name, version in survey.versions.items()
        if before.get(name, version) != version
    ]
    missing = {name: why for finding in survey.findings for name, why in finding.missing.items()}
    for sentence in changed:
        console.print(sentence, soft_wrap=True)
    if upgraded:
        console.print(f"other versions: {', '.join(upgraded)}", soft_wrap=True)
    for name, why in missing.items():
        console.print(Text(f"not compared: {label(name)} {why}", "yellow"), soft_wrap=True)
    style = "bold red" if changed else "green"
    verdict = f"{len(changed)} {'difference' if len(changed) == 1 else 'differences'}" if changed else "nothing changed"
    console.print(Text(f"{verdict} in {summary(survey)}", style))
    return bool(changed)


# The tables


def _show(console: Console, survey: facts.Survey, *, brief: bool) -> None:
    for heading, findings in by_topic(survey.findings):
        console.print()
        console.print(Text(heading, "bold"))
        if brief:
            console.print(_brief(findings))
            continue
        for finding in findings:
            _show_fact(console, finding)
    console.print()
    console.print(Text(", ".join(f"{name} {version}" for name, version in survey.versions.items()), "dim"))
    console.print(summary(survey))
    if brief:
        console.print("tempscale facts TOPIC shows what each costs, and how to make them equal.")


def _brief(findings: Sequence[facts.Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("fact", no_wrap=True)
    table.add_column("what differs, and what was measured", overflow="fold")
    for finding in findings:
        measured = ", ".join(f"{label(name)} {shown(value)}" for name, value in finding.measured.items())
        what = Text.assemble(finding.fact.title, "\n", (" ".join(filter(None, (measured, finding.reason))), "dim"))
        table.add_row(Text(finding.fact.id, "cyan" if finding.holds else "bold red"), what)
    return table


def _show_fact(console: Console, finding: facts.Finding) -> None:
    fact = finding.fact
    console.print()
    console.print(Text(fact.id, "bold cyan"))
    parts: list[Text | Table] = [
        Text(fact.title),
        Text(f"Measured: {fact.measures}.", "dim"),
        _table(finding),
        Text(finding.cost),
    ]
    if not finding.holds:
        parts.append(Text(f"No longer as described: {', '.join(map(label, finding.broken))}.", "bold red"))
    parts.append(Text(fact.source, "dim"))
    for part in parts:
        console.print(Padding(part, (0, 0, 0, 2)))
    for name, code in fact.equal.items():
        console.print(Padding(Text.assemble((f"{label(name)}: ", "green"), code), (0, 0, 0, 2)))


def _table(finding: facts.Finding) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("", "default", "measured"):
        table.add_column(heading, overflow="fold")
    for row in rows(finding):
        if row.default or row.measured:
            table.add_row(row.name, row.default, Text(row.measured, "bold red" if row.broken else "bold"))
    return table
