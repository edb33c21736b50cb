"""The cross-entropy of a linear layer: in blocks that do not divide its classes, against contract and logits."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from exactness import make

import tempscale as ts
from tempscale import Backend
from tempscale._core.operation import OPERATIONS
from tempscale.kernels import linear
from tempscale.testing import Selection, State, run

INF, NAN = math.inf, math.nan
U, TINY = 2.0**-24, 2.0**-126
CLASSES, WIDTH, ROWS, BLOCK = 37, 5, 6, 8

_rng = np.random.default_rng(17)
# multiples of small powers of two, whose products and sums are exact in float32
HIDDEN = np.round(_rng.standard_normal((ROWS, WIDTH)) * 16).astype(np.float32) / 16
WEIGHT = np.round(_rng.standard_normal((CLASSES, WIDTH)) * 16).astype(np.float32) / 16
BIAS = np.round(_rng.standard_normal(CLASSES) * 16).astype(np.float32) / 16
LABELS = np.array([0, 7, 8, 31, 32, 36])  # the first and last of blocks
TEMPERATURE = np.float32([[0.5], [1.0], [2.0], [0.25], [1.5], [3.0]])


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "BLOCK", 1)
        patch.setattr(linear, "LEAST", BLOCK)
        yield


def numbers(x: Any) -> Any:
    return np.asarray(ts.to_numpy(x)).astype(np.float64)


def exact(hidden: Any, weight: Any, labels: Any, bias: Any = None, temperature: Any = 1.0, **options: Any) -> Any:
    """The exact loss of each example with its bound."""
    contract, quantities, _ = exact_gradients(
        np.ones(len(hidden)), hidden, weight, labels, bias, temperature, **options
    )
    return quantities["value"], contract.bound(**quantities)[:, 0]


def exact_gradients(
    g: Any,
    hidden: Any = HIDDEN,
    weight: Any = WEIGHT,
    labels: Any = LABELS,
    bias: Any = BIAS,
    temperature: Any = TEMPERATURE,
    **options: Any,
) -> Any:
    """The contract, what its formulas name, and the exact gradients for a cotangent."""
    specification = OPERATIONS["linear_cross_entropy"].specification
    bias = np.zeros(len(weight)) if bias is None else bias
    t = np.broadcast_to(np.float64(temperature), (len(hidden), 1))
    given = [np.float64(x) for x in (hidden, weight)]
    with np.errstate(all="ignore"):
        found = specification.reference(*given, np.asarray(labels), np.float64(bias), t, **options)
        quantities = {k: v for k, v in found.items() if k != "gradients"} | {"u": U, "tiny": TINY}
        return specification.contract, quantities, found["gradients"](np.float64(g))


def call(backend: Backend, hidden: Any = HIDDEN, weight: Any = WEIGHT, labels: Any = LABELS, **options: Any) -> Any:
    """The loss of NumPy arguments on one backend."""
    arrays = {key: make(backend, x) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    labels = make(backend, labels, "int32")
    return ts.linear_cross_entropy(make(backend, hidden), make(backend, weight), labels, **arrays)


def assert_within(result: Any, expected: Any, bound: Any) -> None:
    actual = numbers(result)
    assert actual.shape == np.shape(expected)
    same = np.isinf(expected) & (actual == expected)
    assert (same | (np.abs(actual - expected) <= bound)).all(), f"{actual} is not {expected} within {bound}"


# The logits, and its contract


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": BIAS}, {"temperature": 0.3}, {"temperature": TEMPERATURE, "label_smoothing": 0.1}],
)
def test_the_loss_is_the_cross_entropy_of_the_product_within_both_contracts(backend: Backend, options: Any) -> None:
    logits = (HIDDEN @ WEIGHT.T + options.get("bias", np.float32(0))).astype(np.float32)
    rest = {key: x for key, x in options.items() if key != "bias"}
    arrays = {key: make(backend, x) if isinstance(x, np.ndarray) else x for key, x in rest.items()}
    plain = ts.cross_entropy(make(backend, logits), make(backend, LABELS, "int32"), reduction="none", **arrays)
    _, bound = exact(HIDDEN, WEIGHT, LABELS, **options)
    of_logits = OPERATIONS["cross_entropy"].specification
    t = np.broadcast_to(np.float64(rest.pop("temperature", 1.0)), (ROWS, 1))
    found = of_logits.reference(np.float64(logits), LABELS, t, **rest)
    quantities = {k: v for k, v in found.items() if k not in ("value", "gradients")} | {"u": U, "tiny": TINY}
    both = bound + of_logits.contract.bound(**quantities)[:, 0]
    assert_within(call(backend, reduction="none", **options), numbers(plain), both)


def test_gradients_of_blocks_that_do_not_divide_the_classes_hold_the_contract(backend: Backend) -> None:
    options: dict[str, Any] = {"softcap": 5.0, "z_loss": 0.1, "label_smoothing": 0.1, "reduction": "none"}
    g = np.linspace(-1, 2, ROWS).astype(np.float32)
    contract, quantities, gradients = exact_gradients(g, **options)
    labels, arrays = make(backend, LABELS, "int32"), [make(backend, x) for x in (HIDDEN, WEIGHT, BIAS, TEMPERATURE)]

    def loss(hidden: Any, weight: Any, bias: Any, t: Any) -> Any:
        return ts.linear_cross_entropy(hidden, weight, labels, bias=bias, temperature=t, **options)

    found = backend.vjp(loss, arrays, make(backend, g))
    for name, gradient in zip(contract.gradients, found, strict=True):
        bound = contract.bound(name, **{**quantities, **gradients})
        assert_within(gradient, gradients[name], bound[..., 0] if name == "bias" else bound)


def test_second_derivatives_of_blocks_hold_their_bound(backend: Backend) -> None:
    """Those of the gradients, in both modes, by way of the forward rule and of the reverse rule."""
    logits = 2 * np.random.default_rng(4).standard_normal((ROWS, CLASSES))
    report = run(
        Selection((backend.name,), ("linear_cross_entropy",), ("float32",), ("second",), quick=True), logits=logits
    )
    assert [cell.state for cell in report.cells][:1] == [State.HELD], report.cells


def test_compiled_blocks_hold_the_contract(differentiating: Backend) -> None:
    """Of unknown dimensions too, where the framework knows them."""
    _, bound = exact(HIDDEN, WEIGHT, LABELS, BIAS, softcap=5.0, z_loss=0.1)
    expected = numbers(call(differentiating, bias=BIAS, softcap=5.0, z_loss=0.1, reduction="none"))
    arrays = [make(differentiating, x) for x in (HIDDEN, WEIGHT, BIAS)]
    labels = make(differentiating, LABELS, "int32")
    options: Any = {"softcap": 5.0, "z_loss": 0.1, "reduction": "none"}

    def loss(hidden: Any, weight: Any, bias: Any, labels: Any) -> Any:
        return ts.linear_cross_entropy(hidden, weight, labels, bias=bias, **options)

    for unknown_dims in {False, differentiating.unknown_dims}:
        compiled = differentiating.jit(loss, unknown_dims=unknown_dims)
        assert_within(compiled(*arrays, labels), expected, 2 * bound)


def test_a_mean_divides_by_the_labels_that_are_not_ignored(backend: Backend) -> None:
    labels = np.where(LABELS == 8, -100, LABELS)
    loss, bound = exact(HIDDEN, WEIGHT, LABELS)
    kept = labels != -100
    total, bound = loss[kept].sum(), bound[kept].sum() + (math.log2(ROWS) + 8) * U * loss[kept].sum()
    assert_within(call(backend, labels=labels, ignore_index=-100, reduction="sum"), total, bound)
    mean = call(backend, labels=labels, ignore_index=-100)
    assert_within(mean, total / kept.sum(), bound / kept.sum() + 8 * U * total)


def test_batches_of_any_rank_are_rows(backend: Backend) -> None:
    expected = numbers(call(backend, reduction="none", temperature=TEMPERATURE))
    found = call(
        backend,
        HIDDEN.reshape(2, 3, WIDTH),
        labels=LABELS.reshape(2, 3),
        temperature=TEMPERATURE.reshape(2, 3, 1),
        reduction="none",
    )
    np.testing.assert_array_equal(numbers(found), expected.reshape(2, 3))
    one = call(backend, HIDDEN[1], labels=LABELS[1], reduction="none")
    assert_within(one, *[x[1] for x in exact(HIDDEN, WEIGHT, LABELS)])
    assert numbers(call(backend, HIDDEN[:0], labels=LABELS[:0], reduction="sum")) == 0
    assert np.isnan(numbers(call(backend, HIDDEN[:0], labels=LABELS[:0])))


# Labels and rows that are special


def test_a_label_out_of_range_is_nan_for_its_example_only(backend: Backend) -> None:
    labels = np.array([0, CLASSES, -1, 31, 2**31 - 1, 36])
    found = numbers(call(backend, labels=labels, reduction="none"))
    wrong = np.array([False, True, True, False, True, False])
    np.testing.assert_array_equal(np.isnan(found), wrong)
    loss, bound = exact(HIDDEN, WEIGHT, LABELS)
    assert_within(found[~wrong], loss[~wrong], bound[~wrong])
    assert np.isnan(numbers(call(backend, labels=labels)))


def test_a_mean_over_nothing_is_nan_and_a_sum_zero(backend: Backend) -> None:
    nothing = np.full(ROWS, -100)
    assert np.isnan(numbers(call(backend, labels=nothing, ignore_index=-100)))
    assert numbers(call(backend, labels=nothing, ignore_index=-100, reduction="sum", z_loss=1.0)) == 0


def test_an_ignored_example_that_is_nan_reaches_no_gradient(backend: Backend) -> None:
    labels = np.where(LABELS == 8, -100, LABELS)
    spoiled = np.where((LABELS == 8)[:, None], NAN, HIDDEN)
    t = np.where((LABELS == 8)[:, None], NAN, TEMPERATURE)

    def gradients(hidden: Any, t: Any) -> list[Any]:
        arrays = [make(backend, x) for x in (hidden, WEIGHT, BIAS, t)]
        given = make(backend, labels, "int32")

        def loss(hidden: Any, weight: Any, bias: Any, t: Any) -> Any:
            options: Any = {"bias": bias, "temperature": t, "ignore_index": -100, "z_loss": 0.1}
            return ts.linear_cross_entropy(hidden, weight, given, **options)

        return [numbers(x) for x in backend.vjp(loss, arrays, make(backend, 1.0))]

    found, clean = gradients(spoiled, t), gradients(HIDDEN, TEMPERATURE)
    assert (found[0][2] == 0).all()
    assert found[3][2] == 0
    for one, other in zip(found, clean, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("softcap", [None, 3.0])
def test_a_bias_of_minus_infinity_masks_a_class(backend: Backend, softcap: float | None) -> None:
    """A block may be masked entirely, and a softcap lifts no mask."""
    masked = np.isin(np.arange(CLASSES), [*range(8, 16), 36])
    bias = np.where(masked, -INF, BIAS).astype(np.float32)
    found = numbers(call(backend, bias=bias, reduction="none", softcap=softcap))
    np.testing.assert_array_equal(np.isinf(found), np.isin(LABELS, [8, 36]))
    kept = ~np.isinf(found)
    loss, bound = exact(HIDDEN, WEIGHT[~masked], [0, 7, 0, 23, 24, 0], BIAS[~masked], softcap=softcap)
    assert_within(found[kept], loss[kept], 2 * bound[kept])


def test_rows_that_are_nan_infinite_or_masked_entirely_are_nan(backend: Backend) -> None:
    hidden = HIDDEN.copy()
    hidden[1, 0], hidden[3, 2] = NAN, INF
    found = numbers(call(backend, hidden, reduction="none"))
    np.testing.assert_array_equal(np.isnan(found), [False, True, False, True, False, False])
    assert np.isnan(numbers(call(backend, bias=np.full(CLASSES, -INF, np.float32), reduction="none"))).all()


def test_temperatures_at_their_limits(backend: Backend) -> None:
    best = np.argmax(HIDDEN @ WEIGHT.T, axis=1)
    for cold in (0.0, np.zeros((ROWS, 1), np.float32)):
        np.testing.assert_array_equal(numbers(call(backend, labels=best, temperature=cold, reduction="none")), 0.0)
        others = call(backend, labels=(best + 1) % CLASSES, temperature=cold, reduction="none")
        np.testing.assert_array_equal(numbers(others), INF)
    for hot in (INF, np.full((ROWS, 1), INF, np.float32)):
        found = call(backend, temperature=hot, reduction="none")
        assert_within(found, np.full(ROWS, math.log(CLASSES)), 8 * U * math.log(CLASSES))


# Numbers of 16 bits


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_logits_are_not_rounded_to_16_bits_and_do_not_overflow_there(backend: Backend, dtype: str) -> None:
    hidden = np.full((2, WIDTH), 256.0)
    weight = np.linspace(-1, 1, CLASSES).round(2)[:, None] + np.full((CLASSES, WIDTH), 256.0)  # logits of 327 680
    given = [make(backend, x, dtype) for x in (hidden, weight)]
    rounded = [numbers(x) for x in given]
    found = ts.linear_cross_entropy(*given, make(backend, [36, 0], "int32"), temperature=1000.0, reduction="none")
    assert backend.dtype_name(found) == dtype
    loss, bound = exact(*rounded, [36, 0], temperature=1000.0)
    assert_within(found, loss, bound + np.abs(loss) * (2.0**-11 if dtype == "float16" else 2.0**-8))


# Memory


def test_numpy_holds_a_tenth_of_the_logits_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "BLOCK", 2**15)
    rows, classes = 256, 20_001
    hidden, weight = np.ones((rows, 2), np.float32), np.ones((classes, 2), np.float32)
    labels = np.zeros(rows, np.int32)
    numpy = ts.get_backend("numpy")
    tracemalloc.start()
    numpy.vjp(lambda h, w: ts.linear_cross_entropy(h, w, labels), [hidden, weight], np.float32(1.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows * classes * 4 / 10


def test_jax_holds_a_tenth_of_the_logits_at_most(jax: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "BLOCK", 2**15)
    rows, classes = 256, 20_001
    hidden, weight, labels = jax.numpy.ones((rows, 2)), jax.numpy.ones((classes, 2)), jax.numpy.zeros(rows, int)
    gradients = jax.jit(jax.grad(lambda h, w: ts.linear_cross_entropy(h, w, labels), (0, 1)))
    assert gradients.lower(hidden, weight).compile().memory_analysis().temp_size_in_bytes < rows * classes * 4 / 10


# Mistakes


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight": WEIGHT.T}, ValueError, r"weight has shape \(5, 37\), expected \(classes, width\).*: pass weight.T"),
        ({"bias": BIAS[:3]}, ValueError, r"bias has shape \(3,\), expected one number per class, \(37,\)"),
        ({"labels": LABELS[:2]}, ValueError, r"labels has shape \(2,\), expected \(6,\) for hidden of shape \(6, 5\)"),
        ({"labels": np.ones(ROWS)}, TypeError, "labels is float64, expected integers"),
        ({"z_loss": -1.0}, ValueError, "z_loss is -1.0, expected a number of at least 0"),
        ({"softcap": 0.0}, ValueError, "softcap is 0.0, expected a number above 0, or None"),
        ({"label_smoothing": 1.5}, ValueError, "label_smoothing is 1.5, expected a number between 0 and 1"),
        ({"reduction": "all"}, ValueError, "reduction is 'all', expected one of 'mean', 'sum', 'none'"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"hidden": HIDDEN, "weight": WEIGHT, "labels": LABELS, **change}
    with pytest.raises(error, match=message):
        ts.linear_cross_entropy(given.pop("hidden"), given.pop("weight"), given.pop("labels"), **given)


def test_checks_name_a_label_that_is_no_class() -> None:
    with ts.checks(), pytest.raises(ValueError, match=r"labels\[1\] is 37: there are 37 classes"):
        ts.linear_cross_entropy(HIDDEN, WEIGHT, np.array([0, CLASSES, 1, 2, 3, 4]))
