"""`tempscale.checks()`: look at values, and say where they are wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tempscale.backend import Array, Backend


class _State(threading.local):
    on = False


_state = _State()


@contextmanager
def checks() -> Iterator[None]:
    """Inspect values in this thread, for as long as the block lasts.

    By default the values inside arrays are not inspected: that would wait for the device, and cannot work while
    compiling. What is wrong in the input shows in the output, as NaN. Inside this block such a value raises a
    `ValueError` that names the first offending index: NaN or +inf among the logits, a row that is masked entirely, a
    negative or NaN temperature, a label out of range, an invalid probability or weight in `tempscale.random`, and a
    word of a key that has more than 32 bits.

    Raises
    ------
    RuntimeError
        If a compiler is tracing the arguments of a call: they have no values yet.

    Examples
    --------
    >>> import tempscale
    >>> with tempscale.checks():
    ...     tempscale.softmax([0.0, float("nan")])
    Traceback (most recent call last):
        ...
    ValueError: logits[1] is nan: every result of its row would be NaN
    """
    before = _state.on
    _state.on = True
    try:
        yield
    finally:
        _state.on = before


def checking() -> bool:
    """Whether this thread is inside `checks`."""
    return _state.on


def values_of(backend: Backend, x: Array, name: str) -> np.ndarray[Any, Any]:
    """Return the values of an argument for inspection; `RuntimeError` while compiling."""
    if backend.is_traced(x):
        raise RuntimeError(
            f"tempscale.checks() cannot look at {name} while {backend.name} compiles or transforms the function: "
            "leave the block, or call the function eagerly"
        )
    values = backend.to_numpy(x)
    return values.astype(np.float64) if values.dtype.kind in "fV" else values


def check_logits(backend: Backend, logits: Array, where: Array | None, axis: int, name: str) -> None:
    """Raise for NaN, +inf and rows without any entry that counts."""
    values = values_of(backend, logits, name)
    if where is not None:
        values = np.where(values_of(backend, where, "where"), values, -np.inf)
    _refuse(np.isnan(values) | (values == np.inf), values, name, "every result of its row would be NaN")
    empty = np.all(values == -np.inf, axis=axis)
    if np.any(empty):
        index = [*_first(empty)]
        place = ", ".join([*map(str, index[:axis]), ":", *map(str, index[axis:])])
        raise ValueError(f"{name}[{place}] is masked entirely: a row needs one entry that is not -inf")


def check_temperature(backend: Backend, temperature: Array, name: str) -> None:
    """Raise for a negative or NaN entry of an array temperature."""
    values = values_of(backend, temperature, name)
    _refuse(~(values >= 0), values, name, "a temperature is at least 0")


def check_labels(
    backend: Backend, labels: Array, classes: int, ignore_index: int | None, *, mean: bool, name: str = "labels"
) -> None:
    """Raise for an integer label that is no class, and before a mean over labels that are all ignored."""
    values = values_of(backend, labels, name)
    ignored = np.zeros(values.shape, bool) if ignore_index is None else values == ignore_index
    _refuse(~ignored & ((values < 0) | (values >= classes)), values, name, f"there are {classes} classes")
    if mean and values.size and np.all(ignored):
        raise ValueError(f"{name} are all {ignore_index}, the ignore_index: the mean of no labels is NaN")


def check_probabilities(backend: Backend, p: Array, name: str) -> None:
    """Raise for a number that is not from 0 to 1."""
    values = values_of(backend, p, name)
    _refuse(~((values >= 0) & (values <= 1)), values, name, "a probability is from 0 to 1")


def check_weights(backend: Backend, weights: Array, needed: int, name: str) -> None:
    """Raise for a weight that is negative, infinite or NaN, and for too few that are positive."""
    values = values_of(backend, weights, name)
    _refuse(~((values >= 0) & (values < np.inf)), values, name, "a weight is finite and at least 0")
    if (found := np.count_nonzero(values)) < needed:
        raise ValueError(f"{name} has {found} positive weights, expected at least {needed}: one for each choice")


def check_key(backend: Backend, key: Array) -> None:
    """Raise for a word of a key that has more than 32 bits: the others would not be looked at."""
    if backend.dtype_name(key) == "int64":
        values = values_of(backend, key, "key")
        _refuse((values < -(2**31)) | (values >= 2**32), values, "key", "a key is two words of 32 bits")


def _refuse(wrong: np.ndarray[Any, Any], values: np.ndarray[Any, Any], name: str, why: str) -> None:
    if np.any(wrong):
        index = _first(wrong)
        place = f"[{', '.join(map(str, index))}]" if index else ""
        raise ValueError(f"{name}{place} is {values[index]}: {why}")


def _first(wrong: np.ndarray[Any, Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
