"""What the namespace can do, for those who ask it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tempscale_backends.tensorflow.namespace._dtypes import (
    COMPLEX,
    DEFAULT_COMPLEX,
    DEFAULT_FLOAT,
    DEFAULT_INDEX,
    DEFAULT_INT,
    SIGNED,
    UNSIGNED,
)
from tempscale_backends.tensorflow.namespace.data_types import isdtype

STANDARD_DTYPES = (tf.bool, *SIGNED, *UNSIGNED, tf.float32, tf.float64, *COMPLEX)


class Info:
    """Capabilities, devices and dtypes."""

    def capabilities(self) -> dict[str, Any]:
        """Return what is optional in the standard; many kernels of TensorFlow end at 8 axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 8}

    def default_device(self) -> str:
        """Return where an array is made unless told otherwise: the first GPU if there is one."""
        devices = self.devices()
        return next((name for name in devices if "GPU" in name), devices[0])

    def devices(self) -> list[str]:
        """Return the devices, named as in `x.device`."""
        return [f"/job:localhost/replica:0/task:0{device.name}" for device in tf.config.list_logical_devices()]

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """Return the dtypes of arrays made from Python numbers, and of indices."""
        return {
            "real floating": DEFAULT_FLOAT,
            "complex floating": DEFAULT_COMPLEX,
            "integral": DEFAULT_INT,
            "indexing": DEFAULT_INDEX,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """Return the dtypes of the standard by name, all of them or those of a kind."""
        return {dtype.name: dtype for dtype in STANDARD_DTYPES if kind is None or isdtype(dtype, kind)}


def __array_namespace_info__() -> Info:  # noqa: N807
    """Return what can be asked about this namespace."""
    return Info()
