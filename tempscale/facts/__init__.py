"""Facts: the defaults and the semantics in which PyTorch, Keras, TensorFlow, JAX, Flax, optax and NumPy differ.

`table` lists them. `measure` reads the defaults of what is installed, and runs a probe of a few lines for each fact, so
what it returns is true of the versions at hand. `changes` says what differs from an earlier run.
"""

from tempscale.facts.changes import changes
from tempscale.facts.fact import Fact, Finding, Survey
from tempscale.facts.formats import to_json, to_markdown
from tempscale.facts.page import to_html
from tempscale.facts.table import TOPICS, measure, table

__all__ = [
    "TOPICS",
    "Fact",
    "Finding",
    "Survey",
    "changes",
    "measure",
    "table",
    "to_html",
    "to_json",
    "to_markdown",
]
