"""Resizing images. The probes resize a row of pixels."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "resizing", "Resizing"

fact = partial(Fact, topic=TOPIC)

STEP = single([0, 0, 0, 1, 1, 1, 1, 1])
IMPULSE = single([0, 0, 0, 0, 1, 0, 0, 0, 0])
RAMP = np.arange(5, dtype=np.float32)


def torch_resized(torch: Any, row: Any, size: int, mode: str, **options: Any) -> Any:
    """Return a row of pixels at another size."""
    image = torch.tensor(row).expand(2, -1)[None, None]
    return torch.nn.functional.interpolate(image, size=(2, size), mode=mode, **options)[0, 0, 0].numpy().round(4)


def tensorflow_resized(tf: Any, row: Any, size: int, mode: str, **options: Any) -> Any:
    """Return a row of pixels at another size."""
    image = np.broadcast_to(row, (2, len(row)))[None, :, :, None]
    return tf.image.resize(image, (2, size), mode, **options)[0, 0, :, 0].numpy().round(4)


def keras_resized(keras: Any, row: Any, size: int, mode: str, **options: Any) -> Any:
    """Return a row of pixels at another size."""
    image = np.broadcast_to(row, (2, len(row)))[None, :, :, None]
    return np.asarray(keras.ops.image.resize(image, (2, size), mode, **options))[0, 0, :, 0].round(4)


def jax_resized(jax: Any, row: Any, size: int, mode: str, **options: Any) -> Any:
    """Return a row of pixels at another size."""
    return np.asarray(jax.image.resize(row, (size,), mode, **options)).round(4)


def pillow_resized(image: Any, row: Any, size: int, mode: str) -> Any:
    """Return a row of pixels at another size."""
    found = image.fromarray(np.broadcast_to(row, (2, len(row))).copy()).resize((size, 2), image.Resampling[mode])
    return np.asarray(found)[0].round(4)


FACTS = (
    fact(
        id="antialias",
        title=(
            "Bilinear resizing to a smaller size averages over the pixels it skips in JAX and Pillow, not in the "
            "others."
        ),
        defaults={
            "torch": "torch.nn.functional.interpolate(antialias)",
            "keras": "keras.ops.image.resize(antialias)",
            "tensorflow": "tensorflow.image.resize(antialias)",
            "jax": "jax.image.resize(antialias)",
        },
        measures="three zeros and five ones, as two pixels",
        probes={
            "torch": lambda torch: torch_resized(torch, STEP, 2, "bilinear"),
            "keras": lambda keras: keras_resized(keras, STEP, 2, "bilinear"),
            "tensorflow": lambda tf: tensorflow_resized(tf, STEP, 2, "bilinear"),
            "jax": lambda jax: jax_resized(jax, STEP, 2, "bilinear"),
            "pillow": lambda pillow: pillow_resized(pillow, STEP, 2, "BILINEAR"),
        },
        expected={
            "torch": [0.0, 1.0],
            "keras": [0.0, 1.0],
            "tensorflow": [0.0, 1.0],
            "jax": [0.3214, 0.9643],
            "pillow": [0.3214, 0.9643],
        },
        cost="A step comes out as {torch} in PyTorch, Keras and TensorFlow, as {jax} in JAX.",
        equal={
            "torch": "torch.nn.functional.interpolate(x, size, mode='bilinear', antialias=True)",
            "keras": "keras.ops.image.resize(x, size, antialias=True)",
            "tensorflow": "tf.image.resize(x, size, antialias=True)",
        },
        source="https://docs.jax.dev/en/latest/_autosummary/jax.image.resize.html",
    ),
    fact(
        id="bicubic-coefficient",
        title="Bicubic resizing has the coefficient -0.75 in PyTorch, and -0.5 in TensorFlow, Keras, JAX and Pillow.",
        measures="an impulse at twice the size, 1.25 pixels beside it",
        probes={
            "torch": lambda torch: torch_resized(torch, IMPULSE, 18, "bicubic")[6],
            "torch antialias": lambda torch: torch_resized(torch, IMPULSE, 18, "bicubic", antialias=True)[6],
            "keras": lambda keras: keras_resized(keras, IMPULSE, 18, "bicubic")[6],
            "tensorflow": lambda tf: tensorflow_resized(tf, IMPULSE, 18, "bicubic")[6],
            "jax": lambda jax: jax_resized(jax, IMPULSE, 18, "bicubic")[6],
            "pillow": lambda pillow: pillow_resized(pillow, IMPULSE, 18, "BICUBIC")[6],
        },
        expected={
            "torch": -0.1055,
            "torch antialias": -0.0703,
            "keras": -0.0703,
            "tensorflow": -0.0703,
            "jax": -0.0703,
            "pillow": -0.0703,
        },
        cost="Beside an impulse there is {torch} in PyTorch and {jax} elsewhere: edges overshoot half as much again.",
        equal={"torch": "torch.nn.functional.interpolate(x, size, mode='bicubic', antialias=True)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html",
    ),
    fact(
        id="nearest-pixel",
        title=(
            "The nearest pixel is found from the left edge in PyTorch, and from the centre of the pixel in the others."
        ),
        defaults={"torch": "torch.nn.functional.interpolate(mode)"},
        measures="which of 5 pixels are taken for 3",
        probes={
            "torch nearest": lambda torch: torch_resized(torch, RAMP, 3, "nearest"),
            "torch nearest-exact": lambda torch: torch_resized(torch, RAMP, 3, "nearest-exact"),
            "keras": lambda keras: keras_resized(keras, RAMP, 3, "nearest"),
            "tensorflow": lambda tf: tensorflow_resized(tf, RAMP, 3, "nearest"),
            "jax": lambda jax: jax_resized(jax, RAMP, 3, "nearest"),
            "pillow": lambda pillow: pillow_resized(pillow, RAMP, 3, "NEAREST"),
        },
        expected={
            "torch nearest": [0.0, 1.0, 3.0],
            "torch nearest-exact": [0.0, 2.0, 4.0],
            "keras": [0.0, 2.0, 4.0],
            "tensorflow": [0.0, 2.0, 4.0],
            "jax": [0.0, 2.0, 4.0],
            "pillow": [0.0, 2.0, 4.0],
        },
        cost=(
            "Of 5 pixels PyTorch takes {torch nearest}, the others {jax}: labels of a segmentation move by up to a "
            "pixel."
        ),
        equal={"torch": "torch.nn.functional.interpolate(x, size, mode='nearest-exact')"},
        source=(
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html (the note on nearest)"
        ),
    ),
    fact(
        id="aligned-corners",
        title="align_corners=True in PyTorch keeps the corner pixels; no other has it.",
        defaults={"torch": "torch.nn.functional.interpolate(align_corners)"},
        measures="0 to 4 at 9 pixels: the second",
        probes={
            "torch": lambda torch: torch_resized(torch, RAMP, 9, "bilinear")[1],
            "torch align_corners": lambda torch: torch_resized(torch, RAMP, 9, "bilinear", align_corners=True)[1],
            "tensorflow": lambda tf: tensorflow_resized(tf, RAMP, 9, "bilinear")[1],
            "jax": lambda jax: jax_resized(jax, RAMP, 9, "bilinear")[1],
        },
        expected={"torch": 0.3333, "torch align_corners": 0.5, "tensorflow": 0.3333, "jax": 0.3333},
        cost="The second pixel is {torch align_corners} with it and {torch} without: up to half a pixel at the border.",
        equal={"torch": "torch.nn.functional.interpolate(x, size, mode='bilinear', align_corners=False)"},
        source="https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html (the first warning)",
    ),
    fact(
        id="resized-dtype",
        title="A resized image of bytes has bytes in PyTorch, Keras and Pillow, and float32 in TensorFlow and JAX.",
        measures="the dtype, bilinear",
        probes={
            "torch": lambda torch: torch_resized(torch, RAMP.astype(np.uint8), 3, "bilinear").dtype.name,
            "keras": lambda keras: keras_resized(keras, RAMP.astype(np.uint8), 3, "bilinear").dtype.name,
            "tensorflow": lambda tf: tensorflow_resized(tf, RAMP.astype(np.uint8), 3, "bilinear").dtype.name,
            "jax": lambda jax: jax_resized(jax, RAMP.astype(np.uint8), 3, "bilinear").dtype.name,
            "pillow": lambda pillow: pillow_resized(pillow, RAMP.astype(np.uint8), 3, "BILINEAR").dtype.name,
        },
        expected={"torch": "uint8", "keras": "uint8", "tensorflow": "float32", "jax": "float32", "pillow": "uint8"},
        cost=(
            "{torch} against {tensorflow}: bytes are rounded to the nearest, up to 0.5 of 255 off, before a network "
            "sees them."
        ),
        equal={"torch": "torch.nn.functional.interpolate(x.float(), size, mode='bilinear')"},
        source="https://www.tensorflow.org/api_docs/python/tf/image/resize",
    ),
)
