"""How far B is from A, layer by layer, and how far rounding may take it.

The model runs with every layer that has a counterpart held to A: the layer computes from A's input, and what comes
after it goes on with A's output. So what a layer does wrong is seen at that layer alone, and what is wrong in the code
between two layers at the input of the second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from tempscale.comparison.layouts import Layout, best, layouts, move_between
from tempscale.comparison.reader import Call, Inputs, ModelReader, Values, is_float, moved, unit
from tempscale.comparison.recording import Key, Numbered, Record

__all__ = [
    "DIFFERENT",
    "LOOK",
    "Place",
    "decide_in_float64",
    "error",
    "examine",
    "floors",
    "hold",
    "places_of",
    "scale_of",
]

LOOK = 3.0
"""Below so many floors two results are the same."""

DIFFERENT = 10.0
"""Above so many floors they differ; in between, float64 decides."""

RUNS = 3
"""How often inputs and weights are moved to see how far rounding carries."""

_SPREAD = 4.0
"""How much larger the floor of one model may be than that of the other: code that computes in a narrower dtype takes
any movement for a large one, and must not excuse itself with it."""

Look: TypeAlias = Callable[["Place", Call, Values], None]
"""Looks at a layer while it is being called, with the arguments that it is held to."""


@dataclass(eq=False)
class Place:
    """A place at which both models should have the same values: the results of a layer, or what arrives at it.

    Attributes
    ----------
    a, b : Record
        The layer in both models.
    arriving : bool
        Whether this is about the first argument that arrives at it, so about the code before it.
    whole : bool
        Whether this is the output of the models, which are made of other layers.
    image : tuple of int, optional
        Shape of the image that came last in A.
    move : Layout, optional
        How the channels of images go from A's place to B's, as the last layers say that care.
    layout : Layout
        How B holds what A holds.
    expected, found : numpy.ndarray
        A's values, in B's layout, and B's own, computed from A's.
    moved_a, moved_b : float
        How far it moves at most with its input and the weights, in each model, relative to the scale.
    float64 : float, optional
        The own error in float64, where that had to decide.
    reason : str
        Why it differs, and what to change.
    """

    a: Record
    b: Record
    arriving: bool
    whole: bool = False
    image: tuple[int, ...] | None = None
    move: Layout | None = None
    layout: Layout | None = None
    expected: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(0))
    found: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(0))
    moved_a: float = 0.0
    moved_b: float = 0.0
    float64: float | None = None
    reason: str = ""

    @property
    def reference(self) -> np.ndarray[Any, Any]:
        """A's values."""
        values = self.a.taken if self.arriving else self.a.given
        return values[0]

    @cached_property
    def scale(self) -> float:
        """Largest magnitude of A's values."""
        return scale_of(self.reference)

    @cached_property
    def own(self) -> float:
        """Error of B's layer on A's input, relative to the scale; inf where the shapes do not fit."""
        return np.inf if self.layout is None else error(self.expected, self.found)

    @property
    def floor(self) -> float:
        """How far rounding may take a correct layer, relative to the scale."""
        smallest = 2 * unit(self.reference) if is_float(self.reference) else 2.0**-23  # each rounds its results once
        one, other = max(self.moved_a, smallest), max(self.moved_b, smallest)
        return min(max(one, other), _SPREAD * min(one, other))

    @property
    def ratio(self) -> float:
        """The own error, in floors."""
        return self.own / self.floor

    @property
    def verdict(self) -> str:
        """Say "same", "look" or "different": what shrinks with the precision is rounding; what stays is a mistake."""
        if self.ratio < LOOK:
            return "same"
        if self.ratio > DIFFERENT:
            return "different"
        if self.float64 is None:
            return "look"
        return "same" if self.float64 < self.own / 16 else "different"


def scale_of(x: np.ndarray[Any, Any]) -> float:
    """Largest magnitude of what is finite in `x`."""
    largest = float(np.abs(x).max(initial=0)) if x.size else 0.0
    if np.isfinite(largest):
        return largest
    wide = np.abs(np.asarray(x, np.float64))
    return float(wide[np.isfinite(wide)].max(initial=0.0))


