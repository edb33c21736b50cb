"""Whose arrays are these: the rules by which a call finds its backend."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from support import NAMES, require, run_python

import tempscale as ts


@ts.agnostic
def add(x, y, /, *, xp):
    return x + y


def ones(backend, dtype="float32", shape=(3,)):
    return backend.asarray(np.ones(shape, "float32"), dtype=dtype)


# One framework


def test_an_array_goes_to_its_own_framework_and_comes_back_as_its_array(backend):
    x = ones(backend)
    assert ts.backend_of(x) is backend
    assert ts.backend_of(ts.softmax(x)) is backend
    assert ts.backend_of(add(x, x)) is backend


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(NAMES, 2)])
def test_two_frameworks_in_one_call_are_refused_with_types_arguments_and_a_way_out(first, second):
    one, other = ones(require(first)), ones(require(second), shape=())
    with pytest.raises(TypeError) as refused:
        ts.softmax(one, temperature=other)
    message = str(refused.value)
    for array in (one, other):
        assert f"{type(array).__module__}.{type(array).__qualname__}" in message
    assert message.index("'logits'") < message.index("'temperature'")
    assert "tempscale.convert(x, like=y)" in message


def test_mixed_positional_arguments_are_named_as_the_signature_names_them(torch):
    with pytest.raises(TypeError, match=r"'p_logits' is numpy\.ndarray and argument 'q_logits' is torch\.Tensor"):
        ts.kl_divergence(np.zeros(3), torch.zeros(3))
    with pytest.raises(TypeError, match=r"'logits' is torch\.Tensor and argument 'class_weights' is numpy\.ndarray"):
        ts.cross_entropy(torch.zeros(2, 3), [0, 1], class_weights=np.ones(3))


def test_arguments_that_a_signature_collects_are_named_by_number(torch):
    @ts.agnostic
    def total(*arrays, scale=1.0, xp):
        return sum(arrays) * scale

    with pytest.raises(TypeError, match=r"'arrays' is numpy\.ndarray and argument number 3 is torch\.Tensor"):
        total(np.ones(1), np.ones(1), torch.ones(1))
    with pytest.raises(TypeError, match=r"'arrays' is numpy\.ndarray and argument 'scale' is torch\.Tensor"):
        total(np.ones(1), np.ones(1), np.ones(1), scale=torch.ones(1))


# Numbers are weak


NUMBERS = [2, 2.0, np.float64(2), np.float32(2), np.int64(2), np.longdouble(2)]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_a_number_takes_the_dtype_of_the_array_beside_it(backend, dtype, number):
    x = ones(backend, dtype)
    for result in (add(x, number), add(number, x)):
        assert backend.dtype_name(result) == dtype
        assert ts.to_numpy(result).tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_a_number_takes_bfloat16_where_that_is_the_framework_s_own(differentiating, number):
    x = ones(differentiating, "bfloat16")
    for result in (add(x, number), add(number, x)):
        assert differentiating.dtype_name(result) == "bfloat16"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_a_number_as_temperature_leaves_the_dtype_as_it_is(backend, dtype, number):
    assert backend.dtype_name(ts.softmax(ones(backend, dtype), temperature=number)) == dtype


def test_a_bfloat16_scalar_of_ml_dtypes_is_a_number(backend):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert backend.dtype_name(add(ones(backend), ml_dtypes.bfloat16(2))) == "float32"


@pytest.mark.parametrize("number", [2.0, np.float64(2)])
def test_numbers_alone_go_to_numpy(number):
    assert ts.backend_of(number).name == "numpy"
    result = add(number, 1.0)
    assert isinstance(result, (np.ndarray, np.generic))
    assert result == 3.0


def test_a_complex_number_is_a_number():
    assert add(np.ones(2, "complex64"), 1j).dtype == np.complex64
    with pytest.raises(TypeError, match="temperature is 1j, expected a real number"):
        ts.softmax([1.0], temperature=1j)


# Lists


def test_a_list_beside_an_array_becomes_an_array_of_its_kind(backend):
    x = ones(backend)
    for result in (add(x, [1.0, 2.0, 3.0]), add((1.0, 2.0, 3.0), x)):
        assert ts.backend_of(result) is backend
        assert ts.to_numpy(result).tolist() == [2.0, 3.0, 4.0]


def test_keyword_lists_become_arrays_of_the_kind_of_the_logits(backend):
    x = ones(backend, shape=(2, 3))
    listed = ts.softmax(x, temperature=[[1.0], [2.0]], where=[True, False, True])
    assert ts.backend_of(listed) is backend
    assert ts.to_numpy(listed).tolist() == [[0.5, 0.0, 0.5], [0.5, 0.0, 0.5]]


def test_an_array_keyword_decides_for_a_list_of_logits(backend):
    result = ts.softmax([1.0, 1.0], temperature=ones(backend, shape=()))
    assert ts.backend_of(result) is backend
    assert ts.to_numpy(result).tolist() == [0.5, 0.5]


def test_lists_alone_go_to_numpy():
    result = ts.softmax([[1, 1], (2, 2)], temperature=[[1.0], [2.0]])
    assert type(result) is np.ndarray
    assert result.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_a_list_becomes_an_array_on_the_device_of_the_array_beside_it(torch):
    x = torch.ones(2, device="meta")
    assert add(x, [1.0, 2.0]).device.type == "meta"
    assert add(np.float64(1), x).device.type == "meta"
    assert ts.softmax([1.0, 2.0], temperature=torch.ones((), device="meta")).device.type == "meta"


def test_a_list_of_tensors_is_refused_because_gradients_would_be_lost(differentiating):
    x = ones(differentiating, shape=())
    for call in (lambda: ts.softmax([x, x]), lambda: ts.softmax([[x]], temperature=x), lambda: ts.to_numpy([x])):
        with pytest.raises(TypeError, match="expected a list of numbers: make one array of it first"):
            call()


def test_a_list_of_numpy_arrays_is_an_array_to_numpy():
    assert ts.softmax([np.zeros(2), np.zeros(2)]).shape == (2, 2)


def test_a_list_of_numpy_arrays_beside_another_framework_is_two_frameworks(torch):
    with pytest.raises(TypeError, match=r"list with a numpy\.ndarray in it"):
        ts.cross_entropy(torch.ones(1, 2), [np.ones(2)])
    with pytest.raises(TypeError, match="arrays of two frameworks in one call"):
        add(torch.ones(1, 2), [np.ones(2)])


# What is refused


def test_a_masked_array_is_refused_because_its_mask_would_be_lost(backend):
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    x = ones(backend, shape=(2,))
    for call in (
        lambda: ts.softmax(masked),
        lambda: add(x, masked),
        lambda: ts.softmax(x, where=masked),
        lambda: ts.softmax([1.0, 2.0], temperature=masked),
        lambda: ts.to_numpy(masked),
        lambda: ts.convert(masked, like=x),
    ):
        with pytest.raises(TypeError, match=r"MaskedArray.*its mask would be lost; pass x\.data"):
            call()


class Series:
    """As a data frame library's column looks from outside."""

    shape = (2,)
    dtype = np.dtype("float64")

    def to_numpy(self):
        return np.ones(2)


