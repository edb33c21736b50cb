"""Running the steps: eagerly, mapped, compiled and differentiated; exact results, bounds, and agreement."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tempscale._core.registry import get_backend
from tempscale._reference import wide
from tempscale.backend import Array, Backend
from tempscale.reporting.report import Cell, State
from tempscale.testing.check import Verdict
from tempscale.testing.conformance.agreements import Agreements
from tempscale.testing.conformance.bounds import Expected
from tempscale.testing.conformance.cases import NUMBERS, Draw, Group
from tempscale.testing.conformance.cells import cell_of, failed, judged, not_run
from tempscale.testing.conformance.differentiating import Line, gradients
from tempscale.testing.conformance.judging import judge
from tempscale.testing.conformance.modes import DERIVED, Mode, quietly
from tempscale.testing.conformance.operands import arrays_of, directions, moved, turned, with_gaps
from tempscale.testing.conformance.plan import Selection, Step, lead_dtype
from tempscale.testing.conformance.precisions import measure
from tempscale.testing.conformance.references import References
from tempscale.testing.conformance.subjects import Subject
from tempscale.testing.moving import CannotMoveError


class Runner:
    """Runs steps on the cases, the user's logits or a draw, and keeps the exact results and those of the backends."""

    def __init__(self, selection: Selection, logits: np.ndarray[Any, Any] | None, draw: Draw | None = None) -> None:
        self.selection = selection
        self.draw = draw
        self.references = References(logits, draw)
        self.agreements = Agreements(self.references)

    def run(self, step: Step, subjects: Sequence[Subject]) -> list[Cell]:
        """Run subjects as a step says; a cell for each."""
        if step.problem:
            return [not_run(step, subject.key) for subject in subjects]
        reasons = {subject: self._not_applicable(step, subject) for subject in subjects}
        without = [cell_of(step, s.key, State.NOT_APPLICABLE, reason=reason) for s, reason in reasons.items() if reason]
        if without:
            return without + self.run(step, [subject for subject in subjects if not reasons[subject]])
        backend = get_backend(step.backend)
        with quietly(backend, step.dtype):
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
        return limit(0) or limit(max(group.classes for group in self.references.groups(step.dtype).values()))

    def _not_differentiated(self, step: Step, subject: Subject) -> str:
        """Why a step that differentiates is not about a subject; empty if it is."""
        if not subject.differentiable:
            return "its contract has no formulas for gradients"
        if step.mode in DERIVED:
            try:
                self.references.slopes(subject, step.dtype, self._to_differentiate(subject, step.dtype)[0].name, None)
            except CannotMoveError as error:
                return str(error)
        return ""

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
            reductions = [s for s in found if self.references.answer(s, step.dtype, "one class", None).value.ndim == 1]
            return _in_turn(reductions, step.draw.number)
        return found

    def _run_together(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[Cell]:
        """Run the subjects in one graph; one by one if that fails, to name which it is."""
        started = time.perf_counter()
        try:
            verdicts = self._verdicts(step, backend, subjects)
        except Exception as error:  # whatever a backend throws is a finding about it
            if len(subjects) == 1:
                return [failed(step, subjects[0].key, error, started)]
            return [cell for subject in subjects for cell in self._run_together(step, backend, [subject])]
        return [judged(step, s.key, v, started) for s, v in zip(subjects, verdicts, strict=True)]

    def _verdicts(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> Sequence[Sequence[Verdict]]:
        if step.mode == "gradient":
            return self._gradients(step, backend, subjects)
        if step.compiler:
            return self._compiled(step, backend, subjects)
        ways = {"eager": self._eager, "vmap": self._vmap, "forward": self._forward, "second": self._second}
        return [list(ways[step.mode](step, backend, subject)) for subject in subjects]

    def _eager(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        found = list(self.references.groups(step.dtype).values())
        # natives of the other precisions are compiled for each shape and number
        few = self.selection.quick and step.precision != "default"
        for group in found[:2] if few else found:
            result = subject.call(step, arrays_of(step, backend, group, subject))
            yield self._compare(step, backend, subject, group, result)
        if few or self.draw is not None:
            return
        if self.selection.quick and (step.form == "body" or step.dtype != lead_dtype(self.selection)):
            return
        group = next(iter(self.references.groups(step.dtype).values()))
        if subject.specification.takes_temperature:
            arrays = arrays_of(step, backend, group, subject)
            for number in NUMBERS:
                result = subject.call(step, {**arrays, "temperature": number})
                yield self._compare(step, backend, subject, group, result, number)
        for group in self._large_groups(step.dtype):
            yield from self._layouts(step, backend, subject, group)

    def _layouts(self, step: Step, backend: Backend, subject: Subject, group: Group) -> Iterator[Verdict]:
        """The same rows from memory with gaps, and with the classes on the first axis: sums add up in another order."""
        strided = arrays_of(step, backend, group, subject, layout=with_gaps)
        yield self._compare(step, backend, subject, group, subject.call(step, strided))
        if not subject.takes_axis:
            return
        result = subject.call(step, arrays_of(step, backend, group, subject, layout=turned), axis=0)
        if len(backend.shape(result)) == 2:
            result = backend.namespace.permute_dims(result, (1, 0))
        yield self._compare(step, backend, subject, group, result)

    def _vmap(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        group = next(iter(self.references.groups(step.dtype).values()))
        arrays = arrays_of(step, backend, group, subject)
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
            arrays = moved(step, backend, [group.operands[source] for source in sources])
            for subject, result, found in zip(subjects, compiled(*arrays), verdicts, strict=True):
                found.append(self._compare(step, backend, subject, group, result))
        return verdicts

    def _groups_to_compile(self, step: Step, backend: Backend) -> list[Group]:
        """Groups with a graph each. A quick run leaves the wide one to the graph that serves every shape."""
        found = self._large_groups(step.dtype)
        served = backend.unknown_dims and "unknown-dims" in self.selection.modes
        return found[:1] if self.selection.quick and step.mode == "compiled" and served else found

    def _large_groups(self, dtype: str) -> list[Group]:
        return [group for name, group in self.references.groups(dtype).items() if name not in ("one class", "empty")]

    def _to_differentiate(self, subject: Subject, dtype: str) -> list[Group]:
        """The large groups, without rows that are NaN if these would make gradients of all rows NaN."""
        found = self._large_groups(dtype)
        return [self.references.valid(subject, dtype, group.name) for group in found] if subject.shared else found

    def _gradients(self, step: Step, backend: Backend, subjects: Sequence[Subject]) -> list[list[Verdict]]:
        """Gradients of the sum of all results times their cotangents, each subject with operands of its own."""
        verdicts: list[list[Verdict]] = [[] for _ in subjects]
        for own in zip(*[self._to_differentiate(subject, step.dtype) for subject in subjects], strict=True):
            given = [self._operands_and_cotangent(step, backend, s, g) for s, g in zip(subjects, own, strict=True)]
            places = [(k, name) for k, s in enumerate(subjects) for name in s.differentiable]

            def results(*arrays: Array, given: Any = given, places: Any = places) -> list[Array]:
                changed = [dict(operands) for operands, _ in given]
                for (k, name), array in zip(places, arrays, strict=True):
                    changed[k][name] = array
                return [subject.call(step, operands) for subject, operands in zip(subjects, changed, strict=True)]

            arrays, cotangents = [given[k][0][name] for k, name in places], [g for _, g in given]
            found = gradients(step, backend, results, arrays, cotangents)
            for (k, name), gradient in zip(places, found, strict=True):
                verdicts[k].append(self._compare_gradient(step, backend, subjects[k], own[k], name, gradient))
        return verdicts

    def _operands_and_cotangent(
        self, step: Step, backend: Backend, subject: Subject, group: Group
    ) -> tuple[dict[str, Array], Array]:
        axes = self.references.answer(subject, step.dtype, group.name, None).value.ndim
        return arrays_of(step, backend, group, subject), *moved(step, backend, [group.cotangent(axes)])

    def _forward(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        """Derivatives of the value along a line, in forward mode."""
        for group, number in self._lines(step, subject):
            result = self._line(step, backend, subject, group, number).first()
            yield self._compare_derived(step, backend, subject, group, number, result)

    def _second(self, step: Step, backend: Backend, subject: Subject) -> Iterator[Verdict]:
        """Derivatives of the gradient along a line, in forward mode and in reverse mode: Hessians times vectors."""
        for group, number in self._lines(step, subject):
            for name, way, result in self._line(step, backend, subject, group, number).second():
                yield self._compare_derived(step, backend, subject, group, number, result, name, way)

    def _lines(self, step: Step, subject: Subject) -> Iterator[tuple[Group, float | None]]:
        """The groups, and the first of them once more with a number as temperature."""
        found = self._to_differentiate(subject, step.dtype)
        yield from [(group, None) for group in (found[:1] if self.selection.quick else found)]
        if subject.specification.takes_temperature:
            yield found[0], NUMBERS[0]

    def _line(self, step: Step, backend: Backend, subject: Subject, group: Group, number: float | None) -> Line:
        given, g = self._operands_and_cotangent(step, backend, subject, group)
        if number is not None:
            given["temperature"] = number
        names = directions(subject, group, number)

        def fn(*arrays: Array) -> Array:
            return subject.call(step, {**given, **dict(zip(names, arrays, strict=True))})

        tangents = dict(zip(names, moved(step, backend, names.values()), strict=True))
        return Line(step, backend, fn, {name: given[name] for name in names}, tangents, g)

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
        answer = self.references.answer(subject, step.dtype, group.name, number)
        actual = backend.to_numpy(result)
        cases = _cases(group, number)
        if step.precision != "default":
            return measure(
                actual,
                answer.value,
                self.references.numpys(subject, step.precision, step.dtype, group.name, number),
                dtype=backend.dtype_name(result),
                expected_dtype=step.dtype,
                names=cases,
                magnitude=answer.magnitude,
            )
        if step.mode == "eager" and step.form == "public":
            self.agreements.keep((subject, step.dtype, group.name, number), step.backend, actual)
        return judge(step, backend, result, Expected(answer.value, answer.bound), dtype=step.dtype, names=cases)

    def _compare_gradient(
        self, step: Step, backend: Backend, subject: Subject, group: Group, name: str, gradient: Array
    ) -> Verdict:
        answer = self.references.answer(subject, step.dtype, group.name, None)
        expected = answer.gradients[name]
        known = _rows_with_gradient(subject, name, wide.as_floats(answer.value), wide.as_floats(expected.value))
        cases = _places(f"d/d{name}, ", subject, name, group.cases, len(known))
        dtype = group.operands[subject.sources[name]].dtype.name
        return judge(step, backend, gradient, expected, dtype=dtype, names=cases, known=known)

    def _compare_derived(
        self,
        step: Step,
        backend: Backend,
        subject: Subject,
        group: Group,
        number: float | None,
        result: Array,
        name: str | None = None,
        way: str = "",
    ) -> Verdict:
        """Hold a derivative of the value, or of the gradient with respect to an argument, to its bound."""
        expected = self.references.slopes(subject, step.dtype, group.name, number)[name]
        value = wide.as_floats(self.references.answer(subject, step.dtype, group.name, number).value)
        if name is None:  # what is infinite does not move: its derivative is whatever is finite
            expected = replace(expected, bound=np.where(np.isinf(value), np.inf, expected.bound))
        known = _rows_with_gradient(subject, name, value, expected.value)
        dtype = step.dtype if name is None else group.operands[subject.sources[name]].dtype.name
        of = "along a line, " if name is None else f"d/d{name}, {way}, "
        cases = _places(of, subject, name, _cases(group, number), len(known))
        return judge(step, backend, result, expected, dtype=dtype, names=cases, known=known)


def _in_turn(subjects: Sequence[Subject], turn: int) -> list[Subject]:
    """One variant of each operation."""
    variants: dict[str, list[Subject]] = {}
    for subject in subjects:
        variants.setdefault(subject.operation.__name__, []).append(subject)
    return [found[turn % len(found)] for found in variants.values()]


def _places(of: str, subject: Subject, name: str | None, cases: Sequence[str], count: int) -> list[str]:
    """Name the entries of a derivative: by their cases, unless it is that of an argument that all rows share."""
    return [of + place for place in (map(str, range(count)) if name in subject.shared else cases)]


def _rows_with_gradient(subject: Subject, name: str | None, value: Any, gradient: Any) -> Any:
    """Rows to compare: not those whose value is NaN, nor those whose value is infinite and the gradient undefined.

    Of an argument that all rows share everything is compared.
    """
    if name in subject.shared:
        return np.ones(gradient.shape, bool)
    rows = (len(gradient), *(1,) * (gradient.ndim - 1))
    value, gradient = value.reshape(len(value), -1), gradient.reshape(len(value), -1)
    undefined = np.isinf(value).any(-1) & np.isnan(gradient).any(-1)
    return (~np.isnan(value).any(-1) & ~undefined).reshape(rows)


def _cases(group: Group, number: float | None) -> Sequence[str]:
    return group.cases if number is None else [f"{c}, but T = {number:g} as a number" for c in group.cases]
