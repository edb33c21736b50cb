"""Initialisers. Deviations are those of enough draws for two digits."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "initialisers", "Initialisers"

fact = partial(Fact, topic=TOPIC)


def spread(values: Any) -> float:
    """Return the standard deviation, with two digits."""
    return float(f"{np.std(np.asarray(values)):.2g}")


def beyond(values: Any, limit: float) -> float:
    """Return the share of values beyond a limit, in steps of a hundredth."""
    return round(float(np.mean(np.abs(np.asarray(values)) > limit)), 2)


def torch_layer(torch: Any, kind: str, *sizes: int) -> Any:
    """Return a new layer of PyTorch, without gradients."""
    return getattr(torch.nn, kind)(*sizes).requires_grad_(False)


def torch_filled(torch: Any, kind: str, **options: Any) -> Any:
    """Return 300 x 300 numbers from an initialiser of PyTorch."""
    generator = torch.Generator().manual_seed(0)
    return getattr(torch.nn.init, kind)(torch.empty(300, 300), generator=generator, **options)


def keras_layer(layer: Any, *shape: int) -> Any:
    """Return a layer of Keras, built for inputs of a shape."""
    layer.build(shape)
    return layer


FACTS = (
    fact(
        id="dense-kernel",
        title=(
            "A dense kernel starts uniform within 1/sqrt(fan_in) in PyTorch, Glorot uniform in Keras, LeCun normal in "
            "Flax."
        ),
        defaults={"keras": "keras.layers.Dense(kernel_initializer)", "flax": "flax.nnx.Linear(kernel_init)"},
        measures="the standard deviation of a kernel from 900 to 100",
        probes={
            "torch": lambda torch: spread(torch_layer(torch, "Linear", 900, 100).weight),
            "keras": lambda keras: spread(keras_layer(keras.layers.Dense(100), 1, 900).kernel),
            "flax": lambda nnx: spread(nnx.Linear(900, 100, rngs=nnx.Rngs(0)).kernel),
        },
        expected={"torch": 0.019, "keras": 0.045, "flax": 0.033},
        cost=(
            "Deviations of {torch}, {keras} and {flax}: ten layers of PyTorch's shrink a signal by 3^5 against Flax's."
        ),
        equal={
            "torch": "torch.nn.init.xavier_uniform_(layer.weight)",
            "flax": "flax.nnx.Linear(n, m, kernel_init=jax.nn.initializers.glorot_uniform(), rngs=rngs)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html (Variables)",
    ),
    fact(
        id="convolution-kernel",
        title=(
            "A convolution's kernel starts uniform within 1/sqrt(fan_in) in PyTorch, Glorot uniform in Keras, LeCun "
            "normal in Flax."
        ),
        defaults={"keras": "keras.layers.Conv2D(kernel_initializer)", "flax": "flax.nnx.Conv(kernel_init)"},
        measures="the standard deviation of a kernel of 3 x 3 from 100 to 100",
        probes={
            "torch": lambda torch: spread(torch_layer(torch, "Conv2d", 100, 100, 3).weight),
            "keras": lambda keras: spread(keras_layer(keras.layers.Conv2D(100, 3), 1, 8, 8, 100).kernel),
            "flax": lambda nnx: spread(nnx.Conv(100, 100, (3, 3), rngs=nnx.Rngs(0)).kernel),
        },
        expected={"torch": 0.019, "keras": 0.033, "flax": 0.033},
        cost="Deviations of {torch}, {keras} and {flax}.",
        equal={
            "torch": "torch.nn.init.xavier_uniform_(layer.weight)",
            "flax": "flax.nnx.Conv(n, m, k, kernel_init=jax.nn.initializers.glorot_uniform(), rngs=rngs)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html (Variables)",
    ),
    fact(
        id="bias-start",
        title="A bias starts random in PyTorch, within 1/sqrt(fan_in), and at 0 in Keras and Flax.",
        defaults={"keras": "keras.layers.Dense(bias_initializer)", "flax": "flax.nnx.Linear(bias_init)"},
        measures="the standard deviation of 90000 biases of a layer from 4",
        probes={
            "torch": lambda torch: spread(torch_layer(torch, "Linear", 4, 90000).bias),
            "keras": lambda keras: spread(keras_layer(keras.layers.Dense(90000), 1, 4).bias),
            "flax": lambda nnx: spread(nnx.Linear(4, 90000, rngs=nnx.Rngs(0)).bias),
        },
        expected={"torch": 0.29, "keras": 0.0, "flax": 0.0},
        cost=(
            "With 4 inputs a bias in PyTorch deviates by {torch}, and starts an output that is not centred; {keras} "
            "elsewhere."
        ),
        equal={"torch": "torch.nn.init.zeros_(layer.bias)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html (Variables)",
    ),
    fact(
        id="embedding-start",
        title="An embedding starts N(0, 1) in PyTorch, uniform within 0.05 in Keras, N(0, 1/features) in Flax.",
        defaults={
            "keras": "keras.layers.Embedding(embeddings_initializer)",
            "flax": "flax.nnx.Embed(embedding_init)",
        },
        measures="the standard deviation of 1000 embeddings of 100 features",
        probes={
            "torch": lambda torch: spread(torch_layer(torch, "Embedding", 1000, 100).weight),
            "keras": lambda keras: spread(keras_layer(keras.layers.Embedding(1000, 100), 1).embeddings),
            "flax": lambda nnx: spread(nnx.Embed(1000, 100, rngs=nnx.Rngs(0)).embedding),
        },
        expected={"torch": 1.0, "keras": 0.029, "flax": 0.1},
        cost=(
            "Deviations of {torch}, {keras} and {flax}: 35 times the signal in PyTorch, and position codes of size 1 "
            "drown Keras's."
        ),
        equal={
            "torch": "torch.nn.init.uniform_(layer.weight, -0.05, 0.05)",
            "keras": "keras.layers.Embedding(n, m, embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0))",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html",
    ),
    fact(
        id="truncated-normal-limits",
        title="trunc_normal_ of PyTorch cuts at -2 and 2 whatever the deviation; Keras and JAX cut at two deviations.",
        defaults={
            "torch": "torch.nn.init.trunc_normal_(std, a, b)",
            "keras": "keras.initializers.TruncatedNormal(stddev)",
            "jax": "jax.nn.initializers.truncated_normal(stddev, lower, upper)",
        },
        measures="the share of draws beyond two deviations of 0.02",
        probes={
            "torch": lambda torch: beyond(torch_filled(torch, "trunc_normal_", std=0.02), 0.04001),
            "keras": lambda keras: beyond(keras.initializers.TruncatedNormal(stddev=0.02, seed=0)((300, 300)), 0.04001),
            "jax": lambda jax: beyond(
                jax.nn.initializers.truncated_normal(0.02)(jax.random.key(0), (300, 300)), 0.04001
            ),
        },
        expected={"torch": 0.04, "keras": 0.0, "jax": 0.0},
        cost=(
            "With a deviation of 0.02 nothing is cut in PyTorch: {torch} of the draws are beyond two deviations, none "
            "elsewhere."
        ),
        equal={"torch": "torch.nn.init.trunc_normal_(w, std=0.02, a=-0.04, b=0.04)"},
        source="https://docs.pytorch.org/docs/stable/nn.init.html#torch.nn.init.trunc_normal_",
    ),
    fact(
        id="he-normal-tails",
        title="He normal is truncated in Keras and JAX, and a whole normal in PyTorch.",
        measures="the share of draws beyond 2.3 deviations, for 300 inputs",
        probes={
            "torch": lambda torch: beyond(torch_filled(torch, "kaiming_normal_"), 2.3 * (2 / 300) ** 0.5),
            "keras": lambda keras: beyond(keras.initializers.HeNormal(seed=0)((300, 300)), 2.3 * (2 / 300) ** 0.5),
            "jax": lambda jax: beyond(
                jax.nn.initializers.he_normal()(jax.random.key(0), (300, 300)), 2.3 * (2 / 300) ** 0.5
            ),
        },
        expected={"torch": 0.02, "keras": 0.0, "jax": 0.0},
        cost=(
            "{torch} of PyTorch's weights are beyond 2.3 deviations, none of the others'; all have the same deviation."
        ),
        equal={"torch": "torch.nn.init.trunc_normal_(w, std=s / 0.8796, a=-2 * s / 0.8796, b=2 * s / 0.8796)"},
        source="https://keras.io/api/layers/initializers/#henormal-class",
    ),
)
