"""Distances and spacings of floating-point numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tempscale.testing import spacing, ulp_distance
from tempscale.testing.ulp import largest, smallest_normal, ulp_error

FORMATS = {"float16": (11, -14), "bfloat16": (8, -126), "float32": (24, -126), "float64": (53, -1022)}
FARTHEST = np.iinfo(np.int64).max
each_format = pytest.mark.parametrize("dtype", FORMATS)


@each_format
def test_the_spacing_doubles_at_powers_of_two_and_stays_for_subnormals(dtype: str) -> None:
    digits, smallest = FORMATS[dtype]
    unit = 2.0 ** (1 - digits)
    assert spacing(1.0, dtype) == spacing(-1.5, dtype) == unit
    assert spacing(2.0, dtype) == 2 * unit
    assert spacing(np.nextafter(2.0, 0), dtype) == unit
    least = np.longdouble(2.0) ** (smallest + 1 - digits)
    for x in (0.0, 2.0**smallest, 2.0 ** (smallest - 1), float(least)):
        assert spacing(x, dtype) == least


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_spacing_is_that_of_numpy(dtype: str) -> None:
    x = np.asarray([1e-7, 0.1, 1.0, 3.0, 1000.0, 6e4], dtype)
    np.testing.assert_array_equal(spacing(x, dtype), np.spacing(x).astype(np.longdouble))


@each_format
def test_neighbours_are_one_apart(dtype: str) -> None:
    for x in (1.0, 1.5, 2.0, 100.0, -3.0):
        assert ulp_distance(x, x + float(spacing(x, dtype)), dtype) == 1
        assert ulp_distance(x, x, dtype) == 0
    assert ulp_distance(largest(dtype), math.inf, dtype) == 1
    assert ulp_distance(2.0, 2.0 - float(spacing(1.0, dtype)), dtype) == 1
    assert ulp_distance(1.0, 2.0, dtype) == 2 ** (FORMATS[dtype][0] - 1)


@each_format
def test_subnormal_numbers_count_as_zero(dtype: str) -> None:
    tiny = smallest_normal(dtype)
    assert ulp_distance(0.0, tiny / 2, dtype) == 0
    assert ulp_distance(-tiny / 2, tiny / 4, dtype) == 0
    assert ulp_distance(0.0, -0.0, dtype) == 0
    assert ulp_distance(0.0, tiny, dtype) == 1
    assert ulp_distance(-tiny, tiny, dtype) == 2


@each_format
def test_the_distance_is_symmetric_and_counts_across_zero(dtype: str) -> None:
    one, other = 1.0, -1.0
    assert ulp_distance(one, other, dtype) == ulp_distance(other, one, dtype) == 2 * ulp_distance(0.0, 1.0, dtype)


@each_format
def test_a_nan_is_as_far_as_can_be_but_from_a_nan(dtype: str) -> None:
    found = ulp_distance([math.nan, math.nan, 1.0, math.nan], [math.nan, 1.0, math.nan, math.inf], dtype)
    np.testing.assert_array_equal(found, [0, FARTHEST, FARTHEST, FARTHEST])


@each_format
def test_opposite_infinities_do_not_wrap_around(dtype: str) -> None:
    expected = min(2 * int(ulp_distance(0.0, math.inf, dtype)), FARTHEST)
    assert ulp_distance(math.inf, -math.inf, dtype) == ulp_distance(-math.inf, math.inf, dtype) == expected
    assert ulp_distance(math.inf, math.inf, dtype) == 0


def test_arrays_without_elements() -> None:
    assert ulp_distance(np.zeros((0, 3)), np.zeros((0, 3)), "float32").shape == (0, 3)


def test_arrays_keep_their_shape() -> None:
    a = np.float32([[1.0, 2.0], [0.0, -1.0]])
    np.testing.assert_array_equal(ulp_distance(a, np.nextafter(a, np.float32(9)), "float32"), [[1, 1], [0, 1]])


def test_an_error_is_counted_beyond_what_is_allowed():
    x, exact = np.float32([1.0, 1.0, 2.0]), np.array([1.0 + 2.0**-22, 1.0 - 2.0**-22, np.nan])
    np.testing.assert_array_equal(ulp_error(x, exact, "float32"), [2.0, 4.0, np.inf])
    np.testing.assert_array_equal(ulp_error(x, exact, "float32", beyond=[2.0**-23, 1.0, 1.0]), [1.0, 0.0, np.inf])
