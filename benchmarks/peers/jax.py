"""By hand in JAX, with optax for the losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.peers import LABEL_SMOOTHING, T

WAYS = {"eager": lambda fn: fn, "jax.jit": jax.jit}
SHOWS_MEMORY = True


def value_and_gradient(fn: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, *others: Any) -> Any:
        *operands, cotangent = others
        y, pull = jax.vjp(lambda x: fn(x, *operands), x)
        return y, pull(cotangent)

    return compiled(call)  # type: ignore[no-any-return]


wait = jax.block_until_ready


def softmax(x: Any) -> Any:
    return jax.nn.softmax(x / T)


def log_softmax(x: Any) -> Any:
    return jax.nn.log_softmax(x / T)


def logsumexp(x: Any) -> Any:
    return jax.nn.logsumexp(x / T, -1)


def entropy(x: Any) -> Any:
    log_p = log_softmax(x)
    return -(jnp.exp(log_p) * log_p).sum(-1)


def log_prob(x: Any, tokens: Any) -> Any:
    return jnp.take_along_axis(log_softmax(x), tokens[:, None], -1)[:, 0]


def kl_divergence(x: Any, teacher: Any) -> Any:
    return optax.losses.kl_divergence_with_log_targets(log_softmax(x), log_softmax(teacher))


def sparsemax(x: Any) -> Any:
    z = x / T
    ordered = jnp.flip(jnp.sort(z, -1), -1)
    totals = jnp.cumsum(ordered, -1) - 1
    size = (jnp.arange(1, z.shape[-1] + 1) * ordered > totals).sum(-1, keepdims=True)
    return jnp.maximum(z - (jnp.take_along_axis(totals, size - 1, -1) / size).astype(z.dtype), 0)


def cross_entropy(x: Any, labels: Any) -> Any:
    return optax.losses.softmax_cross_entropy_with_integer_labels(x, labels).mean()


def cross_entropy_of_probabilities(x: Any, labels: Any) -> Any:
    return optax.losses.softmax_cross_entropy(x, labels).mean()


def smoothed_cross_entropy(x: Any, labels: Any) -> Any:
    targets = optax.losses.smooth_labels(jax.nn.one_hot(labels, x.shape[-1], dtype=x.dtype), LABEL_SMOOTHING)
    return optax.losses.softmax_cross_entropy(x, targets).mean()
