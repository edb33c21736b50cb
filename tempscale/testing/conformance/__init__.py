"""The conformance run: what is run, on which rows, and what is found."""

from tempscale.testing.conformance.modes import MODES
from tempscale.testing.conformance.plan import DTYPES, FORMS, Selection
from tempscale.testing.conformance.running import Progress, run

__all__ = ["DTYPES", "FORMS", "MODES", "Progress", "Selection", "run"]
