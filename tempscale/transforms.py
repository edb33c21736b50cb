"""Derivatives, compilation and mapping of functions on any framework's arrays: one meaning on all of them.

The functions given to these transforms take and return trees of arrays: dicts, lists, tuples, named tuples and
dataclasses, nested. PyTorch works through `torch.func` and `torch.compile`, TensorFlow through `tf.GradientTape`,
`tf.function` and `tf.vectorized_map`, JAX through its own transforms, NumPy through the package autograd.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from tempscale._core.arguments import as_flag, as_function, as_integer, as_integers
from tempscale._core.dispatch import DEFAULT, backend_named, is_number, owner_of, resolve, unwrap
from tempscale._core.mistakes import in_words, shown
from tempscale._core.registry import stands_for
from tempscale._core.trees import Structure, flatten
from tempscale.backend import FLOATS, Array, Backend

__all__ = ["grad", "jit", "value_and_grad", "vmap"]

P = ParamSpec("P")
R = TypeVar("R")

COMPLEX = ("complex64", "complex128")
PROGRAMS = 256
"""Most structures and sets of numbers that a function is kept compiled for; the oldest goes first."""


class ARRAY:
    """What stands in the place of an array; a class is the same object after pickling too."""


@in_words
def value_and_grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Make a function that returns the value of `fn` and its gradient.

    Parameters
    ----------
    fn : callable
        From trees of arrays to a 0-d array; with `has_aux`, to a pair of that and a tree of anything else.
    argnums : int or sequence of int, default 0
        Which positional arguments to differentiate with respect to. Their leaves are arrays of floats, or Python
        floats, which become arrays of the framework's default dtype.
    has_aux : bool, default False
        Whether `fn` returns a second result, which is passed through.

    Returns
    -------
    callable
        With the arguments of `fn`, returning ``(value, gradient)``, or ``((value, aux), gradient)``. The gradient
        is a tree like the argument, or a tuple of them if `argnums` is a sequence; zeros where an argument has no
        influence. It can be transformed again.

    Raises
    ------
    TypeError
        When called: if a leaf to differentiate with respect to is an integer, a boolean or no array at all; if the
        value is not a 0-d array of floats; if the arrays are of two frameworks.
    ValueError
        When called: if a number in `argnums` is not that of a positional argument.
    BackendUnavailableError
        When called on NumPy arrays without the package autograd (``pip install 'tempscale[autograd]'``).

    Notes
    -----
    NumPy natives of agnostic functions are not used while autograd differentiates: it traces the body.

    Examples
    --------
    >>> import numpy, tempscale
    >>> def loss(params, x):
    ...     return ((x @ params["w"] + params["b"]) ** 2).sum()
    >>> params = {"w": numpy.asarray([1.0, 2.0]), "b": numpy.asarray(1.0)}
    >>> value, gradient = tempscale.value_and_grad(loss)(params, numpy.asarray([[1.0, 1.0]]))
    >>> float(value), gradient["w"], float(gradient["b"])
    (16.0, array([8., 8.]), 8.0)
    """
    numbers, several, has_aux = as_integers(argnums, "argnums"), not is_number(argnums), as_flag(has_aux, "has_aux")
    if not numbers:
        raise ValueError("argnums is empty, expected at least one argument to differentiate with respect to")

    @functools.wraps(as_function(fn, "fn"), updated=())  # the natives of an operation stay with it
    def call(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        backend, args, kwargs = _bind(args, kwargs)
        chosen = [_position(number, args) for number in numbers]
        leaves, structure = flatten([args[i] for i in chosen])
        arrays = _differentiable(backend, leaves, (args, kwargs))
        aux: list[Any] = []

        def value(*arrays: Array) -> tuple[Array, tuple[Array, ...]]:
            given = list(args)
            for i, tree in zip(chosen, structure.rebuild(arrays), strict=True):
                given[i] = tree
            result = fn(*given, **kwargs)
            result, more = _value_and_aux(result) if has_aux else (result, None)
            parts = _Parts.of(backend, more)
            aux.append(parts)
            return _scalar(backend, result, arrays[0]), parts.arrays

        result, more, gradients = backend.value_and_grad(value, arrays)
        trees = structure.rebuild(gradients)
        return (result, aux[-1].joined(more)) if has_aux else result, tuple(trees) if several else trees[0]

    return call


@in_words
def grad(fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Make a function that returns the gradient of `fn`.

    Parameters
    ----------
    fn, argnums, has_aux
        As for `value_and_grad`.

    Returns
    -------
    callable
        With the arguments of `fn`, returning the gradient, or ``(gradient, aux)``.

    Raises
    ------
    TypeError, ValueError, BackendUnavailableError
        As for `value_and_grad`.

    Examples
    --------
    >>> import numpy, tempscale
    >>> slope = tempscale.grad(lambda x: (x**3).sum())
    >>> slope(numpy.asarray([1.0, 2.0]))
    array([ 3., 12.])
    >>> tempscale.grad(lambda x: slope(x).sum())(numpy.asarray([1.0, 2.0]))
    array([ 6., 12.])
    """
    both = value_and_grad(fn, argnums, has_aux)

    @functools.wraps(fn, updated=())  # the natives of an operation stay with it
    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


@in_words
def jit(fn: Callable[P, R]) -> Callable[P, R]:
    """Compile a function, anew for each framework, structure of its arguments and set of numbers among them.

    Parameters
    ----------
    fn : callable
        From trees of arrays to a tree of arrays, without side effects.

    Returns
    -------
    callable
        With the arguments of `fn`. On a framework that compiles nothing (NumPy) it calls `fn` as it is.

    Raises
    ------
    TypeError
        When called: if a leaf of an argument is neither an array nor a number.

    Notes
    -----
    Arrays are traced; a number is part of what is compiled, with the value it has. One that changes from call to
    call should be an array. PyTorch compiles with `torch.compile(fullgraph=True)`, which needs a C++ compiler on
    CPUs; TensorFlow with `tf.function`.

    Examples
    --------
    >>> import numpy, tempscale
    >>> step = tempscale.jit(lambda state: {"x": state["x"] * 2.0})
    >>> step({"x": numpy.asarray([1.0, 2.0])})
    {'x': array([2., 4.])}
    """
    programs = _Programs()

    @functools.wraps(as_function(fn, "fn"), updated=())  # the natives of an operation stay with it
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        backend, given, named = _bind(args, kwargs)
        parts = _Parts.of(backend, (given, named))
        for leaf in parts.constants:
            if leaf is not ARRAY and not is_number(leaf):
                raise TypeError(
                    f"jit got a {type(leaf).__name__} among the arguments, expected arrays and numbers: have the "
                    "function hold it, for example by functools.partial"
                )
        if not backend.compilers:
            return fn(*given, **named)  # the same arguments, but for Keras variables
        # 1 == 1.0 == True, but they are not the same program
        key = (backend.name, parts.structure, parts.constants, tuple(map(type, parts.constants)))
        if key not in programs:
            if len(programs) >= PROGRAMS:
                programs.pop(next(iter(programs)))
            programs[key] = _Compiled(backend, fn, parts.structure, parts.constants)
        result: R = programs[key](parts.arrays)
        return result

    return call


@in_words
def vmap(fn: Callable[..., Any], in_axes: Any = 0, out_axes: int = 0) -> Callable[..., Any]:
    """Make a function of one example into one of a batch of them.

    Parameters
    ----------
    fn : callable
        From trees of arrays to a tree of arrays.
    in_axes : int, None or sequence of them, default 0
        For each positional argument, the axis of its arrays that is mapped over; None passes the argument whole.
        One value serves all arguments. Numbers are always passed whole, and keyword arguments too.
    out_axes : int, default 0
        Where the mapped axis is in the results.

    Returns
    -------
    callable
        With the arguments of `fn`. What it returns has the mapped axis everywhere: a result that does not depend on
        what is mapped is repeated, and a number becomes an array.

    Raises
    ------
    ValueError
        When called: if the mapped axes have different sizes, or no array is mapped.

    Notes
    -----
    NumPy calls `fn` in a loop. TensorFlow takes `tf.vectorized_map`, without its fallback to a loop.

    Examples
    --------
    >>> import numpy, tempscale
    >>> dot = tempscale.vmap(lambda x, y: (x * y).sum(), in_axes=(0, None))
    >>> dot(numpy.asarray([[1.0, 2.0], [3.0, 4.0]]), numpy.asarray([1.0, 10.0]))
    array([21., 43.])
    """
    out_axes, in_axes = as_integer(out_axes, "out_axes"), _as_in_axes(in_axes)

    @functools.wraps(as_function(fn, "fn"), updated=())  # the natives of an operation stay with it
    def call(*args: Any, **kwargs: Any) -> Any:
        backend, args, kwargs = _bind(args, kwargs)
        leaves, structure = flatten(args)
        axes = _axes(args, in_axes)
        mapped = [i for i, axis in enumerate(axes) if axis is not None and _is_array(backend, leaves[i])]
        xp = backend.namespace
        for i in mapped:
            _check_axis("in_axes", axes[i], len(backend.shape(leaves[i])))
        with backend.beside(args):
            arrays = [xp.moveaxis(leaves[i], axes[i], 0) if axes[i] else leaves[i] for i in mapped]
        _check_sizes(backend, arrays)
        parts: list[_Parts] = []

        def one(*rows: Array) -> tuple[Array, ...]:
            given = list(leaves)
            for i, row in zip(mapped, rows, strict=True):
                given[i] = row
            parts.append(_Parts.of(backend, _of_arrays(backend, fn(*structure.rebuild(given), **kwargs), rows[0])))
            return parts[-1].arrays

        results = backend.vmap(one)(*arrays)
        if out_axes:
            for x in results:
                _check_axis("out_axes", out_axes, len(backend.shape(x)))
            with backend.beside(results):
                results = tuple([xp.moveaxis(x, 0, out_axes) for x in results])
        return parts[-1].joined(results)

    return call


# Arguments


def _bind(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Backend, tuple[Any, ...], dict[str, Any]]:
    """Find the backend of all arrays among the leaves of the arguments; Keras variables become their arrays."""
    leaves, structure = flatten((tuple(args), kwargs))
    found, incomplete = resolve((), {f"leaf {i} of the arguments": leaf for i, leaf in enumerate(leaves)})
    backend = backend_named(found)
    if incomplete:
        args, kwargs = structure.rebuild([unwrap(leaf) for leaf in leaves])
    return backend, tuple(args), kwargs


def _is_array(backend: Backend, leaf: Any) -> bool:
    """Whether a leaf is an array of this backend, or one with which its own may be mixed."""
    owner = owner_of(type(leaf))
    return owner == backend.name or stands_for(owner) == backend.name or owner == stands_for(backend.name)


def _position(number: int, args: Sequence[Any]) -> int:
    if not -len(args) <= number < len(args):
        raise ValueError(f"argnums names argument {number}, and the call has {len(args)} positional ones")
    return number % len(args)


def _differentiable(backend: Backend, leaves: Sequence[Any], everything: Any) -> list[Array]:
    """Return leaves as arrays with respect to which one can differentiate."""
    like = next((leaf for leaf in flatten(everything)[0] if _is_array(backend, leaf)), None)
    return [_differentiable_leaf(backend, leaf, like) for leaf in leaves]


def _differentiable_leaf(backend: Backend, leaf: Any, like: Array | None) -> Array:
    if isinstance(leaf, np.generic):
        leaf = backend.asarray(np.asarray(leaf), like=like)
    elif type(leaf) is float:
        return backend.asarray(leaf, dtype=backend.default_float(), like=like)
    kind = backend.dtype_name(leaf) if _is_array(backend, leaf) else type(leaf).__name__
    if kind not in FLOATS + COMPLEX:
        what = "an array of " + kind if _is_array(backend, leaf) else f"a {kind}"
        raise TypeError(
            f"cannot differentiate with respect to {what}, expected arrays of floats: convert it, or leave it out of "
            "argnums"
        )
    return leaf


def _scalar(backend: Backend, value: Any, like: Array) -> Array:
    """Return the value of a function that is to be differentiated, which must be one float."""
    if is_number(value):
        value = backend.asarray(
            value, dtype=None if isinstance(value, np.generic) else backend.default_float(), like=like
        )
    if not _is_array(backend, value):
        raise TypeError(
            f"the function to differentiate returned a {type(value).__name__}, expected a 0-d array of floats"
        )
    shape, kind = backend.shape(value), backend.dtype_name(value)
    if shape != () or kind not in FLOATS:
        raise TypeError(
            f"the function to differentiate returned an array of {kind} of shape {shape}, expected a 0-d one of "
            "floats: take the sum or the mean"
        )
    return value


def _value_and_aux(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"has_aux=True: the function returned a {type(result).__name__}, expected a pair (value, aux)")
    return result


def _as_in_axes(in_axes: Any) -> int | tuple[int | None, ...] | None:
    def one(axis: Any) -> int | None:
        return None if axis is None else as_integer(axis, "in_axes", " or None for each argument")

    if in_axes is None or is_number(in_axes):
        return one(in_axes)
    try:
        given = tuple(in_axes)
    except TypeError:
        raise TypeError(f"in_axes is {shown(in_axes)}, expected an integer, None or a sequence of them") from None
    return tuple([one(axis) for axis in given])


def _check_axis(name: str, axis: int | None, rank: int) -> None:
    if axis is not None and not -rank <= axis < rank and rank:
        raise ValueError(f"{name} has axis {axis}, and an array there has {rank} axes: expected {-rank} to {rank - 1}")


def _axes(args: tuple[Any, ...], in_axes: Any) -> list[int | None]:
    """Return the mapped axis of each leaf of the arguments."""
    per_argument = list(in_axes) if isinstance(in_axes, tuple) else [in_axes] * len(args)
    if len(per_argument) != len(args):
        raise ValueError(f"in_axes has {len(per_argument)} entries for {len(args)} positional arguments")
    return [axis for axis, arg in zip(per_argument, args, strict=True) for _ in flatten(arg)[0]]


def _check_sizes(backend: Backend, arrays: Sequence[Array]) -> None:
    if not arrays:
        raise ValueError("vmap has no array to map over: in_axes is None for all of them, or there are only numbers")
    shapes = [backend.shape(x) for x in arrays]
    if () in shapes:
        raise ValueError("vmap got a 0-d array to map over: give None for it in in_axes, to pass it whole")
    sizes = {shape[0] for shape in shapes if shape[0] is not None}
    if len(sizes) > 1:
        raise ValueError(f"vmap got arrays whose mapped axes have different sizes: {sorted(sizes)}")


# Results


def _of_arrays(backend: Backend, tree: Any, like: Array) -> Any:
    """Return a tree of results with its numbers and NumPy arrays as arrays of the backend."""
    leaves, structure = flatten(tree)
    made = [
        backend.asarray(leaf, like=like) if is_number(leaf) or isinstance(leaf, np.ndarray) else leaf for leaf in leaves
    ]
    return structure.rebuild(made)


class _Parts(NamedTuple):
    """A tree of results, apart: its arrays, and what is needed to put it together again."""

    arrays: tuple[Array, ...]
    structure: Structure
    constants: tuple[Any, ...]
    """The leaves, with `ARRAY` in the places of arrays."""

    @classmethod
    def of(cls, backend: Backend, tree: Any) -> _Parts:
        leaves, structure = flatten(tree)
        if DEFAULT in (backend.name, stands_for(backend.name)):
            # NumPy's functions return scalars for 0-d arrays
            leaves = [np.asarray(leaf) if isinstance(leaf, np.generic) else leaf for leaf in leaves]
        constants = tuple([ARRAY if _is_array(backend, leaf) else leaf for leaf in leaves])
        return cls(tuple([x for x in leaves if _is_array(backend, x)]), structure, constants)

    def joined(self, arrays: Sequence[Array]) -> Any:
        """Make the tree with these arrays."""
        rest = iter(arrays)
        return self.structure.rebuild([next(rest) if leaf is ARRAY else leaf for leaf in self.constants])


class _Traced:
    """What a function returned besides arrays when it was traced last.

    An attribute that is only written: `torch.compile` guards what a traced function reads, and of a dict that it
    writes to the length, and would compile anew for every entry.
    """

    last: tuple[Any, _Parts]


class _Programs(dict[Any, "_Compiled"]):
    """What `jit` has compiled for one function. Machine code does not travel: a copy arrives empty."""

    def __reduce__(self) -> tuple[type[_Programs], tuple[()]]:
        return _Programs, ()


class _Compiled:
    """One function, compiled for one structure of its arguments."""

    def __init__(
        self, backend: Backend, fn: Callable[..., Any], structure: Structure, constants: tuple[Any, ...]
    ) -> None:
        self.backend = backend
        self.results: dict[Any, _Parts] = {}
        self.traced = traced = _Traced()

        def flat(*arrays: Array) -> tuple[Array, ...]:
            rest = iter(arrays)
            args, kwargs = structure.rebuild([next(rest) if leaf is ARRAY else leaf for leaf in constants])
            parts = _Parts.of(backend, fn(*args, **kwargs))
            traced.last = _signature(backend, arrays), parts._replace(arrays=())
            return parts.arrays

        self.run = backend.jit(flat)

    def __call__(self, arrays: Sequence[Array]) -> Any:
        results = self.run(*arrays)
        signature, parts = self.traced.last
        self.results[signature] = self.results[None] = parts
        # without an entry of its own a call has used what was compiled for unknown dimensions
        parts = self.results.get(_signature(self.backend, arrays)) or self.results[None]
        return parts.joined(results)


def _signature(backend: Backend, arrays: Sequence[Array]) -> tuple[Any, ...]:
    return tuple([(backend.shape(x), backend.dtype_name(x)) for x in arrays])
