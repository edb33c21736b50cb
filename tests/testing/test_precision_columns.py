"""What the conformance run says of the precisions "accurate" and "reproducible", and that it finds what is wrong."""

from __future__ import annotations

import functools
import html
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import support

pytest.importorskip("rich", reason="the command line needs pip install 'tempscale[cli]'")

from rich.console import Console
from typer.testing import CliRunner

from tempscale._core.dispatch import backend_of
from tempscale._core.operation import OPERATIONS
from tempscale.cli.app import app
from tempscale.kernels.precision import CLASSES
from tempscale.reporting.formats import to_html, to_json, to_junit
from tempscale.reporting.tables import show_report
from tempscale.testing import Cell, Progress, Report, Selection, State, assert_conforms, conformance, run
from tempscale.testing.conformance.cases import DRAWN_AT_A_TIME, NARROW, WIDE, draws, many_cases
from tempscale.testing.conformance.precisions import differing_bits, joined, measure
from tempscale.testing.conformance.subjects import Subject
from tempscale.testing.ulp import ulp_error

Fault = Callable[[np.ndarray[Any, Any]], None]


def planted(name: str, precision: str, backend: str, fault: Fault) -> Any:
    """An operation whose result, in one precision on one backend, is written to by `fault`."""
    operation = OPERATIONS[name]

    @functools.wraps(operation)
    def mutant(*args: Any, **options: Any) -> Any:
        result = operation(*args, **options)
        own = backend_of(result)
        if own.name != backend or options.get("precision") != precision or own.is_traced(result):
            return result
        changed = np.array(own.to_numpy(result))
        fault(changed)
        return own.asarray(changed)

    return mutant


def measured(report: Report, **fields: str) -> list[Cell]:
    return [cell for cell in report.precisions if all(getattr(cell, key) == value for key, value in fields.items())]


def quick(*backends: str, operations: Sequence[str] = ("softmax",), modes: Sequence[str] = ("eager",)) -> Selection:
    return Selection(backends, tuple(operations), ("float32",), tuple(modes), quick=True)


def eagerly(*backends: str, operations: Sequence[str], drawn: int) -> Selection:
    return Selection(backends, tuple(operations), ("float32",), ("eager",), drawn=drawn)


def assert_only_broken(report: Report, broken: Cell) -> None:
    assert broken.state is State.BROKEN
    assert [cell for cell in report.combinations if cell.state is State.BROKEN] == [broken]
    assert report.exit_status() == 1


# What holds


def test_an_operation_has_the_precisions_that_its_signature_names() -> None:
    found = {name: Subject(operation, "").precisions for name, operation in OPERATIONS.items()}
    assert found["softmax"] == found["entropy"] == ("accurate", "reproducible")
    assert "accurate" in found["cross_entropy"]
    assert found["sparsemax"] == found["kl_divergence"] == ()


def test_every_precision_and_way_has_a_cell_on_every_backend(jax: Any) -> None:
    report = run(quick("numpy", "jax", modes=("eager", "compiled", "vmap", "gradient")))
    assert report.exit_status() == 0
    found = {(cell.backend, cell.mode, cell.compiler, cell.precision) for cell in report.precisions}
    ways = [("numpy", "eager", ""), ("jax", "eager", ""), ("jax", "compiled", "jax.jit")]
    assert found == {(*way, precision) for way in ways for precision in ("accurate", "reproducible")}
    for cell in report.precisions:
        assert cell.state is State.HELD
        assert 0 < cell.worst <= 1
        assert "exactly" in cell.where
        assert cell.elements > 1000
        assert cell.differing == 0 or cell.precision == "accurate"


def test_an_operation_without_precisions_has_no_cells() -> None:
    report = run(quick("numpy", operations=("sparsemax",)))
    assert report.precisions == []
    assert report.exit_status() == 0


