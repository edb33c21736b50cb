"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import re

import pytest
from support import ROOT, run_python

import tempscale as ts
from tempscale._core.registry import known_backends, unregister_backend

pytest_plugins = ["pytester"]

CONFTEST = """
import tempscale
from tempscale_backends.numpy.backend import NumpyBackend

class Theirs(NumpyBackend):
    "A third party's; it compiles, and knows no unknown dimensions."
    name = "theirs"
    array_types = (frozenset,)
    compilers = ("their compiler",)
    unknown_dims = False
    transforms = True

    def jit(self, fn, *, compiler=None, unknown_dims=False):
        assert compiler in (None, "their compiler") and not unknown_dims
        return lambda *arrays: ("compiled", fn(*arrays))

tempscale.register_backend(Theirs)
tempscale.register_backend(
    tempscale.BackendEntry("nosuchframework", "nosuchframework:Backend", "nosuchframework>=3"), name="nosuch"
)

"""
ON_EACH = """
import numpy

def test_sum(backend):
    x = backend.asarray(numpy.ones(3, "float32"))
    assert float(backend.namespace.sum(x)) == 3.0
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest on the source of a test file, with the backends of CONFTEST; returns what came of it.

    In this process, where a framework must not be imported: pytester would have it imported a second time.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    ts.get_backend("numpy")

    def run(source, *options, ini=""):
        pytester.makepyfile(test_it=source)
        pytester.makeconftest(CONFTEST)
        if ini:
            pytester.makeini(f"[pytest]\n{ini}\n")
        try:
            return pytester.runpytest_inprocess("-p", "tempscale.testing.plugin", "-rs", *options)
        finally:
            for name in {"theirs", "nosuch"} & {*known_backends()}:
                unregister_backend(name)

    return run


# backend


def test_there_is_a_test_for_each_backend(pytester):
    pytester.makepyfile(test_it=ON_EACH)
    result = pytester.runpytest_subprocess("-v", "--require-backends")
    result.assert_outcomes(passed=len(known_backends()))
    for name in known_backends():
        result.stdout.fnmatch_lines([f"*test_sum?{name}? PASSED*"])


def test_the_tests_shown_in_docs_testing_do_what_the_page_says(pytester):
    page = ROOT.joinpath("docs", "testing.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"^```python test_backends.py\n(.*?)^```$", page, re.M | re.S)
    pytester.makepyfile(test_backends=source)
    result = pytester.runpytest_subprocess("--backends", "tensorflow,jax")
    # TensorFlow has all four modes, JAX knows no unknown dimensions
    result.assert_outcomes(passed=2 + 4 + 3 + 1, skipped=1, xfailed=1)


def test_backends_are_chosen_by_name_and_a_third_partys_takes_part(run):
    result = run(ON_EACH, "-v", "--backends", "numpy, theirs")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_sum?numpy? PASSED*", "*test_sum?theirs? PASSED*"])


def test_a_name_that_there_is_not_stops_the_run_with_those_there_are(run):
    result = run(ON_EACH, "--backends", "numpyy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--backends: unknown backend 'numpyy'; choose from *numpy*"])


def test_a_backend_that_is_missing_is_skipped_with_its_reason(run):
    result = run(ON_EACH, "--backends", "numpy,nosuch")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*pip install 'nosuchframework>=3'*"])


@pytest.mark.parametrize("how", ["option", "ini"])
def test_a_backend_that_is_missing_is_a_failure_where_backends_are_required(run, how):
    chosen = {
        "option": {"options": ("--backends", "numpy,nosuch", "--require-backends")},
        "ini": {"ini": "tempscale_backends = numpy nosuch\ntempscale_require_backends = true"},
    }[how]
    result = run(ON_EACH, *chosen.get("options", ()), ini=chosen.get("ini", ""))
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*required, and nosuch is not available: *pip install 'nosuchframework>=3'*"])


def test_a_fixture_or_a_parameter_of_the_same_name_is_left_alone(run):
    source = """
import pytest

@pytest.fixture
def mode():
    return "mine"

@pytest.fixture
def backend():
    return "mine"

def test_fixture(backend, mode):
    assert backend == mode == "mine"

@pytest.mark.parametrize("backend", [1, 2])
def test_parameter(backend):
    assert backend in (1, 2)
"""
    run(source).assert_outcomes(passed=3)


# mode


def test_each_mode_runs_a_function_its_way_and_what_a_framework_has_not_is_skipped(run):
    source = """
