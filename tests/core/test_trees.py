"""Trees of arrays: taken apart into leaves and structure, and put together again."""

from __future__ import annotations

import collections
import dataclasses

import pytest

from tempscale._core.trees import flatten, map_leaves

Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Layer:
    weights: object
    name: str = "dense"


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: object

    def __post_init__(self):
        if isinstance(self.a, str):
            raise TypeError("not for strings")


TREES = [
    1.0,
    [],
    (),
    {},
    None,
    [1, [2, (3, None)]],
    {"b": 1, "a": (2, 3)},
    Pair(1, [2]),
    Layer({"w": 1}),
    Frozen(4),
    collections.OrderedDict(z=1, a=2),
    {2: "two", (1, 2): "pair"},
]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_a_tree_comes_back_as_it_was(tree):
    leaves, structure = flatten(tree)
    again = structure.rebuild(leaves)
    assert again == tree
    assert type(again) is type(tree)


def test_leaves_come_in_the_order_of_positions_of_fields_and_of_sorted_keys():
    tree = {"b": [1, 2], "a": Pair(3, Layer(4, "name"))}
    assert flatten(tree)[0] == [3, 4, "name", 1, 2]
    assert flatten(collections.OrderedDict(z=1, a=2))[0] == [1, 2]


def test_none_has_no_leaves():
    assert flatten([None, 1, {"a": None}])[0] == [1]


def test_structures_are_equal_and_hash_alike_where_trees_differ_in_leaves_only():
    one, other = flatten({"a": [1, 2], "b": Layer(3)})[1], flatten({"b": Layer(5), "a": ["x", 2]})[1]
    assert one == other
    assert hash(one) == hash(other)
    assert one != flatten({"a": (1, 2), "b": Layer(3)})[1]
    assert one != flatten({"a": [1, 2], "c": Layer(3)})[1]


def test_leaves_of_another_number_are_refused():
    with pytest.raises(ValueError, match="got 1 leaves for a tree that has 2"):
        flatten([1, 2])[1].rebuild([1])


def test_a_function_is_mapped_over_trees_of_one_structure():
    assert map_leaves(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]}) == {"a": 11, "b": [22]}
    with pytest.raises(ValueError, match="different structures"):
        map_leaves(lambda x, y: x, [1], (1,))


def test_a_dataclass_is_rebuilt_without_its_checks_which_a_tracer_may_not_pass():
    assert flatten(Frozen(1))[1].rebuild(["text"]).a == "text"
