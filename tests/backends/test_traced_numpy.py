"""NumPy arrays that autograd traces: the standard's functions have the derivatives that JAX gives them."""

from __future__ import annotations

import numpy as np
import pytest
from support import require, run_python

import tempscale as ts

X = np.asarray([[0.3, -1.2, 2.5], [0.9, 0.1, -0.7]])
POSITIVE = np.abs(X) + 0.1
UNIT = X / 3.0
SQUARE = np.asarray([[2.0, 0.3, -0.4], [0.1, 1.5, 0.2], [0.5, -0.6, 3.0]])
SYMMETRIC = SQUARE @ SQUARE.T
INDICES = np.asarray([[2, 0], [1, 1]])

ELEMENTWISE = {
    **dict.fromkeys(
        ("abs", "atan", "asinh", "ceil", "cos", "cosh", "exp", "expm1", "floor", "negative", "positive", "reciprocal"),
        X,
    ),
    **dict.fromkeys(("round", "sign", "sin", "sinh", "square", "tan", "tanh", "trunc"), X),
    **dict.fromkeys(("log", "log1p", "log2", "log10", "sqrt"), POSITIVE),
    **dict.fromkeys(("acos", "asin", "atanh"), UNIT),
    "acosh": POSITIVE + 1.0,
}
BINARY = ("add", "atan2", "copysign", "divide", "hypot", "logaddexp", "maximum", "minimum", "multiply", "subtract")

OTHERS = {
    "pow": lambda xp, x: xp.pow(xp.abs(x), 1.7),
    "remainder": lambda xp, x: xp.remainder(x, 0.4),
    "clip": lambda xp, x: xp.clip(x, -0.5, 1.0),
    "clip from below": lambda xp, x: xp.clip(x, min=0.0),
    "where": lambda xp, x: xp.where(x > 0.0, x * x, -x),
    "astype": lambda xp, x: xp.astype(xp.astype(x, xp.float32), xp.float64),
    "sum": lambda xp, x: xp.sum(x, axis=1, keepdims=True) * x,
    "prod": lambda xp, x: xp.prod(x, axis=0),
    "mean": lambda xp, x: xp.mean(x, axis=1, keepdims=True) * x,
    "var": lambda xp, x: xp.var(x, axis=1, correction=1.0),
    "std": lambda xp, x: xp.std(x, axis=0),
    "max": lambda xp, x: xp.max(x, axis=1),
    "min": lambda xp, x: xp.min(x, axis=0, keepdims=True),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=1),
    "cumulative_sum with the initial zero": lambda xp, x: xp.cumulative_sum(x, axis=0, include_initial=True),
    "cumulative_prod": lambda xp, x: xp.cumulative_prod(x, axis=1),
    "diff": lambda xp, x: xp.diff(x, axis=1),
    "sort": lambda xp, x: xp.sort(x, axis=-1),
    "reshape": lambda xp, x: xp.reshape(x, (3, 2)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 0)),
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(x),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, 1),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=1),
    "squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=0), axis=0),
    "concat": lambda xp, x: xp.concat([x, 2.0 * x], axis=1),
    "concat of all entries": lambda xp, x: xp.concat([x, x], axis=None),
    "stack": lambda xp, x: xp.stack([x, x * x], axis=1),
    "unstack": lambda xp, x: xp.unstack(x, axis=1)[1],
    "flip": lambda xp, x: xp.flip(x, axis=1),
    "flip of all axes": lambda xp, x: xp.flip(x),
    "roll": lambda xp, x: xp.roll(x, 1, axis=1),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=1),
    "tile": lambda xp, x: xp.tile(x, (2, 1)),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (4, 2, 3)),
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[:1, :])[1],
    "meshgrid": lambda xp, x: xp.meshgrid(x[0], x[1])[0] * xp.meshgrid(x[0], x[1])[1],
    "meshgrid by rows": lambda xp, x: xp.meshgrid(x[0], x[1], indexing="ij")[0],
    "tril": lambda xp, x: xp.tril(x),
    "triu": lambda xp, x: xp.triu(x, k=1),
    "take": lambda xp, x: xp.take(x, xp.asarray([2, 0, 2]), axis=1),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.asarray(INDICES), axis=1),
    "matmul": lambda xp, x: xp.matmul(x, xp.matrix_transpose(x)),
    "tensordot": lambda xp, x: xp.tensordot(x, x, axes=((1,), (1,))),
    "vecdot": lambda xp, x: xp.vecdot(x, x[:, ::-1]),
    "the operator @": lambda xp, x: x @ x.T,
}
LINALG = {
    "inv": lambda xp, x: xp.linalg.inv(x),
    "det": lambda xp, x: xp.linalg.det(x),
    "slogdet": lambda xp, x: xp.linalg.slogdet(x)[1],
    "solve": lambda xp, x: xp.linalg.solve(x, xp.asarray([1.0, 2.0, 3.0])[:, None]),
    "cholesky": lambda xp, x: xp.linalg.cholesky(x @ x.T),
    "eigvalsh": lambda xp, x: xp.linalg.eigh(x + x.T)[0],
    "svdvals": lambda xp, x: xp.linalg.svd(x, full_matrices=False)[1],
    "pinv": lambda xp, x: xp.linalg.pinv(x),
    "trace": lambda xp, x: xp.linalg.trace(x),
    "diagonal": lambda xp, x: xp.linalg.diagonal(x),
    "outer": lambda xp, x: xp.linalg.outer(x[0], x[1]),
    "vector_norm": lambda xp, x: xp.linalg.vector_norm(x, axis=1),
    "matrix_norm": lambda xp, x: xp.linalg.matrix_norm(x),
    "matrix_power": lambda xp, x: xp.linalg.matrix_power(x, 3),
}


