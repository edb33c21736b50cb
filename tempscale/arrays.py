"""Arrays of any framework: their namespace, into NumPy and across, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tempscale._core.arguments import as_dtype_name, as_flag, as_function
from tempscale._core.dispatch import (
    DEFAULT,
    call_backend,
    check_list,
    complete,
    is_number,
    is_sequence,
    is_tree,
    owner_of,
    unwrap,
)
from tempscale._core.dtypes import INTEGERS
from tempscale._core.mistakes import in_words
from tempscale._core.registry import get_backend, loaded
from tempscale._core.trees import flatten, map_leaves
from tempscale.backend import FLOATS, Array, ArrayFunction, Backend

__all__ = ["array_namespace", "convert", "custom_gradient", "stop_gradient", "to_numpy"]


def array_namespace(*arrays: Array) -> Any:
    """Return the namespace of the arrays' framework, after the Python array API standard (2024.12).

    NumPy and JAX implement the standard themselves; PyTorch's is `array_api_compat.torch`. TensorFlow has
    none: the one given here holds the functions that this library's operations are written with.

    Examples
    --------
    >>> import numpy, tempscale
    >>> tempscale.array_namespace(numpy.ones(3)) is numpy
    True
    """
    return call_backend(arrays).namespace


@in_words
def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Return `x` as a NumPy array of its own: detached from gradients, copied to the host.

    bfloat16 becomes the bfloat16 of the package ml_dtypes.

    Raises
    ------
    RuntimeError
        If `x` has no values yet, because a compiler is tracing it.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.to_numpy([1, 2])
    array([1, 2])
    """
    x = unwrap(x)
    backend = call_backend([x], ("x",))
    if not _is_array(x):
        (x,), _ = complete(backend, [x], {}, names=("x",))
    return _host_copy(backend, x)


def _as_dtype(backend: Backend, dtype: Any) -> str:
    name = as_dtype_name(dtype)
    try:
        backend.dtype(name)
    except Exception as error:  # each framework refuses in an exception of its own
        if name in _DTYPES:  # the backend knows what it takes to have this one
            raise
        raise TypeError(f"dtype is {name}, expected one that {backend.name} has: {error}") from None
    return name


def _is_array(x: Any) -> bool:
    return not is_number(x) and not is_sequence(x)


def _host_copy(backend: Backend, x: Array) -> np.ndarray[Any, Any]:
    try:
        return backend.to_numpy(x)
    except Exception as error:
        if not backend.is_traced(x):
            raise
        raise RuntimeError(
            f"a {backend.name} array that is being traced has no values to copy: convert it outside of the "
            "function that is compiled or transformed"
        ) from error


def _from_numbers(x: Any, source: Backend, target: Backend, dtype: str | None, like: Array | None) -> Array:
    check_list(x, source, "'x'")
    try:
        return target.asarray(x, dtype=dtype, like=like)
    except (OverflowError, RuntimeError, ValueError) as error:
        raise ValueError(f"x has a number that no array of {target.name} holds: {error}") from error


_DTYPES = ("bool", *INTEGERS, *FLOATS, "complex64", "complex128")
_OF_NUMBERS = ("bool", "int", "uint", "float", "bfloat", "complex")  # how names of dtypes begin
_NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}


