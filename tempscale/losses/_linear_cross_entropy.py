"""The cross-entropy of a linear layer's logits, which are never held."""

from __future__ import annotations

import functools
import math
from typing import Any, Literal, NamedTuple

import numpy as np

from tempscale._core.arguments import as_float, as_number, as_temperature, common_float, one_of, same_shape
from tempscale._core.checks import check_labels, checking
from tempscale._core.dispatch import as_data, backend_of, is_number
from tempscale._core.dtypes import INTEGERS, cast, is_array, working_dtype
from tempscale._core.operation import INJECTED, agnostic
from tempscale._reference import partition, wide
from tempscale.backend import Array, Backend
from tempscale.contracts import Contract
from tempscale.kernels.example_losses import Smoothing, weighted
from tempscale.kernels.indexing import class_index, flat_rows, shaped_as
from tempscale.kernels.linear import Statistics, statistics
from tempscale.kernels.reductions import accurate_sum
from tempscale.kernels.temperature import Scaled, offset, rate_of
from tempscale.losses._cross_entropy import REDUCTIONS, _as_label, _reduce


class Number(NamedTuple):
    """A number that may be another at each call. See `is_numbers`."""

    value: Any


def _prepare(
    backend: Backend,
    hidden: Array,
    weight: Array,
    labels: Array,
    /,
    *,
    bias: Array | None = None,
    temperature: Any = 1.0,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "mean",
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    hidden, weight = as_float(backend, hidden, "hidden"), as_float(backend, weight, "weight")
    if bias is None:
        hidden, weight = common_float(backend, hidden, weight)
    else:
        hidden, weight, bias = common_float(backend, hidden, weight, as_float(backend, bias, "bias"))
    classes = _check_layer(backend, hidden, weight, bias)
    temperature = as_temperature(backend, temperature, hidden, len(backend.shape(hidden)) - 1)
    if is_number(labels):
        labels = as_data(backend, labels, "'labels'", like=hidden)
    _check_labels(backend, hidden, labels)
    dtype = backend.dtype_name(labels)
    if ignore_index is not None:
        ignore_index = _as_label(ignore_index, dtype)
    label_smoothing = _within(label_smoothing, "label_smoothing", 1.0, "between 0 and 1")
    z_loss = _within(z_loss, "z_loss", math.inf, "of at least 0")
    if softcap is not None:
        softcap = as_number(softcap, "softcap")
        if not 0.0 < softcap < math.inf:
            raise ValueError(f"softcap is {softcap}, expected a number above 0, or None")
    reduction = one_of(reduction, "reduction", REDUCTIONS)
    if checking() and classes is not None:
        check_labels(backend, labels, classes, ignore_index, mean=reduction == "mean")
    if ignore_index is not None:  # an array, as what varies from call to call without being compiled in
        ignore_index = backend.asarray(ignore_index, dtype=dtype, like=labels)
    return (hidden, weight, labels), {
        "bias": bias,
        "temperature": temperature,
        "label_smoothing": Smoothing(label_smoothing, 1.0 - label_smoothing) if label_smoothing else None,
        "ignore_index": ignore_index,
        "z_loss": Number(z_loss) if z_loss else None,
        "softcap": None if softcap is None else Number(softcap),
        "reduction": reduction,
    }


def _within(value: Any, name: str, largest: float, expected: str) -> float:
    number = as_number(value, name)
    if not 0.0 <= number <= largest or number == math.inf:
        raise ValueError(f"{name} is {number}, expected a number {expected}")
    return number


def _check_layer(backend: Backend, hidden: Array, weight: Array, bias: Array | None) -> int | None:
    """Return the number of classes, if it is known; the shapes must be those of a layer and its input."""
    given, shape = backend.shape(weight), backend.shape(hidden)
    if not shape:
        raise ValueError("hidden is 0-dimensional, expected its width as the last axis")
    if len(given) != 2 or not same_shape(given[1:], shape[-1:]):
        advice = ": pass weight.T" if len(given) == 2 and same_shape(given[:1], shape[-1:]) else ""
        raise ValueError(f"weight has shape {given}, expected (classes, width) for hidden of shape {shape}{advice}")
    if 0 in given:
        raise ValueError(f"weight has shape {given}: at least one class and a width of at least 1 are needed")
    if bias is not None and not same_shape(backend.shape(bias), given[:1]):
        raise ValueError(f"bias has shape {backend.shape(bias)}, expected one number per class, ({given[0]},)")
    return given[0]


def _check_labels(backend: Backend, hidden: Array, labels: Array) -> None:
    dtype, given, shape = backend.dtype_name(labels), backend.shape(labels), backend.shape(hidden)
    if dtype not in INTEGERS:
        raise TypeError(f"labels is {dtype}, expected integers (classes): cross_entropy takes probabilities")
    if not same_shape(given, shape[:-1]):
        raise ValueError(f"labels has shape {given}, expected {shape[:-1]} for hidden of shape {shape}")


@agnostic(prepare=_prepare, arrays=("bias", "temperature"))
def linear_cross_entropy(
    hidden: Array,
    weight: Array,
    labels: Array,
    /,
    *,
    bias: Array | None = None,
    temperature: Any = 1.0,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: Any = 0.0,
    softcap: Any = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    xp: Any = INJECTED,
) -> Array:
    """Cross-entropy of a linear layer's logits, which are never held: ``cross_entropy(hidden @ weight.T + bias, ...)``.

    It is the loss of a language model's last layer. Its logits are computed in blocks of classes, and once more when
    the loss is differentiated.

    Parameters
    ----------
    hidden : array
        Floats, (..., width): the input of the layer.
    weight : array
        (classes, width), as `torch.nn.Linear` has it; the kernel of a Keras or Flax layer is its transpose.
    labels : array
        Classes: integers, shaped as `hidden` without its last axis.
    bias : array, optional
        (classes,). -inf masks a class.
    temperature : float or array, default 1
        As for `softmax`: a number, a 0-d array, or one per row (the rank of `hidden`, size 1 on its last axis).
    label_smoothing, ignore_index, reduction
        As for `cross_entropy`. An example that is ignored reaches no gradient, even if it is NaN.
    z_loss : float, default 0
        Adds ``z_loss * logsumexp(logits / T)**2`` to the loss of each example.
    softcap : float, optional
        s > 0: the logits are ``s * tanh(a / s)`` of the layer's output a. Infinite outputs stay as they are: -inf
        masks a class, with +inf the row is NaN.

    Returns
    -------
    array
        0-d, or for "none" shaped as `labels`; device of `hidden`, the common dtype of `hidden`, `weight` and `bias`.
        A label out of range gives NaN for its example, a masked class with target mass +inf, a mean over nothing NaN.

    Raises
    ------
    TypeError
        For arguments that are not floats, labels that are not integers, arrays of two frameworks.
    ValueError
        For shapes that do not fit, a smoothing outside [0, 1], a negative `z_loss` or temperature, a `softcap` that is
        not above 0, an unknown reduction.

    Notes
    -----
    float16 and bfloat16 are multiplied and summed in float32, and logits are not rounded to 16 bits: what overflows
    float16 there does not here. A logit beyond the range of float32 is infinite.

    Memory is that of a block of logits, 2^19 of them or 512 classes, and of the gradients; TensorFlow has the gradient
    of the weight twice for a moment. Derivatives in forward mode take blocks as well. All logits are held for
    derivatives of second order, by `torch.compile` and exporters of PyTorch, by XLA where the number of classes is not
    known when TensorFlow traces, and by JAX for a derivative around a `jax.vmap`.

    The bound is for one example (``reduction="none"``); a sum or mean of N adds (log2(N) + 8) u of the sum of the
    magnitudes. It is for products in full float32: settings such as TensorFloat-32 are beyond it.

    (numeric contract)

    References
    ----------
    E. Wijmans et al., "Cut your losses in large-vocabulary language models", 2025. z-loss: A. Chowdhery et al., "PaLM",
    2022, section 5. Soft-capping: Gemma Team, "Gemma 2", 2024, section 2.

    Examples
    --------
    >>> import numpy, tempscale
    >>> hidden = numpy.asarray([[1.0, 2.0], [0.5, -1.0]])
    >>> weight = numpy.asarray([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> float(tempscale.linear_cross_entropy(hidden, weight, [2, 0]).round(4))
    0.436
    >>> float(tempscale.cross_entropy(hidden @ weight.T, [2, 0]).round(4))
    0.436
    """
    dtype, working, batch = hidden.dtype, working_dtype(hidden), labels
    labels = xp.reshape(labels, (-1, 1))
    hidden = cast(flat_rows(hidden), backend_of(hidden).dtype(working), xp)
    c = rate_of(temperature, working, xp)
    if is_array(temperature):
        c = _one_per_row(c, batch, xp)
    ignored = None if ignore_index is None else labels == ignore_index
    if ignored is not None:  # whatever is there, its gradient is 0, and the gradients of the weight are free of it
        hidden = xp.where(ignored, 0.0, hidden)
        c = xp.where(ignored, 1.0, c) if is_array(temperature) else c
    index, valid = class_index(labels, weight, 0, xp)
    found = statistics(
        hidden,
        weight,
        index,
        bias=bias,
        c=c,
        cap=None if softcap is None else softcap.value,
        smooth=label_smoothing is not None,
    )
    of = Statistics(*[found[:, i : i + 1] for i in range(5 if label_smoothing else 3)])
    loss = _loss(of, label_smoothing, accurate_sum(cast(xp.ones_like(weight[:, :1]), hidden.dtype, xp), axis=0), xp)
    if z_loss is not None:
        log_partition = offset(Scaled(of.total, of.entry, of.m, c), working, xp) + of.total
        loss = loss + z_loss.value * (log_partition * log_partition)
    loss = xp.where(valid, loss, math.nan)
    counted = xp.ones_like(loss)
    if ignored is not None:
        loss, counted = xp.where(ignored, 0.0, loss), xp.where(ignored, 0.0, counted)
    if reduction == "none":
        return cast(shaped_as(loss, batch), dtype, xp)
    return cast(_reduce(loss, counted, reduction, 1, functools.partial(accurate_sum, axis=0), xp), dtype, xp)


def _one_per_row(c: Array, batch: Array, xp: Any) -> Array:
    """1/T in the shape (rows, 1), or (1, 1) if there is one for all."""
    if len(c.shape) == 0:
        return xp.reshape(c, (1, 1))
    return xp.reshape(c * xp.ones_like(xp.astype(batch, c.dtype))[..., None], (-1, 1))


def _loss(of: Statistics, smoothing: Any, classes: Any, xp: Any) -> Array:
    """The loss of each example under the target (1 - s) t + s / n."""
    valid = of.total == of.total
    impossible = (of.entry == -math.inf) & valid  # no gradient reaches a masked class
    loss = xp.where(impossible, math.inf, of.total - of.entry)
    if smoothing is None:
        return loss
    others = (of.total * of.live - of.sum) * (smoothing.share / classes)
    others = others + xp.where((of.live < classes) & valid, math.inf, xp.zeros_like(others))
    return weighted(loss, smoothing.rest, xp) + others


_ERROR_OF_A = "3*abs(m)*r + (3*y + 8 + log2(n))*s + 8*L"
_ACCUMULATED = "(B + (%s + 4)*(t + B*u)) / max(1 - (e + %s)*u, tiny)"


@linear_cross_entropy.specified_by(
    Contract(
        f"(sum(w*E) + (8 + 2*log2(n)) * sum(w*abs(l)) + k*abs(A)*2*({_ERROR_OF_A} + 6*abs(A))) * u + 4*n*tiny"
        " + min((sum(v*D)*r + 2*e**2*u*sum(w)) * u / max(1 - e*u, tiny), 2*e*u*sum(w)) + k*(2*abs(A) + e*u)*e*u",
        gradients={
            "hidden": f"({_ACCUMULATED % ('n', 'n')}) @ V * u + 4*tiny*(n + G * sum(V.T).T)",
            "weight": f"({_ACCUMULATED % ('N', 'N')}).T @ H * u + 4*tiny*(N + sum((G * H).T).T)",
            "bias": f"sum(({_ACCUMULATED % ('N', 'N')}).T) * u + 4*tiny*(N + sum(G.T))",
            "temperature": (
                "(sum((abs(z) + e*u) * b + (abs(z) * (24 + 2*log2(n)) + e) * h) + a) * r * u / max(1 - e*u, tiny)"
                " + 4*tiny*(1 + n*sum(abs(z))*G)"
            ),
        },
        legend={
            "z": "(logits - max) / T, of the capped logits",
            "p, l": "softmax and log_softmax, exactly",
            "m": "the largest logit",
            "A": "logsumexp(logits / T), exactly",
            "L": "-l at the maximum, log sum exp(z)",
            "s": "1 - exp(-L), the mass of all but one maximum",
            "y": "mean of |z| over all but one maximum, weighted by exp(z)",
            "E": "the bound of log_softmax in units of u",
            "w": "weight of the class's term: target and smoothing together",
            "v": "|p sum(w) - w|, by which a logit moves the loss",
            "k": "z_loss",
            "r": "1/T, 0 at the limits",
            "H, V": "|hidden|, |weight|",
            "D": "error of a logit in units of u: 1.01 (width + 2) (H @ V.T + |bias|), and 12 |logit| more "
            "where there is a softcap",
            "e": "max(D) / T; at T = 0 the bound is that of rows whose largest logit stays the largest",
            "N": "number of rows",
            "h": "|gradient with respect to z|",
            "b": "its error in units of u: |g| ((p (3|z| + 3y + 24 + 3 log2(n)) + 2 p e) (sum(w) + 2k|A|) + 12w + 2kp "
            f"({_ERROR_OF_A.replace('*', ' ')} + 6|A| + 3e))",
            "t": "h r",
            "B": "(b + h c) r with c = 2 D / softcap + 20 where there is a softcap, else 0",
            "G": "|g| r (1 + 2k|A|)",
            "a": "2k|g| (|m| r (that error of A + 16|A| + 3e) + |A| e), for m / T",
        },
    ),
    variants={
        "": {"reduction": "none"},
        "smoothing 0.1, z-loss": {"reduction": "none", "label_smoothing": 0.1, "z_loss": 0.01},
        "softcap 5, z-loss": {"reduction": "none", "softcap": 5.0, "z_loss": 0.5},
    },
)
def _reference(
    hidden: Any,
    weight: Any,
    labels: Any,
    bias: Any,
    temperature: Any,
    *,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
    softcap: float | None = None,
    reduction: str = "none",
) -> dict[str, Any]:
    logits, slope, capped = hidden @ weight.T + bias, 1.0, 0.0
    size = 1.01 * (hidden.shape[-1] + 2) * (abs(hidden) @ abs(weight.T) + wide.finite_or_zero(abs(bias)))
    if softcap is not None:
        tanh = np.tanh(logits / softcap) if logits.dtype != object else wide.tanh(logits / softcap)
        logits = np.where(wide.absolute(logits) == np.inf, logits, softcap * tanh)
        slope = 1 - tanh * tanh
        size = size + 12 * wide.finite_or_zero(abs(logits))
        capped = 2 * size / softcap + 20
    q = partition.Partition(logits, temperature)
    of_a = q.log_sum_exp(logits, temperature)
    label = labels[..., None]
    target = np.where((label < 0) | (label >= q.n), np.nan, (label == np.arange(q.n)) + 0.0)
    w = (1 - label_smoothing) * target + label_smoothing / q.n
    loss = wide.row_sum(np.where((w == 0) & q.masked, 0, -w * q.log_p))
    if z_loss:
        loss = loss + z_loss * of_a * of_a
    loss = np.where(label == ignore_index, 0, loss)
    live = np.where(q.masked, 0, w)
    a, m = wide.finite_or_zero(of_a), wide.finite_or_zero(q.m)
    named = q.quantities()
    e = np.max(np.where(q.masked, 0, wide.finite_or_zero(size)), axis=-1, keepdims=True) * q.r
    error_of_a = 3 * abs(m) * q.r + (3 * q.z_others + 8 + np.log2(q.n)) * q.s + 8 * q.L

    def gradients(g: Any) -> dict[str, Any]:
        g = g[..., None]
        mass = wide.row_sum(live) + 2 * z_loss * a
        to_z = (q.p * mass - live) * g
        to_a = q.r * to_z * slope
        of_p = q.p * (3 * q.abs_z + 3 * q.z_others + 24 + 3 * np.log2(q.n) + 2 * e)
        b = of_p * (wide.row_sum(abs(live)) + 2 * z_loss * abs(a)) + 12 * abs(live)
        b = abs(g) * (b + 2 * z_loss * q.p * (error_of_a + 6 * abs(a) + 3 * e))
        of_m = abs(m) * q.r * (error_of_a + 16 * abs(a) + 3 * e) + abs(a) * e
        return {
            "hidden": to_a @ weight,
            "weight": to_a.T @ hidden,
            "bias": (np.ones((1, len(labels))) @ to_a)[0],
            "temperature": -q.r * (wide.row_sum(wide.finite_or_zero(q.z) * to_z) + 2 * z_loss * a * g * m * q.r),
            "g": g,
            "h": abs(to_z),
            "t": q.r * abs(to_z),
            "b": b,
            "B": (b + abs(to_z) * capped) * q.r,
            "G": abs(g) * q.r * (1 + 2 * z_loss * abs(a)),
            "a": 2 * z_loss * abs(g) * of_m,
        }

    return {
        **named,
        **{"w": abs(w), "v": abs(q.p * wide.row_sum(live) - live), "k": z_loss, "A": a, "m": m, "D": size, "e": e},
        **{"H": abs(hidden), "V": abs(weight), "N": len(labels), "value": loss[..., 0], "gradients": gradients},
    }
