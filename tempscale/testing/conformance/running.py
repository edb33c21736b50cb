"""The conformance run: every operation on every backend, in every dtype and mode, held to its contract.

The exact result of each group of cases is computed once, and every backend is compared with it. In the
compiled modes all operations go into one graph, because compiling is what takes the time. The precisions that an
operation has besides the default come last: there the bound is 1 ulp, and bits are compared with NumPy's.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, get_type_hints

import numpy as np

from tempscale._core.operation import OPERATIONS, Operation
from tempscale._core.registry import get_backend
from tempscale._reference import wide
from tempscale.backend import Array, Backend, BackendUnavailableError
from tempscale.contracts import Specification, formula_quantities, working_precision
from tempscale.reporting.report import Agreement, Cell, Report, State
from tempscale.testing.check import Verdict, check
from tempscale.testing.conformance.cases import GENERAL, NAMED, NUMBERS, Draw, Group, draw_group, groups, user_group
from tempscale.testing.conformance.modes import MODES, Mode
from tempscale.testing.conformance.plan import (
    DTYPES,
    FORMS,
    PRECISIONS,
    Selection,
    Step,
    lead_dtype,
    plan,
    plan_precisions,
    require_known,
    require_known_selection,
)
from tempscale.testing.conformance.precisions import Measurement, joined, measure
from tempscale.testing.ulp import ulp_distance

__all__ = ["DTYPES", "FORMS", "MODES", "Progress", "Selection", "run"]

CONDITIONED = 1024
"""Agreement is counted where the bound is below this many u of the value; elsewhere digits are lost by nature."""


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
    def specification(self) -> Specification:
        assert self.operation.specification is not None
        return self.operation.specification

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.specification.variants[self.variant])

    @property
    def sources(self) -> dict[str, str]:
        """Names of the arguments, each with that of the operand in the groups that it is given; temperature last."""
        found: dict[str, str] = {}
        for name in self.specification.operands:
            if name == "labels" and self.options.get("labels_as") == "probabilities":
                found[name] = "probabilities"
            else:
                found[name] = name if name in NAMED else GENERAL[len(found) % len(GENERAL)]
        if self.specification.takes_temperature:
            found["temperature"] = "temperature"
        return found

    @property
    def differentiable(self) -> tuple[str, ...]:
        """Names of the arguments whose gradients have a contract."""
        return tuple(name for name in self.sources if name in self.specification.contract.gradients)

    @property
    def takes_axis(self) -> bool:
        return "axis" in inspect.signature(self.operation).parameters

    @functools.cached_property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that the signature of the operation says it has, besides the default."""
        if "precision" not in inspect.signature(self.operation).parameters:
            return ()
        with contextlib.suppress(NameError):  # what can be told to a type checker only
            named = get_args(get_type_hints(self.operation.body)["precision"])
            return tuple(precision for precision in PRECISIONS if precision in named)
        return ()

    def call(self, step: Step, arrays: Mapping[str, Array], **options: Any) -> Array:
        """Run the operation on arrays by argument, as its users call it in a precision, or its body."""
        operands = [array for name, array in arrays.items() if name != "temperature"]
        given = {key: value for key, value in self.options.items() if key != "labels_as"}
        if "temperature" in arrays:
            given["temperature"] = arrays["temperature"]
        if step.precision != "default":
            given["precision"] = step.precision
        fn = self.operation if step.form == "public" else self.operation.call_body
        return fn(*operands, **given, **options)

    @property
    def key(self) -> tuple[str, str]:
        return self.operation.__name__, self.variant


_EVERYTHING = Selection()


