"""Every public function that computes, on small arguments: what the tests that run over all functions run over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import tempscale as ts
from tempscale import random

Arrays = tuple[np.ndarray[Any, Any], ...]
KEY = np.asarray([0, 7], np.uint32)


@dataclass(frozen=True)
class Function:
    """A public function with some options, as a function of arrays alone.

    Attributes
    ----------
    name : str
        For the ids of tests.
    call : callable
        Takes native arrays, one for each of `arguments`.
    arguments : callable
        ``arguments(batch, classes) -> arrays``: NumPy arrays that fit `call`, the same ones each time. Those that draw
        from a distribution, and have no rows, give arrays that do not depend on them.
    differentiable : tuple of int
        Positions of the arguments that derivatives are taken of; none for a function that draws.
    """

    name: str
    call: Callable[..., Any] = field(repr=False)
    arguments: Callable[[tuple[int, ...], int], Arrays] = field(repr=False)
    differentiable: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.name


def _normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _logits(batch: tuple[int, ...], classes: int) -> Arrays:
    return (_normal((*batch, classes)),)


def _with_temperature(batch: tuple[int, ...], classes: int) -> Arrays:
    return *_logits(batch, classes), np.abs(_normal((*batch, 1), 1)) + np.float32(0.5)


def _with_mask(batch: tuple[int, ...], classes: int) -> Arrays:
    return *_logits(batch, classes), np.arange(classes) % 3 != 1


def _with_other(batch: tuple[int, ...], classes: int) -> Arrays:
    return *_logits(batch, classes), _normal((*batch, classes), 2)


def _classes(batch: tuple[int, ...], classes: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).integers(0, classes, batch).astype(np.int32)


def _with_classes(batch: tuple[int, ...], classes: int) -> Arrays:
    return *_logits(batch, classes), _classes(batch, classes)


def _layer(batch: tuple[int, ...], classes: int) -> Arrays:
    return _normal((*batch, 6), 5), _normal((classes, 6), 6), _classes(batch, classes)


def _with_weights(batch: tuple[int, ...], classes: int) -> Arrays:
    return *_with_classes(batch, classes), np.linspace(0.5, 2.0, classes, dtype=np.float32)


def _with_probabilities(batch: tuple[int, ...], classes: int) -> Arrays:
    weights = np.abs(_normal((*batch, classes), 4))
    return *_logits(batch, classes), weights / weights.sum(-1, keepdims=True)


def _with_key(batch: tuple[int, ...], classes: int) -> Arrays:
    return *_logits(batch, classes), KEY


def _key(batch: tuple[int, ...], classes: int) -> Arrays:
    return (KEY,)


def _key_and_weights(batch: tuple[int, ...], classes: int) -> Arrays:
    return KEY, np.linspace(0.5, 2.0, classes, dtype=np.float32)


_ROWS = [
    Function(f"{fn.__name__}{suffix}", call, arguments, differentiable)
    for fn in (ts.softmax, ts.log_softmax, ts.logsumexp, ts.entropy, ts.sparsemax)
    for suffix, call, arguments, differentiable in (
        ("", fn, _logits, (0,)),
        (" at a temperature of each row", lambda x, t, fn=fn: fn(x, temperature=t), _with_temperature, (0, 1)),
        (" with a mask", lambda x, mask, fn=fn: fn(x, where=mask), _with_mask, (0,)),
    )
]
_PRECISE = [
    Function(f"{precision} {fn.__name__}", partial(fn, precision=precision), _logits, (0,))
    for fn in (ts.softmax, ts.log_softmax, ts.logsumexp, ts.entropy)
    for precision in ("accurate", "reproducible")
]
_OF_TWO = [
    Function("kl_divergence", ts.kl_divergence, _with_other, (0, 1)),
    Function("log_prob", ts.log_prob, _with_classes, (0,)),
    Function("cross_entropy", ts.cross_entropy, _with_classes, (0,)),
    Function("cross_entropy of each row", partial(ts.cross_entropy, reduction="none"), _with_classes, (0,)),
    Function("cross_entropy of probabilities", ts.cross_entropy, _with_probabilities, (0, 1)),
    Function(
        "cross_entropy with smoothing and weights",
        lambda x, labels, weights: ts.cross_entropy(x, labels, label_smoothing=0.1, class_weights=weights),
        _with_weights,
        (0, 2),
    ),
]

PRECISE_OF_TWO = tuple(
    [
        Function(f"{precision} {fn.__name__}", partial(fn, precision=precision), _with_classes, (0,))
        for fn in (ts.log_prob, ts.cross_entropy)
        for precision in ("accurate", "reproducible")
    ]
)
"""More precisions of functions of logits and labels, for the tests that have the time."""

PROBABILITIES = (*_ROWS, *_PRECISE, *_OF_TWO)
"""Functions of rows of logits that are differentiable."""

LAYERS = (
    Function("linear_cross_entropy", ts.linear_cross_entropy, _layer, (0, 1)),
    Function(
        "linear_cross_entropy with smoothing, z-loss and softcap",
        partial(ts.linear_cross_entropy, label_smoothing=0.1, z_loss=0.01, softcap=5.0, reduction="none"),
        _layer,
        (0, 1),
    ),
)
"""Functions of a linear layer, whose weight has no rows."""

TOKENS = (
    Function("sample", ts.sample, _with_key),
    Function("sample of several", partial(ts.sample, num_samples=3), _with_key),
    Function("sample_without_replacement", lambda x, key: ts.sample_without_replacement(x, key, 2), _with_key),
)
"""Functions of rows of logits that draw."""

RANDOM = (
    Function("split", partial(random.split, num=3), _key),
    Function("fold_in", lambda key: random.fold_in(key, 5), _key),
    Function("bits", partial(random.bits, shape=(4, 3)), _key),
    Function("uniform", partial(random.uniform, shape=(4, 3), minval=-1.0, maxval=2.0), _key),
    Function("bernoulli", lambda key: random.bernoulli(key, 0.3, (4, 3)), _key),
    Function("randint", lambda key: random.randint(key, (4, 3), -5, 100), _key),
    Function("permutation", lambda key: random.permutation(key, 6), _key),
    Function("choice", lambda key: random.choice(key, 6, (4,)), _key),
    Function("choice with weights", lambda key, p: random.choice(key, p.shape[0], (4,), p=p), _key_and_weights),
    Function(
        "choice without replacement",
        lambda key, p: random.choice(key, p.shape[0], (2,), False, p=p),
        _key_and_weights,
    ),
    Function("normal", partial(random.normal, shape=(4, 3)), _key),
    Function("truncated_normal", lambda key: random.truncated_normal(key, -1.0, 2.0, (4, 3)), _key),
    Function("exponential", partial(random.exponential, shape=(4, 3)), _key),
    Function("gumbel", partial(random.gumbel, shape=(4, 3)), _key),
)
"""Functions of a key, that draw from distributions."""

EVERY_FUNCTION = (*PROBABILITIES, *LAYERS, *TOKENS, *RANDOM)
