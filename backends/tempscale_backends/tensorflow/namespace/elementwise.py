"""Element-wise functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import (
    HALF_IN_FLOAT32,
    elementwise,
    in_signed,
    pair,
    tensor,
    wrong_kind,
)
from tempscale_backends.tensorflow.namespace._dtypes import BITS_OF, COMPLEX, FLOATING, INTEGRAL, KINDS, UNSIGNED

# Arithmetic


@elementwise("numeric")
def abs(x: Array, /) -> Array:
    """Absolute value; of a complex number the modulus, which is real."""
    return x if x.dtype in UNSIGNED else tf.abs(x)


@elementwise("numeric")
def add(x1: Any, x2: Any, /) -> Array:
    """Sum."""
    return tf.add(x1, x2)


@elementwise("numeric")
def subtract(x1: Any, x2: Any, /) -> Array:
    """Difference."""
    return tf.subtract(x1, x2)


@elementwise("numeric")
def multiply(x1: Any, x2: Any, /) -> Array:
    """Product."""
    return tf.multiply(x1, x2)


@elementwise("floating")
def divide(x1: Any, x2: Any, /) -> Array:
    """Quotient; of integers in the default floating dtype."""
    return tf.truediv(x1, x2)


@elementwise("floating")
def reciprocal(x: Array, /) -> Array:
    """1 / `x`, within 2 units in the last place."""
    return tf.math.reciprocal(x)


@elementwise("numeric")
def negative(x: Array, /) -> Array:
    """-`x`; of unsigned integers modulo their range."""
    return in_signed(tf.negative, x)


@elementwise("numeric")
def positive(x: Array, /) -> Array:
    """Return `x`."""
    return tf.identity(x)


@elementwise("numeric")
def square(x: Array, /) -> Array:
    """`x` times `x`."""
    return tf.square(x)


@elementwise("real")
def remainder(x1: Any, x2: Any, /) -> Array:
    """Remainder of the division rounded down; a zero too has the sign of `x2`."""
    rest = tf.math.floormod(x1, x2)
    if not rest.dtype.is_floating:
        return rest
    return tf.where(rest == 0, copysign(tf.zeros_like(rest), x2), rest)


@elementwise("real")
def floor_divide(x1: Any, x2: Any, /) -> Array:
    """Quotient rounded down. Of floats it is that of the exact quotient, as in Python: `1 // 0.1` is 9."""
    if not x1.dtype.is_floating:
        return tf.math.floordiv(x1, x2)
    quotient = tf.truediv(x1, x2)
    # without the remainder the division is a whole number but for its rounding
    whole = tf.round(tf.truediv(x1 - tf.math.floormod(x1, x2), x2))
    exact = tf.where(whole == 0, copysign(tf.zeros_like(whole), quotient), whole)
    # a quotient by an infinity is a zero already, and one that is not finite has no remainder
    ordinary = tf.math.is_finite(quotient) & tf.math.is_finite(x2)
    return tf.where(ordinary, exact, quotient)


_POWER_IN = {tf.uint8: tf.int32, tf.uint16: tf.int32, tf.uint32: tf.int64}


@elementwise("numeric", wide=_POWER_IN)
def pow(x1: Any, x2: Any, /) -> Array:
    """`x1` to the power of `x2`; an integer to a negative power is an error where TensorFlow looks at the values."""
    return tf.pow(x1, x2) if x1.dtype != tf.uint64 else _unsigned_power(x1, x2)


def _unsigned_power(base: Array, exponent: Array) -> Array:
    """Compute in int64, with an exponent of up to 63 bits at a time."""
    half = tf.bitcast(tf.bitwise.right_shift(exponent, tf.constant(1, tf.uint64)), tf.int64)
    signed = tf.bitcast(base, tf.int64)
    root = tf.pow(signed, half)
    odd = tf.bitwise.bitwise_and(exponent, tf.constant(1, tf.uint64)) == 1
    return tf.bitcast(root * root * tf.where(odd, signed, tf.ones_like(signed)), tf.uint64)


@elementwise("numeric")
def sign(x: Array, /) -> Array:
    """-1, 0 or 1; NaN for NaN; of a complex number that number over its modulus."""
    return tf.cast(x != 0, x.dtype) if x.dtype in UNSIGNED else tf.sign(x)


# Rounding


def _rounding(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Integers are rounded already."""

    @elementwise("real")
    @functools.wraps(function)
    def rounded(x: Array, /) -> Array:
        return function(x) if x.dtype.is_floating else x

    return rounded


@_rounding
def floor(x: Array, /) -> Array:
    """Round down."""
    return tf.floor(x)


@_rounding
def ceil(x: Array, /) -> Array:
    """Round up."""
    return tf.math.ceil(x)


