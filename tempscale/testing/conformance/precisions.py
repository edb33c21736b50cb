"""What the precisions "accurate" and "reproducible" promise, measured: errors in ulp, and elements with other bits."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tempscale.reporting.report import Cell
from tempscale.testing.check import Verdict, mismatch, place_of
from tempscale.testing.ulp import ulp_error

__all__ = ["Measurement", "differing_bits", "joined", "measure"]


CANCELLED = 2.0**-33
"""What may be left of the terms of a sum that cancel; docs/precision.md."""


@dataclass(frozen=True)
class Measurement(Verdict):
    """A verdict in units of 1 ulp, with the number of elements whose bits are not NumPy's.

    `difference` says where the first of those is.
    """

    differing: int = 0
    difference: str = ""


def measure(
    actual: np.ndarray[Any, Any],
    exact: Any,
    numpys: np.ndarray[Any, Any],
    *,
    dtype: str,
    expected_dtype: str,
    names: Sequence[str],
    magnitude: Any = 0.0,
) -> Measurement:
    """Compare a result with the exact one, and bit by bit with NumPy's.

    Parameters
    ----------
    actual, numpys : numpy.ndarray
        The result, and that of NumPy, eagerly. The first axis runs over the rows, which `names` names.
    exact : array
        Of higher precision.
    dtype, expected_dtype : str
        What the result has and what it must have.
    magnitude : array
        What the result is a difference of, where it may cancel: an error of 2^-33 of that is allowed beyond the ulp.
    """
    wrong = mismatch(actual, exact, dtype, expected_dtype)
    if wrong:
        return Measurement(np.inf, wrong, actual.size, differing=actual.size, difference=wrong)
    if not actual.size:
        return Measurement(0.0, "", 0)
    error = ulp_error(actual, exact, dtype, beyond=CANCELLED * magnitude)
    differs = differing_bits(actual, numpys)
    worst, first = (np.unravel_index(int(np.argmax(x)), x.shape) for x in (error, differs))
    where = f"{place_of(worst, names)} is {_shown(actual[worst])}, exactly {float(exact[worst]):.12g}"
    found = Measurement(float(error[worst]), where, actual.size)
    if not differs.any():
        return found
    difference = f"{place_of(first, names)} is {_shown(actual[first])}, in NumPy {_shown(numpys[first])}"
    return replace(found, differing=int(differs.sum()), difference=difference)


def differing_bits(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return where two arrays of one dtype differ in any bit; one NaN is as good as another.

    Examples
    --------
    >>> differing_bits(np.float32([0.0, np.nan, 1.0]), np.float32([-0.0, -np.nan, 1.0]))
    array([ True, False, False])
    """
    return np.asarray((_bits(one) != _bits(other)) & ~(np.isnan(one) & np.isnan(other)))


def _bits(x: Any) -> Any:
    return x.view(f"u{x.dtype.itemsize}")


def _shown(x: Any) -> str:
    return f"{float(x):.9g} (0x{int(_bits(x)):0{2 * x.dtype.itemsize}x})"


_combination = operator.attrgetter(
    "operation", "variant", "backend", "device", "dtype", "mode", "compiler", "precision"
)


def joined(cells: Iterable[Cell]) -> list[Cell]:
    """Return one cell for those of the same combination, which ran on different rows: the worst, with their sums."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_combination(cell), []).append(cell)
    return [_join(group) for group in groups.values()]


def _join(cells: Sequence[Cell]) -> Cell:
    return replace(
        max(cells, key=_severity),
        worst=max(cell.worst for cell in cells),
        elements=sum(cell.elements for cell in cells),
        differing=sum(cell.differing for cell in cells),
        seconds=sum(cell.seconds for cell in cells),
    )


def _severity(cell: Cell) -> tuple[bool, bool, float]:
    """That it failed comes first, then that bits differ that must not, then how far out it is."""
    return bool(cell.reason), cell.precision == "reproducible" and cell.differing > 0, cell.worst
