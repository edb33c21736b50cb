"""Measuring on a noisy machine: contenders take turns, and only ratios within a turn count."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tempscale_backends.numpy.natives import random

from tempscale.backend import Backend

Contender = Callable[[], object]


def ratios(peer: Contender, contenders: Mapping[str, Contender], *, seconds: float = 1.5) -> dict[str, float]:
    """Return the median over many turns of each contender's time over the peer's time in the same turn."""
    everyone = {"": peer, **contenders}
    for run in everyone.values():
        run()
        run()
    calls = max(1, int(2e-3 / max(_time(peer, 3), 1e-9)))
    turns: dict[str, list[float]] = {name: [] for name in contenders}
    end = time.perf_counter() + seconds
    while len(next(iter(turns.values()))) < 7 or time.perf_counter() < end:
        spent = {name: _time(run, calls) for name, run in everyone.items()}
        for name, found in turns.items():
            found.append(spent[name] / spent[""])
    return {name: statistics.median(found) for name, found in turns.items()}


def seconds_per_call(run: Contender, *, calls: int, turns: int = 9) -> float:
    """Return the median over turns of the time of one call."""
    run()
    return statistics.median(_time(run, calls) for _ in range(turns))


def _time(run: Contender, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def tensorflow_ways() -> dict[str, Callable[[Any], Any]]:
    """Return the ways to run a function in TensorFlow."""
    import tensorflow as tf

    return {
        "eager": lambda fn: fn,
        "tf.function": lambda fn: tf.function(fn, autograph=False),
        "tf.function(jit_compile=True)": lambda fn: tf.function(fn, autograph=False, jit_compile=True),
    }


def forget_shapes(backend: Backend) -> None:
    """Have torch.compile take the sizes that come next for constants; after two of them it takes them for unknown."""
    if backend.name == "torch":
        import torch

        torch.compiler.reset()


def without_numba(run: Callable[..., Any]) -> Callable[..., Any]:
    """Have NumPy, and PyTorch where NumPy works for it, do what they do where numba is not installed."""

    def by_arrays(*args: Any) -> Any:
        found = random.loops
        random.loops = lambda: None  # type: ignore[assignment]
        try:
            return run(*args)
        finally:
            random.loops = found

    return by_arrays


def peak_bytes(run: Contender) -> int | None:
    """Return by how much a call raises the resident memory of the process at its highest; None but on Linux."""
    run()
    found = [peak for _ in range(3) if (peak := peak_of_one_call(run)) is not None]
    return min(found, default=None)  # what the process does besides can only add to it


def peak_of_one_call(run: Contender) -> int | None:
    """Return what `peak_bytes` does, of the next call alone."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    gc.collect()
    with _keeping_no_memory():
        reset.write_text("5")  # the high-water mark starts again from here
        before = _field(status, "VmRSS")
        kept = run()
        peak = _field(status, "VmHWM") - before
        del kept
    return max(peak, 0)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of mallopt."""


@contextlib.contextmanager
def _keeping_no_memory() -> Iterator[None]:
    """Have the C library, where that is glibc, hand back what it keeps for later: else a peak would hide in it.

    Afterwards it keeps what it comes to keep by itself in a process that works on arrays of 32 MiB and more.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, 2**16)
    libc.malloc_trim(0)
    yield
    libc.mallopt(M_MMAP_THRESHOLD, 2**25)
    libc.mallopt(M_TRIM_THRESHOLD, 2**26)


def _field(status: Path, name: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
