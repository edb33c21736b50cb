"""By hand in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks._measure import tensorflow_ways
from benchmarks.peers import LABEL_SMOOTHING, T

WAYS = tensorflow_ways()
SHOWS_MEMORY = False


def value_and_gradient(fn: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, *others: Any) -> Any:
        *operands, cotangent = others
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = fn(x, *operands)
        return y, tape.gradient(y, x, cotangent)

    return compiled(call)  # type: ignore[no-any-return]


def wait(result: Any) -> Any:
    return result


def softmax(x: Any) -> Any:
    return tf.nn.softmax(x / T)


def log_softmax(x: Any) -> Any:
    return tf.nn.log_softmax(x / T)


def logsumexp(x: Any) -> Any:
    return tf.reduce_logsumexp(x / T, -1)


def entropy(x: Any) -> Any:
    log_p = log_softmax(x)
    return -tf.reduce_sum(tf.exp(log_p) * log_p, -1)


def log_prob(x: Any, tokens: Any) -> Any:
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(tokens, x / T)


def kl_divergence(x: Any, teacher: Any) -> Any:
    log_p = log_softmax(teacher)
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_softmax(x)), -1)


def sparsemax(x: Any) -> Any:
    z = x / T
    ordered = tf.sort(z, -1, "DESCENDING")
    totals = tf.cumsum(ordered, -1) - 1
    inside = tf.range(1, tf.cast(tf.shape(z)[-1] + 1, z.dtype), dtype=z.dtype) * ordered > totals
    size = tf.math.count_nonzero(inside, -1, keepdims=True)
    return tf.maximum(z - tf.gather(totals, size - 1, batch_dims=1) / tf.cast(size, z.dtype), 0)


def cross_entropy(x: Any, labels: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x))


def cross_entropy_of_probabilities(x: Any, labels: Any) -> Any:
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, x))


def smoothed_cross_entropy(x: Any, labels: Any) -> Any:
    classes = x.shape[-1]
    targets = tf.one_hot(labels, classes, dtype=x.dtype) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / classes
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, x))
