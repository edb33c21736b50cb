"""References that move along a line: the derivatives, and the bounds that forward mode and second order are held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from differentiable import LABELS, OPERATIONS, TEMPERATURE, cotangent_of, direction, operands_of

from tempscale._core.operation import OPERATIONS as SPECIFIED
from tempscale._reference import wide
from tempscale.testing.moving import CannotMoveError, Moving

STEP = 2.0**-40
Widen = Callable[[Any], Any]

each_operation = pytest.mark.parametrize("name", OPERATIONS)


def float64(x: Any) -> Any:
    return wide.to_wide(x, "float32")


def longdouble(x: Any) -> Any:
    return wide.to_wide(x, "float64", longdouble=True)


def mpmath(x: Any) -> Any:
    return wide.to_wide(x, "float64", longdouble=False)


def arguments_of(name: str) -> dict[str, Any]:
    """What is differentiated, by name."""
    names = ("p_logits", "q_logits") if name == "kl_divergence" else ("logits",)
    return dict(zip((*names, "temperature"), (*operands_of(name), TEMPERATURE), strict=True))


def reference(name: str, arguments: Any, g: Any) -> tuple[Any, dict[str, Any]]:
    """The value, and the gradients by argument."""
    specification = SPECIFIED[name].specification
    assert specification is not None
    *operands, temperature = arguments
    labels = [LABELS] if name == "cross_entropy" else []
    with np.errstate(all="ignore"):
        exact = specification.reference(*operands, *labels, temperature)
        gradients = exact["gradients"](g)
    return exact["value"], {argument: gradients[argument] for argument in arguments_of(name)}


def moving(name: str, widen: Widen) -> tuple[Any, dict[str, Any]]:
    """The same of arguments that move."""
    starts, directions = arguments_of(name).values(), direction(name, TEMPERATURE)
    moved = [Moving.along(widen(x), widen(d)) for x, d in zip(starts, directions, strict=True)]
    g = widen(cotangent_of(name))
    return reference(name, moved, Moving.along(g, np.zeros_like(g)))


def ahead(name: str, steps: int) -> tuple[Any, dict[str, Any]]:
    """The same of arguments some steps ahead, in the arithmetic of mpmath."""
    starts, directions = arguments_of(name).values(), direction(name, TEMPERATURE)
    moved = [mpmath(x) + steps * STEP * mpmath(d) for x, d in zip(starts, directions, strict=True)]
    return reference(name, moved, mpmath(cotangent_of(name)))


@each_operation
def test_derivatives_of_a_reference_are_the_limits_of_its_differences(name: str) -> None:
    value, gradients = moving(name, longdouble)
    (after, gradients_after), (before, gradients_before) = ahead(name, 1), ahead(name, -1)
    pairs = [(value, after, before)]
    pairs += [(gradients[key], gradients_after[key], gradients_before[key]) for key in gradients]
    for moved, one, other in pairs:
        known = np.isfinite(wide.as_floats(one))
        slopes = wide.as_floats(np.where(known, one - other, 0) / (2 * STEP))
        # the third derivatives are some thousands
        assert (abs(slopes - moved.slope.value)[known] <= (2.0**-63 * moved.slope.error + 2.0**-64)[known]).all()


@each_operation
def test_a_bound_holds_for_the_arithmetic_that_it_analyses_and_is_near_what_happens(name: str) -> None:
    """In float64, compared with extended precision."""
    value, gradients = moving(name, float64)
    exact, exact_gradients = moving(name, longdouble)
    pairs = [(value, exact), *((gradients[key], exact_gradients[key]) for key in gradients)]
    worst = [np.max(abs(a.slope.value - b.slope.value) / (2.0**-53 * a.slope.error + 1e-300)) for a, b in pairs]
    assert max(worst) <= 1.0
    assert min(worst) >= 1e-4


def test_numbers_in_mpmath_move_as_well() -> None:
    for of_mpmath, of_longdouble in zip(moving("softmax", mpmath), moving("softmax", longdouble), strict=True):
        one = of_mpmath["logits"] if isinstance(of_mpmath, dict) else of_mpmath
        other = of_longdouble["logits"] if isinstance(of_longdouble, dict) else of_longdouble
        error = abs(wide.as_floats(one.slope.value) - other.slope.value)
        assert (error <= 2.0**-63 * other.slope.error + 2.0**-200).all()


def test_what_is_infinite_stands_still() -> None:
    x = Moving.along(np.asarray([-np.inf, 0.5]), np.asarray([1.0, 1.0]))
    np.testing.assert_array_equal((x + x).slope.value, [0.0, 2.0])
    np.testing.assert_array_equal(np.exp(x).value.value, np.exp([-np.inf, 0.5]))


@pytest.mark.parametrize("fn", [np.sinh, np.prod, lambda x: x.sum(-1), lambda x: np.add(x, x, where=[True])])
def test_what_cannot_be_differentiated_is_named(fn: Any) -> None:
    with pytest.raises(CannotMoveError, match=r"its reference takes .*, which is not differentiated here"):
        fn(Moving.along(np.ones(1), np.ones(1)))
