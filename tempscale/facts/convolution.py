"""Convolutions, their padding, and the order of axes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "convolution", "Convolution and padding"

fact = partial(Fact, topic=TOPIC)

RAMP = np.arange(8, dtype=np.float32)
IMPULSE = single([0, 0, 1, 0, 0])
KERNEL = single([1, 2, 3])
IMAGE = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
"""Two channels of 2 x 2, channels first: 0 to 3, and 4 to 7."""


def torch_summed(torch: Any, padding: Any) -> Any:
    """Return sums of three neighbours of the ramp, in steps of two."""
    return torch.nn.functional.conv1d(torch.tensor(RAMP)[None, None], torch.ones(1, 1, 3), stride=2, padding=padding)[
        0, 0
    ]


def torch_summed_after_padding(torch: Any) -> Any:
    """Return the same with one zero behind the ramp, and none before it."""
    padded = torch.nn.functional.pad(torch.tensor(RAMP), (0, 1))
    return torch.nn.functional.conv1d(padded[None, None], torch.ones(1, 1, 3), stride=2)[0, 0]


def torch_seen(torch: Any) -> int:
    """Return how many channels a convolution finds in an input of shape (1, 3, 4, 5)."""
    layer = torch.nn.LazyConv2d(1, 1)
    layer(torch.zeros(1, 3, 4, 5))
    return int(layer.in_channels)


def keras_summed(keras: Any) -> Any:
    """Return sums of three neighbours of the ramp, in steps of two."""
    ones = np.ones((3, 1, 1), np.float32)
    return keras.ops.conv(RAMP[None, :, None], ones, strides=2, padding="same")[0, :, 0]


def flax_summed(nnx: Any) -> Any:
    """Return sums of three neighbours of the ramp, in steps of two."""
    layer = nnx.Conv(1, 1, (3,), strides=2, use_bias=False, kernel_init=nnx.initializers.ones, rngs=nnx.Rngs(0))
    return layer(RAMP[None, :, None])[0, :, 0]


def keras_kernel(keras: Any, layer: Any, *shape: int) -> Any:
    """Return the shape of the kernel of a layer, once it is built for inputs of a shape."""
    layer.build(shape)
    return layer.kernel.shape


def flax_kernel(nnx: Any, make: Callable[[], Any]) -> Any:
    """Return the shape of the kernel of a layer, without the time that drawing it takes."""
    return nnx.eval_shape(make).kernel.shape


def torch_spread(torch: Any) -> Any:
    """Return what a transposed convolution makes of an impulse."""
    kernel = torch.tensor(KERNEL)[None, None]
    return torch.nn.functional.conv_transpose1d(torch.tensor(IMPULSE)[None, None], kernel)[0, 0]


def keras_spread(keras: Any) -> Any:
    """Return what a transposed convolution makes of an impulse."""
    return keras.ops.conv_transpose(IMPULSE[None, :, None], KERNEL[:, None, None], strides=1)[0, :, 0]


def flax_spread(nnx: Any) -> Any:
    """Return what a transposed convolution makes of an impulse."""
    layer = nnx.ConvTranspose(1, 1, (3,), padding="VALID", use_bias=False, rngs=nnx.Rngs(0))
    layer.kernel.set_value(KERNEL[:, None, None])
    return layer(IMPULSE[None, :, None])[0, :, 0]


def torch_correlated(torch: Any) -> Any:
    """Return what a convolution makes of an impulse."""
    return torch.nn.functional.conv1d(torch.tensor(IMPULSE)[None, None], torch.tensor(KERNEL)[None, None])[0, 0]


FACTS = (
    fact(
        id="convolution-padding",
        title="A convolution pads nothing in PyTorch and Keras, and to the same size in Flax.",
        defaults={
            "torch": "torch.nn.Conv1d(padding)",
            "keras": "keras.layers.Conv1D(padding)",
            "flax": "flax.nnx.Conv(padding)",
        },
        measures="the length that a kernel of 3 leaves of 8",
        probes={
            "torch": lambda torch: torch.nn.Conv1d(1, 1, 3)(torch.zeros(1, 1, 8)).shape[-1],
            "keras": lambda keras: keras.layers.Conv1D(1, 3)(RAMP[None, :, None]).shape[1],
            "flax": lambda nnx: nnx.Conv(1, 1, (3,), rngs=nnx.Rngs(0))(RAMP[None, :, None]).shape[1],
        },
        expected={"torch": 6, "keras": 6, "flax": 8},
        cost=(
            "Of 8 values a layer leaves {torch} in PyTorch and Keras, and {flax} in Flax; ten layers deep the maps "
            "differ by 20."
        ),
        equal={
            "torch": "torch.nn.Conv1d(n, m, 3, padding='same')",
            "keras": "keras.layers.Conv1D(m, 3, padding='same')",
        },
        source="https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/linear.html#flax.nnx.Conv",
    ),
    fact(
        id="same-with-stride",
        title=(
            "With a stride, 'same' puts the smaller half of the padding first in Keras and Flax; PyTorch's padding=1 "
            "does not."
        ),
        measures="sums of three of 0 to 7, in steps of two",
        probes={
            "torch padding=1": lambda torch: torch_summed(torch, 1),
            "torch padded": torch_summed_after_padding,
            "keras": keras_summed,
            "flax": flax_summed,
        },
        expected={
            "torch padding=1": [1.0, 6.0, 12.0, 18.0],
            "torch padded": [3.0, 9.0, 15.0, 13.0],
            "keras": [3.0, 9.0, 15.0, 13.0],
            "flax": [3.0, 9.0, 15.0, 13.0],
        },
        cost="The windows begin one place later: {keras} in Keras and Flax, {torch padding=1} in PyTorch.",
        equal={"torch": "x = torch.nn.functional.pad(x, (0, 1))  # max(0, d (k - 1) - (n - 1) mod s) in all"},
        source="https://www.tensorflow.org/api_docs/python/tf/nn (Notes on padding)",
    ),
    fact(
        id="same-refused",
        title="PyTorch refuses padding='same' with a stride; Keras and Flax round the size up.",
        measures="the length that a kernel of 3 with a stride of 2 leaves of 8",
        probes={
            "torch": lambda torch: torch_summed(torch, "same"),
            "keras": lambda keras: len(keras_summed(keras)),
            "flax": lambda nnx: len(flax_summed(nnx)),
        },
        expected={"torch": "raises RuntimeError", "keras": 4, "flax": 4},
        cost="Keras and Flax return {keras} values; PyTorch {torch}.",
        equal={"torch": "x = torch.nn.functional.pad(x, (0, 1))  # and padding=0"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html (padding)",
    ),
    fact(
        id="kernel-layout",
        title=(
            "A kernel is laid out as (out, in, height, width) in PyTorch, and as (height, width, in, out) in Keras and "
            "Flax."
        ),
        measures="the shape of the kernel of a convolution from 4 to 5 channels, 2 high and 3 wide",
        probes={
            "torch": lambda torch: torch.nn.Conv2d(4, 5, (2, 3)).weight.shape,
            "keras": lambda keras: keras_kernel(keras, keras.layers.Conv2D(5, (2, 3)), 1, 8, 8, 4),
            "flax": lambda nnx: flax_kernel(nnx, lambda: nnx.Conv(4, 5, (2, 3), rngs=nnx.Rngs(0))),
        },
        expected={"torch": [5, 4, 2, 3], "keras": [2, 3, 4, 5], "flax": [2, 3, 4, 5]},
        cost=(
            "{torch} against {keras}: a square kernel with as many channels in as out loads without an error and is "
            "wrong in every entry."
        ),
        equal={"torch": "keras_kernel = weight.permute(2, 3, 1, 0)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html (Variables)",
    ),
    fact(
        id="dense-layout",
        title="A dense kernel is (out, in) in PyTorch, and (in, out) in Keras and Flax.",
        measures="the shape of the kernel of a layer from 4 to 5",
        probes={
            "torch": lambda torch: torch.nn.Linear(4, 5).weight.shape,
            "keras": lambda keras: keras_kernel(keras, keras.layers.Dense(5), 1, 4),
            "flax": lambda nnx: flax_kernel(nnx, lambda: nnx.Linear(4, 5, rngs=nnx.Rngs(0))),
        },
        expected={"torch": [5, 4], "keras": [4, 5], "flax": [4, 5]},
        cost="{torch} against {keras}: a square kernel loads without an error and is transposed.",
        equal={"torch": "keras_kernel = weight.T"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html",
    ),
    fact(
        id="depthwise-layout",
        title=(
            "A depthwise kernel is (channels x multiplier, 1, h, w) in PyTorch, (h, w, channels, multiplier) in Keras."
        ),
        measures="the shape of the kernel for 4 channels, multiplier 2, 3 x 3",
        probes={
            "torch": lambda torch: torch.nn.Conv2d(4, 8, 3, groups=4).weight.shape,
            "keras": lambda keras: keras_kernel(keras, keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 1, 8, 8, 4),
            "flax": lambda nnx: flax_kernel(
                nnx, lambda: nnx.Conv(4, 8, (3, 3), feature_group_count=4, rngs=nnx.Rngs(0))
            ),
        },
        expected={"torch": [8, 1, 3, 3], "keras": [3, 3, 4, 2], "flax": [3, 3, 1, 8]},
        cost="{torch}, {keras} and {flax}: three layouts; the wrong reshape mixes multiplier and channel.",
        equal={"torch": "keras_kernel = weight.reshape(channels, multiplier, h, w).permute(2, 3, 0, 1)"},
        source="https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/",
    ),
    fact(
        id="image-layout",
        title="Images have their channels first in PyTorch, and last in Keras.",
        defaults={"keras": "keras.config.image_data_format"},
        measures="channels that a 1 x 1 convolution sees in an input of shape (1, 3, 4, 5)",
        probes={
            "torch": torch_seen,
            "keras": lambda keras: keras_kernel(keras, keras.layers.Conv2D(1, 1), 1, 3, 4, 5)[2],
        },
        expected={"torch": 3, "keras": 5},
        cost="Of shape (1, 3, 4, 5), PyTorch sees {torch} channels and Keras {keras}.",
        equal={"torch": "x.permute(0, 2, 3, 1)", "keras": "keras.config.set_image_data_format('channels_first')"},
        source="https://keras.io/api/utils/config_utils/ (set_image_data_format)",
    ),
    fact(
        id="flatten-order",
        title="Flattening puts a channel's pixels side by side in PyTorch, and a pixel's channels in Keras.",
        measures="two channels of 2 x 2, 0 to 3 and 4 to 7, flattened",
        probes={
            "torch": lambda torch: torch.nn.Flatten()(torch.tensor(IMAGE))[0].int(),
            "keras": lambda keras: np.asarray(keras.layers.Flatten()(IMAGE.transpose(0, 2, 3, 1)))[0].astype(int),
        },
        expected={"torch": [0, 1, 2, 3, 4, 5, 6, 7], "keras": [0, 4, 1, 5, 2, 6, 3, 7]},
        cost="{torch} against {keras}: the first dense layer behind must have its rows permuted.",
        equal={"torch": "keras_kernel = weight.T.reshape(c, h, w, -1).permute(1, 2, 0, 3).reshape(h * w * c, -1)"},
        source="https://keras.io/api/layers/reshaping_layers/flatten/",
    ),
    fact(
        id="convolution-flip",
        title="Layers do not turn the kernel round, numpy.convolve does.",
        measures="an impulse, convolved with 1, 2, 3",
        probes={
            "torch": torch_correlated,
            "keras": lambda keras: keras.ops.conv(IMPULSE[None, :, None], KERNEL[:, None, None])[0, :, 0],
            "jax": lambda jax: jax.numpy.convolve(IMPULSE, KERNEL, "valid"),
            "numpy": lambda np: np.convolve(IMPULSE, KERNEL, "valid"),
        },
        expected={"torch": [3.0, 2.0, 1.0], "keras": [3.0, 2.0, 1.0], "jax": [1.0, 2.0, 3.0], "numpy": [1.0, 2.0, 3.0]},
        cost="An impulse gives {torch} in a layer and {numpy} in NumPy and jax.numpy.",
        equal={"numpy": "np.correlate(x, kernel)", "jax": "jax.numpy.correlate(x, kernel)"},
        source="https://numpy.org/doc/stable/reference/generated/numpy.convolve.html",
    ),
    fact(
        id="transposed-flip",
        title=(
            "A transposed convolution is the gradient of a convolution in PyTorch and Keras; Flax turns the kernel "
            "round."
        ),
        defaults={"flax": "flax.nnx.ConvTranspose(padding, transpose_kernel)"},
        measures="an impulse through a transposed convolution with 1, 2, 3",
        probes={"torch": torch_spread, "keras": keras_spread, "flax": flax_spread},
        expected={
            "torch": [0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0],
            "keras": [0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0],
            "flax": [0.0, 0.0, 3.0, 2.0, 1.0, 0.0, 0.0],
        },
        cost="An impulse gives {torch} in PyTorch and Keras, {flax} in Flax.",
        equal={
            "flax": "flax.nnx.ConvTranspose(m, n, (3,), transpose_kernel=True, rngs=rngs)  # with in and out exchanged"
        },
        source="https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/linear.html#flax.nnx.ConvTranspose",
    ),
    fact(
        id="pad-order",
        title="Padding is listed from the last axis in PyTorch, and from the first in TensorFlow, JAX and NumPy.",
        measures="the shape that (1, 1), (0, 0) makes of 2 x 3",
        probes={
            "torch": lambda torch: torch.nn.functional.pad(torch.zeros(2, 3), (1, 1, 0, 0)).shape,
            "tensorflow": lambda tf: tf.pad(tf.zeros((2, 3)), ((1, 1), (0, 0))).shape,
            "jax": lambda jax: jax.numpy.pad(jax.numpy.zeros((2, 3)), ((1, 1), (0, 0))).shape,
            "numpy": lambda np: np.pad(np.zeros((2, 3)), ((1, 1), (0, 0))).shape,
        },
        expected={"torch": [2, 5], "tensorflow": [4, 3], "jax": [4, 3], "numpy": [4, 3]},
        cost="2 x 3 becomes {torch} in PyTorch and {numpy} elsewhere.",
        equal={"torch": "torch.nn.functional.pad(x, (0, 0, 1, 1))"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html",
    ),
)
