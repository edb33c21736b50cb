"""What JAX knows of rows of logits at a number as temperature is what the bodies compute at an array."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

import tempscale as ts

INF = float("inf")
ROWS = np.float32(
    [
        [0.0, -15.0, -16.0, -40.0],  # dominant: the sum of the others would be lost in that of all
        [1.0, 0.9, -2.0, 0.5],
        [3.0, 3.0, 3.0, -1.0],  # tied
        [2.0, -INF, 1.0, 2.0],
        [-0.0, -INF, -INF, -INF],
        [1e-7, 0.0, -20.0, -30.0],  # exp of the difference is 1, or nearly so
    ]
)
INVALID = np.float32([[1.0, INF, 0.0, 0.0], [-INF] * 4, [1.0, float("nan"), INF, 0.0]])
LABELS = np.int32([1, 2, 0, 0, 0, 2])
FUNCTIONS: tuple[Callable[..., Any], ...] = (ts.softmax, ts.log_softmax, ts.logsumexp, ts.entropy)


def test_values_in_jax_are_the_same_at_a_number_and_at_an_array(jax: ModuleType) -> None:
    for rows in (ROWS, INVALID):
        for function in FUNCTIONS:
            found, expected = [function(jax.numpy.asarray(rows), temperature=t) for t in (0.5, jax.numpy.float32(0.5))]
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-37)


def test_derivatives_of_both_orders_in_jax_are_the_same_at_a_number_and_at_an_array(jax: ModuleType) -> None:
    x, labels = jax.numpy.asarray(ROWS), jax.numpy.asarray(LABELS)
    along = jax.numpy.cos(jax.numpy.arange(x.size, dtype=x.dtype)).reshape(x.shape)

    def derivatives(temperature: Any) -> Any:
        def total(x: Any) -> Any:
            results = [function(x, temperature=temperature) for function in FUNCTIONS]
            results.append(ts.cross_entropy(x, labels, temperature=temperature, reduction="none"))
            return sum([jax.numpy.sum(jax.numpy.where(y > -INF, y, 0.0) ** 2) for y in results])

        gradient = jax.grad(total)
        reverse = jax.grad(lambda x: (gradient(x) * along).sum())(x)
        return gradient(x), jax.jvp(gradient, (x,), (along,))[1], reverse

    found, expected = jax.jit(derivatives, static_argnums=0)(0.5), jax.jit(derivatives)(jax.numpy.float32(0.5))
    for ours, theirs in zip(found, expected, strict=True):
        assert np.isfinite(theirs).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_infinite_logit_in_jax_does_not_move_logsumexp_in_any_order(jax: ModuleType) -> None:
    slope = jax.grad(lambda x: ts.logsumexp(x, temperature=0.5).sum())
    found = jax.jit(jax.grad(lambda x: (slope(x) ** 2).sum()))(jax.numpy.asarray(INVALID[:2]))
    assert (found == 0).all()
