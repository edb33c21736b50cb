"""NumPy as a backend. It compiles nothing; autograd differentiates it; its bfloat16 is that of ml_dtypes."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tempscale.backend import Array, ArrayFunction, Backend, BackendUnavailableError, ForwardRule, ReverseRule
from tempscale_backends.numpy import natives as natives
from tempscale_backends.numpy.natives import random


@functools.lru_cache(maxsize=64)
def _dtype_name(dtype: np.dtype[Any]) -> str:
    return str(dtype.name)  # builds a string each time, in 1.5 us


class NumpyBackend(Backend):
    """`numpy.ndarray` and its subclasses, on the host."""

    name = "numpy"
    array_types = (np.ndarray,)
    unknown_dims = False

    def __init__(self) -> None:
        self.transforms = _differentiates()

    @property
    def version(self) -> str:
        return np.__version__

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def settings(self) -> dict[str, str]:
        loops = random.loops()
        return {"numba": "not used" if loops is None else loops.numba.__version__}

    def device_of(self, x: Array) -> str:
        return "cpu"

    @property
    def namespace(self) -> Any:
        return np

    def dtype_name(self, x: Array) -> str:
        return _dtype_name(x.dtype)

    def dtype(self, name: str) -> Any:
        if name != "bfloat16":
            return np.dtype(name)
        try:
            import ml_dtypes
        except ImportError:
            raise TypeError(
                "NumPy has no bfloat16 of its own: pip install ml-dtypes, or convert to dtype='float32'"
            ) from None
        return np.dtype(ml_dtypes.bfloat16)

    def default_float(self) -> str:
        return "float64"

    def default_index(self) -> str:
        return "int64"

    def asarray(
        self, obj: Any, *, dtype: str | None = None, like: Array | None = None, device: str | None = None
    ) -> Array:
        return np.array(obj, dtype=None if dtype is None else self.dtype(dtype))

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(x)

    def from_dlpack(self, x: Array) -> Array:
        return np.from_dlpack(x, copy=False)

    def is_traced(self, x: Array) -> bool:
        return False

    def stop_gradient(self, x: Array) -> Array:
        return x

    def custom_gradient(self, fn: ArrayFunction, *, vjp: ReverseRule, jvp: ForwardRule) -> ArrayFunction:
        return fn

    def vjp(self, fn: ArrayFunction, arrays: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
        gradients: tuple[Array, ...] = _differentiation().vjp(fn, arrays, cotangent)
        return gradients

    def value_and_grad(
        self, fn: Callable[..., tuple[Array, Any]], arrays: Sequence[Array]
    ) -> tuple[Array, Any, tuple[Array, ...]]:
        results: tuple[Array, Any, tuple[Array, ...]] = _differentiation().value_and_grad(fn, arrays)
        return results

    def jvp(self, fn: ArrayFunction, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
        return _differentiation().jvp(fn, arrays, tangents)

    def vmap(self, fn: ArrayFunction) -> ArrayFunction:
        def mapped(*arrays: Array) -> Any:
            """Call `fn` row by row; without rows, on one of zeros, to know shapes and dtypes."""
            rows = [fn(*[x[i, ...] for x in arrays]) for i in range(len(arrays[0]))]
            if rows:
                return _stacked(rows, self.namespace)
            return _stacked([fn(*[np.zeros(x.shape[1:], x.dtype) for x in arrays])], self.namespace, rows=0)

        return mapped

    def jit(self, fn: ArrayFunction, *, compiler: str | None = None, unknown_dims: bool = False) -> ArrayFunction:
        raise NotImplementedError("NumPy does not compile")


def _stacked(results: list[Any], xp: Any, rows: int | None = None) -> Any:
    if isinstance(results[0], tuple):
        return tuple([_stacked(list(parts), xp, rows) for parts in zip(*results, strict=True)])
    return xp.stack(results)[:rows]


def _differentiates() -> bool:
    try:
        return importlib.util.find_spec("autograd") is not None
    except ImportError:  # a finder may refuse instead of finding nothing
        return False


def _differentiation() -> Any:
    """Import what needs autograd."""
    try:
        from tempscale_backends.numpy import traced
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            "NumPy differentiates through the package autograd, which is not installed: "
            "pip install 'tempscale[autograd]'"
        ) from error
    return traced
