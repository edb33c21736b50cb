"""Why a layer differs: it is run again with one thing turned, or what it computes is recognised from its values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale.comparison import functions
from tempscale.comparison.layouts import layouts
from tempscale.comparison.measuring import LOOK, Place, error
from tempscale.comparison.reader import Call, Layer, Values, is_float
from tempscale.comparison.recording import Record

__all__ = ["NONE_KNOWN", "of_code", "of_layer"]

NONE_KNOWN = "no known reason"

_EPSILONS = (1e-5, 1e-3, 1e-6, 1e-8, 1e-12, 1e-7, float(np.finfo(np.float32).eps))
"""What frameworks and well-known models take, to try where A's is not known."""

_MOST_TURNS = 8
"""With more differences than this, pairs of them are not tried."""


@dataclass(frozen=True)
class _Turn:
    """One thing that is made as it is in A."""

    words: str
    changes: Mapping[str, Any]
    arrays: Callable[[Values], Values] = lambda values: values


def of_layer(place: Place, call: Call, taken: Values, sources: list[Record]) -> str:
    """Return why a layer differs although it was given A's input; `sources` are the layers of A that have weights."""
    if place.layout is None:
        return _of_shapes(place, call, taken)
    turns = [*_weight_turns(place, call, taken, sources), *_setting_turns(place, call, taken)]
    pairs = itertools.combinations(turns, 2) if len(turns) <= _MOST_TURNS else ()
    for chosen in itertools.chain(((turn,) for turn in turns), pairs):
        if _mends(place, call, taken, chosen):
            return "; and ".join(turn.words for turn in chosen)
    own = [("its input", x) for x in place.a.taken[:1]]
    return (
        _of_functions(place, place.layout.back(place.found), own)
        or _of_norms(place)
        or _of_values(place.reference, place.layout.back(place.found), place)
        or _of_kinds(place)
        or "; ".join(turn.words for turn in turns if "weight" in turn.words)
        or NONE_KNOWN
    )


def of_code(place: Place, before: list[Place]) -> str:
    """Return why what arrives at a layer differs: the code before it is known by its values alone.

    `before` are the places that come before it, in order.
    """
    if place.layout is None:
        a, b = place.reference.shape, place.found.shape
        return f"the code before it gives shape {b} in b and {a} in a"
    found = place.layout.back(place.found)
    results = [(other.a.name, other.reference) for other in reversed(before) if not other.arriving]
    arrived = [(f"what arrives at {other.a.name}", other.reference) for other in reversed(before) if other.arriving]
    sources = [(name, x) for name, x in results + arrived if is_float(x)]
    return (
        _of_functions(place, found, sources)
        or _of_difference(place.reference, found, sources)
        or _of_values(place.reference, found, place)
        or NONE_KNOWN
    )


# Turned


def _mends(place: Place, call: Call, taken: Values, turns: tuple[_Turn, ...]) -> bool:
    """Whether the layer agrees with A when these things are as they are in A."""
    changes = {name: value for turn in turns for name, value in turn.changes.items()}
    arrays = taken
    for turn in turns:
        arrays = turn.arrays(arrays)
    try:
        with call.layer.turned(changes):
            found = call.proceed(arrays)[0]
    except Exception:  # a layer that was turned so that it cannot run is not mended
        return False
    return error(place.expected, found) < LOOK * place.floor


def _setting_turns(place: Place, call: Call, taken: Values) -> Iterator[_Turn]:
    a, b = place.a.layer, call.layer
    theirs, own = a.settings(place.a.taken), b.settings(taken)
    for name in (name for name in own if name in theirs):
        if name == "padding":
            yield from _padding_turns(place, b, taken, theirs[name], own[name])
        elif theirs[name] == own[name]:
            continue
        elif name == "training":
            yield _Turn(_training_words(a, b, in_a=theirs[name]), {name: theirs[name]})
        else:
            words = f"{name} is {own[name]!r} in b and {theirs[name]!r} in a: {b.line(name, theirs[name])}"
            yield _Turn(words, {name: theirs[name]})
    if "epsilon" in own and "epsilon" not in theirs:
        for value in _EPSILONS:
            words = f"epsilon is {own['epsilon']!r} in b, and {value!r} gives what a has: {b.line('epsilon', value)}"
            yield _Turn(words, {"epsilon": value})


