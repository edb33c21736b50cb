"""``tempscale sample``: tokens for rows of logits, drawn on every backend and shown side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import tempscale
from tempscale import random
from tempscale._core.registry import get_backend, known_backends
from tempscale.backend import Backend, BackendUnavailableError
from tempscale.cli.console import stdout
from tempscale.cli.errors import UsageError

__all__ = ["Comparison", "compare", "sample"]

ROWS = 10
"""Number of rows that are printed. All rows are compared."""

TOKENS_WIDTH = 12
"""Least width, in characters, of the tokens of one backend."""


@dataclass
class Comparison:
    """What each backend drew, and why some drew nothing."""

    tokens: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    """Tokens of shape (rows, draws), by backend, and by compiler where one was used."""
    missing: list[str] = field(default_factory=list)
    """For each backend that is not available, the reason."""

    @property
    def first_difference(self) -> tuple[int, int] | None:
        """Row and draw of the first token that is not the same everywhere."""
        one, *others = self.tokens.values()
        differs = np.zeros(one.shape, bool)
        for other in others:
            differs |= one != other
        return tuple(map(int, np.argwhere(differs)[0])) if differs.any() else None  # type: ignore[return-value]


def compare(
    rows: np.ndarray[Any, Any],
    *,
    temperature: float,
    seed: int,
    draws: int,
    backends: Sequence[str] | None = None,
    compiled: bool = False,
    progress: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """Draw from rows of logits on every backend, eagerly and, if asked to, with each of its compilers."""
    if not temperature >= 0:
        raise UsageError(f"--temperature is {temperature:g}, expected a number from 0 to inf")
    if draws < 1:
        raise UsageError(f"--draws is {draws}, expected at least 1")
    try:
        key = random.key(seed)
    except ValueError as error:
        raise UsageError(f"--seed: {error}") from None
    unknown = set(backends or ()) - set(known_backends())
    if unknown:
        raise UsageError(f"unknown backend {sorted(unknown)[0]!r}; choose from {', '.join(known_backends())}")
    logits = rows.astype(np.float32) if rows.dtype == np.float64 else rows

    def draw(x: Any) -> Any:
        return tempscale.sample(x, key, temperature=temperature, num_samples=draws)

    found = Comparison()
    for name in backends or known_backends():
        progress(name)
        try:
            backend = get_backend(name)
        except BackendUnavailableError as error:
            found.missing.append(str(error))
            continue
        for way, run in _ways(backend, draw, compiled=compiled).items():
            found.tokens[f"{name} {way}".strip()] = backend.to_numpy(run(backend.asarray(logits)))
    return found


def _ways(backend: Backend, draw: Callable[[Any], Any], *, compiled: bool) -> dict[str, Callable[[Any], Any]]:
    compilers = [name for name in backend.compilers if backend.compiler_problem(name) is None] if compiled else []
    return {"": draw} | {name: backend.jit(draw, compiler=name) for name in compilers}


def sample(rows: np.ndarray[Any, Any], **options: Any) -> int:
    """Draw, print the tokens side by side, and return the exit status: 0 if they are identical, else 1."""
    with Console(stderr=True).status("drawing") as status:
        found = compare(rows, progress=lambda name: status.update(f"drawing on {name}"), **options)
    if not found.tokens:
        raise UsageError(" ".join(found.missing))
    console = stdout()
    console.print(_table(found, (console.width - 6) // len(found.tokens) - 2))
    shown, drawn = min(ROWS, len(rows)), next(iter(found.tokens.values()))
    if shown < len(rows):
        console.print(f"{len(rows) - shown} more rows were compared and are not shown")
    for reason in found.missing:
        console.print(f"missing: {reason}", soft_wrap=True)
    place = found.first_difference
    names = ", ".join(found.tokens)
    if place is not None:
        each = ", ".join(f"{name} {tokens[place]}" for name, tokens in found.tokens.items())
        console.print(f"different: first at row {place[0]}, draw {place[1]}: {each}", soft_wrap=True)
    elif len(found.tokens) == 1:
        console.print(f"{drawn.size} tokens from {names}; no other backend to compare with", soft_wrap=True)
    else:
        console.print(f"identical: {drawn.size} tokens from each of {names}", soft_wrap=True)
    return 0 if place is None else 1


def _table(found: Comparison, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("row", justify="right", no_wrap=True)
    for name in found.tokens:
        table.add_column(name, no_wrap=True)
    for row in range(min(ROWS, len(next(iter(found.tokens.values()))))):
        table.add_row(str(row), *[_listed(tokens[row], max(width, TOKENS_WIDTH)) for tokens in found.tokens.values()])
    return table


def _listed(tokens: np.ndarray[Any, Any], width: int) -> str:
    """Return as many tokens as fit, with an ellipsis if there are more."""
    text = ""
    for place, token in enumerate(tokens):
        longer = f"{text} {token}".strip()
        if len(longer) > width - (4 if place + 1 < len(tokens) else 0):
            return f"{text} ..."
        text = longer
    return text
