"""Contracts: one text that is documented, printed and evaluated; and the references in every precision."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

import numpy as np
import pytest

from tempscale._core.operation import OPERATIONS
from tempscale._reference import wide
from tempscale.contracts import Contract
from tempscale.testing import Selection, run

each_operation = pytest.mark.parametrize("name", sorted(OPERATIONS))


@each_operation
def test_the_contract_stands_in_the_docstring(name: str) -> None:
    operation = OPERATIONS[name]
    text = operation.specification.contract.text()
    assert textwrap.indent(text, "    ") in inspect.getdoc(operation)
    assert "(numeric contract)" not in operation.__doc__


@each_operation
def test_the_text_is_the_formulas_and_the_legend(name: str) -> None:
    contract = OPERATIONS[name].specification.contract
    lines = contract.text().splitlines()
    assert lines[0] == f"|error| <= {contract.value}"
    for argument, formula in contract.gradients.items():
        assert f"|error of d/d{argument}| <= {formula}" in lines
    for quantity, meaning in contract.legend.items():
        assert f"{quantity}: {meaning}" in lines


def test_the_report_prints_the_same_text() -> None:
    report = run(Selection(("numpy",), None, ("float32",), ("compiled",)))
    assert report.contracts == {name: op.specification.contract.text() for name, op in OPERATIONS.items()}


def test_the_formula_that_is_shown_is_the_one_that_is_evaluated() -> None:
    contract = Contract("(2*abs(z) + log2(n)) * u", {"logits": "sum(z) * min(z, 1)"})
    assert contract.bound(z=-3.0, n=8, u=0.5) == 4.5
    np.testing.assert_array_equal(contract.bound("logits", z=np.array([[0.5, 2.0]])), [[1.25, 2.5]])


def test_a_quantity_that_is_missing_is_named() -> None:
    with pytest.raises(NameError, match="'zeta'"):
        Contract("zeta * u").bound(u=1.0)
    with pytest.raises(KeyError, match="labels"):
        Contract("u").bound("labels", u=1.0)


def test_a_formula_reaches_nothing_but_its_quantities() -> None:
    for formula in ("open('x')", "__import__('os')", "np.abs(u)"):
        with pytest.raises(NameError):
            Contract(formula).bound(u=1.0)


def test_a_docstring_without_a_place_for_it_ends_with_the_contract() -> None:
    assert Contract("u").document("Do it.").endswith("::\n\n    |error| <= u\n")


# References

INF, NAN = np.inf, np.nan
ROWS = np.array(
    [
        [0.5, -1.25, 3.0, 0.0],
        [2.0, 2.0, 2.0, -1.0],
        [-INF, 0.25, -INF, 1.0],
        [1e4, 1e4 - 1, 9e3, 1e4],
        [0.0, -800.0, -40.0, 30.0],
        [1.0, NAN, 0.0, 2.0],
        [1.0, INF, 0.0, 2.0],
        [-INF, -INF, -INF, -INF],
        [0.5, -1.25, 3.0, 0.0],
    ]
)
TEMPERATURES = [0.7, 1e-3, 1e3, 0.0, INF]


def operands(name: str, longdouble: bool) -> list[Any]:
    given = {
        "logits": ROWS,
        "p_logits": ROWS,
        "q_logits": ROWS[:, ::-1],
        "labels": np.array([0, 1, 3, 2, 1, 0, 1, 2, 9]),
        "hidden": np.where(np.isinf(ROWS), 0.0, ROWS)[:, :2],
        "weight": np.array([[1.0, 0.5], [-0.25, 2.0], [0.0, 1.0], [3.0, -1.0]]),
        "bias": np.array([0.5, -1.25, 0.0, -INF]),
    }
    names = OPERATIONS[name].specification.operands
    return [given[n] if n == "labels" else wide.to_wide(given[n], "float64", longdouble=longdouble) for n in names]


def evaluated(name: str, temperature: float, longdouble: bool) -> dict[str, Any]:
    """Value, gradients and all bounds of a reference, in one of its precisions."""
    specification = OPERATIONS[name].specification
    t = np.full((len(ROWS), 1), temperature)
    t[-1] = -1.0
    found = specification.reference(*operands(name, longdouble), wide.to_wide(t, "float64", longdouble=longdouble))
    quantities = {k: v for k, v in found.items() if k not in ("value", "gradients")} | {"u": 2.0**-53, "tiny": 0.0}
    g = np.random.default_rng(8).standard_normal(found["value"].shape)
    gradients = found["gradients"](wide.to_wide(g, "float64", longdouble=longdouble))
    contract = specification.contract
    parts = {"value": found["value"], "bound": contract.bound(**quantities)}
    for argument in contract.gradients:
        parts[f"d/d{argument}"] = gradients[argument]
        parts[f"bound of d/d{argument}"] = contract.bound(argument, **{**quantities, **gradients})
    return {key: wide.as_floats(value) for key, value in parts.items()}


@pytest.mark.skipif(not wide.WIDE_LONGDOUBLE, reason="longdouble is float64 here: there is nothing to compare with")
@each_operation
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_mpmath_references_agree_with_those_in_longdouble(name: str, temperature: float) -> None:
    """So that they can be trusted on platforms whose longdouble is no wider than float64."""
    pytest.importorskip("mpmath")
    with np.errstate(all="ignore"):
        one, other = evaluated(name, temperature, True), evaluated(name, temperature, False)
        for key in ("value", *(k for k in one if k.startswith("d/d"))):
            bound = one["bound" if key == "value" else f"bound of {key}"]
            bound = bound[:, 0] if bound.ndim > one[key].ndim else bound
            usable = np.isfinite(one[key]) & np.isfinite(np.broadcast_to(bound, one[key].shape))
            np.testing.assert_array_equal(np.isnan(one[key]), np.isnan(other[key]))
            infinite = np.isinf(one[key])
            np.testing.assert_array_equal(one[key][infinite], other[key][infinite])
            # longdouble has 11 bits more than float64, of which the contract speaks
            error = np.where(usable, abs(one[key] - other[key]), 0)
            assert (error <= np.where(usable, bound, 0) / 2**8 + 2.0**-1074).all(), key
        valid = np.isfinite(one["value"].reshape(len(ROWS), -1)).any(-1)  # else there is nothing to bound
        for key in (k for k in one if k.startswith("bound") and len(one[k]) == len(ROWS)):
            np.testing.assert_allclose(one[key][valid], other[key][valid], rtol=2.0**-40, atol=2.0**-1074)


def test_widening_is_exact() -> None:
    pytest.importorskip("mpmath")
    x = np.array([0.1, 1e-300, -INF, 2.0**-1074])
    for longdouble in (True, False):
        np.testing.assert_array_equal(wide.as_floats(wide.to_wide(x, "float64", longdouble=longdouble)), x)
    assert wide.to_wide(x.astype(np.float32), "float32").dtype == np.float64
