"""Natives for NumPy.

Sums that do not depend on how the classes lie in memory; functions of rows block by block: the intermediate arrays stay
in the cache, and peak memory is small.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tempscale import entropy, kl_divergence, log_softmax, logsumexp, softmax
from tempscale.backend import Array
from tempscale.kernels import OPERATIONS, Operation
from tempscale.kernels.example_losses import losses_of_examples
from tempscale.kernels.reductions import accurate_sum
from tempscale.kernels.temperature import is_limit, widen

BLOCK = 2**16  # entries; float32 intermediates of this size fit in a core's second-level cache
FEW = 4  # numbers that may be added one after another


@accurate_sum.native("numpy")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    # NumPy adds in pairs where the numbers lie side by side, one after another along other axes
    if axis == x.ndim - 1 and x.flags.c_contiguous:
        return np.sum(x, axis=axis, keepdims=True)
    return np.moveaxis(_sum_of_halves(np.moveaxis(x, axis, 0)), 0, axis)


def _sum_of_halves(x: Array) -> Array:
    """Sum along the first axis, kept: the second half is added to the first, until few are left."""
    while len(x) > FEW:
        half = (len(x) + 1) // 2
        total = x[:half].copy(order="K")
        total[: len(x) - half] += x[half:]
        x = total
    return np.sum(x, axis=0, keepdims=True)


def _quiet(body: Callable[..., Array]) -> Callable[..., Array]:
    """Run a body without NumPy's warnings: what is wrong in the values shows in the values."""

    def run(*arrays: Array, **options: Any) -> Array:
        with np.errstate(all="ignore"):
            return _as_numpy_has_it(body(*arrays, xp=np, **options))

    return run


def _as_numpy_has_it(x: Array) -> Array:
    """A scalar in place of an array without axes, as NumPy's own reductions return it."""
    return x if x.ndim else x[()]


def _blocked(run: Callable[..., Array]) -> Callable[..., Array]:
    """Run a function of rows on blocks of them."""

    def native(*arrays: Array, axis: int, where: Array | None, **options: Any) -> Array:
        if arrays[0].size <= BLOCK:
            return run(*arrays, axis=axis, where=where, **options)
        shape = arrays[0].shape
        one_per_row = (*shape[:axis], 1, *shape[axis + 1 :])
        by_rows = [as_rows(x, axis) for x in arrays]
        masks = None if where is None else as_rows(np.broadcast_to(where, shape), axis)
        temperatures = {
            key: as_rows(np.broadcast_to(value, one_per_row), axis)
            for key, value in options.items()
            if isinstance(value, np.ndarray)
        }
        out: Array | None = None
        step = max(1, BLOCK // shape[axis])
        for start in range(0, len(by_rows[0]), step):
            rows = slice(start, start + step)
            here = {**options, **{key: value[rows] for key, value in temperatures.items()}}
            part = run(*[x[rows] for x in by_rows], axis=1, where=None if masks is None else masks[rows], **here)
            if out is None:
                out = np.empty((len(by_rows[0]), *part.shape[1:]), part.dtype)
            out[rows] = part
        assert out is not None  # more than one block of entries has a first block
        return from_rows(out, shape, axis, reduced=out.ndim == 1)

    return native


def as_rows(x: Array, axis: int) -> Array:
    """Return an array as rows of the entries along an axis."""
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])


def from_rows(x: Array, shape: tuple[int, ...], axis: int, *, reduced: bool) -> Array:
    """Put rows, or one value per row, back into the shape that they are of, but for the size of the axis."""
    rows = (*shape[:axis], *shape[axis + 1 :])
    return _as_numpy_has_it(x.reshape(rows)) if reduced else np.moveaxis(x.reshape(*rows, x.shape[1]), -1, axis)


def _in_place(operation: Operation[..., Any]) -> Callable[[Callable[[Array], None]], Callable[[Array], None]]:
    """Make a native of a function that works in place on rows of z = (x - max) / T; the body has the other cases."""
    of_body = _blocked(_quiet(operation.body))

    def register(finish: Callable[[Array], None]) -> Callable[[Array], None]:
        def native(logits: Array, *, temperature: Any, axis: int, where: Array | None) -> Array:
            if not isinstance(temperature, float) or is_limit(temperature):
                return of_body(logits, temperature=temperature, axis=axis, where=where)
            by_rows = as_rows(logits, axis)
            masks = None if where is None else as_rows(np.broadcast_to(where, logits.shape), axis)
            out = np.empty(by_rows.shape, logits.dtype)
            step = max(1, BLOCK // out.shape[1])
            with np.errstate(all="ignore"):
                for start in range(0, len(out), step):
                    rows = slice(start, start + step)
                    x = widen(by_rows[rows], None if masks is None else masks[rows], np)
                    # rows side by side, whatever the layout of x: their sums are then in pairs
                    here = out[rows] if x.dtype == out.dtype else np.empty(x.shape, x.dtype)
                    z = np.subtract(x, x.max(axis=1, keepdims=True), out=here)
                    z *= 1.0 / temperature
                    finish(z)
                    if here.dtype != out.dtype:
                        out[rows] = here
            return from_rows(out, logits.shape, axis, reduced=False)

        operation.native("numpy")(native)
        return finish

    return register


@_in_place(softmax)
def _softmax(z: Array) -> None:
    np.exp(z, out=z)
    z *= 1.0 / z.sum(axis=1, keepdims=True)


@_in_place(log_softmax)
def _log_softmax(z: Array) -> None:
    e = np.exp(z)
    # leave one maximum out of the sum; z is 0 there, or NaN in a row that is invalid
    at = z.argmax(axis=1, keepdims=True)
    np.put_along_axis(e, at, np.take_along_axis(z, at, 1), 1)
    z -= np.log1p(e.sum(axis=1, keepdims=True))


for _operation in (logsumexp, entropy, kl_divergence):
    _operation.native("numpy")(_blocked(_quiet(_operation.body)))
losses_of_examples.native("numpy")(_quiet(losses_of_examples.body))
for _operation in OPERATIONS.values():
    if "numpy" not in _operation.natives:
        _operation.native("numpy")(_quiet(_operation.body))
