"""The conformance run, and that it can fail: planted mistakes are found and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import require

import tempscale
from tempscale import BackendEntry
from tempscale._core.operation import OPERATIONS
from tempscale._core.registry import unregister_backend
from tempscale.testing import Cell, Progress, Report, Selection, State, run
from tempscale.testing.conformance.modes import MODES


def select(backend: str, *operations: str, mode: str = "eager", dtype: str = "float32") -> Selection:
    return Selection((backend,), operations, (dtype,), (mode,), quick=True)


def public(report: Report, operation: str) -> Cell:
    """The cell of an operation as users call it."""
    (cell,) = [c for c in report.cells if c.operation == operation and c.form == "public"]
    return cell


def plant(monkeypatch: pytest.MonkeyPatch, operation: str, backend: str, mutant: Callable[..., Any]) -> None:
    tempscale.get_backend(backend)  # registers its own natives first
    monkeypatch.setitem(OPERATIONS[operation].natives, backend, mutant)


def assert_caught(
    report: Report, operation: str, backend: str, mode: str, *, case: str = "", dtype: str = "float32"
) -> None:
    """Status 1, one broken cell, named; the body and the unaffected operation hold."""
    assert report.exit_status() == 1
    broken = public(report, operation)
    assert broken.state is State.BROKEN
    assert (broken.backend, broken.dtype, broken.mode) == (backend, dtype, mode)
    assert broken.worst > 1
    assert "bound" in broken.reason
    assert broken.where
    assert case in broken.where
    for cell in report.cells:
        if cell is not broken and cell.backend == backend:
            assert cell.state is State.HELD, f"{cell.title} {cell.form}: {cell.reason} {cell.where}"
    assert any(cell.state is State.HELD for cell in report.cells)


# What holds


def test_numpy_holds_everything_and_compiles_nothing() -> None:
    report = run(Selection(("numpy",), ("softmax",), ("float32",), quick=True))
    assert report.exit_status() == 0
    by_mode = {cell.mode: cell for cell in report.cells if cell.form == "public"}
    assert by_mode["eager"].state is State.HELD
    assert by_mode["eager"].elements > 1000
    assert 0 < by_mode["eager"].worst <= 1
    assert by_mode["eager"].where
    for mode in ("vmap", "gradient", "forward", "second"):  # a loop, and autograd
        assert by_mode[mode].state is State.HELD
    for mode in ("compiled", "unknown-dims"):
        assert by_mode[mode].state is State.NOT_APPLICABLE
        assert by_mode[mode].reason.startswith("numpy ")


def test_the_body_is_checked_beside_the_native() -> None:
    report = run(select("numpy", "softmax"))
    assert [cell.form for cell in report.cells] == ["public", "body"]


def test_two_backends_agree_to_a_few_units_in_the_last_place(torch: Any) -> None:
    report = run(Selection(("numpy", "torch"), ("softmax",), ("float32",), ("eager",), quick=True))
    (agreement,) = report.agreements
    assert set(agreement.backends) == {"numpy", "torch"}
    assert 0 < agreement.ulp < 2**10
    assert agreement.where
    assert agreement.elements > 0


def test_the_environment_is_recorded() -> None:
    report = run(select("numpy", "softmax"))
    assert report.environment["tempscale"] == tempscale.__version__
    assert report.environment["backends"]["numpy"]["version"] == np.__version__
    assert report.environment["backends"]["numpy"]["devices"] == ["cpu"]


# What is planted


def test_logits_divided_before_the_maximum_is_subtracted(monkeypatch: pytest.MonkeyPatch, torch: Any) -> None:
    def mutant(logits: Any, *, temperature: Any, axis: int, where: Any) -> Any:
        if isinstance(temperature, float) and temperature in (0.0, float("inf")):
            return OPERATIONS["softmax"].call_body(logits, temperature=temperature, axis=axis, where=where)
        right = OPERATIONS["softmax"].call_body(logits, temperature=temperature, axis=axis, where=where)
        t = torch.as_tensor(temperature)
        ordinary = (t > 0) & (t < float("inf"))
        wrong = torch.softmax((logits / t).float(), axis).to(logits.dtype)
        return torch.where(ordinary & ~torch.isnan(right), wrong, right)

    plant(monkeypatch, "softmax", "torch", mutant)
    # what PyTorch's own sum does to a long tail is worse still than what the division does to an offset
    assert_caught(run(select("torch", "softmax", "entropy")), "softmax", "torch", "eager", case="tail of equals")


def test_the_logarithm_of_a_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    def mutant(logits: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.log(tempscale.softmax(logits, **options))

    plant(monkeypatch, "log_softmax", "numpy", mutant)
    report = run(select("numpy", "log_softmax", "softmax"))
    assert_caught(report, "log_softmax", "numpy", "eager", case="is -inf, exactly -")
    assert public(report, "log_softmax").worst == np.inf


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_a_lost_nan(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    backend = tempscale.get_backend(name)
    xp = backend.namespace

    def mutant(logits: Any, **options: Any) -> Any:
        result = OPERATIONS["softmax"].call_body(logits, **options)
        return xp.where(result == result, result, xp.zeros_like(result))

    plant(monkeypatch, "softmax", name, mutant)
    report = run(select(name, "softmax", "entropy"))
    assert_caught(report, "softmax", name, "eager", case="exactly nan")


@pytest.mark.parametrize("name", ["torch", "tensorflow", "jax"])
def test_a_wrong_gradient_of_a_right_value(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def mutant(logits: Any, **options: Any) -> Any:
        right = OPERATIONS["softmax"].call_body(logits, **options)
        # the value is the constant; half of the derivative is missing
        return tempscale.stop_gradient(right) + 0.5 * (right - tempscale.stop_gradient(right))

    plant(monkeypatch, "softmax", name, mutant)
    assert run(select(name, "softmax")).exit_status() == 0  # the values alone are right
    report = run(select(name, "softmax", "entropy", mode="gradient"))
    assert_caught(report, "softmax", name, "gradient", case="d/d")


@pytest.mark.parametrize("name", ["numpy", "torch", "tensorflow", "jax"])
def test_derivatives_along_a_line_hold(name: str) -> None:
    """Of an operation with masked entries, ties and limits of the temperature, in both modes."""
    backend = require(name)
    report = run(Selection((name,), ("logsumexp",), ("float32",), ("forward", "second"), quick=True))
    expected = State.HELD if backend.transforms else State.NOT_APPLICABLE
    assert [(cell.mode, cell.state) for cell in report.cells] == [("forward", expected), ("second", expected)]


@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize("mode", ["forward", "second"])
def test_a_derivative_along_a_line_that_is_a_little_off(monkeypatch: pytest.MonkeyPatch, name: str, mode: str) -> None:
    def mutant(logits: Any, **options: Any) -> Any:
        right = OPERATIONS["softmax"].call_body(logits, **options)
        # the value is the constant, and the derivative a thousandth too large
        return tempscale.stop_gradient(right) + (1 + 2**-10) * (right - tempscale.stop_gradient(right))

    plant(monkeypatch, "softmax", name, mutant)
    assert_caught(run(select(name, "softmax", "entropy", mode=mode)), "softmax", name, mode, case=" at T = ")


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_wrong_second_derivative_of_a_right_gradient(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    backend = tempscale.get_backend(name)
    xp = backend.namespace

    def mutant(logits: Any, **options: Any) -> Any:
        there = xp.where(logits == -np.inf, xp.zeros_like(logits), logits)
        change = there - tempscale.stop_gradient(there)
        return OPERATIONS["softmax"].call_body(logits, **options) + 2**-10 * change * change

    plant(monkeypatch, "softmax", name, mutant)
    for mode in ("gradient", "forward"):
        assert run(select(name, "softmax", mode=mode)).exit_status() == 0
    report = run(select(name, "softmax", "entropy", mode="second"))
    assert_caught(report, "softmax", name, "second", case="over reverse")


def test_a_derivative_that_widens(monkeypatch: pytest.MonkeyPatch, jax: Any) -> None:
    """As NumPy's did in forward mode: the value has the dtype of the logits, its derivative another."""
    backend = tempscale.get_backend("jax")
    right = backend.jvp

    def widening(*args: Any) -> Any:
        return backend.asarray(right(*args), dtype="bfloat16")

    monkeypatch.setattr(backend, "jvp", widening)
    report = run(select("jax", "softmax", mode="forward"))
    assert public(report, "softmax").where == "dtype is bfloat16, expected float32"


