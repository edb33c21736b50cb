"""Linear algebra and Fourier transforms: NumPy's results, or the equations that define them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import COMPLEX, INTEGERS, assert_agrees, assert_gradient, assert_same, calls

RNG = np.random.default_rng(0)
FLOATING = ("float32", "float64", *COMPLEX)


def normal(*shape, dtype="float64"):
    x = RNG.normal(size=shape)
    return (x + 1j * RNG.normal(size=shape) if dtype in COMPLEX else x).astype(dtype)


def assert_close(found, expected, ulps=64):
    """Equal but for `ulps` of the largest element, as a sum of products in another order is."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    scale = np.max(np.abs(expected), initial=1)
    assert np.max(np.abs(found - expected), initial=0) <= ulps * scale * np.finfo(found.dtype).eps


SHAPES = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((3,), (2, 3, 4)),
    ((2, 2, 3), (3,)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((2, 0), (0, 3)),
]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATING])
def test_matrices_are_multiplied_modulo_the_range_of_integers(xp, dtype, shapes):
    x, y = (RNG.integers(0, 100, shape).astype(dtype) for shape in shapes)
    assert_agrees(xp, "matmul", x, y)


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float64", "complex64"])
def test_products_over_axes(xp, dtype):
    x, y = RNG.integers(0, 9, (2, 3, 4)).astype(dtype), RNG.integers(0, 9, (4, 3, 2)).astype(dtype)
    for axes in (1, 0, ((1, -1), (1, 0)), ((), ())):
        assert_agrees(xp, "tensordot", x, y, axes=axes)
    assert_agrees(xp, "vecdot", x, x[:1], axis=1, expected=np.vecdot(x, x[:1], axis=1))
    assert_agrees(xp, "linalg.outer", x[0, 0], y[0, 0])
    assert_agrees(xp, "linalg.cross", x[:, :3, 0], y[:2, :, 0])
    wide = np.int32 if dtype == "int8" else dtype
    assert_agrees(xp, "linalg.trace", x, offset=1, expected=np.trace(x, 1, -2, -1, dtype=wide))


def test_vecdot_conjugates_its_first_argument(xp):
    x, y = normal(4, dtype="complex128"), normal(4, dtype="complex128")
    assert_close(xp.vecdot(xp.asarray(x), xp.asarray(y)), np.vecdot(x, y))


def test_vectors_of_the_wrong_length_and_scalars_are_errors_in_words(xp):
    with pytest.raises(ValueError, match="vectors of 3 elements, not of 2"):
        xp.linalg.cross(xp.ones((2,)), xp.ones((2,)))
    with pytest.raises(ValueError, match="vectors of one length, not of 1 and 3"):
        xp.vecdot(xp.ones((1,)), xp.ones((3,)))
    with pytest.raises(ValueError, match="not 0-d ones"):
        xp.matmul(xp.asarray(1.0), xp.ones((2,)))
    with pytest.raises(ValueError, match="inv takes matrices or stacks of them, not an array of 1 axes"):
        xp.linalg.inv(xp.ones((2,)))


@pytest.mark.parametrize("dtype", FLOATING)
def test_decompositions_multiply_to_the_matrix(xp, dtype):
    x = normal(2, 4, 3, dtype=dtype)
    square = x.conj().mT @ x
    for full in (True, False):
        for u, s, vh in calls(xp, xp.linalg.svd, (x,), {"full_matrices": full}):
            u, s, vh = (np.asarray(part) for part in (u, s, vh))
            assert u.shape == ((2, 4, 4) if full else (2, 4, 3))
            assert_close(u[..., :3] * s[..., None, :] @ vh, x)
            assert_close(s, np.linalg.svdvals(x))
    for mode in ("reduced", "complete"):
        for q, r in calls(xp, xp.linalg.qr, (x,), {"mode": mode}):
            assert_close(np.asarray(q) @ np.asarray(r), x)
            assert q.shape == ((2, 4, 3) if mode == "reduced" else (2, 4, 4))
    for values, vectors in calls(xp, xp.linalg.eigh, (square,), {}):
        assert_close(square @ np.asarray(vectors), np.asarray(vectors) * np.asarray(values)[:, None, :])
    for upper in (False, True):
        for found in calls(xp, xp.linalg.cholesky, (square,), {"upper": upper}):
            assert_close(found, np.linalg.cholesky(square, upper=upper))
    for name in ("eigvalsh", "svdvals"):
        for found in calls(xp, getattr(xp.linalg, name), (square,), {}):
            assert_close(found, getattr(np.linalg, name)(square))


@pytest.mark.parametrize("dtype", FLOATING)
def test_equations_and_what_is_told_of_a_matrix(xp, dtype):
    x = normal(2, 3, 3, dtype=dtype) + 3 * np.eye(3, dtype=dtype)
    for name in ("inv", "det", "pinv", "matrix_rank"):
        for found in calls(xp, getattr(xp.linalg, name), (x,), {}):
            assert_close(np.asarray(found, dtype), np.asarray(getattr(np.linalg, name)(x), dtype), 256)
    for found in calls(xp, xp.linalg.slogdet, (x,), {}):
        for part, expected in zip(found, np.linalg.slogdet(x), strict=True):
            assert_close(part, expected)
    for b in (normal(2, 3, 2, dtype=dtype), normal(3, dtype=dtype), normal(3, 1, dtype=dtype)):
        for found in calls(xp, xp.linalg.solve, (x, b), {}):
            assert_close(found, np.linalg.solve(x, b), 256)
    for n in (-2, 0, 1, 5):
        for found in calls(xp, lambda y: xp.linalg.matrix_power(y, n), (x,), {}):  # noqa: B023
            assert_close(found, np.linalg.matrix_power(x, n), 256)


