"""Numeric contracts: error bounds as formulas, in one text that is documented, printed and evaluated.

A contract bounds ``|computed - exact|`` for every element, where *exact* is the result for the exact values
of the inputs. Its formula is an expression in

* ``u``, half an ulp of 1 in the working precision (2^-24 for float16, bfloat16 and float32; 2^-53 for float64),
* ``tiny``, the smallest normal number of the working precision (TensorFlow and JAX flush what is below),
* ``n``, the number of classes, and
* the quantities that condition the operation, which its legend names.

Derivatives in forward mode and of second order have no formula of their own. Their bound is that of an error analysis
of the reference's closed forms, step by step (CONTRIBUTING.md, "Deriving a numeric contract").

For float16 and bfloat16 one rounding of the exact result is added: half the spacing of the dtype there. A function
that computes in these dtypes themselves, without widening them, says so; ``u`` and ``tiny`` are then those of the
dtype of its arguments.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Contract", "Specification"]


def _row_sum(x: Any) -> Any:
    return np.sum(x, axis=-1, keepdims=True)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "log": np.log,
    "log2": np.log2,
    "max": np.maximum,
    "min": np.minimum,
    "sqrt": np.sqrt,
    "sum": _row_sum,
}

# name: (half an ulp of 1, smallest normal number)
_UNITS = {
    "float16": (2.0**-11, 2.0**-14),
    "bfloat16": (2.0**-8, 2.0**-126),
    "float32": (2.0**-24, 2.0**-126),
    "float64": (2.0**-53, 2.0**-1022),
}


def working_precision(dtype: str) -> str:
    """Name of the dtype in which the operations of this library compute for arguments of a float dtype."""
    return "float64" if dtype == "float64" else "float32"


@dataclass(frozen=True)
class Contract:
    """Error bounds of an operation and of its gradients.

    Parameters
    ----------
    value : str
        Bound on the error of each element of the result. ``sum`` runs along the classes.
    gradients : mapping of str to str
        Bound on the error of the gradient with respect to each argument, by the argument's name, for a
        cotangent ``g``.
    legend : mapping of str to str
        What the quantities in the formulas are.
    widens : bool
        Whether float16 and bfloat16 are computed in float32 and rounded at the end. If not, ``u`` is half an ulp of
        1 in the dtype of the arguments, whatever it is.

    Examples
    --------
    >>> contract = Contract("(3*abs(z) + 8 + log2(n)) * u * p + tiny", legend={"p": "the exact result"})
    >>> float(contract.bound(z=0.0, n=8, u=2.0**-24, p=0.5, tiny=0.0) * 2**25)
    11.0
    """

    value: str
    gradients: Mapping[str, str] = field(default_factory=dict)
    legend: Mapping[str, str] = field(default_factory=dict)
    widens: bool = True

    def units(self, dtype: str) -> dict[str, float]:
        """Return ``u`` and ``tiny`` for arguments of a float dtype.

        Examples
        --------
        >>> Contract("2*u").units("float16")["u"] == 2**-24
        True
        >>> Contract("2*u", widens=False).units("float16")["u"] == 2**-11
        True
        """
        u, tiny = _UNITS[working_precision(dtype) if self.widens else dtype]
        return {"u": u, "tiny": tiny}

    def bound(self, of: str | None = None, /, **quantities: Any) -> Any:
        """Evaluate the bound for the value, or for the gradient with respect to the argument `of`."""
        formula = self.value if of is None else self.gradients[of]
        # The formula is this library's or a test author's own code, written as text so that it can be shown.
        return eval(compile(formula, "<contract>", "eval"), {"__builtins__": {}}, {**_FUNCTIONS, **quantities})

    def text(self) -> str:
        """Return the contract as lines of text: the same for the docs, the report and the docstring."""
        lines = [f"|error| <= {self.value}"]
        lines += [f"|error of d/d{name}| <= {formula}" for name, formula in self.gradients.items()]
        lines += [f"{name}: {meaning}" for name, meaning in self.legend.items()]
        if not self.widens:
            lines.append("u: half an ulp of 1 in the dtype of the arguments")
        return "\n".join(lines)

    def document(self, doc: str | None) -> str:
        """Return `doc` with the contract put in the place of the words ``(numeric contract)``, or at its end."""
        doc = inspect.cleandoc(doc or "")
        block = "Numeric contract (see `tempscale.contracts`)::\n\n" + textwrap.indent(self.text(), "    ")
        return doc.replace("(numeric contract)", block) if "(numeric contract)" in doc else f"{doc}\n\n{block}\n"


def no_limit(precision: str, dtype: str, classes: int) -> str:
    """Say that an operation refuses nothing; see `Specification`."""
    return ""


@dataclass(frozen=True)
class Specification:
    """What an operation has to compute, and how exactly: all that the conformance run needs to know of it.

    Parameters
    ----------
    contract : Contract
        The error bounds.
    reference : callable
        The operation in NumPy at a higher precision than is tested, on rows (the classes are the last axis).
        Its parameters name the operands that the run supplies: ``logits``, ``p_logits``, ``q_logits``,
        ``labels`` and ``temperature`` (shape ``(rows, 1)``); any other name stands for rows of floats. It returns
        a dict of the exact ``value``, the quantities of the contract, and ``gradients``: a function of a cotangent
        ``g`` (shaped as the value) that returns a dict of exact gradients by operand, and of further quantities. Where
        the value is a sum that may cancel, ``magnitude`` is that of its terms, to which `precision` is held there.
    variants : mapping of str to mapping
        Sets of keyword options to run the operation with, by a name for the report. They are passed to the
        reference as well.
    limit : callable, optional
        ``limit(precision, dtype, classes)``: what the operation documents that it refuses, in words, or "". The run
        says "not applicable" of it, and does not call the operation.
    """

    contract: Contract
    reference: Callable[..., dict[str, Any]]
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    limit: Callable[[str, str, int], str] = no_limit

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands, in the order in which the operation takes them; temperature aside."""
        return tuple(
            name
            for name, parameter in inspect.signature(self.reference).parameters.items()
            if parameter.kind is not parameter.KEYWORD_ONLY and name != "temperature"
        )

    @property
    def takes_temperature(self) -> bool:
        """Whether the operation has a temperature."""
        return "temperature" in inspect.signature(self.reference).parameters


def formula_quantities(
    contract: Contract, dtype: str, arguments: Mapping[str, Any], exact: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a formula can name: the arguments, what the reference returns, ``value``, ``u`` and ``tiny``.

    ``n`` is the length of the last axis of the first argument that has one, unless the reference says otherwise.
    """
    shapes = [np.shape(x) for x in arguments.values()]
    n = next((shape[-1] for shape in shapes if shape), 1)
    found = {key: quantity for key, quantity in exact.items() if key != "gradients"}
    return {"n": n, **arguments, **found, **contract.units(dtype)}