def test_what_is_left_of_terms_that_cancel_is_held_to_their_magnitude() -> None:
    """Rows with a log sum exp near 0 at their temperatures, where an ulp is less than the terms can be rounded to."""
    rows = np.random.default_rng(3).standard_normal((60, 4))
    t = np.resize([1.0, 0.5, 2.0], (60, 1))  # those that a file of logits is run at
    rows -= t * OPERATIONS["logsumexp"](rows, temperature=t, keepdims=True)
    report = run(quick("numpy", "jax", operations=["logsumexp"]), logits=rows.astype(np.float32))
    assert {cell.state for cell in measured(report)} == {State.HELD}
    found = OPERATIONS["logsumexp"](rows.astype(np.float32), temperature=t.astype(np.float32), precision="reproducible")
    exact = OPERATIONS["logsumexp"](rows.astype(np.float32).astype(np.float64), temperature=t)
    assert ulp_error(found, exact, "float32").max() > 1


def test_a_draw_adds_its_elements_and_for_reductions_narrow_rows() -> None:
    operations = ("softmax", "entropy")
    without, drawn = (run(eagerly("numpy", operations=operations, drawn=drawn)) for drawn in (0, 3000))
    assert drawn.exit_status() == 0
    pairs = zip(without.precisions, drawn.precisions, strict=True)
    added = sorted((after.operation, after.elements - before.elements) for before, after in pairs)
    assert added == [("entropy", 1 + 3000)] * 2 + [("softmax", WIDE)] * 2


def test_the_draws_of_a_full_run_are_of_ten_million_elements_and_small() -> None:
    found = list(draws(Selection().drawn))
    wide = [draw for draw in found if not draw.for_reductions]
    assert sum(draw.rows * draw.classes for draw in wide) >= 10**7
    assert sum(draw.rows for draw in found if draw.for_reductions) >= 10**7
    assert {draw.classes for draw in found} == {WIDE, NARROW}
    assert all(draw.rows * draw.classes <= DRAWN_AT_A_TIME for draw in found)
    assert 10**5 < many_cases(10**7).rows * many_cases(10**7).classes <= 10**6


def test_the_command_says_how_many_elements_to_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    selections: list[Selection] = []

    def keep(selection: Selection, **options: Any) -> Report:
        selections.append(selection)
        return REPORT

    monkeypatch.setattr(conformance, "run", keep)
    assert CliRunner().invoke(app, ["conform", "--drawn", "5000"]).exit_code == 1
    assert selections == [Selection(drawn=5000)]


# What is planted


def test_an_accurate_result_two_ulp_off(torch: Any) -> None:
    def fault(result: np.ndarray[Any, Any]) -> None:
        if result.shape[-1] == WIDE:
            result[1, 77] += 2 * np.spacing(result[1, 77])

    report = run(quick("numpy", "torch"), operations=[planted("softmax", "accurate", "torch", fault)])
    (broken,) = measured(report, backend="torch", precision="accurate")
    assert_only_broken(report, broken)
    assert 1.5 <= broken.worst <= 2.5
    assert f"{WIDE} classes, common offset 1e4 at T = 0.7: [1, 77] is " in broken.where


def flip_one_bit(result: np.ndarray[Any, Any]) -> None:
    if result.shape[0] > 40:
        result.view("u4")[33, 5] ^= 1


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_one_bit_of_one_element(backend: str) -> None:
    support.require(backend)
    report = run(quick(backend), operations=[planted("softmax", "reproducible", backend, flip_one_bit)])
    (broken,) = measured(report, precision="reproducible")
    assert_only_broken(report, broken)
    assert broken.differing == 1
    assert broken.worst < 2
    assert "range +-100 at T = 0.7: [33, 5] is " in broken.where
    assert ", in NumPy " in broken.where