@_rounding
def trunc(x: Array, /) -> Array:
    """Round towards zero."""
    return tf.where(x < 0, tf.math.ceil(x), tf.floor(x))


@elementwise("numeric")
def round(x: Array, /) -> Array:
    """Round to the nearest whole number, halves to even; of a complex number both parts."""
    return tf.complex(tf.round(tf.math.real(x)), tf.round(tf.math.imag(x))) if x.dtype.is_complex else tf.round(x)


# Exponentials, logarithms, roots


@elementwise("floating")
def exp(x: Array, /) -> Array:
    """Exponential."""
    return tf.exp(x)


@elementwise("floating")
def expm1(x: Array, /) -> Array:
    """exp(`x`) - 1, accurate near 0."""
    return _complex_expm1(x) if x.dtype.is_complex else tf.math.expm1(x)


def _complex_expm1(x: Array) -> Array:
    """Compute by parts: kernels make NaN of infinities, for which the standard has limits."""
    a, b = tf.math.real(x), tf.math.imag(x)
    unknown = ~tf.math.is_finite(b)
    infinite, vanishing = tf.math.is_inf(a) & (a > 0), tf.math.is_inf(a) & (a < 0)
    real = tf.math.expm1(a) * tf.cos(b) - 2 * tf.square(tf.sin(b / 2))
    real = tf.where(infinite & unknown, a, tf.where(vanishing, -tf.ones_like(a), real))
    real = tf.where((a == 0) & (b == 0), tf.zeros_like(a), real)  # the standard: 0 for -0 as well
    imaginary = tf.where(b == 0, b, tf.where(vanishing & unknown, tf.zeros_like(b), tf.exp(a) * tf.sin(b)))
    return tf.complex(real, imaginary)


@elementwise("floating")
def log(x: Array, /) -> Array:
    """Natural logarithm."""
    return tf.math.log(x)


@elementwise("floating")
def log1p(x: Array, /) -> Array:
    """log(1 + `x`), accurate near 0."""
    return _complex_log1p(x) if x.dtype.is_complex else tf.math.log1p(x)


def _complex_log1p(x: Array) -> Array:
    """Compute by parts: kernels make NaN of infinities, for which the standard has limits."""
    a, b = tf.math.real(x), tf.math.imag(x)
    small = (tf.abs(a) < 0.5) & (tf.abs(b) < 0.5)
    a_near, b_near = tf.where(small, a, tf.zeros_like(a)), tf.where(small, b, tf.zeros_like(b))
    near = tf.math.log1p(a_near * (2 + a_near) + tf.square(b_near)) / 2
    return tf.complex(tf.where(small, near, tf.math.log(hypot(1 + a, b))), tf.atan2(b, 1 + a))


# The logarithm and its division would round one after the other in float32
_LOG_IN = HALF_IN_FLOAT32 | {tf.float32: tf.float64, tf.complex64: tf.complex128}


@elementwise("floating", wide=_LOG_IN)
def log2(x: Array, /) -> Array:
    """Logarithm to base 2."""
    return tf.math.log(x) / tf.constant(math.log(2), x.dtype)


@elementwise("floating", wide=_LOG_IN)
def log10(x: Array, /) -> Array:
    """Logarithm to base 10."""
    return tf.math.log(x) / tf.constant(math.log(10), x.dtype)


@elementwise("real floating")
def logaddexp(x1: Any, x2: Any, /) -> Array:
    """log(exp(`x1`) + exp(`x2`)) without overflow."""
    larger = x1 > x2
    high, low = tf.where(larger, x1, x2), tf.where(larger, x2, x1)
    # inf - inf would be NaN
    apart = tf.where(tf.math.is_inf(high) & ~tf.math.is_nan(low), tf.zeros_like(high), low - high)
    return high + tf.math.log1p(tf.exp(apart))


@elementwise("floating")
def sqrt(x: Array, /) -> Array:
    """Square root."""
    return tf.sqrt(x)


@elementwise("real floating", wide=HALF_IN_FLOAT32)
def hypot(x1: Any, x2: Any, /) -> Array:
    """Length of the vector (`x1`, `x2`), without overflow on the way."""
    length = tf.abs(tf.complex(x1, x2))
    return tf.where(tf.math.is_inf(x1) | tf.math.is_inf(x2), tf.constant(math.inf, length.dtype), length)


# Trigonometry


@elementwise("floating")
def sin(x: Array, /) -> Array:
    """Sine."""
    return tf.sin(x)


@elementwise("floating")
def cos(x: Array, /) -> Array:
    """Cosine."""
    return tf.cos(x)


