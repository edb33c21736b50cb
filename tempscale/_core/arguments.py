"""Checking and completing the arguments that functions of logits share, before any backend computes."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tempscale._core.checks import check_logits, check_temperature, checking
from tempscale._core.dispatch import is_number
from tempscale._core.dtypes import INTEGERS, LARGEST, SMALLEST_NORMAL
from tempscale._core.mistakes import VALUES, shown
from tempscale.backend import FLOATS, Array, Backend
from tempscale.contracts import working_precision


def as_integer(value: Any, name: str, otherwise: str = "") -> int:
    """Return a Python integer. A boolean is refused."""
    if type(value) is int:
        return value
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except (TypeError, AttributeError):  # the latter of TensorFlow, for a 0-d tensor of floats
        raise TypeError(f"{name} is {shown(value)}, expected an integer{otherwise}") from None


def as_number(value: Any, name: str) -> float:
    """Return a real number as a Python float. A boolean is refused."""
    if type(value) is float:
        return value
    try:
        if isinstance(value, (bool, np.bool_, complex, np.complexfloating, str)):
            raise TypeError
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is {shown(value)}, expected a number that fits in a float, at most 1.8e308") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {shown(value)}, expected a real number") from None


def as_flag(value: Any, name: str) -> bool:
    """Return True or False; 1 and 0 are accepted too."""
    if isinstance(value, (bool, np.bool_)) or (is_number(value) and value in (0, 1)):
        return bool(value)
    raise TypeError(f"{name} is {shown(value)}, expected True or False")


def one_of(value: Any, name: str, choices: tuple[str, ...]) -> str:
    """Return `value`, which must be one of the choices."""
    if isinstance(value, str) and value in choices:
        return value
    advice = f": {VALUES[value]}" if isinstance(value, str) and value in VALUES else ""
    raise ValueError(f"{name} is {shown(value)}, expected one of {', '.join(map(repr, choices))}{advice}")


def as_integers(value: Any, name: str) -> tuple[int, ...]:
    """Return a tuple of integers, from a sequence or from one integer."""
    if is_number(value):
        return (as_integer(value, name),)
    try:
        given = None if isinstance(value, (str, bytes)) else tuple(value)
    except TypeError:
        given = None
    if given is None:
        raise TypeError(f"{name} is {shown(value)}, expected an integer or a sequence of integers")
    return tuple([as_integer(n, name) for n in given])


def as_dtype_name(dtype: Any) -> str:
    """Return the name of a dtype of any framework; a string is a name already."""
    if isinstance(dtype, str):
        return str(dtype)  # NumPy's strings are not the frameworks'
    if isinstance(dtype, type):
        return np.dtype(dtype).name
    named = getattr(dtype, "name", None)
    if type(dtype).__name__ == "dtype" and named is None:  # PyTorch's: "torch.float32"
        return str(dtype).rpartition(".")[2]
    return named if isinstance(named, str) else shown(dtype)


def as_function(value: Any, name: str) -> Any:
    """Return `value`, which must be callable."""
    if not callable(value):
        raise TypeError(f"{name} is {shown(value)}, expected a function")
    return value


def as_float(backend: Backend, x: Array, name: str) -> Array:
    """Return logits as they are if they are floats, in the framework's default float dtype if integers."""
    if not hasattr(x, "dtype"):
        raise ValueError(f"{name} is {shown(x)}, expected an array with at least one axis of classes")
    dtype = backend.dtype_name(x)
    if dtype in FLOATS:
        return x
    if dtype in INTEGERS:
        return backend.namespace.astype(x, backend.dtype(backend.default_float()))
    raise TypeError(f"{name} is {dtype}, expected floats ({', '.join(FLOATS)}) or integers: convert it first")


def common_float(backend: Backend, *arrays: Array) -> tuple[Array, ...]:
    """Promote float arrays to one dtype, as the array API standard does; float16 with bfloat16 gives float32."""
    names = {backend.dtype_name(x) for x in arrays}
    if len(names) == 1:
        return arrays
    widest = max(names, key=FLOATS.index)
    name = "float32" if widest == "bfloat16" else widest
    return tuple([backend.namespace.astype(x, backend.dtype(name)) for x in arrays])


