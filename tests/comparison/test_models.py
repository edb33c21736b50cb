"""Two models compared: what is found in ports with a mistake, nothing in those without, and wrong use in words."""

from __future__ import annotations

import importlib
import json
import math
from types import ModuleType

import numpy as np
import pytest
from support import require

import tempscale as ts
from tempscale.testing import assert_same_model


@pytest.fixture(scope="module")
def mutants() -> ModuleType:
    """The models of the benchmark, and the mistakes that are planted in their ports."""
    pytest.importorskip("keras")
    pytest.importorskip("flax")
    for name in ("torch", "tensorflow", "jax"):
        require(name)
    return importlib.import_module("benchmarks.compare_mutants")


def port(mutants, model, framework, seed=0, **options):
    build, weights_of, _ = mutants.MODELS[model]
    return mutants.evaluated(build(mutants.KITS[framework], weights_of(np.random.default_rng(seed)), **options))


def inputs(mutants, model, seed=1, scale=1.0):
    return mutants.MODELS[model][2](np.random.default_rng(seed), scale)


# Ports


PORTS = ("keras", "nnx")


@pytest.mark.parametrize("framework", ["torch", *PORTS])
def test_a_mistake_is_found_at_its_layer_with_its_reason(mutants, framework):
    """Mistakes of several sorts; `python -m benchmarks.compare_mutants` has all of them in all frameworks."""
    models = {"torch": ("mlp", "resnet", "encoder"), "keras": ("mlp", "resnet"), "nnx": ("encoder",)}[framework]
    chosen = {
        "mlp": ("epsilon=1.1e-05", "gelu='gelu_tanh'", "kernel2 transposed", "narrow=True", "biased=False"),
        "resnet": ("training=True", "padding='SAME'", "flatten='wrong'", "active=False", "norm2 and norm3 exchanged"),
        "encoder": ("scale=1.0", "positions=False", "dropout=True", "pool='first'"),
    }
    short = [
        mutant
        for mutant in mutants.MUTANTS
        if mutant.model in models
        and mutant.name in chosen[mutant.model]
        and framework in mutant.ports
        # torch pads one side by a module of its own, inside which the layer is not turned
        and not (framework == "torch" and "padding" in mutant.options)
    ]
    assert len(short) > 3
    missed = [
        f"{found.mutant.name}: {found.report.first}"
        for found in mutants.findings(tuple(mutants.only(mutant, framework) for mutant in short))
        if not found.reasoned
    ]
    assert missed == []


@pytest.mark.parametrize("model", ["mlp", "resnet", "encoder"])
def test_correct_ports_are_the_same_whatever_the_seed_and_the_scale(mutants, model):
    for number, framework in enumerate(PORTS):
        flatten = {"flatten": "permuted"} if model == "resnet" and number else {}
        a, b = port(mutants, model, "torch", number), port(mutants, model, framework, number, **flatten)
        report = ts.compare(a, b, inputs(mutants, model, number, scale=10.0 ** (2 * number - 1)))
        assert report.verdict == "same", report
        assert max(pair.ratio for pair in report.layers) < 3


def test_either_framework_may_be_the_one_that_is_held_to(mutants):
    x = np.moveaxis(inputs(mutants, "resnet"), 1, -1)
    a, b = port(mutants, "resnet", "keras"), port(mutants, "resnet", "torch")
    report = ts.compare(a, b, x)
    assert report.verdict == "same", report
    assert any("channels moved first" in note for note in report.notes)


def test_one_wrong_layer_does_not_accuse_those_behind_it(mutants):
    a, b = port(mutants, "resnet", "torch"), port(mutants, "resnet", "keras", epsilon=1e-3)
    report = ts.compare(a, b, inputs(mutants, "resnet"))
    assert [pair.b for pair in report.layers if pair.verdict != "same"] == ["norm3"]
    assert report.layers[-1].inherited / report.layers[-1].floor > 10


def test_padding_by_hand_is_the_same_as_padding_in_the_layer(torch):
    layers = torch.nn
    a = layers.Sequential(layers.Conv2d(3, 4, 3, padding=1), layers.ReLU())
    b = layers.Sequential(layers.ZeroPad2d(1), layers.Conv2d(3, 4, 3), layers.ReLU())
    b[1].load_state_dict(a[0].state_dict())
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")
    assert ts.compare(a, b, x).verdict == "same"
    b[0].padding = (0, 2, 0, 2)
    report = ts.compare(a, b, x)
    assert "padding is ((0, 2), (0, 2)) in b and ((1, 1), (1, 1)) in a" in report.first.reason


