"""Without the private names of the frameworks the library goes on, more slowly or with an error in words."""

from __future__ import annotations

import importlib
import threading

import numpy as np
import pytest
from support import require

import tempscale as ts

X = np.asarray([[0.5, -1.0, 2.0], [1.5, 0.0, -0.25]], np.float32)
P = np.exp(X.astype(float)) / np.exp(X.astype(float)).sum(axis=1, keepdims=True)
ULPS = 8 * np.finfo(np.float32).eps


def internals_of(name):
    require(name)
    return importlib.import_module(f"tempscale_backends.{name}.internals")


def three_times(backend):
    """x * x, with the derivatives of 3 x * x, so that they show by whose rule they are taken."""
    return ts.custom_gradient(
        lambda x: x * x,
        vjp=lambda arrays, result, g: (6 * arrays[0] * g,),
        jvp=lambda arrays, result, tangents: 6 * arrays[0] * tangents[0],
    )


# PyTorch


@pytest.fixture
def no_transforms(torch, monkeypatch):
    """PyTorch does not say which transforms of `torch.func` are around a call."""
    internals = internals_of("torch")
    monkeypatch.delattr(torch._C._functorch, "get_interpreter_stack")
    assert internals._transforms() is None
    return torch


def test_derivatives_are_by_the_rules_where_transforms_are_not_known(no_transforms):
    torch, x = no_transforms, no_transforms.tensor(X)
    func, rule = torch.func, three_times(ts.get_backend("torch"))
    six = 6 * x
    assert torch.equal(func.grad(lambda x: rule(x).sum())(x), six)
    assert torch.equal(func.jvp(rule, (x,), (torch.ones_like(x),))[1], six)
    assert torch.equal(func.vmap(rule)(x), x * x)
    assert torch.equal(func.vmap(lambda x: func.jvp(rule, (x,), (torch.ones_like(x),))[1])(x), six)


def test_forward_mode_twice_or_around_a_vmap_is_refused_where_transforms_are_not_known(no_transforms):
    torch, x = no_transforms, no_transforms.tensor(X)
    rule = three_times(ts.get_backend("torch"))

    def tangent(x):
        return torch.func.jvp(rule, (x,), (torch.ones_like(x),))[1]

    for refused in (tangent, torch.func.vmap(rule)):
        with pytest.raises(NotImplementedError, match="use reverse mode"):
            torch.func.jvp(refused, (x,), (torch.ones_like(x),))


def test_a_compiled_function_is_left_alone_in_a_transform_where_transforms_are_not_known(no_transforms):
    torch, x = no_transforms, no_transforms.tensor(X)
    compiled = ts.jit(lambda x: x * x)
    assert torch.equal(torch.func.grad(lambda x: compiled(x).sum())(x), 2 * x)
    assert torch.equal(torch.func.vmap(compiled)(x), x * x)


def test_torch_computes_by_itself_where_modes_are_not_known(torch, monkeypatch):
    x, key = torch.tensor(X), torch.tensor([0, 3])
    expected = ts.sample(x, key, num_samples=5), ts.random.normal(key, (4,)), ts.softmax(x, precision="reproducible")
    internals = internals_of("torch")
    monkeypatch.delattr(torch._C, "_len_torch_dispatch_stack")
    assert internals.in_dispatch_mode()
    found = ts.sample(x, key, num_samples=5), ts.random.normal(key, (4,)), ts.softmax(x, precision="reproducible")
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_copies_are_compiled_anew_and_kept_where_dynamo_names_nothing(torch, monkeypatch):
    internals = internals_of("torch")
    monkeypatch.delattr(torch._dynamo.exc, "FailOnRecompileLimitHit")
    monkeypatch.delattr(torch._dynamo.eval_frame, "remove_from_cache")
    assert internals.recompile_limit_hit() is Exception
    made = []

    def compiled_once(copy, **options):
        def run(x):
            made.append(copy)
            if len(made) == 1:
                raise RuntimeError("recompile limit")
            return copy(x)

        return run

    monkeypatch.setattr(torch, "compile", compiled_once)
    assert torch.equal(ts.jit(lambda x: x + 1)(torch.zeros(2)), torch.ones(2))
    assert len(made) == 2


def test_nothing_is_taught_where_inductor_lacks_a_name(torch, monkeypatch):
    internals = internals_of("torch")
    from torch._inductor import lowering

    assert internals.inductor() is not None
    monkeypatch.delattr(lowering, "make_fallback")
    assert internals.inductor() is None
    monkeypatch.setattr("tempscale_backends.torch.inductor.inductor", internals.inductor)
    importlib.import_module("tempscale_backends.torch.inductor").teach()


