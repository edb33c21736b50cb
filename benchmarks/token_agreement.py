"""How well drawn tokens agree across frameworks, and how well they follow softmax.

Prints: mismatching tokens over many draws from the same logits on every backend, eager and compiled, against NumPy
without numba, and over fewer without replacement; tokens that change when each logit moves by one ulp, or by more; the
p-value of a chi-square test for five distributions; and the total variation distance between softmax and what is drawn
from, summed over the race itself.

    python -m benchmarks.token_agreement [--draws N] [--flips N] [--samples N] [--backend NAME ...]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import forget_shapes, without_numba
from tempscale import random
from tempscale.decoding import DEFINITION_VERSION, sample
from tempscale.kernels import gumbel

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CLASSES = (2, 50, 1024, 1025, 32_000, 262_144)
DTYPES = ("float16", "bfloat16", "float32")
TEMPERATURES = np.array([0, 0.05, 0.3, 0.7, 1, 1.5, 3, 10, np.inf], np.float32)
ROWS = 3 * len(TEMPERATURES)
KEY = random.key(2024)

AT_ONCE = 64
"""Tokens of a row that one call draws."""

Draw = Callable[[Any, Any, Any], Any]


def with_replacement(x: Any, key: Any, t: Any) -> Any:
    """Draw some samples from logits, with a key and temperatures."""
    return tempscale.sample(x, key, temperature=t, num_samples=AT_ONCE)


def without_replacement(x: Any, key: Any, t: Any) -> Any:
    """Draw as many different tokens, or as many as there are classes."""
    return tempscale.sample_without_replacement(x, key, min(AT_ONCE, x.shape[-1]), temperature=t)


def ways(name: str, draw: Draw) -> dict[str, Draw]:
    """How a backend runs a function."""
    backend = tempscale.get_backend(name)
    compilers = [compiler for compiler in backend.compilers if backend.compiler_problem(compiler) is None]
    return {"eager": draw} | {compiler: backend.jit(draw, compiler=compiler) for compiler in compilers}


def mismatches(names: list[str], draw: Draw, calls: int) -> Iterator[tuple[str, str, int, int]]:
    """Count tokens that are not NumPy's, for each backend and way: (backend, way, tokens, mismatches)."""
    t = np.resize(TEMPERATURES, ROWS)[:, None]
    keys = np.asarray(random.split(KEY, calls)).view(np.int32)
    cases = [(classes, dtype) for classes in CLASSES for dtype in DTYPES]
    expected = {case: [without_numba(draw)(logits_of(*case), key, t) for key in keys] for case in cases}
    for name in names:
        backend = tempscale.get_backend(name)
        for way in ways(name, draw):
            total = wrong = 0
            for case in cases:
                forget_shapes(backend)
                run = ways(name, draw)[way]
                logits, temperatures = backend.asarray(logits_of(*case)), backend.asarray(t)
                for key, tokens in zip(keys, expected[case], strict=True):
                    found = backend.to_numpy(run(logits, backend.asarray(key), temperatures))
                    total, wrong = total + found.size, wrong + int(np.count_nonzero(found != tokens))
            yield name, way, total, wrong


def logits_of(classes: int, dtype: str) -> np.ndarray[Any, Any]:
    """Return rows of logits."""
    x = np.random.default_rng(classes).standard_normal((ROWS, classes), dtype=np.float32) * 4
    return x.astype(tempscale.get_backend("numpy").dtype(dtype))


