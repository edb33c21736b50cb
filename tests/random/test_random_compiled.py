"""tempscale.random inside compiled and mapped functions: the same bits as eager, keys as arguments or constants."""

from __future__ import annotations

import numpy as np
import pytest
from support import require

import tempscale
from tempscale import random

KEY = random.key(0x92345678_9ABCDEF0)
STEP = 7
N = 10**5


def draws(key, step):
    """Integers, uniform and normal numbers: of the key, of keys made of it, and of one that is a constant."""
    one, other = random.split(key)[0], random.fold_in(key, step)
    return (
        random.bits(key, (9,)),
        random.randint(one, (N,), -5, 1000),
        random.uniform(other, (N,)),
        random.normal(key, (N,)),
        random.permutation(other, 50),
        random.uniform(random.split(KEY)[1], (9,), like=step),
    )


@pytest.fixture(scope="module")
def eager():
    return [np.asarray(x) for x in draws(np.asarray(KEY), np.asarray(STEP))]


def check(results, eager):
    for result, expected in zip(results, eager, strict=True):
        got = tempscale.to_numpy(result)
        got = got.view(np.uint32) if expected.dtype == np.uint32 else got
        assert np.count_nonzero(got != expected) == 0


def arguments(backend, dtype="int32"):
    words = np.asarray(KEY)
    return backend.asarray(words.view(np.int32) if dtype == "int32" else words), backend.asarray(
        np.array(STEP, np.int32)
    )


def test_what_is_compiled_draws_what_is_drawn_eagerly(differentiating, eager):
    for compiler in differentiating.compilers:
        check(differentiating.jit(draws, compiler=compiler)(*arguments(differentiating)), eager)


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_a_key_as_an_argument_does_not_retrace(name):
    backend, traced = require(name), []

    def draw(key):
        traced.append(key)
        return random.uniform(key, (9,))

    compiled, (key, _) = backend.jit(draw), arguments(backend)
    first, second = [tempscale.to_numpy(compiled(k)) for k in (key, key + 1)]
    assert len(traced) == 1
    assert (first != second).all()


def test_a_key_as_an_argument_does_not_make_torch_recompile(torch):
    compiled = torch.compile(lambda key: random.bits(key, (9,)), fullgraph=True, backend="eager")
    key = torch.tensor([0, 5], dtype=torch.int32)
    first = compiled(key)
    with torch.compiler.set_stance("fail_on_recompile"):
        second = compiled(key + 1)
    assert (first.view(torch.int32) != second.view(torch.int32)).all()


def test_jax_compiles_with_its_typed_keys(jax, eager):
    key = jax.random.wrap_key_data(np.asarray(KEY))
    normal = jax.jit(lambda key: random.normal(random.fold_in(key, STEP), (9,)))
    np.testing.assert_array_equal(normal(key), random.normal(random.fold_in(KEY, STEP), (9,)))


def test_keys_can_be_mapped_over(differentiating):
    keys = np.array(random.split(KEY, 3), np.uint32)
    mapped = differentiating.vmap(lambda key: random.uniform(random.fold_in(key, 5), (4,)))
    drawn = tempscale.to_numpy(mapped(differentiating.asarray(keys.view(np.int32))))
    expected = [random.uniform(random.fold_in(key, 5), (4,)) for key in random.split(KEY, 3)]
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("draw", [random.normal, random.exponential, random.permutation])
def test_torch_and_jax_map_every_draw(draw, torch, jax):
    keys = np.array(random.split(KEY, 3), np.uint32)
    size = 20 if draw is random.permutation else (20,)
    expected = [draw(key, size) for key in random.split(KEY, 3)]
    of_torch = torch.func.vmap(lambda key: draw(key, size))(torch.from_numpy(keys.view(np.int32)))
    np.testing.assert_array_equal(of_torch, expected)
    np.testing.assert_array_equal(jax.vmap(lambda key: draw(key, size))(keys), expected)


def test_torch_maps_over_keys_and_steps_at_once(torch):
    keys = torch.from_numpy(np.array(random.split(KEY, 3), np.uint32).view(np.int32))
    steps = torch.arange(4, dtype=torch.int32)

    def draw(key, step):
        return random.uniform(random.fold_in(key, step), (5,))

    expected = torch.stack([torch.stack([draw(key, step) for step in steps]) for key in keys])
    over_steps_within = torch.func.vmap(torch.func.vmap(draw, (None, 0)), (0, None))
    over_keys_within = torch.func.vmap(torch.func.vmap(draw, (0, None)), (None, 0))
    assert torch.equal(over_steps_within(keys, steps), expected)
    assert torch.equal(over_keys_within(keys, steps), expected.movedim(0, 1))


def test_torch_compiles_what_is_mapped_over_keys(torch):
    keys = torch.from_numpy(np.array(random.split(KEY, 70), np.uint32).view(np.int32))
    mapped = torch.func.vmap(lambda key: random.split(key, 2))
    assert torch.equal(torch.compile(mapped, fullgraph=True)(keys), mapped(keys))


def test_inductor_compiles_the_rounds_into_one_loop(torch):
    from torch._inductor.utils import run_and_get_code

    key = torch.tensor([0, 5], dtype=torch.int32)
    drawn, code = run_and_get_code(torch.compile(lambda key: random.uniform(key, (77,)), fullgraph=True), key)
    assert torch.equal(drawn, random.uniform(key, (77,)))
    assert "torch.ops.tempscale" not in "".join(code)


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_a_traced_graph_draws_from_the_key_that_it_is_given(mode, torch):
    from torch.fx.experimental.proxy_tensor import make_fx

    def draw(key):
        return random.normal(random.fold_in(key, STEP), (9,)), random.randint(random.split(key)[1], (9,), 0, 100)

    key, other = torch.tensor([[0, 5], [6, -8]], dtype=torch.int32)
    traced = make_fx(draw, tracing_mode=mode)(key)
    assert all(torch.equal(got, expected) for got, expected in zip(traced(other), draw(other), strict=True))
