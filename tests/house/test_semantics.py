"""The semantics that all backends share: temperatures, masks, invalid rows, dtypes, shapes, layouts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from exactness import FLOATS, allowing, assert_held, make

import tempscale
from tempscale import Backend

OPERATIONS = ("softmax", "log_softmax", "logsumexp", "entropy", "kl_divergence", "sparsemax")
NORMALISED = ("softmax", "log_softmax", "entropy", "kl_divergence", "sparsemax")
REDUCING = ("logsumexp", "entropy", "kl_divergence")
INF, NAN = math.inf, math.nan

each_operation = pytest.mark.parametrize("name", OPERATIONS)


def operands_of(name: str, logits: Any) -> tuple[np.ndarray[Any, Any], ...]:
    """The arguments of an operation, from one array of logits: a divergence is taken from its half."""
    logits = np.asarray(logits)
    return (logits, logits * np.asarray(0.5, logits.dtype)) if name == "kl_divergence" else (logits,)


def run(name: str, backend: Backend, logits: Any, dtype: str = "float32", **options: Any) -> Any:
    """The operation on one backend, its operands given as numbers."""
    x = tempscale.to_numpy(make(tempscale.get_backend("numpy"), logits, dtype))
    return getattr(tempscale, name)(*[make(backend, o, dtype) for o in operands_of(name, x)], **options)


def values(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(tempscale.to_numpy(x)).astype(np.float64)


def assert_equal(result: Any, expected: Any) -> None:
    """Bit for bit, NaN like NaN; the sign of a zero is free."""
    np.testing.assert_array_equal(values(result), np.asarray(expected, np.float64), strict=True)


def rounded(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(x, np.float32).astype(np.float64)


LOGITS = np.random.default_rng(7).standard_normal((3, 5)).astype(np.float32) * 3


# Temperature: which shapes


@each_operation
def test_an_array_temperature_is_one_for_all_or_one_per_row(name: str, backend: Backend) -> None:
    for temperature in (np.float32(0.7), np.float32([[0.5], [2.0], [0.1]]), np.float32([[3.0]])):
        result = run(name, backend, LOGITS, temperature=make(backend, temperature))
        assert_held(name, result, *operands_of(name, LOGITS), temperature=temperature)


@each_operation
def test_temperatures_per_row_along_another_axis(name: str, backend: Backend) -> None:
    temperature = np.float32([[0.5, 2.0, 0.1, 1.0, 7.0]])
    result = run(name, backend, LOGITS, temperature=make(backend, temperature), axis=0)
    assert_held(name, result, *operands_of(name, LOGITS), temperature=temperature, axis=0)


@each_operation
def test_a_list_as_temperature_becomes_an_array(name: str, backend: Backend) -> None:
    result = run(name, backend, LOGITS, temperature=[[0.5], [2.0], [0.25]])
    assert_held(name, result, *operands_of(name, LOGITS), temperature=np.float32([[0.5], [2.0], [0.25]]))


@each_operation
@pytest.mark.parametrize(
    ("shape", "axis", "advice"),
    [
        ((3, 4), -1, r"pass T\[:, None\]"),
        ((3, 4), 0, r"pass T\[None, :\]"),
        ((2, 3, 4), 1, r"pass T\[:, None, :\]"),
    ],
)
def test_a_temperature_without_the_class_axis_is_refused_with_the_way_out(
    name: str, backend: Backend, shape: tuple[int, ...], axis: int, advice: str
) -> None:
    rows = tuple(np.delete(shape, axis))
    with pytest.raises(ValueError, match=advice):
        run(name, backend, np.zeros(shape), temperature=make(backend, np.ones(rows)), axis=axis)


@each_operation
@pytest.mark.parametrize("given", [(1,), (4,), (3, 4), (2, 1), (1, 4), (1, 3, 1), (0, 1)])
def test_any_other_shape_of_temperature_is_refused(name: str, backend: Backend, given: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"temperature has shape .*, expected \(\) or one per row, \(3, 1\)"):
        run(name, backend, np.zeros((3, 4)), temperature=make(backend, np.ones(given)))


def test_the_second_temperature_of_a_divergence_is_named_in_its_error(backend: Backend) -> None:
    with pytest.raises(ValueError, match=r"q_temperature has shape \(3,\).*pass q_temperature\[:, None\]"):
        run("kl_divergence", backend, np.zeros((3, 4)), q_temperature=make(backend, np.ones(3)))
    with pytest.raises(ValueError, match="q_temperature is -1"):
        run("kl_divergence", backend, np.zeros((3, 4)), q_temperature=-1)


@each_operation
@pytest.mark.parametrize("temperature", [True, "1", None, 1j, np.bool_(True)])
def test_what_is_no_real_number_is_refused_as_temperature(name: str, backend: Backend, temperature: Any) -> None:
    with pytest.raises(TypeError, match="temperature"):
        run(name, backend, LOGITS, temperature=temperature)


@each_operation
def test_a_boolean_array_is_refused_as_temperature(name: str, backend: Backend) -> None:
    with pytest.raises(TypeError, match="temperature is an array of bool"):
        run(name, backend, LOGITS, temperature=make(backend, True, "bool"))


# Temperature: its precision


@pytest.mark.parametrize("temperature", [0.03, 0.24, 1.21, 1.92])
def test_a_number_is_used_at_its_float64_value(backend: Backend, temperature: float) -> None:
    """Its reciprocal is rounded once. These are numbers where rounding the temperature first shows."""
    once, twice = np.float32(1 / temperature), np.float32(1 / np.float64(np.float32(temperature)))
    assert once != twice
    for given in (temperature, np.float64(temperature)):
        assert_equal(run("log_softmax", backend, [0.0, -1024.0], temperature=given), [0.0, -1024.0 * once])
    single = np.float32(temperature)
    assert_equal(run("log_softmax", backend, [0.0, -1024.0], temperature=single), [0.0, -1024.0 * twice])


def test_an_array_is_widened_exactly(backend: Backend) -> None:
    with allowing("float64"):
        for dtype in FLOATS:
            t = make(backend, 1.21, dtype)
            expected = np.float32(1 / values(t))
            if dtype != "float64":  # a float32 quotient is the exact one rounded
                expected = np.float32(1) / np.float32(values(t))
            assert_equal(run("log_softmax", backend, [0.0, -1024.0], temperature=t), [0.0, -1024.0 * expected])


@each_operation
def test_float64_logits_see_all_of_a_float64_temperature(name: str, backend: Backend) -> None:
    logits = LOGITS.astype(np.float64)
    with allowing("float64"):
        for t in (0.1, make(backend, 0.1, "float64")):
            result = run(name, backend, logits, "float64", temperature=t)
            assert_held(name, result, *operands_of(name, logits), temperature=0.1)


@each_operation
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32", "int64"])
def test_the_dtype_of_a_temperature_is_not_that_of_the_result(name: str, backend: Backend, dtype: str) -> None:
    with allowing("float64", "int64"):
        result = run(name, backend, LOGITS, temperature=make(backend, 2, dtype))
        assert_held(name, result, *operands_of(name, LOGITS), temperature=2.0)


@each_operation
def test_numbers_of_any_kind_are_temperatures(name: str, backend: Backend) -> None:
    expected = values(run(name, backend, LOGITS, temperature=2.0))
    for t in (2, np.float16(2), np.float32(2), np.float64(2), np.int8(2), np.int64(2), np.longdouble(2)):
        result = run(name, backend, LOGITS, temperature=t)
        assert_equal(result, expected)
        assert backend.dtype_name(result) == "float32"


@each_operation
def test_extreme_temperatures_stay_within_the_contract(name: str, backend: Backend) -> None:
    for t in (1e-30, 1e-3, 1e3, 1e30):
        result = run(name, backend, LOGITS, temperature=t)
        assert_held(name, result, *operands_of(name, LOGITS), temperature=t)


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entropy"])
def test_a_temperature_whose_reciprocal_overflows_gives_the_limit(name: str, backend: Backend) -> None:
    for number, limit in ((1e-40, 0.0), (1e-300, 0.0), (1e40, INF), (1e300, INF)):
        expected = values(run(name, backend, LOGITS, temperature=limit))
        assert_equal(run(name, backend, LOGITS, temperature=number), expected)


# Temperature: its limits


def both_kinds(backend: Backend, temperature: float) -> list[Any]:
    """A temperature as a number, as a 0-d array, and as one of several rows."""
    return [temperature, make(backend, temperature), make(backend, [[temperature]])]


def test_at_zero_the_maximum_takes_all_and_ties_share_equally(backend: Backend) -> None:
    ties = [[1.0, 3.0, 3.0, 2.0]]
    for t in both_kinds(backend, 0.0):
        assert_equal(run("softmax", backend, ties, temperature=t), [[0, 0.5, 0.5, 0]])
        assert_equal(run("sparsemax", backend, ties, temperature=t), [[0, 0.5, 0.5, 0]])
        half = rounded(-np.log1p(1.0))
        assert_equal(run("log_softmax", backend, ties, temperature=t), [[-INF, half, half, -INF]])
        assert_held("entropy", run("entropy", backend, ties, temperature=t), np.float32(ties), temperature=0.0)


@pytest.mark.parametrize("name", ["softmax", "sparsemax"])
def test_at_zero_a_difference_of_one_ulp_is_no_tie(name: str, backend: Backend) -> None:
    tiny, above = 2.0**-126, 2.0**-126 + 2.0**-149  # the two smallest normal numbers
    for pair in ([0.0, tiny], [-tiny, 0.0], [-tiny, tiny], [tiny, above], [1.0, 1.0 + 2.0**-23]):
        for t in both_kinds(backend, 0.0):
            assert_equal(run(name, backend, [pair], temperature=t), [[0.0, 1.0]])


def test_at_zero_float64_rows_tell_tiny_differences_apart(backend: Backend) -> None:
    with allowing("float64"):
        for pair in ([0.0, 1e-38], [0.0, 1e-300], [1.0, 1.0 + 2.0**-52]):
            assert_equal(run("softmax", backend, pair, "float64", temperature=0.0), [0.0, 1.0])
            zero = make(backend, 0.0, "float64")
            assert_equal(run("softmax", backend, pair, "float64", temperature=zero), [0.0, 1.0])


def test_at_zero_opposite_zeros_tie(backend: Backend) -> None:
    for t in both_kinds(backend, 0.0):
        assert_equal(run("softmax", backend, [[-0.0, 0.0, -1.0]], temperature=t), [[0.5, 0.5, 0.0]])


def test_at_zero_logsumexp_goes_where_the_sign_of_the_maximum_sends_it(backend: Backend) -> None:
    rows = [[1.0, 2.0, -5.0], [-1.0, -2.0, -5.0], [0.0, -1.0, -2.0], [0.0, 0.0, 0.0], [-INF, -3.0, -INF]]
    for t in (0.0, make(backend, 0.0), make(backend, np.zeros((5, 1)))):
        result = values(run("logsumexp", backend, rows, temperature=t))
        assert_equal(result[[0, 1, 2, 4]], [INF, -INF, 0.0, -INF])
        assert_held("logsumexp", np.float32(result[3:4]), np.float32(rows[3:4]), temperature=0.0)
        assert result[3] == pytest.approx(math.log(3), rel=2**-23)


def test_at_zero_a_divergence_is_zero_or_infinite(backend: Backend) -> None:
    p = make(backend, [[0.0, 5.0, 1.0], [0.0, 5.0, 1.0]])
    q = make(backend, [[0.0, 1.0, -1.0], [9.0, 5.0, 1.0]])
    for t in (0.0, make(backend, 0.0)):
        assert_equal(tempscale.kl_divergence(p, q, temperature=t), [0.0, INF])


def test_at_infinity_all_entries_that_are_not_masked_are_alike(backend: Backend) -> None:
    rows = [[4.0, -INF, 1.0, 1e4, -1e4]]
    for t in both_kinds(backend, INF):
        assert_equal(run("softmax", backend, rows, temperature=t), [[0.25, 0, 0.25, 0.25, 0.25]])
        assert_equal(run("sparsemax", backend, rows, temperature=t), [[0.25, 0, 0.25, 0.25, 0.25]])
        assert_equal(run("kl_divergence", backend, rows, temperature=t), [0.0])
        for name in ("log_softmax", "entropy", "logsumexp"):
            assert_held(name, run(name, backend, rows, temperature=t), np.float32(rows), temperature=INF)


@each_operation
@pytest.mark.parametrize("temperature", [-1, -0.5, -INF, NAN, np.float32(-2), np.float64(NAN)])
def test_a_negative_number_or_nan_is_refused(name: str, backend: Backend, temperature: Any) -> None:
    with pytest.raises(ValueError, match=r"temperature is .*, expected a number of at least 0"):
        run(name, backend, LOGITS, temperature=temperature)


@each_operation
def test_a_negative_or_nan_entry_of_an_array_makes_its_row_nan(name: str, backend: Backend) -> None:
    rows = np.tile(LOGITS[:1], (5, 1))
    t = np.float32([[1.0], [-1.0], [NAN], [-INF], [2.0]])
    result = run(name, backend, rows, temperature=make(backend, t))
    assert np.isnan(values(result)[1:4]).all()
    good = np.array([0, 4])
    assert_held(name, np.float32(values(result)[good]), *operands_of(name, rows[good]), temperature=t[good])


@each_operation
def test_negative_zero_is_zero(name: str, backend: Backend) -> None:
    expected = values(run(name, backend, LOGITS, temperature=0.0))
    assert_equal(run(name, backend, LOGITS, temperature=-0.0), expected)
    assert_equal(run(name, backend, LOGITS, temperature=make(backend, -0.0)), expected)


# Masked entries

MASK = np.array([[True, True, False, True, False], [True] * 5, [False, False, True, False, False]])


@pytest.mark.parametrize("temperature", [0.7, 0.0, INF])
def test_a_masked_entry_has_no_mass_at_all(backend: Backend, temperature: float) -> None:
    logits = np.where(MASK, LOGITS, -INF)
    for name, nothing in (("softmax", 0.0), ("log_softmax", -INF), ("sparsemax", 0.0)):
        for t in (temperature, make(backend, temperature)):
            result = values(run(name, backend, logits, temperature=t))
            assert (result[~MASK] == nothing).all()
    assert_equal(values(run("entropy", backend, logits, temperature=temperature))[2], 0.0)


@each_operation
@pytest.mark.parametrize("temperature", [0.7, 0.0, INF])
def test_where_is_the_same_as_minus_infinity(name: str, backend: Backend, temperature: float) -> None:
    written = run(name, backend, np.where(MASK, LOGITS, -INF), temperature=temperature)
    masked = run(name, backend, LOGITS, temperature=temperature, where=make(backend, MASK, "bool"))
    assert_equal(masked, values(written))


@each_operation
@pytest.mark.parametrize("mask", [MASK[0], MASK[:, :1], MASK[0:1], True, np.array(True)])
def test_where_broadcasts(name: str, backend: Backend, mask: Any) -> None:
    expected = values(run(name, backend, np.where(mask, LOGITS, -INF)))
    given = mask if mask is True else make(backend, mask, "bool")
    assert_equal(run(name, backend, LOGITS, where=given), expected)


@each_operation
def test_where_may_be_a_list(name: str, backend: Backend) -> None:
    expected = values(run(name, backend, np.where(MASK, LOGITS, -INF)))
    assert_equal(run(name, backend, LOGITS, where=MASK.tolist()), expected)


@each_operation
def test_where_hides_nan_and_infinity(name: str, backend: Backend) -> None:
    hidden = np.where(MASK, LOGITS, np.float32([[NAN], [NAN], [INF]]))
    expected = values(run(name, backend, np.where(MASK, LOGITS, -INF)))
    assert_equal(run(name, backend, hidden, where=make(backend, MASK, "bool")), expected)


@each_operation
def test_where_must_be_boolean(name: str, backend: Backend) -> None:
    with pytest.raises(TypeError, match="where is int32, expected booleans"):
        run(name, backend, LOGITS, where=make(backend, MASK, "int32"))
    with pytest.raises(TypeError, match="where is int, expected booleans"):
        run(name, backend, LOGITS, where=1)


@each_operation
@pytest.mark.parametrize("shape", [(4,), (2, 5), (1, 3, 5)])
def test_where_must_fit_the_logits(name: str, backend: Backend, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"where has shape .* does not broadcast to the logits' shape \(3, 5\)"):
        run(name, backend, LOGITS, where=make(backend, np.ones(shape), "bool"))


# Invalid rows


@pytest.mark.parametrize("name", NORMALISED)
@pytest.mark.parametrize("temperature", [0.7, 0.0, INF])
def test_nan_or_infinity_makes_the_whole_row_nan(name: str, backend: Backend, temperature: float) -> None:
    rows = [
        [1.0, INF],
        [INF, 1.0],
        [INF, INF],
        [NAN, 1.0],
        [NAN, INF],
        [-INF, NAN],
        [-INF, INF],
        [-INF, -INF],
    ]
    for t in (temperature, make(backend, temperature)):
        result = values(run(name, backend, [*rows, [0.0, 1.0]], temperature=t))
        assert np.isnan(result[:-1]).all()
        assert not np.isnan(result[-1]).any()


@pytest.mark.parametrize("temperature", [0.7, 0.0, INF])
def test_logsumexp_of_nan_is_nan_else_of_infinity_infinity(backend: Backend, temperature: float) -> None:
    rows = [
        [1.0, INF],
        [NAN, 1.0],
        [NAN, INF],
        [INF, NAN],
        [INF, INF],
        [-INF, INF],
        [-INF, -INF],
        [-INF, NAN],
    ]
    expected = [INF, NAN, NAN, NAN, INF, INF, -INF, NAN]
    for t in (temperature, make(backend, temperature)):
        assert_equal(run("logsumexp", backend, rows, temperature=t), expected)


@pytest.mark.parametrize(("rows", "classes"), [(60, 1000), (4, 128_256)])
def test_it_is_nan_wherever_a_nan_stands_in_a_long_row_beside_infinity(
    backend: Backend, rows: int, classes: int
) -> None:
    rng = np.random.default_rng(classes)
    x = rng.standard_normal((rows, classes))
    x[:, 0], x[:, 1] = NAN, INF
    x = rng.permuted(x, axis=1)
    for way in [None, *backend.compilers]:
        logsumexp = backend.jit(tempscale.logsumexp, compiler=way) if way else tempscale.logsumexp
        for dtype in ("float32", "bfloat16"):
            assert np.isnan(values(logsumexp(make(backend, x, dtype)))).all()


@each_operation
def test_a_row_that_where_masks_entirely_is_as_one_of_minus_infinity(name: str, backend: Backend) -> None:
    result = values(run(name, backend, LOGITS, where=make(backend, [[True], [False], [True]], "bool")))
    alone = values(run(name, backend, LOGITS[[0, 2]]))
    assert_equal(result[[0, 2]], alone)
    if name == "logsumexp":
        assert result[1] == -INF
    else:
        assert np.isnan(result[1]).all()


# Divergences


def test_where_p_is_masked_nothing_is_contributed(backend: Backend) -> None:
    p = np.float32([[0.3, -INF, 1.0], [0.3, -INF, 1.0]])
    q = np.float32([[0.1, 4.0, -1.0], [0.1, -INF, -1.0]])
    result = tempscale.kl_divergence(make(backend, p), make(backend, q))
    assert_held("kl_divergence", result, p, q)
    assert np.isfinite(values(result)).all()


def test_where_only_q_is_masked_the_divergence_is_infinite(backend: Backend) -> None:
    result = tempscale.kl_divergence(make(backend, [[0.0, 1.0]]), make(backend, [[0.0, -INF]]))
    assert_equal(result, [INF])


def test_two_temperatures(backend: Backend) -> None:
    p, q = LOGITS, LOGITS[::-1].copy()
    result = tempscale.kl_divergence(make(backend, p), make(backend, q), temperature=0.5, q_temperature=2.0)
    # scaling by powers of two is exact
    assert_held("kl_divergence", result, p * 2, q / 2)


def test_a_distribution_does_not_diverge_from_itself(backend: Backend) -> None:
    x = make(backend, LOGITS)
    result = tempscale.kl_divergence(x, x, temperature=0.3)
    assert_held("kl_divergence", result, LOGITS, LOGITS, temperature=0.3)  # the exact value is 0


def test_the_two_of_a_divergence_have_one_shape(backend: Backend) -> None:
    with pytest.raises(ValueError, match=r"p_logits has shape \(3, 4\) and q_logits \(4,\)"):
        tempscale.kl_divergence(make(backend, np.zeros((3, 4))), make(backend, np.zeros(4)))


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("float16", "bfloat16", "float32"),
        ("bfloat16", "float32", "float32"),
        ("float16", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("bfloat16", "float64", "float64"),
    ],
)
def test_two_dtypes_promote(backend: Backend, one: str, other: str, common: str) -> None:
    with allowing("float64"):
        for p, q in ((one, other), (other, one)):
            result = tempscale.kl_divergence(make(backend, LOGITS, p), make(backend, LOGITS, q))
            assert backend.dtype_name(result) == common


# Dtypes


@each_operation
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_float_dtype_comes_out_as_it_went_in(name: str, backend: Backend, dtype: str) -> None:
    logits = make(tempscale.get_backend("numpy"), LOGITS, dtype)
    with allowing("float64"):
        for t in (0.5, make(backend, 0.5, dtype), make(backend, 0.5, "float64")):
            result = run(name, backend, logits, dtype, temperature=t)
            assert_held(name, result, *operands_of(name, logits), temperature=0.5)


@each_operation
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_integers_are_computed_in_the_default_float(name: str, backend: Backend, dtype: str) -> None:
    logits = np.array([[0, 4, 2], [6, 0, 8]])
    with allowing(dtype):  # JAX's default float goes with its integers
        default = backend.default_float()
        arrays = [make(backend, o, dtype) for o in operands_of(name, logits)]
        if name == "kl_divergence":
            arrays[1] = make(backend, logits // 2, dtype)
        result = getattr(tempscale, name)(*arrays, temperature=3.0)
        assert_held(name, result, *operands_of(name, logits.astype(default)), temperature=3.0)


@each_operation
@pytest.mark.parametrize("dtype", ["bool", "complex64"])
def test_logits_that_are_no_real_numbers_are_refused(name: str, backend: Backend, dtype: str) -> None:
    x = make(backend, np.ones((2, 3)), dtype)
    with pytest.raises(TypeError, match=f"logits is {dtype}, expected floats"):
        getattr(tempscale, name)(*[x] * len(operands_of(name, LOGITS)))


# Shapes


@each_operation
def test_an_empty_class_axis_is_refused(name: str, backend: Backend) -> None:
    with pytest.raises(ValueError, match=r"of shape \(3, 0\) has no entries along axis 1"):
        run(name, backend, np.zeros((3, 0)))


@each_operation
@pytest.mark.parametrize("dtype", FLOATS)
def test_an_empty_batch_has_an_empty_result(name: str, backend: Backend, dtype: str) -> None:
    with allowing("float64"):
        for shape, axis in (((0, 4), -1), ((4, 0), 0), ((2, 0, 4), 2)):
            for t in (0.5, 0.0, make(backend, 0.5)):
                result = run(name, backend, np.zeros(shape), dtype, axis=axis, temperature=t)
                expected = shape if name not in REDUCING else tuple(int(n) for n in np.delete(shape, axis))
                assert backend.shape(result) == expected
                assert backend.dtype_name(result) == dtype


@each_operation
def test_logits_without_axes_are_refused(name: str, backend: Backend) -> None:
    with pytest.raises(ValueError, match="logits is 0-dimensional, expected at least one axis of classes"):
        run(name, backend, 1.0)


@each_operation
def test_an_axis_that_does_not_exist_is_refused(name: str, backend: Backend) -> None:
    for axis in (2, -3):
        with pytest.raises(ValueError, match=f"axis {axis} is out of range .* expected -2 to 1"):
            run(name, backend, LOGITS, axis=axis)
    for axis in (None, (0, 1), [0]):
        with pytest.raises(TypeError, match="expected an integer"):
            run(name, backend, LOGITS, axis=axis)
    with pytest.raises(TypeError):
        run(name, backend, LOGITS, axis=1.0)


@each_operation
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 2, 3, 5)])
def test_the_classes_may_lie_on_any_axis(name: str, backend: Backend, shape: tuple[int, ...]) -> None:
    logits = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for axis in range(-len(shape), len(shape)):
        result = run(name, backend, logits, axis=axis, temperature=0.7)
        assert_held(name, result, *operands_of(name, logits), axis=axis, temperature=0.7)
        if name in REDUCING:
            assert backend.shape(result) == tuple(np.delete(shape, axis))


@pytest.mark.parametrize("name", REDUCING)
def test_keepdims_keeps_the_axis_with_size_one(name: str, backend: Backend) -> None:
    for axis, shape in ((0, (1, 5)), (1, (3, 1)), (-1, (3, 1))):
        kept = run(name, backend, LOGITS, axis=axis, keepdims=True)
        assert backend.shape(kept) == shape
        assert_equal(run(name, backend, LOGITS, axis=axis), np.squeeze(values(kept), axis))


@each_operation
def test_one_class_has_all_the_mass(name: str, backend: Backend) -> None:
    rows = [[-3.0], [0.0], [1e4]]
    result = values(run(name, backend, rows, temperature=0.5))
    if name in ("softmax", "sparsemax"):
        assert_equal(result, [[1.0], [1.0], [1.0]])
    elif name == "logsumexp":
        assert_equal(result, [-6.0, 0.0, 2e4])
    else:
        assert_equal(result, np.zeros_like(result))


# Types and devices


@each_operation
def test_the_result_is_an_array_of_the_framework_on_the_device_of_the_logits(name: str, backend: Backend) -> None:
    for device in backend.devices():
        arrays = [backend.asarray(x, device=device) for x in operands_of(name, LOGITS)]
        for t in (0.7, backend.asarray(np.float32(0.7), device=device)):
            result = getattr(tempscale, name)(*arrays, temperature=t)
            assert isinstance(result, backend.array_types)
            assert type(result) is type(arrays[0])
            assert backend.device_of(result) == device


@pytest.mark.parametrize("name", REDUCING)
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_full_reduction_is_what_the_framework_returns_for_its_own(name: str, backend: Backend, dtype: str) -> None:
    with allowing("float64"):
        own = backend.namespace.max(make(backend, LOGITS[0], dtype))
        for logits in (LOGITS[0], np.zeros(100_000)):
            for t in (0.7, 0.0):
                result = run(name, backend, logits, dtype, temperature=t)
                assert type(result) is type(own)
                assert result.shape == own.shape


@each_operation
def test_lists_alone_go_to_numpy(name: str) -> None:
    arguments = [x.tolist() for x in operands_of(name, LOGITS.astype(np.float64))]
    result = getattr(tempscale, name)(*arguments, temperature=0.7)
    assert isinstance(result, np.ndarray)
    assert_held(name, result, *operands_of(name, LOGITS.astype(np.float64)), temperature=0.7)


# Memory


def unusual_layouts(backend: Backend, x: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The same values in memory with gaps, transposed, backwards, read-only; and rows that are one."""
    plain = make(backend, x)
    gaps = make(backend, np.stack([x, np.full_like(x, NAN)], axis=-1))[..., 0]
    turned = backend.namespace.permute_dims(make(backend, np.ascontiguousarray(x.T)), (1, 0))
    found = {"gaps": gaps, "turned": turned}
    if backend.name == "numpy":
        frozen = plain.copy()
        frozen.flags.writeable = False
        found |= {"read-only": frozen, "backwards": x[:, ::-1].copy()[:, ::-1]}
        found |= {"unaligned": np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)}
        found |= {"big-endian": x.astype(">f4")}
    return found


