"""`assert_conforms` and `assert_ulp`: what holds, what is planted in one framework, and what the message says of it."""

from __future__ import annotations

import re
import sys
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support import ROOT

import tempscale as ts
from tempscale import BackendEntry
from tempscale._core.registry import unregister_backend
from tempscale.testing import Contract, State, assert_conforms, assert_ulp

PAGE = ROOT / "docs" / "testing.md"
X = np.linspace(-3, 3, 13)
GRID = np.arange(1.0, 7.0).reshape(2, 3)
ONE = {"dtypes": ("float32",), "modes": ("eager",)}
NUMPY = {"backends": ("numpy",), **ONE}


@ts.agnostic
def square(x, /, *, xp):
    return x * x


@ts.agnostic
def shares(x, /, *, xp):
    """Each entry's share of the sum of its row."""
    return x / xp.sum(x, axis=-1, keepdims=True)


SQUARE = "u*abs(value) + tiny"
SHARES = "(4 + n)*u*abs(value) + tiny"


def with_native(operation, backend, native):
    """The same function with a native on one backend, which is that of this test alone."""
    made = ts.agnostic(operation.body)
    made.native(backend)(native)
    return made


def broken(fn, *args, **arguments):
    """What the assertion says."""
    with pytest.raises(AssertionError) as failed:
        assert_conforms(fn, *args, **arguments)
    return str(failed.value)


# What holds