def _training_words(a: Layer, b: Layer, *, in_a: bool) -> str:
    name, layer = ("a", a) if in_a else ("b", b)
    return f"{name} is left in training mode: {layer.line('training', False)}"


def _padding_turns(place: Place, layer: Layer, taken: Values, theirs: Any, own: Any) -> Iterator[_Turn]:
    if isinstance(theirs, str) or isinstance(own, str) or len(theirs) != len(own):
        return
    axes = range(2, 2 + len(theirs)) if layer.channels_first else range(1, 1 + len(theirs))
    bare, before = _without_padding(place, taken[0], axes)
    padding = tuple((low + one, high + other) for (low, high), (one, other) in zip(own, before, strict=True))
    if padding == theirs:
        return
    filling = -np.inf if layer.kind == "max_pool" else 0.0

    def padded(values: Values) -> Values:
        width = [(0, 0)] * bare.ndim
        for axis, pair in zip(axes, theirs, strict=True):
            width[axis] = pair
        return [np.pad(bare, width, constant_values=filling), *values[1:]]

    words = f"padding is {padding} in b and {theirs} in a: {layer.line('padding', theirs)}"
    if any(low != high for low, high in padding) or any(map(any, before)):
        words = f"padding is {padding} in b and {theirs} in a: pad by hand with {theirs}, and let the layer pad nothing"
    yield _Turn(words, {"padding": ((0, 0),) * len(theirs)}, padded)


def _without_padding(
    place: Place, x: np.ndarray[Any, Any], axes: range
) -> tuple[np.ndarray[Any, Any], tuple[tuple[int, int], ...]]:
    """Return A's input in B's layout, and what the code before B's layer has padded it with."""
    nothing = ((0, 0),) * len(axes)
    a = place.a.taken[0]
    for bare in (a, np.moveaxis(a, 1, -1), np.moveaxis(a, -1, 1)):
        extra = [many - few for many, few in zip(x.shape, bare.shape, strict=True)] if x.ndim == bare.ndim else [-1]
        if min(extra) < 0 or not any(extra) or max(extra) > 8 or any(extra[i] for i in range(x.ndim) if i not in axes):
            continue
        for lows in itertools.product(*(range(extra[axis] + 1) for axis in axes)):
            width = [(0, 0)] * x.ndim
            for axis, low in zip(axes, lows, strict=True):
                width[axis] = (low, extra[axis] - low)
            if error(np.pad(bare, width), x) < 1e-6:
                return bare, tuple(width[axis] for axis in axes)
    return x, nothing


def _weight_turns(place: Place, call: Call, taken: Values, sources: list[Record]) -> list[_Turn]:
    theirs, own = place.a.layer.weights(), call.layer.weights()
    found: dict[str, tuple[str, np.ndarray[Any, Any]]] = {}
    for name in (name for name in own if name in theirs and theirs[name].size == own[name].size):
        value = theirs[name] if theirs[name].ndim == own[name].ndim else theirs[name].reshape(own[name].shape)
        expected = _for_input(value, place, taken) if name == "kernel" else value
        if expected.shape != own[name].shape or not _near(expected, own[name]):
            relation = _relation(name, value, own[name], place, sources)
            found[name] = relation, expected.reshape(own[name].shape)
    turns = [
        _Turn(f"weight {call.layer.line(name, None)}: {words}", {name: value}) for name, (words, value) in found.items()
    ]
    if len(turns) > 1:
        relations = dict.fromkeys(words for words, _ in found.values())
        words = (
            f"weights of {place.b.name}: {next(iter(relations))}"
            if len(relations) == 1
            else "; ".join(turn.words for turn in turns)
        )
        turns.append(_Turn(words, {name: value for name, (_, value) in found.items()}))
    return turns


