"""The known backends. One is loaded when it is first needed.

Backends come from the entry-point group ``tempscale.backends`` (the four of this package, and those of third
parties) or from `register_backend`. Nothing here imports a framework before its backend is asked for.
"""

from __future__ import annotations

import contextlib
import copyreg
import functools
import importlib
import importlib.util
import sys
import threading
import types
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

from tempscale._core.internals import constant_while_tracing
from tempscale.backend import Backend, BackendEntry, BackendUnavailableError, missing_members

ENTRY_POINT_GROUP = "tempscale.backends"

_F = TypeVar("_F", bound=Callable[..., Any])

lock = threading.RLock()  # taken while registering and loading, never on a warm call
_entries: dict[str, BackendEntry] = {}
_origins: dict[str, str] = {}  # where each name was registered from, for error messages
loaded: dict[str, Backend] = {}  # the backends themselves, by name
_broken: dict[str, Exception] = {}
_listeners: list[Callable[[], None]] = []  # called when the set of backends changes
importing: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext  # around each import of a framework
_scanned = False


def with_code_of_its_own(fn: _F) -> _F:
    """Copy a plain function: torch.compile limits compilations per code object, which closures share."""
    if not isinstance(fn, types.FunctionType):
        return fn
    copy = types.FunctionType(fn.__code__.replace(), fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    copy.__kwdefaults__ = fn.__kwdefaults__
    return cast("_F", functools.update_wrapper(copy, fn))


def on_change(listener: Callable[[], None]) -> None:
    """Have `listener` called whenever a backend is added or removed."""
    _listeners.append(listener)


def register_backend(backend: Backend | type[Backend] | BackendEntry, *, name: str | None = None) -> None:
    """Make a backend known, as an installed package's entry point would.

    Parameters
    ----------
    backend : Backend, Backend subclass or BackendEntry
        A `BackendEntry` defers the import of the framework until its arrays are seen.
    name : str, optional
        Needed for a `BackendEntry`; otherwise the backend's own `name`.

    Raises
    ------
    TypeError
        If the class lacks members of the contract; the message lists them.
    ValueError
        If another backend already has the name; the message names both.
    """
    with lock:
        _scan_entry_points()
        if isinstance(backend, BackendEntry):
            if name is None:
                raise TypeError("a BackendEntry needs a name: register_backend(entry, name='mylib')")
            _claim(name, f"register_backend({backend.target!r})")
            _entries[name] = backend
        else:
            instance = _instantiate(backend)
            name = name or instance.name
            _claim(name, f"{type(instance).__module__}:{type(instance).__qualname__}")
            loaded[name] = instance
        _changed()


def unregister_backend(name: str) -> None:
    """Forget the backend of that name. `KeyError` if there is none."""
    with lock:
        del _origins[name]
        for table in (_entries, loaded, _broken):
            table.pop(name, None)
        _changed()


def backends() -> tuple[str, ...]:
    """Return the names of the backends whose framework is installed, in alphabetical order. Imports none of them.

    Examples
    --------
    >>> import tempscale
    >>> "numpy" in tempscale.backends()
    True
    """
    return tuple(name for name in known_backends() if name in loaded or _installed(name))


def known_backends() -> tuple[str, ...]:
    """Return the names of all registered backends, installed or not, in alphabetical order; not those of tracers."""
    return tuple(name for name in _all_backends() if not stands_for(name))


def _all_backends() -> list[str]:
    with lock:
        _scan_entry_points()
        return sorted({*_entries, *loaded, *_broken})


def stands_for(name: str) -> str:
    """Name of the backend whose arrays those of this one stand for while they are differentiated; "" if none."""
    return _entries[name].stands_for if name in _entries else ""


def get_backend(name: str) -> Backend:
    """Return the backend of that name, importing its framework if needed.

    Raises
    ------
    BackendUnavailableError
        If the framework is not installed (the message says how to install it) or fails on import (the
        message carries its error). The other backends go on working.
    ValueError
        If no backend has the name; the message lists the known names.

    Examples
    --------
    >>> import tempscale
    >>> tempscale.get_backend("numpy").name
    'numpy'
    """
    if not isinstance(name, str):
        raise TypeError(
            f"name is of type {type(name).__name__}, expected one of {', '.join(map(repr, known_backends()))}"
        )
    return loaded[ensure_loaded(name)]


@constant_while_tracing
def ensure_loaded(name: str) -> str:
    """Have the backend of that name in `loaded`, importing its framework if needed. Return the name."""
    if name not in loaded:
        with lock:
            if name not in _all_backends():
                raise ValueError(f"unknown backend {name!r}; choose from {', '.join(known_backends())}")
            _load(name)
    return name


def entries() -> dict[str, BackendEntry]:
    """Return what is known of the backends that registered with an entry, by name. Loads none of them."""
    _all_backends()
    return dict(_entries)


def candidates(modules: Collection[str] = ()) -> list[str]:
    """Names of the backends whose framework is imported: arrays are only theirs. Those of `modules` first."""
    names = [name for name in _all_backends() if name in loaded or _imported(name)]
    return sorted(names, key=lambda name: framework_of(name) not in modules)


def framework_of(name: str) -> str:
    """Top-level module of a backend's framework, as far as it is known without loading the backend."""
    return _entries[name].framework if name in _entries else name


def _imported(name: str) -> bool:
    return name in _entries and sys.modules.get(_entries[name].framework) is not None


def _load(name: str) -> None:
    """Import a registered backend; a failure is remembered, so that a broken framework costs one import."""
    if name in loaded:
        return
    if name not in _broken:
        entry = _entries[name]
        if not _installed(name):
            raise BackendUnavailableError(
                f"backend {name!r} needs the package {entry.framework}, which is not installed: "
                f"pip install '{entry.requirement}'"
            )
        module, _, attribute = entry.target.partition(":")
        try:
            with importing():
                loaded[name] = _instantiate(getattr(importlib.import_module(module), attribute))
            return
        except Exception as error:  # whatever one framework throws must not reach users of the others
            _broken[name] = error
    cause = _broken[name]
    remedy = ""
    if isinstance(cause, ModuleNotFoundError) and name in _entries:
        remedy = f": pip install '{_entries[name].requirement}'"
    raise BackendUnavailableError(
        f"backend {name!r} is installed but could not be loaded: {type(cause).__name__}: {cause}{remedy} "
        "(the other backends are not affected)"
    ) from cause


def _installed(name: str) -> bool:
    entry = _entries.get(name)
    if entry is None:
        return name in _broken
    try:
        spec = importlib.util.find_spec(entry.framework)
    except (ImportError, ValueError):
        return _imported(name)
    # without an origin it is a folder that happens to have the framework's name
    return _imported(name) or (spec is not None and spec.origin is not None)


def _instantiate(backend: Backend | type[Backend]) -> Backend:
    cls = backend if isinstance(backend, type) else type(backend)
    if missing := missing_members(cls):
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__} is not a backend: it lacks {', '.join(missing)}. "
            "The contract is documented in tempscale.backend.Backend."
        )
    if not issubclass(cls, Backend):  # the members that may be left out would be missing
        raise TypeError(
            f"{cls.__module__}.{cls.__qualname__} is not a backend: it has the members of tempscale.backend.Backend, "
            "but does not inherit from it"
        )
    copyreg.pickle(cls, _by_name)
    return backend() if isinstance(backend, type) else backend


def _by_name(backend: Backend) -> Any:
    """Have a backend that is pickled or copied be the one backend of its name where it arrives."""
    if loaded.get(backend.name) is backend:
        return get_backend, (backend.name,)
    return object.__reduce_ex__(backend, 2)


def _claim(name: str, origin: str) -> None:
    if name in _origins:
        raise ValueError(
            f"two backends are named {name!r}: {_origins[name]} and {origin}. Register one of them under another name."
        )
    _origins[name] = origin


def _scan_entry_points() -> None:
    global _scanned
    if _scanned:
        return
    _scanned = True
    import importlib.metadata  # here, because it takes longer to import than all of this library

    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        origin = f"{point.value} of {point.dist.name if point.dist else 'an unknown package'}"
        try:
            entry = point.load()
            if not isinstance(entry, BackendEntry):
                raise TypeError(f"{origin} is {entry!r}, expected a tempscale.backend.BackendEntry")
            _claim(point.name, origin)
            _entries[point.name] = entry
        except Exception as error:  # a broken plug-in is reported when it is asked for, by name
            _broken.setdefault(point.name, error)


def _changed() -> None:
    for listener in _listeners:
        listener()
