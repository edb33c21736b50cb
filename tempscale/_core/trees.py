"""Trees of arrays: dicts, lists, tuples, named tuples and dataclasses, nested, with arrays at the leaves.

None is a tree without leaves. The entries of a dict are taken in the order of its sorted keys, as JAX does it, so
that two dicts with the same entries are trees of the same structure; those of an OrderedDict in their own order.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

__all__ = ["Structure", "flatten", "is_container", "map_leaves"]


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a tree is apart from its leaves. Hashable: two trees of one structure have equal ones."""

    kind: type
    keys: tuple[Hashable, ...] = ()
    parts: tuple[Structure, ...] = ()

    @property
    def size(self) -> int:
        """Number of leaves."""
        return 1 if self.kind is Leaf else sum(part.size for part in self.parts)

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """Make a tree of this structure with these leaves."""
        if len(leaves) != self.size:
            raise ValueError(f"got {len(leaves)} leaves for a tree that has {self.size}")
        return self._rebuild(iter(leaves))

    def _rebuild(self, leaves: Any) -> Any:
        if self.kind is Leaf:
            return next(leaves)
        return _join(self.kind, self.keys, [part._rebuild(leaves) for part in self.parts])


class Leaf:
    """Kind of a structure that is nothing but one leaf."""


LEAF = Structure(Leaf)
NONE = Structure(type(None))


def is_container(cls: type) -> bool:
    """Whether instances of `cls` are trees rather than leaves."""
    return issubclass(cls, (dict, list, tuple, type(None))) or dataclasses.is_dataclass(cls)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Take a tree apart into its leaves, in order, and its structure."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def map_leaves(fn: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Call `fn` on each leaf of `tree`, and on those in the same place of trees of the same structure."""
    leaves, structure = flatten(tree)
    rest = []
    for other in others:
        more, its_structure = flatten(other)
        if its_structure != structure:
            raise ValueError(f"trees of different structures: {structure} and {its_structure}")
        rest.append(more)
    return structure.rebuild([fn(*values) for values in zip(leaves, *rest, strict=True)])


def _flatten(tree: Any, leaves: list[Any]) -> Structure:
    kind = type(tree)
    if not is_container(kind):
        leaves.append(tree)
        return LEAF
    if tree is None:
        return NONE
    keys, parts = _split(tree)
    return Structure(kind, keys, tuple([_flatten(part, leaves) for part in parts]))


def _split(tree: Any) -> tuple[tuple[Hashable, ...], list[Any]]:
    """Return the keys by which `_join` puts a container together again, and what is in it."""
    if isinstance(tree, dict):
        by_name = not isinstance(tree, OrderedDict) and all(isinstance(key, str) for key in tree)
        keys = tuple(sorted(tree)) if by_name else tuple(tree)
        return keys, [tree[key] for key in keys]
    if isinstance(tree, (list, tuple)):
        return (), list(tree)
    names = tuple(field.name for field in dataclasses.fields(tree))
    return names, [getattr(tree, name) for name in names]


def _join(kind: type, keys: tuple[Hashable, ...], parts: list[Any]) -> Any:
    if kind is type(None):
        return None
    made: Any
    if issubclass(kind, dict):
        made = kind()
        made.update(zip(keys, parts, strict=True))
        return made
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):  # a named tuple
        return kind(*parts)
    if issubclass(kind, (list, tuple)):
        return kind(parts)
    # not through __init__, which may check or convert what is about to be a tracer
    made = kind.__new__(kind)
    for name, part in zip(keys, parts, strict=True):
        object.__setattr__(made, str(name), part)
    return made
