"""What was found as one web page that works offline: a card for each fact, under its topic."""

from __future__ import annotations

from tempscale.facts.fact import Finding, Survey
from tempscale.facts.formats import Row, by_topic, rows, summary, title
from tempscale.reporting.html import Html, element
from tempscale.reporting.parts import document, section, table

__all__ = ["to_html"]


def to_html(survey: Survey) -> str:
    """Return what was found as one self-contained page.

    Parameters
    ----------
    survey : Survey
        What `measure` found.

    Returns
    -------
    str
        HTML with its style inline, without a script and without a request.
    """
    topics = by_topic(survey.findings)
    return document(
        "Facts: where the frameworks differ",
        _header(survey, [heading for heading, _ in topics]),
        *(section(heading, "", _cards(findings), id=_anchor(heading)) for heading, findings in topics),
    )


def _header(survey: Survey, headings: list[str]) -> Html:
    versions = (f"{title(name)} {version}" for name, version in survey.versions.items())
    links = (element("li", element("a", heading, href=f"#{_anchor(heading)}")) for heading in headings)
    return element(
        "header",
        element("p", f"tempscale facts, {summary(survey)}", class_="kicker"),
        element("h1", "Where the frameworks differ"),
        element("p", f"Read and measured with {', '.join(versions)}.", class_="lead"),
        element("ul", *links, class_="legend topics"),
    )


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def _cards(findings: list[Finding]) -> Html:
    return element("div", *map(_card, findings), class_="facts")


def _card(finding: Finding) -> Html:
    fact = finding.fact
    headings = ["", "default", f"measured: {fact.measures}", "to make them equal"]
    return element(
        "article",
        element("p", fact.id, class_="kicker"),
        element("h3", fact.title),
        "" if finding.holds else element("p", "No longer as described.", class_="fill broken label"),
        table(headings, map(_line, rows(finding)), class_="fact"),
        element("p", finding.cost),
        element("p", fact.source, class_="muted"),
        id=fact.id,
    )


def _line(row: Row) -> list[Html]:
    measured = element("span", row.measured, class_="fill broken label") if row.broken else row.measured
    return [
        element("th", row.name, scope="row"),
        element("td", element("code", row.default)),
        element("td", measured),
        element("td", element("code", row.equal)),
    ]
