"""The option `precision`: how exact "accurate" is, and that "reproducible" has the same bits everywhere."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
from exactness import exact_of, make
from support import NAMES, require

import tempscale
from tempscale import Backend, _precision
from tempscale.testing.cases import groups
from tempscale.testing.ulp import ulp_distance

ROWWISE = ("softmax", "log_softmax", "logsumexp", "entropy")
INF, NAN = math.inf, math.nan
GROUPS = groups(np.dtype("float32"))

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


# Accurate


@each_operation
@pytest.mark.parametrize("group", ["rows", "wide", "one class"])
def test_accurate_is_within_one_ulp_of_the_truth(name: str, group: str, framework: Backend) -> None:
    logits, temperature = GROUPS[group].operands["logits"], GROUPS[group].operands["temperature"]
    truth = exact_of(name, logits.astype(np.float64), temperature=temperature.astype(np.float64))["value"]
    found = in_precision(name, "accurate")(make(framework, logits), temperature=make(framework, temperature))
    found = tempscale.to_numpy(found).reshape(truth.shape)
    with np.errstate(all="ignore"):
        assert ulp_distance(found, truth.astype(np.float32), "float32").max() <= 1
        ordinary = np.isfinite(truth) & (abs(truth) > 2.0**-126)
        step = np.spacing(abs(truth).astype(np.float32)).astype(np.longdouble)
        assert (abs(found - truth)[ordinary] <= step[ordinary]).all()


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}], ids=["classes", "smoothing"])
def test_accurate_cross_entropy_is_within_one_ulp(options: dict[str, Any], framework: Backend) -> None:
    logits, labels = GROUPS["wide"].operands["logits"][:3], GROUPS["wide"].operands["labels"][1:]
    truth = exact_of("cross_entropy", logits.astype(np.float64), labels, temperature=np.float64(0.7), **options)
    found = in_precision("cross_entropy", "accurate", reduction="none", temperature=0.7, **options)(
        make(framework, logits), make(framework, labels, "int32")
    )
    assert ulp_distance(tempscale.to_numpy(found), truth["value"].astype(np.float32), "float32").max() <= 1


@each_operation
def test_accurate_for_float64_is_the_default(name: str) -> None:
    x = np.random.default_rng(1).standard_normal((4, 9))
    assert differing(in_precision(name, "accurate")(x), in_precision(name, "default")(x)) == 0


# Reproducible


def inputs(dtype: str) -> tuple[Any, Any]:
    """120 000 logits as they occur, and then all that is delicate."""
    rng = np.random.default_rng(5)
    logits = 4 * rng.standard_normal((60, 2000))
    logits[::4] += rng.choice([30.0, 300.0], (15, 1)) * (np.arange(2000) == 7)
    logits[1::4] = np.round(logits[1::4])
    logits[2::8, ::3] = -INF
    logits[3::8] *= 1e-3
    temperature = rng.choice([0.05, 0.7, 1.0, 3.0, 0.0, INF], (60, 1))
    logits[:3, 0] = [NAN, INF, -INF]
    logits[4] = -INF
    logits[5, :9] = [0.0, -0.0, 1e-40, -1e-40, 6e-8, -6e-8, 1e-37, -1e-30, 1e-45]
    with np.errstate(over="ignore"):
        return make(tempscale.get_backend("numpy"), logits, dtype), temperature.astype(np.float32)


@each_operation
@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("float32", "number"), ("float32", "per row"), ("float16", "number"), ("bfloat16", "per row")],
)
def test_eager_results_have_the_same_bits(name: str, dtype: str, kind: str) -> None:
    logits, temperature = inputs(dtype)
    fn = in_precision(name, "reproducible")
    expected = fn(logits, temperature=0.7 if kind == "number" else temperature)
    for framework in map(require, NAMES[1:]):
        t = 0.7 if kind == "number" else make(framework, temperature)
        assert differing(fn(make(framework, logits, dtype), temperature=t), expected) == 0, framework.name


def everything(logits: Any, temperature: Any) -> tuple[Any, ...]:
    results = [in_precision(name, "reproducible")(logits, temperature=temperature) for name in ROWWISE]
    return (*results, in_precision("softmax", "reproducible")(logits, temperature=0.7))


@pytest.mark.parametrize("compiler", ["jax", "tensorflow", "tensorflow XLA"])
def test_compiled_results_have_the_same_bits(compiler: str) -> None:
    framework = require(compiler.split()[0])
    logits, temperature = inputs("float32")
    if compiler == "jax":
        compiled = framework.jit(everything)
    else:
        import tensorflow as tf

        compiled = tf.function(everything, autograph=False, jit_compile="XLA" in compiler)
    results = compiled(make(framework, logits), make(framework, temperature))
    for found, expected in zip(results, everything(logits, temperature), strict=True):
        assert differing(found, expected) == 0


def test_torch_compile_takes_it_as_one_graph(torch: Any) -> None:
    logits, temperature = inputs("float32")
    entropy = in_precision("entropy", "reproducible")
    compiled = torch.compile(lambda x, t: entropy(x, temperature=t), fullgraph=True, backend="aot_eager")
    found = compiled(torch.tensor(logits), torch.tensor(temperature))
    assert differing(found, entropy(logits, temperature=temperature)) == 0


def test_inductor_has_the_same_bits(torch: Any) -> None:
    problem = require("torch").compiler_problem("torch.compile")
    if problem:
        pytest.skip(problem)
    logits, _ = inputs("float32")
    softmax = in_precision("softmax", "reproducible", temperature=0.7)
    compiled = torch.compile(softmax, fullgraph=True)
    assert differing(compiled(torch.tensor(logits)), softmax(logits)) == 0


def test_unknown_dimensions(tf: Any) -> None:
    logits, temperature = inputs("float32")
    unknown = tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None, 1], tf.float32)
    results = tf.function(everything, autograph=False, input_signature=unknown)(logits, temperature)
    for found, expected in zip(results, everything(logits, temperature), strict=True):
        assert differing(found, expected) == 0


def test_xla_does_not_contract_the_polynomial(jax: Any) -> None:
    """Were the product not kept apart from the sum, XLA would round once where NumPy rounds twice."""
    f = np.random.default_rng(3).random(2**14)

    def contractible(x: Any, xp: Any) -> Any:
        result = x * _precision._EXP2[0]
        for coefficient in _precision._EXP2[1:-1]:
            result = (result + coefficient) * x
        return result + _precision._EXP2[-1]

    def kept_apart(x: Any, xp: Any) -> Any:
        return _precision.polynomial(_precision._EXP2, x, xp)

    with jax.enable_x64(True):
        found = {fn: jax.jit(functools.partial(fn, xp=jax.numpy))(f) for fn in (contractible, kept_apart)}
        assert differing(found[kept_apart], kept_apart(f, np)) == 0
        if differing(found[contractible], contractible(f, np)) == 0:
            pytest.skip("XLA contracts nothing on this machine")


@each_operation
def test_reproducible_is_accurate_too(name: str) -> None:
    logits, temperature = GROUPS["wide"].operands["logits"], GROUPS["wide"].operands["temperature"]
    truth = exact_of(name, logits.astype(np.float64), temperature=temperature.astype(np.float64))["value"]
    found = in_precision(name, "reproducible")(logits, temperature=temperature).reshape(truth.shape)
    assert ulp_distance(found, truth.astype(np.float32), "float32").max() <= 1


def test_powers_of_two_are_exact() -> None:
    k = -np.arange(257.0)
    np.testing.assert_array_equal(_precision.times_power_of_two(np.full(257, 1.75), k), np.ldexp(1.75, k.astype(int)))


# Both


SPECIAL = np.array(
    [[1, NAN, 0], [1, INF, 0], [-INF, -INF, -INF], [2, -INF, 2], [0, 1, 3], [-1, -1, -1], [0, 0, -5]], np.float32
)


@each_operation
@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
@pytest.mark.parametrize("temperature", [0.5, 0.0, INF, "negative"])
def test_special_rows_are_as_by_default(name: str, precision: str, temperature: Any, framework: Backend) -> None:
    t = make(framework, -1.0) if temperature == "negative" else temperature
    x = make(framework, SPECIAL)
    mask = make(framework, [[True, False, True]], "bool")
    for options in ({}, {"where": mask}) if temperature == 0.5 else ({},):
        expected = tempscale.to_numpy(in_precision(name, "default", temperature=t, **options)(x))
        found = tempscale.to_numpy(in_precision(name, precision, temperature=t, **options)(x))
        np.testing.assert_allclose(found, expected, rtol=2e-6)
        with_array = in_precision(name, precision, temperature=make(framework, t), **options)(x)
        assert differing(with_array, found) == 0


@pytest.mark.parametrize(("name", "precision"), [("softmax", "accurate"), ("entropy", "reproducible")])
def test_axis_keepdims_and_blocks(name: str, precision: str, framework: Backend) -> None:
    """Rows along the first axis, more of them than one block holds, with masks and temperatures of their own."""
    rng = np.random.default_rng(9)
    values, t = rng.standard_normal((300, 2, 300)).astype(np.float32), rng.uniform(0.5, 2, (1, 2, 300))
    mask = rng.random((300, 1, 1)) < 0.9
    options = {"keepdims": True} if name in ("logsumexp", "entropy") else {}
    found, expected = (
        in_precision(name, mode, axis=0, **options)(
            make(framework, values), temperature=make(framework, t), where=make(framework, mask, "bool")
        )
        for mode in (precision, "default")
    )
    assert found.shape == expected.shape
    np.testing.assert_allclose(tempscale.to_numpy(found), tempscale.to_numpy(expected), rtol=1e-4)


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
    exact = exact_of(name, x, *extra, temperature=t)
    g = np.where(np.isinf(exact["value"]), 0, rng.standard_normal(exact["value"].shape)).astype(np.float32)
    gradients = exact["gradients"](g.astype(np.float64))
    contract = getattr(tempscale, name).specification.contract

    def fn(x: Any, t: Any) -> Any:
        options = {"reduction": "none"} if extra else {}
        given = [make(backend, y, "int32") for y in extra]
        return in_precision(name, precision, **options)(x, *given, temperature=t)

    found = backend.vjp(fn, [make(backend, x), make(backend, t)], make(backend, g))
    for operand, result in zip(("logits", "temperature"), found, strict=True):
        bound = contract.bound(operand, **{**exact["quantities"], **gradients})
        assert (abs(tempscale.to_numpy(result) - gradients[operand]) <= bound).all()


@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_vmap(precision: str, framework: Backend) -> None:
    x = make(framework, np.random.default_rng(6).standard_normal((5, 11)))
    fn = in_precision("log_softmax", precision)
    np.testing.assert_array_equal(tempscale.to_numpy(framework.vmap(fn)(x)), tempscale.to_numpy(fn(x)))


# Errors


@pytest.mark.parametrize("name", ROWWISE)
def test_an_unknown_precision_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="'exact', expected one of 'default', 'accurate', 'reproducible'"):
        in_precision(name, "exact")([1.0, 2.0])


def test_what_cannot_be_reproduced_is_refused() -> None:
    with pytest.raises(TypeError, match="float64, expected float16, bfloat16 or float32"):
        tempscale.softmax(np.ones(3), precision="reproducible")
    with pytest.raises(ValueError, match="262145 classes, expected at most 262144"):
        tempscale.softmax(np.ones(2**18 + 1, np.float32), precision="reproducible")
    with pytest.raises(ValueError, match="softmax, log_softmax, logsumexp and entropy have"):
        tempscale.cross_entropy(np.ones((1, 3), np.float32), [0], precision="reproducible")


@pytest.mark.filterwarnings("error")
@each_operation
def test_numpy_does_not_warn(name: str) -> None:
    for precision in ("accurate", "reproducible"):
        for temperature in (1.0, 1e-3, 0.0, INF, np.float32(-1.0)[None, None]):
            in_precision(name, precision)(np.float32([[3e38, -3e38, 0], *SPECIAL]), temperature=temperature)
