"""`compare`: two models, the first layer that differs, and why. `compare_traces`: the same of dumped arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempscale.arrays import to_numpy
from tempscale.comparison import reasons
from tempscale.comparison.aligning import align
from tempscale.comparison.layouts import best, layouts, move_between
from tempscale.comparison.measuring import (
    DIFFERENT,
    LOOK,
    Place,
    decide_in_float64,
    error,
    examine,
    floors,
    hold,
    places_of,
    scale_of,
)
from tempscale.comparison.reader import Call, Inputs, ModelReader, Values, is_float, reader_of, unit
from tempscale.comparison.recording import Record, leaves_of, record
from tempscale.comparison.report import ComparisonReport, LayerPair

__all__ = ["compare", "compare_traces"]

_SOURCES = 8
"""How many layers back the code before a layer is taken to look."""

_RANDOM = 1e-3
"""Two runs that differ by more than this of the scale differ by more than the order of sums."""


def compare(a: Any, b: Any, x: Any, /) -> ComparisonReport:
    """Compare two models on the same input: is it rounding or a mistake, at which layer, and why.

    Each layer of B is run on what its counterpart in A was given. So one layer that is wrong does not accuse those
    behind it. How far rounding may take a correct model is measured, by moving inputs and weights by one unit in the
    last place, in A and in B; there is no tolerance to choose.

    Parameters
    ----------
    a, b : model
        A `torch.nn.Module`, a Keras 3 model or a `flax.nnx.Module`, each in whichever framework it is. B is held to A.
        Both are left as they were, also after an error.
    x : array, tuple or dict
        What the models are called with, in A's layout: an array, a tuple of arguments, or a dict of arguments by
        name. Arrays of any framework. If B's images have their channels elsewhere, they are moved for B.

    Returns
    -------
    ComparisonReport
        With the ``verdict`` "same", "look" or "different", the ``first`` layer that differs and its ``reason``, and
        all ``layers``. ``print(report)`` shows a table.

    Raises
    ------
    TypeError
        If one of them is no model of a framework that is known.
    ValueError
        If a model cannot be called with `x`, draws random numbers, or has no layer that corresponds to one of the
        other.

    Notes
    -----
    The models run about twelve times in all. What all their layers gave is kept meanwhile, and a copy of the weights.

    Examples
    --------
    >>> import numpy as np, torch, tempscale as ts
    >>> a = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.LayerNorm(8))
    >>> b = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.LayerNorm(8, eps=1e-3))
    >>> _ = b.load_state_dict(a.state_dict())
    >>> report = ts.compare(a, b, np.random.default_rng(0).normal(size=(16, 4)))
    >>> report.verdict, report.first.b
    ('different', '2')
    >>> report.first.reason
    'epsilon is 0.001 in b and 1e-05 in a: LayerNorm(..., eps=1e-05)'
    """
    readers = reader_of(a, "a"), reader_of(b, "b")
    with readers[0].kept(), readers[1].kept():
        return _compare(*readers, x)


def _compare(a: ModelReader, b: ModelReader, x: Any) -> ComparisonReport:
    inputs, inputs_b, notes = _prepared(a, b, x)
    frameworks = a.framework, b.framework
    roots = []
    for name, reader, given in (("a", a, inputs), ("b", b, inputs_b)):
        with reader.kept():  # the second run goes on from the random state that the first one left
            roots.append(_recorded(reader, given, name))
            random = _random_layer(roots[-1], _recorded(reader, given, name))
        notes += _oddities(roots[-1], name)
        if random is not None:
            return ComparisonReport("different", (_of_random(random, name),), tuple(notes), frameworks=frameworks)
    one, other = roots
    pairs = align(one, other)
    if not pairs:
        raise ValueError(
            f"the models have no layers in common: a ({a.framework}) has {_listing(one)}; b ({b.framework}) has "
            f"{_listing(other)}. Compare dumps of what should be equal by compare_traces"
        )
    places = places_of(pairs, one, other)
    floors(a, inputs, places)
    hold(b, inputs_b, places)
    decide_in_float64(a, b, inputs, inputs_b, places)
    _explain(b, inputs_b, places, [pair[0] for pair in pairs])
    layers = tuple(_layer_pair(place) for place in places if _worth_a_row(place, places))
    paired = {id(inside) for pair in pairs for call in pair for inside in call.descendants()}
    unpaired = {
        name: tuple(call.name for call in leaves_of(root) if id(call) not in paired and call.layer.kind != "reshape")
        for name, root in (("a", one), ("b", other))
    }
    return ComparisonReport(_verdict(layers, notes), layers, tuple(notes), unpaired, frameworks)


# Inputs


def _prepared(a: ModelReader, b: ModelReader, x: Any) -> tuple[Inputs, Inputs, list[str]]:
    """Return what A and B are called with, in NumPy arrays, and what was done to it."""
    notes: list[str] = []
    given: Inputs = x if isinstance(x, Mapping) else x if isinstance(x, tuple) else (x,)
    dtypes = [_float_of(reader) for reader in (a, b)]

    def for_a(value: Any) -> Any:
        array = _as_numpy(value)
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and dtypes[0] and array.dtype != dtypes[0]:
            notes.append(f"x of dtype {array.dtype} was cast to {dtypes[0]}, the dtype of a's weights")
            return array.astype(dtypes[0])
        return array

    move = move_between(a.channels_first(), b.channels_first())

    def for_b(array: Any) -> Any:
        if move is None or not isinstance(array, np.ndarray) or array.ndim < 3:
            return array
        notes.append(f"x of shape {array.shape} is given to b with its {move.name}")
        return np.ascontiguousarray(move.there(array))

    inputs = _mapped(for_a, given)
    return inputs, _mapped(for_b, inputs), notes


def _float_of(reader: ModelReader) -> np.dtype[Any] | None:
    variables = reader.variables().values()
    return next((x.dtype for x in variables if x.dtype in (np.float32, np.float64)), None)


def _mapped(function: Any, inputs: Inputs) -> Inputs:
    if isinstance(inputs, Mapping):
        return {name: function(value) for name, value in inputs.items()}
    return tuple(map(function, inputs))


def _as_numpy(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    return value if isinstance(value, np.ndarray) else to_numpy(value)


def _recorded(reader: ModelReader, inputs: Inputs, name: str) -> Record:
    try:
        return record(reader, inputs)
    except Exception as problem:
        values = inputs.values() if isinstance(inputs, Mapping) else inputs
        shapes = ", ".join(f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else repr(x) for x in values)
        raise ValueError(
            f"{name} ({reader.framework}) cannot be called with x ({shapes}): {type(problem).__name__}: {problem}. "
            "Give x as a expects it: an array, a tuple of arguments, or a dict of arguments by name"
        ) from problem


def _listing(root: Record) -> str:
    names = [f"{call.name} {call.shape}" for call in leaves_of(root)]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


# What should be known first


def _oddities(root: Record, model: str) -> list[str]:
    found = []
    for call in leaves_of(root):
        bad = [x for x in call.given if is_float(x) and not np.isfinite(np.asarray(x, np.float64)).all()]
        if bad:
            count = int((~np.isfinite(np.asarray(bad[0], np.float64))).sum())
            found.append(f"{model} has {count} values that are not finite, first in what {call.name} gives")
            break
    if root.given and root.given[0].size and not np.any(root.given[0]):
        found.append(f"the output of {model} is all zeros")
    twice = sorted({call.key[0] for call in leaves_of(root) if call.key[1]})
    if twice:
        found.append(f"{model} calls {', '.join(twice)} more than once")
    return found


def _random_layer(one: Record, other: Record) -> Record | None:
    """Return the first layer that gave other values for the same input."""
    for first, second in zip(leaves_of(one), leaves_of(other), strict=False):
        same_input = all(
            np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(first.taken, second.taken, strict=False)
        )
        if same_input and any(error(x, y) > _RANDOM for x, y in zip(first.given, second.given, strict=False)):
            return first
    return None


def _of_random(call: Record, model: str) -> LayerPair:
    if call.layer.kind != "dropout":
        raise ValueError(
            f"{model} draws random numbers in {call.name} ({call.layer.title}): two runs on the same "
            "input differ, so there is nothing to compare. Switch that off, or fix what is drawn"
        )
    return LayerPair(
        a=call.name if model == "a" else "",
        b=call.name if model == "b" else "",
        what="layer",
        kind=call.layer.title,
        shape=call.shape,
        own=np.inf,
        inherited=np.inf,
        floor=2.0**-24,
        verdict="different",
        reason=f"dropout of {model} is left in training mode: {call.layer.line('training', False)}",
    )


# What was found


def _explain(b: ModelReader, inputs: Inputs, places: list[Place], weighted: list[Record]) -> None:
    """Name the reason of everything that differs."""

    def look(place: Place, call: Call, taken: Values) -> None:
        if place.verdict == "different":
            place.reason = reasons.of_layer(place, call, taken, weighted)

    if any(place.verdict == "different" and not (place.arriving or place.whole) for place in places):
        examine(b, inputs, places, look)
    for number, place in enumerate(places):
        if place.verdict == "different" and (place.arriving or place.whole):
            place.reason = reasons.of_code(place, places[:number][-2 * _SOURCES :])


def _worth_a_row(place: Place, places: list[Place]) -> bool:
    """Whether there is anything to say: what arrives as another layer gave it was not computed in between."""
    if place.arriving and place.layout is None:  # as when B pads by hand: then its layer is run on what arrives there
        return False
    if not (place.arriving or place.whole) or place.verdict != "same":
        return True
    values = place.reference.ravel()
    before = [other.reference for other in places[: places.index(place)]]
    return not any(
        x.size == values.size and np.array_equal(x.ravel(), values) for x in [*places[0].a.taken[:1], *before]
    )


def _layer_pair(place: Place) -> LayerPair:
    own = place.b.taken if place.arriving else place.b.given
    inherited = error(place.expected, own[0]) if place.layout is not None else np.inf
    names = {place.a.layer.title: None, place.b.layer.title: None}
    return LayerPair(
        a=place.a.name,
        b=place.b.name,
        what="code" if place.arriving else "output" if place.whole else "layer",
        kind=" / ".join(names),
        shape=place.reference.shape,
        own=place.own,
        inherited=inherited,
        floor=place.floor,
        verdict=place.verdict,
        reason=place.reason,
        layout=place.layout.name if place.layout else "",
        worst=_worst(place.expected, place.found) if place.layout else "",
        histogram=_histogram(place.expected, place.found) if place.layout else (),
    )


def _worst(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> str:
    if not expected.size:
        return ""
    difference = np.nan_to_num(_differences(expected, found), nan=np.inf)
    index = np.unravel_index(int(np.argmax(difference)), expected.shape)
    where = ", ".join(str(int(i)) for i in index)
    return f"[{where}] is {found[index]:.9g} in b and {expected[index]:.9g} in a"


def _differences(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    wide, other = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(wide == other, 0.0, np.abs(wide - other))


def _histogram(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Count the elements by their error, relative to the scale, in steps of 4 from 2^-24 on."""
    relative = _differences(expected, found) / (scale_of(expected) or 1.0)
    edges = [2.0 ** (2 * step - 24) for step in range(13)]
    bins = np.digitize(np.nan_to_num(relative, nan=np.inf).ravel(), edges)
    return tuple(np.bincount(bins, minlength=len(edges) + 1).tolist())


