"""The table of all facts, and measuring them."""

from __future__ import annotations

import difflib
import platform
import random as random_state
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from tempscale.facts import (
    activations,
    attention,
    convolution,
    decoding,
    determinism,
    dtypes,
    initialisers,
    losses,
    normalisation,
    optimisers,
    pooling,
    random,
    recurrent,
    resizing,
    ties,
)
from tempscale.facts.fact import Fact, Finding, Survey, plain
from tempscale.facts.libraries import LIBRARIES, default, library, library_of, problem, restored, version

__all__ = ["TOPICS", "Progress", "measure", "table"]

_ROOMS: tuple[ModuleType, ...] = (
    optimisers,
    normalisation,
    convolution,
    pooling,
    activations,
    losses,
    initialisers,
    recurrent,
    attention,
    resizing,
    random,
    dtypes,
    ties,
    determinism,
    decoding,
)

TOPICS: Mapping[str, str] = {room.TOPIC: room.TITLE for room in _ROOMS}
"""Each topic with what it is called in headings, in the order of the table."""

Progress = Callable[[int, int, str], None]
"""Is called with how many facts are done, of how many, and the one that comes now."""


def table(topic: str | None = None, frameworks: Collection[str] | None = None) -> list[Fact]:
    """Return the facts, without measuring anything. No framework is imported.

    Parameters
    ----------
    topic : str, optional
        Only those of a topic, or only the fact of this id.
    frameworks : collection of str, optional
        Only those that speak of at least two of these libraries; of one, if it is one.

    Returns
    -------
    list of Fact
        In the order of the topics.

    Raises
    ------
    ValueError
        If there is no such topic, fact or library. The message names the nearest.

    Examples
    --------
    >>> from tempscale import facts
    >>> [fact.id for fact in facts.table("pooling", ["torch", "flax"])]  # doctest: +ELLIPSIS
    ['average-pool-padding', ...]
    >>> facts.table("adam-epsilon")[0].defaults["torch"]
    'torch.optim.Adam(eps)'
    """
    found = [fact for room in _ROOMS for fact in room.FACTS]
    if topic is not None:
        _require_known("topic or fact", topic, [*TOPICS, *(fact.id for fact in found)])
        found = [fact for fact in found if topic in (fact.topic, fact.id)]
    if frameworks is None:
        return found
    for name in frameworks:
        _require_known("library", name, LIBRARIES)
    least = min(2, len({*frameworks}))
    return [fact for fact in found if len({*frameworks} & {*fact.libraries}) >= least]


def _require_known(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        nearest = difflib.get_close_matches(name, known, 1, cutoff=0.5)
        advice = f"did you mean {nearest[0]!r}?" if nearest else f"choose from {', '.join(known)}"
        raise ValueError(f"unknown {what} {name!r}: {advice}")


def measure(facts: Sequence[Fact] | None = None, *, progress: Progress | None = None) -> Survey:
    """Read the defaults of what is installed, and run the probes.

    The frameworks that the facts speak of are imported; a library that is not installed is said to be missing. All
    facts together take about half a minute. Random states are left as they were.

    Parameters
    ----------
    facts : sequence of Fact, optional
        What to measure; by default all of `table`.
    progress : callable, optional
        Is called before each fact with how many are done, of how many, and the id of the one that comes now.

    Returns
    -------
    Survey
        The versions, and a `Finding` for each fact.

    Examples
    --------
    >>> from tempscale import facts
    >>> [finding] = facts.measure(facts.table("adam-epsilon")).findings
    >>> finding.holds
    True
    >>> finding.defaults["torch"]
    'eps=1e-08'
    """
    chosen = table() if facts is None else facts
    used = [name for name in LIBRARIES if any(name in fact.libraries for fact in chosen) and not problem(name)]
    findings = []
    with _undisturbed(used):
        for number, fact in enumerate(chosen):
            if progress is not None:
                progress(number, len(chosen), fact.id)
            findings.append(_measured(fact))
    return Survey({"python": platform.python_version()} | {name: version(name) for name in used}, findings)


def _measured(fact: Fact) -> Finding:
    missing = {name: why for name in fact.libraries if (why := problem(name))}
    return Finding(
        fact,
        defaults={name: _read(where) for name, where in fact.defaults.items() if library_of(name) not in missing},
        measured={name: _run(probe, name) for name, probe in fact.probes.items() if library_of(name) not in missing},
        missing=missing,
    )


def _read(where: str) -> str:
    try:
        return default(where)
    except (AttributeError, ImportError):
        return "is gone"


def _run(probe: Callable[[Any], Any], name: str) -> Any:
    try:
        return plain(probe(library(library_of(name))))
    except Exception as error:  # what a library refuses is a behaviour too
        return f"raises {type(error).__name__}"


@contextmanager
def _undisturbed(used: Collection[str]) -> Iterator[None]:
    """Keep warnings of the frameworks from the screen, and give random states back as they were.

    Those are the libraries' own, and Python's, from which Keras takes its seeds.
    """
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        stack.callback(random_state.setstate, random_state.getstate())
        for name in used:
            stack.enter_context(restored(name))
        yield
