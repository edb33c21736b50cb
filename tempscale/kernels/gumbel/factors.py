"""The factor log2(e)/T of differences of logits, as a float32 that every framework rounds alike."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tempscale._core.dispatch import backend_of
from tempscale._core.dtypes import LARGEST, SMALLEST_NORMAL, cast
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array
from tempscale.kernels.gumbel.tables import ONE
from tempscale.kernels.temperature import Reciprocal

SCORES_PER_NAT = float(np.float32(ONE * math.log2(math.e)))
"""log2(e), as a score."""

_SCALED_DOWN = 2.0**-24

AT_ZERO = -1.0
"""Stands for the factor of T = 0, which is a limit of its own."""


@agnostic
def is_exactly_zero(x: Array, /, *, xp: Any = INJECTED) -> Array:
    """Whether float32 numbers are 0; natives where subnormal numbers compare as 0 too."""
    return x == 0


@agnostic
def number_or_factor(x: Array, /, *, temperature: float, xp: Any = INJECTED) -> Any:
    """Return what `tokens_of_rows` takes for a number: its factor, or an array of the number."""
    return factor_of_number(temperature)


def factor_of_number(temperature: float) -> float:
    """Return log2(e)/T with 24 fractional bits as a float32, or `AT_ZERO`."""
    with np.errstate(all="ignore"):
        t = np.float32(temperature)
        if t == 0:
            return AT_ZERO
        if t < SMALLEST_NORMAL["float32"]:
            return LARGEST["float32"]
        unit = np.float32(1.0 if t <= 2.0**126 else _SCALED_DOWN)
        c = np.float32(1) / (t * unit) * np.float32(SCORES_PER_NAT) * unit
        return min(float(c), LARGEST["float32"])


class Factor(NamedTuple):
    """What differences of logits are multiplied by: a number, or an array of shape (rows or 1, 1)."""

    c: Any
    """log2(e)/T with 24 fractional bits, 0 at T = inf."""
    is_zero: Array | None = None
    """Whether T is 0, if that is not known yet."""
    is_wrong: Array | None = None
    """Whether T is negative or NaN, if that is not known yet."""


def factor_of_array(temperature: Array, xp: Any) -> Factor:
    """Return what `factor_of_number` does, for each of an array of temperatures.

    No subnormal number occurs on the way, because some frameworks flush them: neither 1/T where T is large, nor T.
    """
    backend = backend_of(temperature)
    t = cast(temperature, backend.dtype("float32"), xp)
    # from the float64, whose rounding may flush what is not 0 yet
    is_zero = xp.abs(temperature) <= 2.0**-150 if backend.dtype_name(temperature) == "float64" else is_exactly_zero(t)
    too_small = (t < SMALLEST_NORMAL["float32"]) & ~is_zero
    ordinary = (t >= SMALLEST_NORMAL["float32"]) & (t < math.inf)
    is_wrong = ~(is_zero | too_small | ordinary | (t == math.inf)) | (temperature < 0)
    t = xp.where(ordinary, t, xp.ones_like(t))
    unit = xp.where(t <= 2.0**126, xp.ones_like(t), xp.full_like(t, _SCALED_DOWN))
    c = xp.ones_like(t) / (t * unit) * SCORES_PER_NAT * unit
    largest = xp.full_like(t, LARGEST["float32"])
    c = xp.where(too_small | (c > LARGEST["float32"]), largest, c)
    c = xp.where(ordinary | too_small, c, xp.zeros_like(c))
    return Factor(c, is_zero, is_wrong)


def factor(temperature: Any, xp: Any) -> Factor:
    """Return the factor of a number that is not `AT_ZERO`, or of an array of temperatures."""
    if isinstance(temperature, float):
        return Factor(temperature)
    if isinstance(temperature, Reciprocal):
        return Factor(temperature.value)
    return factor_of_array(xp.reshape(temperature, (-1, 1)), xp)


def products(difference: Array, c: Any, xp: Any) -> Array:
    """Return differences times c, where 0 times an overflow is 0; an array c can be 0."""
    if isinstance(c, float):
        return difference * c if c else xp.zeros_like(difference)
    return xp.where(c == 0, xp.zeros_like(difference), difference * c)


def scaled(difference: Array, x: Array, c: Any, limit: Any, xp: Any) -> Array:
    """Return differences from a maximum, times c, as integers up to a limit; the limit where x is -inf."""
    product = xp.clip(products(difference, c, xp), 0.0, limit)
    if not isinstance(c, float) or not c:  # else they are infinite already
        product = xp.where(x == -math.inf, xp.zeros_like(product) + limit, product)
    return cast(product, backend_of(x).dtype("int32"), xp)  # truncates
