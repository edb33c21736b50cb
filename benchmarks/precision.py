"""What each precision of the functions of logits is worth, and what it costs.

Prints the worst distance to the exact value in units in the last place, the number of elements that differ from NumPy's
in any bit, and the time as a multiple of the default's in the same turn: eagerly, and with each compiler of the backend
over the default with the same compiler.

    python -m benchmarks.precision [--backend NAME ...] [--operation NAME ...] [--rows N]
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import ratios

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BACKENDS = ("numpy", "torch", "tensorflow", "jax")
OPERATIONS = ("softmax", "log_softmax", "logsumexp", "entropy", "cross_entropy")
PRECISIONS = ("default", "accurate", "reproducible")
CLASSES = 128_256
ROWS_AT_A_TIME = 13
T = 0.7


def worst_ulp(found: np.ndarray, exact: Any) -> float:
    """Largest error, in spacings of float32 at the exact value; below the normal numbers there is none."""
    step = np.spacing(np.maximum(abs(exact), 2.0**-126).astype(np.float32))
    return float(np.max(np.where(abs(exact) < 2.0**-126, 0, abs(found - exact) / step)))


def exactly(operation: str, logits: np.ndarray, labels: list[np.ndarray]) -> Any:
    temperature = np.full((len(logits), 1), T, np.longdouble)
    reference = getattr(tempscale, operation).specification.reference
    return reference(logits.astype(np.longdouble), *labels, temperature)["value"]


def in_precision(operation: str, precision: str) -> Callable[..., Any]:
    options = {"reduction": "none"} if operation == "cross_entropy" else {}
    return functools.partial(getattr(tempscale, operation), temperature=T, precision=precision, **options)


def ways(backend: tempscale.Backend) -> dict[str, Callable[..., Any]]:
    """How a function is run: eagerly, and by each compiler that works here."""
    compilers = [name for name in backend.compilers if not backend.compiler_problem(name)]
    return {"eager": lambda fn: fn} | {name: functools.partial(backend.jit, compiler=name) for name in compilers}


def measure(operation: str, names: list[str], rows: int) -> None:
    rng = np.random.default_rng(0)
    backends = {name: tempscale.get_backend(name) for name in names}
    runs = {
        (name, way, precision): run(in_precision(operation, precision))
        for name, backend in backends.items()
        for way, run in ways(backend).items()
        for precision in PRECISIONS
    }
    worst, differing = dict.fromkeys(runs, 0.0), dict.fromkeys(runs, 0)
    for _ in range(-(-rows // ROWS_AT_A_TIME)):
        logits = 3 * rng.standard_normal((ROWS_AT_A_TIME, CLASSES), dtype=np.float32)
        labels = [rng.integers(0, CLASSES, ROWS_AT_A_TIME, dtype=np.int32)] if operation == "cross_entropy" else []
        exact = exactly(operation, logits, labels)
        numpys = {precision: in_precision(operation, precision)(logits, *labels) for precision in PRECISIONS}
        arrays = {name: [backend.asarray(x) for x in (logits, *labels)] for name, backend in backends.items()}
        for key, run in runs.items():
            found = tempscale.to_numpy(run(*arrays[key[0]]))
            worst[key] = max(worst[key], worst_ulp(found, exact))
            differing[key] += int((found.view("u4") != numpys[key[2]].view("u4")).sum())
    for name, way in dict.fromkeys(key[:2] for key in runs):
        contenders = {p: lambda run=runs[name, way, p], x=arrays[name]: tempscale.to_numpy(run(*x)) for p in PRECISIONS}
        times = {"default": 1.0} | ratios(contenders.pop("default"), contenders)
        for precision in PRECISIONS:
            key = name, way, precision
            print(
                f"{operation:13}  {name:10}  {way:29}  {precision:12}  {worst[key]:9.4f}  {differing[key]:9}"
                f"  {times[precision]:14.2f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--operation", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--rows", type=int, default=78, help=f"rows of {CLASSES} classes; 78 are 10^7 elements")
    options = parser.parse_args()
    print(
        f"{'operation':13}  {'backend':10}  {'':29}  {'precision':12}  worst ulp  differing  time / default", flush=True
    )
    for operation in options.operation:
        measure(operation, options.backend, options.rows)


if __name__ == "__main__":
    main()
