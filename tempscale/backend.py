"""The contract between tempscale and a framework.

A backend is one class. It says which arrays are its own, moves them to and from NumPy, and offers the
framework's transforms under common names. It holds no mathematics: an operation is written once on
`Backend.namespace` and may be given a faster native by the backend's package.

To add one, write the class, put a `BackendEntry` beside it in a module that does not import the framework,
and name that object in the entry-point group ``tempscale.backends``:

.. code-block:: toml

    [project.entry-points."tempscale.backends"]
    mylib = "tempscale_mylib:entry"

The module that holds the class is imported the first time an array of the framework is seen, not before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np

__all__ = ["Array", "ArrayFunction", "Backend", "BackendEntry", "BackendUnavailableError", "ForwardRule", "ReverseRule"]

Array: TypeAlias = Any
"""An array of whichever framework the caller uses. No type can name all of them."""

ArrayFunction: TypeAlias = Callable[..., Array]

ReverseRule: TypeAlias = Callable[[tuple[Array, ...], Array, Array], Sequence[Array]]
"""``vjp(arrays, result, cotangent)``: a gradient for each of the arrays."""

ForwardRule: TypeAlias = Callable[[tuple[Array, ...], Array, tuple[Array, ...]], Array]
"""``jvp(arrays, result, tangents)``: the directional derivative of the result."""


class BackendUnavailableError(ImportError):
    """A backend was asked for by name and cannot be had: not installed, or broken when imported."""


@dataclass(frozen=True)
class BackendEntry:
    """What an entry point names: enough to recognise a framework without importing it.

    Parameters
    ----------
    framework : str
        Top-level module of the framework, as it appears in ``sys.modules``.
    target : str
        ``"package.module:Class"``, the `Backend` subclass. Importing it may import the framework.
    requirement : str
        What installs the framework, as one would write it behind ``pip install``.
    stands_for : str, optional
        For the tracers of a package that differentiates another backend's arrays: the name of that backend. They
        may be mixed with its arrays, and the call is then theirs.
    models : mapping, optional
        For `tempscale.compare`: from ``"package.module:Class"``, a class of models as users import it, to the
        `tempscale.comparison.reader.ModelReader` that reads them, written in the same way.
    """

    framework: str
    target: str
    requirement: str
    stands_for: str = ""
    models: Mapping[str, str] = field(default_factory=dict, hash=False)


FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Names of the float dtypes that the library knows, the narrowest first."""


