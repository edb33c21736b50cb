"""The namespace is complete, each of its functions has a test here, and XLA compiles what it can."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

SOURCES = "\n".join(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("test_*.py")))


def functions(xp):
    yield from (name for name in xp.__all__ if inspect.isfunction(getattr(xp, name)))
    for extension in ("linalg", "fft"):
        yield from (f"{extension}.{name}" for name in getattr(xp, extension).__all__)


def test_every_function_has_a_test(xp):
    def mentioned(name):
        last = name.rpartition(".")[2]
        return re.search(rf'\bxp\.{re.escape(name)}\b|"{re.escape(name)}"|["\s]{last}["\s,]', SOURCES)

    assert [name for name in functions(xp) if not mentioned(name)] == []


def test_every_function_of_the_namespace_has_a_docstring(xp):
    for name in functions(xp):
        holder = getattr(xp, name.rpartition(".")[0]) if "." in name else xp
        assert getattr(holder, name.rpartition(".")[2]).__doc__


def test_the_dtypes_and_constants_of_the_standard_are_here_and_the_extensions_have_its_names(xp):
    own = set(np.__array_namespace_info__().dtypes()) | {"e", "inf", "nan", "pi", "newaxis"}
    assert own <= set(xp.__all__)
    for name in ("linalg", "fft"):
        assert set(getattr(xp, name).__all__) <= set(dir(getattr(np, name)))


COMPILED = {
    "argsort": {}, "argmax": {"axis": 1}, "sort": {}, "max": {"axis": 0}, "var": {"axis": 1}, "flip": {}, "diff": {},
    "cumulative_sum": {"axis": 1}, "cumulative_prod": {"axis": 1, "include_initial": True}, "log2": {}, "signbit": {},
    "trunc": {}, "isnan": {}, "count_nonzero": {}, "roll": {"shift": 1, "axis": 0}, "tril": {}, "round": {},
}  # fmt: skip
INTEGERS = ("uint8", "uint64")
FLOATS_ONLY = ("log2", "signbit", "var")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, d) for name in COMPILED for d in ("float32", *INTEGERS) if d == "float32" or name not in FLOATS_ONLY],
)
def test_compiled_by_xla_the_result_is_the_same(xp, tf, name, dtype):
    x = xp.asarray(np.array([[3, 1, 2], [2, 2, 200]], dtype))
    function = getattr(xp, name)
    compiled = tf.function(lambda y: function(y, **COMPILED[name]), jit_compile=True, autograph=False)(x)
    eager = function(x, **COMPILED[name])
    assert compiled.dtype == eager.dtype
    np.testing.assert_allclose(compiled, eager, rtol=2**-22 if name in ("log2", "var") else 0)
