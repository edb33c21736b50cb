"""What a user's module holds: agnostic functions for ``tempscale conform``, models for ``tempscale compare``."""

from __future__ import annotations

import importlib
import sys
from types import FunctionType, ModuleType
from typing import Any

from tempscale._core.operation import Operation
from tempscale.cli.errors import UsageError

__all__ = ["model_at", "operations_of"]


def operations_of(name: str) -> list[Operation[..., Any]]:
    """Import a module and return the agnostic functions that it, or a module inside it, defines.

    The current directory is searched first, as by ``python -m``.

    Raises
    ------
    UsageError
        If the module does not exist or cannot be imported, has no agnostic functions, or has one without a contract.
    """
    found = _agnostic_functions(_imported(name))
    if not found:
        raise UsageError(
            f"module {name} defines no agnostic functions: decorate one with @tempscale.agnostic, in that module"
        )
    without = [operation.__name__ for operation in found if operation.specification is None]
    if without:
        raise UsageError(
            f"module {name} has agnostic functions without a contract: {', '.join(without)}. Give each a reference in "
            f"NumPy, below it: @{without[0]}.specified_by(tempscale.testing.Contract('4*u*abs(value) + tiny')) on a "
            "function of the same arguments that returns {'value': ...}"
        )
    return found


def model_at(path: str) -> Any:
    """Return the model at ``module:name``. A function of that name is called without arguments, to build one.

    Raises
    ------
    UsageError
        If the path has no such form, the module cannot be imported or has nothing of that name, or the function fails.
    """
    name, colon, attribute = path.partition(":")
    if not (name and colon and attribute):
        raise UsageError(f"{path!r} names no model: write it as module:name, or give two .npz files of traces")
    module = _imported(name)
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        raise UsageError(f"module {name} has no {attribute!r}") from error
    if not isinstance(found, FunctionType):
        return found
    try:
        return found()
    except Exception as error:  # a user's function may raise anything
        raise UsageError(f"{path} cannot be called to build a model: {type(error).__name__}: {error}") from error


def _imported(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name != missing and not name.startswith(f"{missing}."):
            raise UsageError(f"module {name} needs {missing}, which is not installed") from error
        raise UsageError(
            f"no module named {name!r}: give the name that you would import, from the folder that it is in"
        ) from error
    except Exception as error:  # a module may raise anything when it is imported
        raise UsageError(f"module {name} cannot be imported: {type(error).__name__}: {error}") from error


def _agnostic_functions(module: ModuleType) -> list[Operation[..., Any]]:
    """Return those that the module or a module inside it defines, once each; not those imported from elsewhere."""
    found: dict[int, Any] = {}
    for value in vars(module).values():
        home = getattr(value, "__module__", None) or ""
        is_agnostic = callable(value) and hasattr(value, "call_body") and hasattr(value, "specification")
        if is_agnostic and (home == module.__name__ or home.startswith(f"{module.__name__}.")):
            found[id(value)] = value
    return list(found.values())
