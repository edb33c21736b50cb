"""Inside the frameworks' compilers and maps: whole graphs, unknown dimensions, and no retracing for a temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from exactness import assert_held, make

import tempscale

OPERATIONS = ("softmax", "log_softmax", "logsumexp", "entropy", "kl_divergence", "sparsemax", "cross_entropy")

_rng = np.random.default_rng(21)


def rows(batch: int, classes: int) -> dict[str, Any]:
    """Logits with ties and a masked entry, others for the divergence, labels, and a temperature per row."""
    logits = (3 * _rng.standard_normal((batch, classes))).astype(np.float32)
    logits[0, :2] = 4.0
    logits[-1, -1] = -np.inf
    return {
        "logits": logits,
        "other": np.where(np.isinf(logits), logits, _rng.standard_normal(logits.shape).astype(np.float32)),
        "labels": _rng.integers(0, classes - 1, batch).astype(np.int32),
        "temperature": np.linspace(0.5, 2, batch, dtype=np.float32)[:, None],
    }


def all_operations(logits: Any, other: Any, labels: Any, temperature: Any) -> tuple[Any, ...]:
    """Several operations in one function, as one graph."""
    return (
        tempscale.softmax(logits, temperature=temperature),
        tempscale.log_softmax(logits, temperature=temperature),
        tempscale.logsumexp(logits, temperature=temperature),
        tempscale.entropy(logits, temperature=temperature),
        tempscale.kl_divergence(logits, other, temperature=temperature),
        tempscale.sparsemax(logits, temperature=temperature),
        tempscale.cross_entropy(logits, labels, temperature=temperature, reduction="none"),
    )


def arrays_of(name: str, given: dict[str, Any]) -> list[Any]:
    return [make(tempscale.get_backend(name), x, x.dtype.name) for x in given.values()]


def assert_all_held(results: Any, given: dict[str, Any], temperature: Any = None) -> None:
    temperature = given["temperature"] if temperature is None else temperature
    for name, result in zip(OPERATIONS, results, strict=True):
        extra = {"kl_divergence": [given["other"]], "cross_entropy": [given["labels"]]}.get(name, [])
        assert_held(name, result, given["logits"], *extra, temperature=temperature)


SHAPES = [(4, 7), (3, 7), (5, 12), (2, 3)]


# PyTorch


def test_torch_compile_takes_everything_as_one_graph(torch: Any) -> None:
    """Inductor, with the temperature as an array of any value, and the gradient through it."""
    problem = tempscale.get_backend("torch").compiler_problem("torch.compile")
    if problem:
        pytest.skip(problem)
    compiled = torch.compile(all_operations, fullgraph=True)
    given = rows(4, 7)
    assert_all_held(compiled(*arrays_of("torch", given)), given)
    given["temperature"] = given["temperature"][::-1].copy()
    with torch.compiler.set_stance("fail_on_recompile"):
        assert_all_held(compiled(*arrays_of("torch", given)), given)


def test_torch_compile_traces_once_for_every_value_of_an_array_temperature(torch: Any) -> None:
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(all_operations, fullgraph=True, backend=counter)
    given = rows(4, 7)
    *arrays, _ = arrays_of("torch", given)
    for t in (0.3, 1.0, 7.0, 0.0, float("inf")):
        assert_all_held(compiled(*arrays, torch.tensor(t)), given, t)
    assert counter.frame_count == 1


def test_torch_compile_with_unknown_dimensions_serves_every_shape(torch: Any) -> None:
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(all_operations, fullgraph=True, dynamic=True, backend=counter)
    for shape in SHAPES:
        given = rows(*shape)
        assert_all_held(compiled(*arrays_of("torch", given)), given)
    assert counter.frame_count == 1


@pytest.mark.parametrize("temperature", [0.7, 2, 0.0, float("inf")])
def test_torch_compile_with_a_number_as_temperature(torch: Any, temperature: float) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda *arrays: all_operations(*arrays, temperature), fullgraph=True, backend="eager")
    given = rows(4, 7)
    assert_all_held(compiled(*arrays_of("torch", given)[:-1]), given, temperature)


def test_torch_compile_differentiates(torch: Any) -> None:
    torch._dynamo.reset()

    def loss(x: Any, y: Any, t: Any) -> Any:
        return tempscale.cross_entropy(x, y, temperature=t)

    given = rows(4, 7)
    found = []
    for fn in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        x, _, y, t = arrays_of("torch", given)
        x, t = x.requires_grad_(), t.requires_grad_()
        fn(x, y, t).backward()
        found.append((x.grad, t.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=64 * 2.0**-24, atol=64 * 2.0**-24)


def test_torch_vmap(torch: Any) -> None:
    given = rows(4, 7)
    assert_all_held(torch.func.vmap(all_operations)(*arrays_of("torch", given)), given)


# TensorFlow


@pytest.mark.parametrize("jit_compile", [False, True])
def test_tf_function_with_unknown_dimensions_traces_once(tf: Any, jit_compile: bool) -> None:
    traces = 0

    def counted(*arrays: Any) -> Any:
        nonlocal traces
        traces += 1
        return all_operations(*arrays)

    signature = [
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, 1], tf.float32),
    ]
    compiled = tf.function(counted, input_signature=signature, jit_compile=jit_compile)
    for shape in SHAPES:
        given = rows(*shape)
        assert_all_held(compiled(*arrays_of("tensorflow", given)), given)
        given["temperature"] = given["temperature"] * 3
        assert_all_held(compiled(*arrays_of("tensorflow", given)), given)
    assert traces == 1


@pytest.mark.parametrize("jit_compile", [False, True])
def test_tf_function_takes_an_array_temperature_of_any_value_and_numbers(tf: Any, jit_compile: bool) -> None:
    traces = 0

    @tf.function(jit_compile=jit_compile)
    def compiled(*arrays: Any) -> Any:
        nonlocal traces
        traces += 1
        return all_operations(*arrays)

    given = rows(4, 7)
    *arrays, _ = arrays_of("tensorflow", given)
    for t in (0.3, 7.0, 0.0, float("inf")):
        assert_all_held(compiled(*arrays, tf.constant(t)), given, t)
    assert traces == 1
    assert_all_held(compiled(*arrays, 0.7), given, 0.7)


def test_a_dimension_that_is_known_of_one_argument_only_fits(tf: Any) -> None:
    known, unknown = (tf.TensorSpec(shape, tf.float32) for shape in ((4, 7), (None, None)))
    for signature in ((known, unknown), (unknown, known)):
        compiled = tf.function(tempscale.kl_divergence, input_signature=signature, autograph=False)
        given = rows(4, 7)
        result = compiled(tf.constant(given["logits"]), tf.constant(given["other"]))
        assert_held("kl_divergence", result, given["logits"], given["other"])


def test_tf_vectorized_map(tf: Any) -> None:
    given = rows(4, 7)
    arrays = tuple(arrays_of("tensorflow", given))
    mapped = tf.vectorized_map(lambda row: all_operations(*row), arrays, fallback_to_while_loop=False)
    assert_all_held(mapped, given)


# JAX


def test_jax_jit_traces_once_for_every_value_of_an_array_temperature(jax: Any) -> None:
    traces = 0

    @jax.jit
    def compiled(*arrays: Any) -> Any:
        nonlocal traces
        traces += 1
        return all_operations(*arrays)

    given = rows(4, 7)
    *arrays, per_row = arrays_of("jax", given)
    for t in (0.3, 1.0, 7.0, 0.0, float("inf")):
        assert_all_held(compiled(*arrays, jax.numpy.float32(t)), given, t)
    assert traces == 1
    assert_all_held(compiled(*arrays, per_row), given)


def test_jax_jit_with_a_number_as_temperature(jax: Any) -> None:
    given = rows(4, 7)
    compiled = jax.jit(lambda *arrays: all_operations(*arrays, 0.7))
    assert_all_held(compiled(*arrays_of("jax", given)[:-1]), given, 0.7)


def test_jax_vmap(jax: Any) -> None:
    given = rows(4, 7)
    assert_all_held(jax.vmap(all_operations)(*arrays_of("jax", given)), given)
    assert_all_held(jax.jit(jax.vmap(all_operations))(*arrays_of("jax", given)), given)


def test_a_mistake_in_shapes_is_told_while_tracing(jax: Any, tf: Any) -> None:
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(ValueError, match=r"pass T\[:, None\]"):
        jax.jit(lambda x, t: tempscale.softmax(x, temperature=t))(x, x[:, 0])
    with pytest.raises(ValueError, match=r"pass T\[:, None\]"):
        tf.function(lambda x, t: tempscale.softmax(x, temperature=t), autograph=False)(
            tf.constant(x), tf.constant(x[:, 0])
        )
