"""Derivatives with respect to logits and temperature: both modes, first and second, and where they are finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from differentiable import (
    DIRECTIONS,
    INF,
    LABELS,
    LOGITS,
    OPERATIONS,
    OTHER,
    TEMPERATURE,
    cotangent_of,
    direction,
    operands_of,
    reference,
)
from exactness import allowing, exact_of, make

import tempscale
from tempscale import Backend
from tempscale.testing import check

each_operation = pytest.mark.parametrize("name", OPERATIONS)

# Inputs and directions are multiples of 2^-10 and 2^-4, and the step is 2^-14: all sums are exact in float64.
STEP = 2.0**-14
# What differences in extended precision leave of STEP^2 times a fourth derivative of some hundred, at T >= 1
DIFFERENCES = 2.0**-20


def weighted(name: str, backend: Backend, dtype: str = "float64") -> Callable[..., Any]:
    """A function of operands and temperature to a number: the result, weighted by the cotangent."""
    xp = backend.namespace
    g = make(backend, cotangent_of(name), dtype)
    labels = [make(backend, LABELS, "int32")] if name == "cross_entropy" else []
    options = {"reduction": "none"} if labels else {}

    def fn(*arrays: Any) -> Any:
        *operands, temperature = arrays
        result = getattr(tempscale, name)(*operands, *labels, temperature=temperature, **options)
        return xp.sum(xp.where(xp.abs(result) == INF, 0.0, result) * g)

    return fn


def weighted_exactly(name: str, operands: Sequence[Any], temperature: Any) -> Any:
    value = reference(name, operands, temperature)
    return np.sum(np.where(np.isinf(value), 0, value) * cotangent_of(name))


def gradient(backend: Backend, fn: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """The gradient of a function to a number, as a function that can be differentiated again."""
    if backend.name == "tensorflow":
        import tensorflow as tf

        def of_tensors(*arrays: Any) -> tuple[Any, ...]:
            with tf.GradientTape() as tape:
                tape.watch(arrays)
                result = fn(*arrays)
            return tuple(tape.gradient(result, arrays, unconnected_gradients=tf.UnconnectedGradients.ZERO))

        return of_tensors
    if backend.name == "torch":
        import torch

        return lambda *arrays: torch.func.grad(fn, argnums=tuple(range(len(arrays))))(*arrays)
    import jax

    return lambda *arrays: jax.grad(fn, argnums=tuple(range(len(arrays))))(*arrays)


def along(backend: Backend, fn: Callable[..., tuple[Any, ...]], directions: Sequence[Any]) -> Callable[..., Any]:
    """The component of a gradient in a direction."""
    xp = backend.namespace

    def component(*arrays: Any) -> Any:
        parts = [xp.sum(part * d) for part, d in zip(fn(*arrays), directions, strict=True)]
        return sum(parts[1:], parts[0])

    return component


def number(x: Any) -> float:
    return float(tempscale.to_numpy(x))


def moved(name: str, temperature: Any, steps: float) -> Any:
    arguments = [*operands_of(name), temperature]
    *operands, t = [x + steps * STEP * d for x, d in zip(arguments, direction(name, temperature), strict=True)]
    return weighted_exactly(name, operands, t)


TEMPERATURES = pytest.mark.parametrize("temperature", [np.array(1.25), TEMPERATURE], ids=["0-d", "per row"])


# The references, on which the conformance run relies


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_gradient_of_a_reference_is_the_limit_of_its_differences(name: str) -> None:
    labels = [LABELS] if name == "cross_entropy" else []
    g = cotangent_of(name)
    exact = exact_of(name, *operands_of(name), *labels, temperature=TEMPERATURE)
    gradients = exact["gradients"](np.asarray(g, np.longdouble))
    names = ["p_logits", "q_logits"] if name == "kl_divergence" else ["logits", "temperature"]
    arguments = [*operands_of(name), TEMPERATURE]
    for index, operand in enumerate(names):
        d = direction(name, TEMPERATURE)[index]
        ends = []
        for sign in (1, -1):
            at = [x + sign * STEP * d if i == index else x for i, x in enumerate(arguments)]
            ends.append(weighted_exactly(name, at[:-1], at[-1]))
        slope = np.sum(gradients[operand] * d)
        assert abs(slope - (ends[0] - ends[1]) / (2 * STEP)) <= DIFFERENCES


# First derivatives


@each_operation
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reverse_mode_holds_the_contract(name: str, differentiating: Backend, dtype: str) -> None:
    backend = differentiating
    operands = [x.astype(dtype) for x in operands_of(name)]
    labels = [LABELS] if name == "cross_entropy" else []
    g = cotangent_of(name)
    exact = exact_of(name, *operands, *labels, temperature=TEMPERATURE)
    gradients = exact["gradients"](np.asarray(g, np.longdouble if dtype == "float64" else np.float64))
    contract = getattr(tempscale, name).specification.contract
    with allowing("float64"), np.errstate(all="ignore"):
        arrays = [make(backend, x, dtype) for x in (*operands, TEMPERATURE)]
        found = gradient(backend, weighted(name, backend, dtype))(*arrays)
        names = ["p_logits", "q_logits"] if name == "kl_divergence" else ["logits", "temperature"]
        for operand, result in zip(names, found, strict=False):
            verdict = check(
                tempscale.to_numpy(result),
                gradients[operand],
                contract.bound(operand, **{**exact["quantities"], **gradients}),
                dtype=backend.dtype_name(result),
                expected_dtype=dtype,
                names=[f"row {i}" for i in range(5)],
            )
            assert verdict.held, f"{operand}: {verdict.worst:.3g} times the bound at {verdict.where}"


@each_operation
@TEMPERATURES
def test_both_modes_are_the_limit_of_differences(name: str, differentiating: Backend, temperature: Any) -> None:
    backend = differentiating
    expected = (moved(name, temperature, 1) - moved(name, temperature, -1)) / (2 * STEP)
    with allowing("float64"):
        fn = weighted(name, backend)
        arrays = [make(backend, x, "float64") for x in (*operands_of(name), temperature)]
        directions = [make(backend, x, "float64") for x in direction(name, temperature)]
        reverse = along(backend, gradient(backend, fn), directions)(*arrays)
        forward = backend.jvp(fn, arrays, directions)
    assert abs(number(reverse) - expected) <= DIFFERENCES
    assert abs(number(forward) - expected) <= DIFFERENCES


@each_operation
def test_the_gradient_of_one_temperature_is_the_sum_over_the_rows(name: str, differentiating: Backend) -> None:
    backend = differentiating
    with allowing("float64"):
        operands = [make(backend, x, "float64") for x in operands_of(name)]
        of_all = gradient(backend, weighted(name, backend))
        one = tempscale.to_numpy(of_all(*operands, make(backend, 0.75, "float64"))[-1])
        rows = tempscale.to_numpy(of_all(*operands, make(backend, np.full((5, 1), 0.75), "float64"))[-1])
    assert one.shape == ()
    assert rows.shape == (5, 1)
    assert abs(one - rows.sum()) <= 64 * 2.0**-53 * np.abs(rows).sum()


@each_operation
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradients_have_the_dtypes_of_the_arguments(name: str, differentiating: Backend, dtype: str) -> None:
    backend = differentiating
    with allowing("float64"):
        for t in ("float32", "float64"):
            operands = [make(backend, x, dtype) for x in operands_of(name)]
            found = gradient(backend, weighted(name, backend, dtype))(*operands, make(backend, TEMPERATURE, t))
            assert [backend.dtype_name(x) for x in found] == [dtype] * len(operands) + [t]


# Second derivatives


@each_operation
@TEMPERATURES
def test_second_derivatives_are_the_limit_of_differences(name: str, differentiating: Backend, temperature: Any) -> None:
    """Along a direction in logits and temperature at once: reverse over reverse, and forward over reverse."""
    backend = differentiating
    ends = moved(name, temperature, 1), moved(name, temperature, 0), moved(name, temperature, -1)
    expected = (ends[0] - 2 * ends[1] + ends[2]) / STEP**2
    with allowing("float64"):
        arrays = [make(backend, x, "float64") for x in (*operands_of(name), temperature)]
        directions = [make(backend, x, "float64") for x in direction(name, temperature)]
        slope = along(backend, gradient(backend, weighted(name, backend)), directions)
        twice = along(backend, gradient(backend, slope), directions)(*arrays)
        forward = backend.jvp(slope, arrays, directions)
    assert abs(number(twice) - expected) <= 16 * DIFFERENCES
    assert abs(number(forward) - expected) <= 16 * DIFFERENCES


@each_operation
def test_torch_keeps_the_graph_of_a_gradient(name: str, torch: Any) -> None:
    """`torch.autograd.grad` with `create_graph`, as training loops use it."""
    backend = tempscale.get_backend("torch")
    ends = [moved(name, TEMPERATURE, steps) for steps in (1, 0, -1)]
    expected = (ends[0] - 2 * ends[1] + ends[2]) / STEP**2
    arrays = [torch.tensor(x, requires_grad=True) for x in (*operands_of(name), TEMPERATURE)]
    directions = [torch.tensor(x) for x in direction(name, TEMPERATURE)]
    first = torch.autograd.grad(weighted(name, backend)(*arrays), arrays, create_graph=True)
    slope = sum((part * d).sum() for part, d in zip(first, directions, strict=True))
    second = torch.autograd.grad(slope, arrays, materialize_grads=True)
    twice = sum((part * d).sum() for part, d in zip(second, directions, strict=True))
    assert abs(number(twice) - expected) <= 16 * DIFFERENCES


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "entropy", "sparsemax"])
def test_torch_gradcheck_in_every_mode(name: str, torch: Any) -> None:
    logits = torch.tensor(LOGITS[[0, 3, 4]], requires_grad=True)
    temperature = torch.tensor(TEMPERATURE[:3], requires_grad=True)

    def fn(x: Any, t: Any) -> Any:
        return getattr(tempscale, name)(x, temperature=t)

    assert torch.autograd.gradcheck(fn, (logits, temperature), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(fn, (logits, temperature), check_fwd_over_rev=True)


# Where derivatives have to be finite

DELICATE = np.array(
    [
        [1.0, 1.0, 1.0, 0.0],  # ties at the maximum
        [2.0, -INF, -INF, 1.0],  # masked entries
        [-INF, 3.0, -INF, -INF],  # all but one
        [0.0, -300.0, -1e6, -1e15],  # underflow
        [1e4, 1e4 - 1, 9e3, 1e4],  # an offset
        [0.0, 0.0, -0.0, 0.0],
    ]
)


@each_operation
@pytest.mark.parametrize("temperature", [0.7, 0.0, INF, 1e-3, 1e3])
def test_derivatives_are_finite_at_masks_ties_and_limits(
    name: str, differentiating: Backend, temperature: float
) -> None:
    backend = differentiating
    xp = backend.namespace
    logits = make(backend, DELICATE)
    # a divergence or loss that is infinite has no derivative; these are finite
    q = make(backend, np.where(DELICATE == -INF, -INF, DELICATE * 0.5))
    labels = make(backend, [1, 3, 1, 0, 0, 2], "int32")
    extra = {"kl_divergence": [q], "cross_entropy": [labels]}.get(name, [])
    options = {"reduction": "none"} if name == "cross_entropy" else {}

    def fn(*arrays: Any) -> Any:
        x, *others, t = arrays
        result = getattr(tempscale, name)(x, *(others or extra), temperature=t, **options)
        return xp.sum(xp.where(xp.abs(result) < INF, result, 0.0))

    differentiated = [logits, q] if name == "kl_divergence" else [logits]
    for t in (make(backend, temperature), make(backend, np.full((6, 1), temperature))):
        arguments = [*differentiated, t]
        first = gradient(backend, fn)
        ones = [xp.ones_like(x) for x in arguments]
        second = gradient(backend, along(backend, first, ones))
        found = [tempscale.to_numpy(x) for x in first(*arguments)]
        for array in found:
            assert np.isfinite(array).all()
        assert (found[0][DELICATE == -INF] == 0).all()
        if temperature in (0.0, INF):
            assert all((array == 0).all() for array in found)
        if temperature in (0.7, 0.0) and np.ndim(tempscale.to_numpy(t)):
            for array in second(*arguments):
                assert np.isfinite(tempscale.to_numpy(array)).all()
            assert math.isfinite(number(backend.jvp(fn, arguments, ones)))


@each_operation
@pytest.mark.parametrize("temperature", [0.7, 0.0, INF])
def test_gradients_with_a_number_as_temperature(name: str, differentiating: Backend, temperature: float) -> None:
    backend = differentiating
    fn = weighted(name, backend, "float32")
    operands = [make(backend, x) for x in operands_of(name)]
    found = gradient(backend, lambda *arrays: fn(*arrays, temperature))(*operands)
    with_array = gradient(backend, fn)(*operands, make(backend, temperature))
    for one, other, x in zip(found, with_array[:-1], operands_of(name), strict=True):
        one, other = tempscale.to_numpy(one), tempscale.to_numpy(other)
        assert np.isfinite(one).all()
        assert (one[x == -INF] == 0).all()
        if temperature in (0.0, INF):
            np.testing.assert_array_equal(one, np.zeros_like(one))
            np.testing.assert_array_equal(other, np.zeros_like(one))


@pytest.mark.parametrize("temperature", [0.7, 0.0, INF])
def test_a_row_that_is_masked_entirely_has_no_gradient_of_logsumexp(
    differentiating: Backend, temperature: float
) -> None:
    backend = differentiating
    logits = make(backend, [[-INF, -INF, -INF], [0.0, 1.0, 2.0]])
    mask = make(backend, [[False] * 3, [True] * 3], "bool")

    def with_infinities(x: Any, t: Any) -> Any:
        return tempscale.logsumexp(x, temperature=t)[1]

    def with_mask(x: Any, t: Any) -> Any:
        return tempscale.logsumexp(x, temperature=t, where=mask)[1]

    for fn, x in ((with_infinities, logits), (with_mask, make(backend, [[0.5, 1.0, 0.0], [0.0, 1.0, 2.0]]))):
        of_logits, of_temperature = gradient(backend, fn)(x, make(backend, temperature))
        assert (tempscale.to_numpy(of_logits)[0] == 0).all()
        assert np.isfinite(tempscale.to_numpy(of_logits)).all()
        assert math.isfinite(number(of_temperature))


@pytest.mark.parametrize("name", OPERATIONS[:-1])  # cross_entropy takes no mask
def test_an_entry_that_where_masks_gets_no_gradient_even_if_it_is_nan(name: str, differentiating: Backend) -> None:
    backend = differentiating
    xp = backend.namespace
    x = make(backend, [[0.5, math.nan, 1.0], [0.0, 1.0, INF]])
    mask = make(backend, [[True, False, True], [True, True, False]], "bool")

    def fn(x: Any, t: Any) -> Any:
        operands = (x, x * 0.5) if name == "kl_divergence" else (x,)
        result = getattr(tempscale, name)(*operands, temperature=t, where=mask)
        return xp.sum(xp.where(xp.abs(result) < INF, result, 0.0) ** 2)

    of_logits, of_temperature = gradient(backend, fn)(x, make(backend, 0.7))
    hidden = np.array([[False, True, False], [False, False, True]])
    assert (tempscale.to_numpy(of_logits)[hidden] == 0).all()
    assert np.isfinite(tempscale.to_numpy(of_logits)).all()
    assert math.isfinite(number(of_temperature))


def test_an_ignored_example_gets_no_gradient(differentiating: Backend) -> None:
    backend = differentiating
    labels = make(backend, [-100, 1, -100], "int32")
    x = make(backend, [[0.0, 1.0], [0.5, 0.0], [3.0, -INF]])
    found = gradient(backend, lambda x: tempscale.cross_entropy(x, labels, ignore_index=-100))(x)[0]
    np.testing.assert_array_equal(tempscale.to_numpy(found)[[0, 2]], np.zeros((2, 2)))
    assert (tempscale.to_numpy(found)[1] != 0).all()


def test_second_derivatives_with_where_are_those_with_masked_entries(backend: Backend) -> None:
    """Of all operations at once, in forward and in reverse mode; half of them at a number, half at an array."""
    if not backend.transforms:
        pytest.skip(f"{backend.name} does not differentiate")
    logits, hidden = LOGITS[:3], LOGITS[:3] == -INF
    other = make(backend, np.where(hidden, -INF, OTHER[:3]))
    x, mask = make(backend, np.where(hidden, 5.0, logits)), make(backend, ~hidden, "bool")
    labels, direction = make(backend, [0, 2, 1], "int32"), make(backend, DIRECTIONS[0][:3])
    temperature = make(backend, TEMPERATURE[:3])

    def total(x: Any, where: Any) -> Any:
        xp = tempscale.array_namespace(x)
        written = x if where is None else xp.where(where, x, -INF)
        results = [getattr(tempscale, name)(x, temperature=0.7, where=where) for name in OPERATIONS[:4]]
        results += [
            tempscale.sparsemax(x, temperature=temperature, where=where),
            tempscale.kl_divergence(x, other, temperature=temperature, where=where),
            tempscale.cross_entropy(written, labels, temperature=temperature),
        ]
        return sum([xp.sum(xp.where(xp.abs(result) == INF, 0.0, result) ** 2) for result in results])

    def reverse(slope: Any) -> Any:
        return tempscale.grad(lambda x: tempscale.array_namespace(x).sum(slope(x) * direction))

    slope, masked = tempscale.grad(lambda x: total(x, mask)), tempscale.grad(lambda x: total(x, None))
    expected = tempscale.to_numpy(reverse(masked)(make(backend, logits)))
    for found in (reverse(slope)(x), backend.jvp(slope, [x], [direction])):
        assert (tempscale.to_numpy(found)[hidden] == 0).all()
        np.testing.assert_allclose(tempscale.to_numpy(found), expected, rtol=2e-4, atol=2e-5)
