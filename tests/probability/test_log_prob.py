"""log_prob: the log-probabilities of tokens, one per row or several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exactness import allowing, assert_held, make

import tempscale
from tempscale import Backend, random
from tempscale.testing import assert_ulp

LOGITS = np.array([[0.0, 1.0, 2.0, -1.0], [5.0, 0.0, 0.0, 1e4]], np.float32)


def test_one_token_per_row(backend: Backend) -> None:
    tokens = np.array([2, 3], np.int32)
    found = tempscale.log_prob(make(backend, LOGITS), make(backend, tokens, "int32"), temperature=0.7)
    assert backend.shape(found) == (2,)
    assert_held("log_prob", found, LOGITS, tokens, temperature=0.7)


def test_several_tokens_are_as_each_of_them(backend: Backend) -> None:
    tokens, logits = np.array([[0, 0, 3], [1, 3, 2]], np.int32), make(backend, LOGITS)
    found = tempscale.to_numpy(tempscale.log_prob(logits, make(backend, tokens, "int32")))
    for column, several in zip(tokens.T, found.T, strict=True):
        one = tempscale.log_prob(logits, make(backend, column, "int32"))
        assert_ulp(one, several, 1)  # compiled for each shape, which may add in another order


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64"])
def test_any_dtype_of_integers(backend: Backend, dtype: str) -> None:
    logits = np.zeros((1, 300), np.float32)
    with allowing(dtype):
        found = tempscale.log_prob(make(backend, logits), make(backend, [100], dtype))
    assert_held("log_prob", found, logits, np.array([100]))


def test_of_what_sample_draws(backend: Backend) -> None:
    logits = make(backend, np.random.default_rng(0).standard_normal((2, 3, 7)))
    tokens = tempscale.sample(logits, random.key(1), temperature=0.5, num_samples=4)
    found = tempscale.log_prob(logits, tokens, temperature=0.5)
    assert backend.shape(found) == (2, 3, 4)
    assert (tempscale.to_numpy(found) <= 0).all()


def test_an_index_of_no_class_has_nan(backend: Backend) -> None:
    found = tempscale.log_prob(make(backend, LOGITS), make(backend, [[-1, 4, 0], [3, -1, 3]], "int32"))
    np.testing.assert_array_equal(np.isnan(tempscale.to_numpy(found)), [[1, 1, 0], [0, 1, 0]])


def test_a_masked_class_has_minus_infinity(backend: Backend) -> None:
    where = make(backend, [True, False, True, True], "bool")
    found = tempscale.to_numpy(tempscale.log_prob(make(backend, LOGITS), [1, 0], where=where))
    assert found[0] == -np.inf
    assert np.isfinite(found[1])


def test_a_row_without_a_distribution_has_nan(backend: Backend) -> None:
    rows = [[np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf], [0.0, 0.0]]
    found = tempscale.to_numpy(tempscale.log_prob(make(backend, rows), [0, 1, 0, 1]))
    np.testing.assert_array_equal(np.isnan(found), [True, True, True, False])


@pytest.mark.parametrize("temperature", [0.0, np.inf])
def test_the_limits_of_the_temperature(backend: Backend, temperature: float) -> None:
    found = tempscale.log_prob(make(backend, LOGITS), [2, 0], temperature=temperature)
    assert_held("log_prob", found, LOGITS, np.array([2, 0]), temperature=temperature)


def test_one_row_and_one_number(backend: Backend) -> None:
    found = tempscale.log_prob(make(backend, LOGITS[0]), 2)
    assert backend.shape(found) == ()
    assert backend.shape(tempscale.log_prob(make(backend, LOGITS[0]), [2, 1, 0])) == (3,)


def test_no_rows_and_no_tokens(backend: Backend) -> None:
    none = make(backend, np.zeros((0, 4)))
    assert backend.shape(tempscale.log_prob(none, make(backend, np.zeros(0), "int32"))) == (0,)
    several = make(backend, np.zeros((2, 0)), "int32")
    assert backend.shape(tempscale.log_prob(make(backend, LOGITS), several)) == (2, 0)


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_log_prob_in_a_precision_is_the_entry_of_log_softmax(backend: Backend, precision: Any) -> None:
    options = {"temperature": 0.7, "precision": precision}
    found = tempscale.log_prob(make(backend, LOGITS), [[1, 2], [0, 3]], **options)
    every = tempscale.to_numpy(tempscale.log_softmax(make(backend, LOGITS), **options))
    np.testing.assert_array_equal(tempscale.to_numpy(found), np.take_along_axis(every, np.array([[1, 2], [0, 3]]), -1))


def test_a_gradient_adds_up_over_the_tokens_of_a_row(differentiating: Backend) -> None:
    """d log p(t) / dx = (1 at t) - p. Of four equal logits each p is 1/4, exactly."""
    backend = differentiating
    tokens = make(backend, [[2, 2, 0]], "int32")
    one = make(backend, np.ones((1, 3)))
    (found,) = backend.vjp(lambda x: tempscale.log_prob(x, tokens), [make(backend, np.zeros((1, 4)))], one)
    np.testing.assert_array_equal(tempscale.to_numpy(found), np.array([[1.0, 0, 2, 0]]) - 3 / 4)


def test_wrong_tokens_are_refused() -> None:
    with pytest.raises(TypeError, match="tokens is float64, expected integers"):
        tempscale.log_prob(LOGITS, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"tokens has shape \(3,\), expected \(2,\), one per row"):
        tempscale.log_prob(LOGITS, [0, 1, 2])
    with pytest.raises(ValueError, match=r"tokens has shape \(2, 1, 1\)"):
        tempscale.log_prob(LOGITS, np.zeros((2, 1, 1), int))


def test_checks_name_the_token_that_is_no_class() -> None:
    with tempscale.checks(), pytest.raises(ValueError, match=r"tokens\[1\] is 9: there are 4 classes"):
        tempscale.log_prob(LOGITS, [0, 9])
