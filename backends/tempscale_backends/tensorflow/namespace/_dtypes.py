"""The data types, their kinds, and what two of them promote to."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

DEFAULT_FLOAT, DEFAULT_COMPLEX, DEFAULT_INT, DEFAULT_INDEX = tf.float32, tf.complex64, tf.int32, tf.int64

SIGNED = (tf.int8, tf.int16, tf.int32, tf.int64)
UNSIGNED = (tf.uint8, tf.uint16, tf.uint32, tf.uint64)
INTEGRAL = SIGNED + UNSIGNED
HALF = (tf.float16, tf.bfloat16)
FLOATING = (*HALF, tf.float32, tf.float64)
COMPLEX = (tf.complex64, tf.complex128)

KINDS: dict[str, frozenset[Any]] = {
    "bool": frozenset([tf.bool]),
    "signed integer": frozenset(SIGNED),
    "unsigned integer": frozenset(UNSIGNED),
    "integral": frozenset(INTEGRAL),
    "real floating": frozenset(FLOATING),
    "complex floating": frozenset(COMPLEX),
    "numeric": frozenset(INTEGRAL + FLOATING + COMPLEX),
    # not of the standard's `isdtype`, but what its functions ask for
    "floating": frozenset(FLOATING + COMPLEX),
    "real": frozenset(INTEGRAL + FLOATING),
    "integer or boolean": frozenset((*INTEGRAL, tf.bool)),
    "any": frozenset((*INTEGRAL, *FLOATING, *COMPLEX, tf.bool)),
}
STANDARD_KINDS = tuple(KINDS)[:7]

REAL_OF = {tf.complex64: tf.float32, tf.complex128: tf.float64}
COMPLEX_OF = {tf.float16: tf.complex64, tf.bfloat16: tf.complex64, tf.float32: tf.complex64, tf.float64: tf.complex128}
SIGNED_OF = dict(zip(UNSIGNED, SIGNED, strict=True))
BITS_OF = {tf.float16: tf.int16, tf.bfloat16: tf.int16, tf.float32: tf.int32, tf.float64: tf.int64}
"""The integer as wide as a float."""


def _promotions() -> dict[tuple[Any, Any], Any]:
    """Every pair of dtypes that has a common one."""
    table = {(tf.bool, tf.bool): tf.bool, (tf.float16, tf.bfloat16): tf.float32}
    for family in (SIGNED, UNSIGNED, (tf.float16, *FLOATING[2:]), FLOATING[1:], COMPLEX):
        table |= {(low, high): high for i, high in enumerate(family) for low in family[: i + 1]}
    # a signed integer that holds both, which for uint64 there is not
    for i, signed in enumerate(SIGNED):
        table |= {(signed, unsigned): SIGNED[max(i, j + 1)] for j, unsigned in enumerate(UNSIGNED[:3])}
    for real, wide in COMPLEX_OF.items():
        table |= {(real, other): COMPLEX[max(COMPLEX.index(wide), i)] for i, other in enumerate(COMPLEX)}
    return table | {(b, a): both for (a, b), both in table.items()}


PROMOTIONS = _promotions()


def promote_dtypes(a: Any, b: Any) -> Any:
    """Return the dtype that values of two dtypes have in common."""
    try:
        return PROMOTIONS[a, b]
    except KeyError:
        raise TypeError(
            f"{a.name} and {b.name} have no common dtype in the array API standard: convert one of them with astype"
        ) from None


def weak_dtype(scalar: Any, dtype: Any) -> Any:
    """Return the dtype of the result for a Python number beside an array of `dtype`."""
    if isinstance(scalar, bool):
        fits = dtype == tf.bool
    elif isinstance(scalar, int):
        fits = dtype in KINDS["numeric"]
    elif isinstance(scalar, float):
        fits = dtype in KINDS["floating"]
    else:
        fits = dtype in KINDS["floating"]
        dtype = COMPLEX_OF.get(dtype, dtype)
    if not fits:
        raise TypeError(
            f"the {type(scalar).__name__} {scalar!r} does not promote with an array of {dtype.name}: "
            "convert the array with astype, or give a number of its kind"
        )
    return dtype


def default_dtype(scalar: Any) -> Any:
    """Return the dtype of an array made from a Python number alone; int64 where int32 does not hold it."""
    if isinstance(scalar, bool):
        return tf.bool
    if isinstance(scalar, int):
        return DEFAULT_INT if DEFAULT_INT.min <= scalar <= DEFAULT_INT.max else tf.int64
    return DEFAULT_FLOAT if isinstance(scalar, float) else DEFAULT_COMPLEX
