"""The conformance kit: numeric contracts, cases, and the run that holds every backend to them."""

from tempscale.contracts import Contract, Specification
from tempscale.testing.check import Verdict, check
from tempscale.testing.conformance import Progress, Selection, run
from tempscale.testing.report import Agreement, Cell, Report, State
from tempscale.testing.ulp import spacing, ulp_distance

__all__ = [
    "Agreement",
    "Cell",
    "Contract",
    "Progress",
    "Report",
    "Selection",
    "Specification",
    "State",
    "Verdict",
    "check",
    "run",
    "spacing",
    "ulp_distance",
]
