"""The libraries that facts are about, and the one door through which facts reach them.

No other module of the library knows a framework outside its backend. Facts are about the frameworks themselves, so they
look at their objects, and each is imported by name when the first fact about it is measured.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from tempscale._core import registry

__all__ = ["LIBRARIES", "Library", "default", "label", "library", "library_of", "problem", "restored", "version"]


@dataclass(frozen=True)
class Library:
    """A library that facts are about.

    Attributes
    ----------
    title : str
        As its authors write it.
    module : str
        What a probe is handed.
    backend : str
        What says on which framework it runs; "" if it is one.
    restoring : str
        What gives its global random state back, as a context manager; "" if it has none.
    """

    title: str
    module: str
    backend: str = ""
    restoring: str = ""


LIBRARIES: Mapping[str, Library] = {
    "torch": Library("PyTorch", "torch", restoring="torch.random.fork_rng"),
    "keras": Library("Keras", "keras", backend="keras.config.backend"),
    "tensorflow": Library("TensorFlow", "tensorflow"),
    "jax": Library("JAX", "jax"),
    "flax": Library("Flax", "flax.nnx"),
    "optax": Library("optax", "optax"),
    "numpy": Library("NumPy", "numpy"),
    "pillow": Library("Pillow", "PIL.Image"),
}
"""Each library by the name that facts use, in the order of the columns."""

_OBJECT = re.compile(r"([\w.]+)(?:\((.+)\))?")


def library_of(name: str) -> str:
    """Return the library of an entry such as ``"torch batchmean"``: its first word."""
    return name.partition(" ")[0]


def label(name: str) -> str:
    """Return an entry's name for readers: ``"PyTorch batchmean"``."""
    library, _, use = name.partition(" ")
    return f"{LIBRARIES[library].title} {use}".strip()


@functools.cache
def problem(name: str) -> str:
    """Return why a library cannot be used here, or "" if it can. This imports it."""
    module = LIBRARIES[name].module
    top = module.partition(".")[0]
    try:
        with registry.importing():
            importlib.import_module(module)
    except ModuleNotFoundError as error:
        return "is not installed" if error.name == top else f"cannot be imported: {error}"
    except Exception as error:  # a broken framework must not hide the facts about the others
        return f"cannot be imported: {type(error).__name__}: {error}"
    return ""


def library(name: str) -> ModuleType:
    """Return the module of a library that has no `problem`."""
    return importlib.import_module(LIBRARIES[name].module)


def restored(name: str) -> AbstractContextManager[None]:
    """Return a context behind which the random state of a library that has no `problem` is as before."""
    path = LIBRARIES[name].restoring
    context: AbstractContextManager[None] = _object(path)() if path else nullcontext()
    return context


def version(name: str) -> str:
    """Return the version of a library that has no `problem`, and what it runs on: ``"3.15.1 on tensorflow"``."""
    used = LIBRARIES[name]
    number = str(importlib.import_module(used.module.partition(".")[0]).__version__)
    return f"{number} on {_object(used.backend)()}" if used.backend else number


def default(where: str) -> str:
    """Read defaults from what is installed.

    Parameters
    ----------
    where : str
        Parameters of something callable, ``"torch.optim.Adam(lr, eps)"``, or a value or a function without arguments,
        ``"torch.backends.cudnn.enabled"``.

    Returns
    -------
    str
        ``"lr=0.001, eps=1e-08"``. A parameter that is gone, or has no default, is said to be.
    """
    match = _OBJECT.fullmatch(where)
    assert match is not None, where
    path, parameters = match.groups()
    found = _object(path)
    if parameters is None:
        name = path.rpartition(".")[2]
        return f"{name}={_shown(found() if callable(found) else found)}"
    known = _defaults(found, names := parameters.split(", "))
    return ", ".join(f"{name}={known[name]}" if name in known else f"{name}: no such parameter" for name in names)


def _object(path: str) -> Any:
    """Return what a dotted path names; a part that is not an attribute is a module that nobody has imported yet."""
    top, *parts = path.split(".")
    found: Any = importlib.import_module(top)
    for number, part in enumerate(parts, 1):
        if not hasattr(found, part):
            importlib.import_module(".".join([top, *parts[:number]]))
        found = getattr(found, part)
    return found


def _defaults(found: Any, names: Collection[str]) -> dict[str, str]:
    try:
        # of a class whose metaclass is called first, as Flax has it, only the initialiser has the signature
        signature = inspect.signature(found.__init__ if inspect.isclass(found) else found)
    except ValueError:  # written in C++: what there is stands in the first lines of its documentation
        written = re.findall(r"(\w+)=([^,)\s]+)", (inspect.getdoc(found) or "").partition("->")[0])
        return {name: value for name, value in written if name in names}
    return {
        name: "required" if parameter.default is parameter.empty else _shown(parameter.default)
        for name, parameter in signature.parameters.items()
    }


def _shown(value: Any) -> str:
    """Return a text that is the same in each run; of a function that another one made, with what that was given."""
    if inspect.isfunction(value):
        given = inspect.getclosurevars(value).nonlocals.items()
        options = [f"{name}={inner!r}" for name, inner in given if isinstance(inner, str | float)]
        return f"{value.__name__}({', '.join(options)})" if options else value.__name__
    return str(getattr(value, "__name__", None) or repr(value))
