"""What varies from call to call without compiling anew: options that are arrays or numbers, as operands."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tempscale.backend import Array
from tempscale.kernels.temperature import is_numbers

Named = tuple[tuple[str, Any], ...]
"""Names of options that are operands, in their order, each with its type: None for an array, float for a number."""


def as_operands(options: dict[str, Any], *, numbers: tuple[str, ...] = ()) -> tuple[list[Any], Named, Any]:
    """Take options apart: operands, what they are, and those that are compiled in.

    Operands are arrays, named tuples of numbers, and those named in `numbers`. Numbers go in as words of 32 bits,
    because JAX narrows a float64 where x64 is off.
    """
    operands: list[Any] = []
    named: list[tuple[str, Any]] = []
    static: list[tuple[str, Any]] = []
    for name, option in options.items():
        if isinstance(option, jax.Array):
            operands.append(option)
            named.append((name, None))
        elif is_numbers(option):
            operands.append(np.array(option, np.float64).view(np.uint32))
            named.append((name, type(option)))
        elif name in numbers and isinstance(option, float):
            operands.append(np.array([option]).view(np.uint32))
            named.append((name, float))
        else:
            static.append((name, option))
    return operands, tuple(named), tuple(static)


def with_numbers(arrays: tuple[Array, ...], named: Named) -> tuple[tuple[Array, ...], dict[str, Any]]:
    """Put options together again from the last of the arrays, where x64 is on; return the first ones, and options."""
    start = len(arrays) - len(named)
    options = {name: _option(x, kind) for (name, kind), x in zip(named, arrays[start:], strict=True)}
    return arrays[:start], options


def _option(x: Array, kind: Any) -> Any:
    if kind is None:
        return x
    numbers = jax.lax.bitcast_convert_type(jnp.reshape(x, (-1, 2)), jnp.float64)
    return numbers[0] if kind is float else kind(*[numbers[i] for i in range(len(kind._fields))])
