"""Whether a result is within its bound: the judge of the conformance run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tempscale
from tempscale.testing import Verdict, check

INF, NAN = math.inf, math.nan


def judge(actual: Any, exact: Any, bound: Any = 0.0, dtype: str = "float32", expected: str | None = None) -> Verdict:
    actual = np.asarray(actual, tempscale.get_backend("numpy").dtype(dtype))
    names = [f"case {i}" for i in range(len(actual))]
    exact = np.asarray(exact, np.longdouble)
    return check(actual, exact, bound, dtype=dtype, expected_dtype=expected or dtype, names=names)


def test_the_worst_element_is_named() -> None:
    verdict = judge([[0.0, 1.0], [2.5, 3.0]], [[0.0, 1.0], [2.0, 3.0]], 0.25)
    assert not verdict.held
    assert verdict.worst == 2.0
    assert verdict.where == "case 1: [1, 0] is 2.5, exactly 2"
    assert verdict.elements == 4


def test_the_bound_itself_is_still_within() -> None:
    assert judge([1.5], [1.0], 0.5).worst == 1.0
    assert judge([1.5], [1.0], 0.5).held
    assert not judge([1.5], [1.0], 0.499999).held


def test_without_an_error_no_bound_is_needed() -> None:
    for bound in (0.0, NAN, INF):
        assert judge([1.0, -0.0], [1.0, 0.0], bound).worst == 0


@pytest.mark.parametrize(
    ("got", "exact", "held"),
    [
        (NAN, NAN, True),
        (INF, INF, True),
        (-INF, -INF, True),
        (NAN, 1.0, False),
        (1.0, NAN, False),
        (NAN, INF, False),
        (INF, NAN, False),
        (INF, -INF, False),
        (1e38, INF, False),
        (INF, 1e38, False),
    ],
)
def test_nan_and_infinity_are_met_exactly_whatever_the_bound(got: float, exact: float, held: bool) -> None:
    for bound in (0.0, 1e30):
        assert judge([got], [exact], bound).held is held
        assert judge([got], [exact], bound).worst == (0 if held else INF)


def test_a_bound_that_is_nan_accepts_no_error() -> None:
    assert judge([1.5], [1.0], NAN).worst == INF


@pytest.mark.parametrize(
    ("dtype", "limit", "half"), [("float16", 65504.0, 16.0), ("float32", float(np.finfo("f4").max), 2.0**103)]
)
def test_overflow_is_right_from_half_a_spacing_beyond_the_largest_number(dtype: str, limit: float, half: float) -> None:
    for sign in (1, -1):
        assert judge([sign * INF], [sign * (limit + half)], dtype=dtype).held
        assert not judge([sign * INF], [sign * (limit + half / 2)], dtype=dtype).held
        assert not judge([sign * INF], [sign * limit], dtype=dtype).held
        assert judge([sign * INF], [sign * limit], half, dtype=dtype).held  # the error may carry it over
        assert not judge([-sign * INF], [sign * (limit + half)], dtype=dtype).held
        assert not judge([sign * limit], [sign * (limit + 4 * half)], dtype=dtype).held


@pytest.mark.parametrize(("dtype", "digits", "smallest"), [("float16", 11, -14), ("bfloat16", 8, -126)])
def test_narrow_dtypes_may_round_by_half_a_spacing(dtype: str, digits: int, smallest: int) -> None:
    unit = 2.0 ** (1 - digits)
    assert judge([1.0], [1.0 + unit / 2], dtype=dtype).worst == 0.0
    assert judge([2.0], [2.0 + unit], dtype=dtype).worst == 0.0
    assert not judge([1.0], [1.0 + 0.51 * unit], dtype=dtype).held
    least = 2.0 ** (smallest + 1 - digits)  # subnormal numbers are this far apart
    assert judge([0.0], [least / 2], dtype=dtype).held
    assert not judge([0.0], [0.51 * least], dtype=dtype).held
    assert judge([3 * least], [2.5 * least], dtype=dtype).held


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_dtypes_get_no_rounding_on_top(dtype: str) -> None:
    assert not judge([1.0], [1.0 + 2.0**-52], dtype=dtype).held


def test_another_dtype_or_shape_is_never_right() -> None:
    verdict = judge([1.0], [1.0], 1.0, dtype="float64", expected="float32")
    assert verdict.worst == INF
    assert verdict.where == "dtype is float64, expected float32"
    verdict = judge([[1.0], [1.0]], [1.0, 1.0], 1.0)
    assert verdict.worst == INF
    assert verdict.where == "shape is (2, 1), expected (2,)"
    assert judge(np.zeros((0, 2)), np.zeros((0, 2))).held
    assert not judge(np.zeros((0, 2)), np.zeros((0, 3))).held


def test_a_permuted_result_is_not_accepted() -> None:
    logits = np.float32([[0.0, 1.0, 2.0]])
    right = tempscale.softmax(logits)
    specification = tempscale.softmax.specification
    exact = specification.reference(logits.astype(np.float64), np.ones((1, 1)))
    quantities = {k: v for k, v in exact.items() if k not in ("value", "gradients")}
    bound = specification.contract.bound(**quantities, u=2.0**-24, tiny=2.0**-126)
    assert judge(right, exact["value"], bound).held
    for order in ([1, 0, 2], [2, 1, 0], [1, 2, 0]):
        assert not judge(right[:, order], exact["value"], bound).held
