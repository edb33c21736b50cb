"""The Hypothesis strategies: what they make, that every adversarial class occurs, and what they shrink to."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from support import run_python

pytest.importorskip("hypothesis", reason="the strategies need pip install 'tempscale[testing]'")

from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import tempscale as ts
from tempscale._core.trees import flatten
from tempscale.testing.conformance.cases import WIDE
from tempscale.testing.strategies import KINDS, labels, logits, masks, temperatures, trees
from tempscale.testing.ulp import largest

many = settings(
    max_examples=500, deadline=None, database=None, derandomize=True, suppress_health_check=[*HealthCheck],
    phases=(Phase.generate,),
)  # fmt: skip
quietly = settings(
    database=None, derandomize=True, deadline=None, max_examples=2000, suppress_health_check=[*HealthCheck]
)

LARGE = 1e3


def classes_of(x):
    """The adversarial classes that some logits belong to."""
    wide = x.astype(np.float64)
    if not x.size:
        yield "0-size"
        return
    if x.shape[-1] == WIDE:
        yield "wide"
    if x.shape[-1] == 1:
        yield "one class"
    finite = np.isfinite(wide)
    if np.isnan(wide).any():
        yield "NaN"
    if (wide == np.inf).any():
        yield "+inf"
    masked = wide == -np.inf
    if masked.any():
        yield "masked"
    if masked.all(-1).any():
        yield "nothing but -inf"
    if (masked.sum(-1) == x.shape[-1] - 1).any() and x.shape[-1] > 2:
        yield "all but one masked"
    if finite.all() and x.shape[-1] > 2:
        ordered = np.sort(wide, axis=-1)
        spread = ordered[..., -1] - ordered[..., 0]
        if (np.abs(wide).min() >= LARGE) and (spread < 100).all() and (spread > 0).any():
            yield "large common offset"
        if (spread >= 200).any():
            yield "huge range"
        if (ordered[..., -1] - ordered[..., -2] >= 25).any() and (spread < 200).all():
            yield "one dominant entry"
        if (ordered[..., -1] == ordered[..., -2]).any():
            yield "ties at the maximum"
        if (spread == 0).any():
            yield "all equal"
        if 0 < np.abs(wide).max() < 1e-6:
            yield "tiny"


EXPECTED = {
    *("0-size", "wide", "one class", "NaN", "+inf", "masked", "nothing but -inf", "all but one masked"),
    *("large common offset", "huge range", "one dominant entry", "ties at the maximum", "all equal", "tiny"),
}


def test_every_adversarial_class_occurs_in_a_few_hundred_examples():
    seen = Counter()

    @many
    @given(logits())
    def collect(x):
        seen.update(classes_of(x))
        seen[x.dtype.name] += 1

    collect()
    assert {*seen} >= EXPECTED
    assert all(seen[dtype] >= 20 for dtype in ("float16", "bfloat16", "float32", "float64"))


@many
@given(logits(allow_masked=False, allow_nan=False, allow_empty=False, wide=False))
def test_what_is_ruled_out_does_not_occur(x):
    assert np.isfinite(x.astype(np.float64)).all()
    assert 0 < x.size < WIDE


@many
@given(logits(dtype="float16", shape=(2, 3), kinds=("range",)))
def test_dtype_shape_and_kind_are_as_asked_for_and_differences_are_finite(x):
    assert x.dtype == np.float16
    assert x.shape == (2, 3)
    assert np.abs(x).max() <= largest("float16") / 4


def test_every_kind_is_documented_by_its_name():
    assert {"plain", "offset", "range", "dominant", "ties", "masked", "NaN", "+inf"} <= {*KINDS}


def test_logits_shrink_to_one_row_of_zeros():
    x = find(logits(), lambda x: x.size > 0, settings=quietly)
    assert x.shape == (1,)
    assert x.dtype == np.float32
    assert x[0] == 0


def test_a_failure_shrinks_to_the_entries_that_matter():
    x = find(logits(wide=False), lambda x: (x > 2).sum() >= 1 and (x < -2).sum() >= 1, settings=quietly)
    assert x.size == 2
    assert np.abs(x.astype(np.float64)).max() <= 4


def test_temperatures_have_the_limits_and_shrink_to_1():
    seen = set()

    @many
    @given(temperatures(invalid=True))
    def collect(t):
        seen.add("NaN" if np.isnan(t) else float(t))

    collect()
    assert seen >= {0.0, np.inf, -1.0, "NaN", 1e-3, 1e3}
    assert find(temperatures(), lambda t: True, settings=quietly) == 1.0


@many
@given(temperatures(shape=(4, 1), dtype="bfloat16", limits=False))
def test_an_array_of_temperatures_has_the_working_precision(t):
    assert t.shape == (4, 1)
    assert t.dtype == np.float32
    assert ((t > 0) & np.isfinite(t)).all()


def test_drawn_labels_are_in_range_and_out_of_range():
    seen = Counter()

    @many
    @given(labels(5, shape=(4,)), labels(5, dtype="uint8", out_of_range=False))
    def collect(some, inside):
        assert some.dtype == np.int32
        assert some.shape == (4,)
        assert inside.max() < 5
        seen.update(some.tolist())

    collect()
    assert {0, 1, 2, 3, 4, 5, -1, -100} <= {*seen}
    assert find(labels(5), lambda y: True, settings=quietly).tolist() == [0, 0, 0]


def test_masks_keep_all_some_one_or_nothing():
    seen = Counter()

    @many
    @given(masks(shape=(2, 5)), masks(shape=(2, 5), allow_all_false=False))
    def collect(mask, never_empty):
        assert mask.dtype == bool
        assert mask.shape == (2, 5)
        assert never_empty.any(-1).all()
        seen.update({(mask.sum(-1).min(), mask.sum(-1).max())})

    collect()
    assert {(5, 5), (1, 1), (0, 0)} <= {*seen}
    assert find(masks(shape=(2, 2)), lambda mask: True, settings=quietly).all()


def test_trees_nest_dicts_lists_and_tuples_and_shrink_to_a_leaf():
    kinds = Counter()

    @many
    @given(trees(st.integers(0, 9)))
    def collect(tree):
        kinds[type(tree).__name__] += 1
        leaves, structure = flatten(tree)
        assert all(isinstance(leaf, int) for leaf in leaves)
        kinds["nested"] += any(part.parts for part in structure.parts)

    collect()
    assert min(kinds[kind] for kind in ("dict", "list", "tuple", "int", "nested")) >= 5
    assert find(trees(st.integers(0, 9)), lambda tree: True, settings=quietly) == 0


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(logits(wide=False, allow_empty=False), temperatures(), st.data())
def test_a_property_of_softmax(x, t, data):
    """As an outside author would use them."""
    mask = data.draw(masks(shape=x.shape, allow_all_false=False))
    with np.errstate(all="ignore"):
        p = ts.softmax(x, temperature=t, where=mask).astype(np.float64)
    valid = ~np.isnan(p).any(-1)
    assert (np.abs(p.sum(-1)[valid] - 1) < 0.05).all()
    assert (p[~mask & valid[..., None]] == 0).all()


def test_strategies_without_hypothesis_say_what_installs_it():
    printed = run_python(
        """
        import sys
        sys.modules["hypothesis"] = None
        import tempscale.testing
        try:
            import tempscale.testing.strategies
        except ImportError as error:
            print(error)
        """
    )
    assert "pip install 'tempscale[testing]'" in printed
