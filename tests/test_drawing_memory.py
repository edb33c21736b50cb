"""Draws take memory in proportion to input and output; `benchmarks.drawing_memory` prints how much, at all sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tempscale as ts
from tempscale import Backend, random

KEY = random.key(42)
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
BLOCKS = 2**25
"""Bytes for what is worked on at a time, whatever the sizes: a dozen arrays of 2^18 entries, on each of two cores."""
MULTIPLE = 16
"""Of the bytes of input and output; sorting takes the most."""

DRAWS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any]]] = {
    "sample of one row of few classes": ((4,), lambda x: ts.sample(x, KEY, num_samples=20_000)),
    "sample of one row of more classes than groups": ((5000,), lambda x: ts.sample(x, KEY, num_samples=20_000)),
    "choice with weights": ((20_000,), lambda p: random.choice(KEY, 20_000, 20_000, p=p)),
}


def peak_of(run: Callable[[], Any]) -> int:
    """Return by how much a call raises the resident memory of the process at its highest, in bytes."""
    RESET.write_text("5")
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    found = re.search(rf"{field}:\s*(\d+) kB", STATUS.read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.skipif(not RESET.exists(), reason="the peak of a process is known on Linux alone")
@pytest.mark.parametrize("name", DRAWS)
def test_memory_of_a_draw_is_at_most_linear_in_what_goes_in_and_comes_out(name: str, backend: Backend) -> None:
    shape, draw = DRAWS[name]
    x = backend.asarray(np.random.default_rng(0).random(shape, np.float32))
    tokens = backend.to_numpy(draw(x))
    assert peak_of(lambda: draw(x)) < BLOCKS + MULTIPLE * (4 * x.shape[0] + tokens.nbytes)
