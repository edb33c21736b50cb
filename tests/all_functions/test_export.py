"""What exporters make of every function gives its numbers."""

from __future__ import annotations

import pytest
from every_function import RANDOM, TOKENS

import tempscale as ts

TRACED = ("sample", "sample_without_replacement", "fold_in", "bernoulli", "randint", "permutation", "choice")
TRACED += ("truncated_normal",)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", [f for f in (*TOKENS, *RANDOM) if f.name in TRACED], ids=str)
def test_jit_trace_draws_the_same(torch, function):
    arguments = [ts.get_backend("torch").asarray(x) for x in function.arguments((2,), 5)]
    traced = torch.jit.trace(function.call, tuple(arguments), check_trace=False)
    assert torch.equal(traced(*arguments), function.call(*arguments))


@pytest.mark.filterwarnings("ignore")
def test_jit_trace_of_logsumexp_gives_the_same_numbers(torch):
    x = torch.tensor([[1.0, 2.0], [float("inf"), 0.0], [-float("inf"), -float("inf")]])
    assert torch.equal(torch.jit.trace(ts.logsumexp, (x,), check_trace=False)(x), ts.logsumexp(x))
