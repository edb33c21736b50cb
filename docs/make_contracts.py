"""Writes docs/contracts.md from the contracts in the code: ``python docs/make_contracts.py``."""

from __future__ import annotations

from pathlib import Path

import tempscale.contracts
from tempscale._core.operation import OPERATIONS

PAGE = Path(__file__).with_name("contracts.md")


def text() -> str:
    """The page: what all contracts share, then each operation's own."""
    parts = ["# Numeric contracts", (tempscale.contracts.__doc__ or "").strip()]
    for name, operation in sorted(OPERATIONS.items()):
        assert operation.specification is not None
        parts += [f"## {name}", f"```text\n{operation.specification.contract.text()}\n```"]
    parts.append("How they are derived: [CONTRIBUTING.md](../CONTRIBUTING.md). What a run found: `tempscale conform`.")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
