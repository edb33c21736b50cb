"""The conformance run: its cases (`cases`), plan (`plan`), modes (`modes`), and the run itself (`running`)."""

from tempscale.testing.conformance.modes import MODES
from tempscale.testing.conformance.plan import DTYPES, FORMS, Selection
from tempscale.testing.conformance.running import Progress, run

__all__ = ["DTYPES", "FORMS", "MODES", "Progress", "Selection", "run"]
