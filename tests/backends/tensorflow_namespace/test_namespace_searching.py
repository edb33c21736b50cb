"""Sorting, searching and sets: NaN is the largest, equals keep their order, and the lowest index is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import COMPLEX, FLOATS, INTEGERS, assert_agrees, assert_gradient, assert_same, calls, numbers

REAL = (*INTEGERS, *FLOATS)


def tied(dtype):
    """The special numbers, each more than once, as two rows."""
    x = np.concatenate([numbers(dtype), numbers(dtype)[::-1]])
    return x.reshape(2, -1)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("dtype", REAL)
def test_argsort_is_stable(xp, dtype, axis):
    x = tied(dtype)
    assert_agrees(xp, "argsort", x, axis=axis, expected=np.argsort(x, axis=axis, stable=True))


@pytest.mark.parametrize("dtype", REAL)
def test_argsort_descending_is_stable_too_and_has_nan_last(xp, dtype):
    x = tied(dtype)
    # what comes later in ascending order of the reversed row is what comes first of its equals
    backwards = x.shape[1] - 1 - np.argsort(x[:, ::-1], axis=1, stable=True)[:, ::-1]
    nan = np.isnan(np.take_along_axis(x, backwards, axis=1))
    expected = np.take_along_axis(backwards, np.argsort(nan, axis=1, stable=True), axis=1)
    assert_agrees(xp, "argsort", x, descending=True, expected=expected)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("dtype", REAL)
def test_sort_orders_all_numbers_and_has_nan_last(xp, dtype, axis):
    x = tied(dtype)
    ascending = np.sort(x, axis=axis)
    np.testing.assert_array_equal(xp.sort(xp.asarray(x), axis=axis), ascending)
    descending = -np.sort(-x, axis=axis) if dtype in FLOATS else np.flip(ascending, axis)
    for found in calls(xp, xp.sort, (x,), {"axis": axis, "descending": True}):
        np.testing.assert_array_equal(found, descending)


def test_what_is_empty_or_of_no_order_is_known(xp):
    assert_agrees(xp, "argsort", np.zeros((2, 0)))
    assert_agrees(xp, "sort", np.zeros((2, 0)))
    with pytest.raises(TypeError, match="takes arrays of a real dtype, not complex64"):
        xp.argsort(xp.asarray([1j]))
    with pytest.raises(IndexError, match="axis 2 is not one of an array of 1 axes"):
        xp.argsort(xp.asarray([1]), axis=2)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_lowest_index_is_found_and_nan_wins(xp, name, dtype, axis, keepdims):
    assert_agrees(xp, name, tied(dtype), axis=axis, keepdims=keepdims)


def test_argmax_finds_the_first_nan_even_beside_infinity(xp):
    x = np.array([[math.inf, math.nan, math.nan], [1, math.inf, math.inf], [-math.inf] * 3])
    assert_agrees(xp, "argmax", x, axis=1, expected=np.array([1, 1, 0]))
    assert_agrees(xp, "argmin", x, axis=1, expected=np.array([1, 0, 0]))


@pytest.mark.parametrize("dtype", ["bool", *REAL, *COMPLEX])
def test_what_is_not_zero_is_counted_and_found(xp, dtype):
    x = tied(dtype)
    assert_agrees(xp, "nonzero", x)
    for options in ({}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}):
        assert_agrees(xp, "count_nonzero", x, expected=np.asarray(np.count_nonzero(x, **options), np.int64), **options)


def test_nonzero_needs_an_axis(xp):
    with pytest.raises(ValueError, match="not a 0-d one"):
        xp.nonzero(xp.asarray(1))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", REAL)
def test_searchsorted_finds_the_place_on_either_side_of_equals(xp, dtype, side):
    x = np.sort(tied(dtype).reshape(-1))
    assert_agrees(xp, "searchsorted", x, tied(dtype), side=side)


def test_searchsorted_takes_the_order_from_a_sorter(xp):
    x, order = np.array([3.0, 1.0, 2.0]), np.array([1, 2, 0])
    found = xp.searchsorted(xp.asarray(x), xp.asarray([0.5, 2.0, 9.0], dtype=xp.float64), sorter=xp.asarray(order))
    assert found.numpy().tolist() == [0, 1, 3]
    with pytest.raises(ValueError, match="side is 'middle'"):
        xp.searchsorted(xp.asarray(x), xp.asarray(x), side="middle")


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, "float32", "complex64"])
def test_where_takes_from_one_or_the_other(xp, dtype):
    condition = np.array([[True], [False]])
    assert_agrees(xp, "where", condition, np.array([1, 0, 1], dtype), np.array([0, 1, 0], dtype))


def test_where_takes_python_numbers_and_promotes(xp):
    condition = np.array([True, False])
    for found in calls(xp, lambda c, x: xp.where(c, x, 0), (condition, np.array([1, 2], np.float32)), {}):
        assert_same(found, np.array([1, 0], np.float32))
    assert_agrees(xp, "where", condition, np.array([1, 2], np.int8), np.array([1, 2], np.uint8))


# Sets


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, "float32", "float64"])
def test_distinct_values_come_in_order_with_where_and_how_often_they_are(xp, dtype):
    x = tied(dtype)
    expected = np.unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    for found in calls(xp, xp.unique_all, (x,), {}):
        np.testing.assert_array_equal(found.values, expected[0])
        np.testing.assert_array_equal(found.counts, expected[3])
        np.testing.assert_array_equal(found.indices, expected[1])
        np.testing.assert_array_equal(np.asarray(found.values)[found.inverse_indices], x)
    found = xp.asarray(x)
    np.testing.assert_array_equal(xp.unique_values(found), expected[0])
    np.testing.assert_array_equal(xp.unique_counts(found).counts, expected[3])
    np.testing.assert_array_equal(xp.unique_inverse(found).inverse_indices, xp.unique_all(found).inverse_indices)


def test_the_distinct_of_complex_numbers_and_of_none(xp):
    x = np.array([1 + 2j, 1 + 1j, 0 + 9j, 1 + 2j], np.complex64)
    found = xp.unique_all(xp.asarray(x))
    np.testing.assert_array_equal(found.values, [9j, 1 + 1j, 1 + 2j])
    np.testing.assert_array_equal(found.counts, [1, 1, 2])
    empty = xp.unique_all(xp.asarray(np.zeros((0, 2))))
    assert [tuple(part.shape) for part in empty] == [(0,), (0,), (0, 2), (0,)]


def test_the_gradient_of_a_sort_flows_to_where_the_numbers_were(xp):
    assert_gradient(xp, lambda x: xp.sort(x, axis=0), [[3.0, 1.0], [2.0, 4.0], [-1.0, 7.0]])
    assert_gradient(xp, lambda x: xp.sort(x, descending=True), [3.0, 1.0, 2.0])