def example(name):
    """The first part of a file that the page shows, verbatim."""
    return re.findall(rf"^```python {name}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)[0]


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page's example as a module, and its test as a function that returns what `assert_conforms` does."""
    tmp_path.joinpath("activations.py").write_text(example("activations.py"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    written: dict[str, Any] = {}
    exec(example("test_activations.py").replace("    assert_conforms(", "    return assert_conforms("), written)
    yield written["test_mish_conforms"]
    del sys.modules["activations"]


def test_mish_of_the_page_conforms_on_four_backends_and_strict_eager_compiled_and_differentiated(strict, page):
    assert {*ts.backends()} >= {"numpy", "torch", "tensorflow", "jax", "strict"}
    report = page()
    held = {(cell.backend, cell.mode) for cell in report.cells if cell.state is State.HELD}
    for backend in ("numpy", "torch", "tensorflow", "jax", "strict"):
        assert (backend, "eager") in held
    for backend in ("torch", "tensorflow", "jax"):
        assert held >= {(backend, mode) for mode in ("compiled", "vmap", "gradient")}
    assert held >= {("torch", "unknown-dims"), ("tensorflow", "unknown-dims")}
    assert report.count(State.BROKEN) == report.count(State.UNAVAILABLE) == 0
    assert {cell.form for cell in report.cells if cell.backend == "torch"} == {"public", "body"}


def test_a_body_is_run_beside_its_native_and_once_where_there_is_none():
    report = assert_conforms(
        with_native(square, "numpy", lambda x: x * x), X, contract=SQUARE, **{**ONE, "backends": ("numpy", "jax")}
    )
    assert [(c.backend, c.form) for c in report.cells] == [("numpy", "public"), ("numpy", "body"), ("jax", "public")]


def test_a_plain_function_needs_a_reference_and_then_conforms():
    def root(x):
        return ts.array_namespace(x).sqrt(x)

    with pytest.raises(TypeError, match=r"root has no agnostic body .*pass reference="):
        assert_conforms(root, X**2, contract="u*value")
    assert_conforms(
        root, X**2, reference=np.sqrt, contract="u*value", backends=("numpy", "jax"), modes=("eager", "vmap")
    )


def test_an_operation_with_a_specification_brings_its_reference_and_contract():
    logits = np.random.default_rng(3).standard_normal((4, 7))
    report = assert_conforms(ts.softmax, logits, temperature=0.5, backends=("numpy", "jax"), dtypes=("float16",))
    assert report.contracts["softmax"] == ts.softmax.specification.contract.text()


def test_gradients_in_closed_form_are_held_to_their_contract():
    def reference(x):
        return {"value": x * x, "gradients": lambda g: {"x": 2 * g * x}}

    arguments = {"backends": ("jax",), "dtypes": ("float32",), "modes": ("gradient",), "reference": reference}
    assert_conforms(square, X, contract=Contract(SQUARE, {"x": "4*u*abs(x) + tiny"}), **arguments)
    message = broken(square, X + 1e-3, contract=Contract(SQUARE, {"x": "0*u"}, widens=False), **arguments)
    assert "jax" in message
    assert "d/dx" in message


Pair = namedtuple("Pair", "low high")


@dataclass
class Layer:
    w: Any
    b: Any


def test_trees_go_in_and_come_out():
    @ts.agnostic
    def affine(params, x, /, *, xp):
        return {"out": params["layer"].w * x + params["layer"].b, "range": Pair(xp.min(x), xp.max(x))}

    params = {"layer": Layer(w=np.asarray([2.0, -1.0]), b=np.asarray([0.5, 0.25]))}
    assert_conforms(
        affine,
        params,
        np.asarray([1.5, 3.0]),
        contract="4*u*(abs(value) + 4)",
        dtypes=("float32",),
        backends=("numpy", "torch", "tensorflow", "jax"),
        modes=("eager", "vmap", "gradient"),
    )


def test_integers_masks_numbers_and_options_are_handed_on():
    @ts.agnostic
    def picked(x, index, mask, scale, /, *, shift, xp):
        return xp.where(mask, xp.take(x, index) * scale + shift, xp.zeros_like(x)), index + 1, mask

    mask = np.asarray([True, False, True])
    assert_conforms(
        picked,
        np.asarray([1.0, 2.0, 4.0]),
        np.asarray([2, 0, 1]),
        mask,
        0.5,
        shift=0.25,
        contract="4*u*(abs(value) + 1)",
        dtypes=("float16", "float32"),
        modes=("eager", "compiled"),
        backends=("numpy", "tensorflow", "jax"),
    )


# What is planted in one framework


def test_a_wrong_axis_under_vmap_is_named(torch):
    def native(x):
        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            return x / torch.sum(x, dim=0, keepdim=True)
        return x / torch.sum(x, dim=-1, keepdim=True)

    fn = with_native(shares, "torch", native)
    message = broken(fn, GRID, contract=SHARES, modes=("eager", "vmap"), dtypes=("float32",))
    assert f"torch {ts.get_backend('torch').version} on cpu, float32, vmap" in message
    assert re.search(r"\[\d, \d, \d\] is [\d.]+, the reference 0\.\d+\n", message)
    assert re.search(r"x = \d there", message)
    assert "1 of 10 combinations are broken" in message


def test_a_gradient_that_is_wrong_on_tensorflow_only_is_named():
    def native(x):
        return x * ts.stop_gradient(x)

    fn = with_native(square, "tensorflow", native)
    message = broken(fn, X, contract=SQUARE, modes=("eager", "gradient"), dtypes=("float32",), quick=True)
    assert re.search(r"tensorflow [\d.]+ on CPU:0, float32, gradient\n    d/dx \[\d+\] is ", message, re.I)
    assert "the reference" in message
    for other in ("numpy", "torch", "jax", "eager"):
        assert f"\n{other}" not in message


def test_a_dtype_that_is_widened_on_numpy_only_is_named():
    fn = with_native(square, "numpy", lambda x: x.astype(np.float64) ** 2)
    message = broken(fn, X, contract=SQUARE, modes=("eager",), dtypes=("float16", "float64"), backends=("numpy", "jax"))
    assert f"numpy {np.__version__} on cpu, float16, eager\n    dtype is float64, expected float16" in message
    assert "\njax" not in message
    assert "float64, eager" not in message


def test_three_ulp_on_jax_only_are_named():
    def native(x):
        return x * x * (1 + 3 * 2.0**-23)

    message = broken(with_native(square, "jax", native), [[1.0, 2.0], [3.0, 0.0]], contract=SQUARE, **ONE)
    assert re.search(r"jax [\d.]+ on cpu:0, float32, eager", message)
    assert "[0, 0] is 1.00000036, the reference 1" in message
    assert "3 ulp off, 0.5 allowed: 6 times the bound" in message
    assert "x = 1 there" in message
    assert "|error| <= u*abs(value) + tiny" in message


def test_a_compiled_result_that_differs_names_the_compiler(jax):
    def native(x):
        return x * x * (1 + 2.0**-10) if isinstance(x, jax.core.Tracer) else x * x

    message = broken(
        with_native(square, "jax", native),
        X,
        contract=SQUARE,
        modes=("eager", "compiled"),
        dtypes=("float32",),
        backends=("jax",),
    )
    assert "float32, compiled (jax.jit)" in message
    assert "1 of 4 combinations" in message


def test_a_wrong_body_behind_a_right_native_is_named():
    @ts.agnostic
    def cube(x, /, *, xp):
        return x * x * xp.abs(x)

    cube.native("numpy")(lambda x: x * x * x)
    message = broken(cube, X, reference=lambda x: x**3, contract="4*u*abs(value)", **NUMPY)
    assert "float32, eager, agnostic body" in message
    assert "1 of 2 combinations" in message


# What is never accepted


@pytest.mark.parametrize(
    ("wrong", "how"),
    [
        (lambda y: y[::-1], "reversed along axis 0"),
        (lambda y: y[:, ::-1], "reversed along axis 1"),
        (lambda y: np.roll(y, 1, axis=1), "shifted by 1 along axis 1"),
        (lambda y: y[:, [1, 0, 2]], "permuted"),
        (lambda y: y.T, "transposed, axis 0 with axis 1"),
        (lambda y: y.ravel()[[3, 1, 5, 0, 2, 4]].reshape(y.shape), "permuted"),
    ],
)
def test_right_values_in_a_wrong_order_are_refused_with_a_hint(wrong, how):
    message = broken(with_native(square, "numpy", lambda x: wrong(x * x)), GRID, contract=SQUARE, **NUMPY)
    assert f"the values are right, their order is not: {how}" in message


def test_a_transposed_square_is_refused():
    fn = with_native(square, "numpy", lambda x: (x * x).T)
    assert "transposed" in broken(fn, np.arange(9.0).reshape(3, 3), contract=SQUARE, **NUMPY)


def test_wrong_values_get_no_hint_about_their_order():
    message = broken(with_native(square, "numpy", lambda x: x * x + 1), GRID, contract=SQUARE, **NUMPY)
    assert "order" not in message


@pytest.mark.parametrize(
    ("got", "exact"),
    [
        (np.nan, 1.0),
        (1.0, np.nan),
        (np.inf, 1.0),
        (2.0**99, np.inf),
        (np.inf, -np.inf),
        (np.nan, np.inf),
        (0.0, np.nan),
    ],
)
def test_nan_and_infinities_have_to_agree_whatever_the_contract(got, exact):
    def here(x):
        return np.where(x == 2, x.dtype.type(got), x)

    def reference(x):
        return np.where(x == 2, x.dtype.type(exact), x)

    message = broken(here, X[X != 0] + 0.5, reference=reference, contract="1e30", **NUMPY)
    assert f"is {got:.9g}, the reference {exact:.9g}" in message


def test_nan_and_infinities_that_agree_hold():
    x = np.asarray([np.nan, np.inf, -np.inf, 0.0, 2.0])
    assert_conforms(square, x, contract=SQUARE, modes=("eager", "vmap"), dtypes=("bfloat16",))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda x: x[:, 0], "shape is (2,), expected (2, 3)"),
        (lambda x: (x * x, x), "the result is a tuple of 2, expected one array"),
        (lambda x: [[1.0]], "the result is a list of 1, expected one array"),
        (lambda x: 1.0, "the result is a float, not an array of numpy"),
        (lambda x: x * x > 0, "dtype is bool, expected float32"),
        (lambda x: ts.convert(x * x, like=ts.get_backend("jax").asarray(x)), "not an array of numpy"),
        (lambda x: x.no_such_attribute, "AttributeError: 'numpy.ndarray' object has no attribute 'no_such_attribute'"),
    ],
)
def test_what_is_no_such_result_is_refused_in_words(wrong, said):
    assert said in broken(with_native(square, "numpy", wrong), GRID, contract=SQUARE, **NUMPY)


