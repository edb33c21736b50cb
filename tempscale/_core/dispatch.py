"""Dispatch: from the arguments of a call to the backend that handles them.

The warm path is one look-up in a dict from concrete type to backend. A type that is not in it yet is
compared with the array types of the frameworks that are already imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tempscale._core.internals import constant_while_tracing
from tempscale._core.registry import (
    candidates,
    framework_of,
    get_backend,
    loaded,
    lock,
    on_change,
    stands_for,
)
from tempscale._core.trees import flatten, map_leaves
from tempscale.backend import Array, Backend, BackendUnavailableError

DEFAULT = "numpy"  # for calls with nothing but numbers and lists

# What a type can be, other than the name of the backend whose arrays it holds.
NUMBER = "a number: weak, takes the dtype of the arrays beside it"
NUMPY_NUMBER = "a NumPy scalar: as weak as a number"
SEQUENCE = "a list or tuple: becomes an array of the kind beside it"
TREE = "a dict, a named tuple or a dataclass: its leaves may be arrays"
KERAS_VARIABLE = "a Keras variable: its value is an array of the framework that Keras runs on"
REFUSED = "array-like, but never to be taken for an array: a masked array, a matrix, a KerasTensor"
OTHER = "not an array"
_NO_ARRAY = frozenset((NUMBER, NUMPY_NUMBER, SEQUENCE, TREE, KERAS_VARIABLE, REFUSED, OTHER))
_NO_NUMBERS = (np.flexible, np.datetime64, np.timedelta64, np.object_)  # NumPy scalars, but strings, records, dates

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
    if issubclass(cls, np.generic):
        return OTHER if issubclass(cls, _NO_NUMBERS) else NUMPY_NUMBER
    if issubclass(cls, (bool, int, float, complex)):
        return NUMBER
    if issubclass(cls, dict) or (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        return TREE
    if issubclass(cls, (list, tuple)):
        return SEQUENCE
    if issubclass(cls, (np.ma.MaskedArray, np.matrix)):
        return REFUSED
    modules = {base.__module__.partition(".")[0] for base in cls.__mro__}
    if not modules.isdisjoint(("keras", "tf_keras")):
        # Before the frameworks: on TensorFlow a Keras variable also subclasses a TensorFlow type.
        if hasattr(cls, "assign") and hasattr(cls, "value"):
            return KERAS_VARIABLE
        return REFUSED if any(base.__name__ == "KerasTensor" for base in cls.__mro__) else OTHER
    failure: BackendUnavailableError | None = None
    for name in candidates(modules):
        try:
            backend = get_backend(name)
        except BackendUnavailableError as error:
            framework = framework_of(name)
            if not modules.isdisjoint((framework, f"{framework}lib")):  # JAX's arrays are of jaxlib
                failure = error
            continue
        if issubclass(cls, backend.array_types):
            return name
    if failure is not None:
        raise failure
    return TREE if dataclasses.is_dataclass(cls) else OTHER


# One call


def resolve(
    args: Sequence[Any],
    keywords: Mapping[str, Any],
    names: Sequence[str] = (),
    arrays: Collection[str] = (),
    trees: bool = False,
) -> tuple[str, bool]:
    """Return the name of the backend that all arrays of a call belong to, "" if there is none among them.

    Also whether something has to be replaced before computing: a list, a Keras variable, a NumPy scalar.

    Parameters
    ----------
    args : sequence
        Data arguments: arrays, numbers, lists. Anything else raises `TypeError`.
    keywords : mapping
        Keyword arguments. Those that are not arrays are passed over.
    names : sequence of str
        What to call the positional arguments in an error.
    arrays : collection of str
        Keyword arguments that are data too.
    trees : bool
        Whether arguments may be trees of arrays, whose leaves are looked at then; and None, a tree without any.
    """
    found = ""
    at = -1
    incomplete = False
    for index, value in enumerate((*args, *keywords.values()) if keywords else args):
        owner = owner_of(type(value))
        if owner in (found, NUMBER):
            continue
        if owner in _NO_ARRAY:
            if owner == KERAS_VARIABLE:
                owner = owner_of(type(value.value))
            elif trees and is_tree(value):
                owner = _owner_of_leaves(value, _name(index, args, keywords, names))
            elif owner in (SEQUENCE, NUMPY_NUMBER):
                owner = ""
            elif owner == REFUSED or index < len(args) or _is_data(index, value, args, keywords, arrays):
                raise TypeError(_not_an_array(type(value), _name(index, args, keywords, names)))
            else:
                continue  # an option
            incomplete = True
            if not owner:
                continue
        if found in ("", owner) or stands_for(owner) == found:
            found, at = owner, index
        elif stands_for(found) != owner:
            raise TypeError(_mixed(args, keywords, at, index, names))
    return found, incomplete


def is_tree(value: Any) -> bool:
    """Whether a value is a tree of arrays, rather than an array or the numbers to make one of."""
    owner = owner_of(type(value))
    if owner == SEQUENCE:
        leaves, _ = flatten(value)
        return not all(owner_of(type(leaf)) in (NUMBER, NUMPY_NUMBER) for leaf in leaves)
    return owner == TREE or value is None


def holds_arrays(value: Any) -> bool:
    """Whether a value is a tree with an array among its leaves."""
    return is_tree(value) and any(owner_of(type(unwrap(leaf))) not in _NO_ARRAY for leaf in flatten(value)[0])


def _owner_of_leaves(tree: Any, name: str) -> str:
    """Return the name of the backend of the arrays in a tree; other leaves are passed over."""
    leaves, _ = flatten(tree)
    found, _ = resolve((), {f"{name}, leaf {index}": leaf for index, leaf in enumerate(leaves)})
    return found


def _is_data(index: int, value: Any, args: Sequence[Any], keywords: Mapping[str, Any], arrays: Collection[str]) -> bool:
    return value is not None and [*keywords][index - len(args)] in arrays


def call_backend(args: Sequence[Any], names: Sequence[str] = ()) -> Backend:
    """Return the one backend that all arrays among `args` belong to; NumPy if there is none."""
    return backend_named(resolve(args, {}, names)[0])


def backend_named(found: str) -> Backend:
    """Return the backend that `resolve` found; NumPy if it found none.

    A function, so that closures that call it can be pickled by value, as cloudpickle does it, and use the backends
    of the process that they arrive in.
    """
    return loaded[found] if found else get_backend(DEFAULT)


def complete(
    backend: Backend,
    args: Sequence[Any],
    keywords: Mapping[str, Any],
    arrays: Collection[str] = (),
    *,
    names: Sequence[str] = (),
    trees: bool = False,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make arrays of the lists of a call, and of its positional numbers if there is no array beside them.

    They are put on the device of the arrays that are there. Numbers inside a tree stay numbers. `names` are those of
    the positional arguments, for errors.
    """
    like = _first_array(backend, (*args, *keywords.values()), trees=trees)

    def data(value: Any, name: str, *, alone: bool) -> Any:
        if trees and is_tree(value):
            return map_leaves(_leaf, value)
        return _as_data(backend, value, like, name, alone=alone)

    complete_args = tuple(
        [data(value, _name(index, args, {}, names), alone=like is None) for index, value in enumerate(args)]
    )
    complete_keywords = {
        key: data(value, repr(key), alone=False) if key in arrays or (trees and holds_arrays(value)) else unwrap(value)
        for key, value in keywords.items()
    }
    return complete_args, complete_keywords


