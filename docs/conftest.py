"""The walk-through in backends.md runs as if in the folder of its plug-in, and leaves no backend behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tempscale._registry import known_backends, unregister_backend

PLUGIN = Path(__file__).parents[1] / "tests" / "plugin"


@pytest.fixture(autouse=True)
def plugin_at_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the plug-in on the path; forget what an example registered."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    before = known_backends()
    yield
    for name in set(known_backends()) - set(before):
        unregister_backend(name)
