"""Whether a result is within its contract, and if not, where it is worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale._wide import narrow
from tempscale.testing.ulp import largest, spacing

__all__ = ["Verdict", "check"]


@dataclass(frozen=True)
class Verdict:
    """Outcome of one comparison: the worst |error| / bound, and a sentence that says where it was."""

    worst: float
    where: str
    elements: int

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
    names: Sequence[str],
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
    names : sequence of str
        The case of each row.
    """
    exact = narrow(exact)
    if dtype != expected_dtype:
        return Verdict(np.inf, f"dtype is {dtype}, expected {expected_dtype}", actual.size)
    if actual.shape != exact.shape:
        return Verdict(np.inf, f"shape is {actual.shape}, expected {exact.shape}", actual.size)
    if not actual.size:
        return Verdict(0.0, "", 0)
    got = actual.astype(np.longdouble)
    ratio = _ratio(got, exact, np.broadcast_to(narrow(bound), exact.shape), dtype)
    index = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    worst = float(ratio[index])
    place = ", ".join(str(int(i)) for i in index)
    where = f"{names[int(index[0])]}: [{place}] is {_shown(got[index])}, exactly {_shown(exact[index])}"
    return Verdict(worst, where, actual.size)


def _ratio(got: Any, exact: Any, bound: Any, dtype: str) -> Any:
    """|error| / bound; 0 where both are NaN or the same infinity, inf where only one is."""
    with np.errstate(all="ignore"):
        error = np.abs(got - exact)
        if dtype in ("float16", "bfloat16"):
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
