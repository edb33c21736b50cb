"""Pooling."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "pooling", "Pooling"

fact = partial(Fact, topic=TOPIC)

ONES = np.ones(4, np.float32)
RAMP = np.arange(7, dtype=np.float32)
LAST = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
"""Two channels of 2 x 2, channels first, each with its maximum at the last place."""


def torch_pooled(torch: Any, values: Any, kind: str, window: int, **options: Any) -> Any:
    """Return a row of numbers, pooled: `kind` is avg or max."""
    pool = getattr(torch.nn.functional, f"{kind}_pool1d")
    return pool(torch.tensor(values)[None, None], window, **options)[0, 0].round(decimals=4)


def keras_pooled(keras: Any, values: Any, kind: str, window: int, **options: Any) -> Any:
    """Return a row of numbers, pooled: `kind` is Average or Max."""
    layer = getattr(keras.layers, f"{kind}Pooling1D")(window, **options)
    return np.asarray(layer(values[None, :, None]))[0, :, 0].round(4)


def flax_pooled(nnx: Any, values: Any, kind: str, window: int, **options: Any) -> Any:
    """Return a row of numbers, pooled: `kind` is avg or max."""
    return np.asarray(getattr(nnx, f"{kind}_pool")(values[None, :, None], (window,), **options))[0, :, 0].round(4)


def torch_position(torch: Any) -> int:
    """Return where the maximum of the second channel is."""
    return int(torch.nn.functional.max_pool2d(torch.tensor(LAST), 2, return_indices=True)[1][0, 1])


def tensorflow_position(tf: Any) -> int:
    """Return where the maximum of the second channel is."""
    return int(tf.nn.max_pool_with_argmax(LAST.transpose(0, 2, 3, 1), 2, 2, "VALID")[1][0, 0, 0, 1])


FACTS = (
    fact(
        id="average-pool-padding",
        title="An average pool counts the padding as zeros in PyTorch and Flax, and leaves it out in Keras.",
        defaults={"torch": "torch.nn.AvgPool1d(count_include_pad)", "flax": "flax.nnx.avg_pool(count_include_pad)"},
        measures="four ones, averaged in threes",
        probes={
            "torch": lambda torch: torch_pooled(torch, ONES, "avg", 3, stride=1, padding=1),
            "keras": lambda keras: keras_pooled(keras, ONES, "Average", 3, strides=1, padding="same"),
            "flax": lambda nnx: flax_pooled(nnx, ONES, "avg", 3, strides=(1,), padding="SAME"),
        },
        expected={
            "torch": [0.6667, 1.0, 1.0, 0.6667],
            "keras": [1.0, 1.0, 1.0, 1.0],
            "flax": [0.6667, 1.0, 1.0, 0.6667],
        },
        cost="Four ones become {torch} in PyTorch and Flax: the border loses a third. In Keras they stay {keras}.",
        equal={
            "torch": "torch.nn.AvgPool1d(3, 1, 1, count_include_pad=False)",
            "flax": "flax.nnx.avg_pool(x, (3,), padding='SAME', count_include_pad=False)",
        },
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html",
    ),
    fact(
        id="pool-stride",
        title="A pool's stride is the size of its window in PyTorch and Keras, and 1 in Flax.",
        defaults={
            "torch": "torch.nn.MaxPool1d(stride)",
            "keras": "keras.layers.MaxPooling1D(pool_size, strides)",
            "flax": "flax.nnx.max_pool(strides)",
        },
        measures="the length that a window of 2 leaves of 4",
        probes={
            "torch": lambda torch: len(torch_pooled(torch, ONES, "max", 2)),
            "keras": lambda keras: len(keras_pooled(keras, ONES, "Max", 2)),
            "flax": lambda nnx: len(flax_pooled(nnx, ONES, "max", 2)),
        },
        expected={"torch": 2, "keras": 2, "flax": 3},
        cost=(
            "Of 4 values {torch} are left in PyTorch and Keras, and {flax} in Flax: an image keeps four times the work."
        ),
        equal={"flax": "flax.nnx.max_pool(x, (2,), strides=(2,))"},
        source="https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html#pooling",
    ),
    fact(
        id="pool-ceil",
        title=(
            "PyTorch's ceil_mode begins its windows at the first value; 'same' in Keras and Flax puts padding before "
            "it."
        ),
        defaults={"torch": "torch.nn.MaxPool1d(ceil_mode)", "keras": "keras.layers.MaxPooling1D(padding)"},
        measures="the maxima of 0 to 6 in threes, in steps of two",
        probes={
            "torch ceil_mode": lambda torch: torch_pooled(torch, RAMP, "max", 3, stride=2, ceil_mode=True),
            "torch padding=1": lambda torch: torch_pooled(torch, RAMP, "max", 3, stride=2, padding=1),
            "keras": lambda keras: keras_pooled(keras, RAMP, "Max", 3, strides=2, padding="same"),
            "flax": lambda nnx: flax_pooled(nnx, RAMP, "max", 3, strides=(2,), padding="SAME"),
        },
        expected={
            "torch ceil_mode": [2.0, 4.0, 6.0],
            "torch padding=1": [1.0, 3.0, 5.0, 6.0],
            "keras": [1.0, 3.0, 5.0, 6.0],
            "flax": [1.0, 3.0, 5.0, 6.0],
        },
        cost=(
            "0 to 6 become {torch ceil_mode} with ceil_mode and {keras} with 'same': another length and other windows."
        ),
        equal={"torch": "torch.nn.functional.max_pool1d(x, 3, 2, padding=1)  # of an odd length; else pad with -inf"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html (ceil_mode)",
    ),
    fact(
        id="global-pool-axes",
        title="A global average keeps axes of size 1 in PyTorch, and drops them in Keras.",
        defaults={"keras": "keras.layers.GlobalAveragePooling2D(keepdims)"},
        measures="the shape for one image of 2 channels, 4 x 4",
        probes={
            "torch": lambda torch: torch.nn.AdaptiveAvgPool2d(1)(torch.zeros(1, 2, 4, 4)).shape,
            "keras": lambda keras: keras.layers.GlobalAveragePooling2D()(np.zeros((1, 4, 4, 2), np.float32)).shape,
        },
        expected={"torch": [1, 2, 1, 1], "keras": [1, 2]},
        cost="{torch} against {keras}: added to an array of shape (1, 2), PyTorch's result broadcasts to (1, 2, 1, 2).",
        equal={
            "torch": "torch.nn.AdaptiveAvgPool2d(1)(x).flatten(1)",
            "keras": "keras.layers.GlobalAveragePooling2D(keepdims=True)",
        },
        source="https://keras.io/api/layers/pooling_layers/global_average_pooling2d/",
    ),
    fact(
        id="pool-positions",
        title="The positions of the maxima count within a channel in PyTorch, and over all channels in TensorFlow.",
        defaults={"tensorflow": "tensorflow.nn.max_pool_with_argmax(include_batch_in_index)"},
        measures="the position of the maximum of the second of 2 channels of 2 x 2, at its last place",
        probes={"torch": torch_position, "tensorflow": tensorflow_position},
        expected={"torch": 3, "tensorflow": 7},
        cost=(
            "The last place of the second channel is {torch} in PyTorch and {tensorflow} in TensorFlow: unpooling with "
            "the wrong one moves every value."
        ),
        equal={"tensorflow": "positions // channels"},
        source="https://www.tensorflow.org/api_docs/python/tf/nn/max_pool_with_argmax",
    ),
)