def _for_input(kernel: np.ndarray[Any, Any], place: Place, taken: Values) -> np.ndarray[Any, Any]:
    """Return A's kernel for B's input: if that is flattened in another order, so are the kernel's rows."""
    flattened = _flattening(place, taken)
    return kernel if flattened is None or kernel.ndim != 2 else flattened(kernel.T).T


def _flattening(place: Place, taken: Values) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None:
    a, b = place.a.taken[0], taken[0]
    for layout in layouts(a.shape, b.shape, place.image):
        if layout.name and np.array_equal(layout.there(a), b):
            return layout.there
    return None


def _relation(name: str, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], place: Place, sources: list[Record]) -> str:
    """Return what B's weight is, of A's."""
    if a.shape == b.shape and _near(a, b):  # and yet not what it should be
        return "its rows are in the order in which a flattens; permute them, or what is flattened, as b flattens"
    for words, made in _rearranged(a):
        if made.shape == b.shape and _near(made, b):
            return f"it is a's with {words}"
    for other in sources:
        weight = other.layer.weights().get(name) if other is not place.a else None
        if weight is not None and weight.shape == b.shape and _near(weight, b):
            return f"it is that of {other.name} in a, not that of {place.a.name}"
    for dtype in ("bfloat16", "float16"):
        if a.shape == b.shape and _near(_rounded(a, dtype), b):
            return f"it is a's, rounded to {dtype}"
    if a.shape != b.shape:
        return f"it has shape {b.shape}, and a's has {a.shape} in the same layout"
    return f"it differs from a's, by up to {error(a, b):.2g} of its largest value"


