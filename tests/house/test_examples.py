"""The examples learn: at least 95 % of the test digits, with a temperature that is learnt, eager and compiled."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support import NAMES, ROOT, require

import tempscale

EXAMPLES = ROOT / "examples"
ENOUGH = 0.95
START = 1.0  # the temperature before training


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Import an example by its name, as `python examples/...` finds it, if its frameworks are there."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def load(name: str, *backends: str) -> ModuleType:
        for backend in backends:
            require(backend)
        return importlib.import_module(name)

    return load


def moved(temperature: Any) -> bool:
    """Whether training has changed a temperature, by more than rounding."""
    value = float(temperature)
    return 0.0 < value < np.inf and abs(value - START) > 0.05


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


# PyTorch


def test_torch_learns_the_digits(example, capsys):
    accuracy = example("digits_torch", "torch").main(seed=0)
    assert accuracy >= ENOUGH
    assert last_line(capsys) == f"test accuracy {accuracy:.4f}"


def test_in_torch_the_temperature_is_learnt(example):
    digits_torch = example("digits_torch", "torch")
    model = digits_torch.Classifier()
    digits_torch.train(model, epochs=1, seed=0)
    assert model.log_temperature.grad is not None
    assert float(model.log_temperature.grad) != 0.0
    assert moved(model.temperature.item())


def test_torch_compile_takes_the_module_as_one_graph_with_the_gradients_of_eager_mode(example, torch):
    digits_torch = example("digits_torch", "torch")
    torch.manual_seed(0)
    model = digits_torch.Classifier(hidden=16)
    images, labels = (torch.from_numpy(x[:32]) for x in example("_digits").load()[:2])
    found = []
    for predict in (model, torch.compile(model, fullgraph=True)):
        model.zero_grad()
        digits_torch.loss_of(predict(images), labels).backward()
        found.append([parameter.grad.numpy().copy() for parameter in model.parameters()])
    for eager, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=0, atol=ROUNDING * max(1.0, abs(eager).max()))


# Keras


def test_keras_learns_the_digits(example, capsys):
    accuracy = example("digits_keras", "tensorflow").main(seed=0)
    assert accuracy >= ENOUGH
    assert last_line(capsys) == f"test accuracy {accuracy:.4f}"


@pytest.mark.parametrize("jit_compile", [False, True], ids=["tf.function", "XLA"])
def test_in_keras_the_temperature_is_learnt(example, tf, jit_compile):
    digits_keras = example("digits_keras", "tensorflow")
    digits_keras.keras.utils.set_random_seed(0)
    model = digits_keras.build(hidden=32, jit_compile=jit_compile)
    assert not model.run_eagerly
    images, labels = (tf.constant(x[:32]) for x in example("_digits").load()[:2])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(digits_keras.loss_of(labels, model(images)))
    layer = model.get_layer("temperature")
    assert float(tape.gradient(loss, layer.log_temperature.value)) != 0.0
    digits_keras.train(model, epochs=2)
    assert moved(layer.temperature)


# Flax


def test_flax_learns_the_digits(example, capsys):
    accuracy = example("digits_flax", "jax").main(seed=0)
    assert accuracy >= ENOUGH
    assert last_line(capsys) == f"test accuracy {accuracy:.4f}"


def test_in_flax_the_temperature_is_learnt(example, jax):
    digits_flax = example("digits_flax", "jax")
    model = digits_flax.Classifier(digits_flax.nnx.Rngs(0), hidden=32)
    images, labels = (jax.numpy.asarray(x[:32]) for x in example("_digits").load()[:2])
    structure, parameters = digits_flax.nnx.split(model)

    def loss(parameters):
        return digits_flax.loss_of(digits_flax.nnx.merge(structure, parameters), images, labels)

    assert float(jax.jit(jax.grad(loss))(parameters)["log_temperature"][...]) != 0.0
    assert moved(digits_flax.train(model, epochs=1, seed=0).temperature)


# All of them

STEPS = 10
ROUNDING = 2 * 128 * 2.0**-24
"""Rounding of a gradient, relative to it: no sum in the example has more than 128 terms (the hidden layer), each of
which a sum in float32 rounds at most once, by 2^-24; twice, because the way back has as many as the way there."""


def first_losses(digits_any: ModuleType, batches: list[Any], asarray: Any, disturb: Any = lambda x: x) -> np.ndarray:
    """Losses of the first steps; `disturb` changes the parameters before each of them."""
    parameters = {name: asarray(value) for name, value in digits_any.initial_parameters(0).items()}
    velocity = {name: asarray(np.zeros_like(value)) for name, value in digits_any.initial_parameters(0).items()}
    losses = []
    for images, labels in batches:
        parameters = {name: disturb(value) for name, value in parameters.items()}
        parameters, velocity, loss = digits_any.step(parameters, velocity, asarray(images), asarray(labels))
        losses.append(float(loss))
    return np.asarray(losses)


def first_batches(shared: ModuleType) -> list[Any]:
    batches = shared.batches(shared.load(), np.random.default_rng(0))
    return [next(batches) for _ in range(STEPS)]


def in_double(x: np.ndarray) -> np.ndarray:
    return x.astype("float64") if x.dtype == "float32" else x


@pytest.mark.parametrize("name", NAMES)
def test_one_program_gives_the_same_losses_on_every_backend(example, name):
    """As near to the losses in float64 as rounding lets them be.

    How far rounding carries is measured, in float64: the parameters are disturbed before each step by as much as
    float32 may round there, in a random direction. The worst of eight such curves is a sample of how far, not a bound
    on it; a direction that happens to be worse is given a factor of 4. To it comes the rounding of the loss itself, for
    which half of `ROUNDING` is more than its contract allows with logits of this size.
    """
    digits_any, batches = example("digits_any", name, "numpy"), first_batches(example("_digits"))
    exact = first_losses(digits_any, batches, in_double)
    rng = np.random.default_rng(0)

    def disturb(x: np.ndarray) -> np.ndarray:
        return x * (1.0 + ROUNDING * rng.choice([-1.0, 1.0], size=x.shape))

    disturbed = [abs(first_losses(digits_any, batches, in_double, disturb) - exact) for _ in range(8)]
    bound = 4 * np.maximum.accumulate(np.max(disturbed, axis=0)) + ROUNDING / 2 * exact
    there = first_losses(digits_any, batches, tempscale.get_backend(name).asarray)
    assert exact[-1] < 0.8 * exact[0], "it learns nothing"
    assert (abs(there - exact) <= bound).all(), abs(there - exact) / bound


@pytest.mark.parametrize("name", NAMES)
def test_one_program_learns_the_digits(example, name, capsys):
    accuracy = example("digits_any", name).main(seed=0, backend=name)
    assert accuracy >= ENOUGH
    assert last_line(capsys) == f"test accuracy {accuracy:.4f}"


# Comparing


def test_five_mistakes_of_a_port_are_found_one_after_another(example, capsys):
    reasons = example("compare_port", "torch", "tensorflow").main()
    words = ["padding is", "epsilon is 0.001", "gelu (tanh)", "height and width exchanged", "order in which a flattens"]
    assert all(word in reason for word, reason in zip(words, reasons, strict=True)), reasons
    assert last_line(capsys) == "same, when 5 mistakes are mended"
