"""What varies from call to call without a new graph: options that are arrays or numbers, as operands."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale.kernels.temperature import is_numbers

Named = tuple[tuple[str, Any], ...]
"""Names of options that are operands, in their order, each with the type of its named tuple, or None for an array."""


def as_operands(options: dict[str, Any], dtype: str) -> tuple[list[Array], Named, tuple[tuple[str, Any], ...]]:
    """Take options apart: tensors, numbers among them in `dtype`; what they are; and those that a graph is made for.

    Flat tensors by position: TensorFlow takes longer over structures and keywords than over the graph.
    """
    operands: list[Array] = []
    named: list[tuple[str, Any]] = []
    static: list[tuple[str, Any]] = []
    for name, option in options.items():
        if is_numbers(option):
            operands += [tf.constant(number, dtype) if isinstance(number, float) else number for number in option]
            named.append((name, type(option)))
        elif isinstance(option, (tf.Tensor, tf.Variable)):
            operands.append(tf.convert_to_tensor(option))
            named.append((name, None))
        else:
            static.append((name, option))
    return operands, tuple(named), tuple(static)


def with_numbers(tensors: tuple[Array, ...], named: Named) -> tuple[tuple[Array, ...], dict[str, Any]]:
    """Put options together again from the last of the tensors; return the first ones, and the options."""
    sizes = [1 if kind is None else len(kind._fields) for _, kind in named]
    start = len(tensors) - sum(sizes)
    arrays, rest = tensors[:start], iter(tensors[start:])
    # a number is a constant: a derivative with respect to it would be -inf * 0 at a masked entry
    options = {
        name: next(rest) if kind is None else kind(*[tf.stop_gradient(next(rest)) for _ in range(size)])
        for (name, kind), size in zip(named, sizes, strict=True)
    }
    return arrays, options