def _rearranged(a: np.ndarray[Any, Any]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    if a.ndim == 1:
        yield "its elements in reverse order", a[::-1]
        yield "the sign changed", -a
        return
    last, before = a.ndim - 1, a.ndim - 2
    yield "input and output exchanged (transposed)", np.swapaxes(a, last, before)
    if a.ndim == 4:
        yield "height and width exchanged", np.swapaxes(a, 0, 1)
        yield "height and width flipped", a[::-1, ::-1]
    yield "the input channels in reverse order (RGB against BGR)", np.flip(a, before)
    yield "the output channels in reverse order", np.flip(a, last)


def _near(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return error(a, b) < 1e-6


def _rounded(x: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """Round to a narrow float dtype and back; bfloat16 by its bits, which NumPy has no name for."""
    if dtype == "float16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


# Recognised


def _of_shapes(place: Place, call: Call, taken: Values) -> str:
    theirs, own = place.a.layer.settings(place.a.taken), call.layer.settings(taken)
    lines = [
        f"{name} is {own[name]!r} in b and {theirs[name]!r} in a: {call.layer.line(name, theirs[name])}"
        for name in own
        if name in theirs and theirs[name] != own[name]
    ]
    return "; ".join([f"shape {place.found.shape} in b, {place.reference.shape} in a", *lines])


def _of_functions(place: Place, found: np.ndarray[Any, Any], sources: list[tuple[str, np.ndarray[Any, Any]]]) -> str:
    a, b = (functions.recognise(x, sources) for x in (place.reference, found))
    if a and b and a != b:
        return f"a computes {a}; b computes {b}"
    if a and not b and _of_values(place.reference, found, place) == "":
        return f"a computes {a}; b computes something else"
    return ""


def _of_difference(
    expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any], sources: list[tuple[str, np.ndarray[Any, Any]]]
) -> str:
    """Recognise what B has more than A, or less, where neither can be recognised as a whole."""
    if not is_float(expected):
        return ""
    difference = np.asarray(found, np.float64) - np.asarray(expected, np.float64)
    close = 3e-5 * float(np.abs(expected).max(initial=0.0))
    for name, x in sources:
        if x.shape == difference.shape and x.any():
            wide = np.asarray(x, np.float64)
            times = float((wide * difference).sum() / (wide * wide).sum())
            if np.abs(difference - times * wide).max(initial=0.0) < close:
                if abs(times + 1) < 1e-4:
                    return f"the addition of {name} is missing in b"
                return f"b adds {times:.4g} times {name} to what a has"
    if len(difference) > 1 and np.ptp(difference, axis=0).max(initial=0.0) < close:
        return "b adds, or lacks, an addition that does not depend on the input: of positions, or a bias"
    return ""


def _of_values(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any], place: Place) -> str:
    if not (is_float(expected) and is_float(found)) or not np.isfinite(np.asarray(found, np.float64)).all():
        return "b has values that are not finite" if np.isfinite(np.asarray(expected, np.float64)).all() else ""
    for dtype in ("bfloat16", "float16"):
        if np.array_equal(_rounded(found, dtype), found) and not np.array_equal(_rounded(expected, dtype), expected):
            return f"b computes in {dtype}: each of its values is one of that dtype's"
    for words, made in _disordered(expected):
        if made.shape == found.shape and error(made, found) < 1e-6:
            return f"b has {words}"
    wide, other = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    factor = float((wide * other).sum() / max((wide * wide).sum(), np.finfo(np.float64).tiny))
    if factor and error(wide * factor, other) < 1e-5:
        return f"b is {factor:.6g} times a"
    difference = other - wide
    axis = place.layout is not None and wide.ndim > 2 and place.a.layer.channels_first
    channels = np.moveaxis(difference, 1, -1) if axis else difference
    channels = channels.reshape(-1, channels.shape[-1])
    spread = float(np.ptp(channels, axis=0).max(initial=0.0))
    if len(channels) > 1 and spread < 1e-5 * float(np.abs(wide).max(initial=0.0)):
        return "b differs by a constant per channel: a bias is missing, or there twice"
    return ""


def _disordered(x: np.ndarray[Any, Any]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    if x.ndim >= 2:
        yield "the last axis in reverse order", np.flip(x, -1)
        yield "the second axis in reverse order", np.flip(x, 1)
    if x.ndim >= 3:
        yield "the last two axes exchanged", np.swapaxes(x, -1, -2)
        yield "the second and third axes exchanged", np.swapaxes(x, 1, 2)


def _of_norms(place: Place) -> str:
    """Tell apart normalisations over the last axis, whatever scale and offset follow."""
    if place.layout is None or not place.a.taken or place.a.taken[0].shape != place.reference.shape:
        return ""
    x = np.asarray(place.a.taken[0], np.float64)
    a, b = (_norm_of(x, np.asarray(y, np.float64)) for y in (place.reference, place.layout.back(place.found)))
    return f"a normalises with {a}; b with {b}" if a and b and a != b else ""


def _norm_of(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> str:
    rows, results = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    if min(rows.shape) < 3:
        return ""
    centred = rows - rows.mean(axis=1, keepdims=True)
    found = []
    for epsilon in _EPSILONS:
        for words, numerator, variance in (
            ("the biased variance", centred, rows.var(axis=1, keepdims=True)),
            ("the unbiased variance", centred, rows.var(axis=1, ddof=1, keepdims=True)),
            ("the mean square, nothing subtracted", rows, (rows * rows).mean(axis=1, keepdims=True)),
        ):
            for place, root in (("", np.sqrt(variance + epsilon)), (" outside the root", np.sqrt(variance) + epsilon)):
                left = _left_by_fit(numerator / root, results)
                found.append((left, f"{words}, epsilon {epsilon:.3g}{place}"))
    left, words = min(found)
    return words if left < 1e-5 * float(np.abs(y).max(initial=0.0)) else ""


def _left_by_fit(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> float:
    """What is left of y after the best scale and offset per column of x. Largest magnitude."""
    dx, dy = x - x.mean(axis=0), y - y.mean(axis=0)
    slope = (dx * dy).sum(axis=0) / np.maximum((dx * dx).sum(axis=0), np.finfo(np.float64).tiny)
    return float(np.abs(dy - slope * dx).max(initial=0.0))


def _of_kinds(place: Place) -> str:
    a, b = place.a.layer, place.b.layer
    return f"{a.title} in a, {b.title} in b" if a.kind and b.kind and a.kind != b.kind else ""
