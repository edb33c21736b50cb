"""What a fact is, and what was found when it was measured."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tempscale.facts.libraries import LIBRARIES, library_of

__all__ = ["Fact", "Finding", "Survey", "alike", "plain", "shown", "single"]

_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing in which libraries differ.

    The keys of the mappings are names of libraries; a word behind a name tells two uses of one library apart, as in
    ``"torch batchmean"``.

    Attributes
    ----------
    id : str
        Its name, for the command line and for files.
    topic : str
        The name of its topic.
    title : str
        What differs, in a sentence.
    defaults : mapping of str to str
        Where each library's default stands, such as ``"torch.optim.Adam(eps)"``; empty if no parameter decides.
    measures : str
        What the probes return.
    probes : mapping of str to callable
        For each library a few lines that measure its behaviour. A probe is called with the library's module.
    expected : mapping of str to value
        What the probes returned when the title was written; `Finding.holds` compares.
    cost : str
        What it costs who overlooks it. Names in braces stand for what was measured.
    equal : mapping of str to str
        A line of code for each library that has to change, so that all do the same.
    source : str
        The page, paper or standard that says so.
    """

    id: str
    topic: str
    title: str
    measures: str
    probes: Mapping[str, Callable[[Any], Any]]
    expected: Mapping[str, Any]
    cost: str
    equal: Mapping[str, str]
    source: str
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def libraries(self) -> tuple[str, ...]:
        """Libraries that the fact speaks of, in the order of `LIBRARIES`."""
        named = {library_of(name) for name in (*self.defaults, *self.probes)}
        return tuple(name for name in LIBRARIES if name in named)


@dataclass(frozen=True)
class Finding:
    """A fact as it is with the libraries that are installed.

    Attributes
    ----------
    fact : Fact
        The fact.
    defaults : mapping of str to str
        The defaults as they were read, such as ``"eps=1e-08"``.
    measured : mapping of str to value
        What the probes returned: numbers of six digits, words, truth values, and lists of these. A probe that raised
        has ``"raises"`` with the name of the error.
    missing : mapping of str to str
        Libraries that the fact speaks of and that cannot be used here, with the reason.
    """

    fact: Fact
    defaults: Mapping[str, str]
    measured: Mapping[str, Any]
    missing: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether everything that was measured is what the fact says."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the probes that returned something else than the fact says."""
        return tuple(name for name, value in self.measured.items() if not alike(value, self.fact.expected[name]))

    @property
    def cost(self) -> str:
        """What it costs who overlooks it, with what was measured here."""
        try:
            return _Sentence().format(self.fact.cost, **self.measured)
        except (ValueError, LookupError, TypeError):  # a library is missing, or a probe returned another kind of value
            return f"Not measured: {self.reason or 'a probe returned something else than it used to'}."

    @property
    def reason(self) -> str:
        """What is missing, in words; "" if nothing is."""
        return ", ".join(f"{LIBRARIES[name].title} {why}" for name, why in self.missing.items())


@dataclass(frozen=True)
class Survey:
    """All that a run measured.

    Attributes
    ----------
    versions : mapping of str to str
        Of Python and of each library that was used.
    findings : list of Finding
        In the order of the table.
    """

    versions: Mapping[str, str]
    findings: list[Finding]


class _Sentence(string.Formatter):
    """Writes what has no format of its own as the tables do."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return str(super().format_field(value, format_spec)) if format_spec else shown(value)


def shown(value: Any) -> str:
    """Return a measured value for readers."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"({', '.join(map(shown, value))}{',' if len(value) == 1 else ''})"
    return str(value)


def alike(one: Any, other: Any) -> bool:
    """Say whether two measured values are the same behaviour.

    Numbers are, within a thousandth: rounding differs between processors, and no fact is about so little.
    """
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if _is_number(one) and _is_number(other):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-12)
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Return a measured value as JSON knows it: arrays as lists, numbers with six digits, NaN and inf in words."""
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(np.asarray(value).tolist())


def single(values: Any) -> Any:
    """Return an array of float32: what the frameworks compute in."""
    return np.asarray(values, np.float32)
