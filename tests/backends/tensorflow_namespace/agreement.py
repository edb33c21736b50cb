"""Functions of the namespace beside those of NumPy: eagerly, and traced with dimensions that are not known."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
EVERY = ("bool", *INTEGERS, *FLOATS, *COMPLEX)


def numbers(dtype: str) -> np.ndarray:
    """What is special about a dtype: its ends, both zeros, halves, infinities and NaN."""
    if dtype == "bool":
        return np.array([True, False, True, True, False])
    if dtype in INTEGERS:
        info = np.iinfo(dtype)
        return np.array([info.min, info.max, 0, 1, 3, 7, info.max - 1, info.min + 1, 7, 100], dtype)
    real = np.array([0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1, -1, 3, 7.25, 0.1, np.inf, -np.inf, np.nan, 100], dtype)
    if dtype in FLOATS:
        return real
    finite = real[np.isfinite(real.real)]
    return (finite[:, None] + 1j * finite[:4]).astype(dtype).reshape(-1)


def grid(dtype: str) -> np.ndarray:
    """The special numbers as a matrix."""
    values = numbers(dtype)
    return values[: len(values) // 2 * 2].reshape(2, -1) if len(values) % 2 == 0 else values[None]


def pairs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Every special number beside every other."""
    values = numbers(dtype)
    first, second = np.meshgrid(values, values)
    return first, second


def function_of(namespace: Any, name: str) -> Any:
    """`name` in a namespace or in an extension of it."""
    return operator.attrgetter(name)(namespace)


def calls(xp: Any, function: Any, arrays: Any, options: dict[str, Any]) -> Any:
    """The results of a call: eager, and traced with the rank known and every dimension unknown."""
    import tensorflow as tf

    tensors = [xp.asarray(x) for x in arrays]
    yield function(*tensors, **options)
    specs = [tf.TensorSpec([None] * x.ndim, x.dtype) for x in tensors]
    yield tf.function(lambda *x: function(*x, **options), input_signature=specs, autograph=False)(*tensors)


def assert_same(found: Any, expected: Any, *, ulps: float = 0, what: str = "") -> None:
    """Results, or tuples of them, have one dtype, shape and values: within `ulps` of their size, else to the bit."""
    if isinstance(expected, (tuple, list)):
        assert len(found) == len(expected), what
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, ulps=ulps, what=what)
        return
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype, f"{what}: dtype {found.dtype}, not {expected.dtype}"
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, not {expected.shape}"
    if ulps == 0 or found.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, expected, what)
        if found.dtype.kind == "f":
            number = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]), f"{what}: signs")
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite], what)
    size = np.abs(expected[finite])
    wrong = np.abs(found[finite] - expected[finite]) > ulps * np.spacing(np.maximum(size, np.finfo(size.dtype).tiny))
    assert not wrong.any(), f"{what}: {found[finite][wrong]}, not {expected[finite][wrong]}"


def assert_agrees(xp: Any, name: str, *arrays: Any, ulps: float = 0, expected: Any = None, **options: Any) -> None:
    """A function gives what NumPy's of the same name gives, or what is `expected`."""
    if expected is None:
        with np.errstate(all="ignore"):
            expected = function_of(np, name)(*arrays, **options)
    for found, mode in zip(calls(xp, function_of(xp, name), arrays, options), ("eager", "traced"), strict=True):
        kinds = ", ".join(str(x.dtype) for x in arrays)
        assert_same(found, expected, ulps=ulps, what=f"{name}({kinds}) {options or ''} {mode}")


def assert_gradient(xp: Any, function: Any, *arrays: Any, step: float = 1e-6, tolerance: float = 1e-7) -> None:
    """The gradient of a weighted sum is that of central differences, whose error is `tolerance` of their size."""
    import tensorflow as tf

    tensors = [xp.asarray(np.asarray(x, np.float64)) for x in arrays]
    weights = np.cos(np.arange(np.asarray(function(*tensors)).size)).reshape(np.asarray(function(*tensors)).shape)

    def total(*values: Any) -> Any:
        return tf.reduce_sum(function(*values) * weights)

    with tf.GradientTape() as tape:
        tape.watch(tensors)
        result = total(*tensors)
    for i, gradient in enumerate(tape.gradient(result, tensors)):
        assert gradient is not None, f"no gradient of argument {i}"
        gradient = tf.convert_to_tensor(gradient)  # that of a gather comes as slices
        base = tensors[i].numpy()
        for place in np.ndindex(base.shape):
            moved = []
            for h in (step, -step):
                values = base.copy()
                values[place] += h
                moved.append(total(*tensors[:i], tf.constant(values), *tensors[i + 1 :]).numpy())
            slope = (moved[0] - moved[1]) / (2 * step)
            assert abs(gradient.numpy()[place] - slope) <= tolerance * max(1, abs(slope)), (i, place)
