"""Running the steps: eagerly, mapped, compiled and differentiated; exact results, bounds, and agreement."""

from __future__ import annotations

import functools
import operator
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tempscale._core.dispatch import backend_of
from tempscale._core.registry import get_backend
from tempscale._reference import wide
from tempscale.arrays import array_namespace
from tempscale.backend import Array, Backend
from tempscale.contracts import formula_quantities, working_precision
from tempscale.reporting.report import Agreement, Cell, State
from tempscale.testing.check import Verdict, check
from tempscale.testing.conformance.cases import NUMBERS, SEED, Draw, Group, draw_group, groups, user_group
from tempscale.testing.conformance.cells import cell_of, failed, judged
from tempscale.testing.conformance.modes import DERIVED, Mode
from tempscale.testing.conformance.operands import arrays_of, exact_operand, fitted, turned, with_gaps
from tempscale.testing.conformance.plan import Selection, Step, lead_dtype
from tempscale.testing.conformance.precisions import measure
from tempscale.testing.conformance.subjects import Subject
from tempscale.testing.moving import CannotMoveError, Moving
from tempscale.testing.ulp import ulp_distance

VALID = ", valid rows"
"""Of a group's name, where nothing else may reach the gradient of an argument that all rows share."""

CONDITIONED = 1024
"""Agreement is counted where the bound is below this many u of the value; elsewhere the problem itself loses digits."""


