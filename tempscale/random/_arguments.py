"""Arguments of `tempscale.random`: the class of keys, and the checks that come before a draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale._core.arguments import as_dtype_name, as_integer, as_integers, as_number
from tempscale._core.checks import check_key, check_weights, checking
from tempscale._core.dispatch import as_data, call_backend, check_list, is_number, is_sequence, unwrap
from tempscale._core.dtypes import INTEGER_RANGES, INTEGERS
from tempscale._core.mistakes import shown
from tempscale._core.operation import Operation
from tempscale.backend import FLOATS, Array, Backend
from tempscale.kernels import threefry

LARGEST_POWER = {"float16": 2.0**15, "bfloat16": 2.0**127, "float32": 2.0**127, "float64": 2.0**1023}
"""The largest power of two of each dtype; twice as much is infinite."""

_KEY_DTYPES = ("int32", "uint32", "int64")


@dataclass(frozen=True)
class Key:
    """A key on the host, which every backend accepts: two words of 32 bits. Make one with `key`.

    In a compiled function it is a constant. To have a compiled function take keys as arguments, give it arrays:
    ``tempscale.convert(np.asarray(key), like=x)``.
    """

    high: int
    low: int

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("a key has no array in memory: it cannot be converted without a copy")
        return np.array([self.high, self.low], np.uint32 if dtype is None else dtype)

    def __repr__(self) -> str:
        return f"tempscale.random.key({hex(self.high << 32 | self.low)})"


def resolve_key(key: Any, like: Any, **arrays: Any) -> tuple[Backend, Array, Array]:
    """Return the backend of a call, its key as an array of the framework, and the two words of that.

    `arrays` are the other arguments that may be arrays; numbers among them are passed over.
    """
    key, like = unwrap(key), unwrap(like)
    require_key(key)
    on_host = isinstance(key, Key)
    given = {} if on_host else {"key": key}
    given |= {name: x for name, x in arrays.items() if not is_number(x)}
    if like is not None:
        given["like"] = like
    backend = call_backend([*given.values()], [*given])
    if on_host:
        found = [x for x in given.values() if not is_number(x) and not is_sequence(x)]
        key = threefry.as_words(host_words(backend, key, unwrap(found[0]) if found else None))
        return backend, key, key
    raw = raw_words(backend, key)
    if backend.shape(raw) != (2,):
        raise TypeError(
            f"key is {described(backend, raw)}, expected an array of shape (2,); of several keys take one, or map over "
            "them (vmap)"
        )
    return backend, key, raw


def require_key(key: Any, of_several: str = "") -> None:
    """Raise `TypeError` for what is neither a `Key` nor an array; `of_several` says how to have one per row."""
    if is_number(key) or is_sequence(key) or not (isinstance(key, Key) or hasattr(key, "shape")):
        raise TypeError(
            f"key is {shown(key)}, expected one that tempscale.random.key(seed) makes, or an integer array of "
            f"shape (2,){of_several}"
        )


def host_words(backend: Backend, key: Key, like: Array | None) -> Array:
    """Return the words of a key on the host as int32, because some compilers do not take a constant of uint32."""
    signed = [word - 2**32 if word >= 2**31 else word for word in (key.high, key.low)]
    return backend.asarray(signed, dtype="int32", like=like)


def raw_words(backend: Backend, key: Array) -> Array:
    """Return the words of a key, or of several, that is an array of the framework."""
    raw = threefry.raw_key(key)
    if backend.dtype_name(raw) not in _KEY_DTYPES:
        raise TypeError(f"key is {described(backend, raw)}, expected words of {', '.join(_KEY_DTYPES)}")
    if checking():
        check_key(backend, raw)
    return raw


def described(backend: Backend, x: Array) -> str:
    return f"an array of {backend.dtype_name(x)} of shape {backend.shape(x)}"


def as_shape(shape: Any, name: str = "shape") -> tuple[int, ...]:
    # a size that torch.compile has left open is an int to `isinstance`, and would be closed by `index`
    checked = as_integers(shape, name)
    if any(n < 0 for n in checked):
        raise ValueError(f"{name} is {shown(shape)}, expected sizes of at least 0")
    if math.prod(checked) > threefry.MOST:
        raise ValueError(f"{name} is {shown(shape)}: more than 2**32 numbers from one key; split the key")
    return checked


def as_dtype(backend: Backend, dtype: Any, allowed: tuple[str, ...]) -> str:
    """Return the name of a dtype, which is one of those allowed and one that the framework has."""
    name = as_dtype_name(dtype)
    if name not in allowed:
        raise TypeError(f"dtype is {name}, expected one of {', '.join(allowed)}")
    backend.dtype(name)
    return name


def check_order(low: Any, high: Any, low_name: str = "minval", high_name: str = "maxval") -> None:
    if not low < high:
        raise ValueError(f"{low_name} is {low} and {high_name} is {high}, expected {low_name} < {high_name}")


def check_integers(low: int, high: int, dtype: str) -> None:
    check_order(low, high)
    least, most = INTEGER_RANGES[dtype]
    if low < least or high - 1 > most:
        raise ValueError(f"minval is {low} and maxval is {high}, expected numbers of {dtype}: {least} to {most}")
    if high - low > 2**32:
        raise ValueError(f"minval is {low} and maxval is {high}, expected at most 2**32 numbers between them")


def as_array(backend: Backend, x: Any, like: Array, name: str) -> Array:
    x = unwrap(x)
    return as_data(backend, x, repr(name), like=like) if is_sequence(x) or is_number(x) else x


def float_bound(backend: Backend, value: Any, dtype: str, like: Array, shape: tuple[int, ...], name: str) -> Array:
    if is_number(value):
        number = as_number(value, name)
        if not abs(number) < 2.0 * LARGEST_POWER[dtype]:
            raise ValueError(f"{name} is {number}, expected a finite number that {dtype} can hold")
        return backend.asarray(number, dtype=dtype, like=like)
    value = as_array(backend, value, like, name)
    if backend.dtype_name(value) not in FLOATS + INTEGERS:
        raise TypeError(f"{name} is {described(backend, value)}, expected real numbers")
    check_fit(backend, value, shape, name)
    return backend.namespace.astype(value, backend.dtype(dtype))


def integer_bound(backend: Backend, value: Any, dtype: str, like: Array, shape: tuple[int, ...], name: str) -> Array:
    if is_number(value):
        return backend.asarray(as_integer(value, name), dtype=dtype, like=like)
    value = as_array(backend, value, like, name)
    if backend.dtype_name(value) not in INTEGERS:
        raise TypeError(f"{name} is {described(backend, value)}, expected integers")
    check_fit(backend, value, shape, name)
    return backend.namespace.astype(value, backend.dtype(dtype))


def check_fit(backend: Backend, x: Array, shape: tuple[int, ...], name: str) -> None:
    given = backend.shape(x)
    pairs = zip(reversed(given), reversed(shape), strict=False)
    if len(given) > len(shape) or any(m not in (1, None) and m != n for m, n in pairs):
        raise ValueError(f"{name} has shape {given}, which does not broadcast to the shape {shape} to draw")


def known_shape(backend: Backend, x: Array, name: str) -> tuple[int, ...]:
    shape = backend.shape(x)
    if None in shape:
        raise ValueError(f"{name} has a dimension that is not known yet, {shape}: give the shape")
    return tuple([n for n in shape if n is not None])


def as_axis(axis: int, rank: int, name: str) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis is {axis}, and {name} has {rank} axes")
    return axis % rank


def as_weights(backend: Backend, p: Any, like: Array, size: int, needed: int) -> Array:
    """Return weights as an array of floats; those that are given as numbers are checked."""
    if is_number(p):
        raise TypeError(f"p is {shown(p)}, expected probabilities, one per entry: {size} of them")
    if is_sequence(p):
        if len(check_list(p, backend, "'p'")) != 1 or len(p) != size:
            raise TypeError(f"p is a list of {len(p)}, expected floats of shape ({size},): one per entry")
        p = [as_number(w, "p") for w in p]
        if any(not w >= 0 for w in p) or abs(math.fsum(p) - 1.0) > 1e-6:
            raise ValueError(f"p is {shown(p)}, expected probabilities: none negative, and of sum 1")
        if sum(w > 0 for w in p) < needed:
            raise ValueError(f"p is {shown(p)}: fewer than {needed} entries can be chosen without replacement")
        p = backend.asarray(p, dtype=backend.default_float(), like=like)
    p = unwrap(p)
    if backend.dtype_name(p) not in FLOATS or backend.shape(p) != (size,):
        raise TypeError(f"p is {described(backend, p)}, expected floats of shape ({size},)")
    if checking():
        check_weights(backend, p, needed, "p")
    return p


def drawn(
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
