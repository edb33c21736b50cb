"""How much memory a draw takes: at most in proportion to what goes in and what comes out.

Prints, for each framework, way of running and case, by how much a call raises the resident memory of the process at its
highest, in MiB and as a multiple of the bytes of the input and the output together; the output is part of what it
raises. Each is measured in a fresh process, in the first call of its size, because frameworks keep its memory for the
next one. So it counts what compilers take, some 100 MiB whatever the size: look at the larger of two sizes of a case,
whose MiB should grow no faster than its input and output. Needs Linux.

    python -m benchmarks.drawing_memory [--backend NAME ...] [--case WORD ...] [--largest] [--markdown]

With --largest also 10^7 draws and 2^24 classes, which take some GiB and minutes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import peak_of_one_call
from tempscale import random

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
KEY = random.key(42)


@dataclass(frozen=True)
class Case:
    """One call: of rows of logits, or of a number of entries and their weights."""

    function: str
    shape: tuple[int, ...]
    draws: int
    largest: bool = False

    def __str__(self) -> str:
        return f"{self.function}, {self.draws} of {' x '.join(map(str, self.shape))}"


SMALL = (
    *[Case("sample", (*(2,) * rank, 50), draws) for rank in range(6) for draws in (10**4, 10**5)],
    *[Case("sample", (5000,), draws) for draws in (10**4, 4 * 10**4)],
    *[Case("sample", (rows, 4), 1) for rows in (10**5, 10**6)],
    *[Case("sample", (classes,), 1) for classes in (2**20, 2**22)],
    *[Case("sample_without_replacement", (*(2,) * rank, 2**16), 2**12) for rank in range(6)],
    *[Case("sample_without_replacement", (classes,), classes) for classes in (2**20, 2**22)],
    *[Case("sample_without_replacement", (10**6, 4), k) for k in (1, 4)],
    *[Case("permutation", (n,), n) for n in (10**6, 4 * 10**6)],
    *[Case("choice", (n,), 10**6) for n in (10, 10**6)],
    *[Case("weighted choice", (n,), 10**6) for n in (10, 10**3, 10**6)],
    *[Case("weighted choice", (10**6,), n) for n in (10, 10**3)],
    *[Case("choice of distinct ones", (10**6,), n) for n in (10, 10**6)],
    *[Case("weighted choice of distinct ones", (10**6,), n) for n in (10, 10**6)],
)
LARGEST = (
    Case("sample", (4,), 10**7, True),
    Case("sample", (2**24,), 1000, True),
    Case("sample_without_replacement", (2**24,), 10**7, True),
    Case("permutation", (2**24,), 2**24, True),
    Case("weighted choice", (2**24,), 10**7, True),
    Case("weighted choice of distinct ones", (2**24,), 10**7, True),
)


def call_of(case: Case, draws: int) -> Callable[[Any], Any]:
    """Return the case as a function of one array: the logits or weights, or something for the draw to be like."""
    size = case.shape[-1]
    calls: dict[str, Callable[[Any], Any]] = {
        "sample": lambda x: tempscale.sample(x, KEY, num_samples=draws),
        "sample_without_replacement": lambda x: tempscale.sample_without_replacement(x, KEY, draws),
        "permutation": lambda x: random.permutation(KEY, size, like=x),
        "choice": lambda x: random.choice(KEY, size, draws, like=x),
        "weighted choice": lambda x: random.choice(KEY, size, draws, p=x),
        "choice of distinct ones": lambda x: random.choice(KEY, size, draws, False, like=x),
        "weighted choice of distinct ones": lambda x: random.choice(KEY, size, draws, False, p=x),
    }
    return calls[case.function]


def measured(name: str, compiler: str | None, case: Case) -> tuple[int, int]:
    """Return the peak of a call, and the bytes of its input and output."""
    backend = tempscale.get_backend(name)
    has_input = case.function.startswith(("sample", "weighted"))
    values = np.random.default_rng(0).random(case.shape if has_input else (1,), np.float32)
    x = backend.asarray(values)

    def run(draws: int) -> Any:
        call = call_of(case, draws)
        found = (call if compiler is None else backend.jit(call, compiler=compiler))(x)
        backend.to_numpy(backend.namespace.max(found))  # waits for what is computed in the background
        return found

    run(1)
    found: list[Any] = []
    peak = peak_of_one_call(lambda: found.append(run(case.draws)))
    if peak is None:
        raise SystemExit("the peak of a process is only known on Linux")
    return peak, (values.nbytes if has_input else 0) + backend.to_numpy(found[0]).nbytes


def in_a_fresh_process(*arguments: Any) -> tuple[int, int] | None:
    """Return what `measured` does, or None if the process died, as for want of memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measured, *arguments).result()
        except BrokenProcessPool:
            return None


def rows(names: list[str], cases: list[Case]) -> Iterator[tuple[str, str, str, str, str]]:
    for name in names:
        for compiler in (None, *tempscale.get_backend(name).compilers):
            for case in cases:
                found = in_a_fresh_process(name, compiler, case)
                peak, multiple = (
                    ("", "died") if found is None else (f"{found[0] / 2**20:.0f}", f"{found[0] / found[1]:.1f}")
                )
                yield name, compiler or "eager", str(case), peak, multiple


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["numpy", "torch", "tensorflow", "jax"]
    parser.add_argument("--backend", nargs="+", choices=names, default=names)
    parser.add_argument("--case", nargs="+", default=[""], help="only cases with one of these words")
    parser.add_argument("--largest", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    cases = [case for case in SMALL + LARGEST if options.largest or not case.largest]
    cases = [case for case in cases if any(word in str(case) for word in options.case)]
    line = "| {} | {} | {} | {} | {} |" if options.markdown else "{:11}{:31}{:48}{:>8}{:>18}"
    print(line.format("framework", "way", "case", "MiB", "of input + output"))
    if options.markdown:
        print("|---|---|---|---:|---:|")
    for row in rows(options.backend, cases):
        print(line.format(*row), flush=True)


if __name__ == "__main__":
    main()
