"""The option `precision`: how exact "accurate" is, and that "reproducible" has the same bits everywhere."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from exactness import assert_held, exact_of, make
from support import NAMES, require

import tempscale
from tempscale import Backend
from tempscale.kernels import exact
from tempscale.kernels.precision import BLOCK
from tempscale.testing.conformance.cases import groups

ROWWISE = ("softmax", "log_softmax", "logsumexp", "entropy")
INF, NAN = math.inf, math.nan
TINY = 2.0**-126
GROUPS = groups(np.dtype("float32"))
NUMPY = tempscale.get_backend("numpy")

each_operation = pytest.mark.parametrize("name", ROWWISE)


@pytest.fixture(params=NAMES)
def framework(request: pytest.FixtureRequest) -> Backend:
    return require(request.param)


def in_precision(name: str, precision: str, **options: Any) -> Any:
    return functools.partial(getattr(tempscale, name), precision=precision, **options)


def bits(x: Any) -> Any:
    """The bits of a result, NaNs made alike."""
    array = np.asarray(tempscale.to_numpy(x))
    return np.where(np.isnan(array), 0, array.view(f"u{array.itemsize}")) + np.isnan(array)


def differing(one: Any, other: Any) -> int:
    return int((bits(one) != bits(other)).sum())


def assert_within_one_ulp(found: Any, truth: Any) -> None:
    """The same where not finite or beyond float32; else an error of one spacing, or what is flushed to zero."""
    with np.errstate(over="ignore"):
        rounded = truth.astype(np.float32)
    found = tempscale.to_numpy(found).reshape(truth.shape)
    ordinary = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~ordinary], rounded[~ordinary])
    spacing = np.spacing(np.maximum(abs(rounded[ordinary]), np.float32(TINY)))
    step = np.where(abs(truth[ordinary]) < TINY, TINY, spacing)
    assert (abs(found[ordinary] - truth[ordinary]) <= step).all()


# What is delicate. One shape for everything, which each framework compiles for once.


def delicate() -> tuple[Any, Any, Any]:
    """The cases of the conformance run and more: logits, temperatures per row, a mask."""
    group = GROUPS["rows"].operands
    rng = np.random.default_rng(5)
    n = group["logits"].shape[1]
    normal = rng.standard_normal((8, n))
    more = [
        (1e-40 * normal[0], 1.0),  # nothing but subnormal numbers
        (np.resize([0.0, -0.0, 1e-40, -1e-40, TINY, -TINY, 6e-8, -6e-8, 1e-45], n), 1.0),
        (1e38 * normal[1], 1e37),
        (np.resize([3e38, -3e38, 0.0], n), 1.0),
        (1e-38 * np.arange(n), 2.0**-126),
        (np.linspace(-200, 0, n), 1.0),
        (np.where(np.arange(n) == 3, 150.0, normal[2]), 1.0),  # the others' mass is below 2^-200
        (np.where(np.arange(n) == 3, 5.0, 5.0 - 2.0**-20), 0.7),
        (normal[3], -1.0),
        (normal[4], NAN),
        (np.where(np.arange(n) == 3, NAN, INF), 1.0),
    ]
    with np.errstate(over="ignore"):
        logits = np.concatenate([group["logits"], np.float32([row for row, _ in more])])
    temperature = np.concatenate([group["temperature"], np.float32([[t] for _, t in more])])
    return logits, temperature, rng.random(logits.shape) < 0.8


LOGITS, TEMPERATURE, MASK = delicate()
ROWS, CLASSES = LOGITS.shape
# a subnormal number is zero to "reproducible", which T = 0 and the like would show
FLUSHED = np.where(abs(LOGITS) < TINY, 0, LOGITS)
rng = np.random.default_rng(6)
LABELS = rng.integers(0, CLASSES, ROWS).astype(np.int32)
LABELS[:40:7] = -100
INVALID = np.where(np.arange(ROWS) % 9 == 4, CLASSES, LABELS).astype(np.int32)
PROBABILITIES = rng.dirichlet(np.ones(CLASSES), ROWS).astype(np.float32)
PROBABILITIES[:, ::5] = 0
WEIGHTS = rng.uniform(0, 3, CLASSES).astype(np.float32)
WEIGHTS[::6] = 0


def truth_of(name: str, *operands: Any, logits: Any = FLUSHED, temperature: Any = TEMPERATURE, **options: Any) -> Any:
    options = {key: np.float64(x) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    operands = tuple([x if x.dtype.kind == "i" else np.float64(x) for x in operands])
    return exact_of(name, np.float64(logits), *operands, temperature=np.float64(temperature), **options)["value"]


# Within 1 ulp


@each_operation
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_rows_are_within_one_ulp_of_the_truth(name: str, precision: str, masked: bool, framework: Backend) -> None:
    options = {"where": make(framework, MASK, "bool")} if masked else {}
    fn = in_precision(name, precision, **options)
    found = fn(make(framework, FLUSHED), temperature=make(framework, TEMPERATURE))
    truth = truth_of(name, logits=np.where(MASK, FLUSHED, -INF) if masked else FLUSHED)
    assert_within_one_ulp(found, truth)


@each_operation
@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_are_rounded_from_that(name: str, precision: str, dtype: str) -> None:
    logits = make(NUMPY, GROUPS["rows"].operands["logits"], dtype)
    temperature = GROUPS["rows"].operands["temperature"]
    truth = truth_of(name, logits=np.float64(logits), temperature=temperature)
    found = in_precision(name, precision)(logits, temperature=temperature)
    with np.errstate(over="ignore"):
        rounded = truth.astype(np.float32).astype(logits.dtype)
        ends = [(truth * (1 + sign * 2.0**-23)).astype(np.float32).astype(logits.dtype) for sign in (-1, 1)]
    found, rounded, *ends = [np.float64(x).reshape(truth.shape) for x in (found, rounded, *ends)]
    near = np.isfinite(rounded) & (abs(truth) > 2.0**-13)
    np.testing.assert_array_equal(found[~np.isfinite(rounded)], rounded[~np.isfinite(rounded)])
    assert (np.minimum(*ends)[near] <= found[near]).all()
    assert (found[near] <= np.maximum(*ends)[near]).all()


@each_operation
def test_rows_of_a_large_vocabulary(name: str) -> None:
    logits, temperature = GROUPS["wide"].operands["logits"], GROUPS["wide"].operands["temperature"]
    truth = truth_of(name, logits=logits, temperature=temperature)
    reproducible = in_precision(name, "reproducible")(logits, temperature=temperature)
    assert_within_one_ulp(reproducible, truth)
    assert_within_one_ulp(in_precision(name, "accurate")(logits, temperature=temperature), truth)
    for framework in map(require, NAMES[1:]):
        found = in_precision(name, "reproducible")(make(framework, logits), temperature=make(framework, temperature))
        assert differing(found, reproducible) == 0, framework.name


LOSSES: tuple[tuple[Any, dict[str, Any]], ...] = (
    (LABELS, {"ignore_index": -100}),
    (INVALID, {"ignore_index": -100, "label_smoothing": 0.1}),
    (LABELS, {"ignore_index": -100, "class_weights": WEIGHTS}),
    (LABELS, {"ignore_index": -100, "class_weights": WEIGHTS, "label_smoothing": 0.3}),
    (PROBABILITIES, {}),
    (PROBABILITIES, {"class_weights": WEIGHTS, "label_smoothing": 0.3}),
)
each_loss = pytest.mark.parametrize(("labels", "options"), LOSSES, ids=lambda x: "" if isinstance(x, dict) else x.dtype)


def loss(
    backend: Backend, labels: Any, logits: Any = LOGITS, *, precision: str = "reproducible", **options: Any
) -> Any:
    labels = make(backend, labels, str(labels.dtype))
    options = {key: make(backend, x) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    return tempscale.cross_entropy(make(backend, logits), labels, precision=precision, **options)


@each_loss
@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_losses_are_within_one_ulp_of_the_truth(
    labels: Any, options: dict[str, Any], precision: str, framework: Backend
) -> None:
    found = loss(framework, labels, FLUSHED, temperature=TEMPERATURE, precision=precision, reduction="none", **options)
    assert_within_one_ulp(found, truth_of("cross_entropy", labels, **options))


@each_loss
def test_sums_and_means_are_within_one_ulp_too(labels: Any, options: dict[str, Any]) -> None:
    rows = np.random.default_rng(8).permutation(
        np.flatnonzero(np.isfinite(truth_of("cross_entropy", labels, **options)))
    )
    labels, logits, temperature = labels[rows], FLUSHED[rows], TEMPERATURE[rows]
    truth = truth_of("cross_entropy", labels, logits=logits, temperature=temperature, **options)
    weights = np.longdouble(options.get("class_weights", np.ones(CLASSES)))
    if labels.ndim == 1:
        weight = np.where(labels == -100, 0, weights[np.maximum(labels, 0)])
    else:
        weight = (weights * labels).sum(-1)
    found = [loss(NUMPY, labels, logits, temperature=temperature, reduction=r, **options) for r in ("sum", "mean")]
    assert_within_one_ulp(found[0], truth.sum())
    assert_within_one_ulp(found[1], truth.sum() / weight.sum())


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_what_cancels_is_within_a_fraction_of_the_magnitudes(precision: str) -> None:
    shift = np.float32(-math.log(CLASSES))
    rows = np.random.default_rng(11).standard_normal((200, CLASSES)) * 1e-4
    logits = (rows + shift).astype(np.float32)
    truth = truth_of("logsumexp", logits=logits, temperature=1.0)
    assert (abs(truth) < 1e-3).all()
    found = in_precision("logsumexp", precision)(logits)
    assert (abs(found - truth) <= np.spacing(abs(truth).astype(np.float32)) - 2.0**-33 * shift).all()
    weights = np.resize(np.float32([1, -1, 0.5]), CLASSES)
    targets = np.resize(PROBABILITIES[0], logits.shape)
    found = loss(NUMPY, targets, logits, precision=precision, reduction="none", class_weights=weights)
    truth = truth_of("cross_entropy", targets, logits=logits, temperature=1.0, class_weights=weights)
    size = truth_of("cross_entropy", targets, logits=logits, temperature=1.0, class_weights=abs(weights))
    assert (abs(found - truth) <= np.spacing(abs(truth).astype(np.float32)) + 2.0**-33 * size).all()


@pytest.mark.parametrize("largest", [1.0, 1e-30, 1e300])
def test_sums_are_exact_and_the_same_in_any_order(largest: float) -> None:
    """To 2^-60 of the largest magnitude for each of the numbers; what is not finite decides."""
    numbers = largest * np.random.default_rng(2).standard_normal(100_000) ** 9
    truth = math.fsum(numbers)
    found = exact.exact_sum(numbers, 0, np)[0]
    assert abs(found - truth) <= len(numbers) * 2.0**-60 * abs(numbers).max() + math.ulp(truth)
    assert exact.exact_sum(np.sort(numbers), 0, np)[0] == found
    for special, expected in (([INF, 1.0], INF), ([-INF, 1.0], -INF), ([INF, -INF], NAN), ([NAN, INF], NAN)):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(exact.exact_sum(np.array(special), 0, np), [expected])


# The same bits


def once(logits: Any, temperature: Any, mask: Any, labels: Any, probabilities: Any, weights: Any) -> tuple[Any, ...]:
    """Each operation, of arguments that are the arrays above."""
    options = {"temperature": temperature, "class_weights": weights, "label_smoothing": 0.1, "reduction": "none"}
    return (
        *[in_precision(name, "reproducible")(logits, temperature=temperature, where=mask) for name in ROWWISE],
        in_precision("cross_entropy", "reproducible")(logits, labels, **options),
        in_precision("log_prob", "reproducible")(logits, labels, temperature=temperature, where=mask),
    )


def everything(logits: Any, temperature: Any, mask: Any, labels: Any, probabilities: Any, weights: Any) -> Any:
    """Each operation by an array and by a number, and the losses of other kinds."""
    loss = in_precision("cross_entropy", "reproducible")
    options = {"temperature": temperature, "class_weights": weights, "label_smoothing": 0.1, "reduction": "none"}
    return (
        *once(logits, temperature, mask, labels, probabilities, weights),
        *[in_precision(name, "reproducible")(logits, temperature=0.7) for name in ROWWISE],
        loss(logits, probabilities, **options),
        loss(logits[:8], labels[:8], ignore_index=-100),
        loss(logits[:8], probabilities[:8], reduction="sum"),
    )


def arguments(backend: Backend, dtype: str = "float32") -> list[Any]:
    return [
        make(backend, LOGITS, dtype),
        *[make(backend, x, str(x.dtype)) for x in (TEMPERATURE, MASK, INVALID, PROBABILITIES, WEIGHTS)],
    ]


def assert_same_bits(found: Any, expected: Any) -> None:
    assert [differing(*pair) for pair in zip(found, expected, strict=True)] == [0] * len(found)


@functools.cache
def expected() -> Any:
    return everything(*arguments(NUMPY))


@pytest.mark.parametrize("name", NAMES[1:])
def test_eager_results_have_the_same_bits(name: str) -> None:
    assert_same_bits(everything(*arguments(require(name))), expected())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_are_the_same_too(dtype: str) -> None:
    def some(logits: Any, temperature: Any, mask: Any, labels: Any, *_: Any) -> Any:
        return (
            in_precision("softmax", "reproducible")(logits, temperature=temperature, where=mask),
            in_precision("logsumexp", "reproducible")(logits, temperature=temperature),
            in_precision("cross_entropy", "reproducible")(logits, labels, reduction="none"),
        )

    of_numpy = some(*arguments(NUMPY, dtype))
    for framework in map(require, NAMES[1:]):
        assert_same_bits(some(*arguments(framework, dtype)), of_numpy)


@pytest.mark.parametrize("compiler", ["jax.jit", "tf.function", "tf.function(jit_compile=True)", "torch.compile"])
def test_compiled_results_have_the_same_bits(compiler: str) -> None:
    framework = require({"jax.jit": "jax", "torch.compile": "torch"}.get(compiler, "tensorflow"))
    if problem := framework.compiler_problem(compiler):
        pytest.skip(problem)
    fn = once if compiler == "torch.compile" else everything  # Inductor takes its time
    found = framework.jit(fn, compiler=compiler)(*arguments(framework))
    assert_same_bits(found, expected()[: len(found)])


def test_unknown_dimensions() -> None:
    framework = require("tensorflow")
    assert_same_bits(framework.jit(everything, unknown_dims=True)(*arguments(framework)), expected())


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_torch_compiles_them_where_every_size_is_unknown(precision: str, torch: Any) -> None:
    labels = torch.tensor([0, 1])

    def all_of(x: Any) -> Any:
        losses = [in_precision(name, precision)(x, labels) for name in ("log_prob", "cross_entropy")]
        return [in_precision(name, precision)(x) for name in ROWWISE] + losses

    x = torch.linspace(-1, 3, 14).reshape(2, 7)
    found = torch.compile(all_of, fullgraph=True, dynamic=True, backend="aot_eager")(x)
    assert all(torch.equal(one, other) for one, other in zip(found, all_of(x), strict=True))


def test_a_number_has_the_bits_of_an_array(framework: Backend) -> None:
    x, labels = make(framework, LOGITS), make(framework, LABELS, "int32")
    for t in (0.75, 0.0, INF, 2.0**-127, 2.0**126, 2.0**127):
        for name in ROWWISE:
            fn = in_precision(name, "reproducible")
            assert differing(fn(x, temperature=t), fn(x, temperature=make(framework, t))) == 0, (name, t)
        one, other = (
            tempscale.cross_entropy(x, labels, temperature=given, precision="reproducible", reduction="none")
            for given in (t, make(framework, t))
        )
        assert differing(one, other) == 0, t


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 3)])
def test_the_classes_may_lie_on_any_axis(shape: tuple[int, ...], framework: Backend) -> None:
    axis = shape.index(4)
    rng = np.random.default_rng(7)
    logits = rng.standard_normal(shape).astype(np.float32)
    probabilities, labels = rng.random(shape).astype(np.float32), rng.integers(0, 4, np.delete(shape, axis))
    mask, t = rng.random(shape) < 0.8, rng.uniform(0.5, 2, np.where(np.arange(len(shape)) == axis, 1, shape))
    rows, row_mask, targets = (np.moveaxis(x, axis, -1).reshape(-1, 4) for x in (logits, mask, probabilities))
    per_row = np.float32(np.moveaxis(t, axis, -1).reshape(-1, 1))
    for name in ROWWISE:
        found = in_precision(name, "reproducible", axis=axis)(
            make(framework, logits), temperature=make(framework, t), where=make(framework, mask, "bool")
        )
        found = tempscale.to_numpy(found)
        found = np.moveaxis(found, axis, -1).reshape(-1, 4) if found.ndim == len(shape) else found.reshape(-1)
        assert differing(found, in_precision(name, "reproducible")(rows, temperature=per_row, where=row_mask)) == 0
    for given, flat in ((labels.astype(np.int32), labels.reshape(-1)), (probabilities, targets)):
        options = {"reduction": "none", "class_weights": np.float32([1, 2, 0, 3]), "label_smoothing": 0.2}
        found = loss(framework, given, logits, axis=axis, temperature=np.float32(t), **options)
        alone = loss(NUMPY, flat, rows, temperature=per_row, **options)
        assert differing(tempscale.to_numpy(found).reshape(-1), alone) == 0


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
@pytest.mark.parametrize("name", ["softmax", "entropy"])
def test_blocks(name: str, precision: str, framework: Backend) -> None:
    """Rows along the first axis, more of them than one block holds, with masks and temperatures of their own."""
    rng = np.random.default_rng(9)
    values, t = rng.standard_normal((300, 3, 400)).astype(np.float32), rng.uniform(0.5, 2, (1, 3, 400))
    assert values.size > BLOCK
    mask, t = rng.random((300, 1, 1)) < 0.9, np.float32(t)
    options = {"keepdims": True} if name == "entropy" else {}
    found = in_precision(name, precision, axis=0, **options)(
        make(framework, values), temperature=make(framework, t), where=make(framework, mask, "bool")
    )
    truth = exact_of(name, np.float64(np.where(mask, values, -INF)), temperature=np.float64(t), axis=0)["value"]
    found = np.moveaxis(tempscale.to_numpy(found), 0, -1)
    assert found.shape == (3, 400, 1 if options else 300)
    assert_within_one_ulp(found, truth)


def test_losses_of_blocks(framework: Backend) -> None:
    rng = np.random.default_rng(10)
    logits = rng.standard_normal((3, 300, 400)).astype(np.float32)
    assert logits.size > BLOCK
    for labels in (rng.integers(0, 300, (3, 400)).astype(np.int32), rng.random(logits.shape).astype(np.float32)):
        options = {"axis": 1, "class_weights": rng.random(300).astype(np.float32), "label_smoothing": 0.1}
        for reduction in ("none", "mean"):
            found = loss(framework, labels, logits, reduction=reduction, **options)
            if reduction == "none":
                rows = labels.reshape(-1) if labels.ndim == 2 else np.moveaxis(labels, 1, -1).reshape(-1, 300)
                assert_within_one_ulp(
                    tempscale.to_numpy(found).reshape(-1),
                    truth_of(
                        "cross_entropy",
                        rows,
                        logits=np.moveaxis(logits, 1, -1).reshape(-1, 300),
                        temperature=1.0,
                        class_weights=options["class_weights"],
                        label_smoothing=0.1,
                    ),
                )
            assert differing(found, loss(NUMPY, labels, logits, reduction=reduction, **options)) == 0


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_nothing_to_compute(precision: str, framework: Backend) -> None:
    nothing = make(framework, np.zeros((0, CLASSES)))
    for name in ROWWISE:
        shape = framework.shape(in_precision(name, precision)(nothing))
        assert shape == ((0, CLASSES) if "softmax" in name else (0,))
    for labels in (np.zeros(0, np.int32), np.zeros((0, CLASSES), np.float32)):
        of = functools.partial(loss, framework, labels, np.zeros((0, CLASSES)), precision=precision)
        assert framework.shape(of(reduction="none")) == (0,)
        assert tempscale.to_numpy(of(reduction="sum")) == 0
        assert np.isnan(tempscale.to_numpy(of()))


def test_the_operations_are_exact_by_themselves(framework: Backend) -> None:
    with framework.allowing("float64"):
        k = np.arange(-1022.0, 1024.0)
        found = tempscale.to_numpy(exact.power_of_two(make(framework, k, "float64")))
        np.testing.assert_array_equal(found, np.ldexp(1.0, k.astype(int)))
        x = np.array([TINY, -TINY, np.nextafter(TINY, 0), -1e-40, 0.0, -0.0, INF, -INF, NAN, 1.0])
        for dtype, below in (("float64", np.nextafter(TINY, 0)), ("float32", TINY - 2.0**-149)):
            x[2] = below
            found = exact.flushed(make(framework, x, dtype))
            assert differing(found, np.where(abs(x) < TINY, 0, x).astype(dtype)) == 0
        x = np.array([0.5, 1.5, -0.5, -2.5, 2.0**50 + 1, -(2.0**50), 0.0])
        found = exact.whole_sum(make(framework, x, "float64"), axis=0)
        np.testing.assert_array_equal(tempscale.to_numpy(found), [1.0])


def test_the_body_of_a_power_of_two_is_exact() -> None:
    k = np.arange(-1022.0, 1024.0)
    np.testing.assert_array_equal(exact.power_of_two.body(k, xp=np), np.ldexp(1.0, k.astype(int)))


def test_a_backend_without_natives_has_the_same_bits(strict: Backend) -> None:
    x, labels = make(strict, LOGITS), make(strict, INVALID, "int32")
    for name in ROWWISE:
        fn = in_precision(name, "reproducible")
        with np.errstate(all="ignore"):
            found = fn(x, temperature=make(strict, TEMPERATURE), where=make(strict, MASK, "bool"))
        assert differing(found, fn(LOGITS, temperature=TEMPERATURE, where=MASK)) == 0
    options = {"label_smoothing": 0.1, "precision": "reproducible"}
    with np.errstate(all="ignore"):
        found = tempscale.cross_entropy(x, labels, reduction="none", **options)
    assert differing(found, tempscale.cross_entropy(LOGITS, INVALID, reduction="none", **options)) == 0


def test_xla_does_not_contract_the_polynomial(jax: Any) -> None:
    """Were the product not kept apart from the sum, XLA would round once where NumPy rounds twice."""
    f = np.random.default_rng(3).random(2**14)

    def contractible(x: Any, xp: Any) -> Any:
        result = x * exact.EXP2[0]
        for coefficient in exact.EXP2[1:-1]:
            result = (result + coefficient) * x
        return result + exact.EXP2[-1]

    def kept_apart(x: Any, xp: Any) -> Any:
        return exact.polynomial(exact.EXP2, x, xp)

    with jax.enable_x64(True):
        found = {fn: jax.jit(functools.partial(fn, xp=jax.numpy))(f) for fn in (contractible, kept_apart)}
        assert differing(found[kept_apart], kept_apart(f, np)) == 0
        if differing(found[contractible], contractible(f, np)) == 0:
            pytest.skip("XLA contracts nothing on this machine")


# Derivatives


@pytest.mark.parametrize(
    ("name", "precision"),
    [*[(name, "accurate") for name in ROWWISE], ("entropy", "reproducible"), ("cross_entropy", "accurate")],
)
def test_gradients_hold_the_contract_of_the_default(name: str, precision: str, differentiating: Backend) -> None:
    backend = differentiating
    rng = np.random.default_rng(4)
    x, t = rng.standard_normal((3, 7)).astype(np.float32), np.float32([[0.5], [1.0], [2.0]])
    x[1, 2] = -INF
    labels = np.array([0, 1, 5], np.int32)
    extra = [labels] if name == "cross_entropy" else []
    truth = exact_of(name, x, *extra, temperature=t)
    g = np.where(np.isinf(truth["value"]), 0, rng.standard_normal(truth["value"].shape)).astype(np.float32)
    gradients = truth["gradients"](g.astype(np.float64))
    contract = getattr(tempscale, name).specification.contract

    def fn(x: Any, t: Any) -> Any:
        options = {"reduction": "none"} if extra else {}
        given = [make(backend, y, "int32") for y in extra]
        return in_precision(name, precision, **options)(x, *given, temperature=t)

    found = backend.vjp(fn, [make(backend, x), make(backend, t)], make(backend, g))
    for operand, result in zip(("logits", "temperature"), found, strict=True):
        bound = contract.bound(operand, **{**truth["quantities"], **gradients})
        assert (abs(tempscale.to_numpy(result) - gradients[operand]) <= bound).all()


SMOOTH = np.float32([[0.5, -1.0, 2.0, 0.25], [9.0, 1.0, -3.0, 0.0], [1.0, 1.0, 1.0, -0.5]])
PER_ROW = np.float32([[0.5], [1.0], [2.0]])
COTANGENT, ALONG = (np.random.default_rng(seed).standard_normal((3, 4)).astype(np.float32) for seed in (1, 2))


def gradient_and_product(backend: Backend, name: str, precision: str, dtype: str = "float32") -> list[Any]:
    """The gradient in logits and temperatures of a weighted sum of results, and its derivative along a direction."""
    xp = backend.namespace
    g, v = (make(backend, x, dtype) for x in (COTANGENT, ALONG))
    labels = [make(backend, [0, 3, 1], "int32")] if name == "cross_entropy" else []

    def weighted(x: Any, t: Any) -> Any:
        options = {"reduction": "none"} if labels else {}
        found = getattr(tempscale, name)(x, *labels, temperature=t, precision=precision, **options)
        return xp.sum(found * (g if len(found.shape) == 2 else g[:, 0]))

    def slope(x: Any, t: Any) -> Any:
        to_logits, to_temperature = tempscale.grad(weighted, argnums=(0, 1))(x, t)
        return xp.sum(to_logits * v) + xp.sum(to_temperature * v[:, :1])

    arrays = [make(backend, x, dtype) for x in (SMOOTH, PER_ROW)]
    found = [tempscale.grad(fn, argnums=(0, 1))(*arrays) for fn in (weighted, slope)]
    return [tempscale.to_numpy(x) for pair in found for x in pair]


@pytest.mark.parametrize("name", [*ROWWISE, "cross_entropy"])
def test_derivatives_of_reproducible_are_those_of_the_default(name: str, framework: Backend) -> None:
    """The gradient and the product of the Hessian with a vector, bit by bit."""
    found, default = (gradient_and_product(framework, name, p) for p in ("reproducible", "default"))
    assert [differing(*pair) for pair in zip(found, default, strict=True)] == [0] * 4


@pytest.mark.parametrize("name", ["log_softmax", "entropy"])
def test_derivatives_of_accurate_are_those_in_float64_rounded(name: str, framework: Backend) -> None:
    found = gradient_and_product(framework, name, "accurate")
    with framework.allowing("float64"):
        wide = gradient_and_product(framework, name, "default", "float64")
    for one, other in zip(found, wide, strict=True):
        # each entry is rounded once; what cancels in it was rounded in float64
        assert (abs(one - other) <= np.spacing(abs(other).astype(np.float32)) + 2.0**-44).all()


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_vmap(precision: str, framework: Backend) -> None:
    x = make(framework, np.random.default_rng(6).standard_normal((5, 11)))
    fn = in_precision("log_softmax", precision)
    np.testing.assert_array_equal(tempscale.to_numpy(framework.vmap(fn)(x)), tempscale.to_numpy(fn(x)))
    labels = make(framework, [0, 3, 10, 2, 7], "int32")
    fn = in_precision("cross_entropy", precision, reduction="none", label_smoothing=0.1)
    np.testing.assert_array_equal(tempscale.to_numpy(framework.vmap(fn)(x, labels)), tempscale.to_numpy(fn(x, labels)))


# Specials, errors, warnings


@each_operation
def test_accurate_for_float64_is_the_default(name: str) -> None:
    x = np.random.default_rng(1).standard_normal((4, 9))
    assert differing(in_precision(name, "accurate")(x), in_precision(name, "default")(x)) == 0


SPECIAL = np.array(
    [[1, NAN, 0], [1, INF, 0], [-INF, -INF, -INF], [2, -INF, 2], [0, 1, 3], [-1, -1, -1], [0, 0, -5]], np.float32
)


@each_operation
@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
@pytest.mark.parametrize("temperature", [0.5, 0.0, INF, "negative"])
def test_special_rows_are_as_by_default(name: str, precision: str, temperature: Any, framework: Backend) -> None:
    """What is not a number or not finite is the same. The default is within its contract, the other within an ulp."""
    t = make(framework, -1.0) if temperature == "negative" else temperature
    x = make(framework, SPECIAL)
    default, found = (tempscale.to_numpy(in_precision(name, p, temperature=t)(x)) for p in ("default", precision))
    number = -1.0 if temperature == "negative" else temperature
    assert_held(name, default, SPECIAL, temperature=number)
    assert_within_one_ulp(found, truth_of(name, logits=SPECIAL, temperature=number))


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_special_losses_are_as_by_default(precision: str, framework: Backend) -> None:
    masses = np.float32([[0, 1, 0], [1, 0, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0, 0], [1, 0, 1], [INF, 0, 0]])
    logits, temperature = np.tile(SPECIAL, (3, 1)), np.repeat(np.float32([[0.5], [0.0], [INF]]), len(SPECIAL), 0)
    for labels in (np.array([1, 0, 2, 1, 0, -100, 3], np.int32), masses):
        labels = np.tile(labels, (3,) + (1,) * (labels.ndim - 1))
        ignored = {"ignore_index": -100} if labels.ndim == 1 else {}
        for options in ({}, {"label_smoothing": 1.0, "class_weights": np.float32([1, 0, 2])}):
            options = {**ignored, **options}
            of = functools.partial(loss, framework, labels, logits, temperature=temperature, reduction="none")
            found, default = (tempscale.to_numpy(of(precision=p, **options)) for p in (precision, "default"))
            # a smoothing of 1 leaves nothing of a label, not even of an infinite mass
            given = np.where(labels == INF, 0, labels) if "label_smoothing" in options else labels
            assert_held("cross_entropy", default, logits, given, temperature=temperature, **options)
            truth = truth_of("cross_entropy", given, logits=logits, temperature=temperature, **options)
            assert_within_one_ulp(found, truth)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_special_sums_are_as_by_default(reduction: str) -> None:
    for row in range(len(SPECIAL)):
        for label in (0, 1, 2, 3, -100):
            of = functools.partial(loss, NUMPY, np.array([label, 2]), SPECIAL[[row, 4]], reduction=reduction)
            found, default = (of(precision=p, ignore_index=-100) for p in ("reproducible", "default"))
            assert np.isfinite(found) == np.isfinite(default)
            assert np.isfinite(found) or differing(found, default) == 0
    assert np.isnan(loss(NUMPY, LABELS[:1], LOGITS[:1], ignore_index=-100))


@pytest.mark.parametrize("name", [*ROWWISE])
def test_an_unknown_precision_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="'exact', expected one of 'default', 'accurate', 'reproducible'"):
        in_precision(name, "exact")([1.0, 2.0])


def test_what_cannot_be_reproduced_is_refused() -> None:
    with pytest.raises(TypeError, match="bfloat16 and float32, and logits is float64, as lists"):
        tempscale.softmax(np.ones(3), precision="reproducible")
    with pytest.raises(ValueError, match=r"at most 262144 classes \(2\^18\), and logits has 262145"):
        tempscale.softmax(np.ones(2**18 + 1, np.float32), precision="reproducible")
    with pytest.raises(TypeError, match="bfloat16 and float32, and logits is float64, as lists"):
        tempscale.cross_entropy(np.ones((1, 3)), [0], precision="reproducible")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_numpy_does_not_warn(precision: str) -> None:
    for temperature in (1.0, 1e-3, 0.0, INF, np.float32(-1.0)[None, None], TEMPERATURE[: len(SPECIAL)]):
        for name in ROWWISE:
            in_precision(name, precision)(np.float32([[3e38, -3e38, 0], *SPECIAL][-7:]), temperature=temperature)
    for labels, options in LOSSES:
        loss(NUMPY, labels, precision=precision, **options)
        loss(NUMPY, labels[:0], LOGITS[:0], precision=precision, **options)
