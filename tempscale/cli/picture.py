"""The picture of ``tempscale show``: one panel for each temperature."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tempscale.cli.errors import UsageError
from tempscale.cli.show import Distributions, percent, title

__all__ = ["draw"]


def draw(found: Distributions, path: Path) -> None:
    """Draw horizontal bars, the most probable class at the top; the suffix of the file decides the format."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise UsageError("--plot needs matplotlib: pip install 'tempscale[plot]'") from None
    matplotlib.use("Agg")  # no screen is needed
    from matplotlib import pyplot

    names = [str(index) for index in found.classes] + ([f"{found.others} more"] if found.others else [])
    panels = len(found.temperatures)
    figure, all_axes = pyplot.subplots(
        1, panels, sharey=True, squeeze=False, layout="constrained", figsize=(2.6 * panels + 1, 0.34 * len(names) + 1.4)
    )
    for axes, panel in zip(all_axes[0], range(panels), strict=True):
        _panel(axes, found, panel, names)
    all_axes[0, 0].set_ylabel("class")
    all_axes[0, 0].invert_yaxis()  # all panels share it
    try:
        figure.savefig(path, dpi=200)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot write {path}: {error}; choose a .png, .svg or .pdf file in a folder that you can write to"
        ) from error
    finally:
        pyplot.close(figure)


def _panel(axes: Any, found: Distributions, panel: int, names: list[str]) -> None:
    values = list(found.probabilities[panel]) + ([found.rest[panel]] if found.others else [])
    places = range(len(values))
    axes.barh(places, values, color=_colour(found.temperatures[panel]), height=0.8)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.02, place, percent(value), va="center", fontsize=8, color="0.25")
    axes.set_yticks(places, names, fontsize=9)
    axes.set_xlim(0, 1.25)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    equal = math.exp(found.entropies[panel])
    axes.set_title(title(found.temperatures[panel]), fontsize=15, loc="left")
    axes.text(0, -0.02, f"as {equal:.3g} equal classes", transform=axes.transAxes, va="top", fontsize=9, color="0.35")


def _colour(temperature: float) -> Any:
    """Blue for cold, red for hot, grey at T = 1; a factor of 4 is as far as the colours go."""
    from matplotlib import colormaps

    place = 0.5 if temperature == 1 else 0.0 if temperature == 0 else 0.5 + math.log(temperature) / math.log(16)
    return colormaps["coolwarm"](min(max(place, 0.0), 1.0))
