"""One training program for all four frameworks: python examples/digits_any.py --backend numpy|torch|tensorflow|jax.

Nothing here is of a framework. Differentiation, compilation and the arrays' functions come through tempscale, and the
parameters are a dict of arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _digits import CLASSES, INITIAL_TEMPERATURE, PIXELS, SMOOTHING, arguments, batches, load, mish, report

import tempscale

EPOCHS = 12
RATE = 0.1
MOMENTUM = 0.9

Tree = dict[str, Any]


@tempscale.agnostic
def logits_and_temperature(parameters: Tree, images: Any, /, *, xp: Any) -> tuple[Any, Any]:
    """A perceptron with one hidden layer; the logarithm of its temperature is learnt, so that it stays positive."""
    hidden = mish(images @ parameters["hidden"] + parameters["hidden_bias"])
    logits = hidden @ parameters["output"] + parameters["output_bias"]
    return logits, xp.exp(parameters["log_temperature"])


def loss_of(parameters: Tree, images: Any, labels: Any) -> Any:
    logits, temperature = logits_and_temperature(parameters, images)
    return tempscale.cross_entropy(logits, labels, temperature=temperature, label_smoothing=SMOOTHING)


@tempscale.jit
def step(parameters: Tree, velocity: Tree, images: Any, labels: Any) -> tuple[Tree, Tree, Any]:
    """Stochastic gradient descent with momentum: new parameters, new velocity, and the loss before."""
    loss, gradient = tempscale.value_and_grad(loss_of)(parameters, images, labels)
    velocity = {name: MOMENTUM * velocity[name] + gradient[name] for name in parameters}
    parameters = {name: parameters[name] - RATE * velocity[name] for name in parameters}
    return parameters, velocity, loss


def initial_parameters(seed: int, hidden: int = 128) -> Tree:
    """Return NumPy arrays, which every framework can begin from."""
    rng = np.random.default_rng(seed)
    parameters = {
        "hidden": rng.normal(size=(PIXELS, hidden)) / np.sqrt(PIXELS),
        "hidden_bias": np.zeros(hidden),
        "output": rng.normal(size=(hidden, CLASSES)) / np.sqrt(hidden),
        "output_bias": np.zeros(CLASSES),
        "log_temperature": np.asarray(np.log(INITIAL_TEMPERATURE)),
    }
    return {name: value.astype("float32") for name, value in parameters.items()}


def main(epochs: int = EPOCHS, seed: int = 0, backend: str = "numpy") -> float:
    """Train, print the progress, and return the accuracy on digits that were not trained on."""
    asarray = tempscale.get_backend(backend).asarray
    digits = load()
    rng = np.random.default_rng(seed)
    parameters = {name: asarray(value) for name, value in initial_parameters(seed).items()}
    velocity = {name: asarray(np.zeros_like(value)) for name, value in initial_parameters(seed).items()}
    for epoch in range(1, epochs + 1):
        losses = []
        for images, labels in batches(digits, rng):
            parameters, velocity, loss = step(parameters, velocity, asarray(images), asarray(labels))
            losses.append(float(loss))
        report(epoch, float(np.mean(losses)), float(np.exp(tempscale.to_numpy(parameters["log_temperature"]))))
    logits, _ = logits_and_temperature(parameters, asarray(digits.test_images))
    result = float(np.mean(tempscale.to_numpy(logits).argmax(axis=-1) == digits.test_labels))
    print(f"test accuracy {result:.4f}")
    return result


if __name__ == "__main__":
    parser = arguments(__doc__, EPOCHS)
    parser.add_argument("--backend", choices=("numpy", "torch", "tensorflow", "jax"), default="numpy")
    given = parser.parse_args()
    main(given.epochs, given.seed, given.backend)
