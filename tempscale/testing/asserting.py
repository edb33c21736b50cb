"""Assertions about functions on arrays of any framework, for the tests of those who write such functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tempscale._core.arguments import as_flag, as_integer
from tempscale._core.mistakes import in_words, shown
from tempscale._core.registry import backends as installed_backends
from tempscale._core.registry import get_backend
from tempscale._reference.wide import WIDE_LONGDOUBLE
from tempscale.arrays import to_numpy
from tempscale.backend import FLOATS, Array
from tempscale.comparison import compare
from tempscale.contracts import Contract
from tempscale.reporting.report import Cell, Report, State
from tempscale.testing.check import Place
from tempscale.testing.claims import Claim, Finding, Host
from tempscale.testing.comparing import Comparison
from tempscale.testing.conformance.cells import cell_of, failed, judged, not_run
from tempscale.testing.conformance.modes import BASIC, quietly
from tempscale.testing.conformance.plan import DTYPES, Selection, Step, plan, require_known_selection
from tempscale.testing.projecting import Projection
from tempscale.testing.ulp import ulp_distance

__all__ = ["assert_conforms", "assert_same_model", "assert_ulp", "gradcheck"]

SHOWN = 6
"""Number of broken combinations that are shown in full; each of the others has one line."""


@in_words
def assert_conforms(
    fn: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    contract: Contract | str | None = None,
    backends: Iterable[str] | None = None,
    modes: Iterable[str] = BASIC,
    dtypes: Iterable[str] = DTYPES,
    devices: Iterable[str] | None = None,
    quick: bool = False,
    allow_unavailable: bool = False,
    **options: Any,
) -> Report:
    """Assert that a function gives the numbers of a reference on every backend, in every mode and dtype.

    Parameters
    ----------
    fn : callable
        An `agnostic` function, or any function on arrays of any framework. Where an agnostic function has a native
        for a backend, both the native and the body are checked.
    *args : array, number, tree of arrays
        Its arguments: NumPy arrays, or dicts, lists, tuples and dataclasses of them. Floats are cast to each dtype
        first; integers become 32-bit integers where they fit; Python numbers stay as they are.
    reference : callable, optional
        The function in NumPy, for arguments in a precision higher than is checked: float64, and longdouble for
        float64. It is given the values that the framework is given, widened. It returns the exact value, or a dict
        of the exact ``value``, of quantities for the contract, and of ``gradients``, as `Specification` has it.
        By default that of the function's own specification, or else its agnostic body in the higher precision: this
        finds what a framework computes differently from the body, and no mistake in the body itself.
    contract : Contract or str
        How far from the reference a result may be. A formula alone is a bound on |computed - exact| in ``u`` (half
        an ulp of 1 in the dtype of the arguments), ``tiny``, ``n``, ``value``, the names of the arguments and of
        what the reference returns: it is ``Contract(formula, widens=False)``. By default that of the function's own
        specification.
    backends, modes, dtypes, devices : iterable of str, optional
        What to run; by default everything, on every installed backend. The modes "forward" and "second" exist only
        in `tempscale conform`.
    quick : bool
        Only eager runs have all dtypes and the body; the other modes have float32.
    allow_unavailable : bool
        Whether to accept that something cannot run on this machine, for example without a compiler.
    **options
        Passed to the function and to the reference.

    Returns
    -------
    Report
        Of what was run.

    Raises
    ------
    AssertionError
        If a value, a NaN, an infinity, a gradient, a shape, a dtype or a device is wrong, if a call raises, or if
        nothing could be checked. The message shows the worst element of each combination.

    Notes
    -----
    "vmap" maps over several sets of the arguments, rolled along their last axis so that they differ. "gradient"
    differentiates eagerly and compiled. Where the contract has formulas for gradients, the reference's gradients are
    compared. Where it has not, differences of the reference are, as `gradcheck` does, but element by element: half
    of the digits have to be right, which finds a derivative that is wrong, not one that is a few ulp off. Elements
    where there is no derivative, or that are not finite, are left out then.

    Examples
    --------
    >>> import numpy, tempscale
    >>> from tempscale.testing import assert_conforms
    >>> @tempscale.agnostic
    ... def square(x, /, *, xp):
    ...     return x * x
    >>> x = numpy.linspace(-3, 3, 7)
    >>> report = assert_conforms(square, x, contract="u*abs(value) + tiny", backends=["numpy"], dtypes=["float32"])
    >>> sorted({cell.mode for cell in report.cells if cell.state == "held"})[0]
    'eager'
    """
    specification = getattr(fn, "specification", None)
    if specification is not None:
        reference, contract = reference or specification.reference, contract or specification.contract
    if contract is None:
        raise TypeError(
            'assert_conforms needs a contract: a Contract, or a formula such as "4*u*abs(value) + tiny" for '
            "4 rounding errors; tempscale.contracts says what a formula can name"
        )
    bounds = Contract(contract, widens=False) if isinstance(contract, str) else contract
    claim = Claim(fn, args, reference, options)
    return _run(Comparison(claim, bounds), _selection(backends, modes, dtypes, devices, quick), allow_unavailable)


@in_words
def gradcheck(
    fn: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    backends: Iterable[str] | None = None,
    dtypes: Iterable[str] = ("float32", "float64"),
    directions: int = 4,
    quick: bool = False,
    allow_unavailable: bool = False,
    **options: Any,
) -> Report:
    """Assert that the derivative of a function is that of its reference, on every backend that differentiates.

    Parameters
    ----------
    fn, *args, reference, backends, dtypes, quick, allow_unavailable, **options
        As for `assert_conforms`; a quick run does not differentiate what is compiled. The reference has to be smooth
        around the arguments.
    directions : int
        Number of random directions to differentiate along. One nearly always finds a derivative that is wrong
        anywhere, whatever the size of the arguments.

    Returns
    -------
    Report
        Of what was run.

    Raises
    ------
    AssertionError
        If a derivative is wrong, or nothing could be checked.

    Notes
    -----
    For a random cotangent g and a random direction d it compares <vjp(g), d> with the derivative of <g, f(x + t d)>
    with respect to t, from central differences of the reference (float64; longdouble for float64), extrapolated. The
    bound is the square root of u times the magnitudes that are added up, and what the differences err: half of the
    digits of the dtype have to be right. So it finds derivatives that are wrong. To bound how exact they are takes a
    closed form: a `Contract` with formulas for gradients, and `assert_conforms`.

    Examples
    --------
    >>> import numpy, tempscale
    >>> from tempscale.testing import gradcheck
    >>> x = numpy.linspace(-1, 1, 5)
    >>> report = gradcheck(tempscale.softmax, x, reference=lambda x: numpy.exp(x) / numpy.exp(x).sum())
    >>> report.exit_status()
    0
    """
    claim = Claim(fn, args, reference, options)
    directions = as_integer(directions, "directions")
    if directions < 1:
        raise ValueError(f"directions is {directions}, expected at least 1")
    return _run(
        Projection(claim, directions), _selection(backends, ("gradient",), dtypes, None, quick), allow_unavailable
    )


@in_words
def assert_ulp(actual: Array, expected: Any, max_ulp: int, dtype: str | None = None) -> None:
    """Assert that no element is more than `max_ulp` numbers of its dtype away from what is expected.

    Parameters
    ----------
    actual : array
        An array of any framework.
    expected : array
        Of any framework, of the same shape; of the same dtype or more precise.
    max_ulp : int
        The largest distance allowed. See `ulp_distance`: numbers below the normal ones count as zero, NaN equals
        NaN.
    dtype : str, optional
        The dtype whose numbers are counted; by default that of `actual`.

    Examples
    --------
    >>> import numpy
    >>> from tempscale.testing import assert_ulp
    >>> assert_ulp(numpy.float32([1.0, 2.0]), [1.0, 2.0 + 2**-22], 1)
    >>> assert_ulp(numpy.float32([1.0, 2.0]), [1.0, 2.5], 1)
    Traceback (most recent call last):
        ...
    AssertionError: [1] is 2, expected 2.5: 2097152 ulp of float32 apart, 1 allowed
    """
    got, wanted = to_numpy(actual), to_numpy(expected)
    dtype = dtype or got.dtype.name
    if dtype not in FLOATS:
        raise TypeError(f"an ulp is a unit of floats, and actual is {dtype}: pass dtype=")
    if got.shape != wanted.shape:
        raise AssertionError(f"shape is {got.shape}, expected {wanted.shape}")
    distance = ulp_distance(got, wanted, dtype)
    if distance.size and distance.max() > max_ulp:
        index = np.unravel_index(int(np.argmax(distance)), distance.shape)
        place = ", ".join(str(int(i)) for i in index)
        raise AssertionError(
            f"[{place}] is {float(got[index]):.9g}, expected {float(wanted[index]):.9g}: "
            f"{int(distance[index])} ulp of {dtype} apart, {max_ulp} allowed"
        )


# The run


def _selection(
    backends: Iterable[str] | None,
    modes: Iterable[str],
    dtypes: Iterable[str],
    devices: Iterable[str] | None,
    quick: bool,
) -> Selection:
    chosen = Selection(
        backends=installed_backends() if backends is None else _names(backends, "backends"),
        modes=_names(modes, "modes"),
        dtypes=_names(dtypes, "dtypes"),
        devices=None if devices is None else _names(devices, "devices"),
        quick=as_flag(quick, "quick"),
    )
    require_known_selection(chosen)
    return chosen


def _names(given: Any, name: str) -> tuple[str, ...]:
    if isinstance(given, Iterable) and not isinstance(given, str):
        names = tuple(given)
        if all(isinstance(each, str) for each in names):
            return names
    raise TypeError(f"{name} is {shown(given)}, expected a list of names")


def _run(comparison: Comparison | Projection, selection: Selection, allow_unavailable: bool) -> Report:
    claim = comparison.claim
    started = time.perf_counter()
    report = Report(contracts={claim.name: comparison.text})
    failures: list[tuple[Cell, str]] = []
    for step in plan(selection):
        cell, words = _cell(comparison, step)
        if cell is None:
            continue
        report.cells.append(cell)
        if cell.state is State.BROKEN:
            failures.append((cell, words))
    report.seconds = time.perf_counter() - started
    if failures:
        raise AssertionError(_message(comparison, report, failures))
    _require_checked(claim, report, allow_unavailable)
    return report


def _cell(comparison: Comparison | Projection, step: Step) -> tuple[Cell | None, str]:
    """Run one step; None if it would only repeat another."""
    claim, title = comparison.claim, (comparison.claim.name, "")
    if not step.problem and step.dtype == "float64" and not WIDE_LONGDOUBLE:
        problem = "longdouble is float64 on this machine, so there is nothing more precise to compare with"
        step = replace(step, problem=problem)
    if step.problem:
        return not_run(step, title), ""
    backend = get_backend(step.backend)
    if step.form == "body" and not claim.has_body_of_its_own(backend):
        return None, ""
    not_applicable = claim.limit(step.dtype) or comparison.not_applicable(step)
    if not_applicable:
        return cell_of(step, title, State.NOT_APPLICABLE, reason=not_applicable), ""
    started = time.perf_counter()
    try:
        with quietly(backend, step.dtype):
            found = comparison.compare(step, backend)
    except Exception as error:  # whatever a backend throws is a finding about it
        cell = failed(step, title, error, started)
        return cell, f"    {cell.reason}"
    cell = judged(step, title, [each.named for each in found], started)
    worst = max(found, key=lambda each: each.verdict.worst)
    return cell, "" if worst.verdict.held else _words(claim, worst)


def _require_checked(claim: Claim, report: Report, allow_unavailable: bool) -> None:
    missing = {f"{c.backend}, {c.dtype}, {c.mode}: {c.reason}" for c in report.cells if c.state is State.UNAVAILABLE}
    if missing and not allow_unavailable:
        listed = "\n".join(f"    {line}" for line in sorted(missing))
        raise AssertionError(
            f"{claim.name} could not be checked everywhere; select what is there, or pass allow_unavailable=True\n"
            f"{listed}"
        )
    if not report.count(State.HELD):
        reasons = "\n".join(f"    {line}" for line in sorted({c.reason for c in report.cells}))
        raise AssertionError(f"nothing of {claim.name} was checked\n{reasons}")


# The message


def _message(comparison: Comparison | Projection, report: Report, failures: Sequence[tuple[Cell, str]]) -> str:
    failures = sorted(failures, key=lambda failure: -failure[0].worst)
    ran = sum(cell.state.ran for cell in report.cells)
    lines = [f"{comparison.claim.name} does not conform: {len(failures)} of {ran} combinations are broken, worst first"]
    for cell, words in failures[:SHOWN]:
        lines += ["", _circumstances(cell), words]
    if len(failures) > SHOWN:
        lines += ["", *(f"{_circumstances(cell)}: {cell.reason}" for cell, _ in failures[SHOWN:])]
    return "\n".join([*lines, "", "contract", *(f"    {line}" for line in comparison.text.splitlines())])


def _circumstances(cell: Cell) -> str:
    form = ", agnostic body" if cell.form == "body" else ""
    return f"{cell.backend} {get_backend(cell.backend).version} on {cell.device}, {cell.dtype}, {cell.way}{form}"


def _words(claim: Claim, found: Finding) -> str:
    place = found.verdict.place
    about = f"{found.what} " if found.what else ""
    if place is None:
        lines = [about + found.verdict.where]
    else:
        at = f"[{', '.join(map(str, place.index))}]"
        lines = [
            f"{about}{at or found.verdict.where} is {place.actual:.9g}, the reference {place.exact:.9g}",
            _distance(place, found.verdict.worst),
            *_inputs(claim, found.arrays, place.index),
        ]
    if found.verdict.order:
        lines.append(f"the values are right, their order is not: {found.verdict.order}")
    return "\n".join(f"    {line}" for line in lines)


def _distance(place: Place, times: float) -> str:
    if not (np.isfinite(place.actual) and np.isfinite(place.exact)):
        return "NaN and infinities have to agree with those of the reference"
    return f"{_ulp(place.error)} ulp off, {_ulp(place.bound)} allowed: {times:.3g} times the bound"


def _ulp(value: float) -> str:
    return f"{value:.3g}" if value < 1e6 else f"{value:.1e}"


def _inputs(claim: Claim, arrays: Sequence[Host], index: tuple[int, ...]) -> list[str]:
    """The arguments at an index of the result: the element, where they have one there."""
    lines = []
    for path, x in zip(claim.paths, arrays, strict=False):
        if x.ndim <= len(index) and all(
            i < n or n == 1 for i, n in zip(index[len(index) - x.ndim :], x.shape, strict=True)
        ):
            at = tuple(0 if n == 1 else i for i, n in zip(index[len(index) - x.ndim :], x.shape, strict=True))
            lines.append(f"{path} = {float(x[at]):.9g} there")
        else:
            lines.append(f"{path} has shape {x.shape}")
    return lines


def assert_same_model(a: Any, b: Any, x: Any, /) -> None:
    """Assert that two models, each in its own framework, compute the same up to rounding.

    Parameters
    ----------
    a, b, x
        Two models, and what they are called with; see `tempscale.compare`.

    Raises
    ------
    AssertionError
        If a layer differs, or should be looked at. The message is the whole report: the layer, and why.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from tempscale.testing import assert_same_model
    >>> a, b = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    >>> _ = b.load_state_dict(a.state_dict())
    >>> assert_same_model(a, b, np.ones((4, 3), "float32"))
    """
    compare(a, b, x).raise_if_different()
