"""Names of dtypes, and what their numbers can be."""

from __future__ import annotations

from typing import Any

import numpy as np

from tempscale._core.dispatch import backend_of
from tempscale.backend import Array
from tempscale.contracts import working_precision

LARGEST = {"float32": float.fromhex("0x1.fffffep127"), "float64": float.fromhex("0x1.fffffffffffffp1023")}
SMALLEST_NORMAL = {"float32": 2.0**-126, "float64": 2.0**-1022}
HALF = ("float16", "bfloat16")
"""Floats of 16 bits."""
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
INTEGER_RANGES = {name: (int(np.iinfo(name).min), int(np.iinfo(name).max)) for name in INTEGERS}


def cast(x: Array, dtype: Any, xp: Any) -> Array:
    """Return `x` in a dtype, itself if it has it."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


def is_array(value: Any) -> bool:
    """Whether an argument that is checked is an array. A number may be one that torch.compile does not know yet."""
    return not isinstance(value, (int, float)) and hasattr(value, "shape")


def working_dtype(x: Array) -> str:
    """Name of the precision in which functions of `x` are computed: float64 for float64, else float32."""
    return working_precision(backend_of(x).dtype_name(x))
