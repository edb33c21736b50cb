"""Functions of rows, block by block: the intermediate arrays stay in the cache, and peak memory is small."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tempscale import entropy, kl_divergence, log_softmax, logsumexp, softmax
from tempscale._agnostic import OPERATIONS, Operation
from tempscale.backend import Array

BLOCK = 2**16  # entries; float32 intermediates of this size fit in a core's second-level cache


def _quiet(body: Any) -> Any:
    """Run a body without NumPy's warnings: what is wrong in the values shows in the values."""

    @functools.wraps(body)
    def run(*args: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return body(*args, xp=np, **options)

    return run


def _blocked(operation: Operation[..., Any]) -> None:
    """Register the operation's body, run on blocks of rows, as its native."""
    body = _quiet(operation.body)

    def native(*arrays: Array, axis: int, where: Array | None, **options: Any) -> Array:
        shape, size = arrays[0].shape, arrays[0].size
        if size <= BLOCK:
            return body(*arrays, axis=axis, where=where, **options)
        # rows along the first axes, classes along the last
        rows = shape[:axis] + shape[axis + 1 :]
        flat = [_as_rows(x, axis) for x in arrays]
        mask = None if where is None else _as_rows(np.broadcast_to(where, shape), axis)
        per_row = {
            key: _as_rows(np.broadcast_to(value, (*shape[:axis], 1, *shape[axis + 1 :])), axis)
            for key, value in options.items()
            if isinstance(value, np.ndarray) and value.ndim
        }
        step = max(1, BLOCK // shape[axis])
        out: Array | None = None
        for start in range(0, len(flat[0]), step):
            block = slice(start, start + step)
            here = {**options, **{key: value[block] for key, value in per_row.items()}}
            part = body(*[x[block] for x in flat], axis=1, where=None if mask is None else mask[block], **here)
            if out is None:
                out = np.empty((len(flat[0]), *part.shape[1:]), part.dtype)
            out[block] = part
        assert out is not None
        if out.ndim == 1:
            return out.reshape(rows)
        return np.moveaxis(out.reshape(*rows, out.shape[1]), -1, axis)

    operation.native("numpy")(native)


def _as_rows(x: Array, axis: int) -> Array:
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])


for _operation in (softmax, log_softmax, logsumexp, entropy, kl_divergence):
    _blocked(_operation)
for _operation in OPERATIONS.values():
    if "numpy" not in _operation.natives:
        _operation.native("numpy")(_quiet(_operation.body))
