"""Whose arrays are these? From the arguments of a call to the backend that handles them.

The warm path is one look-up in a dict from concrete type to backend. A type that is not in it yet is
compared with the array types of the frameworks that are already imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from tempscale._registry import candidates, constant_while_tracing, get_backend, loaded, lock, on_change
from tempscale.backend import Array, Backend, BackendUnavailableError

DEFAULT = "numpy"  # for calls with nothing but numbers and lists


# What a type can be, other than the name of the backend whose arrays it holds.
NUMBER = "a number: weak, takes the dtype of the arrays beside it"
SEQUENCE = "a list or tuple: becomes an array of the kind beside it"
KERAS_VARIABLE = "a Keras variable: its value is an array of the framework that Keras runs on"
OTHER = "not an array"
_NO_ARRAY = (NUMBER, SEQUENCE, KERAS_VARIABLE, OTHER)

# Names, not backends: torch.compile keeps a string that a call returned as a constant, and can then look up
# the backend itself, with a guard; an object that a call returned it cannot always guard.
_owners: dict[type, str] = {}
on_change(_owners.clear)


@constant_while_tracing
def owner_of(cls: type) -> str:
    """Return the name of the backend whose arrays are of type `cls`, or what else it is."""
    try:
        return _owners[cls]
    except KeyError:
        with lock:
            owner = _owners[cls] = _find_owner(cls)
            return owner


def _find_owner(cls: type) -> str:
    if issubclass(cls, (bool, int, float, np.generic)):
        return NUMBER
    if issubclass(cls, (list, tuple)):
        return SEQUENCE
    if issubclass(cls, np.ma.MaskedArray):
        return OTHER
    if _is_keras(cls):
        return KERAS_VARIABLE if hasattr(cls, "assign") and hasattr(cls, "value") else OTHER
    for name in candidates():
        try:
            backend = get_backend(name)
        except BackendUnavailableError:
            if cls.__module__.partition(".")[0] == name:
                raise
            continue
        if issubclass(cls, backend.array_types):
            return name
    return OTHER


def _is_keras(cls: type) -> bool:
    # Before the frameworks: on TensorFlow a Keras variable also subclasses a TensorFlow type.
    return any(base.__module__.partition(".")[0] in ("keras", "tf_keras") for base in cls.__mro__)


# One call


def call_backend(args: Sequence[Any], keywords: Iterable[Any] = (), names: Sequence[str] = ()) -> Backend:
    """Return the one backend that all arrays of a call belong to; NumPy if there is none among them.

    Parameters
    ----------
    args : sequence
        Data arguments: arrays, numbers, lists. Anything else raises `TypeError`.
    keywords : iterable
        Values of keyword arguments. Those that are no arrays are passed over.
    names : sequence of str
        What to call the arguments in an error, positional ones first.
    """
    found = ""
    at = -1
    count = len(args)
    for index, value in enumerate((*args, *keywords)):
        owner = owner_of(type(value))
        if owner == found:
            continue
        if owner not in _NO_ARRAY:
            if found:
                raise TypeError(_mixed((*args, *keywords), at, index, names))
            found, at = owner, index
        elif (owner == OTHER and index < count) or isinstance(value, np.ma.MaskedArray):
            raise TypeError(_not_an_array(type(value)))
    return loaded[found] if found else get_backend(DEFAULT)


def unwrap(value: Any) -> Any:
    """Return the array inside a Keras variable; anything else as it is."""
    return value.value if owner_of(type(value)) == KERAS_VARIABLE else value


def is_number(value: Any) -> bool:
    """Whether `value` is a Python or NumPy number."""
    return owner_of(type(value)) == NUMBER


def is_sequence(value: Any) -> bool:
    """Whether `value` is a list or tuple."""
    return owner_of(type(value)) == SEQUENCE


def _name(index: int, names: Sequence[str]) -> str:
    return repr(names[index]) if index < len(names) else f"number {index + 1}"


def _type_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _mixed(values: Collection[Any], first: int, second: int, names: Sequence[str]) -> str:
    one, other = (values[i] for i in (first, second))  # type: ignore[index]
    one_name, other_name = _name(first, names), _name(second, names)
    return (
        f"arrays of two frameworks in one call: argument {one_name} is {_type_name(type(one))} and argument "
        f"{other_name} is {_type_name(type(other))}. Convert one of them: tempscale.convert(x, like=y)."
    )


def _not_an_array(cls: type) -> str:
    if issubclass(cls, np.ma.MaskedArray):
        hint = "its mask would be lost; pass x.data, with where=~numpy.ma.getmaskarray(x) to mask entries"
    elif cls.__name__ == "KerasTensor":
        hint = "it has no values yet; call tempscale inside a Keras layer's call()"
    elif hasattr(cls, "to_numpy"):
        hint = "pass x.to_numpy()"
    else:
        hint = "if its framework is not known yet, see tempscale.register_backend"
    return f"got {_type_name(cls)}, expected an array of a known framework, a number or a list of numbers: {hint}"


# Public


def backend_of(*arrays: Array) -> Backend:
    """Return the backend that handles these arrays, as the functions of this library would choose it.

    Parameters
    ----------
    *arrays : array, number, list
        The type decides; values are not looked at. Numbers and lists go to the framework of the arrays beside
        them, alone to NumPy.

    Raises
    ------
    TypeError
        If the arrays belong to two frameworks, or something is no array.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.backend_of([1.0, 2.0]).name
    'numpy'
    """
    return call_backend([unwrap(array) for array in arrays])


def explain(*args: Any) -> str:
    """Say in a sentence which backend a call with these arguments would use, and why.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.explain([1.0, 2.0], 0.5)
    "backend 'numpy': there is no array among the arguments (list, float), and NumPy is the default"
    """
    values = [unwrap(value) for value in args]
    backend = call_backend(values)
    for index, (value, given) in enumerate(zip(values, args, strict=True)):
        if owner_of(type(value)) == backend.name:
            inside = "" if value is given else f", the value of a {_type_name(type(given))}"
            return (
                f"backend {backend.name!r}: argument number {index + 1} is a {_type_name(type(value))}{inside}, "
                f"an array of {backend.name} {backend.version}"
            )
    kinds = ", ".join(type(value).__name__ for value in args) or "none"
    return f"backend {backend.name!r}: there is no array among the arguments ({kinds}), and NumPy is the default"
