"""softmax and log_softmax with a temperature, against what a user would write by hand in each framework.

Prints, for each framework, dtype, shape and way of running, the time as a multiple of the peer's in the same turn,
the time of a plain copy of the array likewise (the floor), and the peak memory in multiples of the array (empty where
a framework's allocator hides it).

    python -m benchmarks.softmax [--backend NAME ...] [--small] [--markdown]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import peak_bytes, ratios, tensorflow_ways

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SHAPES = ((64, 128_256), (4, 10))
DTYPES = ("float32", "bfloat16")
T = 0.7


@dataclass(frozen=True)
class Peer:
    """How one framework's users write it, and how to wait for its results."""

    ways: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]
    softmax: Callable[[Any], Any]
    log_softmax: Callable[[Any], Any]
    copy: Callable[[Any], Any]
    wait: Callable[[Any], Any] = lambda x: x


def numpy_peer() -> Peer:
    import scipy.special

    def eager(fn: Callable[..., Any]) -> Callable[..., Any]:
        return fn

    return Peer(
        {"eager": eager},
        lambda x: scipy.special.softmax(x / T, axis=-1),
        lambda x: scipy.special.log_softmax(x / T, axis=-1),
        np.copy,
    )


def torch_peer() -> Peer:
    import torch

    return Peer(
        {"eager": lambda fn: fn, "torch.compile": lambda fn: torch.compile(fn, fullgraph=True)},
        lambda x: torch.softmax(x / T, -1),
        lambda x: torch.log_softmax(x / T, -1),
        torch.clone,
    )


def jax_peer() -> Peer:
    import jax
    import jax.numpy as jnp

    return Peer(
        {"eager": lambda fn: fn, "jax.jit": jax.jit},
        lambda x: jax.nn.softmax(x / T),
        lambda x: jax.nn.log_softmax(x / T),
        jnp.copy,
        jax.block_until_ready,
    )


def tensorflow_peer() -> Peer:
    import tensorflow as tf

    return Peer(
        tensorflow_ways(),
        lambda x: tf.nn.softmax(x / T),
        lambda x: tf.nn.log_softmax(x / T),
        # adding zero: tf.identity would share the memory
        lambda x: x + tf.zeros((), x.dtype),
    )


PEERS = {"numpy": numpy_peer, "torch": torch_peer, "jax": jax_peer, "tensorflow": tensorflow_peer}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    backend: str
    way: str
    operation: str
    dtype: str
    shape: tuple[int, int]
    ours: float
    copy: float
    peak: float | None


def rows(names: list[str], shapes: tuple[tuple[int, int], ...]) -> Iterator[Row]:
    """Measure, one line at a time."""
    for name in names:
        backend, peer = tempscale.get_backend(name), PEERS[name]()
        for shape in shapes:
            logits = np.random.default_rng(0).standard_normal(shape, dtype=np.float32) * 3
            for dtype in DTYPES:
                if name == "numpy" and dtype == "bfloat16":
                    continue  # SciPy, the peer, has no bfloat16
                x = backend.asarray(logits, dtype=dtype)
                for way, compiled in peer.ways.items():
                    for operation in ("softmax", "log_softmax"):
                        yield _row(name, way, operation, dtype, shape, x, peer, compiled)


def _row(
    name: str, way: str, operation: str, dtype: str, shape: tuple[int, int], x: Any, peer: Peer, compiled: Any
) -> Row:
    ours = getattr(tempscale, operation)
    run_ours = compiled(lambda x: ours(x, temperature=T))
    run_theirs = compiled(getattr(peer, operation))
    found = ratios(
        lambda: peer.wait(run_theirs(x)),
        {"ours": lambda: peer.wait(run_ours(x)), "copy": lambda: peer.wait(peer.copy(x))},
    )
    bytes_each = 2 if dtype == "bfloat16" else 4
    peak = peak_bytes(lambda: peer.wait(run_ours(x))) if np.prod(shape) > 10**6 else None
    relative = None if peak is None else peak / (np.prod(shape) * bytes_each)
    if relative is not None and relative < 0.5:
        relative = None  # the result alone is 1: the framework's allocator has used memory that it kept from before
    return Row(name, way, operation, dtype, shape, found["ours"], found["copy"], relative)


HEADINGS = (
    "framework",
    "way",
    "operation",
    "dtype",
    "shape",
    "time / peer's",
    "copy / peer's",
    "peak / array",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--small", action="store_true", help="only the small shape")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    line = (
        "| {} | {} | {} | {} | {} | {} | {} | {} |"
        if options.markdown
        else "{:11}{:31}{:13}{:10}{:13}{:>14}{:>15}{:>14}"
    )
    print(line.format(*HEADINGS))
    if options.markdown:
        print("|---|---|---|---|---|---:|---:|---:|")
    for row in rows(options.backend, SHAPES[1:] if options.small else SHAPES):
        peak = "" if row.peak is None else f"{row.peak:.2f}"
        shape = " x ".join(map(str, row.shape))
        print(
            line.format(
                row.backend,
                row.way,
                row.operation,
                row.dtype,
                shape,
                f"{row.ours:.2f}",
                f"{row.copy:.2f}",
                peak,
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
