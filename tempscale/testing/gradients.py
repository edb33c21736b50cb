"""Gradients of a function that something is claimed of: what a backend computes, and what the reference says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tempscale._core.registry import get_backend
from tempscale._core.trees import LEAF, flatten
from tempscale._reference.wide import as_floats
from tempscale.backend import Array, Backend
from tempscale.testing.claims import Claim, Exact, Finding, Host
from tempscale.testing.conformance.bounds import Expected
from tempscale.testing.conformance.differentiating import gradients
from tempscale.testing.conformance.judging import judge
from tempscale.testing.conformance.operands import moved
from tempscale.testing.conformance.plan import Step
from tempscale.testing.derivatives import derivative

__all__ = [
    "computed_gradients",
    "cotangents_of",
    "flat_function",
    "gradient_by_differences",
    "judge_gradients",
    "not_differentiable",
    "several",
    "weighted",
]

MANY = 1024
"""Number of elements that are differentiated one by one; if there are more, this many are chosen at random."""


def not_differentiable(claim: Claim, exact: Exact) -> str:
    """Say why there is no gradient of a claim; "" if there is one."""
    if not claim.floats:
        return "no argument is a float, so there is nothing to differentiate with respect to"
    if not any(value.dtype.kind == "f" for value in exact.values):
        return "the result has no float to differentiate"
    return ""


def cotangents_of(exact: Exact, dtype: str) -> list[Host]:
    """A random cotangent for each float in the result, of few bits, so that every dtype holds it."""
    rng = np.random.default_rng(20_260_914)
    kind = get_backend("numpy").dtype(dtype)
    return [
        (rng.integers(1, 8, value.shape) * rng.choice([-1, 1], value.shape) / 8).astype(kind)
        for value in exact.values
        if value.dtype.kind == "f"
    ]


def computed_gradients(claim: Claim, step: Step, backend: Backend, exact: Exact) -> Sequence[Array]:
    """The gradients of the sum of all results times their cotangents, with respect to each float array."""
    arrays = moved(step, backend, claim.cast(step.dtype))
    weights = moved(step, backend, cotangents_of(exact, step.dtype))
    places = claim.floats
    flat = flat_function(claim, step.form, single=exact.structure is LEAF)
    is_float = [value.dtype.kind == "f" for value in exact.values]

    def float_results(*floats: Array) -> list[Array]:
        given = list(arrays)
        for place, array in zip(places, floats, strict=True):
            given[place] = array
        return [x for x, kept in zip(several(flat(*given)), is_float, strict=True) if kept]

    return gradients(step, backend, float_results, [arrays[place] for place in places], weights)


def flat_function(claim: Claim, form: str, *, single: bool) -> Callable[..., Any]:
    """The function from arrays to its one result, or to a tuple of the leaves of its result."""

    def flat(*arrays: Array) -> Any:
        result = claim.call(form, arrays)
        return result if single else tuple(flatten(result)[0])

    return flat


def several(result: Any) -> list[Any]:
    """Return the results of such a function as a list."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def judge_gradients(
    claim: Claim, step: Step, backend: Backend, computed: Sequence[Array], expected: Sequence[Expected]
) -> list[Finding]:
    """Hold gradients with respect to each float array to the exact ones, where those are finite."""
    hosts, findings = claim.cast(step.dtype), []
    for place, gradient, each in zip(claim.floats, computed, expected, strict=True):
        known = np.isfinite(as_floats(each.value))
        verdict = judge(step, backend, gradient, each, dtype=step.dtype, known=known)
        findings.append(Finding(f"d/d{claim.paths[place]}", verdict, hosts))
    return findings


def gradient_by_differences(
    claim: Claim, wide: Sequence[Any], place: int, cotangents: Sequence[Any], units: dict[str, float]
) -> Expected:
    """The gradient with respect to one array from differences; NaN for elements that are left out."""
    x = wide[place]
    gradient, bound = np.full(x.shape, np.nan, np.longdouble), np.zeros(x.shape, np.longdouble)
    for index in _some_indices(x):

        def terms(distance: Any, index: Any = index) -> Any:
            shifted = x.copy()
            shifted[index] += distance
            return weighted(claim.exact([*wide[:place], shifted, *wide[place + 1 :]]), cotangents)

        found = derivative(terms, abs(float(x[index])))
        gradient[index], bound[index] = found.value, found.bound(units)
    return Expected(gradient, bound)


def weighted(exact: Exact, cotangents: Sequence[Any]) -> Any:
    """The terms of the sum of all results times their cotangents."""
    floats = [value for value in exact.values if value.dtype.kind == "f"]
    return np.concatenate([(value * g).ravel() for value, g in zip(floats, cotangents, strict=True)])


def _some_indices(x: Any) -> list[Any]:
    finite = np.argwhere(np.isfinite(x))
    if len(finite) > MANY:
        finite = np.random.default_rng(20_260_914).permutation(finite)[:MANY]
    return [tuple(index) for index in finite]
