"""Comparing the results of a function in a framework with those of its reference, in one step of a run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tempscale._core.registry import get_backend
from tempscale._core.trees import LEAF, Structure, flatten
from tempscale._reference.wide import narrow
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract, formula_quantities
from tempscale.testing.check import Verdict, check
from tempscale.testing.claims import Claim, Exact, Host
from tempscale.testing.conformance.bounds import Expected, bounded, bounded_gradients
from tempscale.testing.conformance.differentiating import gradients
from tempscale.testing.conformance.judging import judge
from tempscale.testing.conformance.modes import DERIVED, Mode
from tempscale.testing.conformance.operands import moved
from tempscale.testing.conformance.plan import Step
from tempscale.testing.derivatives import Derivative, allowed, derivative

__all__ = ["Comparison", "Found", "Projection"]

MANY = 1024
"""Number of elements that are differentiated one by one; if there are more, this many are chosen at random."""

MAPPED = 3
"""Number of sets of arguments, each different, that are mapped over."""


@dataclass(frozen=True)
class Found:
    """One comparison: what was compared ("", or "d/dx"), the verdict, and the arrays that it is about."""

    what: str
    verdict: Verdict
    arrays: Sequence[Host]

    @property
    def named(self) -> Verdict:
        """The verdict, with what was compared in the words that say where."""
        return replace(self.verdict, where=f"{self.what}{self.verdict.where}".strip(": "))


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
        reason = _not_differentiable(self.claim, exact)
        if not reason and not any(np.isfinite(narrow(each.value)).any() for each in self._gradients(step.dtype)):
            raise ValueError(
                f"the reference of {self.claim.name} has no finite derivative in {step.dtype} to compare with: give it "
                "finite arguments with finite results, give gradients in closed form, or leave out the mode 'gradient'"
            )
        return reason

    def compare(self, step: Step, backend: Backend) -> list[Found]:
        """Run the function as the step says, and compare what comes out."""
        if step.mode == "gradient":
            return self._compare_gradients(step, backend)
        hosts = self.claim.cast(step.dtype)
        exact, bounds = self._exact(step.dtype, 0)
        if step.mode == "eager":
            results, structure = flatten(self.claim.call(step.form, moved(backend, step, hosts)))
            if structure != exact.structure:
                what = f"the result is {_described(structure)}, expected {_described(exact.structure)}"
                return [Found("", Verdict(np.inf, what, 0), hosts)]
            return self._judge(step, backend, results, exact.values, bounds, hosts)
        flat = _flat(self.claim, step.form, single=exact.structure is LEAF)
        run = Mode(step.mode).run(backend, flat, compiler=step.compiler)
        if step.mode != "vmap":
            results = _several(run(*moved(backend, step, hosts)))
            return self._judge(step, backend, results, exact.values, bounds, hosts)
        return self._compare_mapped(step, backend, run)

    def _compare_mapped(self, step: Step, backend: Backend, run: Callable[..., Any]) -> list[Found]:
        hosts = self.claim.cast(step.dtype)
        sets = [_rolled(hosts, number) for number in range(MAPPED)]
        stacked = [np.stack(arrays) for arrays in zip(*sets, strict=True)]
        each = [self._exact(step.dtype, number) for number in range(MAPPED)]
        values = [np.stack(leaves) for leaves in zip(*(exact.values for exact, _ in each), strict=True)]
        bounds = [np.stack(leaves) for leaves in zip(*(bound for _, bound in each), strict=True)]
        results = _several(run(*moved(backend, step, stacked)))
        return self._judge(step, backend, results, values, bounds, stacked)

    def _compute_exact(self, dtype: str, rolled: int) -> tuple[Exact, list[Any]]:
        """The exact values and their bounds, for the arguments as given or rolled."""
        wide = self.claim.widened(_rolled(self.claim.cast(dtype), rolled), dtype)
        exact = self.claim.exact(wide)
        bounds = [
            bounded(self.contract, value, self._quantities(dtype, wide, exact, value)).bound for value in exact.values
        ]
        return exact, bounds

    def _quantities(self, dtype: str, wide: Sequence[Any], exact: Exact, value: Any) -> dict[str, Any]:
        """What the formulas of the contract can name."""
        return formula_quantities(self.contract, dtype, self.claim.nameable(wide), {**exact.more, "value": value})

    def _judge(
        self,
        step: Step,
        backend: Backend,
        results: Sequence[Array],
        values: Sequence[Any],
        bounds: Sequence[Any],
        hosts: Sequence[Host],
    ) -> list[Found]:
        if len(results) != len(values):
            wrong = f"{len(results)} results, expected {len(values)}"
            return [Found("", Verdict(np.inf, wrong, 0), hosts)]
        found = []
        for i, (result, value, bound) in enumerate(zip(results, values, bounds, strict=True)):
            what = f"result {i}" if len(results) > 1 else ""
            found.append(Found(what, judge(step, backend, result, Expected(value, bound), dtype=step.dtype), hosts))
        return found

    def _compare_gradients(self, step: Step, backend: Backend) -> list[Found]:
        hosts = self.claim.cast(step.dtype)
        exact, _ = self._exact(step.dtype, 0)
        computed = _gradients(self.claim, step, backend, hosts, exact, _cotangents(exact, step.dtype))
        found = []
        for place, gradient, expected in zip(self.claim.floats, computed, self._gradients(step.dtype), strict=True):
            what = f"d/d{self.claim.paths[place]}"
            found.append(Found(what, _judge_gradient(step, backend, gradient, expected), hosts))
        return found

    def _compute_gradients(self, dtype: str) -> list[Expected]:
        """The exact gradients with respect to each float array; NaN where there is none."""
        wide = self.claim.widened(self.claim.cast(dtype), dtype)
        exact, _ = self._exact(dtype, 0)
        cotangents = self.claim.widened(_cotangents(exact, dtype), dtype)
        if self.contract.gradients and "gradients" in exact.more:
            return self._closed_gradients(dtype, wide, exact, cotangents)
        units = self.contract.units(dtype)
        return [_gradient_by_differences(self.claim, wide, place, cotangents, units) for place in self.claim.floats]

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
        reason = _not_differentiable(self.claim, self._exact(step.dtype))
        for number in range(0 if reason else self.directions):
            self._expected(step.dtype, number)
        return reason

    def compare(self, step: Step, backend: Backend) -> list[Found]:
        """Differentiate the function, and compare along each direction; name the element if one is wrong."""
        hosts = self.claim.cast(step.dtype)
        exact = self._exact(step.dtype)
        computed = _gradients(self.claim, step, backend, hosts, exact, _cotangents(exact, step.dtype))
        along = [self._along(step.dtype, [backend.to_numpy(x) for x in computed], i) for i in range(self.directions)]
        worst = max(along, key=lambda found: found.verdict.worst)
        return [worst] if worst.verdict.held else [self._located(step, backend, hosts, computed, worst)]

    def _compute_exact(self, dtype: str) -> Exact:
        return self.claim.exact(self.claim.widened(self.claim.cast(dtype), dtype))

    def _along(self, dtype: str, computed: Sequence[Host], number: int) -> Found:
        directions, expected = self._expected(dtype, number)
        products = [narrow(g) * d for g, d in zip(computed, directions, strict=True)]
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
        return Found("", where, ())

    def _compute_expected(self, dtype: str, number: int) -> tuple[list[Any], Derivative]:
        wide = self.claim.widened(self.claim.cast(dtype), dtype)
        rng = np.random.default_rng(number)
        # a direction of few bits: nothing is rounded on the way along it
        directions = [
            rng.integers(1, 8, wide[i].shape) * rng.choice([-1, 1], wide[i].shape) / 8 for i in self.claim.floats
        ]
        cotangents = self.claim.widened(_cotangents(self._exact(dtype), dtype), dtype)

        def terms(distance: Any) -> Any:
            moved = list(wide)
            for place, direction in zip(self.claim.floats, directions, strict=True):
                moved[place] = wide[place] + (distance * direction).astype(wide[place].dtype)
            return _weighted(self.claim.exact(moved), cotangents)

        found = derivative(terms, 1.0)
        if not np.isfinite(found.value):
            raise ValueError(
                f"the reference of {self.claim.name} has no derivative along a random direction in {dtype}: give "
                "arguments where it is smooth, and finite"
            )
        return directions, found

    def _located(
        self, step: Step, backend: Backend, hosts: Sequence[Host], computed: Sequence[Array], along: Found
    ) -> Found:
        """Say which element is wrong, if one by itself is."""
        wide = self.claim.widened(hosts, step.dtype)
        cotangents = self.claim.widened(_cotangents(self._exact(step.dtype), step.dtype), step.dtype)
        units = self.contract.units(step.dtype)
        found = []
        for place, gradient in zip(self.claim.floats, computed, strict=True):
            expected = _gradient_by_differences(self.claim, wide, place, cotangents, units)
            verdict = _judge_gradient(step, backend, gradient, expected)
            found.append(Found(f"d/d{self.claim.paths[place]}", verdict, hosts))
        worst = max(found, key=lambda each: each.verdict.worst)
        return along if worst.verdict.held else worst


# Parts


def _flat(claim: Claim, form: str, *, single: bool) -> Callable[..., Any]:
    """The function from arrays to its one result, or to a tuple of the leaves of its result."""

    def flat(*arrays: Array) -> Any:
        result = claim.call(form, arrays)
        return result if single else tuple(flatten(result)[0])

    return flat


def _several(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


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


# Gradients


def _judge_gradient(step: Step, backend: Backend, gradient: Array, expected: Expected) -> Verdict:
    """Hold a gradient to the exact one, where that is finite."""
    known = np.isfinite(narrow(expected.value))
    return judge(step, backend, gradient, expected, dtype=step.dtype, known=known)


def _not_differentiable(claim: Claim, exact: Exact) -> str:
    if not claim.floats:
        return "no argument is a float, so there is nothing to differentiate with respect to"
    if not any(value.dtype.kind == "f" for value in exact.values):
        return "the result has no float to differentiate"
    return ""


def _cotangents(exact: Exact, dtype: str) -> list[Host]:
    """A random cotangent for each float in the result, of few bits, so that every dtype holds it."""
    rng = np.random.default_rng(20_260_914)
    kind = get_backend("numpy").dtype(dtype)
    return [
        (rng.integers(1, 8, value.shape) * rng.choice([-1, 1], value.shape) / 8).astype(kind)
        for value in exact.values
        if value.dtype.kind == "f"
    ]


def _gradients(
    claim: Claim, step: Step, backend: Backend, hosts: Sequence[Host], exact: Exact, cotangents: Sequence[Host]
) -> Sequence[Array]:
    """The gradients of the sum of all results times their cotangents, with respect to each float array."""
    arrays = moved(backend, step, hosts)
    weights = moved(backend, step, cotangents)
    places = claim.floats
    flat = _flat(claim, step.form, single=exact.structure is LEAF)
    is_float = [value.dtype.kind == "f" for value in exact.values]

    def float_results(*floats: Array) -> list[Array]:
        given = list(arrays)
        for place, array in zip(places, floats, strict=True):
            given[place] = array
        return [x for x, kept in zip(_several(flat(*given)), is_float, strict=True) if kept]

    return gradients(step, backend, float_results, [arrays[place] for place in places], weights)


def _weighted(exact: Exact, cotangents: Sequence[Any]) -> Any:
    """The terms of the sum of all results times their cotangents."""
    floats = [value for value in exact.values if value.dtype.kind == "f"]
    return np.concatenate([(value * g).ravel() for value, g in zip(floats, cotangents, strict=True)])


def _gradient_by_differences(
    claim: Claim, wide: Sequence[Any], place: int, cotangents: Sequence[Any], units: dict[str, float]
) -> Expected:
    """The gradient with respect to one array from differences; NaN for elements that are left out."""
    x = wide[place]
    gradient, bound = np.full(x.shape, np.nan, np.longdouble), np.zeros(x.shape, np.longdouble)
    for index in _some_indices(x):

        def terms(distance: Any, index: Any = index) -> Any:
            moved = x.copy()
            moved[index] += distance
            return _weighted(claim.exact([*wide[:place], moved, *wide[place + 1 :]]), cotangents)

        found = derivative(terms, abs(float(x[index])))
        gradient[index], bound[index] = found.value, found.bound(units)
    return Expected(gradient, bound)


def _some_indices(x: Any) -> list[Any]:
    finite = np.argwhere(np.isfinite(x))
    if len(finite) > MANY:
        finite = np.random.default_rng(20_260_914).permutation(finite)[:MANY]
    return [tuple(index) for index in finite]
