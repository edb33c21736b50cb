"""Hypothesis strategies for what this library is about: logits, temperatures, labels, masks, and trees of arrays.

They make NumPy arrays (bfloat16 through ml_dtypes), of ordinary shapes and of those on which functions of logits
fail: large common offsets, huge ranges, one dominant entry, the vocabulary of a large language model, ties, masked
entries, NaN, infinities, empty batches. They shrink to one row of zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tempscale._core.dtypes import HALF
from tempscale._core.registry import get_backend
from tempscale.contracts import working_precision
from tempscale.testing.conformance.cases import TEMPERATURES, WIDE
from tempscale.testing.ulp import largest

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "tempscale.testing.strategies needs hypothesis: pip install 'tempscale[testing]'", name="hypothesis"
    ) from error

__all__ = ["KINDS", "labels", "logits", "masks", "temperatures", "trees"]

Host = np.ndarray[Any, Any]
_Generator = np.random.Generator
_FLOATS = ("float32", "float64", *HALF)


# Each makes rows of a shape, as float64. They shrink from the last to the first.


def _plain(x: Host, rng: _Generator, limit: float) -> Host:
    return x


def _offset(x: Host, rng: _Generator, limit: float) -> Host:
    return np.asarray(x + rng.choice([1e4, -1e4]))


def _range(x: Host, rng: _Generator, limit: float) -> Host:
    reach = min(rng.choice([100.0, 1e4, limit]), limit)
    entries = np.broadcast_to(np.linspace(-reach, reach, x.shape[-1]), x.shape)
    return np.asarray(rng.permuted(entries, axis=-1))


def _dominant(x: Host, rng: _Generator, limit: float) -> Host:
    if x.shape[-1]:
        x[..., rng.integers(x.shape[-1])] = 60.0
    return x


def _ties(x: Host, rng: _Generator, limit: float) -> Host:
    return np.asarray(rng.integers(-1, 2, x.shape), np.float64)


def _equal(x: Host, rng: _Generator, limit: float) -> Host:
    return np.full(x.shape, rng.choice([0.0, -2.5, 1e4]))


def _tiny(x: Host, rng: _Generator, limit: float) -> Host:
    return np.asarray(rng.choice([0.0, -0.0, 1e-7, -1e-7, 1e-40], x.shape))


def _masked(x: Host, rng: _Generator, limit: float) -> Host:
    return np.where(rng.random(x.shape) < 0.5, -np.inf, x)


def _all_but_one_masked(x: Host, rng: _Generator, limit: float) -> Host:
    kept = rng.integers(max(x.shape[-1], 1))
    return np.where(np.arange(x.shape[-1]) == kept, x, -np.inf)


def _all_masked(x: Host, rng: _Generator, limit: float) -> Host:
    return np.full(x.shape, -np.inf)


def _with(value: float) -> Callable[[Host, _Generator, float], Host]:
    def put(x: Host, rng: _Generator, limit: float) -> Host:
        if x.size:
            x.flat[rng.integers(x.size)] = value
        return x

    return put


_FINITE = {
    "plain": _plain,
    "ties": _ties,
    "all equal": _equal,
    "tiny": _tiny,
    "dominant": _dominant,
    "offset": _offset,
    "range": _range,
}
_MASKED = {"masked": _masked, "all but one masked": _all_but_one_masked, "all masked": _all_masked}
_NOT_FINITE = {"NaN": _with(np.nan), "+inf": _with(np.inf)}
_MAKERS = {**_FINITE, **_MASKED, **_NOT_FINITE}
KINDS = tuple(_MAKERS)
"""The kinds of rows that `logits` makes."""


@st.composite
def logits(
    draw: st.DrawFn,
    *,
    dtype: str | Sequence[str] = _FLOATS,
    shape: tuple[int, ...] | None = None,
    kinds: Sequence[str] | None = None,
    allow_masked: bool = True,
    allow_nan: bool = True,
    allow_empty: bool = True,
    wide: bool = True,
) -> Host:
    """Logits with the classes on the last axis.

    Parameters
    ----------
    dtype : str or sequence of str
        Dtype, or those to choose from.
    shape : tuple of int, optional
        By default one to three axes of up to 9, with at least one class.
    kinds : sequence of str, optional
        Which of `KINDS` to make; by default all that the other options allow.
    allow_masked, allow_nan : bool
        Whether entries may be -inf; whether they may be NaN or +inf.
    allow_empty : bool
        Whether the batch may be empty.
    wide : bool
        Whether to make single rows of 128 256 classes as well.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(logits(dtype="float32", allow_nan=False, wide=False))
    ... def test(x):
    ...     assert x.dtype == "float32" and x.shape[-1] > 0
    >>> test()
    """
    allowed = {**_FINITE, **(_MASKED if allow_masked else {}), **(_NOT_FINITE if allow_nan else {})}
    kind = draw(st.sampled_from(tuple(kinds) if kinds is not None else tuple(allowed)))
    name = draw(st.sampled_from((dtype,) if isinstance(dtype, str) else tuple(dtype)))
    if shape is None:
        shape = draw(_shapes(allow_empty, wide))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    with np.errstate(over="ignore"):
        limit = largest(name) / 4  # so that a difference of two is finite
        return np.asarray(_MAKERS[kind](draw(_entries(shape, rng)), rng, limit)).astype(_dtype(name))


@st.composite
def _shapes(draw: st.DrawFn, allow_empty: bool, wide: bool) -> tuple[int, ...]:
    size = draw(
        st.sampled_from(("rows", "rows", "rows", *(["empty"] if allow_empty else []), *(["wide"] if wide else [])))
    )
    if size == "wide":
        return (1, WIDE)
    batch = draw(st.lists(st.integers(1, 5), max_size=2))
    if size == "empty":
        batch = [0, *batch[:1]]
    return (*batch, draw(st.integers(1, 9)))


@st.composite
def _entries(draw: st.DrawFn, shape: tuple[int, ...], rng: _Generator) -> Host:
    """Ordinary entries. Few are drawn one by one, which shrinks them one by one; many from a generator."""
    count = int(np.prod(shape))
    if count > 64:
        return np.asarray(3 * rng.standard_normal(shape))
    entry = st.floats(-30, 30, width=32)
    return np.asarray(draw(st.lists(entry, min_size=count, max_size=count)), np.float64).reshape(shape)


def temperatures(
    *,
    shape: tuple[int, ...] | None = None,
    dtype: str = "float32",
    limits: bool = True,
    invalid: bool = False,
) -> st.SearchStrategy[Any]:
    """Temperatures: Python numbers, or arrays of a shape.

    Parameters
    ----------
    shape : tuple of int, optional
        By default a number. ``(rows, 1)`` gives one temperature per row.
    dtype : str
        Of the logits that an array is for: the array has their working precision.
    limits : bool
        Whether 0 and inf are among them.
    invalid : bool
        Whether -1 and NaN are.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(temperatures(shape=(3, 1)))
    ... def test(t):
    ...     assert t.shape == (3, 1) and (t >= 0).all()
    >>> test()
    """
    usual = [1.0, *(t for t in TEMPERATURES if t != 1.0 and 0 < t < np.inf)]
    special = [*([0.0, np.inf] if limits else []), *([-1.0, np.nan] if invalid else [])]
    one = st.one_of(st.sampled_from([*usual, *special]), st.floats(2.0**-10, 2.0**10, width=32))
    if shape is None:
        return one
    count = int(np.prod(shape))
    kind = _dtype(working_precision(dtype))
    return st.lists(one, min_size=count, max_size=count).map(lambda ts: np.asarray(ts, kind).reshape(shape))


def labels(
    classes: int, *, shape: tuple[int, ...] = (3,), dtype: str = "int32", out_of_range: bool = True
) -> st.SearchStrategy[Host]:
    """Labels: integers from 0 to `classes` - 1 and, unless `out_of_range` is false, some that no class has.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(labels(4, out_of_range=False))
    ... def test(y):
    ...     assert ((0 <= y) & (y < 4)).all()
    >>> test()
    """
    info = np.iinfo(dtype)
    inside = st.integers(0, classes - 1)
    beyond = [x for x in (classes, -1, -100, info.max, info.min) if info.min <= x <= info.max and not 0 <= x < classes]
    one = st.one_of(inside, inside, st.sampled_from(beyond)) if out_of_range else inside
    count = int(np.prod(shape))
    return st.lists(one, min_size=count, max_size=count).map(lambda ys: np.asarray(ys, dtype).reshape(shape))


@st.composite
def masks(draw: st.DrawFn, *, shape: tuple[int, ...], allow_all_false: bool = True) -> Host:
    """Masks: booleans of a shape, True for what is kept.

    Parameters
    ----------
    shape : tuple of int
        With the classes on the last axis.
    allow_all_false : bool
        Whether a row may keep nothing.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(masks(shape=(2, 3), allow_all_false=False))
    ... def test(mask):
    ...     assert mask.any(-1).all()
    >>> test()
    """
    count = int(np.prod(shape))
    kind = draw(st.sampled_from(("all", "some", "one", *(["none"] if allow_all_false else []))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    one = np.arange(shape[-1]) == (rng.integers(shape[-1]) if shape[-1] else 0)
    if kind == "all":
        return np.ones(shape, bool)
    if kind == "none":
        return np.zeros(shape, bool)
    if kind == "one" or count > 64:
        return np.broadcast_to(one, shape) | (kind == "some") & (rng.random(shape) < 0.5)
    some = np.asarray(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool).reshape(shape)
    return some if allow_all_false else some | one


def trees(leaves: st.SearchStrategy[Any], *, max_leaves: int = 6) -> st.SearchStrategy[Any]:
    """Trees: dicts, lists and tuples, nested, of what another strategy makes; also a leaf alone.

    Examples
    --------
    >>> from hypothesis import given
    >>> from tempscale.testing.strategies import labels, trees
    >>> @given(trees(labels(3, shape=(2,))))
    ... def test(tree):
    ...     pass
    >>> test()
    """

    def grown(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        lists = st.lists(children, min_size=1, max_size=3)
        keys = st.sampled_from(("w", "b", "layer", "scale"))
        return st.one_of(lists, lists.map(tuple), st.dictionaries(keys, children, min_size=1, max_size=3))

    return st.recursive(leaves, grown, max_leaves=max_leaves)


def _dtype(name: str) -> np.dtype[Any]:
    found: np.dtype[Any] = get_backend("numpy").dtype(name)
    return found
