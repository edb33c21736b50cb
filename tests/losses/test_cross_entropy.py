"""Cross-entropy: against the definition written out in float64, and against the frameworks' own."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from exactness import FLOATS, allowing, exact_of, make

import tempscale
from tempscale import Backend

INF, NAN = math.inf, math.nan
U = 2.0**-24

LOGITS = np.random.default_rng(3).standard_normal((6, 4)).astype(np.float32) * 2
LABELS = np.array([0, 3, 2, 2, 1, 3])
WEIGHTS = np.float32([1.0, 0.25, 3.0, 0.5])
TARGETS = np.random.default_rng(4).dirichlet(np.ones(4), 6).astype(np.float32)


def log_softmax(x: Any, temperature: float = 1.0) -> Any:
    z = np.asarray(x, np.float64) / temperature
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def by_definition(
    logits: Any, labels: Any, *, temperature: float = 1.0, label_smoothing: float = 0.0, class_weights: Any = None
) -> tuple[Any, Any]:
    """Loss and weight of each example, from the formula."""
    target = np.asarray(labels, np.float64)
    if target.ndim < logits.ndim:
        target = np.eye(logits.shape[-1])[np.asarray(labels)]
    w = np.ones(logits.shape[-1]) if class_weights is None else np.asarray(class_weights, np.float64)
    smooth = (1 - label_smoothing) * target + label_smoothing / logits.shape[-1]
    return -(w * smooth * log_softmax(logits, temperature)).sum(-1), (w * target).sum(-1)


def bounds(logits: Any, labels: Any, **options: Any) -> Any:
    if options.get("class_weights") is None:
        options.pop("class_weights", None)
    return np.float64(exact_of("cross_entropy", logits, np.asarray(labels), **options)["bound"])


def numbers(x: Any) -> Any:
    return np.asarray(tempscale.to_numpy(x)).astype(np.float64)


def assert_within(result: Any, expected: Any, bound: Any) -> None:
    actual = numbers(result)
    assert actual.shape == np.shape(expected)
    assert (np.abs(actual - expected) <= bound).all(), f"{actual} is not {expected} within {bound}"


VARIANTS = [
    {},
    {"temperature": 0.3},
    {"temperature": 4.0},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0},
    {"class_weights": WEIGHTS},
    {"class_weights": WEIGHTS, "label_smoothing": 0.2, "temperature": 2.0},
]


def call(backend: Backend, logits: Any, labels: Any, *, dtype: str = "int32", **options: Any) -> Any:
    """Cross-entropy of NumPy arguments on one backend."""
    labels = np.asarray(labels)
    dtype = dtype if labels.dtype.kind == "i" else "float32"
    if options.get("class_weights") is not None:
        options["class_weights"] = make(backend, options["class_weights"])
    return tempscale.cross_entropy(make(backend, logits), make(backend, labels, dtype), **options)


# The definition


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("labels", [LABELS, TARGETS], ids=["classes", "probabilities"])
def test_one_loss_per_example(backend: Backend, labels: Any, options: dict[str, Any]) -> None:
    result = call(backend, LOGITS, labels, reduction="none", **options)
    assert_within(result, by_definition(LOGITS, labels, **options)[0], bounds(LOGITS, labels, **options))


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("labels", [LABELS, TARGETS], ids=["classes", "probabilities"])
def test_a_mean_divides_by_the_weight_of_the_labels_before_smoothing(
    backend: Backend, labels: Any, options: dict[str, Any]
) -> None:
    loss, weight = by_definition(LOGITS, labels, **options)
    adding = (math.log2(len(LOGITS)) + 8) * U * np.abs(loss).sum()
    bound = bounds(LOGITS, labels, **options).sum() + adding
    assert_within(call(backend, LOGITS, labels, reduction="sum", **options), loss.sum(), bound)
    mean = loss.sum() / weight.sum()
    assert_within(call(backend, LOGITS, labels, **options), mean, bound / weight.sum() + 8 * U * mean)


def test_the_loss_of_equal_logits_is_the_log_of_their_number(backend: Backend) -> None:
    result = numbers(call(backend, np.zeros((2, 8)), [0, 7], reduction="none"))
    assert_within(result, [math.log(8)] * 2, bounds(np.zeros((2, 8), np.float32), [0, 7]))


def test_a_certain_prediction_costs_nothing_and_a_wrong_one_its_distance(backend: Backend) -> None:
    result = call(backend, [[500.0, 0.0], [500.0, 0.0]], [0, 1], reduction="none")
    np.testing.assert_array_equal(numbers(result), [0.0, 500.0])


def test_probabilities_need_not_sum_to_one(backend: Backend) -> None:
    targets = np.float32([[2.0, 0.0, 1.0, 0.5]]) * np.ones((6, 1), np.float32)
    loss, weight = by_definition(LOGITS, targets)
    bound = bounds(LOGITS, targets)
    assert_within(call(backend, LOGITS, targets, reduction="none"), loss, bound)
    mean = loss.sum() / weight.sum()
    adding = (math.log2(6) + 8) * U * loss.sum()
    assert_within(call(backend, LOGITS, targets), mean, (bound.sum() + adding) / 21 + 8 * U * mean)
    assert weight.sum() == 21


def test_classes_are_the_same_as_all_mass_on_them(backend: Backend) -> None:
    for options in VARIANTS:
        classes = call(backend, LOGITS, LABELS, **options)
        masses = call(backend, LOGITS, np.eye(4, dtype=np.float32)[LABELS], **options)
        loss, weight = by_definition(LOGITS, LABELS, **options)
        bound = bounds(LOGITS, LABELS, **options).sum() + (math.log2(6) + 8) * U * loss.sum()
        assert abs(numbers(classes) - numbers(masses)) <= 2 * bound / weight.sum()


def test_temperatures_per_row(backend: Backend) -> None:
    t = np.float32([[0.5], [1.0], [2.0], [4.0], [0.25], [8.0]])
    result = call(backend, LOGITS, LABELS, temperature=make(backend, t), reduction="none")
    expected = [
        by_definition(x[None], [y], temperature=s)[0][0] for x, y, s in zip(LOGITS, LABELS, t[:, 0], strict=True)
    ]
    assert_within(result, np.array(expected), bounds(LOGITS, LABELS, temperature=t))


# Labels


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
@pytest.mark.parametrize("classes", [4, 300])
def test_every_integer_dtype_is_a_label(backend: Backend, dtype: str, classes: int) -> None:
    """Also one that cannot count up to the number of classes."""
    logits = np.random.default_rng(5).standard_normal((6, classes)).astype(np.float32)
    with allowing(dtype):
        result = call(backend, logits, LABELS, dtype=dtype, reduction="none")
    assert_within(result, by_definition(logits, LABELS)[0], bounds(logits, LABELS))


def test_labels_may_be_a_list(backend: Backend) -> None:
    result = tempscale.cross_entropy(make(backend, LOGITS), LABELS.tolist(), reduction="none")
    assert_within(result, by_definition(LOGITS, LABELS)[0], bounds(LOGITS, LABELS))
    weighted = tempscale.cross_entropy(make(backend, LOGITS), LABELS.tolist(), class_weights=WEIGHTS.tolist())
    np.testing.assert_array_equal(numbers(weighted), numbers(call(backend, LOGITS, LABELS, class_weights=WEIGHTS)))


def test_one_example_has_a_number_as_label(backend: Backend) -> None:
    for label in (2, np.int64(2)):
        result = tempscale.cross_entropy(make(backend, LOGITS[0]), label)
        assert_within(result, by_definition(LOGITS[:1], [2])[0][0], bounds(LOGITS[:1], [2])[0] + 8 * U)
        assert backend.shape(tempscale.cross_entropy(make(backend, LOGITS[0]), label, reduction="none")) == ()


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 3), (2, 4, 3), (2, 3, 4), (2, 2, 4, 3)])
def test_the_classes_may_lie_on_any_axis(backend: Backend, shape: tuple[int, ...]) -> None:
    axis = shape.index(4)
    rng = np.random.default_rng(6)
    logits = rng.standard_normal(shape).astype(np.float32)
    rows = np.moveaxis(logits, axis, -1)
    labels = rng.integers(0, 4, rows.shape[:-1])
    targets = rng.dirichlet(np.ones(4), rows.shape[:-1]).astype(np.float32)
    for given, moved in ((labels, labels), (np.moveaxis(targets, -1, axis), targets)):
        for a in (axis, axis - len(shape)):
            result = call(backend, logits, given, axis=a, reduction="none", class_weights=WEIGHTS)
            flat = moved.reshape(-1) if moved is labels else moved.reshape(-1, 4)
            expected = by_definition(rows.reshape(-1, 4), flat, class_weights=WEIGHTS)[0].reshape(labels.shape)
            bound = bounds(rows.reshape(-1, 4), flat, class_weights=WEIGHTS).reshape(labels.shape)
            assert_within(result, expected, bound)


def test_a_label_out_of_range_is_nan_for_its_example_only(backend: Backend) -> None:
    labels = np.array([0, 4, -1, 2, 2**31 - 1, -(2**31)])
    for options in VARIANTS:
        result = numbers(call(backend, LOGITS, labels, reduction="none", **options))
        np.testing.assert_array_equal(np.isnan(result), [False, True, True, False, True, True])
        kept = [0, 3]
        expected = by_definition(LOGITS[kept], labels[kept], **options)[0]
        assert_within(result[kept], expected, bounds(LOGITS[kept], labels[kept], **options))
        for reduction in ("mean", "sum"):
            assert np.isnan(numbers(call(backend, LOGITS, labels, reduction=reduction, **options)))


def test_a_wide_label_is_not_cut_to_a_valid_one(backend: Backend) -> None:
    with allowing("int64"):
        labels = np.array([2**32, 2**32 + 1, -(2**32), 0, 1, 2])
        result = numbers(call(backend, LOGITS, labels, dtype="int64", reduction="none"))
    np.testing.assert_array_equal(np.isnan(result), [True, True, True, False, False, False])


# Ignored examples


@pytest.mark.parametrize("ignored", [-100, 1, 255])
def test_an_ignored_label_contributes_neither_loss_nor_weight(backend: Backend, ignored: int) -> None:
    labels = np.where(LABELS == 2, ignored, LABELS)
    if ignored == 1:
        labels = LABELS
    kept = labels != ignored
    for options in VARIANTS:
        loss, weight = by_definition(LOGITS[kept], labels[kept], **options)
        bound = bounds(LOGITS[kept], labels[kept], **options)
        result = numbers(call(backend, LOGITS, labels, ignore_index=ignored, reduction="none", **options))
        assert (result[~kept] == 0).all()
        assert_within(result[kept], loss, bound)
        mean = loss.sum() / weight.sum()
        total = bound.sum() + (math.log2(6) + 8) * U * loss.sum()
        result = call(backend, LOGITS, labels, ignore_index=ignored, **options)
        assert_within(result, mean, total / weight.sum() + 8 * U * mean)


def test_nothing_is_ignored_by_default(backend: Backend) -> None:
    result = numbers(call(backend, LOGITS, np.where(LABELS == 2, -100, LABELS), reduction="none"))
    np.testing.assert_array_equal(np.isnan(result), LABELS == 2)


@pytest.mark.parametrize(("dtype", "ignored"), [("int8", 1000), ("uint8", -100), ("uint8", 255), ("int8", -100)])
def test_an_ignored_label_need_not_be_one_that_the_dtype_can_hold(backend: Backend, dtype: str, ignored: int) -> None:
    result = call(backend, LOGITS, LABELS, dtype=dtype, ignore_index=ignored, reduction="none")
    assert_within(result, by_definition(LOGITS, LABELS)[0], bounds(LOGITS, LABELS))


@pytest.mark.parametrize(("dtype", "label", "ignored"), [("uint8", 156, -100), ("int8", -100, 156), ("uint8", 1, 257)])
def test_an_ignored_label_is_not_wrapped_around_to_one_that_occurs(
    backend: Backend, dtype: str, label: int, ignored: int
) -> None:
    logits = np.zeros((1, 300), np.float32)
    result = numbers(call(backend, logits, np.array([label]), dtype=dtype, ignore_index=ignored, reduction="none"))
    if label < 0:
        assert np.isnan(result[0])
    else:
        assert result[0] == pytest.approx(math.log(300))


def test_an_ignored_example_may_be_invalid(backend: Backend) -> None:
    logits = LOGITS.copy()
    logits[0], logits[1, 0], logits[2] = NAN, INF, -INF
    labels = np.array([-100, -100, -100, 2, 1, 3])
    kept = labels != -100
    loss = by_definition(LOGITS[kept], labels[kept])[0]
    bound = bounds(LOGITS[kept], labels[kept])
    result = numbers(call(backend, logits, labels, ignore_index=-100, reduction="none"))
    assert (result[:3] == 0).all()
    assert_within(result[3:], loss, bound)


def test_a_mean_over_nothing_is_nan_and_a_sum_zero(backend: Backend) -> None:
    for options in VARIANTS:
        labels = np.full(6, -100)
        assert np.isnan(numbers(call(backend, LOGITS, labels, ignore_index=-100, **options)))
        for reduction, expected in (("sum", 0.0), ("none", np.zeros(6))):
            result = call(backend, LOGITS, labels, ignore_index=-100, reduction=reduction, **options)
            np.testing.assert_array_equal(numbers(result), expected)


def test_an_empty_batch(backend: Backend) -> None:
    nothing = np.zeros((0, 4), np.float32)
    for labels in (np.zeros(0, int), nothing):
        assert backend.shape(call(backend, nothing, labels, reduction="none")) == (0,)
        assert numbers(call(backend, nothing, labels, reduction="sum")) == 0
        assert np.isnan(numbers(call(backend, nothing, labels)))


# Masked classes, invalid rows, limits


def test_a_masked_class_with_target_mass_costs_infinitely_much(backend: Backend) -> None:
    logits = np.float32([[0.0, -INF, 1.0], [0.0, -INF, 1.0]])
    result = call(backend, logits, [1, 0], reduction="none")
    assert numbers(result)[0] == INF
    assert_within(numbers(result)[1:], [math.log1p(math.e)], bounds(logits[1:], [0]))
    masses = np.float32([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    result = numbers(call(backend, logits, masses, reduction="none"))
    assert result[0] == INF
    assert_within(result[1:], [math.log1p(math.e) - 0.5], bounds(logits[1:], masses[1:]))
    # smoothing spreads over all classes, masked or not
    np.testing.assert_array_equal(
        numbers(call(backend, logits, [0, 2], label_smoothing=0.1, reduction="none")), [INF, INF]
    )


def test_a_label_without_a_share_of_the_mass_decides_nothing(backend: Backend) -> None:
    """With a smoothing of 1 a label may be masked; what is masked and has a share still costs infinitely much."""
    logits, options = np.float32([[0.0, -INF, 1.0]]), {"label_smoothing": 1.0}
    assert numbers(call(backend, logits, [1], reduction="none", **options))[0] == INF
    options["class_weights"] = np.float32([1, 0, 1])
    expected = -log_softmax([[0.0, 1.0]]).sum(-1) / 3
    bound = bounds(logits, [1], **options)
    assert_within(call(backend, logits, [1], reduction="none", **options), expected, bound)


def test_a_masked_class_of_weight_zero_costs_nothing(backend: Backend) -> None:
    logits = np.float32([[0.0, -INF, 1.0]])
    weights = np.float32([1.0, 0.0, 1.0])
    result = call(backend, logits, [1], class_weights=weights, reduction="none")
    np.testing.assert_array_equal(numbers(result), [0.0])
    smoothed = numbers(call(backend, logits, [0], class_weights=weights, label_smoothing=0.3, reduction="none"))
    without = log_softmax([0.0, 1.0])
    bound = bounds(np.float32([[0.0, 1.0]]), [0])
    assert_within(smoothed, [-(0.7 + 0.1) * without[0] - 0.1 * without[1]], 2 * bound)


@pytest.mark.parametrize("row", [[NAN, 0.0, 1.0], [INF, 0.0, 1.0], [NAN, INF, 1.0], [-INF, -INF, -INF]])
def test_an_invalid_row_is_nan_whatever_its_label(backend: Backend, row: list[float]) -> None:
    for labels in (np.array([0, 1, 2]), np.eye(3, dtype=np.float32)):
        for options in ({}, {"label_smoothing": 0.1}, {"temperature": 0.0}, {"temperature": INF}):
            result = call(backend, np.float32([row] * 3), labels, reduction="none", **options)
            assert np.isnan(numbers(result)).all()


def test_temperatures_at_their_limits(backend: Backend) -> None:
    logits = [[1.0, 3.0, 3.0, 2.0]] * 2
    for zero in (0.0, make(backend, 0.0)):
        result = numbers(call(backend, logits, [1, 0], temperature=zero, reduction="none"))
        assert result[0] == np.float32(math.log(2))
        assert result[1] == INF
    for hot in (INF, make(backend, INF)):
        result = numbers(call(backend, logits, [1, 0], temperature=hot, reduction="none"))
        np.testing.assert_array_equal(result, [np.float32(math.log(4))] * 2)


def test_a_negative_entry_of_an_array_temperature_is_nan(backend: Backend) -> None:
    t = make(backend, [[-1.0], [1.0]])
    result = numbers(call(backend, LOGITS[:2], LABELS[:2], temperature=t, reduction="none"))
    np.testing.assert_array_equal(np.isnan(result), [True, False])


# Dtypes and kinds


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_dtype_is_that_of_the_logits(backend: Backend, dtype: str, reduction: str) -> None:
    with allowing("float64"):
        logits = make(backend, LOGITS, dtype)
        for labels in (
            make(backend, LABELS, "int32"),
            make(backend, TARGETS, "float32"),
            make(backend, TARGETS, dtype),
        ):
            result = tempscale.cross_entropy(logits, labels, reduction=reduction)
            assert backend.dtype_name(result) == dtype
            assert backend.shape(result) == ((6,) if reduction == "none" else ())
            assert backend.device_of(result) == backend.device_of(logits)


def test_a_full_reduction_is_what_the_framework_returns_for_its_own(backend: Backend) -> None:
    own = backend.namespace.max(make(backend, LOGITS))
    for reduction in ("mean", "sum"):
        assert type(call(backend, LOGITS, LABELS, reduction=reduction)) is type(own)


def test_no_argument_is_written_to(backend: Backend) -> None:
    arrays = [
        make(backend, LOGITS),
        make(backend, np.where(LABELS == 2, -100, LABELS), "int32"),
        make(backend, WEIGHTS),
    ]
    before = [numbers(x) for x in arrays]
    for t in (0.7, 0.0, make(backend, 0.7)):
        tempscale.cross_entropy(
            *arrays[:2], class_weights=arrays[2], ignore_index=-100, temperature=t, label_smoothing=0.1
        )
    for array, values in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(numbers(array), values)


# Errors


def test_labels_must_fit(backend: Backend) -> None:
    with pytest.raises(ValueError, match=r"labels has shape \(5,\), expected \(6,\): labels that are classes"):
        call(backend, LOGITS, LABELS[:5])
    with pytest.raises(ValueError, match=r"labels has shape \(6, 4\), expected \(6,\)"):
        call(backend, LOGITS, np.zeros((6, 4), int))
    with pytest.raises(ValueError, match=r"labels has shape \(6,\), expected \(6, 4\): .* probabilities"):
        call(backend, LOGITS, np.zeros(6, np.float32))
    with pytest.raises(TypeError, match="labels is bool, expected integers"):
        tempscale.cross_entropy(make(backend, LOGITS), make(backend, LABELS > 1, "bool"))


def test_options_must_be_possible(backend: Backend) -> None:
    for smoothing in (-0.1, 1.1, NAN):
        with pytest.raises(ValueError, match="expected a number between 0 and 1"):
            call(backend, LOGITS, LABELS, label_smoothing=smoothing)
    with pytest.raises(ValueError, match="reduction is 'batchmean', expected one of 'mean', 'sum', 'none'"):
        call(backend, LOGITS, LABELS, reduction="batchmean")
    with pytest.raises(ValueError, match="ignore_index is for labels that are classes"):
        call(backend, LOGITS, TARGETS, ignore_index=-100)
    for weights in ([1.0, 2.0], np.ones((1, 4))):
        with pytest.raises(ValueError, match=r"expected one weight per class, \(4,\)"):
            call(backend, LOGITS, LABELS, class_weights=weights)
    with pytest.raises(ValueError, match=r"class_weights has shape \(\), expected one weight per class, \(4,\)"):
        tempscale.cross_entropy(make(backend, LOGITS), make(backend, LABELS, "int32"), class_weights=2.0)
    with pytest.raises(ValueError, match=r"temperature has shape \(6,\).*pass T\[:, None\]"):
        call(backend, LOGITS, LABELS, temperature=make(backend, np.ones(6)))
    with pytest.raises(ValueError, match="no entries along axis 1"):
        call(backend, np.zeros((6, 0)), LABELS)
    with pytest.raises(TypeError, match="logits is bool"):
        tempscale.cross_entropy(make(backend, LOGITS > 0, "bool"), make(backend, LABELS, "int32"))


# The tables for those who port: what the docstrings say of other libraries is so

SAME = 32 * 2.0**-53  # two float64 computations of losses of about 3
X, Q = (np.random.default_rng(seed).standard_normal((6, 4)) for seed in (1, 2))


def assert_same(one: Any, other: Any, within: float = SAME) -> None:
    np.testing.assert_allclose(np.asarray(one, np.float64), np.asarray(other, np.float64), rtol=within, atol=within)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS.astype(np.float64)])
def test_classes_are_as_in_torch(torch: ModuleType, reduction: str, smoothing: float, weights: Any) -> None:
    """Weighted means, smoothing with weights and the label -100, once it is named."""
    labels = np.where(LABELS == 2, -100, LABELS)
    there = torch.nn.functional.cross_entropy(
        torch.tensor(X),
        torch.tensor(labels),
        weight=None if weights is None else torch.tensor(weights),
        label_smoothing=smoothing,
        reduction=reduction,
    )
    here = tempscale.cross_entropy(
        X, labels, class_weights=weights, label_smoothing=smoothing, reduction=reduction, ignore_index=-100
    )
    assert_same(here, there)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS.astype(np.float64)])
def test_the_mean_of_probabilities_in_torch_is_a_sum_over_the_examples(
    torch: ModuleType, smoothing: float, weights: Any
) -> None:
    targets = TARGETS.astype(np.float64)
    options = {"weight": None if weights is None else torch.tensor(weights), "label_smoothing": smoothing}
    there = torch.nn.functional.cross_entropy(torch.tensor(X), torch.tensor(targets), **options)
    options = {"class_weights": weights, "label_smoothing": smoothing}
    assert_same(tempscale.cross_entropy(X, targets, reduction="sum", **options) / 6, there)


def test_the_gradient_is_that_of_torch(torch: ModuleType) -> None:
    labels, weights = torch.tensor(np.where(LABELS == 2, -100, LABELS)), torch.tensor(WEIGHTS.astype(np.float64))
    one, other = (torch.tensor(X, requires_grad=True) for _ in range(2))
    torch.nn.functional.cross_entropy(one, labels, weight=weights, label_smoothing=0.1).backward()
    tempscale.cross_entropy(other, labels, class_weights=weights, label_smoothing=0.1, ignore_index=-100).backward()
    assert_same(other.grad, one.grad)


def test_the_weights_of_keras_are_those_of_examples(tf: ModuleType) -> None:
    keras = pytest.importorskip("keras")
    weights = np.linspace(0.0, 2.0, 6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    there = loss(LABELS, X.astype(np.float32), sample_weight=weights)
    here = (tempscale.cross_entropy(X.astype(np.float32), LABELS, reduction="none") * weights).mean()
    assert_same(here, there, within=32 * U)


def test_tensorflow_has_the_same_loss_per_example(tf: ModuleType) -> None:
    there = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, X)
    assert_same(tempscale.cross_entropy(X, LABELS, reduction="none"), there)


def test_keras_clips_probabilities(tf: ModuleType) -> None:
    keras = pytest.importorskip("keras")
    there = keras.losses.sparse_categorical_crossentropy(np.array([1]), np.float32([[1.0, 0.0]]))
    assert_same(there, [-math.log(1e-7)], within=32 * U)


def test_others_refuse_a_label_out_of_range(torch: ModuleType, tf: ModuleType) -> None:
    for label in (4, -1):
        with pytest.raises(IndexError, match="out of bounds"):
            torch.nn.functional.cross_entropy(torch.tensor(X[:1]), torch.tensor([label]))
        with pytest.raises(tf.errors.InvalidArgumentError), tf.device("CPU"):
            tf.nn.sparse_softmax_cross_entropy_with_logits([label], X[:1])
        with tempscale.checks(), pytest.raises(ValueError, match=rf"labels\[0\] is {label}: there are 4 classes"):
            tempscale.cross_entropy(X[:1], [label])


def test_optax(jax: ModuleType) -> None:
    optax = pytest.importorskip("optax")
    losses = optax.losses.softmax_cross_entropy_with_integer_labels
    x = jax.numpy.asarray(LOGITS)
    mask = LABELS != 2
    there = losses(x, jax.numpy.asarray(LABELS), where=jax.numpy.asarray(mask))
    here = tempscale.cross_entropy(x, np.where(mask, LABELS, -1).tolist(), ignore_index=-1, reduction="none")
    assert_same(here, there, within=32 * U)
    classes = np.array([True, False, True, True])
    labels = np.where(LABELS == 1, 0, LABELS)
    there = losses(x, jax.numpy.asarray(labels), where=jax.numpy.asarray(np.broadcast_to(classes, X.shape)))
    masked = jax.numpy.where(classes, x, -INF)
    assert_same(tempscale.cross_entropy(masked, labels.tolist(), reduction="none"), there, within=32 * U)
    wrong = losses(x[:2], jax.numpy.asarray([4, -1]))
    assert np.isnan(wrong[0])
    assert_same(wrong[1], tempscale.cross_entropy(LOGITS[1], 3), within=32 * U)


def test_the_divergences_of_torch(torch: ModuleType) -> None:
    log_p, log_q = torch.tensor(X).log_softmax(-1), torch.tensor(Q).log_softmax(-1)
    divergence = torch.nn.functional.kl_div
    there = divergence(log_q, log_p, log_target=True, reduction="batchmean")
    assert_same(tempscale.kl_divergence(X, Q).mean(), there)
    there = divergence(log_q, log_p, log_target=True, reduction="none").mean()
    assert_same(tempscale.kl_divergence(X, Q).mean() / 4, there)
    x, q = (a.reshape(2, 4, 3) for a in (X, Q))  # only the first axis counts as the batch
    there = divergence(
        torch.tensor(q).log_softmax(1), torch.tensor(x).log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert_same(tempscale.kl_divergence(x, q, axis=1).sum() / 2, there)


def test_the_divergence_of_keras(tf: ModuleType) -> None:
    keras = pytest.importorskip("keras")
    p, q = (tempscale.softmax(x.astype(np.float32)) for x in (X, Q))
    there = keras.losses.KLDivergence(reduction=None)(p, q)
    assert_same(tempscale.kl_divergence(X, Q), there, within=32 * U)


def test_the_divergence_of_optax(jax: ModuleType) -> None:
    optax = pytest.importorskip("optax")
    p, q = (jax.numpy.asarray(tempscale.log_softmax(x.astype(np.float32))) for x in (X, Q))
    assert_same(tempscale.kl_divergence(X, Q), optax.losses.kl_divergence_with_log_targets(q, p), within=32 * U)


def test_the_distillation_term_has_a_gradient_that_does_not_shrink_with_temperature(torch: ModuleType) -> None:
    """Hinton et al. 2015: for high temperatures it tends to that of the logits' squared distance, over n."""
    teacher, student = torch.tensor(X), torch.tensor(Q, requires_grad=True)
    t = 1e4
    (t**2 * tempscale.kl_divergence(teacher, student, temperature=t)).sum().backward()
    centred = (Q - Q.mean(-1, keepdims=True)) - (X - X.mean(-1, keepdims=True))
    np.testing.assert_allclose(student.grad, centred / 4, atol=np.abs(X).max() ** 2 / t)