class Sparse:
    def toarray(self):
        return np.ones(2)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Series(), r"pass x\.to_numpy\(\)"),
        (Sparse(), r"pass x\.toarray\(\)"),
        (object(), r"see tempscale\.register_backend"),
        ("logits", r"see tempscale\.register_backend"),
    ],
)
def test_an_unknown_object_is_refused_with_a_hint(value, hint):
    kind = rf"{type(value).__module__}\.{type(value).__qualname__}"
    with pytest.raises(TypeError, match=rf"'logits' is {kind}, expected an array.*{hint}"):
        ts.softmax(value)
    with pytest.raises(TypeError, match=rf"'y' is {kind}, expected an array.*{hint}"):
        add(np.ones(2), value)


def test_a_parameter_of_flax_is_refused_with_a_way_to_its_array():
    nnx = pytest.importorskip("flax.nnx")
    with pytest.raises(TypeError, match=r"pass the array in it, x\[\.\.\.\]"):
        ts.softmax(nnx.Param(require("jax").asarray([1.0, 2.0])))


def test_none_is_no_logits():
    with pytest.raises(TypeError, match=r"'logits' is builtins\.NoneType, expected an array"):
        ts.softmax(None)


def test_an_unknown_object_in_a_keyword_for_arrays_is_refused_by_name(backend):
    with pytest.raises(TypeError, match=r"'temperature' is test_dispatch\.Series, .* pass x\.to_numpy\(\)"):
        ts.softmax(ones(backend), temperature=Series())


def test_other_keywords_may_be_anything(backend):
    @ts.agnostic
    def tagged(x, /, *, tag, xp):
        return tag

    for tag in (None, "text", Series(), {"a": 1}, [1, 2]):
        assert tagged(ones(backend), tag=tag) is tag


# Subclasses and other faces of the same arrays


def test_subclasses_of_numpy_arrays_are_numpy_arrays(tmp_path):
    class Own(np.ndarray):
        pass

    memory = np.memmap(tmp_path / "x", dtype="float32", mode="w+", shape=(3,))
    for x in (np.ones(3).view(Own), memory, np.ones(3).view(np.recarray)):
        assert ts.backend_of(x).name == "numpy"
    assert ts.softmax(np.ones(2).view(Own)).tolist() == [0.5, 0.5]


