"""By hand in NumPy: SciPy's functions, and gradients as one derives them. bfloat16 goes through float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

import tempscale
from benchmarks.peers import LABEL_SMOOTHING, T

WAYS = {"eager": lambda fn: fn}
GRADIENTS: dict[Callable[..., Any], Callable[..., Any]] = {}
SHOWS_MEMORY = True


def value_and_gradient(fn: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    """As elsewhere, but the value is the sum of what `fn` returns times the cotangent; without autograd by hand."""
    if fn in GRADIENTS:
        return GRADIENTS[fn]

    def call(x: Any, *others: Any) -> Any:
        *operands, cotangent = others
        return tempscale.value_and_grad(lambda x: (fn(x, *operands) * cotangent).sum())(x)

    return call


def wait(result: Any) -> Any:
    return result


def in_float32(fn: Callable[..., Any]) -> Callable[..., Any]:
    """SciPy has no bfloat16, and arithmetic on it takes far longer than on float32."""

    @functools.wraps(fn)
    def call(x: Any, *others: Any) -> Any:
        if x.dtype == np.float32:
            return fn(x, *others)
        result = fn(*[y.astype(np.float32) if y.dtype == x.dtype else y for y in (x, *others)])
        if isinstance(result, tuple):
            return tuple([y.astype(x.dtype) for y in result])
        return result.astype(x.dtype)

    return call


def gradient_of(fn: Callable[..., Any]) -> Callable[..., Any]:
    def register(gradient: Callable[..., Any]) -> Callable[..., Any]:
        GRADIENTS[fn] = in_float32(gradient)
        return gradient

    return register


@in_float32
def softmax(x: Any) -> Any:
    return special.softmax(x / np.float32(T), axis=-1)


@gradient_of(softmax)
def _softmax(x: Any, cotangent: Any) -> Any:
    p = softmax(x)
    terms = p * cotangent
    totals = terms.sum(-1, keepdims=True)
    return totals.sum(), (terms - p * totals) / np.float32(T)


@in_float32
def log_softmax(x: Any) -> Any:
    return special.log_softmax(x / np.float32(T), axis=-1)


@gradient_of(log_softmax)
def _log_softmax(x: Any, cotangent: Any) -> Any:
    log_p = log_softmax(x)
    gradient = cotangent - np.exp(log_p) * cotangent.sum(-1, keepdims=True)
    return (log_p * cotangent).sum(), gradient / np.float32(T)


@in_float32
def logsumexp(x: Any) -> Any:
    return special.logsumexp(x / np.float32(T), axis=-1)


@gradient_of(logsumexp)
def _logsumexp(x: Any, cotangent: Any) -> Any:
    total = logsumexp(x)
    p = np.exp(x / np.float32(T) - total[:, None])
    return (total * cotangent).sum(), p * (cotangent / np.float32(T))[:, None]


@in_float32
def entropy(x: Any) -> Any:
    log_p = log_softmax(x)
    return -(np.exp(log_p) * log_p).sum(-1)


@gradient_of(entropy)
def _entropy(x: Any, cotangent: Any) -> Any:
    log_p = log_softmax(x)
    p = np.exp(log_p)
    found = -(p * log_p).sum(-1)
    return (found * cotangent).sum(), p * (log_p + found[:, None]) * (cotangent / np.float32(-T))[:, None]


@in_float32
def log_prob(x: Any, tokens: Any) -> Any:
    return log_softmax(x)[np.arange(len(x)), tokens]


@gradient_of(log_prob)
def _log_prob(x: Any, tokens: Any, cotangent: Any) -> Any:
    log_p, rows, weight = log_softmax(x), np.arange(len(x)), cotangent / np.float32(T)
    gradient = np.exp(log_p) * -weight[:, None]
    gradient[rows, tokens] += weight
    return (log_p[rows, tokens] * cotangent).sum(), gradient


@in_float32
def kl_divergence(x: Any, teacher: Any) -> Any:
    log_p = log_softmax(teacher)
    return (np.exp(log_p) * (log_p - log_softmax(x))).sum(-1)


@gradient_of(kl_divergence)
def _kl_divergence(x: Any, teacher: Any, cotangent: Any) -> Any:
    log_q, log_p = log_softmax(x), log_softmax(teacher)
    p = np.exp(log_p)
    found = (p * (log_p - log_q)).sum(-1)
    return (found * cotangent).sum(), (np.exp(log_q) - p) * (cotangent / np.float32(T))[:, None]


@in_float32
def sparsemax(x: Any) -> Any:
    z = x / np.float32(T)
    ordered = np.flip(np.sort(z, -1), -1)
    totals = np.cumsum(ordered, -1) - 1
    size = (np.arange(1, z.shape[-1] + 1, dtype=np.float32) * ordered > totals).sum(-1, keepdims=True)
    return np.maximum(z - np.take_along_axis(totals, size - 1, -1) / size.astype(np.float32), 0)


@gradient_of(sparsemax)
def _sparsemax(x: Any, cotangent: Any) -> Any:
    y = sparsemax(x)
    support = y > 0
    mean = np.sum(cotangent, -1, keepdims=True, where=support) / support.sum(-1, keepdims=True, dtype=np.float32)
    return (y * cotangent).sum(), support * (cotangent - mean) / np.float32(T)


@in_float32
def cross_entropy(x: Any, labels: Any) -> Any:
    return -special.log_softmax(x, axis=-1)[np.arange(len(x)), labels].mean()


@gradient_of(cross_entropy)
def _cross_entropy(x: Any, labels: Any, cotangent: Any) -> Any:
    log_p, rows = special.log_softmax(x, axis=-1), np.arange(len(x))
    gradient = np.exp(log_p)
    gradient[rows, labels] -= 1
    gradient *= cotangent / np.float32(len(x))
    return -log_p[rows, labels].mean() * cotangent, gradient


@in_float32
def cross_entropy_of_probabilities(x: Any, labels: Any) -> Any:
    return -(special.log_softmax(x, axis=-1) * labels).sum() / np.float32(len(x))


@gradient_of(cross_entropy_of_probabilities)
def _cross_entropy_of_probabilities(x: Any, labels: Any, cotangent: Any) -> Any:
    log_p, weight = special.log_softmax(x, axis=-1), cotangent / np.float32(len(x))
    gradient = (np.exp(log_p) * labels.sum(-1, keepdims=True) - labels) * weight
    return -(log_p * labels).sum() * weight, gradient


@in_float32
def smoothed_cross_entropy(x: Any, labels: Any) -> Any:
    log_p = special.log_softmax(x, axis=-1)
    return -_of_label_and_all(log_p[np.arange(len(x)), labels], log_p.mean(-1)).mean()


@gradient_of(smoothed_cross_entropy)
def _smoothed_cross_entropy(x: Any, labels: Any, cotangent: Any) -> Any:
    log_p, rows = special.log_softmax(x, axis=-1), np.arange(len(x))
    gradient = np.exp(log_p)
    gradient -= LABEL_SMOOTHING / x.shape[-1]
    gradient[rows, labels] -= 1 - LABEL_SMOOTHING
    gradient *= cotangent / np.float32(len(x))
    return -_of_label_and_all(log_p[rows, labels], log_p.mean(-1)).mean() * cotangent, gradient


def _of_label_and_all(label: Any, mean: Any) -> Any:
    return (1 - LABEL_SMOOTHING) * label + LABEL_SMOOTHING * mean
