"""Long rows keep their contracts however the classes lie in memory: sums add up in another order there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from exactness import exact_of
from support import require

from tempscale import Backend
from tempscale._core.operation import OPERATIONS
from tempscale.testing import check

CLASSES = 20_000


class Layout(NamedTuple):
    """Where the classes are, how an array of a backend is made of NumPy rows, and what these are before."""

    axis: int
    lay: Callable[[Backend, Any], Any]
    rows: Callable[[Any], Any] = np.asarray


def _turned(backend: Backend, x: Any) -> Any:
    return backend.asarray(np.ascontiguousarray(x.T))


AXES = {
    "classes first": Layout(0, _turned),
    "classes in the middle": Layout(1, lambda backend, x: _turned(backend, x)[None, ...]),
}
VIEWS = {
    "transposed": Layout(1, lambda backend, x: backend.namespace.permute_dims(_turned(backend, x), (1, 0))),
    "with gaps": Layout(1, lambda backend, x: backend.asarray(np.stack([x, x], axis=-1))[..., 0]),
    "reversed": Layout(1, lambda backend, x: backend.namespace.flip(backend.asarray(np.flip(x, 1)), axis=1)),
}


def _one_row(x: Any) -> Any:
    return np.broadcast_to(x[:1], x.shape)


def _read_only(backend: Backend, x: Any) -> Any:
    given = backend.asarray(x)
    given.flags.writeable = False
    return given


def _mapped(backend: Backend, x: Any) -> Any:
    with tempfile.TemporaryFile() as file:
        file.write(x.tobytes())
        return np.memmap(file, x.dtype, "r", shape=x.shape)


REPEATED = {
    "one row for all": Layout(
        1, lambda backend, x: backend.namespace.broadcast_to(backend.asarray(x[:1]), x.shape), _one_row
    )
}
IN_NUMPY = {"read-only": Layout(1, _read_only), "memory-mapped": Layout(1, _mapped)}
LAYOUTS = AXES | VIEWS | REPEATED | IN_NUMPY


def _logits() -> Any:
    equals = np.full(CLASSES, np.log(0.1))  # whose roundings do not cancel
    equals[7] = 0.0
    return np.stack([equals, np.random.default_rng(0).standard_normal(CLASSES)]).astype(np.float32)


def _like_logits(seed: int) -> Any:
    return np.random.default_rng(seed).random((2, CLASSES), np.float32)


LOGITS, COTANGENT = _logits(), _like_logits(1) - np.float32(0.5)
TEMPERATURE = np.asarray([[1.0], [0.7]], np.float32)
OTHERS = {
    "log_prob": np.asarray([7, 3], np.int32),
    "cross_entropy": _like_logits(2) / (CLASSES / 2),
    "kl_divergence": LOGITS + _like_logits(3),
}


def _operands(name: str) -> tuple[Any, ...]:
    return (LOGITS, OTHERS[name]) if name in OTHERS else (LOGITS,)


def _call(name: str, axis: int) -> Callable[..., Any]:
    """The operation on operands and a temperature."""
    options: dict[str, Any] = {} if name == "log_prob" else {"axis": axis}
    if name == "cross_entropy":
        options["reduction"] = "none"
    return lambda *arrays: OPERATIONS[name](*arrays[:-1], temperature=arrays[-1], **options)


def _arguments(backend: Backend, layout: Layout, name: str) -> list[Any]:
    given = [x if x.ndim == 1 else layout.rows(x) for x in (*_operands(name), TEMPERATURE)]
    return [backend.asarray(x) if x.ndim == 1 else layout.lay(backend, x) for x in given]


def _assert_within(backend: Backend, result: Any, exact: Any, bound: Any, axis: int) -> None:
    found = backend.to_numpy(result)
    if exact.shape == LOGITS.shape:
        found = np.moveaxis(found, axis, -1)
    verdict = check(found.reshape(exact.shape), exact, bound, dtype="float32", expected_dtype="float32")
    assert verdict.held, f"{verdict.worst:.3g} times the bound: {verdict.where}"


def _names(layouts: dict[str, Layout]) -> list[tuple[str, str]]:
    """Operations of logits with the layouts they take; `log_prob` has its classes on the last axis."""
    operations = [name for name in OPERATIONS if name != "linear_cross_entropy"]
    return [(name, layout) for name in operations for layout in layouts if name != "log_prob" or layout not in AXES]


CASES = [("numpy", *case) for case in _names(LAYOUTS)] + [("torch", *case) for case in _names(AXES | VIEWS | REPEATED)]


@pytest.mark.parametrize(("framework", "name", "layout"), CASES)
def test_operations_and_their_gradients_hold_their_contracts_in_every_layout(
    framework: str, name: str, layout: str
) -> None:
    backend, (axis, lay, rows) = require(framework), LAYOUTS[layout]
    call, arguments = _call(name, axis), _arguments(backend, LAYOUTS[layout], name)
    operands = [x if x.ndim == 1 else rows(x) for x in _operands(name)]
    exact = exact_of(name, *operands, temperature=rows(TEMPERATURE))
    result = call(*arguments)
    _assert_within(backend, result, exact["value"], exact["bound"], axis)

    value, contract = exact["value"], OPERATIONS[name].specification.contract
    reduced, g = value.ndim == 1, rows(COTANGENT)
    cotangent = backend.asarray(g[:, 0].reshape(backend.shape(result))) if reduced else lay(backend, g)
    gradients = exact["gradients"]((g[:, 0] if reduced else g).astype(np.float64))
    to_logits, *_, to_temperature = backend.vjp(
        lambda x, t: call(x, *arguments[1:-1], t), [arguments[0], arguments[-1]], cotangent
    )
    first = next(iter(contract.gradients))  # logits, or p_logits
    for of, gradient in ((first, to_logits), ("temperature", to_temperature)):
        bound = contract.bound(of, **{**exact["quantities"], **gradients})
        _assert_within(backend, gradient, gradients[of], np.broadcast_to(bound, gradients[of].shape), axis)


@pytest.mark.parametrize("framework", ["tensorflow", "jax"])
def test_operations_hold_their_contracts_where_the_classes_are_not_on_the_last_axis(framework: str) -> None:
    backend = require(framework)
    cases = _names(AXES)
    calls = [_call(name, AXES[layout].axis) for name, layout in cases]
    given = [_arguments(backend, AXES[layout], name) for name, layout in cases]

    def together(*arrays: Any) -> tuple[Any, ...]:
        rest = iter(arrays)
        return tuple([call(*[next(rest) for _ in arguments]) for call, arguments in zip(calls, given, strict=True)])

    # XLA is the last compiler, or the only one
    compiled = backend.jit(together, compiler=backend.compilers[-1])
    found = compiled(*[x for arguments in given for x in arguments])
    for (name, layout), result in zip(cases, found, strict=True):
        exact = exact_of(name, *_operands(name), temperature=TEMPERATURE)
        _assert_within(backend, result, exact["value"], exact["bound"], AXES[layout].axis)