@elementwise("floating")
def tan(x: Array, /) -> Array:
    """Tangent."""
    return tf.tan(x)


@elementwise("floating")
def asin(x: Array, /) -> Array:
    """Inverse sine."""
    return tf.asin(x)


@elementwise("floating")
def acos(x: Array, /) -> Array:
    """Inverse cosine."""
    return tf.acos(x)


@elementwise("floating")
def atan(x: Array, /) -> Array:
    """Inverse tangent."""
    return tf.atan(x)


@elementwise("real floating")
def atan2(x1: Any, x2: Any, /) -> Array:
    """Angle of the point with height `x1` and abscissa `x2`."""
    return tf.atan2(x1, x2)


@elementwise("floating")
def sinh(x: Array, /) -> Array:
    """Hyperbolic sine."""
    return tf.sinh(x)


@elementwise("floating")
def cosh(x: Array, /) -> Array:
    """Hyperbolic cosine."""
    return tf.cosh(x)


@elementwise("floating")
def tanh(x: Array, /) -> Array:
    """Hyperbolic tangent."""
    return tf.tanh(x)


@elementwise("floating")
def asinh(x: Array, /) -> Array:
    """Inverse hyperbolic sine."""
    return tf.asinh(x)


@elementwise("floating")
def acosh(x: Array, /) -> Array:
    """Inverse hyperbolic cosine."""
    return tf.acosh(x)


@elementwise("floating")
def atanh(x: Array, /) -> Array:
    """Inverse hyperbolic tangent."""
    return tf.atanh(x)


# Complex numbers


@elementwise("numeric")
def conj(x: Array, /) -> Array:
    """Complex conjugate."""
    return tf.math.conj(x)


@elementwise("numeric")
def real(x: Array, /) -> Array:
    """Real part."""
    return tf.math.real(x)


@elementwise("numeric")
def imag(x: Array, /) -> Array:
    """Imaginary part, 0 of a real number."""
    return tf.math.imag(x) if x.dtype.is_complex else tf.zeros_like(x)


# Signs and neighbours, from the bits


@elementwise("real floating")
def signbit(x: Array, /) -> Array:
    """Whether the sign is minus, of zeros and NaN too."""
    return tf.bitcast(x, BITS_OF[x.dtype]) < 0


@elementwise("real floating")
def copysign(x1: Any, x2: Any, /) -> Array:
    """`x1` with the sign of `x2`."""
    return tf.where(signbit(x1) == signbit(x2), x1, -x1)


@elementwise("real floating")
def nextafter(x1: Any, x2: Any, /) -> Array:
    """Return the number after `x1` on the way to `x2`; subnormal numbers are there, though TensorFlow flushes them."""
    bits = BITS_OF[x1.dtype]
    here, there = _place(x1, bits), _place(x2, bits)
    moved = here + tf.cast(here < there, bits) - tf.cast(here > there, bits)
    minus = (moved < 0) | ((moved == 0) & (tf.bitcast(x1, bits) < 0))
    found = tf.bitcast(tf.where(minus, bits.min - moved, moved), x1.dtype)
    unknown = tf.math.is_nan(x1) | tf.math.is_nan(x2)
    return tf.where(unknown, tf.constant(math.nan, x1.dtype), tf.where(here == there, x2, found))


def _place(x: Array, bits: Any) -> Array:
    """Return the place of a float among all of its dtype; both zeros have place 0."""
    pattern = tf.bitcast(x, bits)
    return tf.where(pattern < 0, bits.min - pattern, pattern)


# Comparisons


@elementwise("any")
def equal(x1: Any, x2: Any, /) -> Array:
    """Whether two numbers are equal."""
    return tf.equal(x1, x2)


@elementwise("any")
def not_equal(x1: Any, x2: Any, /) -> Array:
    """Whether two numbers differ."""
    return tf.not_equal(x1, x2)


@elementwise("real")
def less(x1: Any, x2: Any, /) -> Array:
    """Whether `x1` < `x2`."""
    return tf.less(x1, x2)


@elementwise("real")
def less_equal(x1: Any, x2: Any, /) -> Array:
    """Whether `x1` <= `x2`."""
    return tf.less_equal(x1, x2)


@elementwise("real")
def greater(x1: Any, x2: Any, /) -> Array:
    """Whether `x1` > `x2`."""
    return tf.greater(x1, x2)


@elementwise("real")
def greater_equal(x1: Any, x2: Any, /) -> Array:
    """Whether `x1` >= `x2`."""
    return tf.greater_equal(x1, x2)


@elementwise("real")
def maximum(x1: Any, x2: Any, /) -> Array:
    """Return the larger number; NaN wins."""
    return tf.maximum(x1, x2)


