"""Normalising layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "normalisation", "Normalisation"

fact = partial(Fact, topic=TOPIC)

PAIR = single([[0.0], [2.0]])
"""A batch of two: mean 1, variance 1, unbiased variance 2."""

NARROW = single([[-1e-3, 1e-3]])
"""A row of variance 1e-6."""

NARROW_BATCH = single([[-(1e-3**0.5)], [1e-3**0.5]])
"""A batch of variance 1e-3."""

FAR = single([[4095.0], [4097.0]])
"""A batch of variance 1 whose squares need more than the 24 bits of float32."""


def torch_trained(torch: Any, batch: Any, **options: Any) -> Any:
    """Return a batch norm that has seen one batch."""
    layer = torch.nn.BatchNorm1d(batch.shape[1], **options)
    layer(torch.tensor(batch))
    return layer


def keras_trained(keras: Any, batch: Any, **options: Any) -> Any:
    """Return a batch norm that has seen one batch."""
    layer = keras.layers.BatchNormalization(**options)
    layer(batch, training=True)
    return layer


def flax_trained(nnx: Any, batch: Any, **options: Any) -> Any:
    """Return a batch norm that has seen one batch."""
    layer = nnx.BatchNorm(batch.shape[1], rngs=nnx.Rngs(0), **options)
    layer(batch)
    return layer


def torch_channels(torch: Any) -> int:
    """Return how many channels a batch norm finds in an input of shape (2, 3, 4, 5)."""
    layer = torch.nn.LazyBatchNorm2d()
    layer(torch.ones(2, 3, 4, 5))
    return int(layer.num_features)


def largest(array: Any) -> float:
    """Return the largest entry of what a layer returned."""
    return float(np.max(np.asarray(array)))


def parameters(layer: Any) -> int:
    """Return how many numbers a Keras or a PyTorch layer learns."""
    weights = layer.trainable_variables if hasattr(layer, "trainable_variables") else layer.parameters()
    return sum(int(np.prod(weight.shape)) for weight in weights)


def keras_built(layer: Any, *shape: int) -> Any:
    """Return a layer that has been built for inputs of a shape."""
    layer.build(shape)
    return layer


FACTS = (
    fact(
        id="batchnorm-epsilon",
        title="Batch norm's epsilon is 1e-5 in PyTorch and Flax, and 1e-3 in Keras.",
        defaults={
            "torch": "torch.nn.BatchNorm1d(eps)",
            "keras": "keras.layers.BatchNormalization(epsilon)",
            "flax": "flax.nnx.BatchNorm(epsilon)",
        },
        measures="what is left of the scale of a batch of variance 1e-3",
        probes={
            "torch": lambda torch: largest(torch.nn.BatchNorm1d(1)(torch.tensor(NARROW_BATCH)).detach()),
            "keras": lambda keras: largest(keras.layers.BatchNormalization()(NARROW_BATCH, training=True)),
            "flax": lambda nnx: largest(nnx.BatchNorm(1, rngs=nnx.Rngs(0))(NARROW_BATCH)),
        },
        expected={"torch": 0.995037, "keras": 0.707107, "flax": 0.995037},
        cost="A channel of variance 1e-3 comes out with a scale of {torch:.3f} in PyTorch, of {keras:.3f} in Keras.",
        equal={"keras": "keras.layers.BatchNormalization(epsilon=1e-5)"},
        source="https://keras.io/api/layers/normalization_layers/batch_normalization/",
    ),
    fact(
        id="batchnorm-momentum",
        title=(
            "Batch norm's momentum is the weight of the new batch in PyTorch, and that of the old mean in Keras and "
            "Flax."
        ),
        defaults={
            "torch": "torch.nn.BatchNorm1d(momentum)",
            "keras": "keras.layers.BatchNormalization(momentum)",
            "flax": "flax.nnx.BatchNorm(momentum)",
        },
        measures="the running mean after a batch of mean 1, with momentum 0.9 in all",
        probes={
            "torch": lambda torch: float(torch_trained(torch, PAIR, momentum=0.9).running_mean),
            "keras": lambda keras: float(keras_trained(keras, PAIR, momentum=0.9).moving_mean[0]),
            "flax": lambda nnx: float(flax_trained(nnx, PAIR, momentum=0.9).mean[0]),
        },
        expected={"torch": 0.9, "keras": 0.1, "flax": 0.1},
        cost="A momentum of 0.9 that is copied makes the running mean {torch:.1f} of the last batch, not {keras:.1f}.",
        equal={
            "keras": "keras.layers.BatchNormalization(momentum=0.9)  # is PyTorch's default, 0.1",
            "flax": "flax.nnx.BatchNorm(n, momentum=0.9, rngs=rngs)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html (the note on momentum)",
    ),
    fact(
        id="batchnorm-memory",
        title="By default batch norm forgets with a factor of 0.9 in PyTorch, and of 0.99 in Keras and Flax.",
        defaults={
            "torch": "torch.nn.BatchNorm1d(momentum)",
            "keras": "keras.layers.BatchNormalization(momentum)",
            "flax": "flax.nnx.BatchNorm(momentum)",
        },
        measures="the running mean after a batch of mean 1",
        probes={
            "torch": lambda torch: float(torch_trained(torch, PAIR).running_mean),
            "keras": lambda keras: float(keras_trained(keras, PAIR).moving_mean[0]),
            "flax": lambda nnx: float(flax_trained(nnx, PAIR).mean[0]),
        },
        expected={"torch": 0.1, "keras": 0.01, "flax": 0.01},
        cost=(
            "A batch of mean 1 moves the running mean by {torch:.2f} in PyTorch and by {keras:.2f} in Keras: a short "
            "run evaluates with means near 0."
        ),
        equal={
            "keras": "keras.layers.BatchNormalization(momentum=0.9)",
            "flax": "flax.nnx.BatchNorm(n, momentum=0.9, rngs=rngs)",
        },
        source="https://keras.io/api/layers/normalization_layers/batch_normalization/",
    ),
    fact(
        id="batchnorm-unbiased",
        title="Batch norm's running variance is the unbiased one in PyTorch, and the biased one in Keras and Flax.",
        measures="the running variance after a batch of two of variance 1, where nothing of the old is kept",
        probes={
            "torch": lambda torch: float(torch_trained(torch, PAIR, momentum=1.0).running_var),
            "keras": lambda keras: float(keras_trained(keras, PAIR, momentum=0.0).moving_variance[0]),
            "flax": lambda nnx: float(flax_trained(nnx, PAIR, momentum=0.0).var[0]),
        },
        expected={"torch": 2.0, "keras": 1.0, "flax": 1.0},
        cost=(
            "For a batch of two PyTorch keeps a variance of {torch:.0f}, the others {keras:.0f}; for n values the "
            "factor is n / (n - 1)."
        ),
        equal={"torch": "layer.running_var.mul_((n - 1) / n)  # when weights are copied; n values went into each"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html",
    ),
    fact(
        id="batchnorm-fast-variance",
        title=(
            "Batch norm takes E[x^2] - E[x]^2 in Flax, which cancels for a batch far from 0; PyTorch and Keras do not."
        ),
        defaults={"flax": "flax.nnx.BatchNorm(use_fast_variance)"},
        measures="the variance of 4095 and 4097, which is 1, in training",
        probes={
            "torch": lambda torch: float(torch_trained(torch, FAR, momentum=1.0).running_var) / 2,
            "keras": lambda keras: float(keras_trained(keras, FAR, momentum=0.0).moving_variance[0]),
            "flax": lambda nnx: float(flax_trained(nnx, FAR, momentum=0.0).var[0]),
        },
        expected={"torch": 1.0, "keras": 1.0, "flax": 0.0},
        cost=(
            "Around 4096 Flax finds a variance of {flax:.0f} where it is {torch:.0f}, and multiplies by 1/sqrt(epsilon)"
            " = 316."
        ),
        equal={"flax": "flax.nnx.BatchNorm(n, use_fast_variance=False, rngs=rngs)"},
        source="https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html",
    ),
    fact(
        id="batchnorm-mode",
        title="A layer that is called without saying so trains in PyTorch and Flax, and infers in Keras.",
        defaults={
            "keras": "keras.layers.BatchNormalization.call(training)",
            "flax": "flax.nnx.BatchNorm(use_running_average)",
        },
        measures="0 and 2 after a new batch norm",
        probes={
            "torch": lambda torch: torch.nn.BatchNorm1d(1)(torch.tensor(PAIR)).detach().ravel().round(decimals=2),
            "keras": lambda keras: np.asarray(keras.layers.BatchNormalization()(PAIR)).ravel().round(2),
            "flax": lambda nnx: np.asarray(nnx.BatchNorm(1, rngs=nnx.Rngs(0))(PAIR)).ravel().round(2),
        },
        expected={"torch": [-1.0, 1.0], "keras": [0.0, 2.0], "flax": [-1.0, 1.0]},
        cost=(
            "0 and 2 come out as {torch} in PyTorch, and unnormalised as {keras} in Keras; a loop that forgets "
            "training=True trains with statistics that never move."
        ),
        equal={"torch": "model.eval()", "keras": "model(x, training=True)", "flax": "model.eval()"},
        source="https://keras.io/api/layers/normalization_layers/batch_normalization/ (training)",
    ),
    fact(
        id="layernorm-epsilon",
        title="Layer norm's epsilon is 1e-5 in PyTorch, 1e-3 in Keras and 1e-6 in Flax.",
        defaults={
            "torch": "torch.nn.LayerNorm(eps)",
            "keras": "keras.layers.LayerNormalization(epsilon)",
            "flax": "flax.nnx.LayerNorm(epsilon)",
        },
        measures="what is left of the scale of a row of variance 1e-6",
        probes={
            "torch": lambda torch: largest(torch.nn.LayerNorm(2)(torch.tensor(NARROW)).detach()),
            "keras": lambda keras: largest(keras.layers.LayerNormalization()(NARROW)),
            "flax": lambda nnx: largest(nnx.LayerNorm(2, rngs=nnx.Rngs(0))(NARROW)),
        },
        expected={"torch": 0.301511, "keras": 0.031607, "flax": 0.707107},
        cost=(
            "A row of variance 1e-6 comes out with a scale of {torch:.3f} in PyTorch, {keras:.3f} in Keras, {flax:.3f} "
            "in Flax."
        ),
        equal={
            "keras": "keras.layers.LayerNormalization(epsilon=1e-5)",
            "flax": "flax.nnx.LayerNorm(n, epsilon=1e-5, rngs=rngs)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html",
    ),
    fact(
        id="groupnorm-epsilon",
        title="Group norm's epsilon is 1e-5 in PyTorch, 1e-3 in Keras and 1e-6 in Flax.",
        defaults={
            "torch": "torch.nn.GroupNorm(num_groups, eps)",
            "keras": "keras.layers.GroupNormalization(groups, epsilon)",
            "flax": "flax.nnx.GroupNorm(num_groups, epsilon)",
        },
        measures="what is left of the scale of a group of variance 1e-6",
        probes={
            "torch": lambda torch: largest(torch.nn.GroupNorm(1, 2)(torch.tensor(NARROW)).detach()),
            "keras": lambda keras: largest(keras.layers.GroupNormalization(1)(NARROW)),
            "flax": lambda nnx: largest(nnx.GroupNorm(2, num_groups=1, rngs=nnx.Rngs(0))(NARROW)),
        },
        expected={"torch": 0.301511, "keras": 0.031607, "flax": 0.707107},
        cost=(
            "A group of variance 1e-6 comes out with a scale of {torch:.3f} in PyTorch, {keras:.3f} in Keras, "
            "{flax:.3f} in Flax."
        ),
        equal={
            "keras": "keras.layers.GroupNormalization(groups, epsilon=1e-5)",
            "flax": "flax.nnx.GroupNorm(n, num_groups, epsilon=1e-5, rngs=rngs)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html",
    ),
    fact(
        id="rmsnorm-epsilon",
        title="RMS norm's epsilon is that of the dtype, 1.2e-7, in PyTorch, and 1e-6 in Keras and Flax.",
        defaults={
            "torch": "torch.nn.RMSNorm(eps)",
            "keras": "keras.layers.RMSNormalization(epsilon)",
            "flax": "flax.nnx.RMSNorm(epsilon)",
        },
        measures="what is left of the scale of a row whose mean square is 1e-6",
        probes={
            "torch": lambda torch: largest(torch.nn.RMSNorm(2)(torch.tensor(NARROW)).detach()),
            "keras": lambda keras: largest(keras.layers.RMSNormalization()(NARROW)),
            "flax": lambda nnx: largest(nnx.RMSNorm(2, rngs=nnx.Rngs(0))(NARROW)),
        },
        expected={"torch": 0.945245, "keras": 0.707107, "flax": 0.707107},
        cost="A row of mean square 1e-6 comes out with a scale of {torch:.3f} in PyTorch, and of {keras:.3f} in Keras.",
        equal={"torch": "torch.nn.RMSNorm(n, eps=1e-6)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html",
    ),
    fact(
        id="instancenorm-scale",
        title="Instance norm has no scale and offset in PyTorch, and has both in Keras and Flax.",
        defaults={
            "torch": "torch.nn.InstanceNorm1d(affine)",
            "keras": "keras.layers.GroupNormalization(center, scale)",
            "flax": "flax.nnx.InstanceNorm(use_bias, use_scale)",
        },
        measures="the parameters of a layer for 4 channels",
        probes={
            "torch": lambda torch: parameters(torch.nn.InstanceNorm1d(4)),
            "keras": lambda keras: parameters(keras_built(keras.layers.GroupNormalization(-1), 1, 5, 4)),
            "flax": lambda nnx: sum(
                leaf.size for leaf in nnx.to_flat_state(nnx.state(nnx.InstanceNorm(4, rngs=nnx.Rngs(0)))).leaves
            ),
        },
        expected={"torch": 0, "keras": 8, "flax": 8},
        cost="For 4 channels PyTorch learns {torch} numbers, Keras and Flax learn {keras}.",
        equal={"torch": "torch.nn.InstanceNorm1d(n, affine=True)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html",
    ),
    fact(
        id="batchnorm-axis",
        title="Batch norm's channels are axis 1 in PyTorch, and the last axis in Keras and Flax.",
        defaults={"keras": "keras.layers.BatchNormalization(axis)", "flax": "flax.nnx.BatchNorm(axis)"},
        measures="channels of an input of shape (2, 3, 4, 5)",
        probes={
            "torch": torch_channels,
            "keras": lambda keras: keras_built(keras.layers.BatchNormalization(), 2, 3, 4, 5).moving_mean.shape[0],
            "flax": lambda nnx: nnx.BatchNorm(5, rngs=nnx.Rngs(0))(np.ones((2, 3, 4, 5), np.float32)).shape[-1],
        },
        expected={"torch": 3, "keras": 5, "flax": 5},
        cost=(
            "Of shape (2, 3, 4, 5), PyTorch normalises {torch} channels and Keras {keras}: an image in the other layout"
            " is normalised by columns, without an error where the sizes agree."
        ),
        equal={"keras": "keras.layers.BatchNormalization(axis=1)", "flax": "flax.nnx.BatchNorm(n, axis=1, rngs=rngs)"},
        source="https://keras.io/api/layers/normalization_layers/batch_normalization/ (axis)",
    ),
    fact(
        id="unit-norm-epsilon",
        title=(
            "Scaling to unit length bounds the norm by 1e-12 in PyTorch, by 1e-7 in Keras, and its square by 1e-12 in "
            "TensorFlow."
        ),
        defaults={
            "torch": "torch.nn.functional.normalize(eps)",
            "tensorflow": "tensorflow.math.l2_normalize(epsilon)",
            "keras": "keras.ops.normalize(epsilon)",
        },
        measures="the length of (1e-8, 0) afterwards",
        probes={
            "torch": lambda torch: largest(torch.nn.functional.normalize(torch.tensor([1e-8, 0.0]), dim=0)),
            "tensorflow": lambda tf: largest(tf.math.l2_normalize([1e-8, 0.0])),
            "keras": lambda keras: largest(keras.ops.normalize(single([1e-8, 0.0]))),
        },
        expected={"torch": 1.0, "tensorflow": 0.01, "keras": 0.1},
        cost=(
            "A vector of length 1e-8 comes out with length {torch:.2f} in PyTorch, {tensorflow:.2f} in TensorFlow, "
            "{keras:.2f} in Keras."
        ),
        equal={"torch": "torch.nn.functional.normalize(x, eps=1e-6)"},
        source="https://www.tensorflow.org/api_docs/python/tf/math/l2_normalize",
    ),
)
