"""What is run: one operation with one set of options, and the operands that it is given."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from tempscale._core.operation import Operation
from tempscale.backend import Array
from tempscale.contracts import Specification
from tempscale.reporting.report import OTHER_PRECISIONS
from tempscale.testing.conformance.cases import GENERAL, NAMED, SHARED
from tempscale.testing.conformance.plan import Step


@dataclass(frozen=True)
class Subject:
    """One operation with one set of options."""

    operation: Operation[..., Any]
    variant: str

    @property
    def specification(self) -> Specification:
        """What the operation promises, and the reference that it is held to."""
        assert self.operation.specification is not None
        return self.operation.specification

    @property
    def options(self) -> dict[str, Any]:
        """Options of the variant."""
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
    def shared(self) -> tuple[str, ...]:
        """Names of the arguments that are one for all rows."""
        return tuple(name for name, source in self.sources.items() if source in SHARED)

    @functools.cached_property
    def keywords(self) -> tuple[str, ...]:
        """Names of the arguments that the operation takes by keyword."""
        parameters = inspect.signature(self.operation).parameters.values()
        named = {"temperature", *[p.name for p in parameters if p.kind is p.KEYWORD_ONLY]}
        return tuple([name for name in self.sources if name in named])

    @property
    def takes_axis(self) -> bool:
        """Whether the operation takes an axis."""
        return "axis" in inspect.signature(self.operation).parameters

    @functools.cached_property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that the signature of the operation says it has, besides the default."""
        if "precision" not in inspect.signature(self.operation).parameters:
            return ()
        with contextlib.suppress(NameError):  # what can be told to a type checker only
            named = get_args(get_type_hints(self.operation.body)["precision"])
            return tuple(precision for precision in OTHER_PRECISIONS if precision in named)
        return ()

    def call(self, step: Step, arrays: Mapping[str, Array], **options: Any) -> Array:
        """Run the operation on arrays by argument, as its users call it in a precision, or its body."""
        operands = [array for name, array in arrays.items() if name not in self.keywords]
        given = {key: value for key, value in self.options.items() if key != "labels_as"}
        given |= {name: array for name, array in arrays.items() if name in self.keywords}
        if step.precision != "default":
            given["precision"] = step.precision
        fn = self.operation if step.form == "public" else self.operation.call_body
        return fn(*operands, **given, **options)

    def reference(self, operands: Mapping[str, Any]) -> dict[str, Any]:
        """Run the reference on operands by argument, in its precision."""
        options = {key: value for key, value in self.options.items() if key not in ("labels_as", "reduction")}
        return self.specification.reference(*operands.values(), **options)

    @property
    def key(self) -> tuple[str, str]:
        """Name of the operation, and of the variant."""
        return self.operation.__name__, self.variant
