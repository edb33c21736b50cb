"""The random words of a draw, and its noise, made of them in integers."""

from __future__ import annotations

from typing import Any

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels.gumbel.tables import GROUPS, ONE, lookup
from tempscale.kernels.threefry import as_words, block


@agnostic
def float_bits(m: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return the bits of the float32 next to integers from 1 to 2^31 - 1, to the even one of two."""
    exponent = xp.zeros_like(m)
    rest = m
    for places in (16, 8, 4, 2, 1):
        high = rest >= 2**places
        exponent = xp.where(high, exponent + places, exponent)
        rest = xp.where(high, xp.bitwise_right_shift(rest, places), rest)
    up = xp.maximum(23 - exponent, xp.zeros_like(m))
    down = xp.maximum(exponent - 23, xp.zeros_like(m))
    kept = xp.bitwise_right_shift(xp.bitwise_left_shift(m, up), down)
    lost = m - xp.bitwise_left_shift(kept, down)  # nothing where bits were added
    half = xp.bitwise_right_shift(xp.bitwise_left_shift(xp.ones_like(m), down), 1)
    tie = xp.bitwise_and(kept, 1) == 1
    is_up = (down > 0) & ((lost > half) | ((lost == half) & tie))
    # carried into the exponent where the fraction overflows
    return kept + xp.astype(is_up, m.dtype) + (exponent + 126) * 2**23


def log2_of(m: Array, xp: Any) -> Array:
    """log2 of integers from 1 to 2^31 - 1."""
    bits = float_bits(m)
    k = xp.bitwise_and(xp.bitwise_right_shift(bits, 13), 1023)
    between = xp.bitwise_right_shift(lookup(k, table="log2 steps") * xp.bitwise_and(bits, 8191), 13)
    return (xp.bitwise_right_shift(bits, 23) - 127) * ONE + lookup(k, table="log2") + between


@agnostic
def noise(y: Array, /, *, xp: Any = INJECTED) -> Array:
    """Return log2 of an exponential variate, made of a word: minus a Gumbel variate, in base 2.

    The word is the place of a uniform number in (0, 1). Below one half its logarithm is taken twice; above, where
    that would cancel, the logarithm of its distance from 1 once, and the table has the rest.
    """
    upper = y < 0
    a = xp.where(upper, xp.bitwise_invert(y), y)
    small = a < 2**30
    log = log2_of(xp.where(small, 2 * a + 1, a), xp) - xp.where(small, xp.full_like(y, 33 * ONE), 32 * ONE)
    twice = log2_of(-log, xp) - 24 * ONE  # at most a half: its log is negative
    k = xp.bitwise_right_shift(a, 21)
    fraction = xp.bitwise_and(xp.bitwise_right_shift(a, 5), 65535)
    once = log + lookup(k, table="tail") + xp.bitwise_right_shift(lookup(k, table="tail steps") * fraction, 16)
    return xp.where(upper, twice, once)


@agnostic
def rotated(x: Array, /, *, places: int, xp: Any = INJECTED) -> Array:
    """Rotate int32 words to the left; the mask takes away the signs that a shift to the right brings in."""
    low = xp.bitwise_and(xp.bitwise_right_shift(x, 32 - places), (1 << places) - 1)
    return xp.bitwise_or(xp.bitwise_left_shift(x, places), low)


@agnostic
def threefry(k0: Array, k1: Array, x0: Array, x1: Array, /, *, xp: Any = INJECTED) -> tuple[Array, Array]:
    """Return the two words of a counter, all in int32."""
    return block((k0, k1), x0, x1, lambda x, places: rotated(x, places=places))


def signed_words(key: Array, xp: Any) -> tuple[Array, Array]:
    """Return the two words of a key, or of the keys of some rows, as int32 of shape (rows or 1, 1)."""
    words = cast(as_words(key), backend_of(key).dtype("int32"), xp)
    words = xp.reshape(words, (-1, 2))
    return words[:, 0:1], words[:, 1:2]


def subkeys(key: tuple[Array, Array], draws: Array, rows: Array, xp: Any) -> tuple[Array, Array]:
    """Return the key of each draw from each row, of shape (rows, draws)."""
    zero = xp.zeros_like(rows[:, None] + draws[None, :])
    return threefry(*key, zero + draws[None, :], zero + rows[:, None])


def group_words(key: tuple[Array, Array], groups: Array, xp: Any) -> Array:
    """Return a word for each group, on a new last axis. The two words of a block go to groups 512 apart."""
    at = groups if groups.shape[0] <= GROUPS // 2 else groups[: GROUPS // 2]
    more = groups.shape[0] - at.shape[0]
    at = at[None, None, :]
    y0, y1 = threefry(key[0][..., None], key[1][..., None], xp.zeros_like(at), at)
    return y0 if more == 0 else xp.concat([y0, y1[..., :more]], axis=-1)


def slot_words(key: tuple[Array, Array], slots: Array, xp: Any) -> Array:
    """Return a word for each slot, on a new axis 1."""
    at = (slots + GROUPS // 2)[None, :, None]
    return threefry(key[0][:, None, :], key[1][:, None, :], xp.zeros_like(at), at)[0]
