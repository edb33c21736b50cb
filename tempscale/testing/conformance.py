"""The conformance run: every operation on every backend, in every dtype and mode, held to its contract.

The exact result of each group of cases is computed once, and every backend is compared with it. In the
compiled modes all operations go into one graph, because compiling is what takes the time.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tempscale import _wide
from tempscale._agnostic import OPERATIONS, Operation
from tempscale._registry import get_backend, known_backends
from tempscale.backend import Array, Backend, BackendUnavailableError
from tempscale.testing.cases import NUMBERS, Group, groups, user_group
from tempscale.testing.check import Verdict, check
from tempscale.testing.report import Agreement, Cell, Report, State
from tempscale.testing.ulp import smallest_normal, ulp_distance

__all__ = ["DTYPES", "MODES", "Progress", "Selection", "run"]

DTYPES = ("float16", "bfloat16", "float32", "float64")
MODES = ("eager", "compiled", "unknown-dims", "vmap", "gradient")
FORMS = ("public", "body")
CONDITIONED = 1024
"""Agreement is counted where the bound is below this many u of the value; elsewhere digits are lost by nature."""


@dataclass(frozen=True)
class Selection:
    """What to run. None selects everything there is.

    A quick run has all dtypes in eager form, under array temperatures. Numbers as temperatures, other layouts of
    memory and the other modes run in float32 only; agnostic bodies run eagerly only, gradients are not compiled, and
    of the compiled modes only "unknown-dims" has wide rows where it can.
    """

    backends: tuple[str, ...] | None = None
    operations: tuple[str, ...] | None = None
    dtypes: tuple[str, ...] = DTYPES
    modes: tuple[str, ...] = MODES
    devices: tuple[str, ...] | None = None
    quick: bool = False


@dataclass(frozen=True)
class Progress:
    """How far the run is."""

    done: int
    total: int
    label: str


@dataclass(frozen=True)
class Subject:
    """One operation with one set of options."""

    operation: Operation[..., Any]
    variant: str

    @property
    def options(self) -> dict[str, Any]:
        assert self.operation.specification is not None
        return dict(self.operation.specification.variants[self.variant])

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands in the groups, in order."""
        assert self.operation.specification is not None
        as_probabilities = self.options.get("labels_as") == "probabilities"
        names = self.operation.specification.operands
        return tuple("probabilities" if n == "labels" and as_probabilities else n for n in names)

    @property
    def differentiable(self) -> tuple[str, ...]:
        """Names of the operands whose gradients have a contract."""
        assert self.operation.specification is not None
        gradients = self.operation.specification.contract.gradients
        return tuple(name for name in (*self.operands, "temperature") if name in gradients)

    def call(self, form: str, operands: Sequence[Array], **options: Any) -> Array:
        """Run the operation as its users call it, or its body."""
        given = {key: value for key, value in self.options.items() if key != "labels_as"}
        fn = self.operation if form == "public" else self.operation.call_body
        return fn(*operands, **given, **options)

    @property
    def key(self) -> tuple[str, str]:
        return self.operation.__name__, self.variant


@dataclass(frozen=True)
class Step:
    """Cells that run together: one backend, device, dtype, mode, compiler and form."""

    backend: str
    device: str
    dtype: str
    mode: str
    compiler: str = ""
    form: str = "public"
    problem: str = ""
    applicable: bool = True

    @property
    def label(self) -> str:
        return " ".join(part for part in (self.backend, self.dtype, self.mode, self.compiler) if part)


