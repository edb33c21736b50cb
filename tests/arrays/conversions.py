"""Every pair of frameworks x layout x dtype x copy, through `convert`: run in a process of its own, which may die."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from support import NAMES

import tempscale as ts

NUMBERS = (
    *(
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ),
    *("longdouble", "complex64", "complex128", ">i2", ">u4", ">i8", ">f2", ">f4", ">f8", ">c8", ">c16"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "int4"),
)
OTHERS = ("object", "f4, i4", "datetime64[s]", "U3", "S3", "V4", "T")

Arrays = np.ndarray[Any, Any]


def _read_only(x: Arrays) -> Arrays:
    x.flags.writeable = False
    return x


def _mapped(x: Arrays) -> Arrays:
    with tempfile.TemporaryDirectory() as folder:
        made = np.memmap(Path(folder) / "x", x.dtype, "w+", shape=x.shape)
    made[...] = x
    return made


LAYOUTS: dict[str, Callable[[Arrays], Arrays]] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "strided": lambda x: x[:, ::2],
    "negative strides": lambda x: x[::-1, ::-1],
    "Fortran": np.asfortranarray,
    "stride 0": lambda x: np.broadcast_to(x[:1], (4, 3)),
    "read-only": _read_only,
    "memory-mapped": _mapped,
    "0-d": lambda x: x[0, 1].reshape(()) if isinstance(x[0, 1], np.ndarray) else np.asarray(x[0, 1], x.dtype),
    "empty": lambda x: x[:0],
}


def numbers(dtype: str) -> Arrays:
    """Powers of two: every dtype has them, but that booleans have only one."""
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    return np.asarray([[1, 2, 4], [4, 2, 1]], np.float32).astype(kind)


def outcomes(x: Any, expected: Arrays, like: Any) -> Iterator[str]:
    """Convert in both ways; yield what is wrong with the result or the error."""
    for copy in (True, False):
        try:
            result = ts.to_numpy(ts.convert(x, like=like, copy=copy))
        except (TypeError, ValueError) as error:
            words = ("values could be lost", "array of booleans or numbers", "" if copy else "Use copy=True")
            if not any(word in str(error) for word in words if word):
                yield f"copy={copy}: {type(error).__name__}: {error}"
        else:
            if result.shape != expected.shape or result.tolist() != expected.tolist():
                yield f"copy={copy}: {result!r}, not {expected!r}"


def main() -> None:
    likes = {name: ts.get_backend(name).asarray([1.0], dtype="float32") for name in NAMES}
    for dtype, layout in itertools.product((*NUMBERS, *OTHERS), LAYOUTS):
        x = LAYOUTS[layout](numbers(dtype) if dtype in NUMBERS else np.zeros((2, 3), dtype))
        for source, target in itertools.product(NAMES, NAMES):
            try:
                given = x if source == "numpy" else ts.convert(x, like=likes[source])
            except TypeError:
                continue  # tried where NumPy is the source
            print(dtype, layout, source, target, end="\r", file=sys.stderr)  # what a process that dies says last
            for problem in outcomes(given, x, likes[target]):
                print(f"{dtype}, {layout}, {source} to {target}, {problem}")


if __name__ == "__main__":
    main()
