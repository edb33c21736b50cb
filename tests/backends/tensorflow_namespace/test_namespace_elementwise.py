"""Element-wise functions give what NumPy's give, for every dtype and the special values of the standard."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import (
    COMPLEX,
    EVERY,
    FLOATS,
    INTEGERS,
    assert_agrees,
    assert_gradient,
    assert_same,
    calls,
    numbers,
    pairs,
)

REAL = (*INTEGERS, *FLOATS)
NUMERIC = (*REAL, *COMPLEX)

EXACT = {
    "abs": REAL,
    "ceil": REAL,
    "floor": REAL,
    "trunc": REAL,
    "round": NUMERIC,
    "negative": NUMERIC,
    "positive": NUMERIC,
    "square": REAL,
    "isfinite": NUMERIC,
    "isinf": NUMERIC,
    "isnan": NUMERIC,
    "conj": NUMERIC,
    "real": NUMERIC,
    "imag": NUMERIC,
    "signbit": FLOATS,
    "sqrt": ("float32", "float64"),
    "bitwise_invert": ("bool", *INTEGERS),
    "logical_not": ("bool",),
}

ROUNDED = {
    "acos": 4,
    "acosh": 4,
    "asin": 4,
    "asinh": 4,
    "atan": 4,
    "atanh": 4,
    "cos": 4,
    "cosh": 4,
    "exp": 4,
    "expm1": 4,
    "log": 4,
    "log10": 4,
    "log1p": 4,
    "log2": 4,
    "reciprocal": 2,
    "sin": 4,
    "sinh": 4,
    "tan": 4,
    "tanh": 8,
}
"""The distance from the exact result, in units of its last place, that TensorFlow's kernels stay within."""


@pytest.mark.parametrize(("name", "dtype"), [(name, d) for name, dtypes in EXACT.items() for d in dtypes])
def test_a_function_that_can_be_exact_is(xp, name, dtype):
    assert_agrees(xp, name, numbers(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ROUNDED)
def test_transcendental_functions_are_within_a_few_units_in_the_last_place(xp, name, dtype):
    x = numbers(dtype)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble)).astype(dtype)
    assert_agrees(xp, name, x, expected=exact, ulps=ROUNDED[name])


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("name", [*ROUNDED, "sqrt", "square", "abs", "sign"])
def test_functions_of_complex_numbers_are_those_of_the_plane(xp, name, dtype):
    # away from the branch cuts, near which a rounding decides the side, and from zeros of the functions
    x = np.array([1.5 + 0.5j, -0.75 + 2j, 0.3 - 1.25j, -2.5 - 0.5j], dtype)
    exact = getattr(np, name)(x.astype(np.clongdouble)).astype(dtype if name != "abs" else x.real.dtype)
    assert_agrees(xp, name, x, expected=exact, ulps=16)


@pytest.mark.parametrize("dtype", NUMERIC)
def test_sign_is_minus_one_zero_or_one(xp, dtype):
    x = numbers(dtype)
    if dtype in COMPLEX:
        x = x[[0, 20]]
        assert_agrees(xp, "sign", x, ulps=2)
    else:
        assert_agrees(xp, "sign", x, expected=np.sign(x) + np.zeros((), dtype))


@pytest.mark.parametrize("dtype", ["int32", "uint8"])
@pytest.mark.parametrize("name", ["exp", "sqrt", "log2"])
def test_integers_become_the_default_float_where_floats_are_asked_for(xp, name, dtype):
    x = np.array([1, 2, 100], dtype) if name != "exp" else np.array([1, 2, 5], dtype)
    assert_agrees(xp, name, x, expected=getattr(np, name)(x.astype(np.float64)).astype(np.float32), ulps=4)


def test_half_precision_of_both_kinds_is_computed(xp):
    for dtype in (xp.float16, xp.bfloat16):
        x = xp.asarray([0.5, 1.0, 2.0], dtype=dtype)
        for name in ("log2", "sqrt", "exp", "signbit", "floor", "isnan"):
            found = getattr(xp, name)(x)
            assert found.dtype in (dtype, xp.bool)
        assert xp.log2(x).numpy().tolist() == [-1, 0, 1]
        assert xp.hypot(x, x).dtype == dtype
        assert xp.nextafter(x, x + 1).numpy().tolist() > x.numpy().tolist()


# Of two arguments

BINARY = {
    "add": NUMERIC,
    "subtract": NUMERIC,
    "multiply": REAL,
    "divide": FLOATS,
    "maximum": INTEGERS,
    "minimum": INTEGERS,
    "equal": EVERY,
    "not_equal": EVERY,
    "less": REAL,
    "less_equal": REAL,
    "greater": REAL,
    "greater_equal": REAL,
    "copysign": FLOATS,
    "bitwise_and": ("bool", *INTEGERS),
    "bitwise_or": ("bool", *INTEGERS),
    "bitwise_xor": ("bool", *INTEGERS),
    "logical_and": ("bool",),
    "logical_or": ("bool",),
    "logical_xor": ("bool",),
}


