"""Drawing one token per row, against what a user would write by hand in each framework.

Prints, for each framework, shape and way of running, the time as a multiple of the native draw's in the same turn.

    python -m benchmarks.sampling [--backend NAME ...]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import ratios
from tempscale import random
from tempscale.decoding import sample

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SHAPES = ((64, 128_256), (64, 50))
T = 0.7


def numpy_draw() -> Callable[[Any], Any]:
    rng = np.random.default_rng(0)

    def draw(x: Any) -> Any:
        e = np.exp((x - x.max(-1, keepdims=True)) / np.float32(T))
        totals = np.cumsum(e / e.sum(-1, keepdims=True), -1)
        places = rng.random(len(x), np.float32)
        return [np.searchsorted(row, place) for row, place in zip(totals, places, strict=True)]

    return draw


def torch_draw() -> Callable[[Any], Any]:
    import torch

    return lambda x: torch.multinomial(torch.softmax(x / T, -1), 1)


def jax_draw() -> Callable[[Any], Any]:
    import jax

    key = jax.random.key(0)
    compiled = jax.jit(lambda x: jax.random.categorical(key, x / T))
    return lambda x: compiled(x).block_until_ready()


def tensorflow_draw() -> Callable[[Any], Any]:
    import tensorflow as tf

    compiled: Callable[[Any], Any] = tf.function(
        lambda x: tf.random.stateless_categorical(x / T, 1, [1, 2]), autograph=False
    )
    return compiled


PEERS = {"numpy": numpy_draw, "torch": torch_draw, "jax": jax_draw, "tensorflow": tensorflow_draw}


def ours(x: Any) -> Any:
    return sample(x, random.key(0), temperature=T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=PEERS, default=list(PEERS))
    line = "{:11}{:31}{:13}{:>14}"
    print(line.format("framework", "way", "shape", "time / native"))
    for name in parser.parse_args().backend:
        backend, peer = tempscale.get_backend(name), PEERS[name]()
        ways = {"eager": ours} | {way: backend.jit(ours, compiler=way) for way in backend.compilers}
        for shape in SHAPES:
            x = backend.asarray(np.random.default_rng(0).standard_normal(shape, dtype=np.float32) * 3)
            for way, run in ways.items():
                # to_numpy waits for the tokens; there are only 64
                found = ratios(lambda: peer(x), {"ours": lambda: backend.to_numpy(run(x))})["ours"]  # noqa: B023
                print(line.format(name, way, " x ".join(map(str, shape)), f"{found:.2f}"), flush=True)


if __name__ == "__main__":
    main()
