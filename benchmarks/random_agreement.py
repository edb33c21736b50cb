"""Do all frameworks draw the same bits? Counts the numbers that differ, eager and compiled.

Every way draws the same numbers from the same keys, and is compared with NumPy; `bits` and `uniform` also with
`jax.random`. The default is 10^7 numbers of each distribution.

    python -m benchmarks.random_agreement [--backend NAME ...] [--numbers N] [--markdown]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tempscale
from tempscale import random

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
CALL = 10**6
"""Numbers of one call; each call has a key of its own."""

Draw = Callable[[Any, int], Any]

DRAWS: dict[str, Draw] = {
    "bits": random.bits,
    "uniform": random.uniform,
    "bernoulli": lambda key, n: random.bernoulli(key, 0.3, (n,)),
    "randint": lambda key, n: random.randint(key, (n,), -7, 10**9),
    "permutation": random.permutation,
    "normal": random.normal,
    "truncated_normal": lambda key, n: random.truncated_normal(key, -1.0, 2.5, (n,)),
    "truncated, 8 sd": lambda key, n: random.truncated_normal(key, 7.9, 9.0, (n,)),
    "truncated, 40 sd": lambda key, n: random.truncated_normal(key, 40.0, 41.0, (n,)),
    "gumbel": random.gumbel,
    "exponential": random.exponential,
    "choice": lambda key, n: random.choice(key, 3, (n,), p=[0.2, 0.5, 0.3]),
}


def of_jax(name: str, key: random.Key, count: int) -> np.ndarray[Any, Any]:
    import jax

    return np.asarray(getattr(jax.random, name)(jax.random.wrap_key_data(jax.numpy.asarray(np.asarray(key))), (count,)))


def differences(names: list[str], numbers: int) -> Iterator[tuple[str, str, str, int]]:
    """Yield the framework, the way, the distribution and how many numbers differ."""
    keys = random.split(random.key(42), max(1, numbers // CALL))
    count = min(numbers, CALL)
    for draw_name, draw in DRAWS.items():
        ways = list(_ways(names, draw, count))
        different = dict.fromkeys([(name, way) for name, way, _ in ways], 0)
        if draw_name in ("bits", "uniform"):
            different["jax", "jax.random"] = 0
        for key in keys:
            expected = draw(np.asarray(key), count)
            for name, way, run in ways:
                different[name, way] += int(np.count_nonzero(run(key) != expected))
            if ("jax", "jax.random") in different:
                different["jax", "jax.random"] += int(np.count_nonzero(of_jax(draw_name, key, count) != expected))
        for (name, way), found in different.items():
            yield name, way, draw_name, found


def _ways(names: list[str], draw: Draw, count: int) -> Iterator[tuple[str, str, Callable[[random.Key], Any]]]:
    for name in names:
        backend = tempscale.get_backend(name)
        if name != "numpy":
            yield name, "eager", _run(backend, lambda key: draw(key, count))
        for compiler in backend.compilers:
            yield name, compiler, _run(backend, backend.jit(lambda key: draw(key, count), compiler=compiler))


def _run(backend: tempscale.Backend, draw: Callable[[Any], Any]) -> Callable[[random.Key], Any]:
    return lambda key: tempscale.to_numpy(draw(backend.asarray(np.asarray(key).view(np.int32))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["numpy", "torch", "tensorflow", "jax"]
    parser.add_argument("--backend", nargs="+", choices=names, default=names)
    parser.add_argument("--numbers", type=int, default=10**7)
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    line = "| {} | {} | {} | {} |" if options.markdown else "{:11}{:31}{:18}{:>10}"
    print(line.format("framework", "way", "distribution", "different"))
    if options.markdown:
        print("|---|---|---|---:|")
    for row in differences(options.backend, options.numbers):
        print(line.format(*row), flush=True)


if __name__ == "__main__":
    main()
