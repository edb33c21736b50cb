"""Arithmetic with the same bits in every framework: every step is exact, or rounded once by IEEE 754.

`arithmetic` has exponentials, logarithms and sums, `quantiles` the normal quantile and the logarithm behind it, `rows`
what is computed of rows of logits. The functions are written for what compilers and frameworks may do:

* XLA contracts ``a * b + c`` into one operation with one rounding. Between a product and a sum stands an `abs` or a
  selection here, unless the product is exact: one of the factors is a power of two.
* Every framework adds floats in an order of its own. Here integers are added, or floats whose sums are exact.
* Some flush subnormal numbers of 32 bits. Here all do, to zero: logits, temperatures, labels, weights and results.
"""

from tempscale.kernels.exact.arithmetic import (
    EXP2,
    LN_2,
    LOG2_E,
    MAGIC,
    MAGIC_BITS,
    TINY,
    exact_sum,
    exponentials,
    exponentials_in_place,
    flushed,
    narrow,
    polynomial,
    power_of_two,
    whole_sum,
)
from tempscale.kernels.exact.rows import (
    COLD,
    LOWEST,
    Others,
    Rate,
    Rows,
    below_top,
    log_of_total,
    log_probabilities,
    prepared,
    row_top,
)

__all__ = [
    "COLD",
    "EXP2",
    "LN_2",
    "LOG2_E",
    "LOWEST",
    "MAGIC",
    "MAGIC_BITS",
    "TINY",
    "Others",
    "Rate",
    "Rows",
    "below_top",
    "exact_sum",
    "exponentials",
    "exponentials_in_place",
    "flushed",
    "log_of_total",
    "log_probabilities",
    "narrow",
    "polynomial",
    "power_of_two",
    "prepared",
    "row_top",
    "whole_sum",
]