def test_parameters_subclasses_and_wrapped_tensors_are_torch_tensors(torch):
    class Own(torch.Tensor):
        pass

    parameter = torch.nn.Parameter(torch.ones(2))
    buffer = torch.nn.Buffer(torch.ones(2))
    own = torch.ones(2).as_subclass(Own)
    for x in (parameter, buffer, own, torch.ones(2, device="meta")):
        assert ts.backend_of(x).name == "torch"
    ts.softmax(parameter)[0].backward()
    assert parameter.grad.tolist() == [0.25, -0.25]
    assert isinstance(ts.softmax(own), torch.Tensor)

    seen = []

    def look(x):
        seen.append(ts.backend_of(x).name)
        return ts.softmax(x)[0]

    torch.func.vmap(torch.func.grad(look))(torch.ones(2, 3))
    torch.func.jvp(torch.func.grad(look), (torch.ones(3),), (torch.ones(3),))
    assert seen == ["torch", "torch"]


def test_variables_are_tensorflow_arrays_eager_and_traced(tf):
    variable = tf.Variable([1.0, 1.0])
    assert ts.backend_of(variable).name == "tensorflow"
    assert ts.softmax(variable).numpy().tolist() == [0.5, 0.5]
    with tf.GradientTape() as tape:
        first = tf.function(lambda: ts.softmax(variable)[0])()
    assert tape.gradient(first, variable).numpy().tolist() == [0.25, -0.25]


def test_symbolic_tensors_are_tensorflow_arrays(tf):
    seen = []

    def look(x):
        seen.append((type(x).__name__, ts.backend_of(x).name))
        return ts.softmax(x)

    spec = tf.TensorSpec([None, None], tf.float32)
    compiled = tf.function(look, input_signature=[spec], autograph=False)
    assert compiled(tf.zeros([1, 2])).numpy().tolist() == [[0.5, 0.5]]
    assert compiled(tf.zeros([2, 1])).numpy().tolist() == [[1.0], [1.0]]
    assert seen == [("SymbolicTensor", "tensorflow")]

    for transformed in (tf.vectorized_map, tf.map_fn):
        assert transformed(look, tf.zeros([1, 2])).numpy().tolist() == [[0.5, 0.5]]
    assert [x.numpy().tolist() for x in tf.data.Dataset.from_tensors(tf.zeros(2)).map(look)] == [[0.5, 0.5]]
    assert {owner for _, owner in seen} == {"tensorflow"}


def test_a_tensor_of_unknown_rank_is_refused_in_words(tf):
    with pytest.raises(ValueError, match="the rank of a tensor is not known"):
        tf.function(ts.softmax, input_signature=[tf.TensorSpec(None, tf.float32)], autograph=False)(tf.ones(2))


