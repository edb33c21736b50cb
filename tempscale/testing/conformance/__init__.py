"""The conformance run, from its plan to its report; parts of it serve `assert_conforms` as well.

What is run: rows of logits (`cases`), operations (`subjects`), and where and how (`plan`). A step of the plan, in
`runner`: arguments are made (`operands`), a mode is run (`modes`, `differentiating`), the results are held (`judging`,
`precisions`) to what is exact (`references`, `bounds`), and what came of it is tallied (`cells`, `agreements`).
"""

from tempscale.testing.conformance.modes import MODES
from tempscale.testing.conformance.plan import DTYPES, FORMS, Selection
from tempscale.testing.conformance.running import Progress, run

__all__ = ["DTYPES", "FORMS", "MODES", "Progress", "Selection", "run"]
