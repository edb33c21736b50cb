"""Creation, data types, manipulation, indexing and utilities: NumPy's, with the default dtypes of TensorFlow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import COMPLEX, EVERY, INTEGERS, assert_agrees, assert_gradient, assert_same, calls, grid, numbers

CUBE = np.arange(24.0).reshape(2, 3, 4)

MANIPULATIONS = [
    ("broadcast_to", {"shape": (5, 2, 3, 4)}),
    ("expand_dims", {"axis": 0}),
    ("expand_dims", {"axis": -1}),
    ("expand_dims", {"axis": (0, 2, -1)}),
    ("flip", {}),
    ("flip", {"axis": 1}),
    ("flip", {"axis": (0, -1)}),
    ("permute_dims", {"axes": (2, 0, 1)}),
    ("reshape", {"shape": (4, -1)}),
    ("roll", {"shift": 5}),
    ("roll", {"shift": -1, "axis": 1}),
    ("roll", {"shift": (1, 2), "axis": (0, 2)}),
    ("diff", {}),
    ("diff", {"axis": 0}),
    ("diff", {"axis": 1, "n": 2}),
    ("matrix_transpose", {}),
    ("tril", {}),
    ("triu", {"k": 1}),
    ("tril", {"k": -1}),
    ("linalg.diagonal", {}),
    ("linalg.diagonal", {"offset": 2}),
    ("linalg.diagonal", {"offset": -1}),
]


@pytest.mark.parametrize("dtype", ["bool", "uint16", "int8", "float32", "complex64"])
@pytest.mark.parametrize(("name", "options"), MANIPULATIONS)
def test_elements_go_where_numpy_has_them_go(xp, name, options, dtype):
    assert_agrees(xp, name, CUBE.astype(dtype), **options)


def test_axes_are_moved_tiled_and_taken_apart(xp):
    for name, *given in [("moveaxis", 0, -1), ("moveaxis", (0, 1), (-1, 0)), ("tile", (2, 1)), ("tile", (2, 1, 1, 2))]:
        for dtype in ("uint16", "float64"):
            x = CUBE.astype(dtype)
            expected = getattr(np, name)(x, *given)
            for found in calls(xp, lambda y: getattr(xp, name)(y, *given), (x,), {}):  # noqa: B023
                assert_same(found, expected)
    for axis in (0, -1):
        for one, other in zip(xp.unstack(xp.asarray(CUBE), axis=axis), np.unstack(CUBE, axis=axis), strict=True):
            assert_same(one, other)
    assert_agrees(xp, "squeeze", np.ones((1, 3, 1)), axis=(0, -1))


def test_elements_are_repeated_the_same_number_of_times_or_each_its_own(xp):
    for options in ({}, {"axis": 1}):
        for found in calls(xp, lambda x: xp.repeat(x, 2, **options), (CUBE,), {}):  # noqa: B023
            assert_same(found, np.repeat(CUBE, 2, **options))
    assert_agrees(xp, "repeat", np.array([1, 2, 3], np.uint16), np.array([0, 2, 1], np.int8))


@pytest.mark.parametrize("dtypes", [("int8", "uint8"), ("float32", "float64"), ("bool", "bool")])
def test_arrays_are_joined_in_their_common_dtype(xp, dtypes):
    parts = [np.ones((2, 3), dtypes[0]), np.zeros((2, 3), dtypes[1])]
    for name, options in [("concat", {"axis": 1}), ("concat", {"axis": None}), ("stack", {"axis": -1})]:
        expected = getattr(np, name)(parts, **options)
        for found in calls(xp, lambda *x: getattr(xp, name)(x, **options), parts, {}):  # noqa: B023
            assert_same(found, expected)


def test_shapes_broadcast(xp):
    assert_agrees(xp, "broadcast_arrays", np.ones((3, 1)), np.zeros((1, 4), np.int8))
    assert xp.broadcast_shapes((3, 1), (4,), ()) == (3, 4)
    with pytest.raises(ValueError, match="broadcast"):
        xp.broadcast_shapes((3,), (4,))


def test_an_axis_that_is_not_there_is_an_error_in_words(xp):
    x = xp.asarray(CUBE)
    for call in (lambda: xp.flip(x, axis=3), lambda: xp.expand_dims(x, axis=5), lambda: xp.squeeze(x, axis=-4)):
        with pytest.raises(IndexError, match="is not one of an array of"):
            call()
    with pytest.raises(ValueError, match="axis 1 has size 3"):
        xp.squeeze(x, axis=1)
    with pytest.raises(ValueError, match="names an axis twice"):
        xp.sum(x, axis=(0, -3))
    with pytest.raises(ValueError, match="2 shifts for 1 axes"):
        xp.roll(x, (1, 2), axis=0)


# Indexing


@pytest.mark.parametrize("dtype", EVERY)
def test_indices_take_from_the_end_where_they_are_negative(xp, dtype):
    x = grid(dtype)
    for kind in ("int8", "int32", "int64"):
        assert_agrees(xp, "take", x, np.array([0, -1, 1, -2], kind), axis=1)
        assert_agrees(xp, "take_along_axis", x, np.array([[0, -1, 2]] * len(x), kind), axis=-1)


def test_take_goes_along_any_axis_and_takes_indices_of_any_shape(xp):
    assert_agrees(xp, "take", CUBE, np.array([1, -1]), axis=0)
    assert_agrees(xp, "take", CUBE[0, 0], np.array([1, -1]), expected=CUBE[0, 0][[1, -1]])
    with pytest.raises(ValueError, match="take of an array of 3 axes needs axis="):
        xp.take(xp.asarray(CUBE), xp.asarray([1]))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis_goes_along_any_axis_and_broadcasts(xp, axis):
    index = np.argsort(-CUBE, axis=axis)
    assert_agrees(xp, "take_along_axis", CUBE, index, axis=axis)
    assert_same(
        xp.take_along_axis(xp.asarray(CUBE), xp.asarray(index[:1, :, :] * 0), axis=1),
        np.take_along_axis(CUBE, index[:1, :, :] * 0, axis=1),
    )


def test_a_diagonal_beyond_all_is_empty(xp):
    for k in (2**63, -(2**63)):
        assert_same(xp.eye(2, k=k), np.zeros((2, 2), np.float32))
        assert_same(xp.tril(xp.ones((2, 2)), k=k), np.full((2, 2), k > 0, np.float32))
        assert_same(xp.triu(xp.ones((2, 2)), k=k), np.full((2, 2), k < 0, np.float32))
        assert xp.linalg.diagonal(xp.ones((2, 2)), offset=k).shape == (0,)


# Utilities


@pytest.mark.parametrize("axis", [None, 0, (0, 1), ()])
@pytest.mark.parametrize("dtype", ["bool", "uint16", "float32", "complex64"])
@pytest.mark.parametrize("name", ["all", "any"])
def test_nan_and_all_else_that_is_not_zero_is_true(xp, name, dtype, axis):
    assert_agrees(xp, name, grid(dtype), axis=axis, keepdims=True)
    assert_agrees(xp, name, np.zeros((0, 2), dtype), axis=axis)


def test_differences_begin_and_end_with_what_is_given(xp):
    x = np.array([[1, 4, 9]], np.uint8)
    found = xp.diff(xp.asarray(x), prepend=xp.asarray([[0]], dtype=xp.uint8), append=xp.asarray([[20]], dtype=xp.uint8))
    assert_same(found, np.array([[1, 3, 5, 11]], np.uint8))
    with pytest.raises(ValueError, match="n is -1"):
        xp.diff(xp.asarray(x), n=-1)


# Creation


@pytest.mark.parametrize("dtype", EVERY)
def test_full_fills_an_array_with_the_value_given(xp, dtype):
    kind = getattr(xp, dtype)
    for name, like in (("zeros", "zeros_like"), ("ones", "ones_like")):
        assert_same(getattr(xp, name)((2, 0, 3), dtype=kind), getattr(np, name)((2, 0, 3), dtype))
        assert_agrees(xp, like, grid(dtype))
    assert_same(xp.full(3, 1, dtype=kind), np.ones(3, dtype))
    assert_agrees(xp, "full_like", grid(dtype), fill_value=1)
    assert_same(xp.eye(2, 3, k=1, dtype=kind), np.eye(2, 3, k=1, dtype=dtype))
    for made in (xp.empty((2, 3), dtype=kind), xp.empty_like(xp.zeros((2, 3), dtype=kind))):
        assert made.shape == (2, 3)
        assert made.dtype == kind


@pytest.mark.parametrize(
    ("obj", "dtype"),
    [
        (True, "bool"), (3, "int32"), (2**40, "int64"), (1.5, "float32"), (1j, "complex64"), ([True, 2], "int32"),
        ([1, 2.5], "float32"), ([[1, 1j], [0.5, True]], "complex64"), ([], "float32"), ([1, -(2**40)], "int64"),
        (np.array([1, 2], np.uint16), "uint16"), (np.float64(2.5), "float64"), (range(3), "int32"),
    ],
)  # fmt: skip
def test_numbers_become_arrays_of_the_default_dtype_of_their_kind(xp, obj, dtype):
    assert_same(xp.asarray(obj), np.asarray(obj, dtype))


def test_numbers_become_arrays_of_a_dtype(xp):
    assert_same(xp.asarray([2**64 - 1, 0], dtype=xp.uint64), np.array([2**64 - 1, 0], np.uint64))
    assert_same(xp.asarray([0.0, 2.5], dtype=xp.int8), np.array([0, 2], np.int8))
    assert_same(xp.asarray([0, 2], dtype=xp.bool), np.array([False, True]))
    assert_same(xp.asarray([True, 2], dtype=xp.float64), np.array([1.0, 2.0]))
    for dtype in EVERY:
        for value in (False, True):
            assert_same(xp.asarray(value, dtype=getattr(xp, dtype)), np.asarray(value, dtype))
    with pytest.raises(OverflowError, match="300 does not fit uint8"):
        xp.asarray([1, 300], dtype=xp.uint8)


def test_copy_false_raises_where_a_copy_is_needed(xp):
    x = xp.asarray([1.0, 2.0])
    assert xp.asarray(x, copy=False) is x
    for obj, options, reason in [
        ([1.0], {}, "a list is not a tensor"),
        (np.ones(2), {}, "a ndarray is not a tensor"),
        (x, {"dtype": xp.float64}, "the dtype changes"),
        (x, {"device": "GPU:7"}, "the device changes"),
    ]:
        with pytest.raises(ValueError, match=reason):
            xp.asarray(obj, copy=False, **options)


def test_a_copy_does_not_change_with_the_original(xp):
    source = np.ones(1000)
    copies = [xp.asarray(source, copy=True), *(xp.from_dlpack(source[i:], copy=True) for i in range(8))]
    source[:] = 2
    for copy in copies:
        assert np.all(copy.numpy() == 1)


def test_memory_that_lies_unaligned_is_copied_or_refused(xp):
    source = np.arange(1000.0)
    for i in range(8):
        assert_same(xp.add(xp.from_dlpack(source[i:]), 1.0), source[i:] + 1)
    unaligned = next(source[i:] for i in range(8) if source[i:].ctypes.data % 64)
    with pytest.raises(ValueError, match="address that is a multiple of 64"):
        xp.from_dlpack(unaligned, copy=False)


def test_an_array_is_made_on_the_device_given(xp):
    device = xp.__array_namespace_info__().devices()[0]
    made = [xp.asarray([1], device=device), xp.zeros(2, device=device), xp.from_dlpack(np.ones(2), device=device)]
    made += [xp.arange(3, device=device), xp.astype(xp.ones(2), xp.int8, device=device)]
    assert {x.device for x in made} == {device}


def test_numbers_lie_evenly(xp):
    for given, dtype in [
        ((5,), "int32"), ((2, 9, 3), "int32"), ((9, 2, -3), "int32"), ((0, 1, 0.25), "float32"), ((5, 2), "int32"),
        ((0, 2**40, 2**39), "int64"),
    ]:  # fmt: skip
        assert_same(xp.arange(*given), np.arange(*given, dtype=dtype))
    for dtype in INTEGERS:
        assert_same(xp.arange(1, 100, 7, dtype=getattr(xp, dtype)), np.arange(1, 100, 7, dtype=dtype))
    assert_same(xp.arange(2**64 - 3, 2**64 - 1, dtype=xp.uint64), np.array([2**64 - 3, 2**64 - 2], np.uint64))
    for endpoint in (True, False):
        expected = np.linspace(0.1, 0.7, 7, endpoint=endpoint)
        assert_same(xp.linspace(0.1, 0.7, 7, endpoint=endpoint, dtype=xp.float64), expected, ulps=2)
    assert xp.linspace(-1.0, 1.0, 5).numpy().tolist() == [-1, -0.5, 0, 0.5, 1]
    assert xp.linspace(0, 1j, 1).dtype == xp.complex64


def test_a_grid_has_an_array_for_each_axis(xp):
    for indexing in ("xy", "ij"):
        arrays = [np.arange(n, dtype=np.int16) for n in (2, 3, 4)]
        for count in (1, 2, 3):
            expected = np.meshgrid(*arrays[:count], indexing=indexing)
            assert_agrees(xp, "meshgrid", *arrays[:count], indexing=indexing, expected=expected)
    with pytest.raises(ValueError, match="indexing is 'yx'"):
        xp.meshgrid(indexing="yx")


# Data types


def test_dtypes_promote_after_the_standard(xp):
    assert xp.result_type(xp.int8, xp.uint8) == xp.int16
    assert xp.result_type(xp.uint32, xp.asarray([1], dtype=xp.int8), 3) == xp.int64
    assert xp.result_type(xp.float32, 1j) == xp.complex64
    assert xp.result_type(xp.float16, xp.bfloat16) == xp.float32
    assert xp.can_cast(xp.int8, xp.int16)
    assert not xp.can_cast(xp.asarray([1.0]), xp.int64)
    with pytest.raises(TypeError, match="int64 and uint64 have no common dtype"):
        xp.result_type(xp.int64, xp.uint64)


def test_kinds_are_those_of_the_standard(xp):
    assert xp.isdtype(xp.float32, "real floating")
    assert xp.isdtype(xp.uint8, ("bool", "integral"))
    assert xp.isdtype(xp.uint8, xp.uint8)
    assert not xp.isdtype(xp.bool, "numeric")
    with pytest.raises(ValueError, match="'float' is not a kind of dtype"):
        xp.isdtype(xp.float32, "float")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", *COMPLEX])
def test_limits_of_floats_are_python_floats(xp, dtype):
    import ml_dtypes

    info, expected = xp.finfo(getattr(xp, dtype)), ml_dtypes.finfo(dtype)
    for name in ("bits", "eps", "max", "min", "smallest_normal"):
        assert getattr(info, name) == getattr(expected, name)
        assert type(getattr(info, name)) in (int, float)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_limits_of_integers(xp, dtype):
    info, expected = xp.iinfo(xp.asarray([1], dtype=getattr(xp, dtype))), np.iinfo(dtype)
    assert (info.bits, info.min, info.max, info.dtype) == (
        expected.bits,
        expected.min,
        expected.max,
        getattr(xp, dtype),
    )


@pytest.mark.parametrize("dtype", EVERY)
def test_astype_converts_but_not_complex_numbers_to_real_ones(xp, dtype):
    x = numbers(dtype)[:2]
    for target in EVERY:
        if dtype in COMPLEX and target not in COMPLEX:
            with pytest.raises(TypeError, match="take real"):
                xp.astype(xp.asarray(x), getattr(xp, target))
        else:
            y = np.array([0, 1]).astype(dtype)
            assert_same(xp.astype(xp.asarray(y), getattr(xp, target)), y.astype(target))


def test_the_namespace_lists_its_capabilities_dtypes_and_devices(xp):
    info = xp.__array_namespace_info__()
    assert xp.__array_api_version__ == "2024.12"
    assert set(info.capabilities()) == {"boolean indexing", "data-dependent shapes", "max dimensions"}
    assert info.default_device() in info.devices()
    assert info.default_dtypes()["integral"] == xp.asarray(0).dtype == xp.int32
    assert info.default_dtypes()["indexing"] == xp.argmax(xp.asarray([0])).dtype
    assert set(info.dtypes(kind=("bool", "unsigned integer"))) == {"bool", "uint8", "uint16", "uint32", "uint64"}
    assert (xp.pi, xp.e, xp.inf, xp.newaxis) == (math.pi, math.e, math.inf, None)
    assert math.isnan(xp.nan)


@pytest.mark.parametrize(("name", "options"), MANIPULATIONS)
def test_the_gradient_of_a_manipulation_goes_back_where_the_elements_were(xp, name, options):
    import tensorflow as tf

    x = tf.constant(CUBE)
    with tf.GradientTape() as tape:
        tape.watch(x)
        function = xp.linalg.diagonal if name == "linalg.diagonal" else getattr(xp, name)
        moved = function(x, **options)
    # linear: <f(x), f(x)> = <x, f'(f(x))>
    gradient = tape.gradient(moved, x, moved)
    np.testing.assert_allclose(np.sum(gradient * CUBE), np.sum(moved * moved), rtol=1e-14)


def test_the_gradient_of_take_adds_up_over_equal_indices(xp):
    assert_gradient(xp, lambda x: xp.take(x, xp.asarray([0, -1, 0])), [1.0, 2.0, 3.0])
    assert_gradient(xp, lambda x: xp.take_along_axis(x, xp.asarray([[0, -1, 0]]), axis=1), [[1.0, 2.0, 3.0]])
