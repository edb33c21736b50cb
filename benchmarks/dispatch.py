"""What it costs to find out whose array it is, beside libraries that do the same; and what an import costs.

python -m benchmarks.dispatch
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import seconds_per_call
from tempscale._core.dispatch import call_backend


def contenders(x: object) -> dict[str, Callable[[], object]]:
    """Each library's way from an array to what handles it."""
    import array_api_compat
    import autoray
    import keras
    from einops._backends import get_backend as einops_backend

    one, three = (x,), (x, x, x)
    return {
        "tempscale, one array": lambda: call_backend(one),
        "tempscale, three arrays": lambda: call_backend(three),
        "einops get_backend": lambda: einops_backend(x),
        "array_api_compat.array_namespace": lambda: array_api_compat.array_namespace(x),
        "autoray.infer_backend + get_lib_fn": lambda: autoray.get_lib_fn(autoray.infer_backend(x), "exp"),
        "keras.ops.shape (the thinnest op)": lambda: keras.ops.shape(x),
        "an empty function": lambda: None,
    }


@tempscale.agnostic
def first(x: Any, /, *others: Any, scale: float | None = None, xp: Any = None) -> Any:
    return x


def overheads(x: object) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Calls of an agnostic function beside direct calls of its body, which does nothing."""
    tree = {"w": x, "b": [x, x]}
    return {
        "one array": (lambda: first(x), lambda: first.body(x, xp=None)),
        "three arrays": (lambda: first(x, x, x), lambda: first.body(x, x, x, xp=None)),
        "an array and a keyword": (lambda: first(x, scale=2.0), lambda: first.body(x, scale=2.0, xp=None)),
        "a tree of three arrays": (lambda: first(tree), lambda: first.body(tree, xp=None)),
    }


def new_number_milliseconds(name: str) -> float:
    """What another label smoothing and other bounds cost in an eager call, over those of the call before."""
    x, labels = [tempscale.get_backend(name).asarray(a) for a in (np.ones((8, 100), np.float32), np.zeros(8, np.int32))]

    def call(s: float) -> None:
        tempscale.to_numpy(tempscale.cross_entropy(x, labels, label_smoothing=s))
        tempscale.to_numpy(tempscale.random.truncated_normal(tempscale.random.key(0), -s, 1.0, (9,), like=x))

    new = iter(np.linspace(0.1, 0.9, 1000).tolist())
    return 1e3 * (seconds_per_call(lambda: call(next(new)), calls=20) - seconds_per_call(lambda: call(0.05), calls=20))


def import_milliseconds(module: str) -> float:
    """Median time of a fresh interpreter that imports a module, from eleven."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(11)]
    return 1e3 * statistics.median(times)


def main() -> None:
    x = np.ones((4, 10), np.float32)
    print(f"{'warm call':40}{'microseconds':>14}")
    for name, run in contenders(x).items():
        print(f"{name:40}{1e6 * seconds_per_call(run, calls=20_000):14.2f}")
    print(f"\n{'@agnostic over its body':40}{'microseconds':>14}")
    for name, (through, direct) in overheads(x).items():
        cost = seconds_per_call(through, calls=20_000) - seconds_per_call(direct, calls=20_000)
        print(f"{name:40}{1e6 * cost:14.2f}")
    print(f"\n{'another number over the same one':40}{'milliseconds':>14}")
    for name in ("numpy", "torch", "tensorflow", "jax"):
        print(f"{name:40}{new_number_milliseconds(name):14.2f}")
    alone, both = import_milliseconds("numpy"), import_milliseconds("tempscale")
    print(f"\nimport numpy {alone:.0f} ms, import tempscale {both:.0f} ms: {both - alone:.0f} ms beyond NumPy")


if __name__ == "__main__":
    main()
