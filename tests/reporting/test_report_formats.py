"""A report as JSON, JUnit XML and HTML: complete, well formed, and safe with whatever text is in it."""

from __future__ import annotations

import functools
import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import support

from tempscale.reporting.formats import to_html, to_json, to_junit
from tempscale.reporting.html import Html, element
from tempscale.reporting.report import Agreement, Report, State

HOSTILE = "<script>alert(1)</script> \" ' & \x00 \x1b[31m \ud800 ]]>"


cell = functools.partial(support.cell, backend="torch", seconds=0.5)


@pytest.fixture
def report() -> Report:
    return Report(
        environment={"python": "3.12.1", "cores": 2, "backends": {"torch": {"devices": ["cpu", "cuda:0"]}}},
        contracts={"softmax": "|error| <= (3*abs(z) + 8) * u * p"},
        cells=[
            cell(),
            cell(worst=0.83, mode="gradient"),
            cell(State.BROKEN, worst=math.inf, dtype="float16", reason="a NaN was lost"),
            cell(State.UNAVAILABLE, worst=0.0, mode="compiled", compiler="inductor", reason="needs g++"),
            cell(State.NOT_APPLICABLE, worst=0.0, backend="numpy", mode="vmap", reason="numpy has no vmap"),
        ],
        agreements=[Agreement("softmax", "", "float32", 3, ("jax", "torch"), "ties: [0, 1]", 1000)],
        seconds=95.2,
    )


@pytest.fixture
def hostile() -> Report:
    return Report(
        environment={HOSTILE: HOSTILE},
        contracts={HOSTILE: HOSTILE},
        cells=[
            cell(
                State.BROKEN,
                operation=HOSTILE,
                variant=HOSTILE,
                backend=HOSTILE,
                reason=HOSTILE,
                where=HOSTILE,
            ),
            cell(State.UNAVAILABLE, device=HOSTILE, dtype=HOSTILE, mode=HOSTILE, form=HOSTILE, reason=HOSTILE),
        ],
        agreements=[Agreement(HOSTILE, HOSTILE, HOSTILE, 1, (HOSTILE, HOSTILE), HOSTILE, 1)],
    )


class TestJson:
    def test_has_everything(self, report):
        data = json.loads(to_json(report))
        assert [entry["state"] for entry in data["cells"]] == [str(c.state) for c in report.cells]
        assert data["contracts"] == report.contracts
        assert data["environment"]["backends"]["torch"]["devices"] == ["cpu", "cuda:0"]
        assert data["agreements"][0]["backends"] == ["jax", "torch"]
        assert data["interrupted"] is False

    @pytest.mark.parametrize("value", [math.inf, math.nan, -math.inf])
    def test_has_no_number_that_json_does_not_know(self, report, value):
        report.cells.append(cell(State.BROKEN, worst=value))
        report.environment = {"odd": value, "nested": [value]}

        def refuse(name):
            raise AssertionError(f"{name} is not JSON")

        json.loads(to_json(report), parse_constant=refuse)

    def test_survives_an_environment_of_odd_objects(self, report):
        report.environment = {"path": object(), 3: {"set": {1}}}
        assert json.loads(to_json(report))["environment"]["3"] == {"set": [1]}

    def test_carries_any_text_unchanged(self, hostile):
        assert json.loads(to_json(hostile))["cells"][0]["reason"] == HOSTILE


class TestJunit:
    def test_counts_add_up(self, report):
        root = ET.fromstring(to_junit(report))
        assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
            "tests": "5",
            "failures": "1",
            "errors": "0",
            "skipped": "2",
        }
        assert len(root.findall(".//testcase")) == 5
        assert len(root.findall(".//failure")) == 1
        assert len(root.findall(".//skipped")) == 2
        for suite in root.findall("testsuite"):
            assert int(suite.get("tests")) == len(suite.findall("testcase"))

    def test_a_case_is_named_by_backend_and_mode(self, report):
        case = ET.fromstring(to_junit(report)).find(".//testcase")
        assert case.get("classname") == "torch.eager"
        assert case.get("name") == "softmax: float32, eager, public, cpu"

    def test_no_two_cases_share_a_name(self, report):
        cases = ET.fromstring(to_junit(report)).findall(".//testcase")
        assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)

    def test_a_failure_says_why_and_where(self, report):
        failure = ET.fromstring(to_junit(report)).find(".//failure")
        assert failure.get("message") == "a NaN was lost"
        assert "exactly 0.125" in failure.text

    def test_what_did_not_run_says_why(self, report):
        messages = [skipped.get("message") for skipped in ET.fromstring(to_junit(report)).iter("skipped")]
        assert messages == ["unavailable: needs g++", "not applicable: numpy has no vmap"]

    def test_has_the_environment(self, report):
        properties = ET.fromstring(to_junit(report)).findall("testsuite/properties/property")
        assert {"backends.torch.devices": "cpu, cuda:0", "cores": "2"}.items() <= {
            p.get("name"): p.get("value") for p in properties
        }.items()

    def test_the_page_parses_whatever_text_its_cells_have(self, hostile):
        root = ET.fromstring(to_junit(hostile).encode("utf-8"))
        assert root.find(".//failure").get("message").startswith("<script>alert(1)</script>")