def run(
    selection: Selection = _EVERYTHING,
    *,
    operations: Sequence[Operation[..., Any]] | None = None,
    logits: np.ndarray[Any, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Run the conformance suite.

    Parameters
    ----------
    selection : Selection
        What to run.
    operations : sequence of Operation, optional
        Operations with a specification to choose from, instead of those of this library.
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
    >>> report = run(Selection(("numpy",), ("entropy",), ("float32",), ("eager",), quick=True))
    >>> report.exit_status()
    0
    """
    there_are = {op.__name__: op for op in (OPERATIONS.values() if operations is None else operations)}
    require_known_selection(selection)
    require_known("operation", selection.operations, tuple(there_are))
    started = time.perf_counter()
    subjects = [
        Subject(operation, variant)
        for name, operation in there_are.items()
        if selection.operations is None or name in selection.operations
        for variant in (operation.specification.variants if operation.specification else ())
    ]
    contracts = {s.operation.__name__: s.specification.contract.text() for s in subjects}
    report = Report(contracts=contracts)
    bench = _Bench(selection, logits)
    at_work = bench
    steps: list[Step] = []
    try:
        steps.extend(plan(selection))
        if any(subject.precisions for subject in subjects):
            drawn = 0 if selection.quick or logits is not None else selection.drawn
            steps.extend(plan_precisions(steps, selection, drawn=drawn))
        for done, step in enumerate(steps):
            if progress is not None:
                progress(Progress(done, len(steps), step.label))
            if step.draw != at_work.draw:
                if at_work is not bench:
                    at_work.forget()
                at_work = bench if step.draw is None else _Bench(selection, logits, step.draw)
            found = at_work.run(step, bench.subjects_of(step, subjects))
            if step.precision == "default":
                report.cells.extend(found)
            else:
                report.precisions = joined([*report.precisions, *found])
        if progress is not None:
            progress(Progress(len(steps), len(steps), "done"))
    except KeyboardInterrupt:
        report.interrupted = True
    report.agreements = bench.agreements()
    report.environment = _environment({step.backend for step in steps})
    report.seconds = time.perf_counter() - started
    return report


# Running a step


class _Bench:
    """Runs steps on the cases, the user's logits or a draw, and keeps the exact results and those of the backends."""

    def __init__(self, selection: Selection, logits: np.ndarray[Any, Any] | None, draw: Draw | None = None) -> None:
        self.selection = selection
        self.logits = logits
        self.draw = draw
        self.groups = functools.lru_cache(maxsize=None)(self._make_groups)
        self.exact = functools.lru_cache(maxsize=None)(self._compute_exact)
        self.numpys = functools.lru_cache(maxsize=None)(self._compute_numpys)
        self._results: dict[tuple[Subject, str, str], dict[str, Any]] = {}

    def run(self, step: Step, subjects: Sequence[Subject]) -> list[Cell]:
        if step.problem:
            state = State.UNAVAILABLE if step.applicable else State.NOT_APPLICABLE
            return [_cell(step, subject, state, reason=step.problem) for subject in subjects]
        if step.mode == "gradient":
            without = [subject for subject in subjects if not subject.differentiable]
            if without:
                reason = "its contract says nothing of gradients"
                cells = [_cell(step, subject, State.NOT_APPLICABLE, reason=reason) for subject in without]
                return cells + self.run(step, [subject for subject in subjects if subject.differentiable])
        if step.precision != "default":
            beyond = {subject: words for subject in subjects if (words := self._limit(step, subject))}
            if beyond:
                cells = [_cell(step, s, State.NOT_APPLICABLE, reason=words) for s, words in beyond.items()]
                return cells + self.run(step, [subject for subject in subjects if subject not in beyond])
        backend = get_backend(step.backend)
        # warnings are of no interest here: what is wrong in the values is what is looked for
        with backend.allowing(step.dtype), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if step.compiler:
                return self._run_together(step, backend, subjects)
            return [cell for subject in subjects for cell in self._run_together(step, backend, [subject])]

    def _limit(self, step: Step, subject: Subject) -> str:
        """Why the operation documents that it does not do what a step asks for; "" if it does."""
        limit = functools.partial(subject.specification.limit, step.precision, step.dtype)
        # asked of the dtype first: to make the cases in it takes long
        return limit(0) or limit(max(group.operands["logits"].shape[-1] for group in self.groups(step.dtype).values()))

    def forget(self) -> None:
        """Let go of all that is kept: caches of methods keep their object, and draws are large."""
        for cache in (self.groups, self.exact, self.numpys):
            cache.cache_clear()

    def subjects_of(self, step: Step, subjects: Sequence[Subject]) -> Sequence[Subject]:
        """Those of the subjects that a step is about."""
        if step.precision == "default":
            return subjects
        found = [subject for subject in subjects if step.precision in subject.precisions]
        if self.selection.quick:
            found = _in_turn(found, 0)
            # one is enough to see that it compiles, which takes seconds for each
            return sorted(found, key=lambda subject: len(subject.sources))[:1] if step.compiler else found
        if step.draw is not None and step.draw.for_reductions:
            reductions = [s for s in found if self.exact(s, step.dtype, "one class", None)["value"].ndim == 1]
            return _in_turn(reductions, step.draw.number)
        return found

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

    def _verdicts(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> Sequence[Sequence[Verdict]]:
        if step.mode == "gradient":
            return self._gradients(step, backend, subjects)
        if step.compiler:
            return self._compiled(step, backend, subjects)
        check_one = self._eager if step.mode == "eager" else self._vmap
        return [list(check_one(step, backend, subject)) for subject in subjects]

    def _eager(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        found = list(self.groups(step.dtype).values())
        # natives of the other precisions are compiled for each shape and number
        few = self.selection.quick and step.precision != "default"
        for group in found[:2] if few else found:
            result = subject.call(step, _arrays(backend, step, group, subject))
            yield self._compare(step, backend, subject, group, result)
        if few or self.draw is not None:
            return
        if self.selection.quick and (step.form == "body" or step.dtype != lead_dtype(self.selection)):
            return
        group = next(iter(self.groups(step.dtype).values()))
        if subject.specification.takes_temperature:
            arrays = _arrays(backend, step, group, subject)
            for number in NUMBERS:
                result = subject.call(step, {**arrays, "temperature": number})
                yield self._compare(step, backend, subject, group, result, number)
        for group in self._large_groups(step.dtype):
            yield from self._layouts(step, backend, subject, group)

    def _layouts(self, step: Step, backend: Backend, subject: Subject, group: Group) -> Iterator[Verdict]:
        """The same rows from memory with gaps, and with the classes on the first axis: sums add up in another order."""
        strided = _arrays(backend, step, group, subject, layout=_with_gaps)
        yield self._compare(step, backend, subject, group, subject.call(step, strided))
        if not subject.takes_axis:
            return
        result = subject.call(step, _arrays(backend, step, group, subject, layout=_turned), axis=0)
        if len(backend.shape(result)) == 2:
            result = backend.namespace.permute_dims(result, (1, 0))
        yield self._compare(step, backend, subject, group, result)

    def _vmap(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        def one_row(*row: Array) -> Array:
            return subject.call(step, dict(zip(subject.sources, row, strict=True)))

        group = next(iter(self.groups(step.dtype).values()))
        mapped = Mode(step.mode).run(backend, one_row)
        result = mapped(*_arrays(backend, step, group, subject).values())
        yield self._compare(step, backend, subject, group, result)

    def _compiled(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[list[Verdict]]:
        sources = list(dict.fromkeys(source for subject in subjects for source in subject.sources.values()))

        def all_operations(*arrays: Array) -> tuple[Array, ...]:
            given = dict(zip(sources, arrays, strict=True))
            return tuple([s.call(step, {name: given[of] for name, of in s.sources.items()}) for s in subjects])

        verdicts: list[list[Verdict]] = [[] for _ in subjects]
        compiled = Mode(step.mode).run(backend, all_operations, compiler=step.compiler)
        for group in self._groups_to_compile(step, backend):
            arrays = [backend.asarray(group.operands[source], device=step.device) for source in sources]
            for subject, result, found in zip(subjects, compiled(*arrays), verdicts, strict=True):
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
                changed = [dict(each) for each, _ in given]
                for (k, name), array in zip(places, arrays, strict=True):
                    changed[k][name] = array
                parts = [
                    backend.namespace.sum(subject.call(step, each) * g)
                    for subject, each, (_, g) in zip(subjects, changed, given, strict=True)
                ]
                return functools.reduce(operator.add, parts)

            fn = backend.jit(total, compiler=step.compiler) if step.compiler else total
            one = backend.asarray(np.ones((), group.operands["g"].dtype), device=step.device)
            gradients = backend.vjp(fn, [given[k][0][name] for k, name in places], one)
            for (k, name), gradient in zip(places, gradients, strict=True):
                verdicts[k].append(self._compare_gradient(step, backend, subjects[k], group, name, gradient))
        return verdicts

    def _operands_and_cotangent(
        self, step: Step, backend: Backend, subject: Subject, group: Group
    ) -> tuple[dict[str, Array], Array]:
        g = group.operands["g"]
        if self.exact(subject, step.dtype, group.name, None)["value"].ndim < g.ndim:
            g = g[:, 0]
        return _arrays(backend, step, group, subject), backend.asarray(g, device=step.device)

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
        if step.precision != "default":
            return measure(
                actual,
                exact["value"],
                self.numpys(subject, step.precision, step.dtype, group.name, number),
                dtype=backend.dtype_name(result),
                expected_dtype=step.dtype,
                names=cases,
                magnitude=exact["magnitude"],
            )
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
        rows = _rows_with_gradient(wide.narrow(found["value"]), wide.narrow(exact))
        expected = group.operands[subject.sources[name]].dtype.name
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
        if self.draw is not None:
            return {str(self.draw): draw_group(self.draw, kind)}
        if self.logits is None:
            return groups(kind)
        return {"your logits": user_group(self.logits, kind)}

    def _compute_exact(self, subject: Subject, dtype: str, group_name: str, number: float | None) -> dict[str, Any]:
        """The reference's result with the bounds evaluated, for a group under its temperatures or one number."""
        contract, reference = subject.specification.contract, subject.specification.reference
        group = self.groups(dtype)[group_name]
        working = working_precision(dtype)
        given = {name: group.operands[source] for name, source in subject.sources.items()}
        if number is not None:
            given["temperature"] = np.full(given["temperature"].shape, number)
        operands = {name: _exact_operand(x, working) for name, x in given.items()}
        options = {k: v for k, v in subject.options.items() if k not in ("labels_as", "reduction")}
        with np.errstate(all="ignore"):
            exact = reference(*operands.values(), **options)
            value = exact["value"]
            magnitude = exact.get("magnitude", 0.0)
            if self.draw is not None:
                return {"value": value, "magnitude": magnitude}
            quantities = formula_quantities(contract, dtype, operands, exact)
            bound = contract.bound(**quantities)
            found: dict[str, Any] = {"value": value, "magnitude": magnitude, "bound": _fit(bound, value.shape)}
            if number is None and contract.gradients:
                g = group.operands["g"]
                g = wide.widen(g if value.ndim == g.ndim else g[:, 0], working)
                gradients = exact["gradients"](g)
                bounds = {n: contract.bound(n, **{**quantities, **gradients}) for n in contract.gradients}
                found["gradients"] = {n: gradients[n] for n in contract.gradients}
                found["gradients"]["bounds"] = {n: _fit(b, gradients[n].shape) for n, b in bounds.items()}
        return found

    def _compute_numpys(
        self, subject: Subject, precision: str, dtype: str, group_name: str, number: float | None
    ) -> np.ndarray[Any, Any]:
        """The result in NumPy, eagerly, whose bits all others are to have."""
        numpy = get_backend("numpy")
        step = Step("numpy", "cpu", dtype, "eager", precision=precision)
        arrays = _arrays(numpy, step, self.groups(dtype)[group_name], subject)
        if number is not None:
            arrays["temperature"] = number
        return np.asarray(subject.call(step, arrays))

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
        value = wide.narrow(exact["value"])
        u = 2.0**-53 if dtype == "float64" else 2.0**-24
        counted = np.isfinite(value) & (wide.narrow(exact["bound"]) < CONDITIONED * u * np.abs(value))
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


def _in_turn(subjects: Sequence[Subject], turn: int) -> list[Subject]:
    """One variant of each operation."""
    variants: dict[str, list[Subject]] = {}
    for subject in subjects:
        variants.setdefault(subject.operation.__name__, []).append(subject)
    return [found[turn % len(found)] for found in variants.values()]


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
    return x if x.dtype.kind == "i" else wide.widen(x, working)


def _arrays(
    backend: Backend,
    step: Step,
    group: Group,
    subject: Subject,
    layout: Callable[[Backend, np.ndarray[Any, Any], str], Array] | None = None,
) -> dict[str, Array]:
    """The arguments of an operation on a backend, by name."""
    make = layout or (lambda backend, x, device: backend.asarray(x, device=device))
    return {name: make(backend, group.operands[source], step.device) for name, source in subject.sources.items()}


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
        precision=step.precision,
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
    if step.precision != "default":
        return _measured(step, subject, [v for v in verdicts if isinstance(v, Measurement)], started)
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


def _measured(step: Step, subject: Subject, found: Sequence[Measurement], started: float) -> Cell:
    worst = max(found, key=lambda measurement: measurement.worst)
    differing = sum(measurement.differing for measurement in found)
    where = worst.where
    if step.precision == "reproducible" and differing:
        where = next(measurement.difference for measurement in found if measurement.differing)
    held = worst.held and (step.precision != "reproducible" or not differing)
    return _cell(
        step,
        subject,
        State.HELD if held else State.BROKEN,
        worst=worst.worst,
        where=where,
        elements=sum(measurement.elements for measurement in found),
        seconds=time.perf_counter() - started,
        differing=differing,
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
