"""Random numbers from a key, against each framework's own generator and against JAX's.

Prints, for each framework, way of running, operation and size, the time as a multiple of that of the framework's own
counter-based generator in the same turn, and as a multiple of that of the compiled function of `jax.random`; and which
part of it a function takes that is called the same way and returns its key.

Own generators: `numpy.random.Philox`, `tf.random.stateless_*`, `jax.random`; PyTorch has none that is stateless, so it
is a generator that is seeded each time.

    python -m benchmarks.random_bits [--backend NAME ...] [--size N ...] [--markdown]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import Contender, ratios, tensorflow_ways, without_numba
from tempscale import random

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SIZES = (2**10, 2**20)
OPERATIONS = ("bits", "uniform", "normal")
KEY = random.key(42)

Draw = Callable[[Any, int], Any]


@dataclass(frozen=True)
class Peer:
    """A framework's own generator, how it compiles, and how to wait for its results."""

    ways: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]]
    own: dict[str, Draw]
    wait: Callable[[Any], Any] = lambda x: x


def numpy_peer() -> Peer:
    def generator() -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=42))

    return Peer(
        {"eager": lambda fn: fn, "eager, without numba": without_numba},
        {
            "bits": lambda key, n: generator().integers(0, 2**32, n, np.uint32),
            "uniform": lambda key, n: generator().random(n, np.float32),
            "normal": lambda key, n: generator().standard_normal(n, np.float32),
        },
    )


def torch_peer() -> Peer:
    import torch

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(42)

    return Peer(
        {
            "eager": lambda fn: fn,
            "eager, without numba": without_numba,
            "torch.compile": lambda fn: torch.compile(fn, fullgraph=True),
        },
        {
            "bits": lambda key, n: torch.randint(-(2**31), 2**31, (n,), dtype=torch.int32, generator=generator()),
            "uniform": lambda key, n: torch.rand((n,), generator=generator()),
            "normal": lambda key, n: torch.randn((n,), generator=generator()),
        },
    )


def jax_peer() -> Peer:
    import jax

    return Peer(
        {"eager": lambda fn: fn, "jax.jit": jax.jit},
        {name: _of_jax(name) for name in OPERATIONS},
        jax.block_until_ready,
    )


def _of_jax(name: str) -> Draw:
    import jax

    return lambda key, n: getattr(jax.random, name)(jax.random.wrap_key_data(key), (n,))


def tensorflow_peer() -> Peer:
    import tensorflow as tf

    seed = tf.constant([0, 42])
    return Peer(
        tensorflow_ways(),
        {
            "bits": lambda key, n: tf.random.stateless_uniform((n,), seed, None, None, tf.uint32),
            "uniform": lambda key, n: tf.random.stateless_uniform((n,), seed),
            "normal": lambda key, n: tf.random.stateless_normal((n,), seed),
        },
    )


PEERS = {"numpy": numpy_peer, "torch": torch_peer, "jax": jax_peer, "tensorflow": tensorflow_peer}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    backend: str
    way: str
    operation: str
    size: int
    own: float
    jax: float
    call: float

    def cells(self) -> tuple[str, ...]:
        figures = (f"{self.own:.2f}", f"{self.jax:.2f}", f"{self.call:.2f}")
        return (self.backend, self.way, self.operation, str(self.size), *figures)


def rows(names: list[str], sizes: list[int]) -> Iterator[Row]:
    """Measure, one line at a time."""
    import jax

    tempscale.get_backend("numpy").settings()  # which loads numba, if it is there: few words would not
    for name in names:
        peer, key = PEERS[name](), random.fold_in(KEY, 0, like=tempscale.get_backend(name).asarray([0.0]))
        for size in sizes:
            for operation in OPERATIONS:
                theirs = jax.jit(_at(_of_jax(operation), size))
                jax_key = jax.numpy.asarray(np.asarray(KEY))
                for way, compiled in peer.ways.items():
                    ours = compiled(_at(getattr(random, operation), size))
                    own = _at(peer.own[operation], size)
                    # what PyTorch compiles has no generators
                    own = own if name == "torch" else compiled(own)
                    call = compiled(_returned)
                    yield _row(
                        (name, way, operation, size),
                        _waiting(ours, key, peer.wait),
                        _waiting(own, key, peer.wait),
                        _waiting(call, key, peer.wait),
                        _waiting(theirs, jax_key, jax.block_until_ready),
                    )


def _at(draw: Draw, size: int) -> Callable[[Any], Any]:
    return lambda key: draw(key, size)


def _waiting(run: Callable[[Any], Any], key: Any, wait: Callable[[Any], Any]) -> Contender:
    return lambda: wait(run(key))


def _returned(key: Any) -> Any:
    return key


def _row(labels: tuple[str, str, str, int], ours: Contender, own: Contender, call: Contender, theirs: Contender) -> Row:
    # each turn has all four; what counts is ours over each of the others
    found = ratios(ours, {"own": own, "jax": theirs, "call": call}, seconds=1.0)
    return Row(*labels, 1 / found["own"], 1 / found["jax"], found["call"])


HEADINGS = ("framework", "way", "operation", "numbers", "time / own", "time / jax.jit", "call / time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--size", nargs="+", type=int, default=list(SIZES), help="how many numbers a call draws")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    line = "| {} | {} | {} | {} | {} | {} | {} |" if options.markdown else "{:11}{:31}{:10}{:>10}{:>12}{:>16}{:>13}"
    print(line.format(*HEADINGS))
    if options.markdown:
        print("|---|---|---|---:|---:|---:|---:|")
    for row in rows(options.backend, options.size):
        print(line.format(*row.cells()), flush=True)


if __name__ == "__main__":
    main()