import numpy

def test_twice(backend, mode):
    seen = []
    def fn(x):
        seen.append(x.shape)
        return 2 * x
    result = mode(backend, fn)(numpy.ones((2, 4), "float32"))
    assert seen == ([(4,), (4,)] if mode.name == "vmap" else [(2, 4)])
    assert (result[0] == "compiled") if mode.name == "compiled" else (result == 2).all()
"""
    result = run(source, "-v", "--backends", "theirs")
    for name in ("eager", "compiled", "vmap"):
        result.stdout.fnmatch_lines([f"*test_twice?*{name}*PASSED*"])
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*theirs compiles anew for each shape"])
    result = run(source, "--backends", "numpy", "-k", "compiled")
    result.stdout.fnmatch_lines(["SKIPPED*numpy does not compile"])


# backend_xfail


def expecting(mark, body="raise ValueError('known')", arguments="backend"):
    return f"""
import pytest

@pytest.mark.backend_xfail({mark})
def test_known({arguments}):
    {body}
"""


ON_THEIRS = "if backend.name == 'theirs': raise ValueError('known')"


def test_an_expected_failure_is_one_on_its_backend_alone(run):
    source = expecting('"theirs", raises=ValueError, reason="rounds wrongly"', ON_THEIRS)
    run(source, "--backends", "numpy,theirs").assert_outcomes(passed=1, xfailed=1)


def test_another_backend_may_not_fail(run):
    source = expecting('"theirs", raises=ValueError, reason="rounds wrongly"')
    run(source, "--backends", "numpy,theirs").assert_outcomes(failed=1, xfailed=1)


def test_another_exception_is_a_failure(run):
    source = expecting('"theirs", raises=TypeError, reason="rounds wrongly"', ON_THEIRS)
    run(source, "--backends", "numpy,theirs").assert_outcomes(passed=1, failed=1)


def test_a_defect_that_is_gone_is_a_failure(run):
    result = run(
        expecting('"numpy", "theirs", raises=ValueError, reason="rounds wrongly"', "pass"), "--backends", "theirs"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*rounds wrongly*"])


def test_a_failure_may_be_expected_in_one_mode(run):
    source = expecting(
        '"theirs", mode="vmap", raises=ValueError, reason="no rule"',
        "if mode.name == 'vmap': raise ValueError",
        "backend, mode",
    )
    run(source, "--backends", "theirs").assert_outcomes(passed=3, xfailed=1)


@pytest.mark.parametrize(
    ("mark", "arguments", "said"),
    [
        ('"theirs", reason="why"', "backend", "must name the expected exception"),
        ('"theirs", raises=ValueError', "backend", "must give a reason"),
        ('"theirs", raises=ValueError, reason=" "', "backend", "must give a reason"),
        ('"theirs", raises=Exception, reason="why"', "backend", "Exception would excuse any failure"),
        ('"theirs", raises=(ValueError, BaseException), reason="why"', "backend", "would excuse any failure"),
        ('raises=ValueError, reason="why"', "backend", "must name backends"),
        ('"theirs", raises=ValueError, reason="why", strict=False', "backend", "has no option strict"),
        ('"theirs", raises=ValueError, reason="why", mode="fast"', "backend", "has an unknown mode"),
        ('"theirs", raises=ValueError, reason="why"', "", "does not use the fixture 'backend'"),
    ],
)
def test_an_incomplete_mark_is_an_error_when_tests_are_collected(run, mark, arguments, said):
    result = run(expecting(mark, "pass", arguments), "--backends", "theirs")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*backend_xfail*{said}*"])


def test_the_mark_is_known(run):
    result = run("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.backend_xfail(*backends, raises, reason, mode=None): *"])


# Where it is not used


def test_the_plugin_imports_no_framework_and_no_hypothesis_until_a_test_asks(tmp_path):
    tmp_path.joinpath("test_it.py").write_text("def test_nothing(): pass\n")
    run_python(
        f"""
        import sys, pytest
        assert pytest.main(["-q", "-p", "no:hypothesispytest", "-p", "no:cacheprovider", {str(tmp_path)!r}]) == 0
        assert "tempscale.testing.plugin" in sys.modules
        unwanted = {{"torch", "tensorflow", "jax", "tempscale_backends", "tempscale.testing.strategies"}}
        assert unwanted.isdisjoint(sys.modules), unwanted & {{*sys.modules}}
        """
    )
