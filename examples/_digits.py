"""What the examples share: scikit-learn's digits in a fixed split, batches of them, and an activation."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tempscale

CLASSES = 10
PIXELS = 64
BATCH = 32
SMOOTHING = 0.1  # of the labels: with it the best temperature is finite, where all examples could be fitted
INITIAL_TEMPERATURE = 1.0


@tempscale.agnostic
def mish(x: Any, /, *, xp: Any) -> Any:
    """x tanh(log(1 + e^x)), written once, for every framework (D. Misra, 2019).

    `logaddexp(x, 0)` is that logarithm without its overflow for large x.
    """
    return x * xp.tanh(xp.logaddexp(x, xp.zeros_like(x)))


class Digits(NamedTuple):
    """1797 handwritten digits of 8 x 8 pixels: three quarters to train on, one to test on."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load() -> Digits:
    """Return the digits, always in the same split: only the training depends on a seed."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).astype("float32")  # pixels are 0 to 16
    labels = labels.astype("int32")
    train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    return Digits(train_x, train_y, test_x, test_y)


def batches(digits: Digits, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the training set once, in random order. All batches have one size, so a compiler sees one shape."""
    order = rng.permutation(len(digits.train_labels))
    for start in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[start : start + BATCH]
        yield digits.train_images[chosen], digits.train_labels[chosen]


def report(epoch: int, loss: float, temperature: float) -> None:
    """Print how far the training is."""
    print(f"epoch {epoch:2}: loss {loss:.4f}, temperature {temperature:.3f}", flush=True)


def arguments(doc: str | None, epochs: int) -> argparse.ArgumentParser:
    """Return a parser of the options that all examples have."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    return parser