def _verdict(layers: Sequence[LayerPair], notes: Sequence[str]) -> str:
    verdicts = {pair.verdict for pair in layers}
    if "different" in verdicts:
        return "different"
    odd = any("not finite" in note or "all zeros" in note for note in notes)
    return "look" if "look" in verdicts or odd else "same"


# Traces


def compare_traces(a: Any, b: Any, /) -> ComparisonReport:
    """Compare arrays that two programs dumped: hidden states, or what another machine computed.

    There is no model to run again, so every error is inherited, and what rounding may do is not measured: an array
    differs when it is further off than ten times the root of its own depth in roundings; see Notes.

    Parameters
    ----------
    a, b : dict or path
        Arrays by name, in the order in which they were computed; or an .npz file of them. Arrays of any framework.
        Names that both have are paired; without any, arrays are paired in order.

    Returns
    -------
    ComparisonReport
        As of `compare`.

    Raises
    ------
    ValueError
        If nothing can be paired.

    Notes
    -----
    An array is "same" while its error is below 3 floors, and "different" above 10; in between, and wherever an error
    may have grown from layer to layer, the verdict is "look". The floor of the n-th array is ``8 * sqrt(n) * u`` of
    its largest magnitude, u being half an ulp of its dtype: what independent roundings in n layers add up to where
    each layer errs by 8 u. An error grows with depth, so what is above 10 floors is called different only if it is
    ten times that of every array before it.

    Examples
    --------
    >>> import numpy as np, tempscale as ts
    >>> hidden, logits = np.ones((2, 3), "float32"), np.arange(4, dtype="float32")
    >>> report = ts.compare_traces({"hidden": hidden, "logits": logits}, {"hidden": hidden, "logits": logits + 0.5})
    >>> report.verdict, report.first.a
    ('different', 'logits')
    """
    one, other = _trace(a, "a"), _trace(b, "b")
    shared = [(name, name) for name in one if name in other]
    pairs = shared or list(zip(one, other, strict=False))
    if not pairs:
        raise ValueError(f"there is nothing to compare: a has {len(one)} arrays and b has {len(other)}")
    notes = [] if shared else ["no name is in both traces: arrays are paired in order"]
    layers, worst = [], 0.0
    for number, (left, right) in enumerate(pairs, 1):
        pair = _trace_pair(left, right, one[left], other[right], number, worst)
        worst = max(worst, pair.own)
        layers.append(pair)
    unpaired = {
        "a": tuple(name for name in one if name not in dict(pairs)),
        "b": tuple(name for name in other if name not in dict(pairs).values()),
    }
    notes += [
        f"{model} has values that are not finite in {name}"
        for model, trace in (("a", one), ("b", other))
        for name, x in trace.items()
        if is_float(x) and not np.isfinite(np.asarray(x, np.float64)).all()
    ]
    return ComparisonReport(_verdict(layers, notes), tuple(layers), tuple(notes), unpaired)


