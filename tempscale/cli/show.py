"""``tempscale show``: one row of logits at several temperatures, as bars in the terminal and as a picture."""

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
"""Width of a temperature's column without the bar: the percentage and the gap."""


@dataclass(frozen=True)
class Distributions:
    """The most probable classes of a row at several temperatures, and the probability left for the others."""

    classes: np.ndarray[Any, Any]
    """Indices of the classes, the largest logit first; shape (shown,)."""
    logits: np.ndarray[Any, Any]
    temperatures: tuple[float, ...]
    probabilities: np.ndarray[Any, Any]
    """Shape (temperatures, shown)."""
    others: int
    """Number of the other classes."""
    rest: np.ndarray[Any, Any]
    """Total probability of the other classes, at each temperature."""
    entropies: np.ndarray[Any, Any]
    """Entropy in nats, at each temperature."""


def parse_temperatures(texts: Sequence[str]) -> tuple[float, ...]:
    """Return temperatures from texts such as ``0.7``, ``0.2,1`` and ``inf``."""
    words = [word for text in texts for word in text.split(",") if word]
    found = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            raise UsageError(f"--temperatures: {word!r} is not a number; write for example 0.2 0.7 1 2") from None
        if not found[-1] >= 0:
            raise UsageError(f"--temperatures: {word} is not a number from 0 to inf")
    return tuple(dict.fromkeys(found))


def distributions(rows: np.ndarray[Any, Any], *, row: int, temperatures: Sequence[float], most: int) -> Distributions:
    """Return the probabilities of a row at each temperature, for at most `most` classes."""
    if not 0 <= row < len(rows):
        raise UsageError(f"--row is {row}, but the file has rows 0 to {len(rows) - 1}")
    if most < 1:
        raise UsageError(f"--most is {most}, expected at least 1")
    logits = np.asarray(rows[row], np.float64)
    if np.isnan(logits).any() or (logits == np.inf).any() or not np.isfinite(logits).any():
        raise UsageError(f"row {row} has no distribution: its logits contain NaN or +inf, or only -inf")
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
    """Print the bars, and write the picture if one was asked for."""
    console = stdout()
    ascii_only = not (console.encoding or "").lower().startswith("utf")
    width = (console.width - 30) // len(found.temperatures) - BESIDE_BARS
    if plot is not None:
        from tempscale.cli.picture import draw

        draw(found, plot)  # first, so that a name that it refuses is an error before anything is printed
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
    """Return the title of a temperature."""
    return f"T = {temperature:g}"


def _cell(probability: float, width: int, *, ascii_only: bool) -> str:
    return f"{percent(probability):>6} {_bar(probability, width, ascii_only=ascii_only)}"


def percent(probability: float) -> str:
    """Return a probability in per cent, with three digits."""
    return f"{100 * probability:.3g}%" if probability >= 1e-5 or probability == 0 else "<.001%"


def _bar(probability: float, width: int, *, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(probability * width)
    eighths = round(probability * width * 8)
    return EIGHTHS[8] * (eighths // 8) + EIGHTHS[eighths % 8].strip()
