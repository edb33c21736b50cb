"""Two models in two frameworks: the first layer that differs beyond rounding, and why."""

from tempscale.comparison.comparing import compare, compare_traces
from tempscale.comparison.report import ComparisonReport, LayerPair

__all__ = ["ComparisonReport", "LayerPair", "compare", "compare_traces"]
