"""The pages run as if in the folder of their files, and leave no backend behind."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tempscale._core.registry import known_backends, unregister_backend

TESTING = Path(__file__).with_name("testing.md")
PLUGIN = Path(__file__).parents[1] / "tests" / "plugin"


@pytest.fixture(autouse=True)
def plugin_at_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the plug-in on the path; forget what an example registered."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    before = known_backends()
    yield
    for name in set(known_backends()) - set(before):
        unregister_backend(name)


@pytest.fixture(autouse=True)
def activations_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Write the module as testing.md begins it, put it on the path, and forget it afterwards."""
    shown = re.findall(r"^```python activations.py\n(.*?)^```$", TESTING.read_text(encoding="utf-8"), re.M | re.S)
    tmp_path.joinpath("activations.py").write_text(shown[0], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("activations", None)