class Elements(HTMLParser):
    """The elements of a page with their attributes, its text, and whether every element is closed."""

    def __init__(self, page):
        super().__init__()
        self.found, self.words, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


class TestHtml:
    def test_is_well_formed(self, report):
        assert Elements(to_html(report)).open == []

    def test_asks_nothing_of_any_network(self, report):
        page = to_html(report)
        assert not re.search(r"https?:|//|@import|url\(", page.replace("<!DOCTYPE html>", ""))
        assert not {tag for tag, _ in Elements(page).found} & {"script", "link", "img", "iframe", "svg", "a"}
        assert not [a for _, a in Elements(page).found if {"src", "href"} & a.keys()]

    def test_forbids_the_browser_to_fetch_or_run_anything(self, report):
        policies = [a["content"] for _, a in Elements(to_html(report)).found if "http-equiv" in a]
        assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]

    def test_escapes_all_text(self, hostile):
        page = to_html(hostile)
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert not [a for _, a in Elements(page).found if any("alert" in (v or "") for v in a.values())]
        page.encode("utf-8")

    def test_the_verdict_comes_first(self, report):
        assert "<h1>1 of 5 combinations is broken</h1>" in to_html(report)

    def test_an_all_held_run_says_so(self):
        assert "<h1>Everything held</h1>" in to_html(Report(cells=[cell()]))

    def test_what_could_not_run_lowers_the_verdict(self):
        page = to_html(Report(cells=[cell(), cell(State.UNAVAILABLE)]))
        assert "<h1>Every combination that ran held</h1>" in page

    def test_a_cell_by_mode_names_the_backend_and_what_did_not_hold(self):
        page = to_html(Report(cells=[cell(worst=0.83), cell(State.BROKEN, worst=2.0, mode="vmap")]))
        by_mode = re.sub("<[^>]*>", "", page[page.index("Worst error, by mode") :])
        assert "0.83 torch2.00 broken, torch" in by_mode

    def test_an_interrupted_run_says_so(self):
        page = to_html(Report(cells=[cell()], interrupted=True))
        assert "Everything held" not in page
        assert "was interrupted" in page

    def test_nothing_checked_is_no_success(self):
        assert "<h1>Nothing was checked</h1>" in to_html(Report(cells=[cell(State.UNAVAILABLE)]))
        assert "<h1>Nothing was checked</h1>" in to_html(Report(interrupted=True))

    def test_each_cell_opens_to_its_worst_case_and_contract(self):
        broken = cell(State.BROKEN, worst=2.5, form="body", where="ties: [7] is 1, exactly 0.5")
        page = to_html(Report(contracts={"softmax": "|error| <= u * p"}, cells=[cell(), broken]))
        opened = Elements(page[page.index("<details") : page.index("</details>") + len("</details>")])
        assert opened.text.startswith("2.50 broken")
        for part in ("softmax on torch", "ties: [7] is 1, exactly 0.5", "eager, body", "|error| <= u * p"):
            assert part in opened.text

    def test_states_are_words_and_not_only_colours(self, report):
        text = Elements(to_html(report)).text
        for state in State:
            assert state in text

    def test_colour_grows_with_the_error(self):
        page = to_html(Report(cells=[cell(worst=0.25)]))
        assert 'style="--share:25%"' in page

    def test_has_contracts_agreement_and_environment(self, report):
        text = Elements(to_html(report)).text
        for part in (
            "|error| <= (3*abs(z) + 8) * u * p",
            "3 ulp between jax and torch",
            "3.12.1",
            "cpu, cuda:0",
        ):
            assert part in text


class TestElement:
    def test_escapes_text_and_attributes_but_not_markup(self):
        made = element("p", "a<b", Html("<br>"), title='"', class_="x", data_y="1", hidden=True, id="")
        assert made == '<p title="&quot;" class="x" data-y="1" hidden>a&lt;b<br></p>'

    def test_sums_of_markup_and_text_are_text(self):
        assert element("p", Html("<b>") + "x") == "<p>&lt;b&gt;x</p>"


def test_formats_need_nothing_that_is_not_installed_with_the_core():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['typer', 'rich', 'torch', 'tensorflow', 'jax']));"
        "import tempscale.reporting.formats as f; from tempscale.reporting.report import Report;"
        "f.to_json(Report()), f.to_junit(Report()), f.to_html(Report())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_report_in_a_shell_is_one_line_of_counts():
    report = Report(cells=[cell(), cell(), cell(State.BROKEN)], interrupted=True)
    assert repr(report) == "<Report: 2 held, 1 broken, 0 not applicable, 0 unavailable, interrupted>"