@in_words
def convert(x: Array, *, like: Array, dtype: str | None = None, copy: bool = True) -> Array:
    """Return the values of `x` as an array of the framework of `like`, on the device of `like`.

    Parameters
    ----------
    x : array
        Array of booleans or numbers of any framework, in any layout and byte order; gradients do not flow
        through. A list or a Python number takes the dtype that the framework of `like` has for it.
    like : array
        Decides framework and device.
    dtype : str, optional
        Dtype of the result, by name; NumPy casts to it. The default keeps that of `x`, in the machine's byte order.
    copy : bool, default True
        True: the result has memory of its own. False: it shares memory with `x` through DLPack, or the
        function raises. As everywhere with DLPack, do not write to memory that its owner takes for constant.

    Raises
    ------
    TypeError
        If the framework of `like` has no such dtype as it is configured (float64 or int64 in JAX without
        x64), so that values would be lost. Pass `dtype` to say that they may be. If `x` holds neither booleans
        nor numbers (objects, strings, dates, records).
    ValueError
        If `copy` is False and memory cannot be shared; the message says why.
    RuntimeError
        If `x` has no values yet, because a compiler is tracing it.

    Examples
    --------
    >>> import numpy, tempscale
    >>> tempscale.convert([1.0, 2.0], like=numpy.zeros(1), dtype="float32").dtype
    dtype('float32')
    """
    x, like = unwrap(x), unwrap(like)
    source, target = call_backend([x], ("x",)), call_backend([like], ("like",))
    like = like if _is_array(like) else None
    copy = as_flag(copy, "copy")
    dtype = None if dtype is None else _as_dtype(target, dtype)
    if not _is_array(x):
        if not copy:
            raise ValueError(f"copy=False: a {type(x).__name__} has no memory to share. Use copy=True.")
        if not isinstance(x, np.generic):
            return _from_numbers(x, source, target, dtype, like)
        x = source.asarray(x)
    name = source.dtype_name(x)
    if not name.startswith(_OF_NUMBERS):
        raise TypeError(f"argument 'x' is an array of {name}, expected an array of booleans or numbers")
    if dtype is None:
        try:
            target.dtype(name)
        except TypeError as error:
            raise TypeError(
                f"values could be lost: {error}. Say which dtype to convert to: "
                f"convert(x, like=y, dtype={_NARROWER.get(name, 'float32')!r})."
            ) from None
    if copy:
        host = _host_copy(source, x)
        if dtype is not None:
            target.dtype(dtype)
            # here, because frameworks neither cast alike nor read every dtype of NumPy's
            host = host.astype(get_backend(DEFAULT).dtype(dtype))
        return target.asarray(host, dtype=dtype or name, like=like)
    if dtype not in (None, name):
        raise ValueError(f"copy=False cannot change the dtype from {name} to {dtype}: use copy=True")
    try:
        detached = source.stop_gradient(x)
        result = detached if source is target else target.from_dlpack(detached)
    except Exception as error:  # each framework refuses in an exception of its own
        raise ValueError(
            f"{target.name} cannot share the memory of this {source.name} array: {type(error).__name__}: "
            f"{error}. Use copy=True."
        ) from error
    if like is not None and target.device_of(result) != target.device_of(like):
        raise ValueError(
            f"x is on {target.device_of(result)} and like on {target.device_of(like)}: memory cannot be "
            "shared. Use copy=True."
        )
    return result


@in_words
def stop_gradient(x: Any) -> Any:
    """Return an array, or a tree of arrays, as a constant to differentiation.

    Examples
    --------
    >>> import numpy, tempscale
    >>> float(tempscale.stop_gradient(numpy.float64(2.0)))
    2.0
    """
    return map_leaves(_constant, x) if is_tree(x) else _constant(x)


def _constant(x: Any) -> Any:
    x = unwrap(x)
    name = owner_of(type(x))
    return loaded[name].stop_gradient(x) if name in loaded else x


@in_words
def custom_gradient(fn: Callable[..., Array], *, vjp: Callable[..., Any], jvp: Callable[..., Array]) -> ArrayFunction:
    """Give a function derivatives of your own, in every framework, for reverse and forward mode.

    Parameters
    ----------
    fn : callable
        From one or more arrays, or trees of arrays, to one array.
    vjp : callable
        ``vjp(args, result, cotangent)``: the gradients with respect to each of `args`, a sequence of arrays or
        trees like them. It may be differentiated again.
    jvp : callable
        ``jvp(args, result, tangents)``: the directional derivative, linear in `tangents`, which are like `args`.

    Returns
    -------
    callable
        `fn` with those derivatives, for arrays of any framework.

    Notes
    -----
    PyTorch: a `torch.func` transform that is itself inside a function given to `torch.compile` differentiates
    `fn` as it is written, except for `torch.func.jvp` right around it. Forward mode nests twice, not more.
    TensorFlow: a derivative taken around `tf.vectorized_map`, not inside it, is that of `fn` as it is written.
    JAX transposes `jvp` for reverse mode, and does not call `vjp`.

    Examples
    --------
    >>> import numpy, tempscale
    >>> square = tempscale.custom_gradient(
    ...     lambda x: x * x,
    ...     vjp=lambda args, result, g: (2 * args[0] * g,),
    ...     jvp=lambda args, result, tangents: 2 * args[0] * tangents[0],
    ... )
    >>> square(numpy.asarray([3.0]))
    array([9.])
    """
    for name, rule in (("fn", fn), ("vjp", vjp), ("jvp", jvp)):
        as_function(rule, name)

    def call(*args: Any) -> Array:
        if any(is_tree(x) for x in args):
            return _custom_gradient_of_trees(fn, vjp, jvp, args)
        backend = call_backend(args)
        arrays, _ = complete(backend, args, {})
        return backend.custom_gradient(fn, vjp=vjp, jvp=jvp)(*arrays)

    return call


def _custom_gradient_of_trees(
    fn: Callable[..., Array], vjp: Callable[..., Any], jvp: Callable[..., Array], args: tuple[Any, ...]
) -> Array:
    """Call `fn` on trees, and the backend's rules on their leaves."""
    leaves, structure = flatten(args)
    over_leaves = custom_gradient(
        lambda *arrays: fn(*structure.rebuild(arrays)),
        vjp=lambda arrays, result, g: flatten(tuple(vjp(structure.rebuild(arrays), result, g)))[0],
        jvp=lambda arrays, result, tangents: jvp(structure.rebuild(arrays), result, structure.rebuild(tangents)),
    )
    return over_leaves(*leaves)
