"""The conformance kit: whether a function gives the same numbers on every backend, and how exactly.

For tests: `assert_conforms`, `gradcheck`, `assert_ulp` and `assert_same_model`, a pytest plugin
(`tempscale.testing.plugin`) with a fixture
``backend`` and a fixture ``mode``, and strategies for Hypothesis (`tempscale.testing.strategies`). For a whole library:
`run`, which ``tempscale conform`` shows.
"""

from tempscale.contracts import Contract, Specification
from tempscale.reporting.report import Agreement, Cell, Report, State
from tempscale.testing.asserting import assert_conforms, assert_same_model, assert_ulp, gradcheck
from tempscale.testing.check import Place, Verdict, check
from tempscale.testing.conformance import Progress, Selection, run
from tempscale.testing.conformance.modes import Mode
from tempscale.testing.ulp import spacing, ulp_distance

__all__ = [
    "Agreement",
    "Cell",
    "Contract",
    "Mode",
    "Place",
    "Progress",
    "Report",
    "Selection",
    "Specification",
    "State",
    "Verdict",
    "assert_conforms",
    "assert_same_model",
    "assert_ulp",
    "check",
    "gradcheck",
    "run",
    "spacing",
    "ulp_distance",
]
