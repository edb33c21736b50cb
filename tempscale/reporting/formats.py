"""A conformance report as JSON, as JUnit XML and as a web page. Needs nothing but the standard library."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tempscale.reporting.page import to_html
from tempscale.reporting.report import Cell, Report, State
from tempscale.reporting.wording import circumstances, flat, wrong

__all__ = ["to_html", "to_json", "to_junit"]

# What XML 1.0 cannot hold even when escaped; a framework's error message may well contain it.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(report: Report) -> str:
    """Return the report as JSON (RFC 8259: an infinity or NaN is a string).

    Parameters
    ----------
    report : Report
        What a run found.

    Returns
    -------
    str
        An object with the report's own field names; nothing is left out.
    """
    return json.dumps(_plain(asdict(report)), indent=1, allow_nan=False) + "\n"


def to_junit(report: Report) -> str:
    """Return the report as JUnit XML, for continuous integration.

    Parameters
    ----------
    report : Report
        What a run found.

    Returns
    -------
    str
        One suite per backend, one test case per cell with the class name ``backend.mode``. A broken cell is
        a failure; one that is not applicable or unavailable is skipped, with its reason.
    """
    root = ET.Element("testsuites", _counts(report.combinations, "tempscale conform", report.seconds))
    for backend in dict.fromkeys(cell.backend for cell in report.combinations):
        root.append(_suite(backend, report))
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(backend: str, report: Report) -> ET.Element:
    cells = [cell for cell in report.combinations if cell.backend == backend]
    suite = ET.Element("testsuite", _counts(cells, backend, sum(cell.seconds for cell in cells)))
    properties = ET.SubElement(suite, "properties")
    for name, value in [*flat(report.environment), ("interrupted", str(report.interrupted).lower())]:
        ET.SubElement(properties, "property", name=_xml_text(name), value=_xml_text(value))
    suite.extend(_test_case(cell) for cell in cells)
    return suite


def _test_case(cell: Cell) -> ET.Element:
    case = ET.Element(
        "testcase",
        name=_xml_text(f"{cell.title}: {circumstances(cell)}"),
        classname=_xml_text(f"{cell.backend}.{cell.mode}"),
        time=f"{cell.seconds:.3f}",
    )
    if cell.state is State.BROKEN:
        failure = ET.SubElement(case, "failure", type="broken", message=_xml_text(wrong(cell)))
        failure.text = _xml_text(cell.where)
    elif cell.state is not State.HELD:
        ET.SubElement(case, "skipped", message=_xml_text(f"{cell.state}: {cell.reason}"))
    return case


def _counts(cells: list[Cell], name: str, seconds: float) -> dict[str, str]:
    broken = sum(cell.state is State.BROKEN for cell in cells)
    held = sum(cell.state is State.HELD for cell in cells)
    return {
        "name": _xml_text(name),
        "tests": str(len(cells)),
        "failures": str(broken),
        "errors": "0",
        "skipped": str(len(cells) - broken - held),
        "time": f"{seconds:.3f}",
    }


def _xml_text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _plain(value: Any) -> Any:
    """Return `value` with only what JSON knows: whatever the environment holds must not lose the report."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)