def test_a_result_on_another_device_is_refused(strict):
    def native(x):
        return (x * x).to_device(strict.asarray(0.0, device="device1").device)

    fn = with_native(square, "strict", native)
    message = broken(fn, X, contract=SQUARE, backends=("strict",), **ONE)
    assert "device is device1, expected CPU_DEVICE" in message
    assert "1 of " in message


def test_all_that_is_broken_is_listed_worst_first():
    def native(x):
        return x * x * np.asarray({"float16": 1.1, "float32": 1.2, "float64": 1.3}[x.dtype.name], x.dtype)

    fn = with_native(square, "numpy", native)
    message = broken(fn, X, contract=SQUARE, backends=("numpy",), modes=("eager", "vmap"))
    places = [message.index(f"cpu, {dtype}, eager") for dtype in ("bfloat16", "float64", "float32", "float16")]
    assert places == sorted(places)
    assert "8 of 16 combinations" in message


# What cannot be checked


def test_assert_conforms_without_a_contract_says_what_to_write():
    with pytest.raises(TypeError, match=r'needs a contract: .*"4\*u\*abs\(value\) \+ tiny"'):
        assert_conforms(square, X)


def test_a_formula_that_names_something_unknown_is_told_what_there_is():
    with pytest.raises(NameError, match=r"'y' is not defined in the contract; it can name n, x, value, u, tiny"):
        assert_conforms(square, X, contract="u*y", **NUMPY)


