"""The one mechanism for operations: a body written once on the array namespace, natives per backend.

Calling an operation finds the backend of its array arguments, brings lists and Keras variables into arrays,
checks the arguments (`prepare`, if it has one), and runs the backend's native or else the body.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from tempscale._core.arguments import as_function
from tempscale._core.dispatch import backend_named, complete, resolve
from tempscale._core.mistakes import Call
from tempscale._core.registry import with_code_of_its_own
from tempscale.backend import Backend
from tempscale.contracts import Contract, Specification

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
_F = TypeVar("_F", bound=Callable[..., Any])

INJECTED: Any = None
"""Default of a body's `xp`, so that type checkers let callers leave it out. It is always passed."""

OPERATIONS: dict[str, Operation[..., Any]] = {}
"""The library's operations that have a contract, by name: what the conformance run runs, unless told otherwise."""


class Operation(Protocol, Generic[P, R]):
    """A function on any framework's arrays, made by `agnostic`."""

    __name__: str
    __module__: str
    __doc__: str | None
    body: Callable[..., Any]
    natives: dict[str, Callable[..., Any]]
    specification: Specification | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the operation on the backend of its arguments."""
        ...

    def native(self, backend: str) -> Callable[[_F], _F]:
        """Register the decorated function as the implementation for one backend."""
        ...

    def call_body(self, *args: Any, **kwargs: Any) -> Any:
        """Run the agnostic body, even where the backend has a native."""
        ...

    def specified_by(self, contract: Contract, **options: Any) -> Callable[[_F], _F]:
        """Attach the decorated reference and a numeric contract, to which the conformance run holds it."""
        ...


@overload
def agnostic(body: Callable[P, R], /) -> Operation[P, R]: ...
@overload
def agnostic(
    *,
    prepare: Callable[..., Any] | None = None,
    arrays: tuple[str, ...] = (),
    run_in: Callable[..., Any] | None = None,
) -> Callable[[Callable[P, R]], Operation[P, R]]: ...
def agnostic(
    body: Callable[..., Any] | None = None,
    /,
    *,
    prepare: Callable[..., Any] | None = None,
    arrays: tuple[str, ...] = (),
    run_in: Callable[..., Any] | None = None,
) -> Any:
    """Make a function written once on an array namespace dispatch on its array arguments.

    Parameters
    ----------
    body : callable
        Takes arrays, or trees of them, and the keyword `xp`, the namespace of their framework after the Python
        array API standard. A tree is a dict, list, tuple, named tuple or dataclass with arrays among its leaves; a
        list of nothing but numbers is made into an array. Arrays may also be keyword arguments.
    prepare : callable, optional
        ``prepare(backend, *args, **kwargs) -> (args, kwargs)``: checks and completes the arguments, before a
        native as before the body. Such a function takes no trees.
    arrays : tuple of str, optional
        Names of keyword arguments that may be lists to be made into arrays, as positional ones are.
    run_in : callable, optional
        ``run_in(precision, backend, run, args, kwargs) -> array``: runs the native or body, `run`, in the precision
        that the keyword argument `precision` names. They do not see that argument.

    Returns
    -------
    Operation
        A function with the signature of `body` less `xp`, and a decorator `native(backend_name)` that
        registers an implementation for one backend. `help` shows which backends have one.

    Raises
    ------
    TypeError
        When called with arrays of two frameworks, or with something else where an array is expected.

    Notes
    -----
    The types of `body` are kept. Type checkers take `xp` for an argument of the caller's unless it has a default:
    ``xp: Any = None`` tells them to leave it out.

    Examples
    --------
    >>> import tempscale
    >>> @tempscale.agnostic
    ... def softplus(x, /, *, xp):
    ...     return xp.log1p(xp.exp(-xp.abs(x))) + xp.maximum(x, xp.zeros_like(x))
    >>> round(float(softplus([0.0])[0]), 4)
    0.6931
    """
    if body is None:
        return functools.partial(agnostic, prepare=prepare, arrays=arrays, run_in=run_in)
    return _make_operation(as_function(body, "body"), prepare, arrays, run_in)


def _make_operation(
    body: Callable[..., Any],
    prepare: Callable[..., Any] | None,
    arrays: tuple[str, ...],
    run_in: Callable[..., Any] | None,
) -> Operation[..., Any]:
    natives: dict[str, Callable[..., Any]] = {}
    signature = inspect.signature(body)
    parameters = [p for p in signature.parameters.values() if p.name != "xp"]
    names = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    call = Call(getattr(body, "__name__", type(body).__name__), parameters)
    trees = prepare is None  # a function that checks its arguments checks arrays

    def run(
        native: Callable[..., Any] | None,
        backend: Backend,
        incomplete: bool,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        is_precise = run_in is not None and "precision" in kwargs
        precision = kwargs.pop("precision") if is_precise else "default"
        if incomplete:
            args, kwargs = complete(backend, args, kwargs, arrays, names=names, trees=trees)
        if prepare is not None:
            args, kwargs = prepare(backend, *args, **kwargs)
        if run_in is not None and is_precise:
            implementation = native or functools.partial(body, xp=backend.namespace)
            return run_in(precision, backend, implementation, args, kwargs)
        if native is not None:
            return native(*args, **kwargs)
        return body(*args, xp=backend.namespace, **kwargs)

    def dispatched(natives: Mapping[str, Callable[..., Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found, incomplete = resolve(args, kwargs, names, arrays, trees)
        backend = backend_named(found)
        native = natives.get(backend.name)
        if backend.follows_arrays:
            return run(native, backend, incomplete or not found, args, kwargs)
        with backend.beside((args, kwargs)):
            return run(native, backend, incomplete or not found, args, kwargs)

    @with_code_of_its_own
    @functools.wraps(body)
    def operation(*args: Any, **kwargs: Any) -> Any:
        try:
            return dispatched(natives, args, kwargs)
        except Exception:
            call.check(args, kwargs)
            raise

    def call_body(*args: Any, **kwargs: Any) -> Any:
        return dispatched({}, args, kwargs)

    def native(backend: str) -> Callable[[_F], _F]:
        def register(fn: _F) -> _F:
            natives[backend] = fn
            _document_natives(made)
            return fn

        return register

    def specified_by(contract: Contract, **options: Any) -> Callable[[_F], _F]:
        def register(reference: _F) -> _F:
            made.specification = Specification(contract=contract, reference=reference, **options)
            made.__doc__ = contract.document(made.__doc__)
            _document_natives(made)
            if made.__module__.partition(".")[0] == "tempscale":
                OPERATIONS[made.__name__] = made
            return reference

        return register

    made = cast("Operation[..., Any]", operation)
    operation.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    made.body, made.natives, made.specification = body, natives, None
    made.native, made.call_body, made.specified_by = native, call_body, specified_by  # type: ignore[method-assign]
    return made


_NATIVES = "Implementations of its own for: "


def _document_natives(operation: Operation[..., Any]) -> None:
    """Say in the docstring, which `help` shows, which backends have natives."""
    if not operation.natives:
        return
    doc = inspect.cleandoc(operation.__doc__ or "")
    text = doc.rpartition(_NATIVES)[0].rstrip() if _NATIVES in doc else doc.rstrip()
    line = _NATIVES + ", ".join(sorted(operation.natives)) + "."
    operation.__doc__ = f"{text}\n\n{line}\n" if text else f"{line}\n"
