"""Exact results with their bounds: how far from them a contract lets a computed one be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale.contracts import Contract

__all__ = ["Expected", "bounded", "bounded_gradients"]


@dataclass(frozen=True)
class Expected:
    """An exact result, in higher precision, and how far from it each element of a computed one may be."""

    value: Any
    bound: Any


def bounded(contract: Contract, value: Any, quantities: Mapping[str, Any], of: str | None = None) -> Expected:
    """Evaluate a contract for an exact value, or for an exact gradient with respect to the argument `of`.

    `quantities` are what its formulas can name; see `formula_quantities`.
    """
    try:
        with np.errstate(all="ignore"):
            bound = contract.bound(of, **quantities)
    except NameError as error:
        raise NameError(f"{error} in the contract; it can name {', '.join(quantities)}") from None
    return Expected(value, _fitted(bound, np.shape(value)))


def bounded_gradients(
    contract: Contract, gradients: Mapping[str, Any], quantities: Mapping[str, Any], names: Iterable[str]
) -> dict[str, Expected]:
    """Evaluate a contract for exact gradients, by the arguments' names; its formulas can name them, too."""
    quantities = {**quantities, **gradients}
    return {name: bounded(contract, gradients[name], quantities, name) for name in names}


def _fitted(bound: Any, shape: tuple[int, ...]) -> Any:
    """Bring a bound to the shape of what it bounds: one per row where the result has no classes axis."""
    bound = np.asarray(bound)
    if bound.ndim == len(shape) + 1 and bound.shape[-1] == 1:
        bound = bound[..., 0]
    try:
        return np.broadcast_to(bound, shape)
    except ValueError:
        raise ValueError(
            f"the contract gives a bound of shape {bound.shape} for a result of shape {shape}; what it names must "
            "broadcast against the result"
        ) from None
