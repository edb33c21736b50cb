"""Agreement: how far the results of any two backends are apart, in units in the last place."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tempscale._reference import wide
from tempscale.contracts import working_precision
from tempscale.reporting.report import Agreement
from tempscale.testing.conformance.references import References
from tempscale.testing.conformance.subjects import Subject
from tempscale.testing.ulp import ulp_distance

__all__ = ["Agreements"]

CONDITIONED = 1024
"""Agreement is counted where the bound is below this many u of the value; elsewhere the problem itself loses digits."""

Key = tuple[Subject, str, str, float | None]
"""Subject, dtype, name of the group, and number, as `References` has them."""


class Agreements:
    """Keeps the results of the backends, the first of each, and compares them with one another."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._results: dict[Key, dict[str, np.ndarray[Any, Any]]] = {}

    def keep(self, key: Key, backend: str, result: np.ndarray[Any, Any]) -> None:
        """Keep a result of a backend."""
        self._results.setdefault(key, {}).setdefault(backend, result)

    def largest(self) -> list[Agreement]:
        """Return the largest distance between any two backends, by operation, variant and dtype."""
        worst: dict[tuple[Subject, str], Agreement] = {}
        for key, results in self._results.items():
            found = self._largest_of(key, results)
            if found is None:
                continue
            before = worst.get(key[:2])
            elements = found.elements + (before.elements if before else 0)
            if before is not None and before.ulp >= found.ulp:
                found = before
            worst[key[:2]] = replace(found, elements=elements)
        return list(worst.values())

    def _largest_of(self, key: Key, results: Mapping[str, np.ndarray[Any, Any]]) -> Agreement | None:
        subject, dtype, group_name, _ = key
        answer = self._references.answer(*key)
        value, bound = wide.as_floats(answer.value), wide.as_floats(answer.bound)
        u = np.finfo(working_precision(dtype)).eps / 2
        counted = np.isfinite(value) & (bound < CONDITIONED * u * np.abs(value))
        right = {name: result for name, result in results.items() if result.shape == value.shape}
        best: Agreement | None = None
        for one, other in itertools.combinations(right, 2):
            distance = np.where(counted, ulp_distance(right[one], right[other], dtype), 0)
            index = np.unravel_index(int(np.argmax(distance)), distance.shape) if distance.size else None
            ulp = int(distance[index]) if index is not None else 0
            if best is None or ulp > best.ulp:
                case = self._references.groups(dtype)[group_name].cases[int(index[0])] if index else ""
                best = Agreement(*subject.key, dtype, ulp, (one, other), case, int(counted.sum()))
        return best
