"""Whether a result is within its contract, and if not, where it is worst."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale._core.dtypes import HALF
from tempscale._reference.wide import as_floats
from tempscale.backend import FLOATS
from tempscale.testing.ulp import largest, spacing

__all__ = ["Place", "Verdict", "check"]


@dataclass(frozen=True)
class Place:
    """The element that is farthest out: its index, its value and the exact one, its error and bound in ulp."""

    index: tuple[int, ...]
    actual: float
    exact: float
    error: float
    bound: float


@dataclass(frozen=True)
class Verdict:
    """Outcome of one comparison: the worst |error| / bound, and a sentence that says where it was.

    `place` has the same in numbers, unless shape or dtype were wrong already; `order` says, of a result that is
    broken, how the right values are out of order, if that is what is wrong.
    """

    worst: float
    where: str
    elements: int
    place: Place | None = None
    order: str = ""

    @property
    def held(self) -> bool:
        """Whether every element was within its bound."""
        return self.worst <= 1.0


def check(
    actual: np.ndarray[Any, Any],
    exact: Any,
    bound: Any,
    *,
    dtype: str,
    expected_dtype: str,
    names: Sequence[str] = (),
) -> Verdict:
    """Compare a result with the exact one, element by element.

    Parameters
    ----------
    actual : numpy.ndarray
        The result; its first axis runs over the rows, which `names` names.
    exact, bound : array
        Of higher precision. NaN and inf in `exact` must be met exactly; `bound` limits |error| elsewhere.
    dtype, expected_dtype : str
        What the result has and what it must have. For float16 and bfloat16 half a spacing of the dtype is taken
        off the error first, for the final rounding.
    names : sequence of str, optional
        The case of each row.
    """
    exact = as_floats(exact)
    bound = as_floats(bound)
    wrong = mismatch(actual, exact, dtype, expected_dtype)
    if wrong:
        order = _order(actual, exact, bound, dtype) if dtype == expected_dtype else ""
        return Verdict(np.inf, wrong, actual.size, order=order)
    if not actual.size:
        return Verdict(0.0, "", 0)
    bound = np.broadcast_to(bound, exact.shape)
    got = actual.astype(np.longdouble)
    ratio = _ratio(got, exact, bound, dtype)
    index = np.unravel_index(int(np.argmax(ratio)), ratio.shape) if ratio.shape else ()
    worst = float(ratio[index])
    where = f"{place_of(index, names)} is {_shown(got[index])}, exactly {_shown(exact[index])}"
    order = _order(actual, exact, bound, dtype) if worst > 1.0 else ""
    return Verdict(worst, where, actual.size, _place(index, got, exact, bound, dtype), order)


def mismatch(actual: np.ndarray[Any, Any], exact: Any, dtype: str, expected_dtype: str) -> str:
    """Say what is wrong with the dtype or the shape of a result; "" if nothing is."""
    if dtype != expected_dtype:
        return f"dtype is {dtype}, expected {expected_dtype}"
    return "" if actual.shape == exact.shape else f"shape is {actual.shape}, expected {exact.shape}"


def place_of(index: Any, names: Sequence[str]) -> str:
    """Return the case and the index of an element: ``"ties at T = 0.7: [3, 5]"``."""
    place = ", ".join(str(int(i)) for i in index)
    return f"{names[int(index[0]) if index else 0]}: [{place}]" if names else f"[{place}]"


def _place(index: Any, got: Any, exact: Any, bound: Any, dtype: str) -> Place:
    if dtype not in FLOATS:
        unit, allowed = np.longdouble(1.0), bound[index]
    else:
        unit = spacing(exact[index], dtype) if np.isfinite(exact[index]) else np.longdouble(np.inf)
        allowed = bound[index] + (unit / 2 if dtype in HALF else 0)
    with np.errstate(all="ignore"):
        error = abs(got[index] - exact[index]) / unit
    position = tuple(int(i) for i in index)
    return Place(position, float(got[index]), float(exact[index]), float(error), float(allowed / unit))


def _order(actual: np.ndarray[Any, Any], exact: Any, bound: Any, dtype: str) -> str:
    """Say how the values, which are right, are out of order; "" if they are not right."""
    got = actual.astype(np.longdouble)
    bound = np.broadcast_to(bound, exact.shape)
    if got.size != exact.size or got.size < 2:
        return ""
    for how, turned in _arrangements(got):
        if turned.shape == exact.shape and (_ratio(turned, exact, bound, dtype) <= 1).all():
            return how
    into, outof = np.argsort(exact, axis=None), np.argsort(got, axis=None)
    ratio = _ratio(got.ravel()[outof], exact.ravel()[into], bound.ravel()[into], dtype)
    return "permuted" if (ratio <= 1).all() else ""


def _arrangements(got: Any) -> Iterator[tuple[str, Any]]:
    """Ways in which results come out of order, each with the array put right again."""
    axes = range(got.ndim)
    for axis in axes:
        yield f"reversed along axis {axis}", np.flip(got, axis)
    for one, other in itertools.combinations(axes, 2):
        yield f"transposed, axis {one} with axis {other}", np.swapaxes(got, one, other)
    for axis in axes:
        for shift in (1, -1):
            yield f"shifted by {shift} along axis {axis}", np.roll(got, -shift, axis)


def _ratio(got: Any, exact: Any, bound: Any, dtype: str) -> Any:
    """|error| / bound; 0 where both are NaN or the same infinity, inf where only one is.

    Integers and booleans are equal or not.
    """
    if dtype not in FLOATS:
        return np.where(got == exact, 0.0, np.inf)
    with np.errstate(all="ignore"):
        error = np.abs(got - exact)
        if dtype in HALF:
            # the final rounding comes off first: what is left is what the computation itself has erred
            error = np.maximum(error - spacing(exact, dtype) / 2, 0)
        ratio = np.where(error == 0, 0, error / bound)
        ratio = np.where(np.isnan(ratio), np.inf, ratio)
        ratio = np.where(np.isnan(exact) & np.isnan(got), 0, ratio)
        ratio = np.where(np.isinf(exact), np.where(got == exact, 0, np.inf), ratio)
        # from half a spacing beyond the largest number of the dtype on, results overflow
        limit = np.longdouble(largest(dtype))
        reach = np.abs(exact) + bound
        near = np.isfinite(exact) & (reach >= limit + spacing(limit, dtype) / 2) & (got == np.copysign(np.inf, exact))
        return np.where(near, 0, ratio)


def _shown(x: Any) -> str:
    return f"{float(x):.9g}"