def test_a_mistake_in_the_reference_is_no_finding_about_a_backend():
    with pytest.raises(ZeroDivisionError):
        assert_conforms(square, X, reference=lambda x: 1 // 0, contract=SQUARE, **NUMPY)


def test_a_reference_that_narrows_is_refused():
    with pytest.raises(TypeError, match="returned float32 for arguments in float64"):
        assert_conforms(square, X, reference=lambda x: x.astype(np.float32) ** 2, contract=SQUARE, **NUMPY)


def test_nothing_that_was_checked_is_no_success():
    with pytest.raises(AssertionError, match="nothing of square was checked\n    numpy does not compile"):
        assert_conforms(square, X, contract=SQUARE, backends=("numpy",), modes=("compiled",), dtypes=("float32",))


def test_a_backend_that_is_named_and_missing_is_a_failure_unless_it_is_allowed():
    ts.register_backend(BackendEntry("nosuchframework", "nosuchframework:Backend", "nosuchframework>=3"), name="nosuch")
    try:
        with pytest.raises(
            AssertionError, match=r"could not be checked everywhere(.|\n)*pip install 'nosuchframework>=3'"
        ):
            assert_conforms(square, X, contract=SQUARE, **{**ONE, "backends": ("numpy", "nosuch")})
        arguments = {**ONE, "backends": ("numpy", "nosuch"), "allow_unavailable": True}
        assert assert_conforms(square, X, contract=SQUARE, **arguments).count(State.UNAVAILABLE) == 1
    finally:
        unregister_backend("nosuch")


@pytest.mark.parametrize(("option", "there"), [("backends", "numpy"), ("modes", "eager"), ("dtypes", "float32")])
def test_a_name_that_there_is_not_is_answered_with_those_there_are(option, there):
    with pytest.raises(ValueError, match=rf"unknown {option[:-1]} 'nonesuch'; choose from .*{there}"):
        assert_conforms(square, X, contract=SQUARE, **{option: ("nonesuch",)})


def test_where_nothing_can_be_differentiated_the_gradient_says_so():
    with pytest.raises(ValueError, match="has no finite derivative in float32"):
        assert_conforms(square, X * np.nan, contract=SQUARE, backends=("jax",), dtypes=("float32",))
    report = assert_conforms(square, [1, 2, 3], contract="0*u", backends=("jax",), dtypes=("float32",))
    (cell, *_) = [cell for cell in report.cells if cell.mode == "gradient"]
    assert cell.state is State.NOT_APPLICABLE


# assert_ulp


def test_neighbours_are_one_ulp_apart_on_every_backend(backend):
    with backend.allowing("float32"):
        x = backend.asarray(np.asarray([1.0, -2.0], np.float32))
        up = np.nextafter(np.asarray([1.0, -2.0], np.float32), np.float32(9))
        assert_ulp(x, up, 1)
        with pytest.raises(AssertionError, match=r"\[0\] is 1, expected 1.00000012: 1 ulp of float32 apart, 0 allowed"):
            assert_ulp(x, up, 0)


def test_ulp_are_counted_in_the_dtype_that_is_named():
    assert_ulp(np.asarray([1.0]), np.asarray([1.0 + 2.0**-8]), 1, "bfloat16")
    with pytest.raises(TypeError, match="pass dtype="):
        assert_ulp(np.asarray([1]), np.asarray([1]), 0)


def test_a_nan_equals_a_nan_and_a_shape_has_to_agree():
    assert_ulp(np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), 0)
    with pytest.raises(AssertionError, match="apart, 1000000 allowed"):
        assert_ulp(np.float32([np.nan]), np.float32([1.0]), 10**6)
    with pytest.raises(AssertionError, match=r"shape is \(2,\), expected \(1, 2\)"):
        assert_ulp(np.float32([1, 2]), np.float32([[1, 2]]), 0)
