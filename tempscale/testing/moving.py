"""References that move along a line: exact derivatives of any order, with a bound of the error in computing them.

A reference that is given `Moving` arrays computes its derivative along a line beside each number (a dual number), and
beside both how large the rounding errors in them can be. So the derivative of its value is what forward mode gives,
and the derivative of its gradient is a Hessian-vector product, each with the bound that it is held to.

The bound is that of a running error analysis (N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
section 3.3), in units of u. Each operation passes the errors of its operands on and adds its own. Automatic
differentiation does the same operations in another order, and may have terms apart that the closed form has
subtracted already: so errors are relative to the `size` of a number, the sum of the magnitudes of its terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempscale._reference import wide
from tempscale._reference.wide import as_floats

__all__ = ["CannotMoveError", "Moving", "Term"]

FUNCTION = 2.0
"""Error of exp, log and log1p beyond the last rounding, in u: 2 u to 3 u in all, by the framework."""


def _finite(x: Any) -> Any:
    return ~(wide.isnan(x) | (wide.absolute(x) == np.inf))


def _lost(value: Any) -> Any:
    """What an operation loses where its result is too small for a normal number, in units of u."""
    return np.longdouble(2.0) ** (-102 if value.dtype == np.float64 else -969)


@dataclass(frozen=True)
class Term:
    """Numbers, how large their terms are, and how large their error can be. Both are 0 where the number is not finite.

    An error of exactly 0 says that the number is exact: an argument, or 0.
    """

    value: Any
    size: Any
    error: Any

    @classmethod
    def exact(cls, value: Any) -> Term:
        """A number that is given."""
        value = np.asarray(value)
        size = np.where(_finite(value), abs(as_floats(value)), 0)
        return cls(value, size, np.zeros_like(size))

    @classmethod
    def rounded(cls, value: Any, size: Any, error: Any) -> Term:
        """The result of an operation: one rounding, beyond the errors that are passed on."""
        value = np.asarray(value)
        known = _finite(value)
        rounding = np.where(size > 0, size + _lost(value), 0)
        return cls(value, np.where(known, size, 0), np.where(known, error + rounding, 0))

    def map(self, change: Callable[[Any], Any]) -> Term:
        """Move or repeat the elements."""
        return Term(change(self.value), change(self.size), change(self.error))

    def __add__(self, other: Term) -> Term:
        value = self.value + other.value
        error = self.error + other.error
        # a difference of exact numbers is one term: nothing can have cancelled
        return Term.rounded(value, np.where(error == 0, abs(as_floats(value)), self.size + other.size), error)

    def __mul__(self, other: Term) -> Term:
        error = self.size * other.error + self.error * other.size
        return Term.rounded(self.value * other.value, self.size * other.size, error)

    def __matmul__(self, other: Term) -> Term:
        """The product of two matrices, whose terms are added one after another."""
        size = self.size @ other.size
        error = self.size @ other.error + self.error @ other.size
        return Term.rounded(self.value @ other.value, size, error + self.value.shape[-1] * size)

    def __neg__(self) -> Term:
        return Term(-self.value, self.size, self.error)

    def inverse(self) -> Term:
        """1 / x."""
        return self._of(wide.divide(np.ones_like(self.value), self.value), lambda x: 1 / x**2, 0.0)

    def exp(self) -> Term:
        """e^x; 1 exactly at 0."""
        value = wide.exp(self.value)
        return Term.exact(value).where(self.value == 0, self._of(value, lambda x: as_floats(value), FUNCTION))

    def log(self) -> Term:
        """Natural logarithm."""
        return self._of(wide.log(self.value), lambda x: 1 / abs(x), FUNCTION)

    def log1p(self) -> Term:
        """log(1 + x)."""
        return self._of(wide.log1p(self.value), lambda x: 1 / abs(1 + x), FUNCTION)

    def tanh(self) -> Term:
        """Hyperbolic tangent."""
        value = wide.tanh(self.value)
        return self._of(value, lambda x: 1 - as_floats(value) ** 2, FUNCTION)

    def _of(self, value: Any, slope: Callable[[Any], Any], own: float) -> Term:
        """A function of this number, with the magnitude of its derivative and an error of its own."""
        size = np.where(_finite(value), abs(as_floats(value)), 0)
        error = np.where(self.error > 0, slope(as_floats(self.value)) * self.error, 0)
        return Term.rounded(value, size, error + own * size)

    def sum(self, n: int) -> Term:
        """Sum along the last of its axes, of `n` entries, in pairs or with a wider accumulator."""
        total = self.map(wide.row_sum)
        return Term.rounded(total.value, total.size, total.error + (1 + np.log2(n)) * total.size)

    def where(self, condition: Any, other: Term) -> Term:
        """These numbers where a condition holds, the others elsewhere."""
        pairs = ((self.value, other.value), (self.size, other.size), (self.error, other.error))
        return Term(*[np.where(condition, one, two) for one, two in pairs])


class CannotMoveError(AttributeError):
    """A reference takes something of NumPy whose derivative is not known here."""


class Moving(np.lib.mixins.NDArrayOperatorsMixin):
    """Numbers that move along a line: each with its derivative, 0 where an operation gives one that is not finite.

    They go through the functions of NumPy that references are made of; comparisons are those of the values.

    Examples
    --------
    >>> x = Moving.along(np.asarray([3.0]), np.asarray([1.0]))
    >>> (x * x).slope.value
    array([6.])
    """

    dtype = np.dtype(np.float64)  # not object, whatever the numbers are

    def __init__(self, value: Term, slope: Term) -> None:
        self.value, self.slope = value, slope

    @classmethod
    def along(cls, start: Any, direction: Any) -> Moving:
        """Start there and move in a direction."""
        return cls(Term.exact(start), Term.exact(direction)).held_where_infinite()

    @classmethod
    def of(cls, x: Any, like: Moving) -> Moving:
        """`x`, which does not move unless it is `Moving`."""
        if isinstance(x, Moving):
            return x
        x = np.asarray(x) + like.value.value.dtype.type(0)
        return cls.along(x, np.zeros_like(x))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values, and of their derivatives."""
        return tuple(self.value.value.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def T(self) -> Moving:  # noqa: N802
        """The transpose of a matrix."""
        return self.map(lambda x: x.T)

    def held(self) -> Moving:
        """The same numbers, standing still: constants to differentiation."""
        return Moving(self.value, Term.exact(np.zeros_like(self.value.value)))

    def held_where_infinite(self) -> Moving:
        """The same numbers, standing still where they are infinite or NaN, as at a masked entry."""
        return Moving(self.value, self.slope.where(_finite(self.value.value), self.held().slope))

    def astype(self, dtype: Any) -> Any:
        """The values alone."""
        return self.value.value.astype(dtype)

    def map(self, change: Callable[[Any], Any]) -> Moving:
        """Move or repeat the elements."""
        return Moving(self.value.map(change), self.slope.map(change))

    def __getattr__(self, name: str) -> Any:
        raise CannotMoveError(f"its reference takes the attribute {name} of an array, which is not differentiated here")

    def __getitem__(self, key: Any) -> Moving:
        return self.map(lambda x: x[key])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs and ufunc.__name__ in _ARITHMETIC:
            return _ARITHMETIC[ufunc.__name__](*[Moving.of(x, self) for x in inputs]).held_where_infinite()
        if ufunc.__name__ in _QUESTIONS:
            return _QUESTIONS[ufunc.__name__](*[x.value.value if isinstance(x, Moving) else x for x in inputs])
        raise CannotMoveError(f"its reference takes numpy.{ufunc.__name__}, which is not differentiated here")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ not in _FUNCTIONS:
            raise CannotMoveError(f"its reference takes numpy.{func.__name__}, which is not differentiated here")
        return _FUNCTIONS[func.__name__](*args, **kwargs)


def _multiply(x: Moving, y: Moving) -> Moving:
    return Moving(x.value * y.value, x.slope * y.value + x.value * y.slope)


def _matmul(x: Moving, y: Moving) -> Moving:
    return Moving(x.value @ y.value, x.slope @ y.value + x.value @ y.slope)


def _divide(x: Moving, y: Moving) -> Moving:
    inverse = y.value.inverse()
    return _multiply(x, Moving(inverse, -(y.slope * (inverse * inverse))))


def _exp(x: Moving) -> Moving:
    value = x.value.exp()
    return Moving(value, value * x.slope)


def _log(x: Moving) -> Moving:
    return Moving(x.value.log(), x.value.inverse() * x.slope)


def _log1p(x: Moving) -> Moving:
    one = Term.exact(np.ones_like(x.value.value))
    return Moving(x.value.log1p(), (one + x.value).inverse() * x.slope)


def _tanh(x: Moving) -> Moving:
    value, one = x.value.tanh(), Term.exact(np.ones_like(x.value.value))
    return Moving(value, (one + -(value * value)) * x.slope)


def _where(condition: Any, x: Any, y: Any) -> Moving:
    like = x if isinstance(x, Moving) else y
    x, y = Moving.of(x, like), Moving.of(y, like)
    return Moving(x.value.where(condition, y.value), x.slope.where(condition, y.slope))


def _sum(x: Moving, axis: int, keepdims: bool) -> Moving:
    # a sum that is infinite still moves with its finite terms, as its gradient does
    return Moving(x.value.sum(x.shape[-1]), x.slope.sum(x.shape[-1]))


def _in_order(x: Moving, order: Any) -> Moving:
    return x.map(lambda part: np.take_along_axis(np.broadcast_to(part, x.shape), order, axis=-1))


_ARITHMETIC: dict[str, Callable[..., Moving]] = {
    "add": lambda x, y: Moving(x.value + y.value, x.slope + y.slope),
    "subtract": lambda x, y: Moving(x.value + -y.value, x.slope + -y.slope),
    "negative": lambda x: Moving(-x.value, -x.slope),
    "absolute": lambda x: _where(x < 0, -x, x),
    "maximum": lambda x, y: _where(x >= y, x, y),
    "multiply": _multiply,
    "divide": _divide,
    "matmul": _matmul,
    "tanh": _tanh,
    "exp": _exp,
    "log": _log,
    "log1p": _log1p,
}

_COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
_QUESTIONS: dict[str, Callable[..., Any]] = {"isnan": wide.isnan, **{fn.__name__: fn for fn in _COMPARISONS}}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "where": _where,
    "sum": _sum,
    "max": lambda x, axis, keepdims: _in_order(x, np.argmax(x.value.value, axis=-1)[..., None]),
    "sort": lambda x, axis: _in_order(x, np.argsort(x.value.value, axis=-1)),
    "cumsum": lambda x, axis: x.map(lambda part: np.cumsum(part, axis=-1)),
}