@elementwise("real")
def minimum(x1: Any, x2: Any, /) -> Array:
    """Return the smaller number; NaN wins."""
    return tf.minimum(x1, x2)


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """`x` limited to [min, max], in its own dtype; NaN stays."""
    x = tensor(x)
    given = x.dtype
    if given not in KINDS["real"]:
        raise wrong_kind("clip", "real", given)
    if min is not None:
        x = maximum(x, min)
    if max is not None:
        x = minimum(x, max)
    return x if x.dtype == given else tf.cast(x, given)


def _by_parts(
    function: Callable[[Array], Array], both: Callable[[Array, Array], Array], x: Array, exact: bool
) -> Array:
    """Ask a question of a number: of both parts if it is complex, and integers have one answer."""
    if x.dtype in INTEGRAL:
        return tf.fill(tf.shape(x), exact)
    return both(function(tf.math.real(x)), function(tf.math.imag(x))) if x.dtype in COMPLEX else function(x)


@elementwise("numeric")
def isfinite(x: Array, /) -> Array:
    """Whether a number is neither infinite nor NaN."""
    return tf.math.is_finite(x) if x.dtype in FLOATING else _by_parts(tf.math.is_finite, tf.logical_and, x, True)


@elementwise("numeric")
def isinf(x: Array, /) -> Array:
    """Whether a number, or a part of it, is infinite."""
    return tf.math.is_inf(x) if x.dtype in FLOATING else _by_parts(tf.math.is_inf, tf.logical_or, x, False)


@elementwise("numeric")
def isnan(x: Array, /) -> Array:
    """Whether a number, or a part of it, is NaN."""
    return tf.math.is_nan(x) if x.dtype in FLOATING else _by_parts(tf.math.is_nan, tf.logical_or, x, False)


# Bits and truth values


@elementwise("bool")
def logical_and(x1: Any, x2: Any, /) -> Array:
    """Whether both hold."""
    return tf.logical_and(x1, x2)


@elementwise("bool")
def logical_or(x1: Any, x2: Any, /) -> Array:
    """Whether one or both hold."""
    return tf.logical_or(x1, x2)


@elementwise("bool")
def logical_xor(x1: Any, x2: Any, /) -> Array:
    """Whether one holds and the other does not."""
    return tf.not_equal(x1, x2)


@elementwise("bool")
def logical_not(x: Array, /) -> Array:
    """Whether it does not hold."""
    return tf.logical_not(x)


@elementwise("integer or boolean")
def bitwise_and(x1: Any, x2: Any, /) -> Array:
    """Bits that are set in both."""
    return tf.logical_and(x1, x2) if x1.dtype == tf.bool else tf.bitwise.bitwise_and(x1, x2)


@elementwise("integer or boolean")
def bitwise_or(x1: Any, x2: Any, /) -> Array:
    """Bits that are set in one or both."""
    return tf.logical_or(x1, x2) if x1.dtype == tf.bool else tf.bitwise.bitwise_or(x1, x2)


@elementwise("integer or boolean")
def bitwise_xor(x1: Any, x2: Any, /) -> Array:
    """Bits that are set in one of two."""
    return tf.not_equal(x1, x2) if x1.dtype == tf.bool else tf.bitwise.bitwise_xor(x1, x2)


@elementwise("integer or boolean")
def bitwise_invert(x: Array, /) -> Array:
    """Bits that are not set."""
    return tf.logical_not(x) if x.dtype == tf.bool else tf.bitwise.invert(x)


@elementwise("integral")
def bitwise_left_shift(x1: Any, x2: Any, /) -> Array:
    """Shift bits to the left; all of them are lost beyond the width."""
    return tf.where(_fits(x2), tf.bitwise.left_shift(x1, _shift(x2)), tf.zeros_like(x1))


@elementwise("integral")
def bitwise_right_shift(x1: Any, x2: Any, /) -> Array:
    """Shift bits to the right and keep the sign; 0 or -1 is left beyond the width."""
    shifted = tf.bitwise.right_shift(x1, _shift(x2))
    return tf.where(_fits(x2), shifted, tf.zeros_like(x1)) if x1.dtype in UNSIGNED else shifted


def _shift(places: Array) -> Array:
    """Limit a shift to the width, beyond which processors differ."""
    return tf.minimum(places, tf.constant(places.dtype.size * 8 - 1, places.dtype))


def _fits(places: Array) -> Array:
    return places < tf.constant(places.dtype.size * 8, places.dtype)


# Selection, which the standard has among the searching functions


def where(condition: Array, x1: Any, x2: Any, /) -> Array:
    """`x1` where the condition holds, else `x2`; either may be a Python number."""
    return tf.where(condition, *pair(x1, x2))