def test_a_model_that_is_one_layer_is_compared_like_any_other(torch):
    a = torch.nn.Linear(3, 4)
    b = torch.nn.Sequential(torch.nn.Linear(3, 4))
    b[0].load_state_dict(a.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    for one, other in ((a, a), (a, b), (b, a)):
        report = ts.compare(one, other, x)
        assert (report.verdict, len(report.layers)) == ("same", 1), report
    with torch.no_grad():
        b[0].bias[0] += 1
    for one, other in ((a, b), (b, a)):
        assert "bias: it differs from a's" in ts.compare(one, other, x).first.reason


def test_attention_of_one_module_is_compared_with_attention_of_several(torch):
    class Attention(torch.nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.parts = torch.nn.ModuleList(torch.nn.Linear(8, 8) for _ in range(4))
            self.scale = scale

        def forward(self, x):
            q, k, v = (part(x).unflatten(-1, (2, 4)).transpose(1, 2) for part in self.parts[:3])
            mixed = torch.softmax(q @ k.mT * self.scale, -1) @ v
            return self.parts[3](mixed.transpose(1, 2).flatten(2))

    class Model(torch.nn.Module):
        def __init__(self, attention):
            super().__init__()
            self.before, self.attention, self.after = torch.nn.Linear(5, 8), attention, torch.nn.Linear(8, 3)

        def forward(self, x):
            x = self.before(x)
            whole = isinstance(self.attention, torch.nn.MultiheadAttention)
            return self.after(self.attention(x, x, x)[0] if whole else self.attention(x))

    a = Model(torch.nn.MultiheadAttention(8, 2, batch_first=True))
    x = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")
    for scale, verdict in ((0.5, "same"), (1.0, "different")):
        b = Model(Attention(scale))
        b.before.load_state_dict(a.before.state_dict())
        b.after.load_state_dict(a.after.state_dict())
        with torch.no_grad():
            for number in range(3):
                b.attention.parts[number].weight.copy_(a.attention.in_proj_weight[8 * number : 8 * number + 8])
                b.attention.parts[number].bias.copy_(a.attention.in_proj_bias[8 * number : 8 * number + 8])
            b.attention.parts[3].load_state_dict(a.attention.out_proj.state_dict())
        report = ts.compare(a, b, x)
        assert report.verdict == verdict, report
        assert [pair.b for pair in report.layers if pair.what == "layer"] == ["before", "attention", "after"]


# Left as they were


@pytest.mark.parametrize("fails", [False, True], ids=["", "after an error"])
def test_torch_models_are_left_as_they_were(torch, fails):
    class Fails(torch.nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if fails and self.calls > 3:
                raise RuntimeError("enough")
            return x

    a = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.0), Fails())
    a[1].eval()
    before = {name: value.clone() for name, value in a.state_dict().items()}
    modes = [module.training for module in a.modules()]
    b = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Identity())
    torch.manual_seed(5)
    state = torch.get_rng_state()
    try:
        ts.compare(a, b, np.ones((5, 3), "float32"))
    except (RuntimeError, ValueError):
        assert fails
    assert [module.training for module in a.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in a.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any("forward" in vars(module) for module in [*a.modules(), *b.modules()])


def test_keras_and_nnx_models_are_left_as_they_were(mutants):
    for framework in PORTS:
        model = port(mutants, "encoder", framework, dropout=True)
        reader = importlib.import_module("tempscale.comparison.reader").reader_of(model, "a")
        before, calls = state(model), [type(layer).__call__ for layer in reached(model)]
        with pytest.raises(ValueError, match="cannot be called"):
            ts.compare(model, model, np.full((2, 3), 10**6))
        ts.compare(port(mutants, "encoder", "torch"), model, inputs(mutants, "encoder"))
        for one, other in zip(before, state(model), strict=True):
            np.testing.assert_array_equal(one, other)
        assert [type(layer).__call__ for layer in reached(model)] == calls
        assert not any("call" in vars(layer) for layer in reached(model))
        assert reader.variables()


def reached(model):
    if hasattr(model, "_flatten_layers"):
        return list(model._flatten_layers())
    nnx = importlib.import_module("flax.nnx")
    return [module for _, module in nnx.iter_modules(model)]


def state(model):
    """Everything that a run may change, seeds and counters included."""
    if hasattr(model, "variables"):
        return [np.asarray(variable) for variable in model.variables]
    jax, nnx = importlib.import_module("jax"), importlib.import_module("flax.nnx")
    leaves = jax.tree.leaves(nnx.state(model))
    keys = jax.dtypes.prng_key
    return [np.asarray(jax.random.key_data(x) if jax.numpy.issubdtype(x.dtype, keys) else x) for x in leaves]


# Said first


def test_a_model_that_draws_random_numbers_is_refused_in_words(torch):
    class Noisy(torch.nn.Module):
        def forward(self, x):
            return x + torch.randn(x.shape)

    a = torch.nn.Sequential(torch.nn.Linear(3, 3), Noisy())
    with pytest.raises(ValueError, match=r"a draws random numbers in 1 \(Noisy\)"):
        ts.compare(a, a, np.ones((2, 3), "float32"))


def test_input_of_another_shape_is_refused_in_words(torch):
    a = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"a \(torch\) cannot be called with x \(float32 \(2, 4\)\)"):
        ts.compare(a, a, np.ones((2, 4), "float32"))


def test_models_without_a_common_layer_are_refused_in_words(torch):
    a = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 5))
    b = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Sigmoid())
    with pytest.raises(ValueError, match="no layers in common"):
        ts.compare(a, b, np.ones((2, 3), "float32"))


