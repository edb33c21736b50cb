"""The inputs of the conformance run. A case is a row of logits with its temperature; rows are run in groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Draw", "Group", "draw_group", "draws", "groups", "many_cases", "user_group"]

SEED = 20_260_914
CLASSES = 37
NARROW = 4
WIDE = 128_256  # classes of a large language model's vocabulary
TEMPERATURES = (1e-3, 0.1, 0.7, 1.0, 2.0, 1e3, 0.0, np.inf)
LAYER = ("hidden", "weight", "bias")  # of a linear layer that logits come from
NAMED = ("logits", "p_logits", "q_logits", "labels", "temperature", *LAYER)  # that have operands of their own
SHARED = ("weight", "bias")  # operands that have no rows: they are one for all
WIDTH = 4  # of a layer: at most
GENERAL = ("logits", "q_logits", "r_logits", "s_logits")  # operands for arguments of any other name
DRAWN_AT = (0.3, 0.5, 0.7, 0.9, 1.0, 1.3, 2.0, 7.0)  # temperatures of drawn rows, in turn
DRAWN_AT_A_TIME = 2**21  # logits: 16 MiB in float64, of which a reference holds a score
NUMBERS = (0.7, 1.0, 0.0, np.inf)  # temperatures that are run as Python numbers, too


@dataclass(frozen=True)
class Group:
    """Rows of one length, which run in one call.

    Attributes
    ----------
    name : str
        For reports.
    operands : dict of str to numpy.ndarray
        Arguments by the names that references use: ``logits`` (rows, n), ``p_logits``, ``q_logits``, ``labels``
        (rows,), ``probabilities`` (rows, n), ``temperature`` (rows, 1), ``g`` (rows, n), a cotangent, of a linear
        layer ``hidden`` (rows, width), ``weight`` (n, width) and ``bias`` (n,), and for arguments of any other name
        ``logits``, ``q_logits``, ``r_logits`` and ``s_logits``, in this order.
    cases : tuple of str
        What each row is.
    """

    name: str
    operands: dict[str, np.ndarray[Any, Any]] = field(repr=False)
    cases: tuple[str, ...] = field(repr=False)

    def only(self, kept: np.ndarray[Any, Any], name: str) -> Group:
        """Return some of the rows as a group of another name."""
        operands = {key: x if key in SHARED else x[kept] for key, x in self.operands.items()}
        return Group(name, operands, tuple([case for case, keep in zip(self.cases, kept, strict=True) if keep]))

    @property
    def classes(self) -> int:
        """Number of classes in each row."""
        return int(self.operands["logits"].shape[-1])

    def cotangent(self, axes: int) -> np.ndarray[Any, Any]:
        """Return a cotangent of a result with so many axes: with the classes, or without them."""
        g = self.operands["g"]
        return g if axes == g.ndim else g[:, 0]


@dataclass(frozen=True)
class Draw:
    """Rows drawn at random, beyond the cases: the `number`-th of `of` that are drawn.

    With `cases` they are the cases of the group "rows" over and over, with other random numbers.
    """

    rows: int
    classes: int
    number: int = 1
    of: int = 1
    cases: bool = False

    def __str__(self) -> str:
        return f"{self.rows} rows of {self.classes}, {self.number}/{self.of}"

    @property
    def for_reductions(self) -> bool:
        """Whether it is for results without the axis of classes, of which wide rows give few."""
        return self.classes == NARROW


def many_cases(elements: int) -> Draw:
    """Return the cases so many times that they come to about this many elements, up to a million."""
    once = len(_rows(np.random.default_rng(0)))
    return Draw(once * max(1, min(elements, 10**6) // (once * CLASSES)), CLASSES, cases=True)


def draws(elements: int) -> Iterator[Draw]:
    """Yield draws of at least so many elements: of wide rows, then for reductions of as many narrow ones."""
    for classes, rows in ((WIDE, -(-elements // WIDE)), (NARROW, elements)):
        at_a_time = max(1, min(rows, DRAWN_AT_A_TIME // classes))
        of = -(-rows // at_a_time)
        yield from (Draw(at_a_time, classes, number, of) for number in range(1, of + 1))


def draw_group(draw: Draw, dtype: np.dtype[Any]) -> Group:
    """Return the rows of a draw."""
    rng = np.random.default_rng([SEED, draw.classes, draw.number])
    if draw.cases:
        rows: list[tuple[str, np.ndarray[Any, Any], float]] = []
        while len(rows) < draw.rows:
            rows += _rows(rng)
        return _group(str(draw), rows, dtype, rng)
    logits = rng.uniform(0.1, 5.0, (draw.rows, 1)) * rng.standard_normal((draw.rows, draw.classes))
    names = [f"a row of draw {draw.number} of {draw.classes} classes at T = {t:g}" for t in DRAWN_AT]
    operands = _operands(logits.astype(dtype), np.resize(DRAWN_AT, draw.rows), dtype, rng)
    return Group(str(draw), operands, tuple(np.resize(names, draw.rows).tolist()))


def groups(dtype: np.dtype[Any]) -> dict[str, Group]:
    """Return the groups for logits of a dtype: "rows" and "wide", "one class" and "empty"."""
    rng = np.random.default_rng(SEED)
    return {
        "rows": _group("rows", _rows(rng), dtype, rng),
        "wide": _group("wide", _wide_rows(rng), dtype, rng),
        "one class": _group("one class", [("one class", np.asarray([x]), 0.7) for x in (-3.0, 0.0, 1e4)], dtype, rng),
        "empty": _group("empty", [], dtype, rng),
    }


def user_group(logits: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Group:
    """Return the user's own logits as a group, under a cycle of temperatures."""
    cycle = (1.0, 0.5, 2.0)
    rng = np.random.default_rng(SEED)
    rows = [(f"row {i} at T = {cycle[i % 3]}", row, cycle[i % 3]) for i, row in enumerate(logits)]
    return _group("your logits", rows, dtype, rng)


