"""`gradcheck`, and the differences that it compares with."""

from __future__ import annotations

import numpy as np
import pytest

import tempscale as ts
from tempscale.testing import State, assert_conforms, gradcheck
from tempscale.testing.derivatives import derivative

ONE = {"backends": ("jax",), "dtypes": ("float32",), "quick": True}


@ts.agnostic
def wave(x, y, /, *, xp):
    return xp.sin(x) * xp.exp(y / 4)


X, Y = np.linspace(-2, 2, 9), np.linspace(1, -3, 9)


# Differences


@pytest.mark.parametrize(
    ("fn", "slope"),
    [
        (np.exp, np.exp),
        (np.sin, np.cos),
        (lambda x: x**3, lambda x: 3 * x**2),
        (np.log1p, lambda x: 1 / (1 + x)),
        (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    ],
)
@pytest.mark.parametrize("x", [-0.75, 0.0, 0.3, 5.0, 40.0])
@pytest.mark.parametrize("wide", [np.float64, np.longdouble])
def test_the_error_of_a_difference_is_within_its_estimate_and_small(fn, slope, x, wide):
    found = derivative(lambda t: fn(np.asarray([x], wide) + wide(t)), abs(x))
    assert abs(found.value - slope(np.longdouble(x))) <= found.error
    assert found.error <= 1e-7 * max(found.scale, 1)


@pytest.mark.parametrize("x", [1e-6, 1e-3, 0.01, 3.0, 1e6])
def test_a_function_that_ends_near_its_argument_is_differentiated_all_the_same(x):
    with np.errstate(all="ignore"):
        found = derivative(lambda t: np.log(np.asarray([x + t])), x)
    assert abs(found.value * x - 1) < 1e-6


@pytest.mark.parametrize("fn", [np.abs, lambda x: np.maximum(x, 0), np.sign, np.floor])
def test_at_a_kink_there_is_no_derivative(fn):
    assert np.isnan(derivative(lambda t: fn(np.asarray([0.0 + t])), 0.0).value)


# gradcheck


def test_a_right_derivative_holds_on_every_backend_that_differentiates_eager_and_compiled():
    report = gradcheck(wave, X, Y, backends=("numpy", "tensorflow", "jax"))
    held = {(c.backend, c.dtype, c.compiler) for c in report.cells if c.state is State.HELD}
    for dtype in ("float32", "float64"):
        assert ("jax", dtype, "jax.jit") in held
        assert {("tensorflow", dtype, ""), ("jax", dtype, "")} <= held
    numpy = [cell.state for cell in report.cells if cell.backend == "numpy"]
    expected = State.HELD if ts.get_backend("numpy").transforms else State.NOT_APPLICABLE
    assert {*numpy} == {expected}


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_a_derivative_that_is_wrong_on_one_backend_is_named_with_the_element(backend):
    xp = ts.get_backend(backend).namespace
    made = ts.agnostic(wave.body)

    @made.native(backend)
    def native(x, y):
        right = wave.call_body(x, y)
        here = xp.asarray(np.arange(9) == 6) if backend != "tensorflow" else xp.arange(9) == 6
        return xp.where(here, right + 0.01 * (y - ts.stop_gradient(y)), right)

    with pytest.raises(AssertionError) as failed:
        gradcheck(made, X, Y, dtypes=("float32",), backends=("numpy", backend), quick=True)
    message = str(failed.value)
    assert f"\n{backend} {ts.get_backend(backend).version} on " in message
    assert "\nnumpy" not in message
    assert "d/dy [6] is " in message
    assert "y = -2 there" in message


def test_a_derivative_that_is_missing_is_found():
    made = ts.agnostic(lambda x, /, *, xp: ts.stop_gradient(x) * 2 + x)
    with pytest.raises(AssertionError, match=r"d/dx \[\d\] is "):
        gradcheck(made, X, reference=lambda x: 3 * x, **ONE)


def test_a_nan_in_a_derivative_is_found():
    @ts.agnostic
    def norm(x, /, *, xp):
        return xp.sqrt(xp.sum(x * x * 0.0, axis=-1)) + xp.sum(x, axis=-1)

    with pytest.raises(AssertionError, match=r"is nan, the reference -?0\."):
        gradcheck(norm, [[0.5, 1.0]], reference=lambda x: x.sum(-1), **{**ONE, "dtypes": ("float64",)}, directions=1)


def test_trees_results_of_several_and_integers_are_differentiated():
    @ts.agnostic
    def affine(params, index, /, *, xp):
        return {"y": params["w"] * params["b"][1], "index": index, "z": xp.exp(params["b"][0])}

    params = {"w": np.asarray([1.0, 2.0]), "b": (np.asarray([0.5]), np.asarray(3.0))}
    gradcheck(affine, params, np.arange(3), backends=("torch", "tensorflow", "jax"), quick=True)


def test_one_direction_takes_as_many_calls_for_many_elements():
    calls = 0

    def reference(x):
        nonlocal calls
        calls += 1
        return x * x

    made = ts.agnostic(lambda x, /, *, xp: x * x)
    gradcheck(made, np.linspace(-1, 1, 100_000), reference=reference, directions=1, **ONE)
    assert calls < 100


def test_gradcheck_says_where_the_reference_is_not_smooth():
    relu = ts.agnostic(lambda x, /, *, xp: xp.maximum(x, xp.zeros_like(x)))
    with pytest.raises(ValueError, match="no derivative along a random direction in float32: give arguments where"):
        gradcheck(relu, [0.0, 1.0], **ONE)
    gradcheck(relu, [-0.5, 1.0], **ONE)


def test_element_by_element_a_kink_is_left_out_and_the_rest_is_compared():
    relu = ts.agnostic(lambda x, /, *, xp: xp.maximum(x, xp.zeros_like(x)))
    report = assert_conforms(relu, [0.0, -1.0, 1.0], contract="0*u", modes=("gradient",), **ONE)
    assert report.cells[0].elements == 2
