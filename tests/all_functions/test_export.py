"""What exporters make of functions gives their numbers. `benchmarks/exports.py` tries all of both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from every_function import EVERY_FUNCTION

import tempscale as ts

Groups = list[list[Any]]

# torch.jit.trace makes a tensor of a size, and these hand one to `choice`
TRACED = [function for function in EVERY_FUNCTION if not function.name.startswith("choice with")]
SOME = [f for f in EVERY_FUNCTION if f.name in ("softmax", "reproducible logsumexp", "sample", "normal")]
"""Exporting is slow: one function of each kind."""


def arguments_of_some(backend: ts.Backend) -> Groups:
    return [[backend.asarray(x) for x in function.arguments((2,), 5)] for function in SOME]


def some(groups: Groups) -> list[Any]:
    return [function.call(*arguments) for function, arguments in zip(SOME, groups, strict=True)]


def assert_same(exported: list[Any], groups: Groups) -> None:
    """Of `softmax` both may be as far from the exact value as its contract says; the others have promised bits."""
    found, *bits = map(ts.to_numpy, exported)
    expected, *expected_bits = map(ts.to_numpy, some(groups))
    x = ts.to_numpy(groups[0][0])
    bound = (3 * np.ptp(x, -1).max() + 8 + math.log2(x.shape[-1])) * 2.0**-24
    np.testing.assert_allclose(found, expected, rtol=2 * bound, atol=0)
    for one, other in zip(bits, expected_bits, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", TRACED, ids=str)
def test_jit_trace_gives_the_same_bits(torch, function):
    arguments = [ts.get_backend("torch").asarray(x) for x in function.arguments((2,), 5)]
    traced = torch.jit.trace(lambda *xs: function.call(*xs), tuple(arguments), check_trace=False)
    assert torch.equal(traced(*arguments), function.call(*arguments))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("precision", ["default", "reproducible"])
@pytest.mark.parametrize("temperature", [0.0, 0.7, math.inf])
def test_jit_trace_of_logsumexp_gives_the_same_bits_for_special_rows_and_temperatures(torch, precision, temperature):
    def logsumexp(x):
        return ts.logsumexp(x, temperature=temperature, precision=precision)

    x = torch.tensor([[1.0, 2.0], [math.inf, 0.0], [-math.inf, -math.inf], [-math.inf, 1.0]])
    assert torch.equal(torch.jit.trace(logsumexp, (x,), check_trace=False)(x), logsumexp(x))


def test_torch_export_gives_the_same_numbers(torch):
    class Module(torch.nn.Module):
        def forward(self, groups):
            return some(groups)

    groups = arguments_of_some(ts.get_backend("torch"))
    assert_same(torch.export.export(Module(), (groups,)).module()(groups), groups)


def test_a_saved_model_gives_the_same_numbers(tf, tmp_path):
    groups = arguments_of_some(ts.get_backend("tensorflow"))
    module = tf.Module()
    module.run = tf.function(some)
    module.run.get_concrete_function(groups)
    tf.saved_model.save(module, tmp_path)
    assert_same(tf.saved_model.load(tmp_path).run(groups), groups)


def test_jax_export_gives_the_same_numbers(jax):
    from jax import export

    groups = arguments_of_some(ts.get_backend("jax"))
    serialized = export.export(jax.jit(some))(groups).serialize()
    assert_same(export.deserialize(serialized).call(groups), groups)
