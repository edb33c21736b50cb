"""Draws of tokens that are known, and rows of logits of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tempscale import Backend, random
from tempscale.kernels import gumbel

KNOWN = json.loads((Path(__file__).parent / "data" / "token_draw.json").read_text())
KEY = random.key(int(KNOWN["key"], 16))
CASES = KNOWN["cases"]


def known_logits(case: dict[str, Any]) -> np.ndarray[Any, Any]:
    """One row of a case: its numbers, or those that its formula makes."""
    if "logits_hex" in case:
        return np.array([int(word, 16) for word in case["logits_hex"]], np.uint32).view(np.float32)
    j = np.arange(case["gen"], dtype=np.int64)
    x = ((((j * 2654435761) % 2**32 >> 8) - 2**23) * 2.0**-20).astype(np.float32)
    return np.where(j % 3 == 0, np.float32(-np.inf), x) if case["mask"] else x


def named(case: dict[str, Any]) -> str:
    return f"{case.get('name') or case.get('gen', 'ten')}, T={case['T']}, draw {case['draw']}"


def known_tokens(backend: Backend, case: dict[str, Any], temperature: Any, draw: Any = gumbel.tokens_of_rows) -> Any:
    """What a backend draws in a case, whose draw is any word."""
    rows = len(case["tokens"])
    tokens = draw(
        backend.asarray(np.tile(known_logits(case), (rows, 1))),
        backend.asarray(np.asarray(KEY)),
        temperature=temperature,
        draws=backend.asarray(np.array([case["draw"]], np.uint32).view(np.int32)),
        rows=backend.asarray(np.arange(rows, dtype=np.int32)),
    )
    return backend.to_numpy(tokens)[:, 0].tolist()


def _words() -> np.ndarray[Any, Any]:
    edges = [2**31 - 1, 2**30, 2**30 + 64, 2**30 + 192, 2**29, 2**25 + 2, 0]  # where a float32 rounds, or ties
    words = np.random.default_rng(0).integers(-(2**31), 2**31, 50_000)
    return np.concatenate([words, *[[edge - 1, edge, -edge - 1, -edge] for edge in edges]]).astype(np.int32)


WORDS = _words()
"""Words of every kind that noise is made of."""

TEMPERATURES = (0.0, 1e-45, 1e-39, 1e-30, 0.05, 0.7, 1.0, 1.7, 10.0, 1e38, 3e38, np.inf)

ROWS = 60
CLASSES = (50, 1100)
"""Sizes that most tests share: a compiler takes seconds for each that it sees first."""


def many_rows(classes: int, rows: int = ROWS) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows of several kinds and a temperature for each; some invalid, some with ties."""
    rng = np.random.default_rng(classes)
    x = rng.standard_normal((rows, classes), dtype=np.float32) * np.linspace(0, 12, rows, dtype=np.float32)[:, None]
    x = np.round(x * 4) / 4  # ties, and exact in every dtype
    x[rng.random(x.shape) < 0.1] = -np.inf
    x[10], x[11, 0], x[12, -1] = -np.inf, np.nan, np.inf
    return x, np.resize(np.array(TEMPERATURES, np.float32), rows)[:, None]
