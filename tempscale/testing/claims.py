"""A function, its arguments, its reference, and what is found: what `assert_conforms` and `gradcheck` share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tempscale._core.arguments import as_function
from tempscale._core.dispatch import is_number
from tempscale._core.registry import get_backend
from tempscale._core.trees import LEAF, Structure, flatten, map_leaves
from tempscale._reference import wide
from tempscale.arrays import to_numpy
from tempscale.backend import Array, Backend
from tempscale.contracts import working_precision
from tempscale.testing.check import Verdict

__all__ = ["Claim", "Exact", "Finding"]

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Exact:
    """What the reference says: the leaves of the value, and all else that it returns."""

    values: tuple[Any, ...]
    structure: Structure
    more: Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One comparison: what was compared ("", or "d/dx"), the verdict, and the arrays that it is about."""

    what: str
    verdict: Verdict
    arrays: Sequence[Host]

    @property
    def named(self) -> Verdict:
        """The verdict, with what was compared in the words that say where."""
        return replace(self.verdict, where=f"{self.what}{self.verdict.where}".strip(": "))


class Claim:
    """A function with arguments, and a reference for it in NumPy.

    Attributes
    ----------
    name : str
        Of the function.
    arguments : tuple of str
        Names of the function's arguments.
    paths : tuple of str
        Names of the arrays in them: ``x``, ``params['w']``.
    arrays : tuple of numpy.ndarray
        The arrays themselves, as they were given.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        args: Sequence[Any],
        reference: Callable[..., Any] | None,
        options: Mapping[str, Any],
    ) -> None:
        self.fn = as_function(fn, "fn")
        self.name = getattr(fn, "__name__", type(fn).__name__)
        self.arguments = _argument_names(fn, len(args))
        self.reference = _own_reference(fn, self.name) if reference is None else as_function(reference, "reference")
        self._options = dict(options)
        trees = [map_leaves(_host_array, _lists_as_arrays(arg)) for arg in args]
        leaves, self._structure = flatten(trees)
        self._places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray)]
        self._numbers = [None if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
        self.arrays = tuple(leaves[i] for i in self._places)
        if not self.arrays:
            raise TypeError(f"{self.name} got no array: give it NumPy arrays, or trees with NumPy arrays in them")
        paths = [path for name, tree in zip(self.arguments, trees, strict=True) for path in _paths(name, tree)]
        self.paths = tuple(paths[i] for i in self._places)

    @property
    def floats(self) -> tuple[int, ...]:
        """Which of the arrays are floats: those that are cast, and differentiated."""
        return tuple(i for i, x in enumerate(self.arrays) if _is_float(x))

    def cast(self, dtype: str) -> tuple[Host, ...]:
        """Return the arrays with their floats in a dtype; integers in 32 bits where they fit."""
        kind = get_backend("numpy").dtype(dtype)
        with np.errstate(over="ignore"):
            return tuple(x.astype(kind) if _is_float(x) else _in_32_bits(x) for x in self.arrays)

    def call(self, form: str, arrays: Sequence[Array]) -> Any:
        """Call the function, or its agnostic body, with these arrays in the places of its own."""
        fn: Any = self.fn if form == "public" else self.fn.call_body
        return fn(*self._rebuild(arrays), **self._options)

    def limit(self, dtype: str) -> str:
        """Say why the function documents that it does not take these arguments in a dtype; "" if it does."""
        specification = getattr(self.fn, "specification", None)
        if specification is None:
            return ""
        classes = self.arrays[0].shape[self._options.get("axis", -1)]
        found: str = specification.limit(self._options.get("precision", "default"), dtype, classes)
        return found

    def has_body_of_its_own(self, backend: Backend) -> bool:
        """Whether there is an agnostic body beside what the function does on a backend."""
        return backend.name in getattr(self.fn, "natives", {})

    def widened(self, arrays: Sequence[Host], dtype: str) -> list[Any]:
        """Return the same values in the precision of the reference."""
        working = working_precision(dtype)
        return [wide.to_wide(x, working, longdouble=True) if _is_float(x) else x for x in arrays]

    def exact(self, wide: Sequence[Any]) -> Exact:
        """Call the reference on arrays in its precision."""
        # not Python's float, whose comparisons are no arrays' ones: ~(t >= 0) would be true of every t
        options = {key: np.float64(x) if isinstance(x, float) else x for key, x in self._options.items()}
        with np.errstate(all="ignore"):
            found = self.reference(*self._rebuild(wide), **options)
        if not (isinstance(found, dict) and "value" in found):
            found = {"value": found}
        values, structure = flatten(found["value"])
        values = [np.asarray(value) for value in values]
        precision = next((x.dtype for x in wide if x.dtype.kind == "f"), None)
        for value in values:
            if precision is not None and value.dtype.kind == "f" and value.dtype.itemsize < precision.itemsize:
                raise TypeError(
                    f"the reference of {self.name} returned {value.dtype} for arguments in {precision}: it must "
                    "compute in the precision of its arguments"
                )
        return Exact(tuple(values), structure, {key: x for key, x in found.items() if key != "value"})

    def nameable(self, wide: Sequence[Any]) -> dict[str, Any]:
        """Return the arguments that are one array or number each, by name, for formulas."""
        trees = self._rebuild(wide)
        return {name: tree for name, tree in zip(self.arguments, trees, strict=True) if flatten(tree)[1] is LEAF}

    def _rebuild(self, arrays: Sequence[Any]) -> list[Any]:
        leaves = list(self._numbers)
        for place, array in zip(self._places, arrays, strict=True):
            leaves[place] = array
        found: list[Any] = self._structure.rebuild(leaves)
        return found


def _argument_names(fn: Callable[..., Any], count: int) -> tuple[str, ...]:
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # a builtin
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple((names + [f"argument {i + 1}" for i in range(len(names), count)])[:count])


def _own_reference(fn: Callable[..., Any], name: str) -> Callable[..., Any]:
    body = getattr(fn, "body", None)
    if body is None:
        raise TypeError(
            f"{name} has no agnostic body to compute exact values with: pass reference=, the function in NumPy"
        )
    return functools.partial(body, xp=np)


def _lists_as_arrays(arg: Any) -> Any:
    """Make an array of a list of numbers; a list of arrays is a tree."""
    is_list = isinstance(arg, (list, tuple)) and all(is_number(leaf) for leaf in flatten(arg)[0])
    return np.asarray(arg) if is_list else arg


def _host_array(leaf: Any) -> Any:
    if is_number(leaf) or leaf is None:
        return leaf
    array = to_numpy(leaf)
    if array.dtype.kind not in "biu" and not _is_float(array):
        raise TypeError(f"got an array of {array.dtype}, expected floats, integers or booleans")
    return array


def _is_float(x: Host) -> bool:
    return bool(x.dtype.kind == "f" or x.dtype.name == "bfloat16")


def _in_32_bits(x: Host) -> Host:
    fits = x.dtype.kind == "i" and x.dtype.itemsize > 4 and (np.abs(x) < 2**31).all()
    return x.astype(np.int32) if fits else x


def _paths(name: str, tree: Any) -> Iterator[str]:
    """Name the leaves of a tree, in order, as Python would."""
    if isinstance(tree, dict):
        structure = flatten(tree)[1]
        for key in structure.keys:
            yield from _paths(f"{name}[{key!r}]", tree[key])
    elif hasattr(tree, "_fields"):
        for field in tree._fields:
            yield from _paths(f"{name}.{field}", getattr(tree, field))
    elif isinstance(tree, (list, tuple)):
        for i, part in enumerate(tree):
            yield from _paths(f"{name}[{i}]", part)
    elif hasattr(tree, "__dataclass_fields__"):
        for field in tree.__dataclass_fields__:
            yield from _paths(f"{name}.{field}", getattr(tree, field))
    elif tree is not None:
        yield name
