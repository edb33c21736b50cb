"""What a comparison of two models found."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ComparisonReport", "LayerPair"]


@dataclass(frozen=True)
class LayerPair:
    """A layer of A and its counterpart in B, or the code before them.

    Attributes
    ----------
    a, b : str
        Names of the layer in the two models; "" if there is none.
    what : str
        "layer", "code" for what is computed before the layer outside any layer, or "output" for the model's result.
    kind : str
        Class of the layer, in A and in B.
    shape : tuple of int
        Shape in A.
    own : float
        Largest error that B adds by itself, computing from A's values, relative to the largest of A's values.
    inherited : float
        Largest difference when each model computes from its own values, on the same scale.
    floor : float
        How far rounding may take a correct layer, on the same scale.
    verdict : str
        "same", "look" or "different".
    reason : str
        Why it differs, with the line to change.
    layout : str
        What was done to A's values to compare them with B's; "" if nothing.
    worst : str
        The element with the largest own error.
    histogram : tuple of int
        How many elements have an own error below 2^-24 of the scale, below 2^-22, and so on in steps of 4.
    """

    a: str
    b: str
    what: str
    kind: str
    shape: tuple[int, ...]
    own: float
    inherited: float
    floor: float
    verdict: str
    reason: str = ""
    layout: str = ""
    worst: str = ""
    histogram: tuple[int, ...] = ()

    @property
    def ratio(self) -> float:
        """The own error, in floors: below 3 is rounding, above 10 is a mistake."""
        return self.own / self.floor

    @property
    def title(self) -> str:
        """Both names, in words."""
        names = " / ".join(dict.fromkeys(name for name in (self.a, self.b) if name))
        return {"code": f"into {names}", "output": "the output"}.get(self.what, names)


@dataclass(frozen=True)
class ComparisonReport:
    """What a comparison of two models found, in the order in which A computes.

    Attributes
    ----------
    verdict : str
        "same", "look" (something should be looked at) or "different".
    layers : tuple of LayerPair
        Every pair of layers, and the code between them where there is any.
    notes : tuple of str
        What should be known before any figure: values that are not finite, casts, layers that are used twice.
    unpaired : mapping
        For "a" and "b", the layers that have no counterpart. Of theirs only the effect on later layers is compared.
    frameworks : tuple of str
        Framework of A and of B.
    """

    verdict: str
    layers: tuple[LayerPair, ...]
    notes: tuple[str, ...] = ()
    unpaired: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    frameworks: tuple[str, str] = ("", "")

    @property
    def first(self) -> LayerPair | None:
        """The first layer that differs beyond rounding, or None."""
        return next((pair for pair in self.layers if pair.verdict == "different"), None)

    def raise_if_different(self) -> None:
        """Raise an `AssertionError` that holds the report unless the verdict is "same"."""
        if self.verdict != "same":
            raise AssertionError(str(self))

    def to_json(self) -> str:
        """Return the report as JSON (RFC 8259: an infinity or NaN is a string)."""
        layers = [{**asdict(pair), "ratio": pair.ratio} for pair in self.layers]
        first = None if self.first is None else self.layers.index(self.first)
        found = {
            "verdict": self.verdict,
            "first": first,
            "frameworks": self.frameworks,
            "notes": self.notes,
            "layers": layers,
            "unpaired": dict(self.unpaired),
        }
        return json.dumps(_plain(found), indent=1, allow_nan=False) + "\n"

    def to_html(self, path: Any = None) -> str:
        """Return the report as one page that works offline; write it to `path` as well, if that is given."""
        from tempscale.comparison.page import to_html

        page = to_html(self)
        if path is not None:
            from pathlib import Path

            Path(path).write_text(page, encoding="utf-8")
        return page

    def __str__(self) -> str:
        from tempscale.comparison.text import to_text

        return to_text(self)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
