"""How a framework can run a function: eagerly, compiled, for unknown dimensions, mapped, differentiated."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tempscale.backend import ArrayFunction, Backend
from tempscale.reporting.report import MODES

__all__ = ["BASIC", "DERIVED", "MODES", "Mode", "quietly"]

DERIVED = ("forward", "second")
"""Modes whose exact results are derivatives of the reference, for operations with a specification."""

BASIC = tuple(mode for mode in MODES if mode not in DERIVED)
"""Modes for any function that has a reference."""

COMPILED = ("compiled", "unknown-dims")


@dataclass(frozen=True)
class Mode:
    """A way to run a function on arrays.

    Parameters
    ----------
    name : str
        "eager": as it is. "compiled": by the framework's compiler. "unknown-dims": compiled for dimensions that are
        not known yet. "vmap": mapped over the first axis of all arguments, so that the function sees one entry of
        each. "gradient": as it is, to be differentiated. "forward": as it is, in forward mode. "second": its
        gradient, differentiated again, in forward and in reverse mode.

    Examples
    --------
    >>> import tempscale
    >>> numpy = tempscale.get_backend("numpy")
    >>> Mode("compiled").problem(numpy)
    'numpy does not compile'
    >>> Mode("eager").run(numpy, tempscale.softmax)([0.0, 0.0])
    array([0.5, 0.5])
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in MODES:
            raise ValueError(f"unknown mode {self.name!r}; choose from {', '.join(MODES)}")

    @property
    def compiles(self) -> bool:
        """Whether the function is compiled."""
        return self.name in COMPILED

    def problem(self, backend: Backend) -> str:
        """Return why a framework lacks this mode; "" if it has it."""
        if self.name in ("vmap", "gradient", *DERIVED) and not backend.transforms:
            return f"{backend.name} has no vmap" if self.name == "vmap" else f"{backend.name} does not differentiate"
        if self.compiles and not backend.compilers:
            return f"{backend.name} does not compile"
        if self.name == "unknown-dims" and not backend.unknown_dims:
            return f"{backend.name} compiles anew for each shape"
        return ""

    def run(self, backend: Backend, fn: ArrayFunction, *, compiler: str = "") -> ArrayFunction:
        """Return `fn` (arrays to one array or a tuple of them), run this way; the first compiler is the default."""
        if self.name == "vmap":
            return backend.vmap(fn)
        if self.compiles:
            return backend.jit(fn, compiler=compiler or None, unknown_dims=self.name == "unknown-dims")
        return fn


@contextmanager
def quietly(backend: Backend, dtype: str) -> Iterator[None]:
    """Allow a dtype, and warn of nothing: what is wrong in the values is what is looked for."""
    with backend.allowing(dtype), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
