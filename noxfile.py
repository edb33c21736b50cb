"""What is checked, and how: ``nox -s tests`` and so on. Each session installs all it needs."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "tests-numpy", "lint", "types", "docs"]
nox.options.reuse_existing_virtualenvs = True

# Versions that the tests were run with. torch is pinned there to one that has a small CPU build.
PINNED = ("-c", "constraints.txt")
LOWEST = ("-c", "constraints-lowest.txt")
PROJECT = nox.project.load_toml("pyproject.toml")
TEST = nox.project.dependency_groups(PROJECT, "test")
BENCH = nox.project.dependency_groups(PROJECT, "bench")
EXAMPLES = nox.project.dependency_groups(PROJECT, "examples")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on all four frameworks; a framework that is missing is a failure."""
    session.install(*PINNED, ".[all-cpu]", *TEST, *EXAMPLES, *BENCH, "mypy")
    session.run("pytest", "-n", "2", "--require-backends", *session.posargs)


@nox.session(name="tests-numpy")
def tests_numpy(session: nox.Session) -> None:
    """The library with nothing but NumPy: it works, and says clearly what is missing."""
    session.install(*PINNED, ".", *TEST)
    session.run(
        "pytest",
        "tests/house/test_core_only.py",
        "tests/core/test_registry.py",
        "tests/testing/test_ulp.py",
        *session.posargs,
    )


@nox.session(name="tests-lowest")
def tests_lowest(session: nox.Session) -> None:
    """The lowest versions that pyproject.toml allows: the quick conformance, and what leans most on the frameworks."""
    session.install(*LOWEST, ".[all-cpu,testing]", *TEST)
    session.run("tempscale", "conform", "--quick")
    session.run(
        "pytest",
        "--require-backends",
        "tests/core/test_dispatch.py",
        "tests/arrays/test_transforms.py",
        "tests/random/test_random.py",
        "tests/backends/test_traced_numpy.py",
        "tests/backends/test_internals.py",
        *session.posargs,
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Style."""
    session.install(*PINNED, "ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly, of the packages, the benchmarks and the plug-in, with the frameworks' own beside them."""
    session.install(*PINNED, ".[all-cpu,testing]", *EXAMPLES, "array-api-strict", "mypy")
    session.run("mypy")
    session.run("mypy", "--package", "benchmarks")
    session.run("mypy", "tests/plugin/tempscale_strict")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples in README, docs and docstrings, then build the API reference into docs/_build."""
    session.install(*PINNED, ".[all-cpu]", *TEST, "pdoc")
    session.run(
        "pytest",
        "--doctest-modules",
        "--doctest-glob=*.md",
        "--pyargs",  # the package that is installed: its pytest plugin is imported already
        "tempscale",
        "README.md",
        "docs",
        "CONTRIBUTING.md",
    )
    session.run("pdoc", "--docformat", "numpy", "-o", "docs/_build", "tempscale")


@nox.session
def bench(session: nox.Session) -> None:
    """Speed, as ratios against peers in the same run."""
    session.install(*PINNED, ".[all-cpu]", *BENCH)
    session.run("python", "-m", "benchmarks", *session.posargs)
