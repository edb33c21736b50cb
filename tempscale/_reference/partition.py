"""A row of logits over a temperature, taken apart: what the references of all its functions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from tempscale._reference.wide import Wide, absolute, divide, exp, finite_or_zero, held, isnan, log1p, row_sum


class Partition:
    """A row of logits over a temperature, taken apart: all that the references and their bounds need.

    Attributes
    ----------
    n : int
        Number of classes.
    m : array
        Maximum of the row.
    z : array
        (x - m) / T, at T = 0 and T = inf its limit.
    p, log_p : array
        Softmax of z and its logarithm.
    L : array
        log sum exp(z) = -log p at the maximum.
    r : array
        1 / T as derivatives see it: 0 at T = 0, where they are defined to be 0.
    """

    def __init__(self, logits: Wide, temperature: Wide) -> None:
        with np.errstate(all="ignore"):
            self.n = logits.shape[-1]
            self.m = held(np.max(logits, axis=-1, keepdims=True))
            cold, hot = temperature == 0, temperature == np.inf
            self.valid_t = temperature >= 0
            ordinary = np.where(cold | hot | ~self.valid_t, 1.0, temperature)
            d = logits - self.m
            z = np.where(cold, np.where(d < 0, -np.inf, held(d)), d / ordinary)
            z = np.where(hot, np.where(logits == -np.inf, -np.inf, held(logits) * 0) + self.m * 0, z)
            self.z = np.where(self.valid_t, z, np.nan)
            self.r = np.where(cold | hot, 0.0, 1 / ordinary)
            e = exp(self.z)
            # one maximum is left out of the sum, so that its log-probability does not cancel
            first = np.arange(self.n) == np.argmax(self.z == 0, axis=-1)[..., None]
            others = np.where(first, e - 1, e)
            rest = row_sum(others)
            self.L = log1p(rest)
            self.p = e / (1 + rest)
            self.log_p = self.z - self.L
            self.masked = self.z == -np.inf
            # what conditions the results
            self.abs_z = absolute(finite_or_zero(self.z))
            self.s = rest / (1 + rest)
            # a mass below the range of float64 conditions nothing; each precision would round it to 0 elsewhere
            mean = divide(row_sum(others * self.abs_z), rest)
            self.z_others = np.where(rest < 2.0**-1074, 0.0, finite_or_zero(mean))

    def log_sum_exp(self, logits: Wide, temperature: Wide) -> Wide:
        """Log sum exp(logits / T) with its limits and special rows."""
        with np.errstate(all="ignore"):
            at_zero = np.where(self.m > 0, np.inf, np.where(self.m < 0, -np.inf, self.m))
            shift = np.where(temperature == 0, at_zero, self.m * self.r)
            value = np.where(np.isinf(self.m.astype(float)) & self.valid_t, self.m, shift + self.L)
            return np.where(row_sum(isnan(logits)) > 0, np.nan, value)

    def quantities(self) -> dict[str, Any]:
        """What the formulas of contracts name."""
        return {
            **{"n": self.n, "z": self.abs_z, "p": self.p, "l": finite_or_zero(self.log_p), "L": self.L},
            **{"s": self.s, "y": self.z_others, "r": self.r, "E": self.log_error()},
        }

    def log_error(self) -> Wide:
        """The bound of log_softmax in units of u: what other bounds that use log-probabilities build on."""
        spread = 3 * self.z_others + 8 + np.log2(self.n)
        bound: Wide = 3 * self.abs_z + spread * self.s + 8 * self.L + 2 * absolute(finite_or_zero(self.log_p))
        return bound