def test_one_bit_that_a_compiler_changes(jax: Any) -> None:
    softmax = OPERATIONS["softmax"]

    @functools.wraps(softmax)
    def mutant(*args: Any, **options: Any) -> Any:
        result = softmax(*args, **options)
        if options.get("precision") != "reproducible" or not isinstance(result, jax.core.Tracer):
            return result
        return result.at[11, 5].multiply(1 + 2**-23)

    report = run(quick("jax", modes=("eager", "compiled")), operations=[mutant])
    (broken,) = measured(report, precision="reproducible", mode="compiled")
    assert_only_broken(report, broken)
    assert broken.compiler == "jax.jit"
    assert "normal scaled by 1 at T = 1: [11, 5] is " in broken.where


def test_one_bit_in_a_draw(torch: Any) -> None:
    def fault(result: np.ndarray[Any, Any]) -> None:
        if result.shape == (3000,):
            result.view("u4")[2998] ^= 1

    entropy = planted("entropy", "reproducible", "torch", fault)
    report = run(eagerly("torch", operations=("entropy",), drawn=3000), operations=[entropy])
    (broken,) = measured(report, precision="reproducible")
    assert_only_broken(report, broken)
    assert broken.differing == 1
    assert "a row of draw 1 of 4 classes at T = 2: [2998] is " in broken.where


def test_a_wrong_bit_on_the_users_own_logits_names_the_row(torch: Any) -> None:
    def fault(result: np.ndarray[Any, Any]) -> None:
        result.view("u4")[3, 1] ^= 1

    logits = np.random.default_rng(3).standard_normal((5, 3))
    report = run(quick("torch"), operations=[planted("softmax", "reproducible", "torch", fault)], logits=logits)
    (broken,) = measured(report, precision="reproducible")
    assert_only_broken(report, broken)
    assert "row 3 at T = 1.0: [3, 1] is " in broken.where


def test_the_same_wrong_bits_everywhere_are_still_held_to_the_exact_value() -> None:
    def fault(result: np.ndarray[Any, Any]) -> None:
        result *= np.float32(1 + 2**-21)

    report = run(quick("numpy"), operations=[planted("softmax", "reproducible", "numpy", fault)])
    (broken,) = measured(report, precision="reproducible")
    assert_only_broken(report, broken)
    assert broken.differing == 0
    assert broken.worst > 2


def test_a_precision_that_fails_is_broken_and_the_others_go_on(torch: Any) -> None:
    def fault(result: np.ndarray[Any, Any]) -> None:
        raise RuntimeError("no such kernel")

    report = run(quick("torch"), operations=[planted("softmax", "accurate", "torch", fault)])
    (broken,) = measured(report, precision="accurate")
    assert_only_broken(report, broken)
    assert broken.reason == "RuntimeError: no such kernel"


def test_a_result_of_another_dtype_is_broken() -> None:
    softmax = OPERATIONS["softmax"]

    @functools.wraps(softmax)
    def mutant(*args: Any, **options: Any) -> Any:
        result = softmax(*args, **options)
        return result.astype(np.float64) if options.get("precision") == "accurate" else result

    report = run(quick("numpy"), operations=[mutant])
    (broken,) = measured(report, precision="accurate")
    assert_only_broken(report, broken)
    assert broken.where == "dtype is float64, expected float32"


# The run


def test_an_interruption_between_draws_leaves_what_was_found() -> None:
    def stop_at_a_draw(progress: Progress) -> None:
        if "reproducible on " in progress.label:
            raise KeyboardInterrupt

    report = run(eagerly("numpy", operations=("softmax",), drawn=1000), progress=stop_at_a_draw)
    assert report.interrupted
    accurate, reproducible = report.precisions
    assert accurate.elements == reproducible.elements + WIDE
    assert report.exit_status() == 130


def test_progress_names_the_precision_and_the_draw() -> None:
    seen: list[str] = []
    run(eagerly("numpy", operations=("softmax",), drawn=1000), progress=lambda now: seen.append(now.label))
    assert "numpy float32 eager accurate" in seen
    assert "numpy float32 eager reproducible on 1 rows of 128256, 1/1" in seen


# Measuring