@pytest.mark.parametrize(("name", "dtype"), [(name, d) for name, dtypes in BINARY.items() for d in dtypes])
def test_a_function_of_two_arguments_is_exact(xp, name, dtype):
    assert_agrees(xp, name, *pairs(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins_and_of_two_zeros_either_does(xp, name, dtype):
    first, second = pairs(dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(first, second)
    for found in calls(xp, getattr(xp, name), (first, second), {}):
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "ulps"), [("atan2", 4), ("hypot", 2), ("logaddexp", 4), ("pow", 4)])
def test_rounded_functions_of_two_arguments(xp, name, ulps, dtype):
    first, second = pairs(dtype)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(first.astype(np.longdouble), second.astype(np.longdouble)).astype(dtype)
    assert_agrees(xp, name, first, second, expected=exact, ulps=ulps)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_division_of_integers_rounds_down(xp, name, dtype):
    first, second = pairs(dtype)
    keep = (second != 0) & ~((first == np.iinfo(dtype).min) & (second.astype(object) == -1))
    assert_agrees(xp, name, first[keep], second[keep])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_division_of_floats_rounds_the_exact_quotient_down(xp, name, dtype):
    rng = np.random.default_rng(0)
    first, second = (np.round(rng.normal(size=500) * 10, 1).astype(dtype) for _ in range(2))
    keep = second != 0
    assert_agrees(xp, name, first[keep], second[keep])
    one, tenth = np.array(1, dtype), np.array(0.1, dtype)
    assert_agrees(xp, name, one, tenth, expected=getattr(np, name)(one, tenth))


def test_quotients_that_are_not_finite_and_zeros_have_the_signs_of_the_standard(xp):
    nan, inf = math.nan, math.inf
    table = [  # x1, x2, floor_divide
        (0.0, 2.0, 0.0), (-0.0, 2.0, -0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, 0.0), (1.0, 0.0, inf), (1.0, -0.0, -inf),
        (-1.0, 0.0, -inf), (-1.0, -0.0, inf), (inf, 2.0, inf), (inf, -2.0, -inf), (1.0, inf, 0.0), (1.0, -inf, -0.0),
        (-1.0, inf, -0.0), (-1.0, -inf, 0.0), (0.0, 0.0, nan), (inf, inf, nan), (nan, 1.0, nan), (1.0, nan, nan),
    ]  # fmt: skip
    first, second, expected = np.array(table, np.float32).T
    assert_agrees(xp, "floor_divide", first, second, expected=expected)
    table = [  # x1, x2, remainder
        (0.0, 2.0, 0.0), (-0.0, 2.0, 0.0), (0.0, -2.0, -0.0), (-0.0, -2.0, -0.0), (1.0, 0.0, nan), (inf, 2.0, nan),
        (1.0, inf, 1.0), (-1.0, inf, inf), (1.0, -inf, -inf), (-1.0, -inf, -1.0), (5.0, -5.0, -0.0), (-5.0, 5.0, 0.0),
    ]  # fmt: skip
    first, second, expected = np.array(table, np.float32).T
    assert_agrees(xp, "remainder", first, second, expected=expected)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_powers_of_integers_wrap(xp, dtype):
    base, exponent = np.array([0, 1, 2, 3, 5, 7, 100], dtype)[:, None], np.array([0, 1, 2, 3, 7, 11, 100], dtype)
    assert_agrees(xp, "pow", base, exponent)


def test_a_power_has_all_64_bits_of_an_unsigned_exponent(xp):
    assert_agrees(xp, "pow", np.array([3, 2, 1], np.uint64), np.array([2**63 + 3, 2**63, 2**64 - 1], np.uint64))


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", ["bitwise_left_shift", "bitwise_right_shift"])
def test_a_shift_by_the_width_or_more_leaves_no_bits_but_those_of_the_sign(xp, name, dtype):
    width = np.dtype(dtype).itemsize * 8
    shift = np.array([0, 1, 3, width - 1, width, width + 1, 100], dtype)
    assert_agrees(xp, name, numbers(dtype)[:, None], shift)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nextafter_steps_through_every_float_subnormal_ones_too(xp, dtype):
    info = np.finfo(dtype)
    first = np.array([0, -0.0, 0, 1, 1, -1, info.max, -info.max, info.tiny, info.smallest_subnormal, np.nan, 2, np.inf])
    second = np.array([1, 1, -1, 2, 0, 0, np.inf, -np.inf, 0, -1, 1, np.nan, 0])
    assert_agrees(xp, "nextafter", first.astype(dtype), second.astype(dtype))


def test_clip_keeps_nan_and_the_dtype_and_takes_arrays(xp):
    x = numbers("float32")
    assert_agrees(xp, "clip", x, min=-1, max=2.0, expected=np.clip(x, np.float32(-1), np.float32(2)))
    assert_agrees(xp, "clip", x, np.zeros((3, 1), np.float32), np.full((1, 16), 2, np.float32))
    assert_agrees(xp, "clip", np.array([-5, 5, 100], np.int8), max=7, expected=np.array([-5, 5, 7], np.int8))
    assert_agrees(xp, "clip", np.array([1, 2], np.float32), expected=np.array([1, 2], np.float32))


# Promotion

MIXED = [("int8", "uint8"), ("int16", "uint32"), ("uint8", "uint64"), ("float32", "float64"), ("float32", "complex64")]


@pytest.mark.parametrize(("a", "b"), MIXED)
@pytest.mark.parametrize("name", ["add", "multiply", "equal"])
def test_two_dtypes_meet_in_their_common_one(xp, name, a, b):
    assert_agrees(xp, name, np.array([1, 2, 100], a), np.array([3, 2, 1], b))
    assert_agrees(xp, name, np.array([1, 2, 100], a), np.array(3, b))


def test_python_numbers_take_the_dtype_of_the_array(xp):
    for dtype, number in [("int8", 3), ("uint64", 3), ("float32", 3), ("float64", 2.5), ("complex64", 2.5)]:
        x = np.array([1, 2, 3], dtype)
        for found in (xp.add(xp.asarray(x), number), xp.add(number, xp.asarray(x))):
            assert_same(found, x + number)
    assert xp.multiply(xp.asarray([1.0]), 1j).dtype == xp.complex64
    assert xp.add(xp.asarray([1.0]), np.float64(2)).dtype == xp.float32


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1], [1.0], "int32 and float32 have no common dtype"),
        ([1], 1.5, "the float 1.5 does not promote with an array of int32"),
        ([1.0], True, "the bool True does not promote"),
        ([True], [False], "add takes arrays of a numeric dtype, not bool"),
    ],
)
def test_what_the_standard_does_not_promote_is_an_error_in_words(xp, a, b, message):
    with pytest.raises(TypeError, match=message):
        xp.add(xp.asarray(a), xp.asarray(b) if isinstance(b, list) else b)


