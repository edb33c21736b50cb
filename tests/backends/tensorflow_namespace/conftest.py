"""The namespace, as a library gets it."""

from __future__ import annotations

from types import ModuleType

import pytest
from support import require


@pytest.fixture(scope="session")
def xp() -> ModuleType:
    return require("tensorflow").namespace
