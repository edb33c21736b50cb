"""Drawing several tokens of a row without replacement, by a definition of its own.

One Gumbel race of all entries: the first k to arrive are k draws without replacement, in the order of the draws. Each
entry has noise of its own. An arrival is a float32, because a draw may come to entries that are any distance below what
is drawn already, and because frameworks sort float32 fastest. It is the sum of two whole numbers: no product goes into
it that a compiler could fuse. The rules are otherwise those of `tempscale.kernels.gumbel`.
"""

from __future__ import annotations

import math
from typing import Any

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels.gumbel.factors import AT_ZERO, factor, products
from tempscale.kernels.gumbel.racing import at_finite, no_token
from tempscale.kernels.gumbel.words import noise, signed_words, threefry
from tempscale.kernels.indexing import entry_at, indices

DRAW = -1
"""Number of the draw in the counter of the subkey: one that `sample` does not have."""

FARTHEST = 2.0**126
"""Any entry arrives before this; what is masked does not."""


@agnostic
def first(arrivals: Array, draws: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return the indices of the lowest of each row in their order, of equals the lower index first: one per draw."""
    return xp.argsort(arrivals, axis=1, stable=True)[:, : draws.shape[0]]


@agnostic
def alternating(y0: Array, y1: Array, x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return the entries of two arrays in turn along axis 1, as many as there are in `x`."""
    rows, half = y0.shape
    return xp.reshape(xp.stack([y0, y1], axis=2), (rows, 2 * half))[:, : x.shape[1]]


def words(key: tuple[Array, Array], x: Array, rows: Array, xp: Any) -> Array:
    """Return a word for each entry: word j % 2 of block j // 2."""
    zero = xp.zeros_like(rows)[:, None]
    subkey = threefry(*key, zero + DRAW, zero + rows[:, None])
    blocks = indices(x[:, ::2], axis=1)[None, :]
    return alternating(*threefry(*subkey, xp.zeros_like(blocks), blocks), x)


@agnostic
def arrivals(x: Array, k0: Array, k1: Array, rows: Array, /, *, c: Any, xp: Any = INJECTED) -> Array:
    """Return when each entry arrives, in units of 2^-24 on a scale of log2; inf where x is -inf."""
    best = at_finite(xp.max(x, axis=1, keepdims=True), xp)
    behind = xp.trunc(xp.clip(products(best - x, c, xp), 0.0, FARTHEST))
    return xp.where(x == -math.inf, math.inf, behind + cast(noise(words((k0, k1), x, rows, xp)), x.dtype, xp))


def at_zero(x: Array, xp: Any) -> Array:
    """Return what sorts entries from the largest on, which is what T = 0 draws."""
    return xp.where(x == 0, 0.0, -x)  # some would sort -0 before 0


def in_order(arrivals: Array, draws: Array, xp: Any) -> Array:
    """Return the tokens that are drawn, (rows, draws), and -1 where no entry is left that counts, as int32."""
    index = first(arrivals, draws)
    gone = entry_at(arrivals, index, axis=1) == math.inf
    return xp.where(gone, -1, cast(index, draws.dtype, xp))


@agnostic
def distinct_tokens_of_rows(
    x: Array, key: Array, /, *, temperature: Any, draws: Array, rows: Array, xp: Any = INJECTED
) -> Array:
    """Return what `tempscale.kernels.gumbel.racing.tokens_of_rows` does, of the same arguments, without replacement."""
    x = cast(x, backend_of(x).dtype("float32"), xp)
    wrong = no_token(x)
    if isinstance(temperature, float) and temperature == AT_ZERO:
        return xp.where(wrong, -1, in_order(at_zero(x, xp), draws, xp))
    c, is_zero, is_wrong = factor(temperature, xp)
    arrival = arrivals(x, *signed_words(key, xp), rows, c=c)
    if is_zero is not None:
        arrival, wrong = xp.where(is_zero, at_zero(x, xp), arrival), wrong | is_wrong
    return xp.where(wrong, -1, in_order(arrival, draws, xp))