@pytest.mark.parametrize("mode", ["eager", "vmap", "gradient", "forward", "second"])
def test_a_result_on_another_device(monkeypatch: pytest.MonkeyPatch, torch: Any, mode: str) -> None:
    monkeypatch.setattr(tempscale.get_backend("torch"), "device_of", lambda x: "elsewhere:0")
    report = run(select("torch", "softmax", mode=mode))
    assert public(report, "softmax").where == "device is elsewhere:0, expected cpu"


def test_a_reference_that_cannot_be_differentiated_is_not_applicable_in_words() -> None:
    made = tempscale.agnostic(lambda logits, /, *, xp: xp.tanh(logits))
    made.__name__ = "hyperbolic"
    contract = tempscale.testing.Contract("4*u*abs(value) + tiny", gradients={"logits": "8*u*abs(g) + tiny"})
    made.specified_by(contract)(
        lambda logits: {"value": np.tanh(logits), "gradients": lambda g: {"logits": g / np.cosh(logits) ** 2, "g": g}}
    )
    selection = Selection(("numpy",), None, ("float32",), ("gradient", "second"), quick=True)
    cells = {cell.mode: cell for cell in run(selection, operations=[made]).cells}
    assert cells["second"].state is State.NOT_APPLICABLE
    assert cells["second"].reason == "its reference takes numpy.cosh, which is not differentiated here"


