"""The plan of a run: its backends, devices, dtypes, modes, compilers and forms, and what prevents each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tempscale._core.registry import get_backend, known_backends
from tempscale.backend import FLOATS, Backend, BackendUnavailableError
from tempscale.reporting.report import OTHER_PRECISIONS
from tempscale.testing.conformance.cases import Draw, draws, many_cases
from tempscale.testing.conformance.modes import MODES, Mode

__all__ = ["DTYPES", "FORMS", "Selection", "Step", "lead_dtype", "plan", "plan_precisions"]

DTYPES = FLOATS
FORMS = ("public", "body")


@dataclass(frozen=True)
class Selection:
    """What to run. None selects everything.

    A quick run has all dtypes in eager form, under array temperatures. Numbers as temperatures, other layouts of
    memory and the other modes run in float32 only; agnostic bodies run eagerly only, gradients are not compiled, and
    of the compiled modes only "unknown-dims" has wide rows where it can; "forward" and "second" have one variant of
    each operation, and no wide rows. In each precision but the default it has float32 only, one variant of each
    operation, no special shapes and no draws, and compiles one operation.

    `drawn` is how many elements of each operation are drawn at random, beyond the cases, for those precisions.
    """

    backends: tuple[str, ...] | None = None
    operations: tuple[str, ...] | None = None
    dtypes: tuple[str, ...] = DTYPES
    modes: tuple[str, ...] = MODES
    devices: tuple[str, ...] | None = None
    quick: bool = False
    drawn: int = 10**7


@dataclass(frozen=True)
class Step:
    """What runs together: one backend, device, dtype, mode, compiler, form and precision; on the cases or a draw."""

    backend: str
    device: str
    dtype: str
    mode: str
    compiler: str = ""
    form: str = "public"
    problem: str = ""
    applicable: bool = True
    precision: str = "default"
    draw: Draw | None = None

    @property
    def label(self) -> str:
        """The step in a few words, for a progress bar."""
        words = [self.backend, self.dtype, self.mode, self.compiler]
        if self.precision != "default":
            words.append(self.precision)
        if self.draw is not None:
            words.append(f"on {self.draw}")
        return " ".join(filter(None, words))


def require_known(what: str, given: tuple[str, ...] | None, known: tuple[str, ...]) -> None:
    """Raise `ValueError` for an unknown name."""
    for name in given or ():
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}; choose from {', '.join(known)}")


def require_known_selection(selection: Selection) -> None:
    """Raise `ValueError` for an unknown backend, dtype or mode; operations are checked elsewhere."""
    require_known("backend", selection.backends, known_backends())
    require_known("dtype", selection.dtypes, DTYPES)
    require_known("mode", selection.modes, MODES)


def plan(selection: Selection) -> Iterator[Step]:
    """Yield the steps of a selection; `ValueError` if no backend has a selected device."""
    found_device = False
    for name in selection.backends or known_backends():
        try:
            backend = get_backend(name)
        except BackendUnavailableError as error:
            found_device = True
            for mode in selection.modes:
                yield Step(name, "", "", mode, problem=str(error))
            continue
        for device in backend.devices():
            if selection.devices is None or any(_same_device(want, device) for want in selection.devices):
                found_device = True
                for dtype in selection.dtypes:
                    yield from _plan_dtype(backend, device, dtype, selection)
    if not found_device:
        raise ValueError(f"no backend has a device {', '.join(selection.devices or ())}; see `tempscale backends`")


def plan_precisions(steps: Sequence[Step], selection: Selection, *, drawn: int) -> Iterator[Step]:
    """Yield steps in the other precisions, where functions run as users call them, eagerly or compiled.

    A draw runs in all steps one after another, because what is exact is known of one at a time.
    """
    there = [step for step in steps if step.form == "public" and not step.problem]
    lead = [step for step in there if step.dtype == lead_dtype(selection)]
    eager = [step for step in (lead if selection.quick else there) if step.mode == "eager"]
    compiled = [step for step in lead if step.mode == "compiled"]
    yield from _in_each_precision(eager)
    yield from _in_each_precision(compiled, many_cases(drawn) if drawn else None)
    for draw in draws(drawn):
        yield from _in_each_precision([step for step in eager if step.dtype == "float32"], draw)


def _in_each_precision(steps: Sequence[Step], draw: Draw | None = None) -> Iterator[Step]:
    for step in steps:
        for precision in OTHER_PRECISIONS:
            yield replace(step, precision=precision, draw=draw)


def lead_dtype(selection: Selection) -> str:
    """The dtype in which a quick run does what it does in one dtype only."""
    return "float32" if "float32" in selection.dtypes else selection.dtypes[0]


def _same_device(want: str, device: str) -> bool:
    kinds = {"gpu": "cuda"}
    want, device = want.lower(), device.lower()
    kind, _, index = device.partition(":")
    wanted_kind, _, wanted_index = want.partition(":")
    same_kind = kinds.get(kind, kind) == kinds.get(wanted_kind, wanted_kind)
    return same_kind and wanted_index in ("", index or "0")


def _plan_dtype(backend: Backend, device: str, dtype: str, selection: Selection) -> Iterator[Step]:
    problem = ""
    try:
        with backend.allowing(dtype):
            backend.dtype(dtype)
    except TypeError as error:
        problem = str(error)
    lead = lead_dtype(selection)
    for mode in selection.modes:
        if selection.quick and mode != "eager" and dtype != lead:
            continue
        step = Step(backend.name, device, dtype, mode, problem=problem)
        why_not = Mode(mode).problem(backend) if dtype in backend.floats else f"{backend.name} has no {dtype}"
        if why_not or problem:
            yield replace(step, problem=why_not or problem, applicable=not why_not)
            continue
        # a body is compiled in one dtype only: where the native is the body, it is the same graph again
        with_body = dtype == lead if Mode(mode).compiles or selection.quick else True
        with_body = with_body and (mode == "eager" or not selection.quick)
        for form in FORMS if with_body else FORMS[:1]:
            for compiler in _compilers(backend, mode, form, selection):
                problem_here = (backend.compiler_problem(compiler) or "") if compiler else ""
                yield replace(step, form=form, compiler=compiler, problem=problem_here)


def _compilers(backend: Backend, mode: str, form: str, selection: Selection) -> tuple[str, ...]:
    """Compilers to run a mode with; "" is eager. Gradients run both ways, but not in a quick run."""
    if Mode(mode).compiles:
        return backend.compilers
    if mode == "gradient" and form == "public" and not selection.quick:
        return ("", *backend.compilers)
    return ("",)
