"""What compiles anew and what does not: numbers in eager calls, kinds of arguments in `jit` on PyTorch."""

from __future__ import annotations

import functools
import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from every_function import EVERY_FUNCTION

import tempscale as ts
from tempscale import Backend, random

Count = Callable[[], int]


@pytest.fixture
def compilations(differentiating: Backend, request: pytest.FixtureRequest) -> Iterator[Count]:
    """A function that returns how often the framework has compiled or traced something."""
    events: list[str] = []

    def listen(event: str, _seconds: float, **_more: Any) -> None:
        events.extend([event] if event.endswith("backend_compile_duration") else [])

    if differentiating.name == "torch":
        from torch._dynamo.utils import counters

        yield lambda: int(counters["stats"]["unique_graphs"])
    elif differentiating.name == "tensorflow":
        from tensorflow.python.eager import context

        yield lambda: len(context.context().list_function_names())
    else:
        monitoring = request.getfixturevalue("jax").monitoring
        monitoring.register_event_duration_secs_listener(listen)
        yield lambda: len(events)
        monitoring.unregister_event_duration_listener(listen)


X, OTHER = np.random.default_rng(0).standard_normal((2, 4, 5)).astype(np.float32)
LABELS = np.array([0, 3, 1, 2], np.int32)
KEY = random.key(7)
NUMBERS: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "temperature": (lambda x, o, y, t: ts.softmax(x, temperature=t), 0.5, 0.7),
    "q_temperature": (lambda x, o, y, t: ts.kl_divergence(x, o, q_temperature=t), 0.5, 0.7),
    **{
        f"{name}, {precision}": (
            lambda x, o, y, n, name=name, precision=precision: ts.cross_entropy(x, y, **{name: n}, precision=precision),
            *values,
        )
        for precision in ("default", "accurate", "reproducible")
        for name, values in {"label_smoothing": (0.1, 0.2), "ignore_index": (0, 3), "temperature": (0.5, 0.7)}.items()
    },
    "class_weights as a list": (
        lambda x, o, y, w: ts.cross_entropy(x, y, class_weights=[w, 1.0, 1.0, 1.0, 2.0]),
        0.5,
        0.7,
    ),
    "temperature of sample": (lambda x, o, y, t: ts.sample(x, KEY, temperature=t), 0.5, 0.7),
    "temperature without replacement": (
        lambda x, o, y, t: ts.sample_without_replacement(x, KEY, 2, temperature=t),
        0.5,
        0.7,
    ),
    "seed": (lambda x, o, y, seed: random.normal(random.key(seed), (4,), like=x), 1, 2),
    "fold_in": (lambda x, o, y, data: random.fold_in(KEY, data, like=x), 1, 2**32 - 1),
    "minval": (lambda x, o, y, low: random.uniform(KEY, (4,), minval=low, maxval=9.0, like=x), 0.5, -3.0),
    "maxval": (lambda x, o, y, high: random.uniform(KEY, (4,), maxval=high, like=x), 0.5, 3.0),
    "p of bernoulli": (lambda x, o, y, p: random.bernoulli(KEY, p, (4,), like=x), 0.5, 1e-9),
    "bounds of randint": (lambda x, o, y, high: random.randint(KEY, (4,), -high, high, like=x), 5, 70_000),
    "a of choice": (lambda x, o, y, a: random.choice(KEY, a, (4,), like=x), 5, 7),
    "p of choice": (lambda x, o, y, p: random.choice(KEY, 2, (4,), p=[p, 1 - p], like=x), 0.5, 0.7),
    "bounds of truncated_normal": (lambda x, o, y, b: random.truncated_normal(KEY, -b, b, (4,), like=x), 0.5, 0.7),
    "bounds in a tail": (lambda x, o, y, b: random.truncated_normal(KEY, b, 50.0, (4,), like=x), 40.0, 41.0),
}


@pytest.mark.filterwarnings("ignore:.*retracing")
def test_another_number_compiles_nothing_in_an_eager_call(differentiating: Backend, compilations: Count) -> None:
    arrays = [differentiating.asarray(x) for x in (X, OTHER, LABELS)]
    compiled = []
    for name, (call, known, new) in NUMBERS.items():
        call(*arrays, known)
        before = compilations()
        call(*arrays, new)
        if compilations() != before:
            compiled.append(name)
    assert compiled == []


@pytest.fixture
def dynamo(torch: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """torch._dynamo, with a `torch.compile` that traces as ever and generates no code."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    return torch._dynamo


def _kinds(torch: Any) -> list[Any]:
    """Twice as many kinds of arguments as torch.compile makes variants of one function, and more."""
    made = []
    for batch, dtype, needs_grad in itertools.product((1, 4), (torch.float32, torch.float64), (False, True)):
        made += [x.requires_grad_(needs_grad) for x in (torch.ones(batch, 3, dtype=dtype), torch.ones(3, batch).mT)]
    return made


def test_jit_on_pytorch_takes_any_number_of_kinds_of_arguments(torch: Any, dynamo: Any) -> None:
    mean = ts.jit(lambda x: x.mean(1))
    for x in (*_kinds(torch), *_kinds(torch)):
        assert torch.equal(mean(x), torch.ones_like(x[:, 0]))
    with torch.no_grad():
        assert not mean(torch.ones(2, 3, requires_grad=True)).requires_grad


def test_jit_on_pytorch_has_one_variant_for_all_sizes(torch: Any, dynamo: Any) -> None:
    from torch._dynamo.utils import counters

    mean = ts.jit(lambda x: x.mean(1))
    for size in (2, 3, 4):
        mean(torch.ones(size, 5))
    before = counters["stats"]["unique_graphs"]
    for size in (9, 3, 2, 12):
        mean(torch.ones(size, 5))
    assert counters["stats"]["unique_graphs"] == before


def test_a_copy_at_its_limit_is_replaced(torch: Any, dynamo: Any) -> None:
    state = {"number": 0}
    plus = ts.jit(lambda x: x + state["number"] * 2)
    with dynamo.config.patch(recompile_limit=1):
        for state["number"] in range(4):  # what is compiled is for one value of a variable that it closes over
            assert plus(torch.zeros(1)).item() == state["number"] * 2


def test_what_is_compiled_for_many_kinds_is_dropped(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tempscale_backends.torch import backend

    compiled: list[Any] = []

    def compiler(graph: Any, _inputs: Any) -> Any:
        compiled.append(weakref.ref(graph))
        return lambda *args: graph(*args)

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=compiler))
    monkeypatch.setattr(backend, "COPIES", 2)
    double = ts.jit(lambda x: x * 2)
    for shape in ((1,), (1, 1), (1, 2), (2, 1), (1, 1, 1)):
        double(torch.ones(shape))
    gc.collect()
    assert [graph() is not None for graph in compiled] == [False, False, False, True, True]


def test_operations_share_no_code_whose_variants_would_be_counted_together() -> None:
    operations: set[Any] = {function.call for function in EVERY_FUNCTION if hasattr(function.call, "body")}
    assert len({id(operation.__code__) for operation in operations}) == len(operations) > 1
