"""Gradients for NumPy by blocks of rows: in place for a number as temperature, else by the rules of the operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tempscale import log_softmax, softmax
from tempscale.backend import Array
from tempscale.kernels import OPERATIONS, Operation, working_dtype
from tempscale.kernels.example_losses import are_classes, losses_of_examples
from tempscale.kernels.indexing import class_index
from tempscale.kernels.reductions import sum_to_row
from tempscale.kernels.temperature import is_limit, widen
from tempscale_backends.numpy.natives.probability import BLOCK, as_rows, from_rows

Named = dict[str, Any]


def rule_of(operation: Operation[..., Any]) -> Operation[..., Named] | None:
    """Return the gradient of an operation that has one in closed form."""
    derivatives = getattr(operation.body, "derivatives", None)
    return None if derivatives is None else derivatives.gradient


# By the rules


def _by_rule(rule: Operation[..., Named]) -> Callable[..., Named]:
    def native(*arrays: Array, axis: int, **options: Any) -> Named:
        # a scalar of NumPy is an array without axes, although one of float64 is a float of Python's as well
        options = {name: np.asarray(x) if isinstance(x, np.generic) else x for name, x in options.items()}
        with np.errstate(all="ignore"):
            if arrays[0].size <= BLOCK:
                return dict(rule.body(*arrays, axis=axis, xp=np, **options))
            return _in_blocks(rule.body, arrays, axis, options)

    return native


def _in_blocks(body: Callable[..., Named], arrays: tuple[Array, ...], axis: int, options: Named) -> Named:
    shape, logits = arrays[0].shape, arrays[0]
    given = {name: x for name, x in options.items() if isinstance(x, np.ndarray) and x.ndim}
    rows = [_rows_of(x if x.ndim == logits.ndim else np.expand_dims(x, axis), shape, axis) for x in arrays]
    options = {**options, **{name: _rows_of(x, shape, axis) for name, x in given.items()}}
    if "keepdims" in options:
        options["keepdims"] = True
    count, found = len(rows[0]), dict[str, Array]()
    for here in _blocks(count, shape[axis]):
        own = {name: x[here] if name in given and len(x) == count else x for name, x in options.items()}
        for name, part in body(*[x[here] for x in rows], axis=1, xp=np, **own).items():
            if not part.ndim or (name in given and len(options[name]) != count):  # all rows share it
                found[name] = found[name] + part if name in found else part
            else:
                found.setdefault(name, np.empty((count, part.shape[1]), part.dtype))[here] = part
    return {name: _as_given(x, given.get(name), shape, axis) for name, x in found.items()}


def _rows_of(x: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Return an array that broadcasts to a shape, but for its size on the axis, as rows; as one row if all share it."""
    x = x.reshape((1,) * (len(shape) - x.ndim) + x.shape)
    if x.size == x.shape[axis]:
        return x.reshape(1, -1)
    batch = list(shape)
    batch[axis] = x.shape[axis]
    return as_rows(np.broadcast_to(x, batch), axis)


def _as_given(x: Array, argument: Array | None, shape: tuple[int, ...], axis: int) -> Array:
    if x.ndim < 2:
        return x
    if len(x) == 1 and argument is not None:
        return x.reshape(argument.shape)
    full = from_rows(x, shape, axis, reduced=False)
    return full if argument is None else sum_to_row(full, argument)


