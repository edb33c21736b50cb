"""A comparison as one web page that works offline: the path of the error, and the layers side by side."""

from __future__ import annotations

import math
from importlib import resources

from tempscale.comparison.report import ComparisonReport, LayerPair
from tempscale.comparison.text import in_floors, sentence
from tempscale.reporting.html import Html, element
from tempscale.reporting.parts import document, section

__all__ = ["to_html"]

_WIDTH, _HEIGHT, _MARGIN = 1000, 260, 46
_MOST = 8.0
"""Power of ten at the top of the picture."""


def to_html(report: ComparisonReport) -> str:
    """Return the report as one self-contained page: no script, no font, no request."""
    style = resources.files("tempscale.comparison").joinpath("page.css").read_text("utf-8")
    return document(
        f"{sentence(report)} - tempscale compare",
        _header(report),
        section(
            "The path of the error",
            "From the first layer to the last, in units of what rounding may do there. A dot is what B adds by itself "
            "when it computes from A's values; the line is the difference when each computes from its own.",
            _path(report),
            _key(),
        ),
        section(
            "Layer by layer",
            "Select a line for its worst element and its differences. Lines set in are the code between layers.",
            _columns(report),
        ),
        _unpaired(report),
        style=style,
    )


def _header(report: ComparisonReport) -> Html:
    first = report.first
    frameworks = " and ".join(name for name in report.frameworks if name)
    return element(
        "header",
        element("p", "tempscale compare" + (f", {frameworks}" if frameworks else ""), class_="kicker"),
        element("h1", sentence(report).capitalize()),
        element("p", first.reason, class_="reason") if first else "",
        *(element("p", note, class_="note") for note in report.notes),
        class_=report.verdict,
    )


# The path of the error


def _path(report: ComparisonReport) -> Html:
    places = [(_across(number, len(report.layers)), pair) for number, pair in enumerate(report.layers)]
    line = " ".join(f"{x:.1f},{_up(pair.inherited, pair):.1f}" for x, pair in places)
    top = _height_of(3)
    return element(
        "svg",
        element(
            "rect",
            class_="band",
            x=str(_MARGIN),
            y=f"{top:.1f}",
            width=str(_WIDTH - _MARGIN),
            height=f"{_HEIGHT - 20 - top:.1f}",
        ),
        *(_limit(value) for value in (3, 10)),
        *(_tick(power) for power in range(0, int(_MOST) + 1, 2)),
        element("polyline", class_="inherited", points=line),
        *(_dot(x, pair) for x, pair in places),
        element("text", "layers, in order of use", x=str(_MARGIN), y=str(_HEIGHT - 5)),
        class_="path",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label="own and inherited error through the layers",
    )


def _across(number: int, count: int) -> float:
    return _MARGIN + 12 + (_WIDTH - _MARGIN - 24) * number / max(count - 1, 1)


def _up(error: float, pair: LayerPair) -> float:
    return _height_of(error / pair.floor)


def _height_of(floors: float) -> float:
    """Height in the picture; everything below half a floor is at the bottom."""
    power = math.log10(min(max(floors, 0.5), 10**_MOST))
    lowest = math.log10(0.5)
    return 14 + (_HEIGHT - 40) * (1 - (power - lowest) / (_MOST - lowest))


def _limit(value: float) -> Html:
    y = f"{_height_of(value):.1f}"
    return element("line", class_="limit", x1=str(_MARGIN), x2=str(_WIDTH), y1=y, y2=y)


def _tick(power: int) -> Html:
    label = "1" if power == 0 else f"1e{power}"
    return element("text", label, x=str(_MARGIN - 6), y=f"{_height_of(10**power) + 4:.1f}", text_anchor="end")


def _dot(x: float, pair: LayerPair) -> Html:
    title = element(
        "title", f"{pair.title}: own {in_floors(pair.own, pair)}, inherited {in_floors(pair.inherited, pair)}"
    )
    radius = "6" if pair.verdict == "different" else "4"
    return element(
        "circle", title, class_=f"own {pair.verdict}", cx=f"{x:.1f}", cy=f"{_up(pair.own, pair):.1f}", r=radius
    )


def _key() -> Html:
    dots = [element("li", element("i", class_=f"dot {verdict}"), verdict) for verdict in ("same", "look", "different")]
    line = element("li", element("i"), "inherited")
    return element("ul", *dots, line, element("li", "shaded: rounding, below 3"), class_="legend key")


# The layers


def _columns(report: ComparisonReport) -> Html:
    heading = element(
        "div",
        *(element("span", text) for text in ("A", "B", "shape")),
        *(element("span", text, class_="number") for text in ("own", "inherited")),
        element("span", "verdict"),
        class_="row heading",
    )
    return element("div", heading, *(_line(pair, pair is report.first) for pair in report.layers), class_="columns")


def _line(pair: LayerPair, opened: bool) -> Html:
    into = {"code": "into ", "layer": ""}.get(pair.what, "the output")
    names = [element("code", into + name if pair.what != "output" else into) for name in (pair.a, pair.b)]
    summary = element(
        "summary",
        *(element("span", name) for name in names),
        element("span", "x".join(map(str, pair.shape))),
        element("span", in_floors(pair.own, pair), class_="number"),
        element("span", in_floors(pair.inherited, pair), class_="number"),
        element("b", pair.verdict),
        class_=f"row {pair.what}",
    )
    facts = [text for text in (pair.kind, f"in B's layout: {pair.layout}" if pair.layout else "") if text]
    inside = element(
        "div",
        element("p", pair.reason, class_="why") if pair.reason else "",
        element("p", "; ".join(facts), class_="muted"),
        element("p", f"worst element: {pair.worst}") if pair.worst else "",
        element("p", f"one floor is {pair.floor:.2g} of the largest value"),
        _histogram(pair) if pair.histogram else "",
        class_="opened",
    )
    return element("details", summary, inside, class_=pair.verdict, open=opened)


def _histogram(pair: LayerPair) -> Html:
    """Bars on a logarithmic scale: one element that is far off matters as much as a thousand that are near."""
    most = math.log2(max(pair.histogram) + 1) or 1.0
    width = 300 / len(pair.histogram)
    bars = []
    for number, count in enumerate(pair.histogram):
        height = 60 * math.log2(count + 1) / most
        title = element("title", f"{count:,} elements")
        bars.append(
            element(
                "rect",
                title,
                x=f"{number * width:.1f}",
                y=f"{66 - height:.1f}",
                width=f"{width - 2:.1f}",
                height=f"{height:.1f}",
            )
        )
    labels = [(0, "< 2^-24"), (6, "2^-12"), (12, "1")]
    texts = [element("text", text, x=f"{number * width:.1f}", y="78") for number, text in labels]
    return element("svg", *bars, *texts, class_="histogram", viewBox="0 0 300 82", role="img", aria_label="differences")


def _unpaired(report: ComparisonReport) -> Html:
    items = [
        element("li", f"of {model}: ", element("code", ", ".join(layers)))
        for model, layers in report.unpaired.items()
        if layers
    ]
    if not items:
        return Html("")
    lead = "Of these only the effect on later layers is compared: they are part of the code between."
    return section("Without a counterpart", lead, element("ul", *items, class_="plain"))