def same_shape(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Whether two shapes can be the same; a dimension that is not known yet is taken to fit.

    One by one, because `torch.compile` makes constants of sizes that are compared as tuples.
    """
    if len(one) != len(other):
        return False
    return all(m is None or n is None or m == n for m, n in zip(one, other, strict=True))


def as_axis(backend: Backend, x: Array, axis: Any, name: str) -> int:
    """Return `axis` counted from the front; it must exist and not be empty."""
    index = as_integer(axis, "axis", f": reshape {name} to join axes" if isinstance(axis, (tuple, list)) else "")
    shape = backend.shape(x)
    rank = len(shape)
    if rank == 0:
        raise ValueError(f"{name} is 0-dimensional, expected at least one axis of classes: reshape it to (1,)")
    if not -rank <= index < rank:
        raise ValueError(f"axis {index} is out of range for {name} of shape {shape}: expected {-rank} to {rank - 1}")
    index %= rank
    if shape[index] == 0:
        raise ValueError(f"{name} of shape {shape} has no entries along axis {index}: at least one class is needed")
    return index


def as_temperature(backend: Backend, temperature: Any, x: Array, axis: int, name: str = "temperature") -> Any:
    """Return the temperature as a float or as an array whose shape fits `x`: 0-d, or one per row."""
    if is_number(temperature):
        return _within_range(_temperature_number(temperature, name), backend.dtype_name(x))
    if temperature is None or not hasattr(temperature, "shape"):
        raise TypeError(f"{name} is {shown(temperature)}, expected a number or an array")
    dtype = backend.dtype_name(temperature)
    if dtype not in FLOATS and dtype not in INTEGERS:
        raise TypeError(f"{name} is an array of {dtype}, expected real numbers")
    given, shape = backend.shape(temperature), backend.shape(x)
    if given != () and not _one_per_row(given, shape, axis):
        want = shape[:axis] + (1,) + shape[axis + 1 :]
        advice = ""
        if given == shape[:axis] + shape[axis + 1 :]:
            index = ", ".join("None" if i == axis else ":" for i in range(len(shape)))
            advice = f": pass {'T' if name == 'temperature' else name}[{index}]"
        raise ValueError(
            f"{name} has shape {given}, expected () or one per row, {want}, for logits of shape {shape} "
            f"with classes on axis {axis}{advice}"
        )
    if checking():
        check_temperature(backend, temperature, name)
    return temperature


def _temperature_number(temperature: Any, name: str) -> float:
    number = as_number(temperature, name)
    if not number >= 0:
        raise ValueError(f"{name} is {number}, expected a number of at least 0 (0 and inf are the limits)")
    return number


def _within_range(temperature: float, dtype: str) -> float:
    """Take a number whose reciprocal the working precision cannot hold to its limit, as arrays are taken."""
    working = working_precision(dtype)
    if temperature * LARGEST[working] < 1.0:
        return 0.0
    return math.inf if temperature * SMALLEST_NORMAL[working] > 1.0 else temperature


def _one_per_row(given: tuple[int | None, ...], shape: tuple[int | None, ...], axis: int) -> bool:
    """Whether a temperature of shape `given` has size 1 on the axis, elsewhere 1 or the size of the logits."""
    if len(given) != len(shape) or given[axis] not in (1, None):
        return False
    return all(t in (1, None) or n is None or t == n for t, n in zip(given, shape, strict=True))


def as_mask(backend: Backend, where: Any, x: Array) -> Array | None:
    """Return the mask; it must be boolean and broadcast to the shape of `x`."""
    if where is None:
        return None
    if isinstance(where, bool):
        where = backend.asarray(where, like=x)
    if not hasattr(where, "shape") or backend.dtype_name(where) != "bool":
        kind = backend.dtype_name(where) if hasattr(where, "shape") else type(where).__name__
        raise TypeError(f"where is {kind}, expected booleans, True for the entries that count")
    given, shape = backend.shape(where), backend.shape(x)
    fits = len(given) <= len(shape) and all(
        g in (1, None) or n is None or g == n for g, n in zip(reversed(given), reversed(shape), strict=False)
    )
    if not fits:
        raise ValueError(f"where has shape {given}, which does not broadcast to the logits' shape {shape}")
    return where


def prepare_logits(
    backend: Backend,
    logits: Array,
    /,
    *,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Any = None,
    **options: Any,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of the functions of one array of logits."""
    logits = as_float(backend, logits, "logits")
    axis = as_axis(backend, logits, axis, "logits")
    temperature = as_temperature(backend, temperature, logits, axis)
    where = as_mask(backend, where, logits)
    if checking():
        check_logits(backend, logits, where, axis, "logits")
    return (logits,), {"temperature": temperature, "axis": axis, "where": where, **options}
