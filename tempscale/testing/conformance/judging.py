"""Judging a result: whose array it is, on which device, of which shape and dtype, and how far from the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tempscale._reference.wide import as_floats
from tempscale.backend import Array, Backend
from tempscale.testing.check import Verdict, check
from tempscale.testing.conformance.bounds import Expected
from tempscale.testing.conformance.plan import Step

__all__ = ["judge"]


def judge(
    step: Step,
    backend: Backend,
    result: Array,
    expected: Expected,
    *,
    dtype: str,
    names: Sequence[str] = (),
    known: Any = True,
) -> Verdict:
    """Hold a result to the exact one.

    Parameters
    ----------
    result : array
        What the backend computed.
    expected : Expected
        What it must be.
    dtype : str
        What its dtype must be, if it is of floats; of integers any dtype will do.
    names : sequence of str, optional
        The case of each row, for the place of the worst element.
    known : array of bool, broadcastable to the result
        Which elements are compared; elsewhere anything goes, because nothing is defined.
    """
    misplaced = _misplaced(step, backend, result)
    if misplaced:
        return Verdict(np.inf, misplaced, 0)
    actual, exact, bound = backend.to_numpy(result), expected.value, expected.bound
    known = np.broadcast_to(known, np.shape(exact))
    if not known.all() and actual.shape == known.shape:
        exact = np.where(known, as_floats(exact), actual.astype(np.longdouble))
        bound = np.where(known, as_floats(bound), 0)
    found = backend.dtype_name(result)
    required = {"i": _integer(found), "u": _integer(found), "b": "bool"}.get(np.asarray(exact).dtype.kind, dtype)
    verdict = check(actual, exact, bound, dtype=found, expected_dtype=required, names=names)
    return replace(verdict, elements=int(known.sum()))


def _integer(dtype: str) -> str:
    return dtype if dtype.startswith(("int", "uint")) else "an integer dtype"


def _misplaced(step: Step, backend: Backend, result: Any) -> str:
    """Say whose array a result is, and where, if that is wrong."""
    own = isinstance(result, backend.array_types)
    # NumPy makes scalars of its own where other frameworks make arrays without axes
    if not own and not (isinstance(result, np.generic) and isinstance(np.asarray(result), backend.array_types)):
        return f"the result is a {type(result).__name__}, not an array of {backend.name}"
    if own and backend.device_of(result) != step.device:
        return f"device is {backend.device_of(result)}, expected {step.device}"
    return ""
