"""How a draw is made of its public function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tempscale._core.dtypes import FLOATS
from tempscale._core.operation import Operation, agnostic
from tempscale.backend import Array
from tempscale.kernels.draws import DRAWS
from tempscale.random._arguments import (
    as_dtype,
    as_shape,
    resolve_key,
)


def _draw(body: Callable[..., Any]) -> Operation[..., Any]:
    operation: Operation[..., Any] = agnostic(body)
    DRAWS.append(operation)
    return operation


def _drawn(
    draw: Operation[..., Any],
    key: Any,
    shape: Any,
    dtype: Any,
    like: Any,
    allowed: tuple[str, ...] = FLOATS,
    **options: Any,
) -> Array:
    """Check the arguments that draws have in common, and draw."""
    backend, _, raw = resolve_key(key, like)
    return draw(raw, shape=as_shape(shape), dtype=as_dtype(backend, dtype, allowed), **options)