TRANSFORMS = {
    "jit": lambda jax, f: jax.jit(f),
    "grad": lambda jax, f: jax.grad(f),
    "vmap": lambda jax, f: jax.vmap(f),
    "jit of vmap": lambda jax, f: jax.jit(jax.vmap(f)),
    "vmap of grad": lambda jax, f: jax.vmap(jax.grad(f)),
    "jit of vmap of grad": lambda jax, f: jax.jit(jax.vmap(jax.grad(f))),
    "grad of jit": lambda jax, f: jax.grad(jax.jit(f)),
    "hessian": lambda jax, f: jax.hessian(f),
    "checkpoint": lambda jax, f: jax.grad(jax.checkpoint(f)),
    "eval_shape": lambda jax, f: lambda x: jax.eval_shape(f, x),
    "linearize": lambda jax, f: lambda x: jax.linearize(f, x)[1](x),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_tracers_are_jax_arrays(jax, name):
    seen = []

    def look(x):
        seen.append((isinstance(x, jax.core.Tracer), ts.backend_of(x).name))
        row = x.reshape(-1)
        return ts.softmax(row, temperature=row[:1])[0]

    shape = (2, 3) if "vmap" in name else (3,)
    TRANSFORMS[name](jax, look)(jax.numpy.ones(shape))
    assert set(seen) == {(True, "jax")}


def test_tracers_and_arrays_are_one_framework_inside_a_transform(jax):
    constant = jax.numpy.ones(2)
    assert jax.jit(lambda x: add(x, constant))(constant).tolist() == [2.0, 2.0]
    assert jax.jit(lambda x: add(x, [1.0, 2.0]))(constant).tolist() == [2.0, 3.0]
    with pytest.raises(TypeError, match="arrays of two frameworks"):
        jax.jit(lambda x: add(x, np.ones(2)))(constant)


KERAS = """
    import numpy as np
    import keras
    import tempscale as ts

    name = keras.backend.backend()
    variable = keras.Variable(np.asarray([1.0, 1.0], "float32"))
    assert ts.backend_of(variable).name == name
    assert ts.backend_of(ts.softmax(variable)).name == name
    assert ts.to_numpy(ts.softmax(variable)).tolist() == [0.5, 0.5]
    assert ts.to_numpy(variable).tolist() == [1.0, 1.0]
    assert ts.convert(variable, like=np.zeros(1)).tolist() == [1.0, 1.0]
    assert ts.backend_of(ts.convert([2.0], like=variable)).name == name
    assert ts.backend_of(ts.stop_gradient(variable)).name == name
    assert ts.array_namespace(variable) is ts.get_backend(name).namespace
    assert "the value of a keras." in ts.explain(variable), ts.explain(variable)

    temperature = keras.Variable(np.float32(0.5))
    both = ts.softmax(variable, temperature=temperature)
    assert ts.backend_of(both).name == name
    assert ts.backend_of(ts.softmax([1.0, 2.0], temperature=temperature)).name == name

    class Heated(keras.layers.Layer):
        def build(self, shape):
            self.temperature = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return ts.softmax(x, temperature=self.temperature)

    inputs = keras.Input((3,))
    try:
        ts.softmax(inputs)
    except TypeError as error:
        assert "KerasTensor" in str(error) and "inside a Keras layer's call()" in str(error), error
    else:
        raise AssertionError("a KerasTensor was taken for an array")
    try:
        ts.softmax([1.0], temperature=inputs)
    except TypeError as error:
        assert "'temperature'" in str(error) and "inside a Keras layer's call()" in str(error), error
    else:
        raise AssertionError("a KerasTensor was taken for an array")

    if name != "numpy":
        model = keras.Model(inputs, Heated()(inputs))
        x, y = np.asarray([[0.0, 1.0, 2.0]], "float32"), np.asarray([[0.0, 0.0, 1.0]], "float32")
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0)
        assert float(model.trainable_variables[0].numpy()) < 1.0  # sharper is nearer to one-hot
        assert np.allclose(model.predict(x, verbose=0).sum(), 1.0)
    print(name)
"""


@pytest.mark.parametrize("name", NAMES)
def test_keras_variables_are_arrays_of_the_framework_that_keras_runs_on(name):
    pytest.importorskip("keras")
    require(name)
    assert run_python(KERAS, env={"KERAS_BACKEND": name}).strip() == name


# Threads


def test_first_calls_of_many_threads_at_once_find_their_backends():
    for name in NAMES:
        require(name)
    print(
        run_python("""
        import threading
        import numpy, torch, tensorflow, jax
        import tempscale as ts

        makers = {
            "numpy": lambda: numpy.zeros(2),
            "torch": lambda: torch.zeros(2),
            "tensorflow": lambda: tensorflow.zeros(2),
            "jax": lambda: jax.numpy.zeros(2),
        }
        jobs = [(name, make()) for name, make in makers.items() for _ in range(8)]
        start = threading.Barrier(len(jobs))
        wrong = []

        def work(name, x):
            start.wait()
            try:
                for _ in range(20):
                    result = ts.softmax(x)
                    assert ts.backend_of(result) is ts.get_backend(name)
                    assert ts.to_numpy(result).tolist() == [0.5, 0.5]
            except BaseException as error:
                wrong.append((name, error))

        threads = [threading.Thread(target=work, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
        """)
    )


# explain


def test_explain_names_the_argument_that_decided():
    assert ts.explain([1.0], np.ones(2)) == (
        f"backend 'numpy': argument number 2 is a numpy.ndarray, an array of numpy {np.__version__}"
    )


def test_explain_says_when_nothing_decided():
    assert ts.explain() == ("backend 'numpy': no argument is an array (none), and NumPy is the default")
    assert ts.explain((1.0,), 2) == ("backend 'numpy': no argument is an array (tuple, int), and NumPy is the default")


def test_explain_names_every_framework_with_its_version(backend):
    sentence = ts.explain(2.0, ones(backend))
    assert sentence.startswith(f"backend {backend.name!r}: argument number 2 is a ")
    assert sentence.endswith(f", an array of {backend.name} {backend.version}")


def test_explain_and_backend_of_refuse_what_a_call_would_refuse(torch):
    for ask in (ts.explain, ts.backend_of):
        with pytest.raises(TypeError, match=r"number 1 is numpy\.ndarray and argument number 2 is torch"):
            ask(np.ones(1), torch.ones(1))
        with pytest.raises(TypeError, match=r"argument number 2 is builtins\.object"):
            ask(np.ones(1), object())