def test_a_number_that_does_not_fit_is_an_overflow(xp):
    with pytest.raises(OverflowError, match="300 does not fit uint8"):
        xp.add(xp.asarray([1], dtype=xp.uint8), 300)


# Gradients

SMOOTH = [
    "acos",
    "asin",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "expm1",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "asinh",
    "square",
    "negative",
    "positive",
    "abs",
    "reciprocal",
]


@pytest.mark.parametrize("name", SMOOTH)
def test_the_gradient_flows(xp, name):
    assert_gradient(xp, getattr(xp, name), [0.3, -0.4, 0.7])


@pytest.mark.parametrize("name", ["log", "log1p", "log2", "log10", "sqrt", "acosh"])
def test_the_gradient_flows_for_positive_numbers(xp, name):
    assert_gradient(xp, getattr(xp, name), [1.3, 2.5, 4.0])


@pytest.mark.parametrize(
    "name",
    ["add", "subtract", "multiply", "divide", "atan2", "hypot", "logaddexp", "pow", "remainder", "maximum", "copysign"],
)
def test_the_gradients_of_both_arguments_flow(xp, name):
    function = getattr(xp, name)
    if name == "copysign":
        assert_gradient(xp, lambda x: function(x, -1.0), [1.3, -2.5])
    else:
        assert_gradient(xp, function, [1.3, 2.5, 4.1], [2.2, 1.1, 3.7])


def test_the_gradient_of_clip_and_where_is_that_of_what_was_taken(xp):
    assert_gradient(xp, lambda x, low: xp.clip(x, low, 2.0), [-1.0, 1.0, 3.0], [0.0, 0.5, 0.5])
    assert_gradient(xp, lambda a, b: xp.where(xp.asarray([True, False]), a, b), [1.0, 2.0], [3.0, 4.0])


def test_the_gradient_of_logaddexp_is_shared_at_a_tie(xp, tf):
    x, y = tf.constant([1.0, 2.0]), tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        result = xp.logaddexp(x, y)
    for gradient in tape.gradient(result, [x, y]):
        np.testing.assert_array_equal(gradient.numpy(), [0.5, 0.5])


def test_both_zeros_keep_their_signs_when_they_are_made_of_numbers(xp):
    for number in (0.0, -0.0, 0.0):
        sign = math.copysign(1, number)
        for made in (xp.asarray(number), xp.full((), number), xp.asarray([number])[0]):
            assert math.copysign(1, float(made)) == sign


def test_complex_infinities_have_the_limits_of_the_standard(xp):
    inf, nan = math.inf, math.nan
    x = np.array([complex(-1, 0), complex(inf, inf), complex(-inf, inf), complex(nan, inf), complex(inf, nan)])
    expected = [(-inf, 0), (inf, math.pi / 4), (inf, 3 * math.pi / 4), (inf, nan), (inf, nan)]
    for part, exact in zip((xp.real, xp.imag), np.array(expected).T, strict=True):
        assert_same(part(xp.log1p(xp.asarray(x))), exact, ulps=1)
    x = np.array([complex(inf, 0), complex(-inf, inf), complex(-inf, nan), complex(nan, 0), complex(inf, nan)])
    assert not np.signbit(xp.real(xp.expm1(xp.asarray(complex(-0.0, 0.0)))))
    expected = [(inf, 0), (-1, 0), (-1, 0), (nan, 0), (inf, nan)]
    np.testing.assert_array_equal(xp.expm1(xp.asarray(x)), [complex(*z) for z in expected])
