"""By hand in PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from benchmarks.peers import LABEL_SMOOTHING, T

WAYS = {"eager": lambda fn: fn, "torch.compile": functools.partial(torch.compile, fullgraph=True)}
SHOWS_MEMORY = True


def value_and_gradient(fn: Callable[..., Any], compiled: Callable[..., Any]) -> Callable[..., Any]:
    run = compiled(fn)

    def call(x: Any, *others: Any) -> Any:
        *operands, cotangent = others
        x = x.detach().requires_grad_()
        y = run(x, *operands)
        return y.detach(), torch.autograd.grad(y, x, cotangent)

    return call


def wait(result: Any) -> Any:
    return result


def softmax(x: Any) -> Any:
    return torch.softmax(x / T, -1)


def log_softmax(x: Any) -> Any:
    return torch.log_softmax(x / T, -1)


def logsumexp(x: Any) -> Any:
    return torch.logsumexp(x / T, -1)


def entropy(x: Any) -> Any:
    log_p = log_softmax(x)
    return -(log_p.exp() * log_p).sum(-1)


def log_prob(x: Any, tokens: Any) -> Any:
    return log_softmax(x).gather(-1, tokens[:, None]).squeeze(-1)


def kl_divergence(x: Any, teacher: Any) -> Any:
    return functional.kl_div(log_softmax(x), log_softmax(teacher), log_target=True, reduction="none").sum(-1)


def sparsemax(x: Any) -> Any:
    z = x / T
    ordered = z.sort(-1, descending=True).values
    totals = ordered.cumsum(-1) - 1
    size = (torch.arange(1, z.shape[-1] + 1, device=z.device) * ordered > totals).sum(-1, keepdim=True)
    return (z - totals.gather(-1, size - 1) / size).clamp(min=0)


def cross_entropy(x: Any, labels: Any) -> Any:
    return functional.cross_entropy(x, labels)


def cross_entropy_of_probabilities(x: Any, labels: Any) -> Any:
    return functional.cross_entropy(x, labels)


def smoothed_cross_entropy(x: Any, labels: Any) -> Any:
    return functional.cross_entropy(x, labels, label_smoothing=LABEL_SMOOTHING)
