"""The parts of which pages are made: the document, its sections, its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources

from tempscale.reporting.html import Html, element

__all__ = ["document", "section", "table"]


def document(title: str, *content: Html, style: str = "") -> str:
    """Return a page that needs nothing from anywhere.

    Its style is inline: that of all pages, and `style`. It holds no script, and its content security policy forbids the
    browser to fetch anything: it reads the same offline, and no text in it can become code.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        element("title", title),
        element("style", Html(resources.files("tempscale.reporting").joinpath("page.css").read_text("utf-8") + style)),
    )
    body = element("body", element("main", *content))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def section(heading: str, lead: str, *content: Html, **attributes: str | bool) -> Html:
    """Return a section with a heading, and a line below it unless `lead` is empty."""
    line = element("p", lead, class_="lead") if lead else ""
    return element("section", element("h2", heading), line, *content, **attributes)


def table(headings: Sequence[str], rows: Iterable[Sequence[Html]], **attributes: str | bool) -> Html:
    """Return a table that scrolls by itself where the window is narrow."""
    head = element("thead", element("tr", *(element("th", text, scope="col") for text in headings)))
    body = element("tbody", *(element("tr", *row) for row in rows))
    return element("div", element("table", head if headings else "", body, **attributes), class_="scroll")
