"""Sums, means and extremes are those of NumPy, but that integers add up in the default integer of their kind."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import COMPLEX, FLOATS, INTEGERS, assert_agrees, assert_gradient

AXES = (None, 0, -1, (0, 2), ())
CUBE = np.random.default_rng(0).integers(0, 5, (2, 3, 4))
EXTREME = {"max": np.max, "min": np.min}


def accumulator(dtype):
    kind = np.dtype(dtype)
    if kind.kind in "iu" and kind.itemsize < 4:
        return np.int32 if kind.kind == "i" else np.uint32
    return dtype


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_a_reduction_goes_over_the_axes_given(xp, name, axis, keepdims):
    options = {"axis": axis, "keepdims": keepdims}
    for dtype in ("int32", "float64", "uint8"):
        x = CUBE.astype(dtype)
        special = {"dtype": accumulator(dtype)} if name in ("sum", "prod") else {}
        assert_agrees(xp, name, x, expected=getattr(np, name)(x, **special, **options), **options)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_small_integers_accumulate_in_the_default_integer(xp, name, dtype):
    x = np.array([3, 100, 5, 100], dtype)
    wide = accumulator(dtype)
    with np.errstate(over="ignore"):
        expected = getattr(np, name)(x, dtype=wide)
    assert_agrees(xp, name, x, expected=np.asarray(expected, wide))


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_the_dtype_of_a_sum_can_be_told(xp, name):
    x = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
    expected = getattr(np, name)(x, axis=1, dtype=np.float64)
    for found in (getattr(xp, name)(xp.asarray(x), axis=1, dtype=xp.float64),):
        assert found.dtype == xp.float64
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["max", "min", "mean", "sum", "var", "std"])
def test_nan_wins_and_infinities_stay(xp, name):
    x = np.array([[1, math.nan, math.inf], [2, 3, 4], [math.nan] * 3, [-math.inf, 0, 1]], np.float32)
    with np.errstate(invalid="ignore"):
        assert_agrees(xp, name, x, axis=1, ulps=2, expected=getattr(np, name)(x, axis=1))


@pytest.mark.parametrize("name", ["max", "min"])
def test_there_is_no_extreme_of_no_elements(xp, name):
    with pytest.raises(ValueError, match=f"{name} of no elements"):
        getattr(xp, name)(xp.zeros((0, 3)), axis=0)
    assert_agrees(xp, name, np.zeros((0, 3), np.float32), axis=1)


def test_a_sum_of_no_elements_is_zero_and_a_product_one(xp):
    x = np.zeros((0, 3), np.float32)
    for name in ("sum", "prod"):
        assert_agrees(xp, name, x, axis=0)


@pytest.mark.parametrize("axis", [None, 0, (1, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "options"), [("mean", {}), ("var", {}), ("var", {"correction": 1}), ("std", {"correction": 0.5})]
)
def test_moments_are_those_of_numpy(xp, name, options, dtype, axis):
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(dtype)
    given = {"axis": axis, "keepdims": True, **options}
    expected = getattr(np, name)(x.astype(np.longdouble), **given).astype(dtype)
    assert_agrees(xp, name, x, expected=expected, ulps=8 if name != "mean" else 64, **given)


def test_the_mean_of_integers_is_not_truncated(xp):
    assert_agrees(xp, "mean", np.array([1, 2], np.int32), expected=np.float32(1.5))
    assert_agrees(xp, "mean", np.array([1j, 2], np.complex64), ulps=1)


def test_a_correction_of_all_elements_leaves_no_variance(xp):
    assert_agrees(xp, "var", np.array([1.0]), correction=1, expected=np.float64(math.nan))


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("dtype", ["int32", "uint64", "float32", "complex64"])
def test_running_sums_can_begin_with_that_of_nothing(xp, name, dtype):
    x = CUBE.astype(dtype)
    for axis in (0, -1):
        for include_initial in (False, True):
            options = {"axis": axis, "include_initial": include_initial}
            assert_agrees(xp, name, x, expected=getattr(np, name)(x, dtype=dtype, **options), **options)
    assert_agrees(
        xp,
        name,
        np.zeros(0, dtype),
        include_initial=True,
        expected=getattr(np, name)(np.zeros(0, dtype), include_initial=True, dtype=dtype),
    )
    with pytest.raises(ValueError, match=f"{name} of an array of 3 axes needs axis="):
        getattr(xp, name)(xp.asarray(x))


def test_a_long_running_sum_is_exact_to_the_last_place(xp):
    x = np.full(131_072, 1 / 131_072, np.float32) * np.float32(1.1)
    exact = np.cumsum(x, dtype=np.float64).astype(np.float32)
    assert_agrees(xp, "cumulative_sum", x, expected=exact, ulps=1)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "max", "min"])
def test_the_gradient_of_a_reduction_flows(xp, name):
    assert_gradient(xp, lambda x: getattr(xp, name)(x, axis=1), [[1.0, 2.5, 4.0], [3.0, -1.0, 0.5]])


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_the_gradient_of_a_running_sum_flows(xp, name):
    assert_gradient(
        xp, lambda x: getattr(xp, name)(x, axis=1, include_initial=True), [[1.0, 2.5, 4.0], [3.0, -1.0, 0.5]]
    )
