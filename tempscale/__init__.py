"""What a temperature does to logits: the same numbers in NumPy, PyTorch, TensorFlow and JAX."""

from typing import TYPE_CHECKING, Any

from tempscale._core.checks import checks
from tempscale._core.dispatch import backend_of, explain
from tempscale._core.operation import agnostic
from tempscale._core.registry import backends, get_backend, register_backend
from tempscale.arrays import array_namespace, convert, custom_gradient, stop_gradient, to_numpy
from tempscale.backend import Backend, BackendEntry, BackendUnavailableError
from tempscale.losses import cross_entropy, linear_cross_entropy
from tempscale.probability import entropy, kl_divergence, log_prob, log_softmax, logsumexp, softmax
from tempscale.probability._sparsemax import sparsemax
from tempscale.transforms import grad, jit, value_and_grad, vmap

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BackendEntry",
    "BackendUnavailableError",
    "agnostic",
    "array_namespace",
    "backend_of",
    "backends",
    "checks",
    "compare",
    "compare_traces",
    "convert",
    "cross_entropy",
    "custom_gradient",
    "entropy",
    "explain",
    "get_backend",
    "grad",
    "jit",
    "kl_divergence",
    "linear_cross_entropy",
    "log_prob",
    "log_softmax",
    "logsumexp",
    "random",
    "register_backend",
    "sample",
    "sample_without_replacement",
    "softmax",
    "sparsemax",
    "stop_gradient",
    "to_numpy",
    "value_and_grad",
    "vmap",
]

if TYPE_CHECKING:
    from tempscale import random as random
    from tempscale.comparison import compare as compare
    from tempscale.comparison import compare_traces as compare_traces
    from tempscale.decoding import sample as sample
    from tempscale.decoding import sample_without_replacement as sample_without_replacement

_LATER = {
    "compare": ("tempscale.comparison", "compare"),
    "compare_traces": ("tempscale.comparison", "compare_traces"),
    "random": ("tempscale.random", ""),
    "sample": ("tempscale.decoding", "sample"),
    "sample_without_replacement": ("tempscale.decoding", "sample_without_replacement"),
}
"""What is imported when it is first used, because it would take a third as long as all the rest."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'tempscale' has no attribute {name!r}")
    import importlib

    module, attribute = _LATER[name]
    found = importlib.import_module(module)
    globals()[name] = getattr(found, attribute) if attribute else found
    return globals()[name]
