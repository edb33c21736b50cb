"""Derivatives of a reference from differences of its values, with the error that they have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale._reference.wide import as_floats

__all__ = ["Derivative", "allowed", "derivative"]

_LEVELS = 10  # differences, each over half the distance of the one before
_KINK = 2.0**-6

Difference = Callable[[Any], Any]
"""From a distance to the terms of the function's value there."""


@dataclass(frozen=True)
class Derivative:
    """A derivative along a line, taken from differences.

    Attributes
    ----------
    value : longdouble
        NaN where there is none: at a kink, or where a value is not finite.
    error : longdouble
        Estimate of its error, that of the differences and that of their rounding together.
    scale : longdouble
        How large the terms of the derivative are at most, here and an eighth of the argument away: what rounding
        errors are relative to.
    """

    value: Any
    error: Any
    scale: Any

    def bound(self, units: dict[str, float]) -> Any:
        """Return how far a derivative computed with this precision may be from `value`."""
        return allowed(self.scale, units) + self.error


def allowed(scale: Any, units: dict[str, float]) -> Any:
    """Return the error of a derivative that is right in half of the digits that its terms have.

    Nothing is known of how a framework arrives at a derivative, so nothing better can be promised of it: terms of the
    magnitude of the arguments may have cancelled. What is wrong, rather than inexact, is hardly ever so near.
    """
    return np.sqrt(units["u"]) * scale + 32 * units["tiny"]


def derivative(terms: Difference, size: float) -> Derivative:
    """Differentiate the sum of `terms` at 0 by central differences, extrapolated to distance 0.

    Parameters
    ----------
    terms : callable
        From a distance along the line to an array in the precision of the reference.
    size : float
        Magnitude of the argument that moves: differences begin over an eighth of it, or of 1.

    Notes
    -----
    C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4 (1982):
    Neville's scheme in the square of the distance, stopped where two neighbours in it are closest.
    """
    found = _extrapolate(terms, _power_of_two(max(size, 1.0) / 8))
    if size and not found.error <= 2.0**-20 * found.scale:
        # a function that has changed its nature within 1, such as a logarithm near 0
        nearer = _extrapolate(terms, _power_of_two(size / 4))
        if not found.error <= nearer.error:
            found = nearer
    return found


def _power_of_two(x: float) -> float:
    """A distance that is added to an argument without rounding."""
    return float(2.0 ** np.floor(np.log2(x)))


def _extrapolate(terms: Difference, radius: float) -> Derivative:
    middle = as_floats(terms(0.0))
    table: list[list[Any]] = []
    best, error, scale = np.longdouble(np.nan), np.longdouble(np.inf), np.longdouble(0.0)
    bend = rounding = np.longdouble(0.0)
    epsilon = np.finfo(np.asarray(terms(0.0)).dtype).eps
    with np.errstate(all="ignore"):
        for level in range(_LEVELS):
            distance = radius / 2**level
            ahead, behind = as_floats(terms(distance)), as_floats(terms(-distance))
            slopes = (ahead - behind) / (2 * distance)
            bends = np.abs(ahead - 2 * middle + behind) / distance
            if not np.isfinite(slopes).all():
                table = []
                continue
            if not table:
                scale = np.abs(slopes).sum() + bends.sum()
            bend = bends.sum()
            rounding = 4 * epsilon * (np.abs(ahead) + np.abs(behind)).sum() / distance
            row = [slopes.sum()]
            for column, above in enumerate(table[-1] if table else []):
                power = 4.0 ** (column + 1)
                row.append((power * row[column] - above) / (power - 1))
            for column in range(1, len(row)):
                estimate = max(abs(row[column] - row[column - 1]), abs(row[column] - table[-1][column - 1]))
                estimate = estimate + rounding
                if estimate < error:
                    best, error = row[column], estimate
            table.append(row)
    # a smooth function has lost its bend by now, and two neighbours in the table are close
    if bend > _KINK * scale + rounding or error > _KINK * np.maximum(scale, abs(best)) + rounding:
        best = np.longdouble(np.nan)
    return Derivative(best, error, scale)
