"""Facts about the frameworks: each is measured, once, on what is installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import random
import re

import numpy as np
import pytest
from support import NAMES, ROOT, require, run_python

from tempscale import facts
from tempscale.facts import libraries
from tempscale.facts.fact import alike, plain, shown
from tempscale.facts.libraries import LIBRARIES, Library, default

TABLE = facts.table()
NUMPY = facts.table("deviation-correction")


@pytest.fixture(scope="session")
def survey(request):
    """All facts, measured on all libraries: with one missing a skip, or a failure under --require-backends."""
    for name in NAMES:
        require(name)
    missing = [f"{name} {why}" for name in LIBRARIES if (why := libraries.problem(name))]
    if missing and not request.config.getoption("--require-backends"):
        pytest.skip(", ".join(missing))
    assert not missing
    return facts.measure()


@pytest.fixture
def findings(survey):
    return {finding.fact.id: finding for finding in survey.findings}


@pytest.fixture
def without_optax(monkeypatch):
    monkeypatch.setitem(LIBRARIES, "optax", Library("optax", "no_such_package"))
    libraries.problem.cache_clear()
    yield
    libraries.problem.cache_clear()


def planted(**changes):
    """A fact that every machine can measure, with changes."""
    fields = {
        "id": "planted",
        "topic": "losses",
        "title": "NumPy <adds>.",
        "defaults": {"numpy": "numpy.std(ddof)"},
        "measures": "1 + 1",
        "probes": {"numpy": lambda np: np.add(1, 1)},
        "expected": {"numpy": 2},
        "cost": "One & one make {numpy}.",
        "equal": {"numpy": "1 + 1"},
        "source": "Peano, 1889",
    }
    return facts.Fact(**(fields | changes))


# The table


def test_there_are_sixty_facts_and_more_and_each_topic_has_several():
    assert len(TABLE) >= 60
    for topic in facts.TOPICS:
        assert len(facts.table(topic)) >= 5, topic


def test_ids_are_unique_and_no_topic_is_called_like_a_fact():
    ids = [fact.id for fact in TABLE]
    assert len({*ids, *facts.TOPICS}) == len(ids) + len(facts.TOPICS)


@pytest.mark.parametrize("fact", TABLE, ids=lambda fact: fact.id)
def test_a_fact_is_complete_and_tells_at_least_two_apart(fact):
    assert fact.title.endswith(".")
    assert fact.expected.keys() == fact.probes.keys()
    assert fact.equal
    assert {libraries.library_of(name) for name in (*fact.defaults, *fact.probes, *fact.equal)} <= {*LIBRARIES}
    assert re.search(r"\{\w", fact.cost), "the cost names nothing that was measured"
    assert re.search(r"https://|\d{4}", fact.source)
    first, *others = fact.expected.values()
    assert not others or not all(alike(first, other) for other in others)


@pytest.mark.parametrize("fact", TABLE, ids=lambda fact: fact.id)
def test_the_measured_behaviour_is_what_the_fact_says(fact, findings):
    finding = findings[fact.id]
    assert finding.measured.keys() == fact.expected.keys()
    assert not finding.broken, finding.measured
    assert "Not measured" not in finding.cost
    assert "{" not in finding.cost


def test_every_default_is_read(findings):
    unread = {
        (finding.fact.id, name)
        for finding in findings.values()
        for name, text in finding.defaults.items()
        if not text or "no such parameter" in text or "is gone" in text
    }
    assert unread == {("adam-weight-decay", "optax")}  # which is the fact


def test_a_selection_by_libraries_speaks_of_two_of_them():
    both = facts.table("pooling", ["torch", "flax"])
    assert [fact.id for fact in both] == ["average-pool-padding", "pool-stride", "pool-ceil"]
    assert {fact.id for fact in facts.table("pooling", ["torch"])} > {fact.id for fact in both}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("poling",), "unknown topic or fact 'poling': did you mean 'pooling'?"),
        (("adam-epsilom",), "did you mean 'adam-epsilon'?"),
        (("zzz",), "choose from optimisers, normalisation"),
        ((None, ["tensorfow"]), "unknown library 'tensorfow': did you mean 'tensorflow'?"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(arguments, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        facts.table(*arguments)


def test_the_table_imports_no_framework_and_the_library_does_not_import_the_table():
    out = run_python("""
        import sys, tempscale
        print("tempscale.facts" in sys.modules)
        from tempscale import facts
        facts.table()
        print({"torch", "tensorflow", "keras", "jax", "flax", "optax", "PIL"} & set(sys.modules))
    """)
    assert out.split("\n")[:2] == ["False", "set()"]


# Measuring


def test_random_states_are_left_as_they_were(torch):
    before = random.getstate(), torch.get_rng_state()
    facts.measure([fact for name in ("dense-kernel", "dropout-mode", "dense-layout") for fact in facts.table(name)])
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_progress_is_told_before_each_fact():
    told = []
    facts.measure(NUMPY, progress=lambda *now: told.append(now))
    assert told == [(0, 1, "deviation-correction")]


def test_a_behaviour_that_changed_is_named():
    [finding] = facts.measure([planted(expected={"numpy": 3})]).findings
    assert not finding.holds
    assert finding.broken == ("numpy",)
    assert finding.cost == "One & one make 2."


def test_what_a_library_refuses_is_its_behaviour():
    [finding] = facts.measure([planted(probes={"numpy": lambda np: np.ones(2) + np.ones(3)})]).findings
    assert finding.measured == {"numpy": "raises ValueError"}


def test_a_sentence_that_no_longer_fits_says_so():
    refusing = planted(probes={"numpy": lambda np: np.gone}, cost="It is {numpy:.2f}.")
    assert (
        facts.measure([refusing]).findings[0].cost == "Not measured: a probe returned something else than it used to."
    )


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("numpy.std(ddof)", "ddof=0"),
        ("numpy.std(axis, nothing)", "axis=None, nothing: no such parameter"),
        ("numpy.std(a)", "a=required"),
        ("numpy.random.default_rng(seed)", "seed=None"),  # written in C: from its documentation
        ("numpy.pi", "pi=3.141592653589793"),
        ("numpy.geterrcall", "geterrcall=None"),
    ],
)
def test_a_default_is_read_from_a_signature_a_documentation_or_a_value(where, said):
    assert default(where) == said


def test_a_default_whose_function_is_gone_is_said_to_be():
    [finding] = facts.measure([planted(defaults={"numpy": "numpy.gone(x)"})]).findings
    assert finding.defaults == {"numpy": "is gone"}


def test_a_library_that_is_not_installed_is_said_to_be_missing(without_optax):
    [finding] = facts.measure(facts.table("squared-error")).findings
    assert finding.missing == {"optax": "is not installed"}
    assert "optax l2_loss" not in finding.measured
    assert finding.measured["torch"] == 5.0
    assert finding.holds
    assert finding.cost == "Not measured: optax is not installed."


def test_a_library_that_is_broken_is_reported_with_its_error(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('boom')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(LIBRARIES, "optax", Library("optax", "broken_package"))
    libraries.problem.cache_clear()
    try:
        assert libraries.problem("optax") == "cannot be imported: RuntimeError: boom"
    finally:
        libraries.problem.cache_clear()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0.1, 0.10005, True),
        (0.1, 0.1002, False),
        ([1.0, 2], [1, 2.0], True),
        ([1], [1, 2], False),
        (True, 1, False),
        ("nan", "nan", True),
        ("nan", 1.0, False),
        (0.0, 1e-9, False),
    ],
)
def test_values_are_alike_within_a_thousandth(one, other, same):
    assert alike(one, other) is same


def test_measured_values_are_plain_and_shown_in_few_digits():
    assert plain(np.float32([1 / 3, np.nan, np.inf])) == [0.333333, "nan", "inf"]
    assert plain((np.int64(1), np.bool_(True))) == [1, True]
    assert shown([0.333333, True, 2.0, "nan"]) == "(0.3333, yes, 2, nan)"
    assert shown([4]) == "(4,)"


# Files


def test_a_run_that_is_compared_with_itself_has_not_changed(survey):
    assert facts.changes(json.loads(facts.to_json(survey)), survey) == []


def test_a_planted_change_of_a_default_and_of_a_behaviour_is_named():
    survey = facts.measure([planted()])
    old = json.loads(facts.to_json(survey))
    old["facts"]["planted"]["defaults"]["numpy"] = "ddof=1"
    old["facts"]["planted"]["measured"]["numpy"] = 3
    assert facts.changes(old, survey) == [
        "planted, default of NumPy: ddof=1 before, ddof=0 now",
        "planted, behaviour of NumPy: 3 before, 2 now",
    ]


def test_what_only_one_run_has_is_not_compared(without_optax):
    survey = facts.measure(facts.table("squared-error"))
    old = json.loads(facts.to_json(survey))
    old["facts"]["squared-error"]["measured"] |= {"optax l2_loss": [0]}
    assert facts.changes(old, survey) == []
    assert facts.changes({"facts": {}}, survey) == []


@pytest.mark.parametrize("old", [[], {}, {"facts": []}])
def test_something_else_than_an_earlier_run_is_refused(old):
    with pytest.raises(ValueError, match="give what to_json wrote"):
        facts.changes(old, facts.Survey({}, []))


def test_the_file_has_the_versions_and_everything_of_a_fact():
    survey = facts.measure([planted()])
    data = json.loads(facts.to_json(survey))
    assert data["versions"]["numpy"] == np.__version__
    assert data["facts"]["planted"] == {
        "topic": "losses",
        "title": "NumPy <adds>.",
        "defaults": {"numpy": "ddof=0"},
        "measures": "1 + 1",
        "measured": {"numpy": 2},
        "holds": True,
        "missing": {},
        "cost": "One & one make 2.",
        "equal": {"numpy": "1 + 1"},
        "source": "Peano, 1889",
    }


def test_markdown_has_a_table_for_each_fact():
    text = facts.to_markdown(facts.measure([planted(equal={"numpy": "a | b"})]))
    assert "## Losses and reductions\n\n### planted\n\nNumPy <adds>.\n" in text
    assert "| NumPy | `ddof=0` | 2 | `a \\| b` |" in text


def test_the_page_escapes_text_and_needs_nothing_from_anywhere():
    page = facts.to_html(facts.measure([planted()]))
    assert "NumPy &lt;adds&gt;." in page
    assert "One &amp; one make 2." in page
    assert "<script" not in page
    assert "default-src 'none'" in page.replace("&#x27;", "'")


def test_page_and_markdown_say_what_no_longer_holds_and_what_is_missing(without_optax):
    survey = facts.measure([planted(expected={"numpy": 3}), *facts.table("squared-error")])
    for text in (facts.to_html(survey), facts.to_markdown(survey)):
        assert "No longer as described." in text
        assert "optax is not installed" in text


def test_the_page_of_facts_is_what_is_measured(survey):
    """If this fails: python docs/make_facts.py."""
    spec = importlib.util.spec_from_file_location("make_facts", ROOT / "docs" / "make_facts.py")
    make_facts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_facts)
    page = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8")
    mine = make_facts.text(dataclasses.replace(survey, versions={}))
    without_versions = re.sub(r"(`python docs/make_facts.py`, with ).*\n", r"\1.\n", page)
    assert without_versions == mine


# The command line


class TestCommand:
    @pytest.fixture
    def invoke(self):
        pytest.importorskip("typer", reason="the command line needs pip install 'tempscale[cli]'")
        from typer.testing import CliRunner

        from tempscale.cli.app import app

        def invoke(*arguments):
            return CliRunner().invoke(app, ["facts", *map(str, arguments)], env={"COLUMNS": "80"})

        return invoke

    def test_a_topic_is_shown_with_cost_and_cure(self, invoke):
        result = invoke("deviation-correction")
        assert result.exit_code == 0, result.output
        assert "Of 0 and 2 it is 1.414 in PyTorch and 1.000 elsewhere" in result.output
        assert "PyTorch: torch.std(x, correction=0)" in result.output
        assert max(map(len, result.output.splitlines())) <= 80

    def test_all_facts_of_two_libraries_in_brief(self, invoke):
        result = invoke("--framework", "optax, numpy")
        assert result.exit_code == 2
        assert "no fact of this topic speaks of these libraries" in result.stderr

    def test_a_wrong_topic_is_told_with_the_nearest(self, invoke):
        result = invoke("optimizers")
        assert result.exit_code == 2
        assert "did you mean 'optimisers'?" in result.stderr

    def test_what_was_measured_is_written_and_compared(self, invoke, tmp_path):
        files = {kind: tmp_path / f"facts.{kind}" for kind in ("json", "html", "markdown")}
        options = [part for kind, path in files.items() for part in (f"--{kind}", path)]
        assert invoke("median-of-even", *options).exit_code == 0
        assert all(path.stat().st_size for path in files.values())
        result = invoke("median-of-even", "--against", files["json"])
        assert result.exit_code == 0
        assert "nothing changed in 1 fact" in result.output
        old = json.loads(files["json"].read_text())
        old["versions"]["numpy"] = "1.0"
        old["facts"]["median-of-even"]["measured"]["numpy"] = 2.0
        files["json"].write_text(json.dumps(old))
        result = invoke("median-of-even", "--against", files["json"])
        assert result.exit_code == 1
        assert "median-of-even, behaviour of NumPy: 2 before, 2.5 now" in result.output
        assert "other versions: numpy 1.0 to" in result.output

    @pytest.mark.parametrize("content", ["{}", "[1", "\x80", None])
    def test_a_file_that_is_no_earlier_run_is_refused(self, invoke, tmp_path, content):
        file = tmp_path / "old.json"
        if content is not None:
            file.write_bytes(content.encode("latin-1"))
        result = invoke("median-of-even", "--against", file)
        assert result.exit_code == 2
        assert "is not what `tempscale facts --json` writes" in result.stderr or "no such file" in result.stderr

    def test_a_file_that_cannot_be_written_is_refused_before_the_run(self, invoke, tmp_path):
        result = invoke("--json", tmp_path / "absent" / "facts.json")
        assert result.exit_code == 2
        assert "existing folder" in result.stderr

    def test_a_library_that_is_missing_is_said_to_be(self, invoke, without_optax):
        result = invoke("squared-error")
        assert result.exit_code == 0
        assert "is not installed" in result.output
