"""Drawing one token per row, against what a user would write by hand in each framework.

Prints, for each framework, dtype, shape and way of running, the time as a multiple of the native draw's in the same
turn, and the peak memory in multiples of the logits (empty where they are few, and where a framework's allocator hides
it). The native draw is compiled in JAX and TensorFlow, whatever the way. Of NumPy's bfloat16 it makes float32 first,
because arithmetic on it takes far longer.

    python -m benchmarks.sampling [--backend NAME ...] [--shape ROWSxCLASSES ...] [--device DEVICE] [--markdown]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import tempscale
from benchmarks._measure import forget_shapes, peak_bytes, ratios, without_numba
from tempscale import random
from tempscale.backend import Backend
from tempscale.decoding import sample

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SHAPES = ((64, 128_256), (8, 128_256), (1, 128_256), (64, 50))
DTYPES = {"float32": 4, "bfloat16": 2}
LEAST_PEAK = 0.03
"""What the noise alone takes, and a block that is worked on."""
T = 0.7

Draw = Callable[[Any], Any]


def numpy_draw() -> Draw:
    rng = np.random.default_rng(0)

    def draw(x: Any) -> Any:
        x = x.astype(np.float32, copy=False)
        e = np.exp((x - x.max(-1, keepdims=True)) / np.float32(T))
        totals = np.cumsum(e / e.sum(-1, keepdims=True), -1)
        places = rng.random(len(x), np.float32)
        return np.array([np.searchsorted(row, place) for row, place in zip(totals, places, strict=True)])

    return draw


def torch_draw() -> Draw:
    import torch

    return lambda x: torch.multinomial(torch.softmax(x / T, -1), 1)


def jax_draw() -> Draw:
    import jax

    key = jax.random.key(0)
    compiled: Draw = jax.jit(lambda x: jax.random.categorical(key, x / T))
    return compiled


def tensorflow_draw() -> Draw:
    import tensorflow as tf

    compiled: Draw = tf.function(lambda x: tf.random.stateless_categorical(x / T, 1, [1, 2]), autograph=False)
    return compiled


PEERS = {"numpy": numpy_draw, "torch": torch_draw, "jax": jax_draw, "tensorflow": tensorflow_draw}


def ours(x: Any) -> Any:
    return sample(x, random.key(0), temperature=T)


class Row(NamedTuple):
    """One line of the table."""

    backend: str
    way: str
    dtype: str
    shape: tuple[int, int]
    time: float
    peak: float | None


def rows(names: list[str], shapes: list[tuple[int, int]], device: str | None) -> Iterator[Row]:
    """Measure: all ways of running that a framework has in the same turns."""
    for name in names:
        backend, peer = tempscale.get_backend(name), PEERS[name]()
        for shape in shapes:
            ways = ways_of(backend)
            logits = np.random.default_rng(0).standard_normal(shape, dtype=np.float32) * 3
            for dtype, size in DTYPES.items():
                x = backend.asarray(logits.astype(tempscale.get_backend("numpy").dtype(dtype)), device=device)
                drawing = {way: waiting(draw, x, backend) for way, draw in ways.items()}
                found = ratios(waiting(peer, x, backend), drawing)
                for way, draw in drawing.items():
                    peak = peak_of(draw, device) if logits.size > 10**6 else None
                    relative = None if peak is None else peak / (logits.size * size)
                    if relative is not None and relative < LEAST_PEAK:
                        relative = None  # the framework's allocator has used memory that it kept from before
                    yield Row(name, way, dtype, shape, found[way], relative)


def ways_of(backend: Backend) -> dict[str, Draw]:
    """Return all ways of drawing, as of a user whose logits always have the shape that comes next."""
    forget_shapes(backend)
    compiled = {way: backend.jit(ours, compiler=way) for way in backend.compilers}
    by_numpy = {"eager, without numba": without_numba(ours)} if backend.name in ("numpy", "torch") else {}
    return {"eager": ours, **by_numpy, **compiled}


def waiting(draw: Draw, x: Any, backend: Backend) -> Callable[[], Any]:
    """Draw and wait for the tokens, of which there are few."""
    return lambda: backend.to_numpy(draw(x))


def peak_of(draw: Callable[[], Any], device: str | None) -> int | None:
    """Return the peak memory of a call in bytes: of the process, or of a CUDA device as PyTorch counts it."""
    if device is None:
        return peak_bytes(draw)
    if not device.startswith("cuda"):
        return None
    import torch

    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    draw()
    return torch.cuda.max_memory_allocated(device) - before


def as_shape(text: str) -> tuple[int, int]:
    number, classes = text.split("x")
    return int(number), int(classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--shape", nargs="+", type=as_shape, default=list(SHAPES), help="as 64x50")
    parser.add_argument("--device", help="one of the backend's, as cuda:0; the CPU without it")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    headings = ("framework", "way", "dtype", "shape", "time / native", "peak / logits")
    line = "| {} | {} | {} | {} | {} | {} |" if options.markdown else "{:11}{:31}{:10}{:13}{:>14}{:>15}"
    print(line.format(*headings))
    if options.markdown:
        print("|---|---|---|---|---:|---:|")
    for row in rows(options.backend, options.shape, options.device):
        peak = "" if row.peak is None else f"{row.peak:.2f}"
        shape = " x ".join(map(str, row.shape))
        print(line.format(row.backend, row.way, row.dtype, shape, f"{row.time:.2f}", peak), flush=True)


if __name__ == "__main__":
    main()
