"""The linear algebra extension, and the functions of it that are in the main namespace as well."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace import statistics
from tempscale_backends.tensorflow.namespace._arguments import (
    axes_of,
    axis_of,
    diagonal_number,
    in_signed,
    pair,
    promote,
    rank,
    size_of,
    sizes,
    sizes_tensor,
    take_kind,
    tensor,
    wrong_kind,
)
from tempscale_backends.tensorflow.namespace._dtypes import DEFAULT_INDEX, HALF, INTEGRAL, KINDS, REAL_OF
from tempscale_backends.tensorflow.namespace.data_types import finfo
from tempscale_backends.tensorflow.namespace.elementwise import multiply
from tempscale_backends.tensorflow.namespace.manipulation import broadcast_arrays

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

Function = Callable[..., Any]


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors as columns."""

    eigenvalues: Array
    eigenvectors: Array


class QRResult(NamedTuple):
    """Orthonormal columns, and an upper triangular matrix."""

    Q: Array
    R: Array


class SlogdetResult(NamedTuple):
    """Sign of a determinant, and the logarithm of its absolute value."""

    sign: Array
    logabsdet: Array


class SVDResult(NamedTuple):
    """Left singular vectors, singular values in descending order, and right singular vectors as rows, conjugated."""

    U: Array
    S: Array
    Vh: Array


def _of_matrices(function: Function) -> Function:
    """Check that the first argument is a stack of matrices of floats; compute half precision in float32."""
    name = function.__name__

    @functools.wraps(function)
    def checked(x: Array, *others: Any, **options: Any) -> Any:
        x = take_kind(name, "floating", tensor(x))
        if rank(x) < 2:
            raise ValueError(f"{name} takes matrices or stacks of them, not an array of {rank(x)} axes")
        if x.dtype not in HALF:
            return function(x, *others, **options)
        given = x.dtype
        found = function(tf.cast(x, tf.float32), *others, **options)
        return tf.nest.map_structure(lambda y: tf.cast(y, given) if y.dtype == tf.float32 else y, found)

    return checked


# Products


def matmul(x1: Array, x2: Array, /) -> Array:
    """Matrix product; an array of one axis is a row on the left and a column on the right."""
    x1, x2 = pair(x1, x2)
    if x1.dtype not in KINDS["numeric"]:
        raise wrong_kind("matmul", "numeric", x1.dtype)
    if 0 in (rank(x1), rank(x2)):
        raise ValueError("matmul takes arrays with axes, not 0-d ones: multiply does")
    is_row, is_column = rank(x1) == 1, rank(x2) == 1
    left = x1[None, :] if is_row else x1
    right = x2[:, None] if is_column else x2
    product = _in_product_dtype(tf.matmul, left, right)
    product = tf.squeeze(product, -2) if is_row else product
    return tf.squeeze(product, -1) if is_column else product


def _in_product_dtype(function: Function, *arrays: Array) -> Array:
    """Compute in int32 or int64, the integers that TensorFlow multiplies matrices of; the rest is the same bits."""
    given = arrays[0].dtype
    if given not in INTEGRAL:
        return function(*arrays)
    if given.size < 4:
        return tf.cast(function(*[tf.cast(x, tf.int32) for x in arrays]), given)
    return in_signed(function, *arrays)


def matrix_transpose(x: Array, /) -> Array:
    """Matrices with rows and columns exchanged."""
    if rank(x) < 2:
        raise ValueError(f"matrix_transpose takes matrices or stacks of them, not an array of {rank(x)} axes")
    return tf.linalg.matrix_transpose(x)


def outer(x1: Array, x2: Array, /) -> Array:
    """Products of each element of one vector with each of another."""
    return multiply(x1[:, None], x2[None, :])


