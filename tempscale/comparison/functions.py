"""Functions that stand between layers, in NumPy and float64: to recognise what a model computes from its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

__all__ = ["FUNCTIONS", "PER_POSITION", "recognise"]

Wide: TypeAlias = np.ndarray[Any, Any]
Function: TypeAlias = Callable[[Wide], Wide]

_ERF = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Wide) -> Wide:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def _softmax(x: Wide) -> Wide:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _softplus(x: Wide) -> Wide:
    return np.asarray(np.logaddexp(x, 0.0))


def _gelu(x: Wide) -> Wide:
    return np.asarray(x * 0.5 * (1 + _ERF(x / math.sqrt(2))))


def _gelu_tanh(x: Wide) -> Wide:
    return np.asarray(x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _elu(x: Wide) -> Wide:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _leaky_relu(slope: float) -> Function:
    return lambda x: np.where(x > 0, x, slope * x)


FUNCTIONS: dict[str, Function] = {
    "nothing": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu (erf)": _gelu,
    "gelu (tanh)": _gelu_tanh,
    "gelu (sigmoid)": lambda x: x * _sigmoid(1.702 * x),
    "silu": lambda x: x * _sigmoid(x),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "log_softmax": lambda x: np.log(_softmax(x)),
    "softplus": _softplus,
    "elu": _elu,
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "relu6": lambda x: np.clip(x, 0, 6),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "hard sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "softsign": lambda x: x / (1 + np.abs(x)),
}
"""What a framework computes element by element, or along the last axis. No two are equal within 1e-4."""

_SLOPES = (0.01, 0.2, 0.3, 0.1, 0.25)
FUNCTIONS |= {f"leaky relu with slope {slope}": _leaky_relu(slope) for slope in _SLOPES}

PER_POSITION: dict[str, Function] = {
    "the mean over the positions": lambda x: x.reshape(len(x), -1, x.shape[-1]).mean(axis=1),
    "the maximum over the positions": lambda x: x.reshape(len(x), -1, x.shape[-1]).max(axis=1),
    "the first position": lambda x: x.reshape(len(x), -1, x.shape[-1])[:, 0],
    "the last position": lambda x: x.reshape(len(x), -1, x.shape[-1])[:, -1],
    "the sum over the positions": lambda x: x.reshape(len(x), -1, x.shape[-1]).sum(axis=1),
}
"""What makes one vector of many; channels last."""

_NEAR = 3e-5
"""Relative to the scale: what float32 may lose in a few steps. Two functions of the list differ by more."""

_EXAMPLES = 4
"""How many examples of the batch are looked at: what is computed is the same for all."""


def recognise(values: Wide, sources: list[tuple[str, Wide]]) -> str:
    """Return how `values` come from `sources`, in words, or "" if nothing that is known gives them.

    Parameters
    ----------
    values : numpy.ndarray
        What was computed.
    sources : list of (str, numpy.ndarray)
        What it may have been computed from, each with its name, the likeliest first.
    """
    sources = [(name, x[:_EXAMPLES]) for name, x in sources if x.ndim and values.ndim and len(x) == len(values)]
    values = np.asarray(values[:_EXAMPLES], np.float64)
    scale = np.abs(values).max(initial=0.0)
    if not values.size or not np.isfinite(values).all():
        return ""
    with np.errstate(all="ignore"):
        for words, candidate in _candidates(sources, values.shape):
            if candidate.shape == values.shape and np.abs(candidate - values).max() <= _NEAR * scale:
                return words
    return ""


def _candidates(sources: list[tuple[str, Wide]], shape: tuple[int, ...]) -> Iterator[tuple[str, Wide]]:
    fitting = [(name, np.asarray(x, np.float64)) for name, x in sources if x.shape == shape]
    for name, x in fitting:
        for words, function in FUNCTIONS.items():
            yield (f"{words} of {name}" if words != "nothing" else name), function(x)
    for name, x in fitting:
        for words in ("gelu (erf)", "gelu (tanh)", "silu", "tanh", "sigmoid", "softmax"):
            yield f"{words}, twice, of {name}", FUNCTIONS[words](FUNCTIONS[words](x))
    for one, x, other, y in _pairs(fitting):
        yield f"{one} + {other}", x + y
        yield f"relu of ({one} + {other})", np.maximum(x + y, 0)
        yield f"relu of {one}, + {other}", np.maximum(x, 0) + y
        yield f"relu of {other}, + {one}", x + np.maximum(y, 0)
    if len(shape) == 2:
        yield from _of_positions([(name, np.asarray(x, np.float64)) for name, x in sources if x.ndim >= 3], shape)
    for name, x in sources:
        if len(shape) == 4 == x.ndim:
            yield from _pooled(name, np.asarray(x, np.float64), shape)
    for number in range(len(sources) - 2):
        triple = [np.asarray(x, np.float64) for _, x in sources[number : number + 3]]
        if all(x.shape == shape and x.ndim == 3 for x in triple):
            yield from _attentions(triple[2], triple[1], triple[0])


def _pairs(sources: list[tuple[str, Wide]]) -> Iterator[tuple[str, Wide, str, Wide]]:
    for number, (one, x) in enumerate(sources):
        for other, y in sources[number + 1 :]:
            if x.shape == y.shape:
                yield one, x, other, y


def _of_positions(sources: list[tuple[str, Wide]], shape: tuple[int, ...]) -> Iterator[tuple[str, Wide]]:
    """Vectors made of many, or of an image: of each source, and of the sum of two."""
    sums = [(f"({one} + {other})", x + y) for one, x, other, y in _pairs(sources) if x.shape[0] == shape[0]]
    for name, x in sources + sums:
        for last in (x, np.moveaxis(x, 1, -1)):
            if last.shape[-1] == shape[1]:
                for words, function in PER_POSITION.items():
                    yield f"{words} of {name}", function(last)
        if x[0].size == shape[1]:
            yield f"{name}, flattened", x.reshape(len(x), -1)
            yield f"{name}, flattened with the channels last", np.moveaxis(x, 1, -1).reshape(len(x), -1)
            yield f"{name}, flattened with the channels first", np.moveaxis(x, -1, 1).reshape(len(x), -1)


def _pooled(name: str, x: Wide, shape: tuple[int, ...]) -> Iterator[tuple[str, Wide]]:
    """Pools of windows that do not overlap, with the channels first and last."""
    for first in (1, 2):
        size = x.shape[first] // max(shape[first], 1)
        kept = tuple(n * size if axis in (first, first + 1) else n for axis, n in enumerate(shape))
        if size > 1 and all(few <= many for few, many in zip(kept, x.shape, strict=True)):
            cut = x[tuple(map(slice, kept))]
            windows = cut.reshape(*shape[:first], shape[first], size, shape[first + 1], size, *shape[first + 2 :])
            yield f"the maximum of {size}x{size} of {name}", windows.max(axis=(first + 1, first + 3))
            yield f"the mean of {size}x{size} of {name}", windows.mean(axis=(first + 1, first + 3))


def _attentions(q: Wide, k: Wide, v: Wide) -> Iterator[tuple[str, Wide]]:
    """Attention of three projections, with each number of heads that divides them."""
    batch, length, width = q.shape
    for heads in (h for h in (1, 2, 3, 4, 6, 8, 12, 16) if width % h == 0):
        for order in ("", ", whose heads are the faster axis"):
            split = [_heads(x, heads, fast=bool(order)) for x in (q, k, v)]
            scores = split[0] @ np.swapaxes(split[1], -1, -2)
            for scale_words, scale in _scales(width, heads):
                for mask_words, mask in (("", 0.0), (", causal", np.triu(np.full((length, length), -np.inf), 1))):
                    found = _softmax(scores * scale + mask) @ split[2]
                    found = np.moveaxis(found, 1, -1 if order else 2).reshape(batch, length, width)
                    yield f"attention with {heads} heads{order}, scores {scale_words}{mask_words}", found


def _heads(x: Wide, heads: int, *, fast: bool) -> Wide:
    batch, length, width = x.shape
    if fast:
        return np.moveaxis(x.reshape(batch, length, width // heads, heads), -1, 1)
    return np.moveaxis(x.reshape(batch, length, heads, width // heads), 2, 1)


def _scales(width: int, heads: int) -> Iterator[tuple[str, float]]:
    yield "divided by the root of the width of a head", (width // heads) ** -0.5
    yield "not divided", 1.0
    yield "divided by the root of the whole width", width**-0.5
    yield "divided by the width of a head", 1.0 / (width // heads)