@each_operation
def test_any_layout_of_memory_will_do(name: str, backend: Backend) -> None:
    operands = operands_of(name, LOGITS)
    layouts = [unusual_layouts(backend, x) for x in operands]
    for layout in layouts[0]:
        for t in (0.25, make(backend, 0.25)):
            result = getattr(tempscale, name)(*[found[layout] for found in layouts], temperature=t)
            assert_held(name, result, *operands, temperature=0.25)


@each_operation
def test_rows_that_share_their_memory_will_do(name: str, backend: Backend) -> None:
    operands = [np.broadcast_to(x[:1], (4, 5)) for x in operands_of(name, LOGITS)]
    if backend.name == "numpy":
        arrays = operands
    else:
        arrays = [backend.namespace.broadcast_to(make(backend, x[:1]), (4, 5)) for x in operands]
    for t, value in ((0.5, 0.5), (make(backend, 0.5), 0.5), (0.0, 0.0)):
        result = getattr(tempscale, name)(*arrays, temperature=t)
        assert_held(name, result, *operands, temperature=value)
    flat = [backend.namespace.broadcast_to(make(backend, 2.0), (3, 6)) for _ in operands]
    result = getattr(tempscale, name)(*flat)
    assert_held(name, result, *[np.full((3, 6), 2.0, np.float32)] * len(operands))