def run(
    selection: Selection = Selection(),
    *,
    logits: np.ndarray[Any, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Run the conformance suite.

    Parameters
    ----------
    selection : Selection
        What to run.
    logits : numpy.ndarray, optional
        Rows of logits to run instead of the built-in cases.
    progress : callable, optional
        Called before each step with a `Progress`.

    Returns
    -------
    Report
        Of what was run; after an interruption (KeyboardInterrupt) of what was run until then.

    Raises
    ------
    ValueError
        If the selection names something that there is not.

    Examples
    --------
    >>> from tempscale.testing.conformance import Selection, run
    >>> report = run(Selection(("numpy",), ("entropy",), ("float32",), ("eager",)))
    >>> report.exit_status()
    0
    """
    _validate(selection)
    started = time.perf_counter()
    subjects = [
        Subject(operation, variant)
        for name, operation in OPERATIONS.items()
        if selection.operations is None or name in selection.operations
        for variant in (operation.specification.variants if operation.specification else ())
    ]
    contracts = {
        s.operation.__name__: s.operation.specification.contract.text() for s in subjects if s.operation.specification
    }
    report = Report(contracts=contracts)
    bench = _Bench(selection, logits)
    steps: list[Step] = []
    try:
        steps.extend(_plan(selection))
        for done, step in enumerate(steps):
            if progress is not None:
                progress(Progress(done, len(steps), step.label))
            report.cells.extend(bench.run(step, subjects))
        if progress is not None:
            progress(Progress(len(steps), len(steps), "done"))
    except KeyboardInterrupt:
        report.interrupted = True
    report.agreements = bench.agreements()
    report.environment = _environment({step.backend for step in steps})
    report.seconds = time.perf_counter() - started
    return report


def _validate(selection: Selection) -> None:
    for what, given, known in (
        ("backend", selection.backends, known_backends()),
        ("operation", selection.operations, tuple(OPERATIONS)),
        ("dtype", selection.dtypes, DTYPES),
        ("mode", selection.modes, MODES),
    ):
        for name in given or ():
            if name not in known:
                raise ValueError(f"there is no {what} {name!r}; there are {', '.join(known)}")


# The plan


def _plan(selection: Selection) -> Iterator[Step]:
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
    lead = _lead(selection)
    for mode in selection.modes:
        if selection.quick and mode != "eager" and dtype != lead:
            continue
        step = Step(backend.name, device, dtype, mode, problem=problem)
        why_not = _not_applicable(backend, dtype, mode)
        if why_not or problem:
            yield replace(step, problem=why_not or problem, applicable=not why_not)
            continue
        # a body is compiled in one dtype only: where the native is the body, it is the same graph again
        compiled = mode in ("compiled", "unknown-dims")
        with_body = dtype == lead if compiled or selection.quick else True
        with_body = with_body and (mode == "eager" or not selection.quick)
        for form in FORMS if with_body else FORMS[:1]:
            for compiler in _compilers(backend, mode, form, selection):
                problem_here = (backend.compiler_problem(compiler) or "") if compiler else ""
                yield replace(step, form=form, compiler=compiler, problem=problem_here)


def _lead(selection: Selection) -> str:
    """The dtype in which a quick run does what it does in one dtype only."""
    return "float32" if "float32" in selection.dtypes else selection.dtypes[0]


def _not_applicable(backend: Backend, dtype: str, mode: str) -> str:
    """Why a framework has no such dtype or mode; empty if it has."""
    if dtype not in backend.floats:
        return f"{backend.name} has no {dtype}"
    if mode in ("vmap", "gradient") and not backend.transforms:
        return f"{backend.name} has no vmap" if mode == "vmap" else f"{backend.name} does not differentiate"
    if mode in ("compiled", "unknown-dims") and not backend.compilers:
        return f"{backend.name} does not compile"
    if mode == "unknown-dims" and not backend.unknown_dims:
        return f"{backend.name} compiles for each shape anew"
    return ""


def _compilers(backend: Backend, mode: str, form: str, selection: Selection) -> tuple[str, ...]:
    """Compilers to run a mode with; "" is eager. Gradients run both ways, but not in a quick run."""
    if mode in ("compiled", "unknown-dims"):
        return backend.compilers
    if mode == "gradient" and form == "public" and not selection.quick:
        return ("", *backend.compilers)
    return ("",)


# Running a step


class _Bench:
    """Runs steps, and keeps the exact results and those of the backends between them."""

    def __init__(self, selection: Selection, logits: np.ndarray[Any, Any] | None) -> None:
        self.selection = selection
        self.logits = logits
        self.groups = functools.lru_cache(maxsize=None)(self._make_groups)
        self.exact = functools.lru_cache(maxsize=None)(self._compute_exact)
        self._results: dict[tuple[Subject, str, str], dict[str, Any]] = {}

    def run(self, step: Step, subjects: Sequence[Subject]) -> list[Cell]:
        if step.problem:
            state = State.UNAVAILABLE if step.applicable else State.NOT_APPLICABLE
            return [_cell(step, subject, state, reason=step.problem) for subject in subjects]
        backend = get_backend(step.backend)
        # warnings are of no interest here: what is wrong in the values is what is looked for
        with backend.allowing(step.dtype), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if step.compiler:
                return self._run_together(step, backend, subjects)
            return [cell for subject in subjects for cell in self._run_together(step, backend, [subject])]

    def _run_together(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[Cell]:
        """Run the subjects in one graph; one by one if that fails, to name which it is."""
        started = time.perf_counter()
        try:
            verdicts = self._verdicts(step, backend, subjects)
        except Exception as error:  # whatever a backend throws is a finding about it
            if len(subjects) == 1:
                return [_failed(step, subjects[0], error, started)]
            return [cell for subject in subjects for cell in self._run_together(step, backend, [subject])]
        return [_judged(step, s, v, started) for s, v in zip(subjects, verdicts, strict=True)]

    def _verdicts(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[list[Verdict]]:
        if step.mode == "gradient":
            return self._gradients(step, backend, subjects)
        if step.compiler:
            return self._compiled(step, backend, subjects)
        check_one = self._eager if step.mode == "eager" else self._vmap
        return [list(check_one(step, backend, subject)) for subject in subjects]

    def _eager(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        for group in self.groups(step.dtype).values():
            operands, temperature = _arrays(backend, step, group, subject.operands)
            result = subject.call(step.form, operands, temperature=temperature)
            yield self._compare(step, backend, subject, group, result)
        if self.selection.quick and (step.form == "body" or step.dtype != _lead(self.selection)):
            return
        group = next(iter(self.groups(step.dtype).values()))
        operands, temperature = _arrays(backend, step, group, subject.operands)
        for number in NUMBERS:
            result = subject.call(step.form, operands, temperature=number)
            yield self._compare(step, backend, subject, group, result, number)
        yield from self._layouts(step, backend, subject, group)

    def _layouts(self, step: Step, backend: Backend, subject: Subject, group: Group) -> Iterator[Verdict]:
        """The same rows from memory with gaps, and with the classes on the first axis."""
        strided, temperature = _arrays(backend, step, group, subject.operands, layout=_with_gaps)
        yield self._compare(step, backend, subject, group, subject.call(step.form, strided, temperature=temperature))
        turned, temperature = _arrays(backend, step, group, subject.operands, layout=_turned)
        result = subject.call(step.form, turned, temperature=temperature, axis=0)
        if len(backend.shape(result)) == 2:
            result = backend.namespace.permute_dims(result, (1, 0))
        yield self._compare(step, backend, subject, group, result)

    def _vmap(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        def one_row(*row: Array) -> Array:
            return subject.call(step.form, row[:-1], temperature=row[-1])

        group = next(iter(self.groups(step.dtype).values()))
        operands, temperature = _arrays(backend, step, group, subject.operands)
        yield self._compare(step, backend, subject, group, backend.vmap(one_row)(*operands, temperature))

    def _compiled(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[list[Verdict]]:
        names = list(dict.fromkeys(name for subject in subjects for name in subject.operands))

        def all_operations(*arrays: Array) -> tuple[Array, ...]:
            given = dict(zip(names, arrays, strict=False))
            return tuple([s.call(step.form, [given[n] for n in s.operands], temperature=arrays[-1]) for s in subjects])

        verdicts: list[list[Verdict]] = [[] for _ in subjects]
        unknown = step.mode == "unknown-dims"
        compiled = backend.jit(all_operations, compiler=step.compiler, unknown_dims=unknown)
        for group in self._groups_to_compile(step, backend):
            operands, temperature = _arrays(backend, step, group, names)
            for subject, result, found in zip(subjects, compiled(*operands, temperature), verdicts, strict=True):
                found.append(self._compare(step, backend, subject, group, result))
        return verdicts

    def _groups_to_compile(self, step: Step, backend: Backend) -> list[Group]:
        """Groups with a graph each. A quick run leaves the wide one to the graph that serves every shape."""
        found = self._large_groups(step.dtype)
        served = backend.unknown_dims and "unknown-dims" in self.selection.modes
        return found[:1] if self.selection.quick and step.mode == "compiled" and served else found

    def _large_groups(self, dtype: str) -> list[Group]:
        return [group for name, group in self.groups(dtype).items() if name not in ("one class", "empty")]

    def _gradients(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[list[Verdict]]:
        """Gradients of the sum of all results times their cotangents, each subject with operands of its own."""
        verdicts: list[list[Verdict]] = [[] for _ in subjects]
        for group in self._large_groups(step.dtype):
            given = [self._operands_and_cotangent(step, backend, subject, group) for subject in subjects]
            places = [(k, name) for k, s in enumerate(subjects) for name in s.differentiable]

            def total(*arrays: Array, given: Any = given, places: Any = places) -> Array:
                operands = [dict(each) for each in given]
                for (k, name), array in zip(places, arrays, strict=True):
                    operands[k][name] = array
                parts = []
                for subject, each in zip(subjects, operands, strict=True):
                    ordered = [each[name] for name in subject.operands]
                    result = subject.call(step.form, ordered, temperature=each["temperature"])
                    parts.append(backend.namespace.sum(result * each["g"]))
                return functools.reduce(operator.add, parts)

            fn = backend.jit(total, compiler=step.compiler) if step.compiler else total
            one = backend.asarray(np.ones((), group.operands["g"].dtype), device=step.device)
            gradients = backend.vjp(fn, [given[k][name] for k, name in places], one)
            for (k, name), gradient in zip(places, gradients, strict=True):
                verdicts[k].append(self._compare_gradient(step, backend, subjects[k], group, name, gradient))
        return verdicts

    def _operands_and_cotangent(self, step: Step, backend: Backend, subject: Subject, group: Group) -> dict[str, Array]:
        operands, temperature = _arrays(backend, step, group, subject.operands)
        g = group.operands["g"]
        if self.exact(subject, step.dtype, group.name, None)["value"].ndim < g.ndim:
            g = g[:, 0]
        cotangent = backend.asarray(g, device=step.device)
        return {**dict(zip(subject.operands, operands, strict=True)), "temperature": temperature, "g": cotangent}

    # Comparing

    def _compare(
        self,
        step: Step,
        backend: Backend,
        subject: Subject,
        group: Group,
        result: Array,
        number: float | None = None,
    ) -> Verdict:
        exact = self.exact(subject, step.dtype, group.name, number)
        actual = backend.to_numpy(result)
        cases = group.cases if number is None else tuple(f"{c}, but T = {number:g} as a number" for c in group.cases)
        if step.mode == "eager" and step.form == "public":
            key = (subject, step.dtype, f"{group.name} {number}")
            self._results.setdefault(key, {}).setdefault(step.backend, actual)
        return check(
            actual,
            exact["value"],
            exact["bound"],
            dtype=backend.dtype_name(result),
            expected_dtype=step.dtype,
            names=cases,
        )

    def _compare_gradient(
        self, step: Step, backend: Backend, subject: Subject, group: Group, name: str, gradient: Array
    ) -> Verdict:
        found = self.exact(subject, step.dtype, group.name, None)
        exact, bound = found["gradients"][name], found["gradients"]["bounds"][name]
        rows = _rows_with_gradient(_wide.narrow(found["value"]), _wide.narrow(exact))
        expected = group.operands[name].dtype.name
        return check(
            backend.to_numpy(gradient)[rows],
            exact[rows],
            bound[rows],
            dtype=backend.dtype_name(gradient),
            expected_dtype=expected,
            names=[f"d/d{name}, {case}" for case, kept in zip(group.cases, rows, strict=True) if kept],
        )

    def _make_groups(self, dtype: str) -> dict[str, Group]:
        kind = get_backend("numpy").dtype(dtype)
        if self.logits is None:
            return groups(kind)
        return {"your logits": user_group(self.logits, kind)}

    def _compute_exact(self, subject: Subject, dtype: str, group_name: str, number: float | None) -> dict[str, Any]:
        """The reference's result with the bounds evaluated, for a group under its temperatures or one number."""
        specification = subject.operation.specification
        assert specification is not None
        group = self.groups(dtype)[group_name]
        working = "float64" if dtype == "float64" else "float32"
        operands = [_exact_operand(group.operands[name], working) for name in subject.operands]
        temperature = group.operands["temperature"]
        if number is not None:
            temperature = np.full(temperature.shape, number)
        options = {k: v for k, v in subject.options.items() if k not in ("labels_as", "reduction")}
        constants = {"u": 2.0**-53 if working == "float64" else 2.0**-24, "tiny": smallest_normal(working)}
        contract = specification.contract
        with np.errstate(all="ignore"):
            exact = specification.reference(*operands, _wide.widen(temperature, working), **options)
            value = exact["value"]
            quantities = {k: v for k, v in exact.items() if k not in ("value", "gradients")} | constants
            bound = contract.bound(**quantities)
            found: dict[str, Any] = {"value": value, "bound": _fit(bound, value.shape)}
            if number is None:
                g = group.operands["g"]
                g = _wide.widen(g if value.ndim == g.ndim else g[:, 0], working)
                gradients = exact["gradients"](g)
                bounds = {n: contract.bound(n, **{**quantities, **gradients}) for n in contract.gradients}
                found["gradients"] = {n: gradients[n] for n in contract.gradients}
                found["gradients"]["bounds"] = {n: _fit(b, gradients[n].shape) for n, b in bounds.items()}
        return found

    # Agreement

    def agreements(self) -> list[Agreement]:
        """The largest distance between any two backends, by operation, variant and dtype."""
        worst: dict[tuple[Subject, str], Agreement] = {}
        for (subject, dtype, key), results in self._results.items():
            found = self._agreement(subject, dtype, key, results)
            if found is None:
                continue
            before = worst.get((subject, dtype))
            elements = found.elements + (before.elements if before else 0)
            if before is not None and before.ulp >= found.ulp:
                found = before
            worst[subject, dtype] = replace(found, elements=elements)
        return list(worst.values())

    def _agreement(self, subject: Subject, dtype: str, key: str, results: dict[str, Any]) -> Agreement | None:
        name, _, number = key.rpartition(" ")
        exact = self.exact(subject, dtype, name, None if number == "None" else float(number))
        value = _wide.narrow(exact["value"])
        u = 2.0**-53 if dtype == "float64" else 2.0**-24
        counted = np.isfinite(value) & (_wide.narrow(exact["bound"]) < CONDITIONED * u * np.abs(value))
        best: Agreement | None = None
        names = list(results)
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                if results[one].shape != value.shape or results[other].shape != value.shape:
                    continue
                distance = np.where(counted, ulp_distance(results[one], results[other], dtype), 0)
                index = np.unravel_index(int(np.argmax(distance)), distance.shape) if distance.size else None
                ulp = int(distance[index]) if index is not None else 0
                if best is None or ulp > best.ulp:
                    case = self.groups(dtype)[name].cases[int(index[0])] if index else ""
                    best = Agreement(*subject.key, dtype, ulp, (one, other), case, int(counted.sum()))
        return best


def _rows_with_gradient(value: Any, gradient: Any) -> Any:
    """Rows to compare: not those whose value is NaN, nor those whose value is infinite and the gradient undefined."""
    value, gradient = value.reshape(len(value), -1), gradient.reshape(len(value), -1)
    undefined = np.isinf(value).any(-1) & np.isnan(gradient).any(-1)
    return ~np.isnan(value).any(-1) & ~undefined


def _fit(bound: Any, shape: tuple[int, ...]) -> Any:
    """Bring a bound to the shape of what it bounds: one per row where the result has no classes axis."""
    bound = np.asarray(bound)
    if bound.ndim == len(shape) + 1:
        bound = bound[..., 0]
    return np.broadcast_to(bound, shape)


def _exact_operand(x: np.ndarray[Any, Any], working: str) -> Any:
    return x if x.dtype.kind == "i" else _wide.widen(x, working)


def _arrays(
    backend: Backend,
    step: Step,
    group: Group,
    names: Iterable[str],
    layout: Callable[[Backend, np.ndarray[Any, Any], str], Array] | None = None,
) -> tuple[list[Array], Array]:
    make = layout or (lambda backend, x, device: backend.asarray(x, device=device))
    operands = [make(backend, group.operands[name], step.device) for name in names]
    return operands, make(backend, group.operands["temperature"], step.device)


def _with_gaps(backend: Backend, x: np.ndarray[Any, Any], device: str) -> Array:
    """Every second entry of a larger array: a view with gaps, in frameworks that have views."""
    return backend.asarray(np.stack([x, np.zeros_like(x)], axis=-1), device=device)[..., 0]


def _turned(backend: Backend, x: np.ndarray[Any, Any], device: str) -> Array:
    """With the axes exchanged: the classes come first."""
    return backend.asarray(np.ascontiguousarray(x.T), device=device)


# Cells


def _cell(step: Step, subject: Subject, state: State, **found: Any) -> Cell:
    operation, variant = subject.key
    return Cell(
        operation,
        variant,
        step.backend,
        step.device,
        step.dtype,
        step.mode,
        step.compiler,
        step.form,
        state,
        **found,
    )


def _failed(step: Step, subject: Subject, error: Exception, started: float) -> Cell:
    first_lines = " ".join(str(error).split())[:600]
    return _cell(
        step,
        subject,
        State.BROKEN,
        worst=np.inf,
        reason=f"{type(error).__name__}: {first_lines}",
        seconds=time.perf_counter() - started,
    )


def _judged(step: Step, subject: Subject, verdicts: Sequence[Verdict], started: float) -> Cell:
    worst = max(verdicts, key=lambda verdict: verdict.worst)
    held = worst.held
    return _cell(
        step,
        subject,
        State.HELD if held else State.BROKEN,
        worst=worst.worst,
        where=worst.where,
        reason="" if held else f"{worst.worst:.3g} times the bound",
        elements=sum(verdict.elements for verdict in verdicts),
        seconds=time.perf_counter() - started,
    )


def _environment(names: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "tempscale": sys.modules["tempscale"].__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "backends": {},
    }
    for name in sorted(names):
        with contextlib.suppress(BackendUnavailableError):
            backend = get_backend(name)
            found["backends"][name] = {
                "version": backend.version,
                "devices": list(backend.devices()),
                **backend.settings(),
            }
    return found
