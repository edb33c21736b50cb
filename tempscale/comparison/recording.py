"""Running a model and writing down what each of its layers took and gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tempscale.comparison.reader import Call, Inputs, Layer, ModelReader, Values

__all__ = ["Key", "Numbered", "Record", "leaves_of", "record"]

Key: TypeAlias = tuple[str, int]
"""Name of a layer, and how often it was called before."""


@dataclass
class Record:
    """One call of a layer.

    Attributes
    ----------
    key : Key
        Which call of which layer.
    layer : Layer
        What was called.
    taken, given : list of numpy.ndarray
        Its arguments and its results.
    children : list of Record
        The calls inside it, in order.
    fingerprints : dict
        Of each of its weights something that no layout changes, so that weights are paired by value.
    """

    key: Key
    layer: Layer
    taken: Values
    given: Values = field(default_factory=list)
    children: list[Record] = field(default_factory=list)
    fingerprints: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the layer; with a count if it was called before."""
        name, again = self.key
        return f"{name} (call {again + 1})" if again else name or self.layer.title

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first result."""
        return self.given[0].shape if self.given else ()

    def descendants(self) -> Iterator[Record]:
        """Yield all calls inside it, and it itself at the end."""
        for child in self.children:
            yield from child.descendants()
        yield self


class Numbered:
    """Stands around every call of a model and tells the first call of a layer from its second."""

    def __init__(self, around: Callable[[Call, Key], Values]) -> None:
        self.around = around
        self.calls: Counter[str] = Counter()

    def __call__(self, call: Call) -> Values:
        """Hand the call on with its number."""
        name = call.layer.name
        key = name, self.calls[name]
        self.calls[name] += 1
        return self.around(call, key)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let calls inside the block go uncounted: a layer is run once more, to try something."""
        before = self.calls.copy()
        try:
            yield
        finally:
            self.calls = before


def record(reader: ModelReader, inputs: Inputs) -> Record:
    """Run a model and return the call of the model itself, with all calls inside it."""
    open_calls: list[Record] = []
    roots: list[Record] = []

    def around(call: Call, key: Key) -> Values:
        now = Record(key, call.layer, call.arrays)
        now.fingerprints = {name: _fingerprint(weight) for name, weight in call.layer.weights().items()}
        (open_calls[-1].children if open_calls else roots).append(now)
        open_calls.append(now)
        try:
            now.given = call.proceed(call.arrays)
        finally:
            open_calls.pop()
        return now.given

    reader.run(inputs, Numbered(around))
    if not roots:
        raise ValueError(f"the {reader.framework} model called nothing that a comparison could look at")
    return roots[0]


def _fingerprint(weight: np.ndarray[Any, Any]) -> tuple[float, float]:
    wide = np.asarray(weight, np.float64)
    return float(np.mean(wide, dtype=np.float64)), float(np.sqrt(np.mean(wide * wide)))


def leaves_of(root: Record, whole: frozenset[str] = frozenset()) -> list[Record]:
    """Return the calls that are looked at as one: without calls inside, or of a kind in `whole`."""
    if not root.children or root.layer.kind in whole:
        return [root]
    return [leaf for child in root.children for leaf in leaves_of(child, whole)]
