"""``tempscale show``: one row of logits at several temperatures, as bars in the terminal or as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import tempscale
from tempscale.cli.console import stdout
from tempscale.cli.errors import UsageError

__all__ = ["Distributions", "distributions", "parse_temperatures", "show"]

EIGHTHS = " ▏▎▍▌▋▊▉█"
WIDEST_BAR, NARROWEST_BAR = 24, 4
BESIDE_BARS = 9
"""Columns that a temperature takes beside its bars: the percentage and the gap."""


@dataclass(frozen=True)
class Distributions:
    """The heaviest classes of a row at several temperatures, and what is left for the others."""

    classes: np.ndarray[Any, Any]
    """Their indices, the largest logit first; shape (shown,)."""
    logits: np.ndarray[Any, Any]
    temperatures: tuple[float, ...]
    probabilities: np.ndarray[Any, Any]
    """Shape (temperatures, shown)."""
    others: int
    """How many classes are not among them."""
    rest: np.ndarray[Any, Any]
    """Their probability together, at each temperature."""
    entropies: np.ndarray[Any, Any]
    """In nats, at each temperature."""


def parse_temperatures(texts: Sequence[str]) -> tuple[float, ...]:
    """Return temperatures from words like ``0.7``, ``0.2,1`` and ``inf``."""
    words = [word for text in texts for word in text.split(",") if word]
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            raise UsageError(f"--temperatures: {word!r} is no number; write for example 0.2 0.7 1 2") from None
        if not found[-1] >= 0:
            raise UsageError(f"--temperatures: {word} is not at least 0 (0 and inf are the limits)")
    return tuple(dict.fromkeys(found))


def distributions(rows: np.ndarray[Any, Any], *, row: int, temperatures: Sequence[float], most: int) -> Distributions:
    """Return what a row of logits becomes at each temperature, for at most `most` classes."""
    if not 0 <= row < len(rows):
        raise UsageError(f"--row {row}: the file has {len(rows)} rows, 0 to {len(rows) - 1}")
    if most < 1:
        raise UsageError(f"--most {most}: at least one class is to be shown")
    logits = np.asarray(rows[row], np.float64)
    if np.isnan(logits).any() or (logits == np.inf).any() or not np.isfinite(logits).any():
        raise UsageError(f"row {row} has NaN, +inf or nothing but -inf among its logits, and no distribution")
    order = np.argsort(-logits, kind="stable")[:most]
    every = np.stack([tempscale.softmax(logits, temperature=t) for t in temperatures])
    shown = every[:, order]
    return Distributions(
        classes=order,
        logits=logits[order],
        temperatures=tuple(temperatures),
        probabilities=shown,
        others=logits.size - order.size,
        rest=np.maximum(1.0 - shown.sum(axis=1), 0.0),
        entropies=np.asarray([float(tempscale.entropy(logits, temperature=t)) for t in temperatures]),
    )


def show(found: Distributions, *, plot: Path | None) -> None:
    """Print the bars, and write the picture if one is wanted."""
    console = stdout()
    ascii_only = not (console.encoding or "").lower().startswith("utf")
    width = (console.width - 30) // len(found.temperatures) - BESIDE_BARS
    if plot is not None:
        from tempscale.cli.picture import draw

        draw(found, plot)  # first: a name that it refuses is said before anything is printed
    console.print(_table(found, max(NARROWEST_BAR, min(WIDEST_BAR, width)), ascii_only=ascii_only))
    if plot is not None:
        console.print(f"wrote {plot}", soft_wrap=True)


def _table(found: Distributions, width: int, *, ascii_only: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("class", justify="right", no_wrap=True, min_width=max(5, len(_others(found))))
    table.add_column("logit", justify="right", no_wrap=True, min_width=8)
    for temperature in found.temperatures:
        table.add_column(title(temperature), no_wrap=True)
    for place, (index, logit) in enumerate(zip(found.classes, found.logits, strict=True)):
        cells = [_cell(p, width, ascii_only=ascii_only) for p in found.probabilities[:, place]]
        table.add_row(str(index), f"{logit:.3g}", *cells)
    if found.others:
        cells = [_cell(p, width, ascii_only=ascii_only) for p in found.rest]
        table.add_row(_others(found), "", *cells)
    table.add_row("", "", *[f"= {math.exp(h):.3g} equal" for h in found.entropies])
    return table


def _others(found: Distributions) -> str:
    return f"{found.others} more" if found.others else ""


def title(temperature: float) -> str:
    """Name a temperature."""
    return f"T = {temperature:g}"


def _cell(probability: float, width: int, *, ascii_only: bool) -> str:
    return f"{percent(probability):>6} {_bar(probability, width, ascii_only=ascii_only)}"


def percent(probability: float) -> str:
    """Return a probability in per cent, in three digits."""
    return f"{100 * probability:.3g}%" if probability >= 1e-5 or probability == 0 else "<.001%"


def _bar(probability: float, width: int, *, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(probability * width)
    eighths = round(probability * width * 8)
    return EIGHTHS[8] * (eighths // 8) + EIGHTHS[eighths % 8].strip()
