"""Decoding images. The pictures lie beside this file: a JPEG of 16 x 16 pixels, and a PNG with one pixel of 16 bits."""

from __future__ import annotations

import io
from functools import partial
from importlib import resources
from typing import Any

import numpy as np

from tempscale.facts.fact import Fact, single

__all__ = ["FACTS", "TITLE", "TOPIC"]

TOPIC, TITLE = "decoding", "Data decoding"

fact = partial(Fact, topic=TOPIC)

PICTURES = resources.files("tempscale.facts")
COLOUR = np.asarray([[[10, 60, 92]]], np.uint8)


def content(name: str) -> bytes:
    """Return the bytes of a picture."""
    return PICTURES.joinpath(name).read_bytes()


def tensorflow_decoded(tf: Any, **options: Any) -> Any:
    """Return the red of the first pixels of the JPEG."""
    return tf.io.decode_jpeg(content("photo.jpg"), **options)[0, :6, 0]


def keras_decoded(keras: Any) -> Any:
    """Return the red of the first pixels of the JPEG."""
    image = keras.utils.load_img(io.BytesIO(content("photo.jpg")))
    return keras.utils.img_to_array(image)[0, :6, 0].astype(int)


def pillow_decoded(image: Any, name: str) -> Any:
    """Return the pixels of a picture."""
    return np.asarray(image.open(io.BytesIO(content(name))))


FACTS = (
    fact(
        id="jpeg-transform",
        title=(
            "TensorFlow decodes a JPEG with a fast, inexact transform; Pillow, and Keras through it, with an exact one."
        ),
        defaults={"tensorflow": "tensorflow.io.decode_jpeg(dct_method)"},
        measures="the red of the first six pixels of a JPEG",
        probes={
            "tensorflow": tensorflow_decoded,
            "tensorflow accurate": lambda tf: tensorflow_decoded(tf, dct_method="INTEGER_ACCURATE"),
            "keras": keras_decoded,
            "pillow": lambda pillow: pillow_decoded(pillow, "photo.jpg")[0, :6, 0],
        },
        expected={
            "tensorflow": [8, 7, 20, 12, 33, 40],
            "tensorflow accurate": [8, 7, 21, 13, 33, 42],
            "keras": [8, 7, 21, 13, 33, 42],
            "pillow": [8, 7, 21, 13, 33, 42],
        },
        cost="{tensorflow} against {pillow}: half of the values differ, by up to 2 of 255, before a network sees them.",
        equal={"tensorflow": "tf.io.decode_jpeg(content, dct_method='INTEGER_ACCURATE')"},
        source="https://www.tensorflow.org/api_docs/python/tf/io/decode_jpeg",
    ),
    fact(
        id="png-depth",
        title="TensorFlow reads a PNG of 16 bits as 8 bits unless told otherwise; Pillow keeps all 16.",
        defaults={"tensorflow": "tensorflow.io.decode_png(dtype)"},
        measures="a pixel of 1000 of 65535",
        probes={
            "tensorflow": lambda tf: int(tf.io.decode_png(content("deep.png"))[0, 0, 0]),
            "tensorflow uint16": lambda tf: int(tf.io.decode_png(content("deep.png"), dtype=tf.uint16)[0, 0, 0]),
            "pillow": lambda pillow: int(pillow_decoded(pillow, "deep.png")[0, 0]),
        },
        expected={"tensorflow": 3, "tensorflow uint16": 1000, "pillow": 1000},
        cost="{pillow} becomes {tensorflow} in TensorFlow: a depth map or an X-ray has 256 steps left.",
        equal={"tensorflow": "tf.io.decode_png(content, dtype=tf.uint16)"},
        source="https://www.tensorflow.org/api_docs/python/tf/io/decode_png",
    ),
    fact(
        id="grey",
        title="Grey is rounded down in TensorFlow, and to the nearest in Pillow.",
        measures="the grey of (10, 60, 92), which is 48.7",
        probes={
            "tensorflow": lambda tf: int(tf.image.rgb_to_grayscale(COLOUR)[0, 0, 0]),
            "keras": lambda keras: int(keras.ops.image.rgb_to_grayscale(COLOUR)[0, 0, 0]),
            "pillow": lambda pillow: int(np.asarray(pillow.fromarray(COLOUR).convert("L"))[0, 0]),
        },
        expected={"tensorflow": 48, "keras": 48, "pillow": 49},
        cost="{tensorflow} in TensorFlow and {pillow} in Pillow: half a step darker on average.",
        equal={"tensorflow": "tf.round(tf.image.rgb_to_grayscale(tf.cast(x, tf.float32)))"},
        source="https://www.tensorflow.org/api_docs/python/tf/image/rgb_to_grayscale",
    ),
    fact(
        id="array-of-image",
        title="An image that is loaded is float32 from 0 to 255 in Keras, and bytes in TensorFlow and Pillow.",
        defaults={"keras": "keras.utils.img_to_array(dtype)"},
        measures="the dtype of the JPEG's pixels",
        probes={
            "keras": lambda keras: (
                keras.utils.img_to_array(keras.utils.load_img(io.BytesIO(content("photo.jpg")))).dtype.name
            ),
            "tensorflow": lambda tf: tf.io.decode_jpeg(content("photo.jpg")).dtype.name,
            "pillow": lambda pillow: pillow_decoded(pillow, "photo.jpg").dtype.name,
        },
        expected={"keras": "float32", "tensorflow": "uint8", "pillow": "uint8"},
        cost=(
            "{keras} in Keras and {tensorflow} in TensorFlow: what divides bytes by 255, or tells images by their "
            "dtype, leaves a network with inputs 255 times too large."
        ),
        equal={"keras": "keras.utils.img_to_array(image, dtype='uint8')"},
        source="https://keras.io/api/data_loading/image/#imgtoarray-function",
    ),
    fact(
        id="float-to-bytes",
        title="tf.image.convert_image_dtype makes 0.999 a 255, and a product with 255 that is cast makes it 254.",
        measures="0.999 as a byte",
        probes={
            "tensorflow": lambda tf: int(tf.image.convert_image_dtype(single([0.999]), tf.uint8)[0]),
            "torch": lambda torch: int((torch.tensor([0.999]) * 255).to(torch.uint8)[0]),
            "numpy": lambda np: int((single([0.999]) * 255).astype(np.uint8)[0]),
        },
        expected={"tensorflow": 255, "torch": 254, "numpy": 254},
        cost="{tensorflow} in TensorFlow and {numpy} in NumPy: half a step darker on average, at each round trip.",
        equal={"numpy": "(x * 255).round().astype(numpy.uint8)", "torch": "(x * 255).round().to(torch.uint8)"},
        source="https://www.tensorflow.org/api_docs/python/tf/image/convert_image_dtype",
    ),
)