def _blocks(count: int, classes: int) -> Iterator[slice]:
    step = max(1, BLOCK // classes)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


# In place


InPlace = Callable[[slice, Array, Array, float, Array], None]
"""``write(here, x, g, temperature, out)``: the gradient of rows of logits, but for the factor 1/T."""


def _in_place(operation: Operation[..., Any]) -> Callable[[Callable[..., InPlace]], None]:
    """Register a gradient that works in place, for a number as temperature; the rule has the other cases."""
    rule = rule_of(operation)
    assert rule is not None
    by_rule = _by_rule(rule)

    def register(of: Callable[..., InPlace]) -> None:
        def native(logits: Array, *arrays: Array, temperature: Any, axis: int, **options: Any) -> Named:
            is_simple = type(temperature) is float and not is_limit(temperature)
            if not is_simple or options.get("class_weights") is not None or not are_classes_all(arrays[:-2]):
                return by_rule(logits, *arrays, temperature=temperature, axis=axis, **options)
            where, rows, g = options.pop("where", None), as_rows(logits, axis), as_rows(arrays[-1], axis)
            masks = None if where is None else as_rows(np.broadcast_to(where, logits.shape), axis)
            write = of(logits, *arrays[:-1], axis=axis, **options)
            found, working = np.empty(rows.shape, logits.dtype), np.dtype(working_dtype(logits))
            with np.errstate(all="ignore"):
                for here in _blocks(len(rows), rows.shape[1]):
                    x = widen(rows[here], None if masks is None else masks[here], np)
                    out = found[here] if found.dtype == working else np.empty(x.shape, working)
                    write(here, x, g[here].astype(working, copy=False), temperature, out)
                    if temperature != 1.0:
                        out *= 1.0 / temperature
                    if masks is not None:
                        out[~masks[here]] = 0.0
                    if found.dtype != working:
                        found[here] = out
            return {"logits": from_rows(found, logits.shape, axis, reduced=False)}

        rule.native("numpy")(native)

    return register


def are_classes_all(labels: tuple[Array, ...]) -> bool:
    """Whether what comes with the logits, if anything does, is classes."""
    return all(map(are_classes, labels))


def _probabilities(x: Array, temperature: float, out: Array) -> None:
    np.subtract(x, x.max(axis=1, keepdims=True), out=out)
    if temperature != 1.0:
        out *= 1.0 / temperature
    np.exp(out, out=out)
    out *= 1.0 / out.sum(axis=1, keepdims=True)


@_in_place(softmax)
def _softmax(logits: Array, result: Array, *, axis: int) -> InPlace:
    known = as_rows(result, axis) if result.dtype == working_dtype(logits) else None

    def write(here: slice, x: Array, g: Array, temperature: float, out: Array) -> None:
        if known is None:
            _probabilities(x, temperature, out)
        p = out.copy() if known is None else known[here]
        np.multiply(p, g, out=out)
        np.subtract(g, out.sum(axis=1, keepdims=True), out=out)
        out *= p

    return write


@_in_place(log_softmax)
def _log_softmax(logits: Array, result: Array, *, axis: int) -> InPlace:
    def write(here: slice, x: Array, g: Array, temperature: float, out: Array) -> None:
        if not x.min() > -math.inf:  # a NaN hides the others
            g = np.where(x == -math.inf, 0.0, g)
        _probabilities(x, temperature, out)
        out *= -g.sum(axis=1, keepdims=True)
        out += g

    return write


@_in_place(losses_of_examples)
def _losses_of_examples(
    logits: Array,
    labels: Array,
    result: Array,
    *,
    label_smoothing: Any,
    class_weights: Array | None,
    ignore_index: Array | None,
    axis: int,
) -> InPlace:
    index, counts = [as_rows(x, axis) for x in class_index(labels, logits, axis, np)]
    if ignore_index is not None:
        counts = counts & as_rows(labels != ignore_index, axis)
    share, rest = (0.0, 1.0) if label_smoothing is None else label_smoothing

    def write(here: slice, x: Array, g: Array, temperature: float, out: Array) -> None:
        """(p * sum(w) - w) * g, where w is the mass of each class that is not masked."""
        g, label = np.where(counts[here], g, 0.0), index[here]
        at_label = np.where(np.take_along_axis(x, label, 1) == -math.inf, 0.0, g * rest)
        mass, each = at_label + g * share, g * (share / x.shape[1])
        if share and not x.min() > -math.inf:
            each = np.where(x == -math.inf, 0.0, each)
            mass = at_label + each.sum(axis=1, keepdims=True)
        _probabilities(x, temperature, out)
        out *= mass
        if share:
            out -= each
        out[np.arange(len(x)), label[:, 0]] -= at_label[:, 0]
        out[~counts[here, 0]] = 0.0  # 0 times NaN, in a row that is invalid

    return write


for _operation in (*OPERATIONS.values(), losses_of_examples):
    _rule = rule_of(_operation)
    if _rule is not None and "numpy" not in _rule.natives:
        _rule.native("numpy")(_by_rule(_rule))