def test_an_error_in_ulp_is_that_of_the_dtype_at_the_exact_value() -> None:
    exact = np.asarray([1.0, 1.0 - 2**-30, 1 + 2**-24])
    assert ulp_error(np.float32([1 + 2**-22, 1.0, 1.0]), exact, "float32").tolist() == [2.0, 2**-6, 0.5]
    assert ulp_error(np.float16([1 + 2**-10]), [1.0], "float16").tolist() == [1.0]


@pytest.mark.parametrize(
    ("found", "exact", "error"),
    [
        (np.nan, np.nan, 0.0),
        (0.0, np.nan, np.inf),
        (np.nan, 0.0, np.inf),
        (np.inf, np.inf, 0.0),
        (np.inf, -np.inf, np.inf),
        (3e38, np.inf, np.inf),
        (np.inf, 1e300, 0.0),
        (np.inf, 1.0, np.inf),
        (0.0, 1e-39, 0.0),
        (1.0, 1e-39, np.inf),
    ],
)
def test_the_errors_of_special_values(found: float, exact: float, error: float) -> None:
    (got,) = ulp_error(np.float32([found]), [exact], "float32")
    assert got == error if error in (0.0,) else got > 1e6


def test_bits_differ_where_numbers_are_equal_but_not_where_both_are_nan() -> None:
    one, other = np.float32([0.0, np.nan, 1.0, np.nan]), np.float32([-0.0, -np.nan, 1.0, 1.0])
    assert differing_bits(one, other).tolist() == [True, False, False, True]


def test_what_was_measured_on_different_rows_is_one_cell() -> None:
    cells = [
        support.cell(precision="reproducible", worst=0.5, elements=10, where="the first"),
        support.cell(State.BROKEN, precision="reproducible", worst=0.3, elements=20, differing=2, where="the second"),
        support.cell(precision="accurate", elements=5),
    ]
    reproducible, accurate = joined(cells)
    assert reproducible == support.cell(
        State.BROKEN, precision="reproducible", worst=0.5, elements=30, differing=2, where="the second"
    )
    assert accurate == cells[2]


def test_a_shape_that_is_wrong_is_measured_as_that() -> None:
    found = measure(np.zeros(3), np.zeros(4), np.zeros(4), dtype="float32", expected_dtype="float32", names=())
    assert not found.held
    assert found.where == "shape is (3,), expected (4,)"


# The report

REPORT = Report(
    cells=[support.cell()],
    precisions=[
        support.cell(precision="accurate", worst=0.5004, elements=10_003_968),
        support.cell(precision="accurate", worst=0.51, elements=32, mode="compiled", compiler="jax.jit", backend="jax"),
        support.cell(
            State.BROKEN,
            precision="reproducible",
            backend="jax",
            variant="half",
            worst=0.5,
            differing=3,
            elements=10_003_968,
            where="ties: [7, 1] is 0.25 (0x3e800001), in NumPy 0.25 (0x3e800000)",
        ),
    ],
)


def text_of(report: Report) -> str:
    file = io.StringIO()
    show_report(report, Console(file=file, width=100, highlight=False))
    return file.getvalue()


def test_the_terminal_has_a_column_for_each_precision() -> None:
    lines = text_of(REPORT).splitlines()
    assert max(map(len, lines)) <= 100
    (numpy,) = [line.split() for line in lines if " numpy  " in line and "10,003,968" in line]
    (jax,) = [line.split() for line in lines if line.split()[:1] == ["jax"] and "held" in line]
    assert numpy == ["softmax", "numpy", "held", "0.50", "10,003,968"]
    assert jax == ["jax", "held", "0.51", "32", "broken", "3", "10,003,968"]


def test_the_terminal_names_the_case_and_index_of_a_broken_precision() -> None:
    text = " ".join(text_of(REPORT).split())
    assert "softmax (half), reproducible, on jax: 1 of 1" in text
    assert "3 of 10,003,968 elements differ from NumPy's in their bits" in text
    assert "ties: [7, 1] is 0.25 (0x3e800001), in NumPy 0.25 (0x3e800000)" in text
    assert "3 held, 1 broken" in text


