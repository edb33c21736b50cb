"""Arrays into NumPy, across frameworks, and their derivatives."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from support import NAMES, require, run_python

import tempscale as ts

DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "bool")
NOT_IN_JAX = ("float64", "int64")  # as long as x64 is off
VALUES = [[0, 1, 2], [3, 1, 0]]


def numpy_dtype(name):
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def aligned(dtype):
    """VALUES in memory that starts where every framework accepts it, at a multiple of 64 bytes."""
    kind = numpy_dtype(dtype)
    memory = np.zeros(6 * kind.itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64
    x = memory[start : start + 6 * kind.itemsize].view(kind).reshape(2, 3)
    x[...] = VALUES
    return x


def make(name, dtype="float32"):
    """VALUES as an array of a framework, in aligned memory."""
    x = aligned(dtype)
    if name != "torch":
        return x if name == "numpy" else require(name).asarray(x)
    import torch

    return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) if dtype == "bfloat16" else torch.from_numpy(x)


def address(name, x):
    """Where the first value of an array lies in memory."""
    if name == "numpy":
        return x.ctypes.data
    if name == "jax":
        return x.unsafe_buffer_pointer()
    import torch

    return torch.from_dlpack(x).data_ptr()


def values(x):
    return ts.to_numpy(x).astype(float).tolist()


def possible(name, dtype):
    return name != "jax" or dtype not in NOT_IN_JAX


CONVERSIONS = [
    (source, target, dtype)
    for source, target, dtype in itertools.product(NAMES, NAMES, DTYPES)
    if possible(source, dtype) and possible(target, dtype)
]


# array_namespace


def test_the_namespace_is_the_framework_s_own_where_it_has_one(torch, jax):
    import array_api_compat.torch

    assert ts.array_namespace(np.ones(1)) is np
    assert ts.array_namespace(jax.numpy.ones(1)) is jax.numpy
    assert ts.array_namespace(torch.ones(1)) is array_api_compat.torch
    assert ts.array_namespace(2.0, [1.0]) is np
    assert ts.array_namespace(2.0, torch.ones(1)) is array_api_compat.torch


def test_the_namespace_of_every_backend_computes_on_its_arrays(backend):
    x = backend.asarray([[0.0, 1.0], [2.0, 3.0]])
    xp = ts.array_namespace(x, 2.0)
    assert xp is backend.namespace
    assert values(xp.sum(xp.exp(x) * 0 + x, axis=-1, keepdims=True)) == [[1.0], [5.0]]


def test_the_namespace_of_two_frameworks_is_refused(torch):
    with pytest.raises(TypeError, match="arrays of two frameworks"):
        ts.array_namespace(np.ones(1), torch.ones(1))


# to_numpy


@pytest.mark.parametrize("dtype", DTYPES)
def test_to_numpy_keeps_values_and_dtype(backend, dtype):
    with backend.allowing(dtype):
        x = ts.to_numpy(make(backend.name, dtype))
    assert type(x) is np.ndarray
    assert x.dtype == numpy_dtype(dtype)
    assert x.tolist() == np.asarray(VALUES).astype(numpy_dtype(dtype)).tolist()


def test_to_numpy_copies(backend):
    x = make(backend.name)
    copy = ts.to_numpy(x)
    assert copy.flags.writeable
    copy[...] = 9
    assert values(x) == VALUES
    assert values(ts.to_numpy(x)) == VALUES


def test_to_numpy_copies_a_variable_and_later_assignments_do_not_reach_it(tf):
    variable = tf.Variable([1.0, 2.0])
    copy = ts.to_numpy(variable)
    copy[0] = 9
    assert variable.numpy().tolist() == [1.0, 2.0]
    variable.assign([5.0, 5.0])
    assert copy.tolist() == [9.0, 2.0]


def test_to_numpy_detaches(torch, tf, jax):
    x = torch.ones(2, requires_grad=True)
    assert ts.to_numpy(x * 2).tolist() == [2.0, 2.0]
    assert ts.to_numpy(torch.nn.Parameter(x)).tolist() == [1.0, 1.0]
    with tf.GradientTape() as tape:
        y = tf.Variable([1.0])
        z = y * float(ts.to_numpy(y)[0])
    assert tape.gradient(z, y).numpy().tolist() == [1.0]
    assert jax.grad(lambda x: x[0] * ts.to_numpy(x)[0])(jax.numpy.ones(1)).tolist() == [1.0]


def test_to_numpy_takes_lazily_conjugated_tensors(torch):
    assert ts.to_numpy(torch.tensor([1 + 2j]).conj()).tolist() == [1 - 2j]
    assert ts.to_numpy(torch.tensor([1 + 2j]).conj().imag).tolist() == [-2.0]


def test_to_numpy_takes_numbers_and_lists():
    assert ts.to_numpy([[1, 2]]).tolist() == [[1, 2]]
    assert ts.to_numpy(2.0).shape == ()
    assert ts.to_numpy(np.float32(2)).dtype == np.float32


def test_to_numpy_says_that_a_traced_array_has_no_values(torch, tf, jax):
    no_values = "being traced has no values to copy"
    with pytest.raises(RuntimeError, match=no_values):
        jax.jit(ts.to_numpy)(jax.numpy.ones(2))
    with pytest.raises(RuntimeError, match=no_values):
        tf.function(ts.to_numpy, autograph=False)(tf.ones(2))
    with pytest.raises(RuntimeError, match=no_values):
        torch.func.vmap(lambda x: torch.as_tensor(ts.to_numpy(x)))(torch.ones(2, 2))


# convert: values


@pytest.mark.parametrize(("source", "target", "dtype"), CONVERSIONS)
def test_convert_keeps_values_and_dtype_and_gives_memory_of_its_own(source, target, dtype):
    backend = require(target)
    x = make(source, dtype)
    result = ts.convert(x, like=make(target))
    assert ts.backend_of(result) is backend
    assert backend.dtype_name(result) == dtype
    assert backend.shape(result) == (2, 3)
    assert values(result) == values(x)
    assert address(target, result) != address(source, x)


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("source", ["numpy", "torch"])
def test_what_is_written_to_the_source_does_not_reach_the_copy(source, target):
    x = make(source)
    result = ts.convert(x, like=make(target))
    x[...] = 9
    assert values(result) == VALUES


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("source", NAMES)
def test_what_is_written_to_the_copy_does_not_reach_the_source(source, target):
    x = make(source)
    ts.convert(x, like=make(target))[...] = 9
    assert values(x) == VALUES


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize(("dtype", "narrower"), [("float64", "float32"), ("int64", "int32")])
@pytest.mark.parametrize("source", ["numpy", "torch", "tensorflow"])
def test_what_jax_would_narrow_without_x64_is_refused_unless_a_dtype_is_given(source, dtype, narrower, copy):
    like = make("jax")
    x = make(source, dtype)
    with pytest.raises(TypeError, match=rf"JAX has no {dtype} unless x64 is on.*dtype='{narrower}'\)"):
        ts.convert(x, like=like, copy=copy)
    result = ts.convert(x, like=like, dtype=narrower)
    assert str(result.dtype) == narrower
    assert values(result) == VALUES


def test_with_x64_on_jax_takes_them(jax):
    like = make("jax")
    with jax.enable_x64(True):
        for dtype in NOT_IN_JAX:
            assert str(ts.convert(make("numpy", dtype), like=like).dtype) == dtype


def test_jax_s_backend_narrows_no_numpy_array_without_a_word(jax):
    backend = require("jax")
    with pytest.raises(TypeError, match="JAX has no float64"):
        backend.asarray(np.ones(1))
    assert backend.dtype_name(backend.asarray([1.0])) == "float32"


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32", "bool"])
def test_a_given_dtype_is_converted_to(target, dtype):
    for source in NAMES:
        result = ts.convert(make(source), like=make(target), dtype=dtype)
        assert require(target).dtype_name(result) == dtype
        expected = np.asarray(VALUES).astype(numpy_dtype(dtype)).astype(float)
        assert values(result) == expected.tolist()


def test_an_unknown_dtype_is_a_type_error(backend):
    with pytest.raises(TypeError, match="float31"):
        ts.convert(np.ones(1, "float32"), like=make(backend.name), dtype="float31")


def test_lists_and_numbers_take_the_dtype_that_the_framework_has_for_them(backend):
    like = make(backend.name)
    assert backend.dtype_name(ts.convert([1.0, 2.0], like=like)) == backend.default_float()
    assert backend.dtype_name(ts.convert(2.0, like=like)) == backend.default_float()
    assert values(ts.convert([[1, 2]], like=like)) == [[1.0, 2.0]]
    assert backend.dtype_name(ts.convert(np.float16(2), like=like)) == "float16"


def test_like_a_number_or_a_list_means_numpy(backend):
    for like in (2.0, [1.0]):
        assert type(ts.convert(make(backend.name), like=like)) is np.ndarray


STRANGE = {
    "0-d": np.float32(3).reshape(()),
    "empty": np.zeros((0, 3), "float32"),
    "transposed": np.arange(6, dtype="float32").reshape(2, 3).T,
    "strided": np.arange(6, dtype="float32")[::2],
    "reversed": np.arange(6, dtype="float32")[::-1],
    "broadcast": np.broadcast_to(np.float32(2), (2, 3)),
    "reversed bfloat16": np.arange(6).astype(ml_dtypes.bfloat16)[::-1],
}


@pytest.mark.parametrize("name", STRANGE)
def test_every_layout_converts(backend, name):
    x = STRANGE[name]
    result = ts.convert(x, like=make(backend.name))
    assert backend.shape(result) == x.shape
    assert values(result) == x.astype(float).tolist()
    assert values(ts.convert(result, like=np.ones(1))) == x.astype(float).tolist()


def test_every_pair_layout_and_dtype_converts_with_equal_values_or_says_why_not():
    for name in NAMES:
        require(name)
    assert run_python("import conversions; conversions.main()", path=[*sys.path, Path(__file__).parent]) == ""


def test_numpy_casts_for_every_pair(backend):
    for dtype in ("longdouble", "float8_e5m2", ">f8"):
        x = np.asarray([0.5, 2.0]).astype(getattr(ml_dtypes, dtype, dtype))
        assert values(ts.convert(x, like=make(backend.name), dtype="float32")) == [0.5, 2.0]


def test_copy_is_true_or_false():
    with pytest.raises(TypeError, match="copy is None, expected True or False"):
        ts.convert(np.ones(1), like=np.ones(1), copy=None)


def test_read_only_memory_is_copied(backend):
    x = np.arange(3, dtype="float32")
    x.flags.writeable = False
    assert values(ts.convert(x, like=make(backend.name))) == [0.0, 1.0, 2.0]


def test_gradients_do_not_flow_through(torch):
    x = torch.ones(2, requires_grad=True)
    for copy in (True, False):
        assert not ts.convert(x, like=x, copy=copy).requires_grad
        assert ts.convert(x, like=np.ones(1), copy=copy).tolist() == [1.0, 1.0]


# convert: sharing


@pytest.mark.parametrize(("source", "target", "dtype"), CONVERSIONS)
def test_without_a_copy_memory_is_shared_or_the_reason_is_given(source, target, dtype):
    require(source), require(target)
    x = make(source, dtype)
    if dtype == "bfloat16" and "numpy" in (source, target) and source != target:
        with pytest.raises(ValueError, match=rf"{target} cannot share the memory of this {source} array: .*copy=True"):
            ts.convert(x, like=make(target), copy=False)
        return
    result = ts.convert(x, like=make(target), copy=False)
    assert ts.backend_of(result).name == target
    assert ts.backend_of(result).dtype_name(result) == dtype
    assert values(result) == values(x)
    assert address(target, result) == address(source, x)


@pytest.mark.parametrize("target", ["numpy", "torch"])
@pytest.mark.parametrize("source", ["numpy", "torch"])
def test_what_is_written_to_shared_memory_is_seen_on_both_sides(source, target):
    x = make(source)
    shared = ts.convert(x, like=make(target), copy=False)
    shared[0, 0] = 9
    assert values(x)[0][0] == 9.0
    x[0, 1] = 8
    assert values(shared)[0] == [9.0, 8.0, 2.0]


def test_memory_that_jax_would_have_to_copy_is_refused():
    x = aligned("float32").reshape(-1)[1:]  # 4 bytes off
    with pytest.raises(ValueError, match=r"jax cannot share the memory of this numpy array: .*aligned"):
        ts.convert(x, like=make("jax"), copy=False)


def test_read_only_memory_is_shared_as_well(torch):
    x = aligned("float32")
    x.flags.writeable = False
    assert ts.convert(x, like=torch.ones(1), copy=False).data_ptr() == x.ctypes.data


def test_without_a_copy_the_dtype_cannot_change(backend):
    x = np.ones(3, "float32")
    with pytest.raises(ValueError, match="copy=False cannot change the dtype from float32 to float16"):
        ts.convert(x, like=make(backend.name), dtype="float16", copy=False)
    assert values(ts.convert(aligned("float32"), like=make(backend.name), dtype="float32", copy=False)) == VALUES


def test_lists_and_numbers_have_no_memory_to_share(backend):
    for x in ([1.0], 2.0, np.float32(2)):
        with pytest.raises(ValueError, match="has no memory to share"):
            ts.convert(x, like=make(backend.name), copy=False)


# convert: devices


def test_the_result_is_on_the_device_of_like(torch):
    like = torch.ones(1, device="meta")
    assert ts.convert(np.ones(2), like=like).device.type == "meta"
    assert ts.convert(torch.ones(2), like=like).device.type == "meta"
    with pytest.raises(ValueError, match="x is on cpu and like on meta: memory cannot be shared"):
        ts.convert(torch.ones(2), like=like, copy=False)


def test_the_result_is_on_the_second_device_if_like_is():
    require("jax"), require("tensorflow")
    run_python(
        """
        import numpy as np, jax, tensorflow as tf
        import tempscale as ts

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        with tf.device("CPU:1"):
            like_tf = tf.constant([1.0])
        like_jax = jax.device_put(jax.numpy.ones(1), jax.devices()[1])
        first = jax.numpy.ones(1)

        t, j = ts.get_backend("tensorflow"), ts.get_backend("jax")
        assert t.device_of(like_tf) == "CPU:1", t.device_of(like_tf)
        assert j.device_of(like_jax) == "cpu:1", j.device_of(like_jax)
        for x in (np.ones(2, "float32"), like_tf, like_jax, [1.0, 2.0]):
            assert t.device_of(ts.convert(x, like=like_tf)) == "CPU:1"
            assert j.device_of(ts.convert(x, like=like_jax)) == "cpu:1"
        assert j.device_of(ts.softmax([1.0], temperature=like_jax)) == "cpu:1"
        assert j.device_of(j.asarray([1.0], device="cpu:1")) == "cpu:1"
        try:
            ts.convert(like_jax, like=first, copy=False)
        except ValueError as error:
            assert "x is on cpu:1 and like on cpu:0" in str(error), error
        else:
            raise AssertionError
        try:
            j.asarray([1.0], device="cpu:7")
        except ValueError as error:
            assert "no device 'cpu:7'; there are cpu:0, cpu:1" in str(error), error
        else:
            raise AssertionError
        """,
        env={"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"},
    )


# stop_gradient


def test_stop_gradient_gives_zero_gradient(differentiating):
    x = differentiating.asarray([3.0, 4.0])
    ones = differentiating.asarray([1.0, 1.0])

    def product(x):
        return x * ts.stop_gradient(x)

    def constant(x):
        return ts.stop_gradient(x) * 1.0

    assert values(product(x)) == [9.0, 16.0]
    assert values(differentiating.vjp(product, (x,), ones)[0]) == [3.0, 4.0]
    assert values(differentiating.jvp(product, (x,), (ones,))) == [3.0, 4.0]
    assert values(differentiating.vjp(constant, (x,), ones)[0]) == [0.0, 0.0]
    assert values(differentiating.jvp(constant, (x,), (ones,))) == [0.0, 0.0]


def test_stop_gradient_of_what_is_not_differentiated_is_itself():
    x = np.ones(2)
    assert ts.stop_gradient(x) is x
    assert ts.stop_gradient(2.0) == 2.0


def test_a_gradient_is_given_for_each_argument_even_for_one_array_twice_or_one_unused(differentiating):
    x = differentiating.asarray([3.0])
    one = differentiating.asarray([1.0])
    gradients = differentiating.vjp(lambda x, y: x * x * y, (x, x), one)
    assert [values(g) for g in gradients] == [[18.0], [9.0]]
    assert values(differentiating.jvp(lambda x, y: x * x * y, (x, x), (one, one * 0))) == [18.0]
    assert [values(g) for g in differentiating.vjp(lambda x, y: x * 1.0, (x, x), one)] == [[1.0], [0.0]]


# custom_gradient: rules that are wrong on purpose, so that they cannot be mistaken for the framework's own


def pretend_sevens(x, y):
    """x * y with derivatives 7 x y and 5 x, from `result` and from the arrays."""
    return ts.custom_gradient(
        lambda x, y: x * y,
        vjp=lambda arrays, result, g: (7.0 * result * g, 5.0 * arrays[0] * g),
        jvp=lambda arrays, result, t: 7.0 * result * t[0] + 5.0 * arrays[0] * t[1],
    )(x, y)


X, Y, ONE, ZERO = [3.0, 4.0], [2.0, 1.0], [1.0, 1.0], [0.0, 0.0]
XY = [6.0, 4.0]
D_X, D_Y = [42.0, 28.0], [15.0, 20.0]  # 7 x y, 5 x
D_XX = [294.0, 196.0]  # 7 * (derivative of the result: 7 x y)
D_XY = [105.0, 140.0]  # 7 * (derivative of the result: 5 x)


@pytest.fixture
def arrays(differentiating):
    return [differentiating.asarray(v) for v in (X, Y, ONE, ZERO)]


def test_a_custom_gradient_leaves_the_value_alone(backend):
    x, y = backend.asarray(X), backend.asarray(Y)
    assert values(pretend_sevens(x, y)) == XY
    assert values(pretend_sevens(x, Y)) == XY


def test_a_custom_gradient_is_used_in_reverse_mode(differentiating, arrays):
    x, y, one, _ = arrays
    assert [values(g) for g in differentiating.vjp(pretend_sevens, (x, y), one)] == [D_X, D_Y]


def test_a_custom_gradient_is_used_in_forward_mode(differentiating, arrays):
    x, y, one, zero = arrays
    assert values(differentiating.jvp(pretend_sevens, (x, y), (one, zero))) == D_X
    assert values(differentiating.jvp(pretend_sevens, (x, y), (zero, one))) == D_Y
    assert values(differentiating.jvp(lambda x: pretend_sevens(x, y), (x,), (one,))) == D_X


@pytest.mark.parametrize("outer", ["vjp", "jvp"])
@pytest.mark.parametrize("inner", ["vjp", "jvp"])
def test_a_custom_gradient_can_be_differentiated_twice_in_every_order_of_modes(differentiating, arrays, inner, outer):
    x, y, one, zero = arrays

    def first(x, y):
        def f(x):
            return pretend_sevens(x, y)

        if inner == "jvp":
            return differentiating.jvp(f, (x,), (one,))
        if differentiating.name == "torch":  # whose autograd.grad, which vjp is, forgets the graph
            return sys.modules["torch"].func.vjp(f, x)[1](one)[0]
        return differentiating.vjp(f, (x,), one)[0]

    if outer == "vjp":
        second = differentiating.vjp(first, (x, y), one)
    else:
        second = [differentiating.jvp(first, (x, y), along) for along in ((one, zero), (zero, one))]
    assert [values(d) for d in second] == [D_XX, D_XY]


def test_a_custom_gradient_works_under_vmap(differentiating, arrays):
    x, y, one, _ = arrays
    assert values(differentiating.vmap(pretend_sevens)(x, y)) == XY
    gradients = differentiating.vjp(differentiating.vmap(pretend_sevens), (x, y), one)
    forward = differentiating.jvp(differentiating.vmap(pretend_sevens), (x, y), (one, one * 0))
    if differentiating.name == "tensorflow":  # vectorized_map has derivatives of its own, as documented
        assert [values(g) for g in gradients] == [Y, X]
        assert values(forward) == Y
    else:
        assert [values(g) for g in gradients] == [D_X, D_Y]
        assert values(forward) == D_X


def test_a_custom_gradient_works_inside_vmap(torch, tf, jax):
    x, y = torch.tensor(X), torch.tensor(Y)
    per_row = torch.func.vmap(torch.func.grad(pretend_sevens, argnums=(0, 1)))(x, y)
    assert [values(g) for g in per_row] == [D_X, D_Y]
    forward = torch.func.vmap(lambda x, y: torch.func.jvp(lambda x: pretend_sevens(x, y), (x,), (x * 0 + 1,))[1])
    assert values(forward(x, y)) == D_X
    hessian = torch.func.hessian(lambda x: pretend_sevens(x, y).sum())(x)
    assert values(hessian) == np.diag(D_XX).tolist()
    forward_twice = torch.func.jacfwd(torch.func.jacfwd(lambda x: pretend_sevens(x, y).sum()))(x)
    assert values(forward_twice) == np.diag(D_XX).tolist()

    x, y = jax.numpy.asarray(X), jax.numpy.asarray(Y)
    per_row = jax.vmap(jax.grad(pretend_sevens, argnums=(0, 1)))(x, y)
    assert [values(g) for g in per_row] == [D_X, D_Y]
    assert values(jax.hessian(lambda x: pretend_sevens(x, y).sum())(x)) == np.diag(D_XX).tolist()

    def per_row(row):
        with tf.GradientTape() as tape:
            tape.watch(row)
            result = pretend_sevens(row[0], row[1])
        return tape.gradient(result, row)

    assert values(tf.vectorized_map(per_row, tf.constant([X, Y], tf.float32).numpy().T)) == [
        [D_X[0], D_Y[0]],
        [D_X[1], D_Y[1]],
    ]


def test_a_nested_forward_derivative_for_which_torch_would_return_zero_is_refused(torch):
    def derivative(f):
        return lambda x: torch.func.jvp(f, (x,), (torch.ones(2),))[1]

    def f(x):
        return pretend_sevens(x, torch.tensor(Y))

    for nested in (derivative(derivative(derivative(f))), derivative(derivative(torch.func.vmap(f)))):
        with pytest.raises(NotImplementedError, match="use reverse mode for one of the derivatives"):
            nested(torch.tensor(X))


COMPILERS = [
    ("torch", "torch.compile"),
    ("tensorflow", "tf.function"),
    ("tensorflow", "tf.function(jit_compile=True)"),
    ("jax", "jax.jit"),
]


@pytest.mark.parametrize(("name", "compiler"), COMPILERS)
def test_a_custom_gradient_works_under_each_compiler(name, compiler):
    backend = require(name)
    if problem := backend.compiler_problem(compiler):
        pytest.skip(problem)
    assert compiler in backend.compilers
    x, y, one, zero = (backend.asarray(v) for v in (X, Y, ONE, ZERO))
    compiled = backend.jit(pretend_sevens, compiler=compiler)
    assert values(compiled(x, y)) == XY
    assert [values(g) for g in backend.vjp(compiled, (x, y), one)] == [D_X, D_Y]
    mapped = backend.jit(backend.vmap(pretend_sevens), compiler=compiler)
    assert values(mapped(x, y)) == XY
    inside = backend.jit(lambda x, y: backend.jvp(pretend_sevens, (x, y), (one, zero)), compiler=compiler)
    assert values(inside(x, y)) == D_X


@pytest.mark.parametrize(("name", "compiler"), COMPILERS[1:])
def test_compilers_that_trace_derivatives_trace_custom_ones(name, compiler):
    backend = require(name)
    x, y, one, zero = (backend.asarray(v) for v in (X, Y, ONE, ZERO))

    def first(x):
        return backend.vjp(lambda x: pretend_sevens(x, y), (x,), one)[0]

    assert values(backend.jit(first, compiler=compiler)(x)) == D_X
    twice = backend.jit(lambda x: backend.vjp(first, (x,), one)[0], compiler=compiler)
    assert values(twice(x)) == D_XX
    assert values(backend.jvp(backend.jit(pretend_sevens, compiler=compiler), (x, y), (one, zero))) == D_X
    if backend.unknown_dims:
        unknown = backend.jit(first, compiler=compiler, unknown_dims=True)
        assert values(unknown(x)) == D_X


def test_a_custom_gradient_reaches_variables(tf):
    variable = tf.Variable(X)

    def gradient():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as tape:
                result = pretend_sevens(variable, tf.constant(Y))
            first = tape.gradient(result, variable)
        return first, outer.gradient(first, variable)

    for run in (gradient, tf.function(gradient)):
        assert [values(g) for g in run()] == [D_X, D_XX]


def test_a_custom_gradient_reaches_parameters(torch):
    parameter = torch.nn.Parameter(torch.tensor(X))
    pretend_sevens(parameter, torch.tensor(Y)).sum().backward()
    assert parameter.grad.tolist() == D_X
    parameter.grad = None
    torch.compile(pretend_sevens, fullgraph=True, backend="aot_eager")(parameter, torch.tensor(Y)).sum().backward()
    assert parameter.grad.tolist() == D_X


def test_a_custom_gradient_of_two_frameworks_is_refused(torch):
    with pytest.raises(TypeError, match="arrays of two frameworks"):
        pretend_sevens(np.ones(2), torch.ones(2))


def test_infinities_under_a_custom_gradient_leave_no_nan_behind(differentiating):
    """What it is for: a rule that is finite where the framework's own is 0 * inf."""
    finite_log = ts.custom_gradient(
        lambda x: ts.array_namespace(x).log(x),
        vjp=lambda arrays, result, g: (g,),
        jvp=lambda arrays, result, t: t[0] * 1.0,
    )
    zero, one = differentiating.asarray([0.0]), differentiating.asarray([1.0])
    assert values(finite_log(zero)) == [-math.inf]
    assert values(differentiating.vjp(finite_log, (zero,), one)[0]) == [1.0]
    assert values(differentiating.jvp(finite_log, (zero,), (one,))) == [1.0]


def test_every_backend_says_that_it_differentiates_numpy_with_autograd_beside_it(backend):
    pytest.importorskip("autograd")
    assert backend.transforms
