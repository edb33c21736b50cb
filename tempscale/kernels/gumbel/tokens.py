"""Tokens of a batch: what `tempscale.sample` and `tempscale.sample_without_replacement` run."""

from __future__ import annotations

from typing import Any

import numpy as np

from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels import gumbel
from tempscale.kernels.gumbel import top_k
from tempscale.kernels.indexing import indices


@agnostic
def tokens_of_batch(
    logits: Array,
    key: Array,
    /,
    *,
    temperature: Any,
    where: Array | None,
    draws: int | None,
    replacement: bool,
    xp: Any = INJECTED,
) -> Array:
    """Return tokens in the shape of the batch, on a last axis of their own unless `draws` is None.

    A key is of shape (2,), or one per row; a temperature what `gumbel.number_or_factor` returns, or an array. Natives
    compile all of it, or run it where it is faster.
    """
    x = logits if where is None else xp.where(where, logits, xp.full_like(logits, -np.inf))
    if hasattr(temperature, "shape") and len(temperature.shape):
        # one per row, where some axes have size 1: a choice between equals broadcasts, and keeps every bit
        temperature = gumbel.flat_rows(xp.where(x[..., :1] == 0, temperature, temperature))
    rows = gumbel.flat_rows(x)
    has_row_keys = len(key.shape) > 1
    number = indices(rows, axis=0)
    draw = gumbel.tokens_of_rows if replacement else top_k.distinct_tokens_of_rows
    tokens = draw(
        rows,
        gumbel.flat_rows(key) if has_row_keys else key,
        temperature=temperature,
        draws=gumbel.count_to(rows, count=1 if draws is None else draws),
        rows=xp.zeros_like(number) if has_row_keys else number,
    )
    return gumbel.batched(tokens, logits, several=draws is not None)
