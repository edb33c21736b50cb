"""Writes docs/facts.md from what is installed: ``python docs/make_facts.py``."""

from __future__ import annotations

from pathlib import Path

from tempscale import facts

PAGE = Path(__file__).with_name("facts.md")

INTRODUCTION = """\
# Facts: where the frameworks differ

Who ports a model, or trains one in two frameworks, finds that the numbers differ, and looks for the reason for days.
Here are the defaults and the semantics in which PyTorch, Keras, TensorFlow, JAX, Flax, optax, NumPy and Pillow
differ: each default is read from what is installed, each behaviour is measured by a probe of a few lines, and with
each stands what it costs who overlooks it, and how to make them equal.

```sh
tempscale facts                                       # all of them, in half a minute
tempscale facts pooling                               # a topic, with the cost and the cure of each
tempscale facts adam-epsilon                          # one fact
tempscale facts --framework torch,keras               # what concerns a port between two
tempscale facts --html facts.html --json facts.json   # a page to read, a file to compare with
tempscale facts --against facts.json                  # exits with 1 and names what changed: for CI
```

From Python, `tempscale.facts.table()` lists the facts without importing a framework, `measure()` measures them, and
`changes()` compares with an earlier run. A library that is not installed is said to be missing, and the rest is
measured all the same. Keras is measured on the backend that it runs on; what is said of it here holds on TensorFlow.

What follows was written by `python docs/make_facts.py`, with """


def text(survey: facts.Survey) -> str:
    """The page: how to use the command, then the table as measured."""
    return INTRODUCTION + facts.to_markdown(survey)


if __name__ == "__main__":
    PAGE.write_text(text(facts.measure()), encoding="utf-8")