def flips(draws: int, difference: float | None) -> tuple[int, int]:
    """Count tokens that change when logits move, up or down, by one ulp or by a difference: (draws, flips)."""
    total = flipped = 0
    rng = np.random.default_rng(1)
    for classes in (50, 1024, 32_000):
        x = rng.standard_normal((50, classes), dtype=np.float32) * 3
        up = rng.random(x.shape) < 0.5
        if difference is None:
            near = np.nextafter(x, np.where(up, np.float32(np.inf), np.float32(-np.inf)))
        else:
            near = x + np.where(up, np.float32(difference), np.float32(-difference))
        count = -(-draws // 150)
        one, other = (sample(given, KEY, num_samples=count) for given in (x, near))
        total, flipped = total + one.size, flipped + int(np.count_nonzero(one != other))
    return total, flipped


def distributions() -> Iterator[tuple[str, np.ndarray[Any, Any], float]]:
    """Five distributions: a name, logits, a temperature."""
    rng = np.random.default_rng(3)
    yield "10 classes, normal", rng.standard_normal(10, dtype=np.float32), 1.0
    yield "100 classes, uniform", np.zeros(100, np.float32), 1.0
    yield "1000 classes, normal", rng.standard_normal(1000, dtype=np.float32) * 2, 0.7
    yield "1500 classes, one dominates", np.r_[np.float32(8), np.zeros(1499, np.float32)], 1.0
    yield "5000 classes, normal", rng.standard_normal(5000, dtype=np.float32) * 2, 1.3


def exactly(x: np.ndarray[Any, Any], t: float) -> np.ndarray[Any, Any]:
    """Softmax in float64."""
    e = np.exp((x.astype(np.float64) - x.max()) / t)
    p: np.ndarray[Any, Any] = e / e.sum()
    return p


def chi_square(x: np.ndarray[Any, Any], t: float, draws: int) -> float:
    """Return the p-value of the draws; classes that are expected less than 10 times are taken together."""
    from scipy.stats import chi2

    counts = np.zeros(len(x), np.int64)
    parts = 8
    for part in range(parts):
        tokens = sample(x, random.fold_in(KEY, part), temperature=t, num_samples=draws // parts)
        counts += np.bincount(tokens, minlength=len(x))
    expected = exactly(x, t) * counts.sum()
    rare = expected < 10
    observed = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    kept = wanted > 0
    statistic = float((((observed - wanted) ** 2)[kept] / wanted[kept]).sum())
    return float(chi2.sf(statistic, kept.sum() - 1))


def total_variation(x: np.ndarray[Any, Any], t: float) -> float:
    """Return how far what is drawn from is from softmax, but for the noise, which is the same for all classes.

    A group is drawn by 2^-(its score before the noise), and within it an entry by 2^-(its own).
    """

    with np.errstate(all="ignore"):
        factor = gumbel.factor_of_number(t)
        field = gumbel.field_of(gumbel.grouped(x[None]), gumbel.shifts(x[None]), factor, np)
        group = np.where(field.empty, 0, 2.0 ** -(field.start / gumbel.ONE))
        entries = np.concatenate(field.parts, axis=1)
        own = gumbel.scaled(field.best[:, None] - entries, entries, factor, 2.0**30, np) / gumbel.ONE
        entry = np.where(entries == -np.inf, 0, 2.0**-own)
        p = group[:, None] / group.sum() * entry / np.maximum(entry.sum(1, keepdims=True), 1e-300)
    return float(abs(p.reshape(-1)[: len(x)] - exactly(x, t)).sum() / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", default=["numpy", "torch", "tensorflow", "jax"])
    parser.add_argument("--draws", type=int, default=1_000_000, help="of each backend, in each way")
    parser.add_argument("--flips", type=int, default=100_000, help="draws under a difference of the logits")
    parser.add_argument("--samples", type=int, default=2_000_000, help="of each distribution")
    options = parser.parse_args()
    print(f"definition version {DEFINITION_VERSION}")
    for name, x, t in distributions():
        print(f"{name:30} T={t}  total variation {total_variation(x, t):.1e}", end="  ", flush=True)
        print(f"chi-square p {chi_square(x, t, options.samples):.2f} in {options.samples} draws", flush=True)
    for difference in (None, 1e-5, 1e-4):
        total, flipped = flips(options.flips, difference)
        what = "1 ulp" if difference is None else f"{difference:g}"
        print(f"logits differ by {what:6} {flipped} of {total} tokens change, {flipped / total:.1e}", flush=True)
    calls = -(-options.draws // (AT_ONCE * ROWS * len(CLASSES) * len(DTYPES)))
    for name, way, total, wrong in mismatches(options.backend, with_replacement, calls):
        print(f"{name:11}{way:31}{wrong} mismatches in {total} draws", flush=True)
    for name, way, total, wrong in mismatches(options.backend, without_replacement, 1):
        print(f"{name:11}{way:31}{wrong} mismatches in {total} draws without replacement", flush=True)


if __name__ == "__main__":
    main()
