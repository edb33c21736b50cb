"""Flax: tempscale inside an nnx.Module, trained by optax under jax.jit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _digits import CLASSES, INITIAL_TEMPERATURE, PIXELS, SMOOTHING, arguments, batches, load, mish, report
from flax import nnx

import tempscale

EPOCHS = 12


class Classifier(nnx.Module):
    """A perceptron with one hidden layer, and a temperature that is learnt with the weights."""

    def __init__(self, rngs: nnx.Rngs, hidden: int = 128) -> None:
        self.hidden = nnx.Linear(PIXELS, hidden, rngs=rngs)
        self.output = nnx.Linear(hidden, CLASSES, rngs=rngs)
        # the logarithm is what is learnt: no step of the optimiser can make the temperature negative
        self.log_temperature = nnx.Param(jnp.log(INITIAL_TEMPERATURE))

    @property
    def temperature(self) -> jax.Array:
        return jnp.exp(self.log_temperature[...])

    def __call__(self, images: jax.Array) -> jax.Array:
        """Return the log-probability of each class."""
        logits = self.output(mish(self.hidden(images)))
        return tempscale.log_softmax(logits, temperature=self.temperature)


def loss_of(model: Classifier, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy; log-probabilities are logits too, and their softmax is the probabilities themselves."""
    return tempscale.cross_entropy(model(images), labels, label_smoothing=SMOOTHING)


def train(model: Classifier, epochs: int, seed: int) -> Classifier:
    """Return the trained model; the one that was given stays as it was."""
    digits = load()
    rng = np.random.default_rng(seed)
    optimizer = optax.adam(1e-2)
    # jax.jit takes pure functions: of the parameters, from which the model is put together inside
    structure, parameters = nnx.split(model, nnx.Param)
    state = optimizer.init(parameters)

    @jax.jit
    def step(parameters: Any, state: Any, images: jax.Array, labels: jax.Array) -> tuple[Any, Any, jax.Array]:
        loss, gradient = jax.value_and_grad(lambda p: loss_of(nnx.merge(structure, p), images, labels))(parameters)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(parameters, updates), state, loss

    for epoch in range(1, epochs + 1):
        losses = []
        for images, labels in batches(digits, rng):
            parameters, state, loss = step(parameters, state, images, labels)
            losses.append(loss)
        model = nnx.merge(structure, parameters)
        report(epoch, float(np.mean(losses)), float(model.temperature))
    return model


def accuracy(model: Classifier) -> float:
    digits = load()
    predicted = model(jnp.asarray(digits.test_images)).argmax(axis=-1)
    return float(np.mean(np.asarray(predicted) == digits.test_labels))


def main(epochs: int = EPOCHS, seed: int = 0) -> float:
    """Train, print the progress, and return the accuracy on digits that were not trained on."""
    result = accuracy(train(Classifier(nnx.Rngs(seed)), epochs, seed))
    print(f"test accuracy {result:.4f}")
    return result


if __name__ == "__main__":
    given = arguments(__doc__, EPOCHS).parse_args()
    main(given.epochs, given.seed)