class Backend(ABC):
    """One framework, as tempscale sees it.

    Arrays in, arrays out: every method takes and returns the framework's own arrays, on the device they
    are on. Dtypes are named by strings (``"float32"``, ``"bfloat16"``), so that no framework's dtype
    objects appear outside its backend.
    """

    name: ClassVar[str]
    """The name by which `tempscale.get_backend` finds it."""

    array_types: tuple[type, ...]
    """Types whose instances (by `isinstance`, tracers included) are this backend's arrays."""

    compilers: tuple[str, ...] = ()
    """Names of the ways in which `jit` can compile, the default first. Empty: the framework compiles nothing."""

    floats: tuple[str, ...] = FLOATS
    """Float dtypes that the framework has, with the packages and settings that they may take."""

    transforms: bool = True
    """Whether the framework differentiates and maps (`vjp`, `jvp`, `vmap`)."""

    unknown_dims: bool = True
    """Whether `jit` can compile for dimensions that are not known yet."""

    follows_arrays: bool = True
    """Whether results lie on the device of the arrays that they are computed from. If not, `beside` sees to that."""

    # Identity and devices

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the framework."""

    @abstractmethod
    def devices(self) -> tuple[str, ...]:
        """Names of the devices that are present, the default first."""

    @abstractmethod
    def device_of(self, x: Array) -> str:
        """Name of the device that holds `x`."""

    def settings(self) -> dict[str, str]:
        """Return settings that change results, or how fast they come, for reports: ``{"x64": "off"}``."""
        return {}

    # Arrays

    @property
    @abstractmethod
    def namespace(self) -> Any:
        """The framework's namespace after the Python array API standard."""

    def shape(self, x: Array) -> tuple[int | None, ...]:
        """Shape of `x`; None where a traced dimension is not known yet."""
        return tuple(x.shape)

    @abstractmethod
    def dtype_name(self, x: Array) -> str:
        """Name of the dtype of `x`: ``"float32"``, ``"bfloat16"``, ``"int64"``, ``"bool"``, ..."""

    @abstractmethod
    def dtype(self, name: str) -> Any:
        """Return the framework's dtype object of that name; `TypeError` if it has none (or not as configured)."""

    def allowing(self, dtype: str) -> AbstractContextManager[Any]:
        """Return a context in which `dtype` can be used, where that takes a setting; by default nothing."""
        return nullcontext()

    def beside(self, tree: Any) -> AbstractContextManager[Any]:
        """Return a context in which results lie on the device of the first array in a tree of arguments."""
        return nullcontext()

    @abstractmethod
    def default_float(self) -> str:
        """Name of the dtype in which the framework computes with Python floats."""

    @abstractmethod
    def default_index(self) -> str:
        """Name of the integer dtype that the framework indexes with and returns indices in."""

    @abstractmethod
    def asarray(
        self, obj: Any, *, dtype: str | None = None, like: Array | None = None, device: str | None = None
    ) -> Array:
        """Make an array from numbers, nested lists, a NumPy array or an own array, on `device` or that of `like`.

        A NumPy array is copied. A bfloat16 NumPy array (ml_dtypes) stays bfloat16.
        """

    @abstractmethod
    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """Copy `x` to the host as a NumPy array, detached from any gradient; bfloat16 through ml_dtypes."""

    @abstractmethod
    def from_dlpack(self, x: Array) -> Array:
        """Take over another framework's array through DLPack without copying, or raise."""

    def is_traced(self, x: Array) -> bool:
        """Whether the values of `x` are not there to look at, because a function is being compiled or mapped."""
        return False

    def unsupported(self, x: Array) -> str:
        """Say what `x` is and what to pass instead, if it is an array that functions cannot compute with; else "".

        Asked when a call has failed: "a sparse tensor: pass x.to_dense()".
        """
        return ""

    # Transforms

    def stop_gradient(self, x: Array) -> Array:
        """`x`, as a constant to differentiation."""
        return x

    def custom_gradient(self, fn: ArrayFunction, *, vjp: ReverseRule, jvp: ForwardRule) -> ArrayFunction:
        """Give `fn` (arrays to one array) derivatives of your own; see `tempscale.custom_gradient`."""
        return fn

    def vjp(self, fn: ArrayFunction, arrays: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
        """Gradients of ``sum(fn(*arrays) * cotangent)`` with respect to each of `arrays`, taken by themselves."""
        raise NotImplementedError(f"{self.name} does not differentiate")

    def value_and_grad(
        self, fn: Callable[..., tuple[Array, Any]], arrays: Sequence[Array]
    ) -> tuple[Array, Any, tuple[Array, ...]]:
        """Call `fn`, which returns a 0-d array and a tuple of more arrays; return both, and the former's gradients.

        The gradients are with respect to each of `arrays`, zeros where it has no influence. They may be
        differentiated again.
        """
        raise NotImplementedError(f"{self.name} does not differentiate")

    def jvp(self, fn: ArrayFunction, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
        """Directional derivative of `fn` at `arrays` along `tangents`, in forward mode."""
        raise NotImplementedError(f"{self.name} does not differentiate")

    def vmap(self, fn: ArrayFunction) -> ArrayFunction:
        """Map `fn` over the first axis of all its array arguments; it may return a tuple of arrays."""
        raise NotImplementedError(f"{self.name} has no vmap")

    def jit(self, fn: ArrayFunction, *, compiler: str | None = None, unknown_dims: bool = False) -> ArrayFunction:
        """Compile `fn`, whole, with one of `compilers`; with `unknown_dims`, for every shape of its rank at once.

        `fn` takes arrays by position and returns one, or a tuple of them.

        `NotImplementedError` where the framework compiles nothing or knows no unknown dimensions.
        """
        raise NotImplementedError(f"{self.name} does not compile")

    def compiler_problem(self, compiler: str) -> str | None:
        """Why that compiler cannot work on this machine, and what would help; None if it can."""
        return None


REQUIRED_MEMBERS = tuple(sorted(Backend.__abstractmethods__ | {"name", "array_types"}))
"""What every backend has to define."""

TRANSFORMING_MEMBERS = ("custom_gradient", "is_traced", "jvp", "stop_gradient", "value_and_grad", "vjp", "vmap")
"""What a backend has to define besides, unless it says ``transforms = False``: what is inherited transforms nothing."""


def missing_members(cls: type) -> list[str]:
    """Return the names of the members that a class lacks to be a backend."""
    abstract = getattr(cls, "__abstractmethods__", ())
    missing = {name for name in REQUIRED_MEMBERS if name in abstract or not hasattr(cls, name)}
    promised = {*TRANSFORMING_MEMBERS} if getattr(cls, "transforms", True) else set()
    if getattr(cls, "compilers", ()):
        promised |= {"is_traced", "jit"}
    return sorted(missing | {name for name in promised if getattr(cls, name, None) in (None, vars(Backend)[name])})
