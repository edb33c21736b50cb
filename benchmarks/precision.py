"""What each precision of the functions of logits is worth, and what it costs.

Prints the worst distance to the exact value in units in the last place, the number of elements in 10^7 that differ from
NumPy's in any bit, and the time as a multiple of the default's in the same turn; each eagerly.

    python -m benchmarks.precision [--backend NAME ...] [--operation NAME ...] [--rows N]
"""

from __future__ import annotations

import argparse
import functools
import os
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import ratios

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BACKENDS = ("numpy", "torch", "tensorflow", "jax")
OPERATIONS = ("softmax", "log_softmax", "logsumexp", "entropy")
PRECISIONS = ("default", "accurate", "reproducible")
CLASSES = 128_256
ROWS_AT_A_TIME = 13
T = 0.7


def worst_ulp(found: np.ndarray, exact: Any) -> float:
    """Largest error, in spacings of float32 at the exact value; below the normal numbers there is none."""
    step = np.spacing(np.maximum(abs(exact), 2.0**-126).astype(np.float32))
    return float(np.max(np.where(abs(exact) < 2.0**-126, 0, abs(found - exact) / step)))


def exactly(operation: str, logits: np.ndarray) -> Any:
    temperature = np.full((len(logits), 1), T, np.longdouble)
    return getattr(tempscale, operation).specification.reference(logits.astype(np.longdouble), temperature)["value"]


def run(fn: Any, x: Any, precision: str) -> np.ndarray:
    return tempscale.to_numpy(fn(x, temperature=T, precision=precision))


def measure(operation: str, names: list[str], rows: int) -> None:
    fn = getattr(tempscale, operation)
    worst: dict[tuple[str, str], float] = {}
    differing: dict[tuple[str, str], int] = {}
    rng = np.random.default_rng(0)
    for _ in range(-(-rows // ROWS_AT_A_TIME)):
        logits = 3 * rng.standard_normal((ROWS_AT_A_TIME, CLASSES), dtype=np.float32)
        exact = exactly(operation, logits)
        for precision in PRECISIONS:
            numpys = fn(logits, temperature=T, precision=precision)
            for name in names:
                x = tempscale.get_backend(name).asarray(logits)
                found = run(fn, x, precision)
                key = name, precision
                worst[key] = max(worst.get(key, 0.0), worst_ulp(found, exact))
                differing[key] = differing.get(key, 0) + int((found.view("u4") != numpys.view("u4")).sum())
    for name in names:
        x = tempscale.get_backend(name).asarray(logits)
        runs = {p: functools.partial(run, fn, x, p) for p in PRECISIONS}
        times = {"default": 1.0, **ratios(runs["default"], {p: runs[p] for p in PRECISIONS[1:]})}
        for precision in PRECISIONS:
            key = name, precision
            print(
                f"{operation:12}  {name:10}  {precision:12}  {worst[key]:9.4f}  {differing[key]:9}"
                f"  {times[precision]:14.2f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--operation", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--rows", type=int, default=78, help=f"rows of {CLASSES} classes; 78 are 10^7 elements")
    options = parser.parse_args()
    print(f"{'operation':12}  {'backend':10}  {'precision':12}  worst ulp  differing  time / default")
    for operation in options.operation:
        measure(operation, options.backend, options.rows)


if __name__ == "__main__":
    main()
