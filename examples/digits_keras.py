"""Keras: tempscale as an activation, inside a layer and as the loss, all of it under Model.fit."""

from __future__ import annotations

import os

# Before Keras is imported. The same file runs on KERAS_BACKEND=jax and torch.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import Any

import keras
import numpy as np
from _digits import BATCH, CLASSES, INITIAL_TEMPERATURE, PIXELS, SMOOTHING, arguments, load, mish, report

import tempscale

EPOCHS = 12


class Temperature(keras.layers.Layer):
    """Logits to log-probabilities, at a temperature that is learnt with the weights."""

    def build(self, input_shape: Any) -> None:
        # the logarithm is what is learnt: no step of the optimiser can make the temperature negative
        start = keras.initializers.Constant(np.log(INITIAL_TEMPERATURE))
        self.log_temperature = self.add_weight(shape=(), initializer=start, name="log_temperature")

    @property
    def temperature(self) -> Any:
        return keras.ops.exp(self.log_temperature)

    def call(self, logits: Any) -> Any:
        return tempscale.log_softmax(logits, temperature=self.temperature)


def loss_of(labels: Any, log_p: Any) -> Any:
    """Cross-entropy of each example; Keras takes the mean.

    Log-probabilities are logits too, and their softmax is the probabilities themselves.
    """
    labels = keras.ops.cast(labels, "int32")  # Keras hands them over as floats, which would be probabilities
    return tempscale.cross_entropy(log_p, labels, label_smoothing=SMOOTHING, reduction="none")


def build(hidden: int = 128, jit_compile: str | bool = "auto") -> keras.Model:
    """Return a compiled perceptron with one hidden layer and a learnt temperature."""
    model = keras.Sequential(
        [
            keras.Input((PIXELS,)),
            keras.layers.Dense(hidden, activation=mish),
            keras.layers.Dense(CLASSES),
            Temperature(name="temperature"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=loss_of,
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile,
    )
    return model


class Progress(keras.callbacks.Callback):
    """A line per epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        report(epoch + 1, logs["loss"], float(self.model.get_layer("temperature").temperature))


def train(model: keras.Model, epochs: int) -> None:
    digits = load()
    model.fit(
        digits.train_images, digits.train_labels, batch_size=BATCH, epochs=epochs, callbacks=[Progress()], verbose=0
    )


def main(epochs: int = EPOCHS, seed: int = 0) -> float:
    """Train, print the progress, and return the accuracy on digits that were not trained on."""
    keras.utils.set_random_seed(seed)
    model = build()
    train(model, epochs)
    digits = load()
    measured = model.evaluate(digits.test_images, digits.test_labels, verbose=0, return_dict=True)
    print(f"test accuracy {measured['accuracy']:.4f}")
    return float(measured["accuracy"])


if __name__ == "__main__":
    given = arguments(__doc__, EPOCHS).parse_args()
    main(given.epochs, given.seed)