def test_what_is_no_model_is_refused_in_words(torch):
    with pytest.raises(TypeError, match=r"b is of type builtins\.list, expected a model: .*torch\.nn\.Module"):
        ts.compare(torch.nn.Linear(3, 3), [1.0], np.ones((2, 3)))


def test_arrays_of_another_framework_in_a_model_are_named_as_its_error(torch):
    class Mixed(torch.nn.Module):
        def forward(self, x):
            return torch.relu(np.asarray(x))

    with pytest.raises(ValueError, match=r"b \(torch\) cannot be called .*TypeError"):
        ts.compare(torch.nn.ReLU(), Mixed(), np.ones((2, 3), "float32"))


def test_values_that_are_not_finite_and_zeros_are_said_before_any_figure(torch):
    class Log(torch.nn.Module):
        def forward(self, x):
            return torch.log(x)

    a = torch.nn.Sequential(Log(), torch.nn.Softplus())
    report = ts.compare(a, a, -np.ones((2, 3), "float32"))
    assert report.verdict == "look"
    assert "a has 6 values that are not finite, first in what 0 gives" in report.notes
    zeros = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU())
    with torch.no_grad():
        zeros[0].bias.fill_(-100)
    report = ts.compare(zeros, zeros, np.ones((2, 3), "float32"))
    assert (report.verdict, report.notes[0]) == ("look", "the output of a is all zeros")


def test_a_layer_that_is_called_twice_is_compared_twice_and_named(torch):
    layer = torch.nn.Linear(3, 3)
    a, b = torch.nn.Sequential(layer, layer), torch.nn.Sequential(layer, torch.nn.Linear(3, 3))
    b[1].load_state_dict(layer.state_dict())
    report = ts.compare(a, b, np.ones((2, 3), "float32"))
    assert [pair.a for pair in report.layers] == ["0", "0 (call 2)"]
    assert report.verdict == "same"
    assert "a calls 0 more than once" in report.notes


def test_a_reason_that_nothing_gives_is_not_made_up(torch):
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.sin(3 * x) + x**2

    a = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
    b = torch.nn.Sequential(a[0], Odd())
    reason = ts.compare(a, b, np.random.default_rng(0).normal(size=(9, 3)).astype("float32")).first.reason
    assert reason in ("a computes tanh of its input; b computes something else", "no known reason")


# The report


def test_the_report_has_every_face(mutants, tmp_path):
    report = ts.compare(
        port(mutants, "mlp", "torch"), port(mutants, "mlp", "nnx", epsilon=1e-3), inputs(mutants, "mlp")
    )
    with pytest.raises(AssertionError, match=r"epsilon is 0\.001 in b"):
        report.raise_if_different()
    with pytest.raises(AssertionError, match=r"epsilon is 0\.001 in b"):
        assert_same_model(
            port(mutants, "mlp", "torch"), port(mutants, "mlp", "nnx", epsilon=1e-3), inputs(mutants, "mlp")
        )
    plain = json.loads(report.to_json())
    assert plain["layers"][plain["first"]]["reason"] == report.first.reason
    page = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    for text in (report.first.reason, "layers.dense1.layer", "The path of the error"):
        assert text in page
    assert "<script" not in page
    assert "epsilon is 0.001 in b" in str(report)


# Traces


def test_traces_name_the_first_array_that_differs(tmp_path):
    rng = np.random.default_rng(0)
    image, logits = rng.normal(size=(2, 3, 4, 4)).astype("float32"), rng.normal(size=(2, 5)).astype("float32")
    np.savez(tmp_path / "a.npz", conv=image, logits=logits)
    np.savez(tmp_path / "b.npz", conv=np.moveaxis(image, 1, -1) * np.float32(1 + 2**-23), logits=logits + 1)
    report = ts.compare_traces(tmp_path / "a.npz", tmp_path / "b.npz")
    assert (report.first.a, report.layers[0].verdict, report.layers[0].layout) == (
        "logits",
        "same",
        "channels moved last",
    )
    same = ts.compare_traces({"x": logits}, {"x": logits})
    assert (same.verdict, same.first) == ("same", None)


def test_an_error_that_grows_does_not_accuse_a_later_array():
    rng = np.random.default_rng(0)
    arrays = {str(n): rng.normal(size=100).astype("float32") for n in range(3)}
    off = {name: x * np.float32(1 + 10.0 ** (2 * int(name) - 6)) for name, x in arrays.items()}
    report = ts.compare_traces(arrays, {"0": off["0"], "1": off["1"] * 1, "2": off["1"].mean() + arrays["2"] * 0})
    assert report.verdict == "different"
    assert report.first.a in ("0", "1")


@pytest.mark.parametrize("given", [([], {}), ({}, {"x": np.ones(2)})], ids=["no trace", "nothing in it"])
def test_traces_that_are_none_are_refused_in_words(given):
    with pytest.raises((TypeError, ValueError), match=r"expected a dict of named arrays|nothing to compare"):
        ts.compare_traces(*given)


def test_a_nan_in_one_trace_is_an_infinite_error():
    report = ts.compare_traces({"x": np.ones(3)}, {"x": np.array([1.0, math.nan, 1.0])})
    assert report.verdict == "different"
    assert report.first.own == math.inf
