"""What is exact: the groups of a run, and what the references say of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tempscale._core.registry import get_backend
from tempscale._reference import wide
from tempscale.contracts import formula_quantities, working_precision
from tempscale.testing.conformance.bounds import Expected, bounded, bounded_gradients
from tempscale.testing.conformance.cases import Draw, Group, draw_group, groups, user_group
from tempscale.testing.conformance.operands import arrays_of, directions, exact_operands
from tempscale.testing.conformance.plan import Step
from tempscale.testing.conformance.subjects import Subject
from tempscale.testing.moving import Moving

__all__ = ["Answer", "References"]

VALID = ", valid rows"
"""How the names of groups of valid rows end."""


@dataclass(frozen=True)
class Answer:
    """What the reference of a subject says of a group, with the bounds of the contract.

    A draw is held to 1 ulp: there the bound is None, and `magnitude` is what the value is a difference of.
    """

    value: Any
    magnitude: Any
    bound: Any = None
    gradients: Mapping[str, Expected] = field(default_factory=dict)


class References:
    """The groups of a run, made of the cases, of the user's logits or of a draw; and what is exact for them.

    All of it is computed once and kept, by subject, dtype, name of the group, and number (None under the temperatures
    of the group; else the number that stands in their place).
    """

    def __init__(self, logits: np.ndarray[Any, Any] | None, draw: Draw | None) -> None:
        self._logits = logits
        self._draw = draw
        self.groups = functools.lru_cache(maxsize=None)(self._make_groups)
        self.valid = functools.lru_cache(maxsize=None)(self._make_valid)
        self.answer = functools.lru_cache(maxsize=None)(self._compute_answer)
        self.slopes = functools.lru_cache(maxsize=None)(self._compute_slopes)
        self.numpys = functools.lru_cache(maxsize=None)(self._compute_numpys)

    def forget(self) -> None:
        """Let go of all that is kept: caches of methods keep their object, and draws are large."""
        for cache in (self.groups, self.valid, self.answer, self.slopes, self.numpys):
            cache.cache_clear()

    def _make_groups(self, dtype: str) -> dict[str, Group]:
        """The groups of a dtype, by name."""
        kind = get_backend("numpy").dtype(dtype)
        if self._draw is not None:
            return {str(self._draw): draw_group(self._draw, kind)}
        if self._logits is None:
            return groups(kind)
        return {"your logits": user_group(self._logits, kind)}

    def group(self, subject: Subject, dtype: str, name: str) -> Group:
        """The group of a name, which may be one of `valid`."""
        if name.endswith(VALID):
            return self.valid(subject, dtype, name.removesuffix(VALID))
        return self.groups(dtype)[name]

    def _make_valid(self, subject: Subject, dtype: str, name: str) -> Group:
        """A group without the rows that are NaN, which would make the gradient of what all rows share NaN."""
        value = wide.as_floats(self.answer(subject, dtype, name, None).value)
        return self.groups(dtype)[name].only(~np.isnan(value), name + VALID)

    def _compute_answer(self, subject: Subject, dtype: str, group_name: str, number: float | None) -> Answer:
        """The exact value; with the gradients in closed form under the temperatures of the group."""
        contract, group = subject.specification.contract, self.group(subject, dtype, group_name)
        working = working_precision(dtype)
        operands = exact_operands(subject, group, working, number)
        with np.errstate(all="ignore"):
            exact = subject.reference(operands)
        value, magnitude = exact["value"], exact.get("magnitude", 0.0)
        if self._draw is not None:
            return Answer(value, magnitude)
        quantities = formula_quantities(contract, dtype, operands, exact)
        bound = bounded(contract, value, quantities).bound
        if number is not None or not contract.gradients:
            return Answer(value, magnitude, bound)
        with np.errstate(all="ignore"):
            gradients = exact["gradients"](wide.to_wide(group.cotangent(value.ndim), working))
        held_to = bounded_gradients(contract, gradients, quantities, contract.gradients)
        return Answer(value, magnitude, bound, held_to)

    def _compute_slopes(
        self, subject: Subject, dtype: str, group_name: str, number: float | None
    ) -> dict[str | None, Expected]:
        """The derivatives along a line of the value, under None, and of the gradients."""
        group, working = self.group(subject, dtype, group_name), working_precision(dtype)
        operands = exact_operands(subject, group, working, number)
        names = directions(subject, group, number)
        for name, v in names.items():
            operands[name] = Moving.along(operands[name], wide.to_wide(v, working))
        with np.errstate(all="ignore"):
            exact = subject.reference(operands)
            g = wide.to_wide(group.cotangent(exact["value"].ndim), working)
            gradients = exact["gradients"](Moving.along(g, np.zeros_like(g)))
            slopes = {None: exact["value"].slope} | {name: gradients[name].slope for name in names}
        # where the bound of the gradient is infinite the gradient jumps
        bounds = {n: e.bound for n, e in self.answer(subject, dtype, group_name, None).gradients.items()}
        jumps = {None: 0.0} | {n: np.where(np.isinf(b).any(-1, keepdims=True), np.inf, 0) for n, b in bounds.items()}
        u = subject.specification.contract.units(dtype)["u"]
        return {n: Expected(wide.as_floats(slope.value), u * slope.error + jumps[n]) for n, slope in slopes.items()}

    def _compute_numpys(
        self, subject: Subject, precision: str, dtype: str, group_name: str, number: float | None
    ) -> np.ndarray[Any, Any]:
        """The result in NumPy, eagerly, whose bits all others are to have."""
        step = Step("numpy", "cpu", dtype, "eager", precision=precision)
        arrays = arrays_of(step, get_backend("numpy"), self.group(subject, dtype, group_name), subject)
        if number is not None:
            arrays["temperature"] = number
        return np.asarray(subject.call(step, arrays))