def _first_array(backend: Backend, values: Sequence[Any], *, trees: bool) -> Array | None:
    for value in values:
        for leaf in flatten(value)[0] if trees and is_tree(value) else [value]:
            if loaded.get(owner_of(type(unwrap(leaf)))) is backend:
                return unwrap(leaf)
    return None


def _leaf(value: Any) -> Any:
    return _python_number(value) if owner_of(type(value)) == NUMPY_NUMBER else unwrap(value)


def _as_data(backend: Backend, value: Any, like: Array | None, name: str, *, alone: bool) -> Any:
    owner = owner_of(type(value))
    if owner == SEQUENCE:
        return as_data(backend, value, name, like=like)
    if alone and owner in (NUMBER, NUMPY_NUMBER):
        return as_data(backend, value, name)
    return _leaf(value)


def as_data(backend: Backend, value: Any, name: str, *, like: Array | None = None) -> Array:
    """Make an array of a number or a list of numbers; `name` is what an error calls it."""
    check_list(value, backend, name)
    try:
        return backend.asarray(value, like=like)
    except (OverflowError, RuntimeError, ValueError) as error:
        raise ValueError(f"argument {name} has a number that no array of {backend.name} holds: {error}") from error


def check_list(value: Any, backend: Backend, name: str) -> tuple[int, ...]:
    """Return the shape of a list; raise unless it holds numbers, in rows of one length.

    Not tensors: the array would silently lose their gradients and device.
    """
    owner = owner_of(type(value))
    if owner in (NUMBER, NUMPY_NUMBER):
        return ()
    if owner == DEFAULT and backend is get_backend(DEFAULT):
        return tuple(value.shape)
    if owner != SEQUENCE:
        raise TypeError(
            f"argument {name} is a list with a {_type_name(type(value))} in it, expected a list of numbers: make one "
            "array of it first, for example with the framework's stack"
        )
    shapes = {check_list(entry, backend, name) for entry in value}
    if len(shapes) > 1:
        raise ValueError(
            f"argument {name} is a list whose entries have different shapes, expected rows of one length: pad "
            "them, for example with -inf for logits"
        )
    return (len(value), *next(iter(shapes), ()))


