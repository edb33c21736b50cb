"""What a conformance run found: the data, before any way of showing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["MODES", "OTHER_PRECISIONS", "Agreement", "Cell", "Report", "State"]

MODES = ("eager", "compiled", "unknown-dims", "vmap", "gradient", "forward", "second")
"""Ways to run a function, in the order of tables."""

OTHER_PRECISIONS = ("accurate", "reproducible")
"""Precisions besides the default, in the order of tables."""


class State(StrEnum):
    """Outcome of one combination."""

    HELD = "held"
    """Every element was within the contract."""
    BROKEN = "broken"
    """An element was not, or the call failed, or shape or dtype were wrong."""
    NOT_APPLICABLE = "not applicable"
    """The framework has no such mode: NumPy does not compile."""
    UNAVAILABLE = "unavailable"
    """It would apply, but something is missing on this machine; `Cell.reason` says what would help."""

    @property
    def ran(self) -> bool:
        """Whether something was computed, and compared."""
        return self in (State.HELD, State.BROKEN)


def _title(operation: str, variant: str) -> str:
    """Return an operation with its variant, as a reader wants to see it."""
    return f"{operation} ({variant})" if variant else operation


@dataclass(frozen=True)
class Cell:
    """One operation on one backend, in one dtype, mode, form and precision, on one device.

    Attributes
    ----------
    operation, variant : str
        Name of the operation, and of the set of options ("" for the only one).
    backend, device, dtype : str
        Where it ran, and in what.
    mode : str
        One of `MODES`.
    compiler : str
        Which of the backend's compilers, for the two compiled modes.
    form : str
        "public" for the function as users call it, "body" for the agnostic body on this backend.
    state : State
        What came of it.
    worst : float
        Largest |error| / bound over all elements; inf where a NaN, inf, shape or dtype is wrong. In the precisions
        "accurate" and "reproducible" the bound is 1 ulp.
    where : str
        The input that caused the worst: the case, the index, the computed and the exact value. Of a "reproducible"
        result whose bits differ: the first that does, with the bits.
    reason : str
        Why it is broken, not applicable or unavailable.
    elements : int
        How many elements were checked.
    seconds : float
        How long it took, compilation included.
    precision : str
        "default", "accurate" or "reproducible".
    differing : int
        How many elements have other bits than NumPy's eager result; not counted in the default precision. One is
        enough to break "reproducible".
    """

    operation: str
    variant: str
    backend: str
    device: str
    dtype: str
    mode: str
    compiler: str
    form: str
    state: State
    worst: float = 0.0
    where: str = ""
    reason: str = ""
    elements: int = 0
    seconds: float = 0.0
    precision: str = "default"
    differing: int = 0

    @property
    def title(self) -> str:
        """The operation with its variant."""
        return _title(self.operation, self.variant)

    @property
    def way(self) -> str:
        """The mode with its compiler: ``"compiled (xla)"``."""
        return f"{self.mode} ({self.compiler})" if self.compiler else self.mode


@dataclass(frozen=True)
class Agreement:
    """The largest distance between any two backends, in units in the last place, for one operation and dtype.

    Counted over well-conditioned elements: those whose bound is below 1024 u of their value. Numbers that
    TensorFlow and JAX flush to zero count as zero.
    """

    operation: str
    variant: str
    dtype: str
    ulp: int
    backends: tuple[str, str]
    where: str
    elements: int

    @property
    def title(self) -> str:
        """The operation with its variant."""
        return _title(self.operation, self.variant)


@dataclass(repr=False)
class Report:
    """All that a run found.

    Attributes
    ----------
    environment : mapping
        Versions, platform, threads, devices, settings; what is needed to repeat the run.
    contracts : mapping of str to str
        The numeric contract of each operation, as text.
    cells : list of Cell
        In the order in which they ran, in the default precision.
    precisions : list of Cell
        Those of the other precisions.
    agreements : list of Agreement
        One per operation, variant and dtype for which two backends ran.
    interrupted : bool
        Whether the run was stopped before its end.
    """

    environment: Mapping[str, Any] = field(default_factory=dict)
    contracts: Mapping[str, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    precisions: list[Cell] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(state)} {state.value}" for state in State)
        return f"<Report: {counts}{', interrupted' if self.interrupted else ''}>"

    @property
    def combinations(self) -> list[Cell]:
        """All cells, in every precision."""
        return [*self.cells, *self.precisions]

    def count(self, state: State) -> int:
        """Return how many combinations are in a state."""
        return sum(cell.state is state for cell in self.combinations)

    def exit_status(self, *, allow_unavailable: bool = False) -> int:
        """Return 0 if everything held, 1 if something is broken, 3 if something was unavailable.

        An interrupted run is 130, as shells have it, unless something is broken already.
        """
        if self.count(State.BROKEN):
            return 1
        if self.interrupted:
            return 130
        if not self.count(State.HELD) or (self.count(State.UNAVAILABLE) and not allow_unavailable):
            return 3
        return 0