def test_permuted_classes(monkeypatch: pytest.MonkeyPatch, torch: Any) -> None:
    def mutant(logits: Any, *, axis: int, **options: Any) -> Any:
        right = OPERATIONS["softmax"].call_body(logits, axis=axis, **options)
        return torch.flip(right, (axis,))

    plant(monkeypatch, "softmax", "torch", mutant)
    assert_caught(run(select("torch", "softmax", "logsumexp")), "softmax", "torch", "eager", case="[")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_widened_dtype(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    def mutant(logits: Any, **options: Any) -> Any:
        return np.asarray(OPERATIONS["softmax"].call_body(logits, **options)).astype(np.float64)

    plant(monkeypatch, "softmax", "numpy", mutant)
    report = run(select("numpy", "softmax", "entropy", dtype=dtype))
    expected = f"dtype is float64, expected {dtype}"
    assert_caught(report, "softmax", "numpy", "eager", case=expected, dtype=dtype)


def test_right_eager_and_wrong_compiled(monkeypatch: pytest.MonkeyPatch, jax: Any) -> None:
    def mutant(logits: Any, **options: Any) -> Any:
        right = OPERATIONS["softmax"].call_body(logits, **options)
        return right * (1 + 2**-10) if isinstance(logits, jax.core.Tracer) else right

    plant(monkeypatch, "softmax", "jax", mutant)
    assert public(run(select("jax", "softmax")), "softmax").state is State.HELD
    report = run(select("jax", "softmax", "entropy", mode="compiled"))
    assert_caught(report, "softmax", "jax", "compiled", case=" at T = ")
    assert public(report, "softmax").compiler == "jax.jit"


def test_an_operation_that_raises_is_broken_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def mutant(logits: Any, **options: Any) -> Any:
        raise RuntimeError("no such kernel")

    for backend, mode in (("numpy", "eager"), ("jax", "compiled")):
        plant(monkeypatch, "softmax", backend, mutant)
        report = run(select(backend, "softmax", "entropy", mode=mode))
        assert report.exit_status() == 1
        assert public(report, "softmax").state is State.BROKEN
        assert public(report, "softmax").reason == "RuntimeError: no such kernel"
        assert public(report, "entropy").state is State.HELD


def test_a_body_that_is_wrong_is_named_beside_its_native(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = OPERATIONS["softmax"]
    right = operation.call_body

    def wrong(*args: Any, **options: Any) -> Any:
        return right(*args, **options) * np.float32(1.001)

    monkeypatch.setattr(operation, "call_body", wrong)
    report = run(select("numpy", "softmax"))
    assert report.exit_status() == 1
    assert [(c.form, c.state) for c in report.cells] == [("public", State.HELD), ("body", State.BROKEN)]


# What is not there


def test_a_framework_that_is_not_installed_is_unavailable_with_what_would_help() -> None:
    entry = BackendEntry("nosuchframework", "nosuchframework.backend:Backend", "nosuchframework>=3")
    tempscale.register_backend(entry, name="nosuch")
    try:
        report = run(Selection(("numpy", "nosuch"), ("softmax",), ("float32",), ("eager",), quick=True))
    finally:
        unregister_backend("nosuch")
    (missing,) = [cell for cell in report.cells if cell.backend == "nosuch"]
    assert missing.state is State.UNAVAILABLE
    assert "pip install 'nosuchframework>=3'" in missing.reason
    assert [cell.state for cell in report.cells if cell.backend == "numpy"] == [State.HELD] * 2
    assert report.exit_status() == 3
    assert report.exit_status(allow_unavailable=True) == 0


def test_nothing_that_held_is_not_a_success() -> None:
    report = run(Selection(("numpy",), ("softmax",), ("float32",), ("compiled",)))
    assert [cell.state for cell in report.cells] == [State.NOT_APPLICABLE]
    assert report.exit_status(allow_unavailable=True) == 3


@pytest.mark.parametrize(
    ("field", "known"), [("backends", "numpy"), ("operations", "softmax"), ("dtypes", "float32"), ("modes", "eager")]
)
def test_an_unknown_name_is_answered_with_those_there_are(field: str, known: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown {field[:-1]} 'nonesuch'; choose from .*{known}"):
        run(Selection(**{field: ("nonesuch",)}))


def test_an_unknown_device_is_an_error() -> None:
    with pytest.raises(ValueError, match="no backend has a device tpu:7"):
        run(Selection(("numpy",), ("softmax",), devices=("tpu:7",)))


# The run


def test_progress_is_told_before_each_step() -> None:
    seen: list[Progress] = []
    run(Selection(("numpy",), ("softmax",), ("float32", "float64"), ("eager",), drawn=0), progress=seen.append)
    total = seen[0].total
    assert [p.done for p in seen] == list(range(total + 1))
    assert {p.total for p in seen} == {total}
    assert seen[0].label == "numpy float32 eager"
    assert seen[-1].label == "done"


def test_an_interruption_leaves_what_was_done() -> None:
    def stop_at_third(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    selection = Selection(("numpy",), ("softmax",), ("float32", "float64"), ("eager",), drawn=0)
    report = run(selection, progress=stop_at_third)
    assert report.interrupted
    assert [(c.dtype, c.form) for c in report.cells] == [("float32", "public"), ("float32", "body")]
    assert all(c.state is State.HELD for c in report.cells)
    assert report.environment["backends"]
    assert report.exit_status() == 130
    assert not run(selection).interrupted


def test_the_users_own_logits_run_through_all_modes(jax: Any) -> None:
    logits = np.random.default_rng(2).standard_normal((7, 11)) * 5
    selection = Selection(("numpy", "jax"), ("softmax", "cross_entropy"), ("float32",), quick=True)
    report = run(selection, logits=logits)
    assert report.exit_status() == 0
    held = [cell for cell in report.cells if cell.state is State.HELD]
    assert {cell.mode for cell in held if cell.backend == "jax"} == {*MODES} - {"unknown-dims"}
    for cell in held:
        assert "row " in cell.where
        assert " at T = " in cell.where


def test_a_mistake_on_the_users_own_logits_names_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def mutant(logits: Any, **options: Any) -> Any:
        right = OPERATIONS["softmax"].call_body(logits, **options)
        return np.where(logits == 7.0, right * np.float32(1.01), right)

    plant(monkeypatch, "softmax", "numpy", mutant)
    logits = np.zeros((5, 3))
    logits[3, 1] = 7.0
    report = run(select("numpy", "softmax"), logits=logits)
    assert report.exit_status() == 1
    assert "row 3 at T = 1" in public(report, "softmax").where
    assert "[3, 1]" in public(report, "softmax").where
