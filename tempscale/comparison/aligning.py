"""Which layer of B is the counterpart of which layer of A: by order of use, kind, shape, and weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tempscale.comparison.layouts import layouts
from tempscale.comparison.recording import Record, leaves_of

__all__ = ["align"]

_FAMILIES = (
    frozenset({"batch_norm", "layer_norm", "group_norm", "rms_norm"}),
    frozenset({"max_pool", "average_pool"}),
)
_SILENT = ("dropout", "reshape")
"""Kinds that compute nothing, as a rule: they have no counterpart where another framework does without a layer."""


def align(a: Record, b: Record) -> list[tuple[Record, Record]]:
    """Return the pairs of calls that correspond, in order."""
    kinds = {call.layer.kind for model in (a, b) for call in leaves_of(model)} - {""}
    left, right = ([call for call in leaves_of(model, frozenset(kinds)) if _counts(call)] for model in (a, b))
    pairs = _best_path(left, right)
    return _in_order(pairs + _covered(left, b, pairs) + _covered(right, a, pairs, swapped=True), a)


def _counts(call: Record) -> bool:
    if not call.given or not call.taken:
        return False
    passes = call.layer.kind in _SILENT and call.given[0].size == call.taken[0].size
    return not (passes and np.array_equal(call.given[0].ravel(), call.taken[0].ravel()))


def _likeness(a: Record, b: Record) -> float:
    """How much speaks for a pair; 0 if nothing does.

    That two layers are a pair at all weighs more than that their weights agree: a port with the weights of two layers
    exchanged still has both layers.
    """
    one, other = a.layer.kind, b.layer.kind
    if one and one == other:
        value = 10.0
    elif not one and not other:
        value = 8.0 if a.layer.title == b.layer.title else 4.0
    elif any({one, other} <= family for family in _FAMILIES):
        value = 5.0
    elif one and other:
        return 0.0
    else:
        value = 2.0
    if not layouts(a.shape, b.shape):
        return value / 2 if value == 10.0 else 0.0
    return value + 4.0 * _agreement(a, b) + 0.5 * (a.name.rpartition(".")[2] == b.name.rpartition("/")[2])


def _agreement(a: Record, b: Record) -> float:
    """Which part of the weights has the same values, in whatever layout and under whatever name."""
    most = max(len(a.fingerprints), len(b.fingerprints))
    same = [one for one in a.fingerprints.values() if any(_alike(one, other) for other in b.fingerprints.values())]
    return len(same) / most if most else 0.0


def _alike(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-6 * a[1]))


def _best_path(left: Sequence[Record], right: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Return the pairs, in the order of both, that are most alike in sum."""
    value = np.zeros((len(left) + 1, len(right) + 1))
    likeness = np.array([[_likeness(a, b) for b in right] for a in left]).reshape(len(left), len(right))
    for i in range(len(left) - 1, -1, -1):
        for j in range(len(right) - 1, -1, -1):
            pair = value[i + 1, j + 1] + likeness[i, j] if likeness[i, j] else 0.0
            value[i, j] = max(pair, value[i + 1, j], value[i, j + 1])
    pairs, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if likeness[i, j] and value[i, j] == value[i + 1, j + 1] + likeness[i, j]:
            pairs.append((left[i], right[j]))
            i, j = i + 1, j + 1
        elif value[i, j] == value[i + 1, j]:
            i += 1
        else:
            j += 1
    return pairs


def _covered(
    leaves: Sequence[Record], other: Record, pairs: list[tuple[Record, Record]], *, swapped: bool = False
) -> list[tuple[Record, Record]]:
    """Pair a layer that is one here with a module that is made of several there, none of which has a counterpart."""
    mine, theirs = (1, 0) if swapped else (0, 1)
    taken = {id(pair[theirs]) for pair in pairs}
    done = {id(pair[mine]) for pair in pairs}
    order = {id(call): number for number, call in enumerate(other.descendants())}
    found = []
    for number, leaf in enumerate(leaves):
        if id(leaf) in done or (not leaf.fingerprints and leaf.layer.kind != "attention"):
            continue
        before = [pair[theirs] for pair in pairs if any(pair[mine] is x for x in leaves[:number])]
        after = [pair[theirs] for pair in pairs if any(pair[mine] is x for x in leaves[number + 1 :])]
        low = max((order[id(call)] for call in before), default=-1)
        high = min((order[id(call)] for call in after), default=len(order))
        for call in other.descendants():
            free = call.children and not any(id(inside) in taken for inside in call.descendants())
            if free and call is not other and low < order[id(call)] < high and layouts(leaf.shape, call.shape):
                found.append((call, leaf) if swapped else (leaf, call))
                break
    return found


def _in_order(pairs: list[tuple[Record, Record]], a: Record) -> list[tuple[Record, Record]]:
    order = {id(call): number for number, call in enumerate(a.descendants())}
    return sorted(pairs, key=lambda pair: order[id(pair[0])])
