"""The documents say what the code says."""

import importlib.util

from support import ROOT

from tempscale._core.operation import OPERATIONS


def test_the_page_of_contracts_is_the_contracts_of_the_code():
    """If this fails: python docs/make_contracts.py."""
    spec = importlib.util.spec_from_file_location("make_contracts", ROOT / "docs" / "make_contracts.py")
    make_contracts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_contracts)
    assert (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8") == make_contracts.text()


def test_the_readme_shows_every_operation():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in OPERATIONS if f"ts.{name}(" not in readme]
    assert missing == []