def _rows(rng: np.random.Generator, n: int = CLASSES) -> list[tuple[str, np.ndarray[Any, Any], float]]:
    normal = rng.standard_normal
    rows = [
        (f"normal scaled by {scale:g} at T = {t:g}", scale * normal(n), t)
        for scale in (0.01, 1.0, 10.0, 100.0)
        for t in TEMPERATURES
    ]
    dominant = np.where(np.arange(n) == 5, 30.0, normal(n))
    tied = np.round(normal(n))
    masked = np.where(rng.random(n) < 0.4, -np.inf, 3 * normal(n))
    only_one = np.where(np.arange(n) == 3, 1.0, -np.inf)
    some_nan, some_inf = normal(n), normal(n)
    some_nan[7], some_inf[9] = np.nan, np.inf
    for t in (0.7, 1e-3, 0.0, np.inf):
        rows += [
            (f"common offset 1e4 at T = {t:g}", 1e4 + normal(n), t),
            (f"range +-100 at T = {t:g}", np.linspace(-100, 100, n), t),
            (f"one dominant entry at T = {t:g}", dominant, t),
            (f"ties at T = {t:g}", tied, t),
            (f"all equal at T = {t:g}", np.full(n, -2.5), t),
            (f"masked entries at T = {t:g}", masked, t),
            (f"all but one masked at T = {t:g}", only_one, t),
            (f"a NaN at T = {t:g}", some_nan, t),
            (f"a +inf at T = {t:g}", some_inf, t),
            (f"nothing but -inf at T = {t:g}", np.full(n, -np.inf), t),
        ]
    rows += [
        ("NaN and +inf at T = 0.7", np.where(np.arange(n) == 9, np.inf, some_nan), 0.7),
        ("temperature -1", normal(n), -1.0),
        ("temperature NaN", normal(n), np.nan),
    ]
    return rows


