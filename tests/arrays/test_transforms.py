"""`value_and_grad`, `grad`, `jit` and `vmap`: one meaning on every framework, over trees of arrays."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
from every_function import PROBABILITIES

import tempscale as ts
from tempscale._core.operation import OPERATIONS

State = collections.namedtuple("State", "scale step")


@dataclasses.dataclass
class Dense:
    w: object
    b: object


W = [[0.0, 1.0, -1.0], [0.5, -0.5, 2.0]]
B = [0.1, 0.2, 0.3]
X = [[1.0, 2.0], [3.0, 4.0]]


def arrays_of(backend, dtype="float32"):
    return lambda values: backend.asarray(np.asarray(values, dtype))


def parameters(backend):
    array = arrays_of(backend)
    return {"dense": Dense(array(W), array(B)), "temperature": array(0.7)}


def total(x):
    return ts.array_namespace(x).sum(x)


def loss(params, x):
    logits = x @ params["dense"].w + params["dense"].b
    return -total(ts.log_softmax(logits, temperature=params["temperature"])[..., 0])


def expected_gradient():
    """The gradient of `loss`, in closed form and float64."""
    x, w, b = (np.asarray(values, float) for values in (X, W, B))
    logits = x @ w + b
    to_z = ts.softmax(logits, temperature=np.asarray(np.float32(0.7), float)) - np.asarray([1.0, 0.0, 0.0])
    to_logits = to_z / np.float64(np.float32(0.7))
    return {
        "dense": Dense(x.T @ to_logits, to_logits.sum(0)),
        "temperature": -(to_logits * logits).sum() / np.float64(np.float32(0.7)),
    }


def assert_close(tree, expected):
    """Equal to a few units in the last place of float32."""
    assert type(tree) is type(expected) or not isinstance(expected, (dict, list, tuple, Dense))
    if isinstance(expected, dict):
        assert tree.keys() == expected.keys()
        for key in expected:
            assert_close(tree[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(tree) == len(expected)
        for one, other in zip(tree, expected, strict=True):
            assert_close(one, other)
    elif isinstance(expected, Dense):
        assert_close((tree.w, tree.b), (expected.w, expected.b))
    else:
        np.testing.assert_allclose(ts.to_numpy(tree), expected, rtol=3e-6, atol=1e-6)


# value_and_grad, grad


def test_the_gradient_is_a_tree_like_the_argument(backend):
    value, gradient = ts.value_and_grad(loss)(parameters(backend), arrays_of(backend)(X))
    assert ts.backend_of(gradient["temperature"]) is backend
    assert_close(gradient, expected_gradient())
    assert backend.shape(backend.asarray(value) if backend.name == "numpy" else value) == ()
    np.testing.assert_array_equal(ts.to_numpy(value), ts.to_numpy(loss(parameters(backend), arrays_of(backend)(X))))


def test_argnums_choose_and_give_a_tuple_where_they_are_several(backend):
    array = arrays_of(backend)
    product = lambda x, y, z: total(x * y * z)  # noqa: E731
    x, y, z = array([1.0, 2.0]), array([3.0, 4.0]), array([5.0, 6.0])
    assert_close(ts.grad(product, argnums=1)(x, y, z), np.asarray([5.0, 12.0]))
    assert_close(ts.grad(product, argnums=-1)(x, y, z), np.asarray([3.0, 8.0]))
    assert_close(ts.grad(product, argnums=(2, 0))(x, y, z), (np.asarray([3.0, 8.0]), np.asarray([15.0, 24.0])))
    assert_close(ts.grad(product, argnums=(0,))(x, y, z), (np.asarray([15.0, 24.0]),))


def test_one_array_given_twice_has_two_gradients(backend):
    x = arrays_of(backend)([1.0, 2.0])
    assert_close(
        ts.grad(lambda x, y: total(x * x * y), argnums=(0, 1))(x, x), (np.asarray([2.0, 8.0]), np.asarray([1.0, 4.0]))
    )


def test_an_argument_without_influence_has_a_gradient_of_zeros(backend):
    array = arrays_of(backend)
    x, unused = array([1.0, 2.0]), {"a": array([[1.0]])}
    assert_close(ts.grad(lambda x, y: total(x), argnums=1)(x, unused), {"a": np.zeros((1, 1))})
    assert_close(ts.grad(lambda x: 3.0)(x), np.zeros(2))


def test_a_second_result_is_passed_through_whatever_it_is(backend):
    def fn(x):
        return total(x * x), {"twice": x * 2.0, "name": "aux", "none": None, "count": 3}

    (value, aux), gradient = ts.value_and_grad(fn, has_aux=True)(arrays_of(backend)([1.0, 2.0]))
    assert float(value) == 5.0
    assert_close(aux.pop("twice"), np.asarray([2.0, 4.0]))
    assert aux == {"name": "aux", "none": None, "count": 3}
    assert_close(gradient, np.asarray([2.0, 4.0]))
    gradient, aux = ts.grad(fn, has_aux=True)(arrays_of(backend)([1.0, 2.0]))
    assert_close(gradient, np.asarray([2.0, 4.0]))
    assert aux["name"] == "aux"


def test_what_is_not_differentiated_may_be_anything(backend):
    fn = lambda x, mode, *, config: total(x) * len(mode) * config["k"].value  # noqa: E731
    config = {"k": collections.namedtuple("K", "value")(2)}
    assert_close(ts.grad(fn)(arrays_of(backend)([1.0]), "abc", config=config), np.asarray([6.0]))


def test_a_python_float_becomes_an_array_of_the_default_dtype(backend):
    gradient = ts.grad(lambda t, x: total(x) * t)(2.0, arrays_of(backend, backend.default_float())(X))
    assert float(gradient) == 10.0
    assert backend.dtype_name(gradient) == backend.default_float()


def test_a_half_precision_gradient_keeps_its_dtype(differentiating):
    x = arrays_of(differentiating)([1.0, 2.0])
    x = differentiating.namespace.astype(x, differentiating.dtype("bfloat16"))
    assert differentiating.dtype_name(ts.grad(lambda x: total(x * x))(x)) == "bfloat16"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (lambda array: array([1, 2]), "array of int32, expected arrays of floats"),
        (lambda array: {"a": array([1, 2])}, "array of int32"),
        (lambda array: 3, "a int, expected arrays of floats"),
        (lambda array: True, "a bool"),
        (lambda array: "text", "a str"),
    ],
)
def test_integers_and_other_leaves_cannot_be_differentiated(backend, argument, message):
    with pytest.raises(TypeError, match=message):
        ts.grad(lambda x, y: total(y))(argument(arrays_of(backend, "int32")), arrays_of(backend)(X))


def test_only_a_scalar_of_floats_can_be_differentiated(backend):
    x = arrays_of(backend)([1.0, 2.0])
    with pytest.raises(
        TypeError, match=r"float32 of shape \(2,\), expected a 0-d one of floats: take the sum or the mean"
    ):
        ts.grad(lambda x: x)(x)
    with pytest.raises(TypeError, match=r"returned a dict, expected a 0-d array"):
        ts.grad(lambda x: {"loss": total(x)})(x)
    with pytest.raises(TypeError, match=r"has_aux=True: .* expected a pair"):
        ts.grad(total, has_aux=True)(x)
    with pytest.raises(TypeError, match="array of int"):
        ts.grad(lambda x: ts.array_namespace(x).argmax(x))(x)


def test_an_argument_that_is_not_there_is_named(backend):
    with pytest.raises(ValueError, match="argnums names argument 2, and the call has 1 positional"):
        ts.grad(total, argnums=2)(arrays_of(backend)([1.0]))


def test_two_frameworks_in_one_tree_are_refused(torch):
    with pytest.raises(TypeError, match="arrays of two frameworks in one call"):
        ts.grad(lambda p: total(p["a"]))({"a": torch.ones(2), "b": np.ones(2)})


def test_derivatives_of_derivatives(backend):
    cube = lambda x: total(x * x * x)  # noqa: E731
    x = arrays_of(backend)([1.0, 2.0])
    second = ts.grad(lambda x: total(ts.grad(cube)(x)))
    third = ts.grad(lambda x: total(second(x)))
    assert_close(second(x), np.asarray([6.0, 12.0]))
    assert_close(third(x), np.asarray([6.0, 6.0]))


def test_an_inner_derivative_may_use_what_the_outer_one_differentiates(backend):
    array = arrays_of(backend)
    inner = lambda y: ts.grad(lambda x: total(x * x * y))(array([3.0]))  # noqa: E731
    assert_close(ts.grad(lambda y: total(inner(y)))(array([2.0])), np.asarray([6.0]))


def test_a_gradient_stops_where_it_is_stopped_in_trees_too(backend):
    x = arrays_of(backend)([1.0, 2.0])
    assert_close(ts.grad(lambda x: total(x * ts.stop_gradient(x)))(x), np.asarray([1.0, 2.0]))
    tree = {"x": x, "name": "kept", "list": [x]}
    fn = lambda t: total(t["x"] * ts.stop_gradient(t)["list"][0])  # noqa: E731
    gradient = ts.grad(lambda x: fn({**tree, "x": x, "list": [x]}))(x)
    assert_close(gradient, np.asarray([1.0, 2.0]))
    assert ts.stop_gradient(tree)["name"] == "kept"


def test_a_custom_gradient_takes_trees(backend):
    array = arrays_of(backend)

    def pretend(params, x):
        return params["w"] * x + params["b"]

    rule = ts.custom_gradient(
        pretend,
        vjp=lambda args, result, g: ({"w": 7.0 * g, "b": args[0]["b"] * g}, g * args[0]["w"]),
        jvp=lambda args, result, tangents: (
            7.0 * tangents[0]["w"] + args[0]["b"] * tangents[0]["b"] + tangents[1] * args[0]["w"]
        ),
    )
    params, x = {"w": array([2.0, 3.0]), "b": array([5.0, 6.0])}, array([1.0, 10.0])
    assert_close(rule(params, x), np.asarray([7.0, 36.0]))
    to_params, to_x = ts.grad(lambda p, x: total(rule(p, x)), argnums=(0, 1))(params, x)
    assert_close(to_params, {"w": np.asarray([7.0, 7.0]), "b": np.asarray([5.0, 6.0])})
    assert_close(to_x, np.asarray([2.0, 3.0]))


# jit


def test_a_compiled_function_gives_what_the_function_gives(backend):
    @ts.jit
    def step(state, params, x, k):
        value, gradient = ts.value_and_grad(loss)(params, x)
        return State(state.scale * k, None), value, {"gradient": gradient, "k": k}

    array = arrays_of(backend)
    state, value, more = step(State(array([1.0, 2.0]), None), parameters(backend), array(X), 3)
    assert_close(state.scale, np.asarray([3.0, 6.0]))
    assert state.step is None
    assert more["k"] == 3
    assert_close(more["gradient"], expected_gradient())
    assert_close(value, ts.to_numpy(loss(parameters(backend), array(X))))


def test_arrays_are_traced_once_and_numbers_are_part_of_the_program(backend):
    traced = []

    @ts.jit
    def scaled(x, factor, *, power=1):
        traced.append((factor, power))
        return x * factor**power

    x = arrays_of(backend)([1.0, 2.0])
    for shift in (0.0, 1.0, 2.0):
        assert_close(scaled(x + shift, 2.0), (np.asarray([1.0, 2.0]) + shift) * 2.0)
    assert len(set(traced)) == 1
    assert_close(scaled(x, 3.0, power=2), np.asarray([9.0, 18.0]))
    assert (3.0, 2) in traced


def test_a_compiled_function_takes_new_shapes_and_dtypes(backend):
    centred = ts.jit(lambda x: {"x": x - ts.array_namespace(x).mean(x), "size": x.shape[0]})
    for size in (2, 3):
        result = centred(arrays_of(backend)(np.arange(size)))
        assert_close(result["x"], np.arange(size) - (size - 1) / 2)
        assert int(result["size"]) == size


def test_torch_compiles_once_for_all_sizes(torch):
    doubled = ts.jit(lambda state: {"x": state["x"] * 2.0, "size": state["x"].shape[0]})
    for size in (3, 4):  # the second size makes it one that is not known
        doubled({"x": torch.ones(size)})
    with torch.compiler.set_stance("fail_on_recompile"):
        for size in range(5, 20):
            result = doubled({"x": torch.ones(size)})
            assert result["x"].tolist() == [2.0] * size


def test_a_compiled_function_may_first_be_called_in_a_function_that_torch_compiles(torch):
    doubled = ts.jit(lambda state: {"x": state["x"] * 2.0, "n": 3})
    outer = torch.compile(lambda x: doubled({"x": x})["x"] + 1.0, fullgraph=True, backend="eager")
    for size in (2, 3):
        assert outer(torch.ones(size)).tolist() == [3.0] * size


def test_jit_refuses_what_is_neither_array_nor_number(backend):
    with pytest.raises(TypeError, match="jit got a str among the arguments, expected arrays and numbers"):
        ts.jit(lambda x, mode: x)(arrays_of(backend)([1.0]), "mode")


def test_transforms_compose(backend):
    x = arrays_of(backend)(X)
    first = lambda row: ts.log_softmax(row)[0]  # noqa: E731
    per_row = -ts.softmax(np.asarray(X)) + np.asarray([1.0, 0.0])
    assert_close(ts.vmap(ts.grad(first))(x), per_row)
    assert_close(ts.grad(lambda x: total(ts.vmap(first)(x)))(x), per_row)
    assert_close(ts.jit(ts.vmap(ts.grad(first)))(x), per_row)
    assert_close(ts.grad(ts.jit(lambda x: total(ts.log_softmax(x)[:, 0])))(x), per_row)
    assert_close(ts.vmap(ts.vmap(lambda x: x * 2.0))(x), np.asarray(X) * 2.0)


# vmap


def test_a_function_of_a_row_becomes_one_of_rows(backend):
    array = arrays_of(backend)

    def example(tree, scale, k, *, shift):
        return {"p": ts.softmax(tree["x"], temperature=scale), "x": tree["x"] * k + shift, "name": "row"}

    result = ts.vmap(example, in_axes=(0, None, 0))({"x": array(X)}, array(0.5), 2.0, shift=array([0.0, 1.0]))
    assert_close(result["p"], ts.softmax(np.asarray(X), temperature=0.5))
    assert_close(result["x"], np.asarray(X) * 2.0 + [0.0, 1.0])
    assert result["name"] == "row"


def test_the_mapped_axis_may_be_another(backend):
    x = np.arange(24.0).reshape(2, 3, 4)
    fn = lambda x: ts.array_namespace(x).cumulative_sum(x, axis=0)  # noqa: E731
    result = ts.vmap(fn, in_axes=1, out_axes=-1)(arrays_of(backend)(x))
    assert_close(result, np.moveaxis(np.cumsum(x, axis=0), 1, -1))
    assert_close(ts.vmap(fn, in_axes=-1, out_axes=2)(arrays_of(backend)(x)), np.cumsum(x, axis=0))


def test_what_was_not_mapped_is_repeated(backend):
    array = arrays_of(backend)
    whole, outside = array([1.0, 2.0]), array([3.0])

    def example(x, whole):
        return {"whole": whole, "made": whole * 2.0, "outside": [outside, (x,)], "half": 0.5, "two": 2, "yes": True}

    result = ts.vmap(example, in_axes=(0, None))(array(X), whole)
    n = len(X)
    assert_close(result["whole"], np.tile([1.0, 2.0], (n, 1)))
    assert_close(result["made"], np.tile([2.0, 4.0], (n, 1)))
    assert_close(result["outside"][0], np.full((n, 1), 3.0))
    assert_close(result["outside"][1][0], np.asarray(X))
    for name, number in (("half", 0.5), ("two", 2), ("yes", True)):
        assert_close(result[name], np.full(n, number))
        assert backend.dtype_name(result[name]) == backend.dtype_name(backend.asarray(number))
    moved = ts.vmap(lambda x: (whole, x), out_axes=1)(array(X))
    assert_close(moved[0], np.tile([[1.0], [2.0]], (1, n)))


def test_nothing_but_what_was_not_mapped_is_repeated(backend):
    array = arrays_of(backend)
    whole = array([1.0, 2.0])
    assert_close(ts.vmap(lambda x: whole)(array(X)), np.tile([1.0, 2.0], (len(X), 1)))
    assert_close(ts.vmap(ts.vmap(lambda x: (whole, 1.0)))(array(X))[0], np.tile([1.0, 2.0], (*np.shape(X), 1)))
    assert_close(ts.vmap(lambda x: 1.5)(array(X)), np.full(len(X), 1.5))


def test_every_operation_on_what_was_not_mapped_is_repeated(backend):
    """All in one function, because mapping one in TensorFlow traces it."""
    given = {f: [backend.asarray(x) for x in f.arguments((2,), 5)] for f in PROBABILITIES if f.name in OPERATIONS}

    def all_operations(x):
        return {f.name: f.call(*arrays) for f, arrays in given.items()}

    once = all_operations(None)
    for name, result in ts.vmap(all_operations)(backend.asarray(np.zeros(3, np.float32))).items():
        assert backend.dtype_name(result) == backend.dtype_name(once[name])
        assert_close(result, np.stack([ts.to_numpy(once[name])] * 3))


def test_a_row_keeps_its_dtype_even_where_it_is_a_single_number(backend):
    half = backend.asarray(np.asarray([1.0, 2.0], "float16"))
    result = ts.vmap(lambda x: x * 2.0)(half)
    assert backend.dtype_name(result) == "float16"


def test_what_cannot_be_mapped_is_refused(backend):
    array = arrays_of(backend)
    with pytest.raises(ValueError, match=r"different sizes: \[2, 3\]"):
        ts.vmap(lambda x, y: x)(array([1.0, 2.0]), array([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="0-d array to map over: give None"):
        ts.vmap(lambda x: x)(array(1.0))
    with pytest.raises(ValueError, match="no array to map over"):
        ts.vmap(lambda x: x, in_axes=None)(array([1.0]))
    with pytest.raises(ValueError, match="in_axes has 1 entries for 2 positional arguments"):
        ts.vmap(lambda x, y: x, in_axes=(0,))(array([1.0]), array([1.0]))


def test_numpy_maps_over_no_rows_at_all():
    assert ts.vmap(lambda x: x.sum())(np.ones((0, 3), np.float32)).shape == (0,)


# Keras


def test_keras_variables_in_a_tree_are_their_arrays():
    keras = pytest.importorskip("keras")
    variable = keras.Variable([1.0, 2.0])
    value, gradient = ts.value_and_grad(lambda p: total(p["v"] * p["v"]))({"v": variable})
    assert float(value) == 5.0
    assert_close(gradient, {"v": np.asarray([2.0, 4.0])})
