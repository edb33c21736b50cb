"""The pytest plugin: it runs a test on every backend and in every mode, and marks what is known to be broken on one.

pytest loads it wherever tempscale is installed, so it does nothing until a test asks for it: no framework is imported
before a test runs on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tempscale.backend import ArrayFunction, Backend

__all__ = ["ModeOfTest", "backend", "backend_or_skip", "mode"]

MODES = ("eager", "compiled", "unknown-dims", "vmap")
MARK = "backend_xfail"
_BACKEND, _MODE = "tempscale_backend_name", "tempscale_mode_name"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, and their names in a configuration file."""
    group = parser.getgroup("tempscale")
    group.addoption(
        "--backends",
        metavar="NAMES",
        help="Backends for the fixture 'backend', separated by commas (default: all registered). Tests of a backend "
        "that is not installed are skipped.",
    )
    group.addoption(
        "--require-backends",
        action="store_true",
        help="Fail, rather than skip, the tests of a backend that is not installed or is broken.",
    )
    parser.addini("tempscale_backends", "As --backends, which takes precedence.", type="args")
    parser.addini("tempscale_require_backends", "As --require-backends.", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and refuse unknown backends."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(*backends, raises, reason, mode=None): expect this exception on these backends, and no other; a test "
        "that passes there fails.",
    )
    if _named(config):
        from tempscale._core.registry import known_backends

        known = known_backends()
        for name in _named(config):
            if name not in known:
                raise pytest.UsageError(f"--backends: unknown backend {name!r}; choose from {', '.join(known)}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each backend and mode, if it uses these fixtures: a fixture of the same name may hide them."""
    if _BACKEND in metafunc.fixturenames:
        metafunc.parametrize(_BACKEND, _named(metafunc.config) or _known())
    if _MODE in metafunc.fixturenames:
        metafunc.parametrize(_MODE, MODES)
    for mark in metafunc.definition.iter_markers(MARK):
        problem = _problem(mark, metafunc)
        if problem:
            pytest.fail(f"{metafunc.definition.nodeid}: {problem}", pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Turn the mark into pytest's own, strict one, on the tests that it is about."""
    for item in items:
        for mark in item.iter_markers(MARK):
            given = getattr(item, "callspec", None)
            parameters = given.params if given is not None else {}
            on_backend = parameters.get(_BACKEND, parameters.get("backend")) in mark.args
            in_mode = mark.kwargs.get("mode") in (None, parameters.get(_MODE))
            if on_backend and in_mode:
                raises, reason = mark.kwargs["raises"], mark.kwargs["reason"]
                item.add_marker(pytest.mark.xfail(raises=raises, reason=reason, strict=True))


@pytest.fixture
def tempscale_backend_name(request: pytest.FixtureRequest) -> str:
    """Name of the backend of a test, which the plugin gives it."""
    return str(request.param)


@pytest.fixture
def tempscale_mode_name(request: pytest.FixtureRequest) -> str:
    """Name of the mode of a test, which the plugin gives it."""
    return str(request.param)


@pytest.fixture
def backend(tempscale_backend_name: str, request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn, a `tempscale.Backend`. If one is not installed, the test is skipped with the reason."""
    return backend_or_skip(tempscale_backend_name, request.config)


@pytest.fixture
def mode(tempscale_mode_name: str) -> ModeOfTest:
    """Each mode in turn: eager, compiled, unknown dimensions, vmap."""
    return ModeOfTest(tempscale_mode_name)


class ModeOfTest:
    """A mode in a test: ``mode(backend, fn)`` is `fn`, run that way.

    Attributes
    ----------
    name : str
        "eager", "compiled", "unknown-dims" or "vmap".
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, backend: Backend, fn: ArrayFunction, *, compiler: str = "") -> ArrayFunction:
        """Return `fn` run in this mode; skip the test if the framework has no such mode, or cannot run it here.

        Parameters
        ----------
        backend : Backend
            Whose arrays the function will be given.
        fn : callable
            From arrays to an array, or to a tuple of them. Under "vmap" it sees one entry of each along the first axis.
        compiler : str, optional
            One of `Backend.compilers`; by default the first.
        """
        from tempscale.testing.conformance.modes import Mode

        chosen = Mode(self.name)
        problem = chosen.problem(backend)
        if not problem and chosen.compiles:
            problem = backend.compiler_problem(compiler or backend.compilers[0]) or ""
        if problem:
            pytest.skip(problem)
        return chosen.run(backend, fn, compiler=compiler)

    def __repr__(self) -> str:
        return f"ModeOfTest({self.name!r})"


def backend_or_skip(name: str, config: pytest.Config) -> Backend:
    """Return a backend; if it is not available skip the test, or fail it under ``--require-backends``."""
    from tempscale._core.registry import get_backend
    from tempscale.backend import BackendUnavailableError

    try:
        return get_backend(name)
    except BackendUnavailableError as error:
        if config.getoption("--require-backends") or config.getini("tempscale_require_backends"):
            pytest.fail(f"backends are required, and {name} is not available: {error}", pytrace=False)
        pytest.skip(str(error))


def _known() -> tuple[str, ...]:
    from tempscale._core.registry import known_backends

    return known_backends()


def _named(config: pytest.Config) -> tuple[str, ...]:
    """Return the backends asked for by the option or else in the configuration; empty for all."""
    option = config.getoption("--backends")
    names = option.split(",") if option else config.getini("tempscale_backends")
    return tuple(dict.fromkeys(name.strip() for text in names for name in text.split(",") if name.strip()))


def _problem(mark: pytest.Mark, metafunc: pytest.Metafunc) -> str:
    """Return what is wrong with a mark; "" if nothing is."""
    return next(_problems(mark, metafunc), "")


def _problems(mark: pytest.Mark, metafunc: pytest.Metafunc) -> Iterator[str]:
    usage = f'@pytest.mark.{MARK}("tensorflow", raises=ValueError, reason="why")'
    given: dict[str, Any] = dict(mark.kwargs)
    if not mark.args or not all(isinstance(name, str) for name in mark.args):
        yield f"{MARK} must name backends: {usage}"
    raises = given.pop("raises", None)
    kinds = raises if isinstance(raises, tuple) else (raises,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds) or not kinds:
        yield f"{MARK} must name the expected exception: {usage}"
    elif {Exception, BaseException} & {*kinds}:
        yield f"{MARK} must name a narrow exception: {' and '.join(k.__name__ for k in kinds)} would excuse any failure"
    reason = given.pop("reason", "")
    if not isinstance(reason, str) or not reason.strip():
        yield f"{MARK} must give a reason: {usage}"
    if given.pop("mode", None) not in (None, *MODES):
        yield f"{MARK} has an unknown mode; choose from {', '.join(MODES)}"
    if given:
        yield f"{MARK} has no option {', '.join(given)}: {usage}"
    if not {_BACKEND, "backend"} & {*metafunc.fixturenames}:
        yield f"{MARK} is on a test that does not use the fixture 'backend'"
