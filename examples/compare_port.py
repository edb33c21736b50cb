"""A port from PyTorch to Keras with five mistakes, which `tempscale.compare` finds one after another.

None of them raises an error, and each leaves a model that runs. Mend the one that is named, and run again.
"""

from __future__ import annotations

import argparse
import os

# Before Keras is imported. The same file runs on KERAS_BACKEND=jax and torch.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import torch
from torch import nn

import tempscale

MISTAKES = ("padding", "epsilon", "gelu", "kernel", "flatten")


def original(seed: int = 0) -> nn.Module:
    """Return the model in PyTorch, with batch norms that have seen data."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.GELU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.Flatten(),
        nn.Linear(16 * 8 * 8, 10),
    )
    model(torch.randn(64, 1, 16, 16))
    return model.eval()


def ported(model: nn.Module, mistakes: set[str]) -> keras.Model:
    """Return the model in Keras, with these mistakes."""
    images = keras.Input((16, 16, 1))
    if "padding" in mistakes:  # Keras pads behind only, PyTorch on both sides
        x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv1")(images)
    else:
        x = keras.layers.ZeroPadding2D(1)(images)
        x = keras.layers.Conv2D(8, 3, strides=2, name="conv1")(x)
    x = keras.layers.BatchNormalization(epsilon=1e-3 if "epsilon" in mistakes else 1e-5, name="norm")(x)
    x = keras.layers.Activation(lambda x: keras.activations.gelu(x, approximate="gelu" in mistakes), name="gelu")(x)
    x = keras.layers.Conv2D(16, 3, padding="same", name="conv2")(x)
    x = keras.layers.Flatten()(x)
    result = keras.Model(images, keras.layers.Dense(10, name="dense")(x))
    result.get_layer("conv1").set_weights([_hwio(model[0].weight), _numpy(model[0].bias)])
    norm = model[1]
    result.get_layer("norm").set_weights(
        [_numpy(x) for x in (norm.weight, norm.bias, norm.running_mean, norm.running_var)]
    )
    kernel = _numpy(model[3].weight).transpose(3, 2, 1, 0) if "kernel" in mistakes else _hwio(model[3].weight)
    result.get_layer("conv2").set_weights([kernel, _numpy(model[3].bias)])
    dense = _numpy(model[5].weight)
    if "flatten" not in mistakes:  # PyTorch flattens (channels, height, width), Keras (height, width, channels)
        dense = dense.reshape(10, 16, 8, 8).transpose(0, 2, 3, 1).reshape(10, -1)
    result.get_layer("dense").set_weights([dense.T, _numpy(model[5].bias)])
    return result


def _numpy(x: torch.Tensor) -> np.ndarray:
    return x.detach().numpy()


def _hwio(kernel: torch.Tensor) -> np.ndarray:
    return _numpy(kernel).transpose(2, 3, 1, 0)


def main(seed: int = 0) -> list[str]:
    """Mend one mistake after another, print what is named, and return the reasons."""
    model = original(seed)
    x = np.random.default_rng(seed).normal(size=(8, 1, 16, 16)).astype("float32")
    reasons = []
    for mended in range(len(MISTAKES) + 1):
        report = tempscale.compare(model, ported(model, {*MISTAKES[mended:]}), x)
        if report.first is not None:
            reasons.append(report.first.reason)
            print(f"{report.first.title}: {report.first.reason}")
    print(f"{report.verdict}, when {len(reasons)} mistakes are mended")
    return reasons


if __name__ == "__main__":
    argument = argparse.ArgumentParser(description=__doc__)
    argument.add_argument("--seed", type=int, default=0)
    main(argument.parse_args().seed)
