"""Differentiating what a step runs: gradients in reverse mode, and derivatives along a line."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tempscale.arrays import array_namespace
from tempscale.backend import Array, ArrayFunction, Backend
from tempscale.contracts import working_precision
from tempscale.testing.conformance.plan import Step

__all__ = ["Line", "gradients"]


def gradients(
    step: Step,
    backend: Backend,
    fn: Callable[..., Sequence[Array]],
    arrays: Sequence[Array],
    cotangents: Sequence[Array],
) -> Sequence[Array]:
    """Return the gradients, with respect to each array, of the sum of all that `fn` returns times its cotangents."""

    def total(*arrays: Array) -> Array:
        return _weighted_sum(step, backend, fn(*arrays), cotangents)

    compiled = backend.jit(total, compiler=step.compiler) if step.compiler else total
    one = backend.asarray(np.ones((), working_precision(step.dtype)), device=step.device)
    return backend.vjp(compiled, arrays, one)


@dataclass(frozen=True)
class Line:
    """A function of arrays to one array, a cotangent for that, and a line through the arrays, which have names."""

    step: Step
    backend: Backend
    fn: ArrayFunction
    arrays: Mapping[str, Array]
    tangents: Mapping[str, Array]
    cotangent: Array

    def first(self) -> Array:
        """Return the derivative of the result along the line, in forward mode."""
        return self.backend.jvp(self.fn, [*self.arrays.values()], [*self.tangents.values()])

    def second(self) -> Iterator[tuple[str, str, Array]]:
        """Yield derivatives of the gradients along the line: of which array, in which modes, and the derivative."""
        arrays, tangents = [*self.arrays.values()], [*self.tangents.values()]
        reverse = self.backend.value_and_grad(lambda *arrays: (self._slope(*arrays), ()), arrays)[2]
        for k, name in enumerate(self.arrays):
            forward = self.backend.jvp(lambda *arrays, k=k: self._gradients(*arrays)[k], arrays, tangents)
            yield name, "forward over reverse", forward
            yield name, "reverse over reverse", reverse[k]

    def _gradients(self, *arrays: Array) -> Sequence[Array]:
        """Gradients of the sum of the results times their cotangents."""

        def total(*arrays: Array) -> tuple[Array, tuple[()]]:
            return _weighted_sum(self.step, self.backend, [self.fn(*arrays)], [self.cotangent]), ()

        return self.backend.value_and_grad(total, arrays)[2]

    def _slope(self, *arrays: Array) -> Array:
        """The derivative of that sum along the line."""
        return _weighted_sum(self.step, self.backend, self._gradients(*arrays), [*self.tangents.values()])


def _weighted_sum(step: Step, backend: Backend, results: Sequence[Array], weights: Sequence[Array]) -> Array:
    """The sum of all results times their weights, in float64 or float32: parts of several dtypes can be added."""
    xp, dtype = array_namespace(*results), backend.dtype(working_precision(step.dtype))
    parts = [xp.astype(xp.sum(x * w), dtype) for x, w in zip(results, weights, strict=True)]
    return functools.reduce(operator.add, parts)
