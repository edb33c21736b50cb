"""Comparing the results of a function in a framework with those of its reference, in one step of a run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tempscale._core.trees import LEAF, Structure, flatten
from tempscale._reference.wide import as_floats
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract, formula_quantities
from tempscale.testing.check import Verdict
from tempscale.testing.claims import Claim, Exact, Finding, Host
from tempscale.testing.conformance.bounds import Expected, bounded, bounded_gradients
from tempscale.testing.conformance.judging import judge
from tempscale.testing.conformance.modes import DERIVED, Mode
from tempscale.testing.conformance.operands import moved
from tempscale.testing.conformance.plan import Step
from tempscale.testing.gradients import (
    computed_gradients,
    cotangents_of,
    flat_function,
    gradient_by_differences,
    judge_gradients,
    not_differentiable,
    several,
)

__all__ = ["Comparison"]

MAPPED = 3
"""Number of sets of arguments, each different, that are mapped over."""


class Comparison:
    """Compares values, and gradients, with those of a reference, element by element."""

    def __init__(self, claim: Claim, contract: Contract) -> None:
        self.claim = claim
        self.contract = contract
        self.text = contract.text()
        self._exact = functools.lru_cache(maxsize=None)(self._compute_exact)
        self._gradients = functools.lru_cache(maxsize=None)(self._compute_gradients)

    def not_applicable(self, step: Step) -> str:
        """Compute what is expected: a mistake in it is not the backend's. Return why nothing is compared, or ""."""
        if step.mode in DERIVED:
            return f"the mode {step.mode!r} exists only in `tempscale conform`, for functions with a specification"
        exact, _ = self._exact(step.dtype, 0)
        if step.mode == "vmap":
            for number in range(MAPPED):
                self._exact(step.dtype, number)
        if step.mode != "gradient":
            return ""
        reason = not_differentiable(self.claim, exact)
        if not reason and not any(np.isfinite(as_floats(each.value)).any() for each in self._gradients(step.dtype)):
            raise ValueError(
                f"the reference of {self.claim.name} has no finite derivative in {step.dtype} to compare with: give it "
                "finite arguments with finite results, give gradients in closed form, or leave out the mode 'gradient'"
            )
        return reason

    def compare(self, step: Step, backend: Backend) -> list[Finding]:
        """Run the function as the step says, and compare what comes out."""
        if step.mode == "gradient":
            computed = computed_gradients(self.claim, step, backend, self._exact(step.dtype, 0)[0])
            return judge_gradients(self.claim, step, backend, computed, self._gradients(step.dtype))
        hosts = self.claim.cast(step.dtype)
        exact, expected = self._exact(step.dtype, 0)
        if step.mode == "eager":
            results, structure = flatten(self.claim.call(step.form, moved(step, backend, hosts)))
            if structure != exact.structure:
                what = f"the result is {_described(structure)}, expected {_described(exact.structure)}"
                return [Finding("", Verdict(np.inf, what, 0), hosts)]
            return self._judge(step, backend, results, expected, hosts)
        flat = flat_function(self.claim, step.form, single=exact.structure is LEAF)
        run = Mode(step.mode).run(backend, flat, compiler=step.compiler)
        if step.mode != "vmap":
            return self._judge(step, backend, several(run(*moved(step, backend, hosts))), expected, hosts)
        return self._compare_mapped(step, backend, run)

    def _compare_mapped(self, step: Step, backend: Backend, run: Callable[..., Any]) -> list[Finding]:
        hosts = self.claim.cast(step.dtype)
        sets = [_rolled(hosts, number) for number in range(MAPPED)]
        stacked = [np.stack(arrays) for arrays in zip(*sets, strict=True)]
        leaves = zip(*(self._exact(step.dtype, number)[1] for number in range(MAPPED)), strict=True)
        expected = [Expected(np.stack([e.value for e in each]), np.stack([e.bound for e in each])) for each in leaves]
        return self._judge(step, backend, several(run(*moved(step, backend, stacked))), expected, stacked)

    def _compute_exact(self, dtype: str, rolled: int) -> tuple[Exact, list[Expected]]:
        """The exact values, then each of them with its bound, for the arguments as given or rolled."""
        wide = self.claim.widened(_rolled(self.claim.cast(dtype), rolled), dtype)
        exact = self.claim.exact(wide)
        quantities = [self._quantities(dtype, wide, exact, value) for value in exact.values]
        return exact, [bounded(self.contract, *each) for each in zip(exact.values, quantities, strict=True)]

    def _quantities(self, dtype: str, wide: Sequence[Any], exact: Exact, value: Any) -> dict[str, Any]:
        """What the formulas of the contract can name."""
        return formula_quantities(self.contract, dtype, self.claim.nameable(wide), {**exact.more, "value": value})

    def _judge(
        self,
        step: Step,
        backend: Backend,
        results: Sequence[Array],
        expected: Sequence[Expected],
        hosts: Sequence[Host],
    ) -> list[Finding]:
        if len(results) != len(expected):
            wrong = f"{len(results)} results, expected {len(expected)}"
            return [Finding("", Verdict(np.inf, wrong, 0), hosts)]
        found = []
        for i, (result, each) in enumerate(zip(results, expected, strict=True)):
            what = f"result {i}" if len(results) > 1 else ""
            found.append(Finding(what, judge(step, backend, result, each, dtype=step.dtype), hosts))
        return found

    def _compute_gradients(self, dtype: str) -> list[Expected]:
        """The exact gradients with respect to each float array; NaN where there is none."""
        wide = self.claim.widened(self.claim.cast(dtype), dtype)
        exact, _ = self._exact(dtype, 0)
        cotangents = self.claim.widened(cotangents_of(exact, dtype), dtype)
        if self.contract.gradients and "gradients" in exact.more:
            return self._closed_gradients(dtype, wide, exact, cotangents)
        units = self.contract.units(dtype)
        return [gradient_by_differences(self.claim, wide, place, cotangents, units) for place in self.claim.floats]

    def _closed_gradients(self, dtype: str, wide: Sequence[Any], exact: Exact, cotangents: Any) -> list[Expected]:
        with np.errstate(all="ignore"):
            gradients = exact.more["gradients"](*cotangents)
        shapes = {self.claim.paths[place]: wide[place].shape for place in self.claim.floats}
        quantities = self._quantities(dtype, wide, exact, exact.values[0])
        found = bounded_gradients(
            self.contract, gradients, quantities, [n for n in shapes if n in self.contract.gradients]
        )
        unknown = {name: np.full(shape, np.nan) for name, shape in shapes.items() if name not in found}
        return [found[name] if name in found else Expected(unknown[name], unknown[name]) for name in shapes]


def _rolled(hosts: Sequence[Host], by: int) -> list[Host]:
    """The arrays rolled along their last axis; those of one element along it are scaled instead, if floats."""
    if not by:
        return list(hosts)
    return [np.roll(x, by, axis=-1) if x.ndim and x.shape[-1] > 1 else _scaled(x, 1 - by / (MAPPED + 1)) for x in hosts]


def _scaled(x: Host, factor: float) -> Host:
    return x if x.dtype.kind in "biu" else (x.astype(np.float64) * factor).astype(x.dtype)


def _described(structure: Structure) -> str:
    if structure is LEAF:
        return "one array"
    return f"a {structure.kind.__name__} of {len(structure.parts)}"
