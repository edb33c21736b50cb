"""The ranges of pyproject.toml begin where constraints-lowest.txt says, with which `nox -s tests-lowest` runs."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]
RANGES = {str(asked): asked for asked in (*map(Requirement, PROJECT["dependencies"]), *ASKED) if asked.specifier}


def constraints(name):
    """The versions that a file of constraints names, by package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {one.name: Version(next(iter(one.specifier)).version) for one in pinned}


# the same sources as tensorflow-cpu, and a download of gigabytes
@pytest.mark.parametrize("asked", [asked for asked in RANGES.values() if asked.name != "tensorflow"], ids=str)
def test_a_range_begins_with_the_lowest_version_that_is_tested_and_has_the_pinned_one(asked):
    [bound] = asked.specifier
    assert bound.operator == ">="
    assert Version(bound.version) == constraints("constraints-lowest.txt")[asked.name]
    assert constraints("constraints.txt").get(asked.name, Version(bound.version)) in asked.specifier


def test_both_packages_of_tensorflow_have_one_range():
    assert RANGES["tensorflow>=2.20"].specifier == RANGES["tensorflow-cpu>=2.20"].specifier