class Runner:
    """Runs steps on the cases, the user's logits or a draw, and keeps the exact results and those of the backends."""

    def __init__(self, selection: Selection, logits: np.ndarray[Any, Any] | None, draw: Draw | None = None) -> None:
        self.selection = selection
        self.logits = logits
        self.draw = draw
        self.groups = functools.lru_cache(maxsize=None)(self._make_groups)
        self.valid = functools.lru_cache(maxsize=None)(self._make_valid)
        self.exact = functools.lru_cache(maxsize=None)(self._compute_exact)
        self.numpys = functools.lru_cache(maxsize=None)(self._compute_numpys)
        self.derived = functools.lru_cache(maxsize=None)(self._compute_derived)
        self._results: dict[tuple[Subject, str, str], dict[str, Any]] = {}

    def run(self, step: Step, subjects: Sequence[Subject]) -> list[Cell]:
        """Run subjects as a step says; a cell for each."""
        if step.problem:
            state = State.UNAVAILABLE if step.applicable else State.NOT_APPLICABLE
            return [cell_of(step, subject, state, reason=step.problem) for subject in subjects]
        reasons = {subject: self._not_applicable(step, subject) for subject in subjects}
        without = [cell_of(step, s, State.NOT_APPLICABLE, reason=reason) for s, reason in reasons.items() if reason]
        if without:
            return without + self.run(step, [subject for subject in subjects if not reasons[subject]])
        backend = get_backend(step.backend)
        # warnings are of no interest here: what is wrong in the values is what is looked for
        with backend.allowing(step.dtype), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if step.compiler:
                return self._run_together(step, backend, subjects)
            return [cell for subject in subjects for cell in self._run_together(step, backend, [subject])]

    def _not_applicable(self, step: Step, subject: Subject) -> str:
        """Why a step is not about a subject; empty if it is."""
        if step.precision != "default":
            return self._limit(step, subject)
        return self._not_differentiated(step, subject) if step.mode in ("gradient", *DERIVED) else ""

    def _limit(self, step: Step, subject: Subject) -> str:
        """Why the operation documents that it does not do what a step asks for; "" if it does."""
        limit = functools.partial(subject.specification.limit, step.precision, step.dtype)
        # asked of the dtype first: to make the cases in it takes long
        return limit(0) or limit(max(group.operands["logits"].shape[-1] for group in self.groups(step.dtype).values()))

    def _not_differentiated(self, step: Step, subject: Subject) -> str:
        """Why a step that differentiates is not about a subject; empty if it is."""
        if not subject.differentiable:
            return "its contract has no formulas for gradients"
        if step.mode in DERIVED:
            try:
                self.derived(subject, step.dtype, self._to_differentiate(subject, step.dtype)[0].name, None)
            except CannotMoveError as error:
                return str(error)
        return ""

    def forget(self) -> None:
        """Let go of all that is kept: caches of methods keep their object, and draws are large."""
        for cache in (self.groups, self.valid, self.exact, self.numpys, self.derived):
            cache.cache_clear()

    def subjects_of(self, step: Step, subjects: Sequence[Subject]) -> Sequence[Subject]:
        """Those of the subjects that a step is about."""
        if step.precision == "default":
            return _in_turn(subjects, 0) if self.selection.quick and step.mode in DERIVED else subjects
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
                return [failed(step, subjects[0], error, started)]
            return [cell for subject in subjects for cell in self._run_together(step, backend, [subject])]
        return [judged(step, s, v, started) for s, v in zip(subjects, verdicts, strict=True)]

    def _verdicts(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> Sequence[Sequence[Verdict]]:
        if step.mode == "gradient":
            return self._gradients(step, backend, subjects)
        if step.compiler:
            return self._compiled(step, backend, subjects)
        ways = {"eager": self._eager, "vmap": self._vmap, "forward": self._forward, "second": self._second}
        return [list(ways[step.mode](step, backend, subject)) for subject in subjects]

    def _eager(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        found = list(self.groups(step.dtype).values())
        # natives of the other precisions are compiled for each shape and number
        few = self.selection.quick and step.precision != "default"
        for group in found[:2] if few else found:
            result = subject.call(step, arrays_of(backend, step, group, subject))
            yield self._compare(step, backend, subject, group, result)
        if few or self.draw is not None:
            return
        if self.selection.quick and (step.form == "body" or step.dtype != lead_dtype(self.selection)):
            return
        group = next(iter(self.groups(step.dtype).values()))
        if subject.specification.takes_temperature:
            arrays = arrays_of(backend, step, group, subject)
            for number in NUMBERS:
                result = subject.call(step, {**arrays, "temperature": number})
                yield self._compare(step, backend, subject, group, result, number)
        for group in self._large_groups(step.dtype):
            yield from self._layouts(step, backend, subject, group)

    def _layouts(self, step: Step, backend: Backend, subject: Subject, group: Group) -> Iterator[Verdict]:
        """The same rows from memory with gaps, and with the classes on the first axis: sums add up in another order."""
        strided = arrays_of(backend, step, group, subject, layout=with_gaps)
        yield self._compare(step, backend, subject, group, subject.call(step, strided))
        if not subject.takes_axis:
            return
        result = subject.call(step, arrays_of(backend, step, group, subject, layout=turned), axis=0)
        if len(backend.shape(result)) == 2:
            result = backend.namespace.permute_dims(result, (1, 0))
        yield self._compare(step, backend, subject, group, result)

    def _vmap(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        group = next(iter(self.groups(step.dtype).values()))
        arrays = arrays_of(backend, step, group, subject)
        by_row = [name for name in arrays if name not in subject.shared]

        def one_row(*row: Array) -> Array:
            return subject.call(step, {**arrays, **dict(zip(by_row, row, strict=True))})

        mapped = Mode(step.mode).run(backend, one_row)
        result = mapped(*[arrays[name] for name in by_row])
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

    def _to_differentiate(self, subject: Subject, dtype: str) -> list[Group]:
        """The large groups, without rows that are NaN if they would make the gradients of all rows NaN."""
        found = self._large_groups(dtype)
        return [self.valid(subject, dtype, group.name) for group in found] if subject.shared else found

    def _make_valid(self, subject: Subject, dtype: str, group_name: str) -> Group:
        value = wide.narrow(self.exact(subject, dtype, group_name, None)["value"])
        return self.groups(dtype)[group_name].only(~np.isnan(value), group_name + VALID)

    def _group(self, subject: Subject, dtype: str, name: str) -> Group:
        return (
            self.valid(subject, dtype, name.removesuffix(VALID)) if name.endswith(VALID) else self.groups(dtype)[name]
        )

    def _gradients(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[list[Verdict]]:
        """Gradients of the sum of all results times their cotangents, each subject with operands of its own."""
        verdicts: list[list[Verdict]] = [[] for _ in subjects]
        for own in zip(*[self._to_differentiate(subject, step.dtype) for subject in subjects], strict=True):
            given = [self._operands_and_cotangent(step, backend, s, g) for s, g in zip(subjects, own, strict=True)]
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
            one = backend.asarray(np.ones((), own[0].operands["g"].dtype), device=step.device)
            gradients = backend.vjp(fn, [given[k][0][name] for k, name in places], one)
            for (k, name), gradient in zip(places, gradients, strict=True):
                verdicts[k].append(self._compare_gradient(step, backend, subjects[k], own[k], name, gradient))
        return verdicts

    def _operands_and_cotangent(
        self, step: Step, backend: Backend, subject: Subject, group: Group
    ) -> tuple[dict[str, Array], Array]:
        g = group.operands["g"]
        if self.exact(subject, step.dtype, group.name, None)["value"].ndim < g.ndim:
            g = g[:, 0]
        return arrays_of(backend, step, group, subject), backend.asarray(g, device=step.device)

    def _forward(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        """Derivatives of the value along a line, in forward mode."""
        for line in self._lines(step, backend, subject):
            yield self._compare_derived(step, backend, line, None, backend.jvp(line.fn, line.arrays, line.tangents), "")

    def _second(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        """Derivatives of the gradient along a line, in forward mode and in reverse mode: Hessians times vectors."""
        for line in self._lines(step, backend, subject):
            reverse = backend.value_and_grad(lambda *arrays, of=line: (of.slope(*arrays), ()), line.arrays)[2]
            for k, name in enumerate(line.names):
                forward = backend.jvp(lambda *arrays, k=k, of=line: of.gradient(*arrays)[k], line.arrays, line.tangents)
                for result, way in ((forward, "forward over reverse, "), (reverse[k], "reverse over reverse, ")):
                    yield self._compare_derived(step, backend, line, name, result, way)

    def _lines(self, step: Step, backend: Backend, subject: Subject) -> Iterator[_Line]:
        """The groups, and the first of them once more with a number as temperature."""
        found = self._to_differentiate(subject, step.dtype)
        for group in found[:1] if self.selection.quick else found:
            yield self._line(step, backend, subject, group, None)
        if subject.specification.takes_temperature:
            yield self._line(step, backend, subject, found[0], NUMBERS[0])

    def _line(self, step: Step, backend: Backend, subject: Subject, group: Group, number: float | None) -> _Line:
        given, g = self._operands_and_cotangent(step, backend, subject, group)
        if number is not None:
            given["temperature"] = number
        directions = _direction(subject, group, number)

        def fn(*arrays: Array) -> Array:
            return subject.call(step, {**given, **dict(zip(directions, arrays, strict=True))})

        tangents = [backend.asarray(v, device=step.device) for v in directions.values()]
        arrays = [given[name] for name in directions]
        return _Line(backend, subject, group, number, tuple(directions), fn, arrays, g, tangents)

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
        cases = _cases(group, number)
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
        return _held_to(step, backend, result, exact["value"], exact["bound"], step.dtype, cases)

    def _compare_gradient(
        self, step: Step, backend: Backend, subject: Subject, group: Group, name: str, gradient: Array
    ) -> Verdict:
        found = self.exact(subject, step.dtype, group.name, None)
        exact, bound = found["gradients"][name], found["gradients"]["bounds"][name]
        rows = _rows_with_gradient(subject, name, wide.narrow(found["value"]), wide.narrow(exact))
        cases = _places(f"d/d{name}, ", subject, name, group.cases, len(exact))
        expected = group.operands[subject.sources[name]].dtype.name
        return _held_to(step, backend, gradient, exact, bound, expected, cases, rows)

    def _compare_derived(
        self, step: Step, backend: Backend, line: _Line, name: str | None, result: Array, way: str
    ) -> Verdict:
        """Hold a derivative of the value, or of the gradient with respect to an argument, to its bound."""
        subject, group, number = line.subject, line.group, line.number
        exact, bound = self.derived(subject, step.dtype, group.name, number)[name]
        value = wide.narrow(self.exact(subject, step.dtype, group.name, number)["value"])
        if name is None:  # what is infinite does not move: its derivative is whatever is finite
            bound = np.where(np.isinf(value), np.inf, bound)
        rows = _rows_with_gradient(subject, name, value, exact)
        expected = step.dtype if name is None else group.operands[subject.sources[name]].dtype.name
        of = "along a line, " if name is None else f"d/d{name}, {way}"
        cases = _places(of, subject, name, _cases(group, number), len(exact))
        return _held_to(step, backend, result, exact, bound, expected, cases, rows)

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
        group = self._group(subject, dtype, group_name)
        working = working_precision(dtype)
        given = {name: group.operands[source] for name, source in subject.sources.items()}
        if number is not None:
            given["temperature"] = np.full(given["temperature"].shape, number)
        operands = {name: exact_operand(x, working) for name, x in given.items()}
        options = {k: v for k, v in subject.options.items() if k not in ("labels_as", "reduction")}
        with np.errstate(all="ignore"):
            exact = reference(*operands.values(), **options)
            value = exact["value"]
            magnitude = exact.get("magnitude", 0.0)
            if self.draw is not None:
                return {"value": value, "magnitude": magnitude}
            quantities = formula_quantities(contract, dtype, operands, exact)
            bound = contract.bound(**quantities)
            found: dict[str, Any] = {"value": value, "magnitude": magnitude, "bound": fitted(bound, value.shape)}
            if number is None and contract.gradients:
                g = group.operands["g"]
                g = wide.widen(g if value.ndim == g.ndim else g[:, 0], working)
                gradients = exact["gradients"](g)
                bounds = {n: contract.bound(n, **{**quantities, **gradients}) for n in contract.gradients}
                found["gradients"] = {n: gradients[n] for n in contract.gradients}
                found["gradients"]["bounds"] = {n: fitted(b, gradients[n].shape) for n, b in bounds.items()}
        return found

    def _compute_derived(
        self, subject: Subject, dtype: str, group_name: str, number: float | None
    ) -> dict[str | None, tuple[Any, Any]]:
        """The derivatives along a line of the value, under None, and of the gradients, each with its bound."""
        group, working = self._group(subject, dtype, group_name), working_precision(dtype)
        operands = {k: exact_operand(group.operands[source], working) for k, source in subject.sources.items()}
        if number is not None:
            operands["temperature"] = np.full_like(operands["temperature"], number)
        directions = _direction(subject, group, number)
        for name, v in directions.items():
            operands[name] = Moving.along(operands[name], wide.widen(v, working))
        options = {k: v for k, v in subject.options.items() if k not in ("labels_as", "reduction")}
        u = subject.specification.contract.units(dtype)["u"]
        with np.errstate(all="ignore"):
            exact = subject.specification.reference(*operands.values(), **options)
            g = group.operands["g"]
            g = wide.widen(g if exact["value"].ndim == g.ndim else g[:, 0], working)
            gradients = exact["gradients"](Moving.along(g, np.zeros_like(g)))
            slopes = {None: exact["value"].slope} | {name: gradients[name].slope for name in directions}
        # where the bound of the gradient is infinite the gradient jumps
        bounds = self.exact(subject, dtype, group_name, None)["gradients"]["bounds"]
        jumps = {None: 0.0} | {n: np.where(np.isinf(b).any(-1, keepdims=True), np.inf, 0) for n, b in bounds.items()}
        return {n: (wide.narrow(slope.value), u * slope.error + jumps[n]) for n, slope in slopes.items()}

    def _compute_numpys(
        self, subject: Subject, precision: str, dtype: str, group_name: str, number: float | None
    ) -> np.ndarray[Any, Any]:
        """The result in NumPy, eagerly, whose bits all others are to have."""
        numpy = get_backend("numpy")
        step = Step("numpy", "cpu", dtype, "eager", precision=precision)
        arrays = arrays_of(numpy, step, self.groups(dtype)[group_name], subject)
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


def _rows_with_gradient(subject: Subject, name: str | None, value: Any, gradient: Any) -> Any:
    """Rows to compare: not those whose value is NaN, nor those whose value is infinite and the gradient undefined.

    Of an argument that all rows share everything is compared.
    """
    if name in subject.shared:
        return ...
    value, gradient = value.reshape(len(value), -1), gradient.reshape(len(value), -1)
    undefined = np.isinf(value).any(-1) & np.isnan(gradient).any(-1)
    return ~np.isnan(value).any(-1) & ~undefined


@dataclass(frozen=True)
class _Line:
    """A subject as a function of what it is differentiated in, and a line through the arguments."""

    backend: Backend
    subject: Subject
    group: Group
    number: float | None
    names: tuple[str, ...]
    fn: Callable[..., Array]
    arrays: Sequence[Array]
    cotangent: Array
    tangents: Sequence[Array]

    def gradient(self, *arrays: Array) -> Sequence[Array]:
        """Gradients of the sum of the results times their cotangents."""
        return self.backend.value_and_grad(lambda *arrays: (_total(self.fn(*arrays) * self.cotangent), ()), arrays)[2]

    def slope(self, *arrays: Array) -> Array:
        """The derivative of that sum along the line."""
        parts = zip(self.gradient(*arrays), self.tangents, strict=True)
        return functools.reduce(operator.add, [_total(part * v) for part, v in parts])


def _direction(subject: Subject, group: Group, number: float | None) -> dict[str, np.ndarray[Any, Any]]:
    """Where the arguments that a subject is differentiated in move; a number as temperature does not."""
    rng = np.random.default_rng(SEED)
    names = [name for name in subject.differentiable if number is None or name != "temperature"]
    operands = {name: group.operands[subject.sources[name]] for name in names}
    return {name: rng.standard_normal(x.shape).astype(x.dtype) for name, x in operands.items()}


def _cases(group: Group, number: float | None) -> Sequence[str]:
    return group.cases if number is None else [f"{c}, but T = {number:g} as a number" for c in group.cases]


def _places(of: str, subject: Subject, name: str | None, cases: Sequence[str], count: int) -> list[str]:
    """Name the entries of a derivative: by their cases, unless it is that of an argument that all rows share."""
    return [of + place for place in (map(str, range(count)) if name in subject.shared else cases)]


def _total(x: Array) -> Array:
    """The sum of all entries, in float64 or float32: parts of several dtypes can be added."""
    xp, backend = array_namespace(x), backend_of(x)
    return xp.astype(xp.sum(x), backend.dtype(working_precision(backend.dtype_name(x))))


def _held_to(
    step: Step,
    backend: Backend,
    result: Array,
    exact: Any,
    bound: Any,
    expected_dtype: str,
    cases: Sequence[str],
    rows: Any = ...,
) -> Verdict:
    """Hold some rows of a result to their bound, and all of it to a dtype and to the device of the step."""
    device, dtype = backend.device_of(result), backend.dtype_name(result)
    if device != step.device:
        return Verdict(np.inf, f"device is {device}, expected {step.device}", 0)
    actual, names = backend.to_numpy(result), list(np.asarray(cases, object)[rows])
    return check(actual[rows], exact[rows], bound[rows], dtype=dtype, expected_dtype=expected_dtype, names=names)