# TensorFlow


@pytest.fixture
def without(monkeypatch):
    """Have modules of a framework without any of their names."""

    def remove(name, *modules):
        internals = internals_of(name)
        for module in modules:
            assert getattr(internals, module) is not None
            monkeypatch.setattr(internals, module, None)
        return internals

    return remove


def test_derivatives_are_by_the_rule_where_tensorflow_records_none(tf, without):
    internals = without("tensorflow", "_record")
    assert internals.differentiates()
    rule, x = three_times(ts.get_backend("tensorflow")), tf.constant(X)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = rule(x)
        gradient = tape.gradient(y, x)
    second = outer.gradient(gradient, x)
    with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
        tangent = accumulator.jvp(rule(x))
        in_graph = accumulator.jvp(tf.function(rule, autograph=False)(x))
    for found, expected in (
        *((y, X * X), (gradient, 6 * X), (second, np.full_like(X, 6))),
        *((tangent, 6 * X), (in_graph, 6 * X)),
    ):
        assert found.numpy().tolist() == expected.tolist()


def test_softmax_is_right_where_xla_is_not_known(tf, without):
    assert without("tensorflow", "_control_flow").in_xla()
    spoiled = np.vstack([X, [[np.nan, 0, 0]]]).astype(np.float32)
    found = tf.function(ts.softmax, autograph=False)(tf.constant(spoiled)).numpy()
    assert np.abs(found[:2] / P - 1).max() <= ULPS
    assert np.isnan(found[2]).all()


def reproducible(x):
    return ts.softmax(x, precision="reproducible")


def test_a_map_leaves_the_registry_of_tensorflow_as_it_was(tf):
    internals = internals_of("tensorflow")
    registry = internals._pfor._pfor_converter_registry
    before, inside = {**registry}, []

    def seen(x):
        inside.append("Bitcast" in registry)
        return reproducible(x)

    mapped = ts.vmap(seen)(tf.constant(X))
    assert inside == [True]
    assert before == registry
    assert "Bitcast" not in registry
    assert mapped.numpy().tolist() == reproducible(tf.constant(X)).numpy().tolist()


def test_the_registry_of_tensorflow_serves_a_map_that_ends_after_another(tf):
    internals = internals_of("tensorflow")
    registry, begun, end = internals._pfor._pfor_converter_registry, threading.Event(), threading.Event()

    def long():
        with internals.mapping_bitcast():
            begun.set()
            end.wait(60)

    thread = threading.Thread(target=long)
    thread.start()
    begun.wait(60)
    with internals.mapping_bitcast():
        pass
    assert "Bitcast" in registry
    end.set()
    thread.join()
    assert "Bitcast" not in registry


def test_maps_give_the_same_bits_where_tensorflow_has_no_such_registry_and_in_one_of_its_own(tf, without):
    expected = reproducible(tf.constant(X)).numpy().tolist()
    assert tf.vectorized_map(reproducible, tf.constant(X)).numpy().tolist() == expected
    without("tensorflow", "_pfor")
    assert ts.vmap(reproducible)(tf.constant(X)).numpy().tolist() == expected


# JAX


def test_tracers_are_known_where_jax_does_not_name_them(jax, without):
    internals = without("jax", "_core")
    x = jax.numpy.asarray(X)
    assert internals.array_types() == (jax.Array,)
    assert [*map(internals.is_tracer, (x, jax.random.key(0), X, 1.0))] == [False] * 4
    seen = []

    def look(x):
        assert isinstance(x, internals.array_types())
        seen.append(internals.is_tracer(x))
        return x.sum()

    for transformed in (jax.jit(look), jax.vmap(look), jax.grad(look)):
        transformed(x)
    assert seen == [True] * 3


def test_jax_without_primitives_computes_in_64_bits_or_says_that_it_cannot(jax, without, monkeypatch):
    from tempscale_backends.jax import wide

    rules = dict.fromkeys(("run", "types", "jvp", "transpose", "batch", "lower"))
    made = without("jax", "_extend").primitive("none", **rules, otherwise=wide._run_or_refuse)
    monkeypatch.setattr(wide, "_wide", made)
    third = wide.in_64_bits(lambda x: (x.astype("float64") / 3 * 3 - x).astype("float32"))

    assert third(jax.numpy.asarray(X)).tolist() == (X.astype(float) / 3 * 3 - X).astype(np.float32).tolist()
    with pytest.raises(NotImplementedError, match="turn x64 on"):
        jax.jit(third)(jax.numpy.asarray(X))
    with ts.get_backend("jax").allowing("float64"):
        assert jax.jit(third)(X).dtype == "float32"