def test_json_has_every_number() -> None:
    broken = json.loads(to_json(REPORT))["precisions"][-1]
    found = [broken[name] for name in ("precision", "state", "differing", "elements")]
    assert found == ["reproducible", "broken", 3, 10_003_968]


def test_junit_has_a_test_case_for_each() -> None:
    root = ET.fromstring(to_junit(REPORT))
    assert root.get("tests") == "4"
    assert root.get("failures") == "1"
    names = {case.get("name") for case in root.iter("testcase")}
    assert "softmax: float32, accurate, compiled (jax.jit), public, cpu" in names
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "3 of 10,003,968 elements differ from NumPy's in their bits"
    assert "[7, 1]" in (failure.text or "")


def test_the_page_has_a_column_for_each_and_opens_to_the_worst_case() -> None:
    page = to_html(REPORT)
    section = page[page.index("The other precisions") :]
    for part in (
        "accurate: worst ulp",
        "reproducible: differing",
        "10,003,968 elements",
        "ties: [7, 1] is 0.25 (0x3e800001), in NumPy 0.25 (0x3e800000)",
        "within 1 ulp of the exact value",
    ):
        assert part in section
    assert "<h1>1 of 4 combinations is broken</h1>" in page


def test_a_report_without_precisions_shows_none() -> None:
    report = Report(cells=[support.cell()])
    assert "precision" not in text_of(report)
    assert "The other precisions" not in to_html(report)


# Limits


def test_what_the_docs_refuse_is_not_applicable_in_every_face_of_the_report() -> None:
    beyond = np.zeros((1, CLASSES + 1), np.float32)
    report = run(Selection(("numpy",), ("entropy",), ("float32",), ("eager",), quick=True), logits=beyond)
    accurate, reproducible = report.precisions
    assert (accurate.state, reproducible.state) == (State.HELD, State.NOT_APPLICABLE)
    assert report.exit_status() == 0
    limit = "for at most 262144 classes (2^18)"
    terminal = io.StringIO()
    show_report(report, Console(width=200, file=terminal))
    for face in (terminal.getvalue(), to_json(report), to_junit(report), to_html(report)):
        assert limit in html.unescape(face)
        assert "not applicable" in face.lower()


def test_no_precision_but_the_default_is_run_in_float64(backend: Any) -> None:
    report = run(Selection((backend.name,), ("softmax",), ("float64",), ("eager",), quick=True))
    assert {cell.state for cell in report.cells} == {State.HELD}
    assert [cell.state for cell in report.precisions] == [State.NOT_APPLICABLE] * 2
    assert [cell.reason[:14] for cell in report.precisions] == ["'accurate' com", "'reproducible'"]


@pytest.mark.parametrize("name", [name for name, fn in OPERATIONS.items() if Subject(fn, "").precisions])
@pytest.mark.parametrize(("dtype", "classes"), [("float64", 2), ("float32", CLASSES + 1)])
def test_an_operation_refuses_what_its_limit_says(name: str, dtype: str, classes: int) -> None:
    operation = OPERATIONS[name]
    limit = operation.specification.limit
    arguments = [np.zeros((1, classes), dtype), np.zeros(1, np.int32)][: len(operation.specification.operands)]
    with pytest.raises((TypeError, ValueError), match=re.escape(limit("reproducible", dtype, classes))):
        operation(*arguments, precision="reproducible")
    assert not limit("reproducible", "float32", CLASSES)


def test_an_assertion_says_not_applicable_beyond_a_limit() -> None:
    report = assert_conforms(
        OPERATIONS["softmax"],
        np.zeros((1, 4)),
        reference=lambda logits, precision: np.full(logits.shape, 0.25),
        contract="u*abs(value) + tiny",
        backends=["numpy"],
        modes=["eager"],
        precision="reproducible",
    )
    assert {cell.dtype for cell in report.cells if cell.state is State.NOT_APPLICABLE} == {"float64"}
