"""The loss of a linear layer and its gradients, against the same of logits that are held.

Prints for each framework the time as a multiple of `tempscale.cross_entropy` of the product, and of what users of the
framework write themselves; and the peak memory of both, in multiples of the logits.

    python -m benchmarks.linear_cross_entropy [--backend NAME ...] [--shape ROWS WIDTH CLASSES]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import peak_bytes, ratios
from tempscale import Backend

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
BACKENDS = ("numpy", "torch", "tensorflow", "jax")
Loss = Callable[[Any, Any], Any]


def own_loss(backend: Backend, labels: Any) -> Loss | None:
    """The mean loss as users of a framework write it; NumPy has none."""
    if backend.name == "torch":
        import torch

        return lambda h, w: torch.nn.functional.cross_entropy(h @ w.T, labels)
    if backend.name == "tensorflow":
        import tensorflow as tf

        losses = tf.nn.sparse_softmax_cross_entropy_with_logits
        return lambda h, w: tf.reduce_mean(losses(labels, tf.matmul(h, w, transpose_b=True)))
    if backend.name == "jax":
        import optax

        return lambda h, w: optax.softmax_cross_entropy_with_integer_labels(h @ w.T, labels).mean()
    return None


def with_gradients(backend: Backend, loss: Loss, arrays: list[Any]) -> Callable[[], Any]:
    """A call that computes the loss and its gradients as users do: in PyTorch and NumPy eagerly, else compiled."""
    if backend.name == "torch":

        def backward() -> Any:
            leaves = [x.detach().requires_grad_() for x in arrays]
            loss(*leaves).backward()
            return [x.grad for x in leaves]

        return backward

    def value_and_gradients(*arrays: Any) -> tuple[Any, ...]:
        value, gradients = tempscale.value_and_grad(loss, (0, 1))(*arrays)
        return value, *gradients

    run = backend.jit(value_and_gradients) if backend.compilers else value_and_gradients
    return lambda: [backend.to_numpy(x) for x in run(*arrays)[:1]]  # which waits for all of it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--shape", nargs=3, type=int, default=(1024, 256, 32_000), metavar=("ROWS", "WIDTH", "CLASSES"))
    parser.add_argument("--alone", action="store_true", help="nothing but the peak: for logits too large to be held")
    options = parser.parse_args()
    rows, width, classes = options.shape
    rng = np.random.default_rng(0)
    hidden, weight = [0.3 * rng.standard_normal((n, width), dtype=np.float32) for n in (rows, classes)]
    print(f"{'framework':12}{'time / logits':>15}{'time / own':>12}{'peak / array':>14}{'peak of logits':>16}")
    for name in options.backend:
        backend = tempscale.get_backend(name)
        arrays = [backend.asarray(x) for x in (hidden, weight)]
        labels = backend.asarray(rng.integers(0, classes, rows), dtype=backend.default_index())
        print(f"{name:12}{line(backend, arrays, labels, 4 * rows * classes, alone=options.alone)}", flush=True)


def line(backend: Backend, arrays: list[Any], labels: Any, size: int, *, alone: bool) -> str:
    """Measure one framework; peaks in multiples of `size` bytes."""
    xp = backend.namespace

    def plain(h: Any, w: Any) -> Any:
        return tempscale.cross_entropy(xp.matmul(h, xp.permute_dims(w, (1, 0))), labels)

    blocks = with_gradients(backend, lambda h, w: tempscale.linear_cross_entropy(h, w, labels), arrays)
    if alone:
        return f"{'':>27}{_shown(peak_bytes(blocks), size):>14}"
    own, of_logits = own_loss(backend, labels), with_gradients(backend, plain, arrays)
    times = [ratios(of_logits, {"": blocks})[""]]
    if own is not None:
        times.append(ratios(with_gradients(backend, own, arrays), {"": blocks})[""])
    found = [f"{time:.2f}" for time in times] + [""] * (2 - len(times))
    peaks = [_shown(peak_bytes(run), size) for run in (blocks, of_logits)]
    return f"{found[0]:>15}{found[1]:>12}{peaks[0]:>14}{peaks[1]:>16}"


def _shown(peak: int | None, size: int) -> str:
    return "" if peak is None else f"{peak / size:.2f}"


if __name__ == "__main__":
    main()