def _wide_rows(rng: np.random.Generator) -> list[tuple[str, np.ndarray[Any, Any], float]]:
    n = WIDE
    normal = rng.standard_normal
    dominant = 0.5 * normal(n) - 14.0
    dominant[77_777] = 4.0
    some_nan = np.where(np.arange(n) == 77_777, np.nan, normal(n))
    equals = np.full(n, np.log(0.1))
    equals[7] = 0.0
    return [
        (f"{n} classes, normal scaled by 3 at T = 0.7", 3 * normal(n), 0.7),
        (f"{n} classes, common offset 1e4 at T = 0.7", 1e4 + normal(n), 0.7),
        (f"{n} classes, one dominant entry and a long tail", dominant, 1.0),
        (f"{n} classes, half of them masked", np.where(np.arange(n) % 2 == 0, -np.inf, normal(n)), 1.3),
        (f"{n} classes, NaN and +inf", np.where(np.arange(n) == 9, np.inf, some_nan), 0.7),
        # whose roundings do not cancel
        (f"{n} classes, one dominant entry and a long tail of equals", equals, 1.0),
    ]


def _group(
    name: str,
    rows: list[tuple[str, np.ndarray[Any, Any], float]],
    dtype: np.dtype[Any],
    rng: np.random.Generator,
) -> Group:
    n = len(rows[0][1]) if rows else 7
    with np.errstate(over="ignore"):
        logits = np.asarray([row for _, row, _ in rows], np.float64).reshape(len(rows), n).astype(dtype)
    operands = _operands(logits, np.asarray([t for _, _, t in rows]), dtype, rng)
    operands["labels"][::11] = n + 3  # out of range
    return Group(name, operands, tuple(case for case, _, _ in rows))


def _operands(
    logits: np.ndarray[Any, Any],
    temperature: np.ndarray[Any, Any],
    dtype: np.dtype[Any],
    rng: np.random.Generator,
) -> dict[str, np.ndarray[Any, Any]]:
    rows, n = logits.shape
    # the other distribution of a divergence: near, far, and masked elsewhere
    noise = rng.standard_normal(logits.shape) * np.where(np.arange(rows) % 3, 1.0, 1e-2)[:, None]
    with np.errstate(invalid="ignore"):
        other = (logits.astype(np.float64) + noise).astype(dtype)
    labels = rng.integers(0, n, rows).astype(np.int32)
    mass = rng.random(logits.shape) * (rng.random(logits.shape) < 0.5)
    mass[:, 0] += 0.1
    return {
        "logits": logits,
        "p_logits": logits,
        "q_logits": other,
        "r_logits": np.roll(logits, 1, axis=-1),
        "s_logits": np.roll(other, -1, axis=-1),
        "labels": labels,
        "probabilities": (mass / mass.sum(-1, keepdims=True)).astype(dtype),
        "temperature": temperature.reshape(rows, 1).astype(_working(dtype)),
        "g": rng.standard_normal(logits.shape).astype(dtype),
        **_layer(logits),
    }


def _layer(logits: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """A linear layer for rows that begin as the logits do, and are invalid where these are.

    In a large vocabulary some classes are masked.
    """
    n, rng = logits.shape[-1], np.random.default_rng([SEED, logits.shape[-1]])
    hidden = np.where(np.isfinite(logits), logits, 0)[:, :WIDTH]
    with np.errstate(invalid="ignore"):
        hidden[:, :1] += np.where(logits == -np.inf, 0, logits - logits).sum(-1, keepdims=True)  # NaN of NaN and inf
    weight = rng.standard_normal((n, hidden.shape[-1]))
    bias = np.where(np.arange(n) % 1000 == 999, -np.inf, rng.standard_normal(n))
    hidden = hidden.astype(logits.dtype)
    return {"hidden": hidden, "weight": weight.astype(logits.dtype), "bias": bias.astype(logits.dtype)}


def _working(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    return np.float64 if dtype == np.float64 else np.float32
