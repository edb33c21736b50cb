"""Sums in pairs, as NumPy beneath array-api-strict adds numbers that lie side by side only; and indices on a device."""

from __future__ import annotations

import array_api_strict as xp

from tempscale.backend import Array
from tempscale.kernels.indexing import indices
from tempscale.kernels.reductions import accurate_sum


@accurate_sum.native("strict")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    x = xp.moveaxis(x, axis, 0)
    while x.shape[0] > 8:  # one half is added to the other: errors grow with the logarithm of the number of entries
        half = x.shape[0] // 2
        x = xp.concat([x[:half, ...] + x[half : 2 * half, ...], x[2 * half :, ...]], axis=0)
    return xp.moveaxis(xp.sum(x, axis=0, keepdims=True), 0, axis)


@indices.native("strict")
def _indices(x: Array, *, axis: int) -> Array:
    return xp.arange(x.shape[axis], dtype=xp.int32, device=x.device)