def refuse_unsupported(args: Sequence[Any], keywords: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise `TypeError` for an array that its backend recognises but cannot compute with: a sparse tensor."""
    for index, value in enumerate((*args, *keywords.values())):
        array = unwrap(value)
        backend = loaded.get(owner_of(type(array)))
        problem = backend.unsupported(array) if backend is not None else ""
        if problem:
            raise TypeError(f"argument {_name(index, args, keywords, names)} is {problem}") from None


def _python_number(value: np.generic[Any]) -> Any:
    number = value.item()
    return float(number) if isinstance(number, np.floating) else number  # a longdouble stays one


def unwrap(value: Any) -> Any:
    """Return the array inside a Keras variable; anything else as it is."""
    return value.value if owner_of(type(value)) == KERAS_VARIABLE else value


def is_number(value: Any) -> bool:
    """Whether `value` is a Python or NumPy number."""
    return owner_of(type(value)) in (NUMBER, NUMPY_NUMBER)


def is_sequence(value: Any) -> bool:
    """Whether `value` is a list or tuple."""
    return owner_of(type(value)) == SEQUENCE


def _name(index: int, args: Sequence[Any], keywords: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return what to call an argument in an error: its name in quotes, or its number."""
    if index >= len(args):
        return repr([*keywords][index - len(args)])
    return repr(names[index]) if index < len(names) else f"number {index + 1}"


def _type_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _mixed(args: Sequence[Any], keywords: Mapping[str, Any], first: int, second: int, names: Sequence[str]) -> str:
    values = (*args, *keywords.values())
    (one, one_type), (other, other_type) = (
        (_name(i, args, keywords, names), _type_name(type(values[i]))) for i in (first, second)
    )
    return (
        f"arrays of two frameworks in one call: argument {one} is {one_type} and argument {other} is "
        f"{other_type}. Convert one of them: tempscale.convert(x, like=y)."
    )


def _not_an_array(cls: type, name: str) -> str:
    if issubclass(cls, np.matrix):
        hint = "it always has two axes; pass numpy.asarray(x)"
    elif issubclass(cls, np.ma.MaskedArray):
        hint = "its mask would be lost; pass x.data, with where=~numpy.ma.getmaskarray(x) to mask entries"
    elif owner_of(cls) == REFUSED:
        hint = "it has no values yet; call tempscale inside a Keras layer's call()"
    elif hasattr(cls, "__jax_array__"):
        hint = "pass the array in it, x[...]"
    elif hasattr(cls, "to_numpy"):
        hint = "pass x.to_numpy()"
    elif hasattr(cls, "toarray"):
        hint = "pass x.toarray()"
    elif hasattr(cls, "todense"):
        hint = "pass x.todense()"
    elif hasattr(cls, "to_tensor"):
        hint = "pass x.to_tensor(), with where= to mask the padding"
    elif hasattr(cls, "dense_shape"):
        hint = "make it dense first"
    else:
        hint = "if its framework is not known yet, see tempscale.register_backend"
    return (
        f"argument {name} is {_type_name(cls)}, expected an array of a known framework, a number or a list "
        f"of numbers: {hint}"
    )


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
        If the arrays belong to two frameworks, or something is not an array.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.backend_of([1.0, 2.0]).name
    'numpy'
    """
    return call_backend(arrays)


def explain(*args: Any) -> str:
    """Say in a sentence which backend a call with these arguments would use, and why.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.explain([1.0, 2.0], 0.5)
    "backend 'numpy': no argument is an array (list, float), and NumPy is the default"
    """
    backend = call_backend(args)
    for index, given in enumerate(args):
        value = unwrap(given)
        if loaded.get(owner_of(type(value))) is backend:
            inside = "" if value is given else f", the value of a {_type_name(type(given))}"
            return (
                f"backend {backend.name!r}: argument number {index + 1} is a {_type_name(type(value))}"
                f"{inside}, an array of {backend.name} {backend.version}"
            )
    kinds = ", ".join(type(value).__name__ for value in args) or "none"
    return f"backend {backend.name!r}: no argument is an array ({kinds}), and NumPy is the default"
