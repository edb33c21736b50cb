"""Where JAX runs a function: every function of the library, in JAX's own control flow, on meshes and exported."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_function import EVERY_FUNCTION, KEY, PROBABILITIES, TOKENS, Function
from support import run_python

import tempscale as ts
from tempscale import random

ROWS, CLASSES = 8, 12
NAMES = ("sample", "accurate softmax", "reproducible entropy", "cross_entropy", "choice with weights", "normal")
"""What is compiled and run. All others are traced and lowered, which is where JAX refuses shardings and symbols."""

RUN = tuple([function for function in EVERY_FUNCTION if function.name in NAMES])


def calls(functions: tuple[Function, ...], given: Any) -> Any:
    return [function.call(*arrays) for function, arrays in zip(functions, given, strict=True)]


def value_and_gradients(jax: Any, function: Function, arrays: Any) -> tuple[Any, ...]:
    """What a function returns, and the gradients of its sum."""
    value = function.call(*arrays)
    if not function.differentiable:
        return (value,)
    return value, *jax.grad(lambda *x: jax.numpy.sum(function.call(*x)), function.differentiable)(*arrays)


def assert_same(found: Any, expected: Any) -> None:
    """What is drawn is the same, what is computed is the same to a few roundings."""
    for function, one, other in zip(RUN, found, expected, strict=True):
        bound = 1e-6 if function.differentiable else 0.0
        np.testing.assert_allclose(one, other, bound, bound, err_msg=function.name)


# Meshes


def sharded(jax: Any, mesh: Any, array: Any, split: str) -> Any:
    """An array on a mesh, its rows or its classes on different devices; a key on all."""
    rows = split == "rows" and array.ndim > 0 and array.shape[0] == ROWS
    classes = split == "classes" and array.ndim > 0 and array.shape[-1] == CLASSES
    spec = [None] * array.ndim
    if rows or classes:
        spec[0 if rows else -1] = "devices"
    return jax.device_put(array, jax.NamedSharding(mesh, jax.P(*spec)))


def check_meshes() -> None:
    """Compare functions on four devices with one; what the subprocess of the test below runs."""
    import jax

    expected = calls(RUN, [map(jax.numpy.asarray, function.arguments((ROWS,), CLASSES)) for function in RUN])
    for kind, split in product((jax.sharding.AxisType.Explicit, jax.sharding.AxisType.Auto), ("rows", "classes")):
        mesh = jax.make_mesh((4,), ("devices",), axis_types=(kind,))
        for function in EVERY_FUNCTION:
            given = [sharded(jax, mesh, x, split) for x in function.arguments((ROWS,), CLASSES)]
            jax.eval_shape(partial(value_and_gradients, jax, function), given)
        there = [[sharded(jax, mesh, x, split) for x in function.arguments((ROWS,), CLASSES)] for function in RUN]
        with jax.set_mesh(mesh):
            found = jax.jit(partial(calls, RUN))(there)
            drawn = random.bits(random.key(3), (5,), like=there[0][0])
        np.testing.assert_array_equal(drawn, random.bits(random.key(3), (5,)))
        assert_same(found, expected)
    check_maps(jax)


def check_maps(jax: Any) -> None:
    """Compare what each of four devices computes of its rows with a call on these rows."""
    mesh = jax.make_mesh((4,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))
    for function in (*PROBABILITIES, *TOKENS):
        arrays = [jax.numpy.asarray(x) for x in function.arguments((ROWS,), CLASSES)]
        split = [x.ndim > 0 and x.shape[0] == ROWS for x in arrays]

        def of_a_device(*arrays: Any, function: Function = function) -> Any:
            return [x[None] for x in value_and_gradients(jax, function, arrays)]

        specs = tuple([jax.P("devices") if rows else jax.P() for rows in split])
        by_shard_map = partial(jax.shard_map, mesh=mesh, in_specs=specs, out_specs=jax.P("devices"))
        by_pmap = partial(jax.pmap, in_axes=tuple([0 if rows else None for rows in split]))
        shards = [x.reshape(4, 2, *x.shape[1:]) if rows else x for x, rows in zip(arrays, split, strict=True)]
        if function.name not in ("sample", "accurate softmax", "cross_entropy"):
            jax.eval_shape(by_shard_map(of_a_device), *arrays)
            jax.eval_shape(by_pmap(of_a_device), *shards)
            continue
        bound = 1e-6 if function.differentiable else 0.0
        found = by_shard_map(of_a_device)(*arrays), by_pmap(of_a_device)(*shards)
        for device in range(4):
            own = [x[device] if rows else x for x, rows in zip(shards, split, strict=True)]
            for number, expected in enumerate(value_and_gradients(jax, function, own)):
                for results in found:
                    one = results[number].reshape(4, *expected.shape)[device]
                    np.testing.assert_allclose(one, expected, bound, bound, err_msg=function.name)


def test_every_function_takes_sharded_arrays(jax: Any) -> None:
    run_python(
        "import test_jax_places; test_jax_places.check_meshes()",
        path=map(Path, sys.path),
        env={"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
    )


# Control flow


def in_scan(jax: Any, call: Any) -> Any:
    return lambda *x: jax.tree.map(lambda y: y[0], jax.lax.scan(lambda i, _: (i, call(*x)), 0, None, length=1)[1])


def in_loop(jax: Any, call: Any) -> Any:
    def looped(*x: Any) -> Any:
        result = jax.eval_shape(call, *x)
        start = jax.numpy.zeros(result.shape, result.dtype)
        return jax.lax.fori_loop(0, 1, lambda i, _: call(*x), start)

    return looped


CONTEXTS = {
    "checkpoint": lambda jax, call: jax.checkpoint(call),
    "scan": in_scan,
    "fori_loop": in_loop,
    "cond": lambda jax, call: lambda *x: jax.lax.cond(jax.numpy.sum(x[-1]) > -1e9, call, call, *x),
    "vmap": lambda jax, call: lambda *x: jax.vmap(jax.checkpoint(call))(*[y[None] for y in x])[0],
}


def between(low: Any, key: Any) -> Any:
    return random.uniform(key, low.shape, minval=low, maxval=3.0)


@pytest.mark.parametrize("context", CONTEXTS)
def test_functions_are_differentiated_in_control_flow(context: str, jax: Any) -> None:
    bounds = Function("uniform between bounds", between, lambda batch, n: (np.zeros(batch, np.float32), KEY), (0,))
    for function in (*EVERY_FUNCTION, bounds):
        arrays = [jax.numpy.asarray(x) for x in function.arguments((2,), 5)]
        inside = replace(function, call=CONTEXTS[context](jax, function.call))
        both = [partial(value_and_gradients, jax, one) for one in (inside, function)]
        types = [jax.tree.map(lambda x: (x.shape, x.dtype), jax.eval_shape(one, arrays)) for one in both]
        assert types[0] == types[1], function.name
        if function.name in ("accurate log_softmax", bounds.name):
            for found, expected in zip(*[jax.jit(one)(arrays) for one in both], strict=True):
                np.testing.assert_allclose(found, expected, 1e-6, 1e-6)


def test_second_derivatives_of_accurate_are_found_in_a_checkpoint(jax: Any) -> None:
    x = jax.numpy.asarray([0.5, -1.0, 2.0])
    call = partial(ts.logsumexp, precision="accurate")
    expected = jax.hessian(partial(ts.logsumexp, precision="default"))(x)
    np.testing.assert_allclose(jax.hessian(jax.checkpoint(call))(x), expected, 1e-6, 1e-7)


# Symbols and strict settings


def symbolic(jax: Any, arrays: Any, sizes: dict[int, Any]) -> list[Any]:
    """Types of arrays, with symbols for some sizes; but not in a key."""
    return [
        jax.ShapeDtypeStruct(x.shape if x is KEY else tuple([sizes.get(n, n) for n in x.shape]), x.dtype)
        for x in arrays
    ]


def test_every_function_is_exported_with_a_symbol_for_the_rows(jax: Any) -> None:
    from jax import export

    rows = {3: export.symbolic_shape("rows")[0]}
    for functions in (EVERY_FUNCTION, RUN):
        types = [symbolic(jax, function.arguments((3,), 7), rows) for function in functions]
        exported = export.export(jax.jit(partial(calls, functions)))(types)
    for size in (3, 5):
        given = [[jax.numpy.asarray(x) for x in function.arguments((size,), 7)] for function in RUN]
        assert_same(exported.call(given), calls(RUN, given))


def test_a_symbol_for_the_classes_is_refused_where_tokens_are_drawn(jax: Any) -> None:
    from jax import export

    classes = {7: export.symbolic_shape("classes")[0]}
    for function in (*PROBABILITIES, *TOKENS):
        traced = partial(export.export(jax.jit(function.call)), *symbolic(jax, function.arguments((3,), 7), classes))
        if function in TOKENS:
            with pytest.raises(ValueError, match=r"logits have classes classes, a symbol; expected a number: export"):
                traced()
        else:
            traced()


def test_every_function_keeps_to_strict_promotion_of_ranks_and_dtypes(jax: Any) -> None:
    for function in EVERY_FUNCTION:
        arrays = [jax.numpy.asarray(x) for x in function.arguments((2,), 1100 if function in TOKENS else 5)]
        with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
            jax.eval_shape(partial(value_and_gradients, jax, function), arrays)


@pytest.mark.parametrize("setting", ["debug_nans", "transfer_guard"])
def test_compiled_functions_keep_to_the_settings_that_look_for_faults(setting: str, jax: Any) -> None:
    """Under a transfer guard, numbers and keys of the host are constants of what is compiled."""
    given = [[jax.numpy.asarray(x) for x in function.arguments((2,), 5)] for function in RUN]

    @jax.jit
    def compiled(given: Any) -> Any:
        results = [value_and_gradients(jax, *one) for one in zip(RUN, given, strict=True)]
        return results, ts.sample(given[0][0], random.key(3), temperature=0.5)

    with getattr(jax, setting)("disallow" if setting == "transfer_guard" else True):
        compiled(given)


KERAS = """
import keras, numpy, tempscale as ts

given = keras.Input((7,))
softmax = keras.layers.Lambda(ts.softmax)(given)
sample = keras.layers.Lambda(lambda x: ts.sample(x, ts.random.key(3)))(given)
model = keras.Model(given, [softmax, sample])
for rows in (2, 5):
    x = keras.random.normal((rows, 7), seed=0)
    found = model.predict(x, verbose=0)
    numpy.testing.assert_allclose(found[0], ts.softmax(x), 1e-6)
    numpy.testing.assert_array_equal(found[1], ts.sample(x, ts.random.key(3)))
"""


def test_a_keras_model_on_jax_has_an_unknown_number_of_rows(jax: Any) -> None:
    pytest.importorskip("keras")
    run_python(KERAS, path=map(Path, sys.path), env={"KERAS_BACKEND": "jax"})
