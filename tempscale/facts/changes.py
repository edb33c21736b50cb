"""What differs from an earlier run: after a framework was upgraded, or on another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tempscale.facts.fact import Survey, alike, shown
from tempscale.facts.libraries import label

__all__ = ["changes"]


def changes(old: Mapping[str, Any], new: Survey) -> list[str]:
    """Name what differs between two runs: defaults, and behaviour as measured.

    What only one of them has is not compared: a fact that is new, a library that was not installed.

    Parameters
    ----------
    old : mapping
        The earlier run, as `to_json` wrote it and `json.loads` reads it.
    new : Survey
        The run to compare with it.

    Returns
    -------
    list of str
        A sentence for each difference.

    Raises
    ------
    ValueError
        If `old` is something else.

    Examples
    --------
    >>> import json
    >>> from tempscale import facts
    >>> survey = facts.measure(facts.table("deviation-correction", ["numpy"]))
    >>> old = json.loads(facts.to_json(survey))
    >>> facts.changes(old, survey)
    []
    >>> old["facts"]["deviation-correction"]["measured"]["numpy"] = 1.5
    >>> facts.changes(old, survey)
    ['deviation-correction, behaviour of NumPy: 1.5 before, 1 now']
    """
    facts = old.get("facts") if isinstance(old, Mapping) else None
    if not isinstance(facts, Mapping):
        raise ValueError("the earlier run has no facts: give what to_json wrote")
    found: list[str] = []
    for finding in new.findings:
        before = facts.get(finding.fact.id, {})
        found += _different(finding.fact.id, "default", before.get("defaults", {}), finding.defaults, str.__eq__)
        found += _different(finding.fact.id, "behaviour", before.get("measured", {}), finding.measured, alike)
    return found


def _different(
    fact: str, what: str, old: Mapping[str, Any], new: Mapping[str, Any], same: Callable[[Any, Any], bool]
) -> Iterator[str]:
    for name in new:
        if name in old and not same(old[name], new[name]):
            yield f"{fact}, {what} of {label(name)}: {shown(old[name])} before, {shown(new[name])} now"
