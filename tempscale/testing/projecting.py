"""Comparing derivatives along random directions with differences of a reference, in one step of a run."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tempscale._reference.wide import as_floats
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract
from tempscale.testing.check import check
from tempscale.testing.claims import Claim, Exact, Finding, Host
from tempscale.testing.conformance.plan import Step
from tempscale.testing.derivatives import Derivative, allowed, derivative
from tempscale.testing.gradients import (
    computed_gradients,
    cotangents_of,
    gradient_by_differences,
    judge_gradients,
    not_differentiable,
    weighted,
)

__all__ = ["Projection"]


class Projection:
    """Compares derivatives along random directions with differences of a reference."""

    def __init__(self, claim: Claim, directions: int) -> None:
        self.claim = claim
        self.directions = directions
        self.contract = Contract("", widens=False)
        self.text = "the derivative of the reference, in half of the digits of the dtype"
        self._exact = functools.lru_cache(maxsize=None)(self._compute_exact)
        self._expected = functools.lru_cache(maxsize=None)(self._compute_expected)

    def not_applicable(self, step: Step) -> str:
        """Compute what is expected: a mistake in it is not the backend's. Return why nothing is compared, or ""."""
        reason = not_differentiable(self.claim, self._exact(step.dtype))
        for number in range(0 if reason else self.directions):
            self._expected(step.dtype, number)
        return reason

    def compare(self, step: Step, backend: Backend) -> list[Finding]:
        """Differentiate the function, and compare along each direction; name the element if one is wrong."""
        computed = computed_gradients(self.claim, step, backend, self._exact(step.dtype))
        along = [self._along(step.dtype, [backend.to_numpy(x) for x in computed], i) for i in range(self.directions)]
        worst = max(along, key=lambda found: found.verdict.worst)
        return [worst] if worst.verdict.held else [self._located(step, backend, computed, worst)]

    def _compute_exact(self, dtype: str) -> Exact:
        return self.claim.exact(self.claim.widened(self.claim.cast(dtype), dtype))

    def _along(self, dtype: str, computed: Sequence[Host], number: int) -> Finding:
        directions, expected = self._expected(dtype, number)
        products = [as_floats(g) * d for g, d in zip(computed, directions, strict=True)]
        found = sum((p.sum() for p in products), np.longdouble(0))
        added = sum((np.abs(p).sum() for p in products), np.longdouble(0))
        units = self.contract.units(dtype)
        bound = expected.error + allowed(expected.scale + added, units)
        # the sum is of longdoubles: 64 bits hold it, whatever the dtype
        where = check(
            np.asarray(found, np.longdouble),
            expected.value,
            bound,
            dtype=dtype,
            expected_dtype=dtype,
            names=[f"along random direction {number + 1}"],
        )
        return Finding("", where, ())

    def _compute_expected(self, dtype: str, number: int) -> tuple[list[Any], Derivative]:
        wide = self.claim.widened(self.claim.cast(dtype), dtype)
        rng = np.random.default_rng(number)
        # a direction of few bits: nothing is rounded on the way along it
        directions = [
            rng.integers(1, 8, wide[i].shape) * rng.choice([-1, 1], wide[i].shape) / 8 for i in self.claim.floats
        ]
        cotangents = self.claim.widened(cotangents_of(self._exact(dtype), dtype), dtype)

        def terms(distance: Any) -> Any:
            moved = list(wide)
            for place, direction in zip(self.claim.floats, directions, strict=True):
                moved[place] = wide[place] + (distance * direction).astype(wide[place].dtype)
            return weighted(self.claim.exact(moved), cotangents)

        found = derivative(terms, 1.0)
        if not np.isfinite(found.value):
            raise ValueError(
                f"the reference of {self.claim.name} has no derivative along a random direction in {dtype}: give "
                "arguments where it is smooth, and finite"
            )
        return directions, found

    def _located(self, step: Step, backend: Backend, computed: Sequence[Array], along: Finding) -> Finding:
        """Say which element is wrong, if one by itself is."""
        wide = self.claim.widened(self.claim.cast(step.dtype), step.dtype)
        cotangents = self.claim.widened(cotangents_of(self._exact(step.dtype), step.dtype), step.dtype)
        units = self.contract.units(step.dtype)
        expected = [gradient_by_differences(self.claim, wide, i, cotangents, units) for i in self.claim.floats]
        findings = judge_gradients(self.claim, step, backend, computed, expected)
        worst = max(findings, key=lambda each: each.verdict.worst)
        return along if worst.verdict.held else worst