def error(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> float:
    """Largest difference, relative to the largest expected magnitude; inf where one is finite and the other is not."""
    if expected.shape != found.shape:
        return np.inf
    largest = _largest_difference(expected, found)
    return largest / (scale_of(expected) or np.finfo(np.float64).tiny) if largest else 0.0


def _largest_difference(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    if not (a.dtype == b.dtype and a.dtype in (np.float32, np.float64)):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(a - b)
    largest = float(difference.max(initial=0.0))
    if np.isfinite(largest):
        return largest
    difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0  # equal infinities, and NaN in both
    return float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max(initial=0.0))


def places_of(pairs: list[tuple[Record, Record]], a: Record, b: Record) -> list[Place]:
    """Return where two models are compared: what arrives at each layer of a pair, its results, and the output."""
    found: list[Place] = []
    image = a.taken[0].shape if a.taken and a.taken[0].ndim > 2 else None
    move: Layout | None = None
    for one, other in pairs:
        move = move_between(one.layer.channels_first, other.layer.channels_first) or move
        if one.taken and other.taken:
            found.append(Place(one, other, arriving=True, image=image, move=move))
        found.append(Place(one, other, arriving=False, image=image, move=move))
        image = one.shape if one.given[0].ndim > 2 else image
    layers = {id(call) for pair in pairs for call in pair}
    if id(a) not in layers and id(b) not in layers:
        found.append(Place(a, b, arriving=False, whole=True, image=image, move=move))
    return found


def floors(reader: ModelReader, inputs: Inputs, places: list[Place]) -> None:
    """Measure in A how far every place moves with its input and the weights."""
    for run in range(RUNS):
        rng = np.random.default_rng(run)

        def note(place: Place, found: np.ndarray[Any, Any]) -> None:
            place.moved_a = max(place.moved_a, error(place.reference, found))

        with reader.moved(rng):
            _run_held(reader, inputs, places, _OfA(rng), note)


def hold(reader: ModelReader, inputs: Inputs, places: list[Place]) -> None:
    """Run B held to A, for what each layer errs by itself; then moved, for how far rounding may take it."""

    def first(place: Place, found: np.ndarray[Any, Any]) -> None:
        place.found = found
        possible = layouts(place.reference.shape, found.shape, place.image, place.move)
        if possible:
            place.layout = best(possible, place.reference, found)
            place.expected = place.layout.there(place.reference)

    _run_held(reader, inputs, places, _OfB(None), first)
    for run in range(RUNS):
        rng = np.random.default_rng(RUNS + run)

        def note(place: Place, found: np.ndarray[Any, Any]) -> None:
            if place.layout is not None and found.shape == place.found.shape and place.expected.size:
                distance = error(place.found, found) * scale_of(place.found)
                place.moved_b = max(place.moved_b, distance / place.scale if place.scale else 0.0)

        with reader.moved(rng):
            _run_held(reader, inputs, places, _OfB(rng), note)


class _Given:
    """What a layer is given: A's values, moved if there is a generator of random numbers."""

    def __init__(self, rng: np.random.Generator | None) -> None:
        self.rng = rng

    def moved(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return x if self.rng is None else moved(x, self.rng)


class _OfA(_Given):
    def key(self, place: Place) -> Key:
        return place.a.key

    def taken(self, arriving: Place | None, place: Place, own: Values) -> Values:
        return [self.moved(x) for x in place.a.taken]

    def given(self, place: Place, own: Values) -> Values:
        return [self.moved(x) for x in place.a.given]


class _OfB(_Given):
    def key(self, place: Place) -> Key:
        return place.b.key

    def taken(self, arriving: Place | None, place: Place, own: Values) -> Values:
        """Return A's arguments in B's layout. What B is given more than A goes on as it came."""
        found = list(own)
        for number, (a, b) in enumerate(zip(place.a.taken, own, strict=False)):
            possible = layouts(a.shape, b.shape, place.image, place.move)
            layout = arriving.layout if number == 0 and arriving else best(possible, a, b) if possible else None
            if layout is not None and is_float(a) == is_float(b):
                found[number] = self.moved(layout.there(a)) if is_float(a) else layout.there(a)
        return found

    def given(self, place: Place, own: Values) -> Values:
        if place.layout is None:
            return own
        return [self.moved(place.layout.there(place.a.given[0])), *own[1:]]


def _run_held(
    reader: ModelReader,
    inputs: Inputs,
    places: list[Place],
    side: _OfA | _OfB,
    note: Callable[[Place, np.ndarray[Any, Any]], None],
    look: Look | None = None,
) -> None:
    arriving = {side.key(place): place for place in places if place.arriving}
    results = {side.key(place): place for place in places if not place.arriving}

    def around(call: Call, key: Key) -> Values:
        place = results.get(key)
        if place is None or place.whole:
            own = call.proceed(call.arrays)
            if place is not None and own:
                note(place, own[0])
            return own
        before = arriving.get(key)
        if before is not None:
            note(before, call.arrays[0])
        taken = side.taken(before, place, call.arrays)
        if look is not None:  # before it is called for good, which may change its state
            with numbered.aside():
                look(place, call, taken)
        own = call.proceed(taken)
        note(place, own[0])
        return side.given(place, own)

    numbered = Numbered(around)
    with reader.kept():
        reader.run(inputs, numbered)


def examine(
    reader: ModelReader, inputs: Inputs, places: list[Place], look: Callable[[Place, Call, Values], None]
) -> None:
    """Run B held to A once more, and have `look` look at each layer whose own error is beyond its floor."""
    _run_held(reader, inputs, places, _OfB(None), lambda place, found: None, look)


def decide_in_float64(a: ModelReader, b: ModelReader, inputs: Inputs, inputs_b: Inputs, places: list[Place]) -> None:
    """Run the layers that are neither within nor clearly beyond their floors in float64, on A's input."""
    wide: dict[Key, np.ndarray[Any, Any]] = {}

    def in_a(place: Place, call: Call, taken: Values) -> None:
        if (found := _in_float64(call, taken)) is not None:
            wide[place.a.key] = found

    def in_b(place: Place, call: Call, taken: Values) -> None:
        if place.a.key in wide and place.layout is not None and (found := _in_float64(call, taken)) is not None:
            place.float64 = error(place.layout.there(wide[place.a.key]), found)

    open_places = [place for place in places if not place.arriving and LOOK <= place.ratio <= DIFFERENT]
    if open_places:
        _run_held(a, inputs, places, _OfA(None), lambda place, found: None, _only(open_places, in_a))
        _run_held(b, inputs_b, places, _OfB(None), lambda place, found: None, _only(open_places, in_b))


def _only(wanted: list[Place], look: Look) -> Look:
    def at(place: Place, call: Call, taken: Values) -> None:
        if place in wanted:
            look(place, call, taken)

    return at


def _in_float64(call: Call, arrays: Values) -> np.ndarray[Any, Any] | None:
    """Result of a layer in float64, or None if it cannot compute so."""
    try:
        return call.proceed([x.astype(np.float64) if is_float(x) else x for x in arrays], wide=True)[0]
    except NotImplementedError:
        return None