def tensordot(x1: Array, x2: Array, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Array:
    """Sum of products over axes: the last of `x1` with the first of `x2`, or those that are named for each."""
    x1, x2 = pair(x1, x2)
    if isinstance(axes, int):
        over = list(range(rank(x1) - axes, rank(x1))), list(range(axes))
    else:
        over = axes_of(tuple(axes[0]), rank(x1)), axes_of(tuple(axes[1]), rank(x2))
    first, second = ([i for i in range(rank(x)) if i not in used] for x, used in zip((x1, x2), over, strict=True))
    rows = tf.transpose(x1, first + over[0])
    columns = tf.transpose(x2, over[1] + second)
    count = functools.reduce(lambda a, b: a * b, (size_of(x1, i) for i in over[0]), 1)
    shape = [size_of(x1, i) for i in first] + [size_of(x2, i) for i in second]
    m, n = (functools.reduce(lambda a, b: a * b, part, 1) for part in (shape[: len(first)], shape[len(first) :]))
    return tf.reshape(matmul(tf.reshape(rows, [m, count]), tf.reshape(columns, [count, n])), sizes_tensor(shape))


def vecdot(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """Sum of products along an axis; of complex numbers `x1` is conjugated."""
    x1, x2 = pair(x1, x2)
    if x1.dtype not in KINDS["numeric"]:
        raise wrong_kind("vecdot", "numeric", x1.dtype)
    sides = {x.shape[axis_of(axis, rank(x))] for x in (x1, x2)} - {None}
    if len(sides) > 1:
        raise ValueError(f"vecdot takes vectors of one length, not of {' and '.join(map(str, sorted(sides)))}")
    conjugated = tf.math.conj(x1) if x1.dtype.is_complex else x1
    return tf.reduce_sum(conjugated * x2, axis)


def cross(x1: Array, x2: Array, /, *, axis: int = -1) -> Array:
    """Cross product of vectors of 3 elements along an axis."""
    x1, x2 = pair(x1, x2)
    for x in (x1, x2):
        if x.shape[axis_of(axis, rank(x))] not in (3, None):
            raise ValueError(f"cross takes vectors of 3 elements, not of {x.shape[axis]}, along axis {axis}")
    a, b = broadcast_arrays(x1, x2)
    return tf.roll(a, -1, axis) * tf.roll(b, -2, axis) - tf.roll(a, -2, axis) * tf.roll(b, -1, axis)


def matrix_power(x: Array, n: int, /) -> Array:
    """Product of `n` factors `x`; of -`n` inverses if that is negative."""
    if n < 0:
        return matrix_power(inv(x), -n)
    if n < 2:
        return tf.identity(x) if n else tf.eye(size_of(x, -1), batch_shape=sizes_tensor(sizes(x)[:-2]), dtype=x.dtype)
    root = matrix_power(x, n // 2)
    whole = matmul(root, root)
    return matmul(whole, x) if n % 2 else whole


# Diagonals


def diagonal(x: Array, /, *, offset: int = 0) -> Array:
    """Elements of a diagonal of matrices, above the main one for a positive offset, below it for a negative one."""
    if rank(x) < 2:
        raise ValueError(f"diagonal takes matrices or stacks of them, not an array of {rank(x)} axes")
    rows, columns = (size_of(x, axis) for axis in (-2, -1))
    offset = diagonal_number(offset)
    down, right = max(-offset, 0), max(offset, 0)
    length = tf.maximum(tf.minimum(rows - down, columns - right), 0)
    places = tf.range(length)
    flat = tf.reshape(x, sizes_tensor([*sizes(x)[:-2], rows * columns]))
    found = tf.gather(flat, (places + down) * columns + places + right, axis=-1)
    known = x.shape[-2:].is_fully_defined()
    return tf.ensure_shape(found, [*x.shape[:-2], max(min(rows - down, columns - right), 0) if known else None])


def trace(x: Array, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """Sum of a diagonal; small integers are added up in int32 or uint32."""
    return statistics.sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


# Decompositions


@_of_matrices
def cholesky(x: Array, /, *, upper: bool = False) -> Array:
    """Lower triangular factor L of the positive definite matrix L L^H, or the upper one, L^H."""
    lower = tf.linalg.cholesky(x)
    return tf.linalg.adjoint(lower) if upper else lower


@_of_matrices
def eigh(x: Array, /) -> EighResult:
    """Eigenvalues and eigenvectors of symmetric or Hermitian matrices."""
    values, vectors = tf.linalg.eigh(x)
    return EighResult(tf.math.real(values), vectors)


@_of_matrices
def eigvalsh(x: Array, /) -> Array:
    """Eigenvalues of symmetric or Hermitian matrices, in ascending order."""
    return tf.math.real(tf.linalg.eigvalsh(x))


@_of_matrices
def qr(x: Array, /, *, mode: str = "reduced") -> QRResult:
    """Factors Q, with orthonormal columns, and R, upper triangular; square Q if the mode is "complete"."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"mode is {mode!r}: give 'reduced' or 'complete'")
    return QRResult(*tf.linalg.qr(x, full_matrices=mode == "complete"))


@_of_matrices
def svd(x: Array, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular value decomposition U S Vh."""
    values, left, right = tf.linalg.svd(x, full_matrices=full_matrices)
    return SVDResult(left, values, tf.linalg.adjoint(right))


@_of_matrices
def svdvals(x: Array, /) -> Array:
    """Singular values in descending order."""
    return tf.linalg.svd(x, compute_uv=False)


# Equations, and what is told of a matrix


@_of_matrices
def det(x: Array, /) -> Array:
    """Determinant."""
    return tf.linalg.det(x)


@_of_matrices
def slogdet(x: Array, /) -> SlogdetResult:
    """Sign of the determinant and logarithm of its absolute value, which does not overflow."""
    sign, logarithm = tf.linalg.slogdet(x)
    return SlogdetResult(sign, tf.math.real(logarithm))


@_of_matrices
def inv(x: Array, /) -> Array:
    """Inverse."""
    return tf.linalg.inv(x)


@_of_matrices
def pinv(x: Array, /, *, rtol: Any = None) -> Array:
    """Pseudo-inverse.

    Singular values up to `rtol` times the largest count as 0, by default up to the larger side times eps.
    """
    left, values, right = svd(x, full_matrices=False)
    above = values > _cutoff(x, values, rtol)
    inverse = tf.where(above, 1 / tf.where(above, values, tf.ones_like(values)), tf.zeros_like(values))
    scaled = tf.linalg.adjoint(right) * tf.cast(inverse, x.dtype)[..., None, :]
    return tf.matmul(scaled, tf.linalg.adjoint(left))


@_of_matrices
def matrix_rank(x: Array, /, *, rtol: Any = None) -> Array:
    """Number of singular values above `rtol` times the largest, by default the larger side times eps."""
    values = svdvals(x)
    return tf.reduce_sum(tf.cast(values > _cutoff(x, values, rtol), DEFAULT_INDEX), -1)


def _cutoff(x: Array, values: Array, rtol: Any) -> Array:
    if rtol is None:
        side = tf.reduce_max(tf.shape(x)[-2:])
        rtol = tf.cast(side, values.dtype) * finfo(values.dtype).eps
    rtol = tf.cast(rtol, values.dtype)
    return tf.reduce_max(values, -1, keepdims=True) * rtol[..., None]


def solve(x1: Array, x2: Array, /) -> Array:
    """Solution of `x1` @ result = `x2`; the right side is a vector if it has one axis, else matrices."""
    x1, x2 = promote(x1, x2)
    is_vector = rank(x2) == 1
    found = _solve(x1, x2[:, None] if is_vector else x2)
    return tf.squeeze(found, -1) if is_vector else found


def _stacked(matrices: Array, batch: Array) -> Array:
    return tf.broadcast_to(matrices, tf.concat([batch, tf.shape(matrices)[-2:]], 0))


@_of_matrices
def _solve(x1: Array, x2: Array) -> Array:
    """Solve stacks of equations of one shape, which is what TensorFlow takes."""
    x2 = tf.cast(x2, x1.dtype)
    if x1.shape[:-2] == x2.shape[:-2] and x1.shape.is_fully_defined():
        return tf.linalg.solve(x1, x2)
    batch = tf.broadcast_dynamic_shape(tf.shape(x1)[:-2], tf.shape(x2)[:-2])
    return tf.linalg.solve(_stacked(x1, batch), _stacked(x2, batch))


# Norms


@_of_matrices
def matrix_norm(x: Array, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """Norm of matrices: "fro", "nuc", or 1, 2, inf, -1, -2, -inf."""
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = svdvals(x)[..., None]
        return _NORM_OF_VALUES[ord](values, axis=(-2, -1), keepdims=keepdims)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(f"ord is {ord!r}: give 'fro', 'nuc', 1, -1, 2, -2, inf or -inf")
    sums = tf.reduce_sum(tf.abs(x), -2 if ord in (1, -1) else -1, keepdims=True)
    return (statistics.max if ord > 0 else statistics.min)(sums, axis=(-2, -1), keepdims=keepdims)


_NORM_OF_VALUES: dict[Any, Function] = {"nuc": statistics.sum, 2: statistics.max, -2: statistics.min}


def vector_norm(x: Array, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Array:
    """Norm of vectors: the root of order `ord` of the sum of powers; the extremes for inf and -inf, a count for 0."""
    x = take_kind("vector_norm", "floating", tensor(x))
    over = {"axis": axis, "keepdims": keepdims}
    size = tf.abs(x)
    if math.isinf(ord):
        return (statistics.max if ord > 0 else statistics.min)(size, **over)
    if ord == 0:
        return statistics.sum(tf.cast(size != 0, REAL_OF.get(x.dtype, x.dtype)), **over)
    if ord == 1:
        return statistics.sum(size, **over)
    if ord == 2:
        return tf.sqrt(statistics.sum(tf.square(size), **over))
    return statistics.sum(size**ord, **over) ** (1 / ord)
