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
CONSTANT = 2**27
"""Bytes for what is worked on at a time, whatever the sizes, and for compiling."""
MULTIPLE = 16
"""Of the bytes of input and output; sorting takes the most."""
DRAWN = 20_000

DRAWS: dict[str, tuple[tuple[int, ...], Callable[[Any, int], Any]]] = {
    "sample of one row of few classes": ((4,), lambda x, n: ts.sample(x, KEY, num_samples=n)),
    "sample of one row of more classes than groups": ((5000,), lambda x, n: ts.sample(x, KEY, num_samples=n)),
    "choice with weights": ((20_000,), lambda p, n: random.choice(KEY, 20_000, n, p=p)),
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
    draw(x, 1)  # what is imported and set up
    # the first call of this size: frameworks keep its memory for the next one
    assert peak_of(lambda: draw(x, DRAWN)) < CONSTANT + MULTIPLE * (4 * x.shape[0] + 8 * DRAWN)
