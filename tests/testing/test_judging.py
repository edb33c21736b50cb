"""Judging a result, and fitting a bound to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tempscale
from tempscale.testing import Contract
from tempscale.testing.conformance.bounds import Expected, bounded
from tempscale.testing.conformance.judging import judge
from tempscale.testing.conformance.plan import Step

STEP = Step("numpy", "cpu", "float32", "eager")
NUMPY = tempscale.get_backend("numpy")


def verdict(result: Any, value: Any, bound: float = 0.0, **options: Any) -> Any:
    value = np.asarray(value)
    return judge(STEP, NUMPY, result, Expected(value, np.full(value.shape, bound)), dtype="float32", **options)


def test_the_place_of_a_wrong_element_counts_the_rows_that_are_not_compared() -> None:
    exact = np.zeros((3, 2))
    result = np.float32([[5.0, 5.0], [0.0, 0.0], [0.0, 1.0]])
    found = verdict(result, exact, names=["one", "two", "three"], known=np.asarray([[False], [True], [True]]))
    assert not found.held
    assert found.where == "three: [2, 1] is 1, exactly 0"
    assert found.elements == 4


def test_what_is_not_compared_may_be_anything() -> None:
    found = verdict(np.float32([np.nan, 1.0]), [0.0, 1.0], known=np.asarray([False, True]))
    assert found.held
    assert found.elements == 1


def test_integers_may_have_any_integer_dtype_and_no_other() -> None:
    assert verdict(np.asarray([1, 2], np.int16), [1, 2]).held
    assert "expected an integer dtype" in verdict(np.float32([1, 2]), [1, 2]).where


def test_a_list_is_no_result() -> None:
    assert verdict([1.0], [1.0]).where == "the result is a list, not an array of numpy"


def test_a_bound_with_one_entry_per_row_fits_a_result_without_classes() -> None:
    contract, x = Contract("u*sum(abs(x))"), np.asarray([[1.0, 2.0], [3.0, 4.0]])
    found = bounded(contract, x.sum(-1), {"x": x, **contract.units("float32")})
    np.testing.assert_array_equal(found.bound, np.asarray([3.0, 7.0]) * 2.0**-24)


def test_a_bound_per_element_of_a_row_fits_no_sum() -> None:
    contract, x = Contract("u*abs(x)"), np.asarray([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"a bound of shape \(2, 2\) for a result of shape \(3,\)"):
        bounded(contract, np.zeros(3), {"x": x, **contract.units("float32")})