def test_small_singular_values_count_as_zero(xp):
    x = np.outer([1.0, 2, 3], [1.0, 1])
    assert xp.linalg.matrix_rank(xp.asarray(x)).numpy() == 1
    assert xp.linalg.matrix_rank(xp.asarray(np.diag([1, 0.1])), rtol=0.5).numpy() == 1
    assert_close(xp.linalg.pinv(xp.asarray(x)), np.linalg.pinv(x))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", FLOATING)
def test_norms_are_those_of_numpy(xp, dtype, keepdims):
    x = normal(2, 3, 4, dtype=dtype)
    for order in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        for found in calls(xp, xp.linalg.matrix_norm, (x,), {"ord": order, "keepdims": keepdims}):
            assert_close(found, np.linalg.matrix_norm(x, ord=order, keepdims=keepdims))
    for axis in (None, 1, (0, -1)):
        for order in (0, 1, 2, 3, -1, 0.5, math.inf, -math.inf):
            options = {"axis": axis, "ord": order, "keepdims": keepdims}
            for found in calls(xp, xp.linalg.vector_norm, (x,), options):
                assert_close(found, np.asarray(np.linalg.vector_norm(x, **options), found.dtype.as_numpy_dtype))
    with pytest.raises(ValueError, match="ord is 3"):
        xp.linalg.matrix_norm(xp.asarray(x), ord=3)


@pytest.mark.parametrize("name", ["inv", "det", "pinv", "matrix_norm", "svdvals", "eigvalsh", "trace", "cholesky"])
def test_the_gradient_of_linear_algebra_flows(xp, name):
    x = normal(3, 3)
    function = getattr(xp.linalg, name)
    assert_gradient(
        xp, lambda y: function(y @ xp.matrix_transpose(y) + 2 * xp.eye(3, dtype=xp.float64)), x, tolerance=1e-6
    )


def test_the_gradients_of_products_and_solutions_flow(xp):
    x, y = normal(3, 3) + 3 * np.eye(3), normal(3, 3)
    for function in (xp.matmul, xp.tensordot, xp.vecdot, xp.linalg.cross, xp.linalg.solve):
        options = {"axes": 1} if function is xp.tensordot else {}
        assert_gradient(xp, lambda a, b: function(a, b, **options), x, y)  # noqa: B023


# Fourier transforms

TRANSFORMS = {
    "fft": "complex",
    "ifft": "complex",
    "rfft": "real",
    "irfft": "complex",
    "hfft": "complex",
    "ihfft": "real",
}


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_is_that_of_numpy_for_any_size_axis_and_norm(xp, name, double, norm):
    kind = {"complex": COMPLEX, "real": ("float32", "float64")}[TRANSFORMS[name]][double]
    x = normal(4, 5, dtype=kind)
    for options in ({}, {"axis": 0}, {"n": 3}, {"n": 9, "axis": -2}):
        for found in calls(xp, getattr(xp.fft, name), (x,), {"norm": norm, **options}):
            assert_close(found, getattr(np.fft, name)(x, norm=norm, **options))


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_a_transform_along_several_axes(xp, name, norm):
    x = normal(3, 4, 5, dtype="float64" if name == "rfftn" else "complex128")
    for options in ({}, {"axes": (0, 2)}, {"s": (4, 6), "axes": (1, 2)}, {"axes": (-1,)}):
        for found in calls(xp, getattr(xp.fft, name), (x,), {"norm": norm, **options}):
            assert_close(found, getattr(np.fft, name)(x, norm=norm, **options))


@pytest.mark.parametrize("n", [1, 4, 5])
def test_frequencies_and_their_order(xp, n):
    for name in ("fftfreq", "rfftfreq"):
        found = getattr(xp.fft, name)(n, d=0.1, dtype=xp.float64)
        assert_same(found, getattr(np.fft, name)(n, d=0.1), ulps=1)
    for name in ("fftshift", "ifftshift"):
        for axes in (None, 0, (0, 1)):
            assert_agrees(xp, f"fft.{name}", np.arange(3.0 * n).reshape(3, n), axes=axes)


def test_a_transform_that_cannot_be_is_an_error_in_words(xp):
    with pytest.raises(ValueError, match="norm is 'none'"):
        xp.fft.fft(xp.ones(3), norm="none")
    with pytest.raises(ValueError, match="at least 1 point, not 0"):
        xp.fft.fft(xp.ones(3), n=0)
    with pytest.raises(TypeError, match="rfft takes arrays of a real floating dtype, not complex64"):
        xp.fft.rfft(xp.ones(3, dtype=xp.complex64))


def test_the_gradient_of_a_transform_flows(xp):
    assert_gradient(xp, lambda x: xp.real(xp.fft.fft(x)), normal(2, 4))
    assert_gradient(xp, lambda x: xp.imag(xp.fft.rfft(x)), normal(2, 4))
