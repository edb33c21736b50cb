"""The contract between a comparison and a framework's models.

A reader runs a model of its framework and hands every layer that is called to the comparison, in words and arrays that
all frameworks share: NumPy arrays, names of kinds and settings, weights in one layout. So a comparison looks the same
whatever the models are made of.

To add one, write a `ModelReader` and name it in the ``models`` of your `tempscale.backend.BackendEntry`, beside the
class of the models that it reads.
"""

from __future__ import annotations

import copy
import importlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, ClassVar, TypeAlias

import numpy as np

from tempscale._core import registry

__all__ = [
    "Around",
    "Call",
    "Inputs",
    "Layer",
    "ModelReader",
    "leaves_of_tree",
    "mapped_tree",
    "moved",
    "reader_of",
    "replaced",
    "same_padding",
]

Values: TypeAlias = list[np.ndarray[Any, Any]]
"""The arrays among the arguments of a layer, each object once; or among what it returns."""

Inputs: TypeAlias = Sequence[Any] | Mapping[str, Any]
"""What a model is called with: arguments by position, or by name."""


class Layer(ABC):
    """One layer of a model, in words that all frameworks share.

    Attributes
    ----------
    name : str
        Its path in the model, as its framework writes it.
    title : str
        Its class, or the name of the function that an activation is.
    kind : str
        What it is in any framework: "dense", "conv", "batch_norm", ...; "" if that is not known.
    channels_first : bool or None
        Where an image's channels are in what it takes; None if it does not care.
    """

    name: str
    title: str
    kind: str
    channels_first: bool | None = None

    def settings(self, arrays: Values) -> dict[str, Any]:
        """Return what it was told, under neutral names; `arrays` are what it is called with."""
        return {}

    def weights(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """Return its own weights under neutral names: "kernel" as (..., in, out), "bias", "scale", "offset", ...

        Those of an unknown kind of layer under whatever names they have.
        """
        return {}

    def line(self, setting: str, value: Any) -> str:
        """Return the line of code that gives a setting this value."""
        return f"{self.title}(..., {setting}={value!r})"

    def set(self, name: str, value: Any) -> Callable[[], None]:
        """Change a setting or a weight, and return what changes it back. `NotImplementedError` if it cannot."""
        raise NotImplementedError(f"{self.title} has no {name} to set")

    @contextmanager
    def turned(self, changes: Mapping[str, Any]) -> Iterator[None]:
        """Change settings and weights while the block runs."""
        with ExitStack() as stack:
            for name, value in changes.items():
                stack.callback(self.set(name, value))
            yield


class Call(ABC):
    """A layer that is being called."""

    layer: Layer
    arrays: Values

    @abstractmethod
    def proceed(self, arrays: Values, *, wide: bool = False) -> Values:
        """Call the layer with `arrays` in the place of its own, and return its results. It may be called repeatedly.

        With `wide` the layer computes in float64; `NotImplementedError` if it cannot.
        """


Around: TypeAlias = Callable[[Call], Values]
"""Stands around every call of a layer: what it returns is what the model goes on with."""


class ModelReader(ABC):
    """One model, as a comparison sees it.

    Parameters
    ----------
    model
        A model of the reader's framework.
    """

    framework: ClassVar[str]
    """Name of the framework, for the report."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @abstractmethod
    def run(self, inputs: Inputs, around: Around) -> Values:
        """Call the model, with `around` around each layer and around the model itself, whose name is ""."""

    @abstractmethod
    def variables(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return copies of all float weights, those that training does not change included."""

    @abstractmethod
    def assign(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Write such weights into the model."""

    @abstractmethod
    def kept(self) -> AbstractContextManager[None]:
        """Return a context after which the model, and its random state, are what they were before."""

    @abstractmethod
    def channels_first(self) -> bool | None:
        """Where the model's layers expect the channels of an image; None if none of them cares."""

    @contextmanager
    def moved(self, rng: np.random.Generator) -> Iterator[None]:
        """Move every weight by one unit in the last place while the block runs."""
        before = self.variables()
        try:
            self.assign({name: moved(value, rng) for name, value in before.items()})
            yield
        finally:
            self.assign(before)


def reader_of(model: Any, argument: str) -> ModelReader:
    """Return a reader of `model`. Imports no framework that is not there already.

    Raises
    ------
    TypeError
        If no backend reads such models; the message says which are read.
    """
    readers = {kind: target for entry in registry.entries().values() for kind, target in entry.models.items()}
    # the most derived class first: on PyTorch a Keras layer is a torch.nn.Module as well
    for cls in type(model).__mro__:
        for kind, target in readers.items():
            if cls is _imported(kind):
                module, _, name = target.partition(":")
                found: ModelReader = getattr(importlib.import_module(module), name)(model)
                return found
    known = ", ".join(kind.replace(":", ".") for kind in readers)
    raise TypeError(
        f"{argument} is of type {type(model).__module__}.{type(model).__qualname__}, expected a model: {known}. "
        "Arrays that another program dumped are compared by compare_traces"
    )


def _imported(path: str) -> type | None:
    """Return the class at "module:Class" if that module is imported; without it there is no instance."""
    module, _, name = path.partition(":")
    return getattr(sys.modules.get(module), name, None)


def replaced(owner: Any, attribute: str, value: Any) -> Callable[[], None]:
    """Set an attribute and return what sets it back."""
    before = getattr(owner, attribute)
    setattr(owner, attribute, value)
    return lambda: setattr(owner, attribute, before)


def leaves_of_tree(tree: Any) -> list[Any]:
    """Return what dicts, lists and tuples hold, nested as they may be, in order."""
    found: list[Any] = []
    mapped_tree(found.append, tree)
    return found


def mapped_tree(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return a tree of the same kind with the results of `function` for what it holds."""
    if isinstance(tree, dict):
        made = copy.copy(tree)
        made.update({key: mapped_tree(function, value) for key, value in tree.items()})
        return made
    if isinstance(tree, (list, tuple)):
        values = [mapped_tree(function, value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return function(tree)


def same_padding(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding before and after each axis where a framework pads "SAME": as little as it takes, the less in front."""
    needed = [
        max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        for n, k, s, d in zip(sizes, kernel, strides, dilation, strict=True)
    ]
    return tuple((total // 2, total - total // 2) for total in needed)


def moved(x: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Move each element by one unit in the last place, up or down at random. Zeros and what is not finite stay."""
    if not is_float(x):
        return x
    step = rng.integers(0, 2, size=x.shape, dtype=np.int8) * np.int8(2) - np.int8(1)
    step[~np.isfinite(x) | (x == 0)] = 0
    bits = np.ascontiguousarray(x).view(f"i{x.itemsize}")
    near: np.ndarray[Any, Any] = (bits + step).view(x.dtype)  # the next number of the same sign has the next bits
    return near


def is_float(x: np.ndarray[Any, Any]) -> bool:
    """Whether an array holds floats, those of ml_dtypes included."""
    return x.dtype.kind == "f" or x.dtype.name in _UNITS


_UNITS = {"bfloat16": 2.0**-8}


def unit(x: np.ndarray[Any, Any]) -> float:
    """Half the spacing of the dtype's numbers at 1."""
    return _UNITS.get(x.dtype.name) or float(np.finfo(x.dtype).eps) / 2