@each_operation
@pytest.mark.parametrize("dtype", FLOATS)
def test_no_argument_is_written_to(name: str, backend: Backend, dtype: str) -> None:
    logits = np.where(MASK, LOGITS, np.float32([[-INF], [NAN], [1e4]]))
    with allowing("float64"):
        for t in (0.7, 0.0, INF, make(backend, [[0.7], [0.0], [INF]], dtype), make(backend, 1.0)):
            for mask in (None, make(backend, MASK, "bool"), make(backend, MASK[0], "bool")):
                operands = operands_of(name, make(tempscale.get_backend("numpy"), logits, dtype))
                arrays = [make(backend, x, dtype) for x in operands]
                before = [values(x) for x in (*arrays, t, mask) if hasattr(x, "shape")]
                getattr(tempscale, name)(*arrays, temperature=t, where=mask)
                after = [values(x) for x in (*arrays, t, mask) if hasattr(x, "shape")]
                for one, other in zip(before, after, strict=True):
                    np.testing.assert_array_equal(one, other, strict=True)


@each_operation
def test_large_arrays_are_not_written_to_either(name: str, backend: Backend) -> None:
    """Above some size NumPy works block by block, and in place."""
    logits = np.random.default_rng(0).standard_normal((40, 2000)).astype(np.float32)
    mask = logits > -1
    t = np.linspace(0.5, 2, 40, dtype=np.float32)[:, None]
    operands = operands_of(name, logits)
    for given in (0.7, t):
        for where in (None, mask, mask[:1], mask[:, :1]):
            arrays = [make(backend, x) for x in operands]
            options = {"where": None if where is None else make(backend, where, "bool")}
            options |= {"temperature": given if given is not t else make(backend, t)}
            result = getattr(tempscale, name)(*arrays, **options)
            for array, x in zip(arrays, operands, strict=True):
                np.testing.assert_array_equal(values(array), x.astype(np.float64))
            if where is not None:
                np.testing.assert_array_equal(values(options["where"]), where.astype(np.float64))
            if where is None or where.shape == (1, 2000) or where is mask:
                masked = [np.where(True if where is None else where, x, np.float32(-INF)) for x in operands]
                assert_held(name, result, *masked, temperature=given)