def gradients(fn, x):
    """The gradient of a weighted sum of fn(x), from NumPy with autograd and from JAX, in float64."""
    found = []
    for name in ("numpy", "jax"):
        backend = require(name)
        with backend.allowing("float64"):

            def weighted(x):
                xp = ts.array_namespace(x)
                y = xp.reshape(fn(xp, x), (-1,))
                return xp.sum(y * xp.cos(xp.arange(y.shape[0], dtype=xp.float64)))

            found.append(ts.to_numpy(ts.grad(weighted)(backend.asarray(x))))
    return found


def assert_same_derivative(fn, x):
    ours, theirs = gradients(fn, x)
    # two ways to compute it in float64, of numbers of a few units
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions_of_one_array(name):
    assert_same_derivative(lambda xp, x: getattr(xp, name)(x), ELEMENTWISE[name])


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arrays(name):
    assert_same_derivative(lambda xp, x: getattr(xp, name)(x, x[:1, ::-1] + 0.15), X)


@pytest.mark.parametrize("name", OTHERS)
def test_statistics_manipulation_and_indexing(name):
    assert_same_derivative(OTHERS[name], X)


@pytest.mark.parametrize("name", LINALG)
def test_linear_algebra(name):
    assert_same_derivative(LINALG[name], SQUARE)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_gradient_has_the_dtype_of_its_argument(dtype):
    x = np.asarray(X, dtype)
    assert ts.grad(lambda x: ts.array_namespace(x).sum(ts.log_softmax(x)[:, 0]))(x).dtype == dtype


def test_natives_for_numpy_do_not_see_what_is_traced():
    @ts.agnostic
    def twice(x, /, *, xp):
        return xp.add(x, x)

    @twice.native("numpy")
    def _(x):
        raise AssertionError("called while differentiating")

    np.testing.assert_array_equal(ts.grad(lambda x: twice(x).sum())(X), np.full_like(X, 2.0))


def test_autograd_s_own_transforms_work_on_functions_of_the_library():
    autograd = pytest.importorskip("autograd")
    found = autograd.grad(lambda x: ts.log_softmax(x, temperature=0.5)[0])(X[0])
    np.testing.assert_array_equal(found, ts.grad(lambda x: ts.log_softmax(x, temperature=0.5)[0])(X[0]))


def test_traced_arrays_may_stand_beside_arrays():
    value, gradient = ts.value_and_grad(lambda x: ts.kl_divergence(x, X[1]))(X[0])
    assert value > 0
    assert gradient.shape == (3,)
    assert ts.value_and_grad(lambda x: ts.kl_divergence(X[1], x))(X[1])[0] == 0


def test_the_value_of_a_traced_array_can_be_looked_at():
    seen = []
    ts.grad(lambda x: seen.append(ts.to_numpy(x)) or x.sum())(X)
    np.testing.assert_array_equal(seen[0], X)


def test_numpy_without_autograd_says_what_to_install():
    run_python(
        """
        import sys
        sys.modules["autograd"] = None  # what an import of a package that is not there finds
        import numpy, tempscale
        try:
            tempscale.grad(lambda x: x.sum())(numpy.ones(2))
        except tempscale.BackendUnavailableError as error:
            assert "pip install 'tempscale[autograd]'" in str(error), error
        else:
            raise AssertionError("no error")
        """
    )