def _trace(given: Any, name: str) -> dict[str, np.ndarray[Any, Any]]:
    if isinstance(given, Mapping):
        return {str(key): to_numpy(value) for key, value in given.items()}
    if isinstance(given, (str, Path)):
        with np.load(given, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    raise TypeError(f"{name} is of type {type(given).__name__}, expected a dict of named arrays or an .npz file")


def _trace_pair(
    left: str, right: str, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], depth: int, worst: float
) -> LayerPair:
    possible = layouts(a.shape, b.shape)
    layout = best(possible, a, b) if possible else None
    expected = layout.there(a) if layout else a
    found = error(expected, b)
    floor = 8 * depth**0.5 * (unit(a) if is_float(a) else 2.0**-24)
    ratio = found / floor
    verdict = "same" if ratio < LOOK else "different" if ratio > DIFFERENT and found > 10 * worst else "look"
    return LayerPair(
        a=left,
        b=right,
        what="layer",
        kind="",
        shape=a.shape,
        own=found,
        inherited=found,
        floor=floor,
        verdict=verdict,
        reason=_trace_reason(a, b) if verdict == "different" else "",
        layout=layout.name if layout else "",
        worst=_worst(expected, b) if layout else "",
        histogram=_histogram(expected, b) if layout else (),
    )


def _trace_reason(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> str:
    if not layouts(a.shape, b.shape):
        return f"shape {b.shape} in b, {a.shape} in a"
    return reasons.NONE_KNOWN
