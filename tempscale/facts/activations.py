"""Activations."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "activations", "Activations"

fact = partial(Fact, topic=TOPIC)

ROW = single([2.7])
"""Where erf and tanh GELU differ most."""


def keras_slopes(keras: Any) -> int:
    """Return how many numbers a PReLU learns for images of 4 x 4 and 3 channels."""
    layer = keras.layers.PReLU()
    layer.build((1, 4, 4, 3))
    return int(np.prod(layer.alpha.shape))


FACTS = (
    fact(
        id="gelu",
        title=(
            "GELU is exact in PyTorch, TensorFlow and keras.activations, and the tanh formula in keras.ops, JAX and "
            "Flax."
        ),
        defaults={
            "torch": "torch.nn.GELU(approximate)",
            "keras": "keras.activations.gelu(approximate)",
            "keras ops": "keras.ops.gelu(approximate)",
            "tensorflow": "tensorflow.nn.gelu(approximate)",
            "jax": "jax.nn.gelu(approximate)",
        },
        measures="GELU(2.7) - 2.7",
        probes={
            "torch": lambda torch: round(float(torch.nn.GELU()(torch.tensor(ROW))[0]) - 2.7, 5),
            "keras": lambda keras: round(float(keras.activations.gelu(ROW)[0]) - 2.7, 5),
            "keras ops": lambda keras: round(float(keras.ops.gelu(ROW)[0]) - 2.7, 5),
            "tensorflow": lambda tf: round(float(tf.nn.gelu(ROW)[0]) - 2.7, 5),
            "jax": lambda jax: round(float(jax.nn.gelu(ROW)[0]) - 2.7, 5),
        },
        expected={
            "torch": -0.00936,
            "keras": -0.00936,
            "keras ops": -0.00889,
            "tensorflow": -0.00936,
            "jax": -0.00889,
        },
        cost=(
            "At 2.7 the exact one is {torch:.5f} off the identity, the other {jax:.5f}: 4.7e-4 apart, or 2000 ulp, in "
            "each layer."
        ),
        equal={
            "torch": "torch.nn.GELU(approximate='tanh')",
            "keras": "keras.ops.gelu(x, approximate=False)",
            "jax": "jax.nn.gelu(x, approximate=False)",
        },
        source="Hendrycks & Gimpel, Gaussian Error Linear Units, 2016, section 2",
    ),
    fact(
        id="leaky-relu-slope",
        title=(
            "Leaky ReLU's slope is 0.01 in PyTorch and JAX, 0.3 in Keras's layer, 0.2 in its operation and in "
            "TensorFlow."
        ),
        defaults={
            "torch": "torch.nn.LeakyReLU(negative_slope)",
            "keras": "keras.layers.LeakyReLU(negative_slope)",
            "keras ops": "keras.ops.leaky_relu(negative_slope)",
            "tensorflow": "tensorflow.nn.leaky_relu(alpha)",
            "jax": "jax.nn.leaky_relu(negative_slope)",
        },
        measures="leaky ReLU of -1",
        probes={
            "torch": lambda torch: float(torch.nn.LeakyReLU()(torch.tensor(-1.0))),
            "keras": lambda keras: float(keras.layers.LeakyReLU()(single([-1.0]))[0]),
            "keras ops": lambda keras: float(keras.ops.leaky_relu(single([-1.0]))[0]),
            "tensorflow": lambda tf: float(tf.nn.leaky_relu(-1.0)),
            "jax": lambda jax: float(jax.nn.leaky_relu(-1.0)),
        },
        expected={"torch": -0.01, "keras": -0.3, "keras ops": -0.2, "tensorflow": -0.2, "jax": -0.01},
        cost="-1 becomes {torch} in PyTorch and JAX, {keras:.1f} or {keras ops:.1f} in Keras: 30 times as much.",
        equal={"keras": "keras.layers.LeakyReLU(negative_slope=0.01)", "tensorflow": "tf.nn.leaky_relu(x, alpha=0.01)"},
        source="https://keras.io/api/layers/activation_layers/leaky_relu/",
    ),
    fact(
        id="prelu-slopes",
        title=(
            "PReLU learns one slope that starts at 0.25 in PyTorch, at 0.01 in Flax; Keras has one per entry, from 0."
        ),
        defaults={
            "torch": "torch.nn.PReLU(num_parameters, init)",
            "keras": "keras.layers.PReLU(alpha_initializer, shared_axes)",
            "flax": "flax.nnx.PReLU(negative_slope_init)",
        },
        measures="the number of slopes for images of 4 x 4 and 3 channels",
        probes={
            "torch": lambda torch: torch.nn.PReLU().weight.numel(),
            "keras": keras_slopes,
            "flax": lambda nnx: nnx.PReLU().negative_slope.size,
        },
        expected={"torch": 1, "keras": 48, "flax": 1},
        cost="PyTorch and Flax learn {torch} number, Keras {keras}, for images of one size only.",
        equal={
            "torch": "torch.nn.PReLU(channels)",
            "keras": "keras.layers.PReLU(keras.initializers.Constant(0.25), shared_axes=[1, 2])",
        },
        source="He et al., Delving Deep into Rectifiers, 2015, section 2.1",
    ),
    fact(
        id="softmax-axis",
        title="torch.nn.Softmax() without dim works on axis 0 of three axes; all others work on the last.",
        defaults={
            "torch": "torch.nn.Softmax(dim)",
            "keras": "keras.ops.softmax(axis)",
            "tensorflow": "tensorflow.nn.softmax(axis)",
            "jax": "jax.nn.softmax(axis)",
        },
        measures="the first entry for zeros of shape (2, 3, 4)",
        probes={
            "torch": lambda torch: float(torch.nn.Softmax()(torch.zeros(2, 3, 4))[0, 0, 0]),
            "keras": lambda keras: float(keras.ops.softmax(np.zeros((2, 3, 4), np.float32))[0, 0, 0]),
            "tensorflow": lambda tf: float(tf.nn.softmax(tf.zeros((2, 3, 4)))[0, 0, 0]),
            "jax": lambda jax: float(jax.nn.softmax(jax.numpy.zeros((2, 3, 4)))[0, 0, 0]),
        },
        expected={"torch": 0.5, "keras": 0.25, "tensorflow": 0.25, "jax": 0.25},
        cost="Zeros become {torch} in PyTorch and {jax} elsewhere: it normalises over the batch, with a warning once.",
        equal={"torch": "torch.nn.Softmax(dim=-1)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html",
    ),
    fact(
        id="softplus-threshold",
        title="Softplus is the identity above 20 in PyTorch.",
        defaults={"torch": "torch.nn.Softplus(beta, threshold)"},
        measures="softplus(21) - 21 in float64",
        probes={
            "torch": lambda torch: float(torch.nn.Softplus()(torch.tensor(21.0, dtype=torch.float64))) - 21,
            "tensorflow": lambda tf: float(tf.math.softplus(tf.constant(21.0, tf.float64))) - 21,
            "numpy": lambda np: float(np.logaddexp(0.0, 21.0)) - 21,
        },
        expected={"torch": 0.0, "tensorflow": 7.58256e-10, "numpy": 7.58256e-10},
        cost="At 21 PyTorch is {torch:.0e} above the identity where {numpy:.1e} is right: 2e5 ulp of float64.",
        equal={"torch": "torch.nn.Softplus(threshold=40)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html",
    ),
)
