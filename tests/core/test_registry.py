"""Which backends there are: registering, names, and backends of third parties."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from support import run_python
from tempscale_backends.numpy.backend import NumpyBackend

import tempscale as ts
from tempscale._core.registry import unregister_backend
from tempscale.backend import REQUIRED_MEMBERS, TRANSFORMING_MEMBERS, Backend, missing_members


class Celsius:
    """An array of a framework that nobody knows."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape = self.values.shape


class CelsiusBackend(NumpyBackend):
    """Complete, because it inherits what it does not say."""

    name = "celsius"
    array_types = (Celsius,)


@pytest.fixture
def register():
    """`register_backend`, undone after the test."""
    names = []

    def register(backend, name=None):
        ts.register_backend(backend, name=name)
        names.append(name or backend.name)

    yield register
    for name in names:
        unregister_backend(name)


# register_backend


@pytest.mark.parametrize("form", [CelsiusBackend, CelsiusBackend()], ids=["class", "instance"])
def test_a_registered_backend_is_found_by_name_and_by_its_arrays(register, form):
    with pytest.raises(TypeError, match=r"Celsius, expected .* see tempscale\.register_backend"):
        ts.backend_of(Celsius([1.0]))
    register(form)
    assert "celsius" in ts.backends()
    assert isinstance(ts.get_backend("celsius"), CelsiusBackend)
    assert ts.backend_of(Celsius([1.0]), 2.0) is ts.get_backend("celsius")


def test_a_backend_can_be_registered_under_another_name(register):
    register(CelsiusBackend, name="centigrade")
    assert ts.get_backend("centigrade") is ts.backend_of(Celsius([1.0]))


def test_natives_of_a_registered_backend_are_used(register):
    @ts.agnostic
    def double(x, /, *, xp):
        return x * 2

    @double.native("celsius")
    def _double(x):
        return Celsius(x.values * 2)

    register(CelsiusBackend)
    assert double(Celsius([1.0])).values.tolist() == [2.0]


def test_a_class_that_misses_members_is_refused_with_a_list_of_them():
    class Half(Backend):
        name = "half"

        def devices(self):
            return ("cpu",)

    with pytest.raises(TypeError) as refused:
        ts.register_backend(Half)
    message = str(refused.value)
    missing = sorted({*REQUIRED_MEMBERS, *TRANSFORMING_MEMBERS} - {"name", "devices"})
    assert f"Half is not a backend: it lacks {', '.join(missing)}." in message
    assert "tempscale.backend.Backend" in message
    assert "half" not in ts.backends()


def test_a_class_defines_what_it_says_that_it_can_do(strict):
    class Bare(type(strict)):
        name = "bare"

    assert missing_members(Bare) == []
    Bare.transforms = True
    assert missing_members(Bare) == [*TRANSFORMING_MEMBERS]
    Bare.transforms, Bare.compilers = False, ("bare.jit",)
    assert missing_members(Bare) == ["is_traced", "jit"]


def test_what_a_framework_cannot_do_is_refused_by_its_name(strict):
    for call in (strict.jit, strict.vmap):
        with pytest.raises(NotImplementedError, match=r"strict (does not compile|has no vmap)"):
            call(len)
    for call in (strict.vjp, strict.jvp):
        with pytest.raises(NotImplementedError, match="strict does not differentiate"):
            call(len, (), ())


def test_something_else_than_a_backend_is_refused_with_the_whole_contract():
    for other in (int, 3):
        with pytest.raises(TypeError, match=r"builtins\.int is not a backend: it lacks array_types, asarray"):
            ts.register_backend(other)


def test_the_contract_requires_every_abstract_member_and_what_identifies_a_backend():
    assert set(REQUIRED_MEMBERS) == {*Backend.__abstractmethods__, "name", "array_types"}


def test_two_backends_of_one_name_are_refused_with_both_origins(register):
    register(CelsiusBackend)

    class Other(CelsiusBackend):
        pass

    with pytest.raises(ValueError, match="two backends are named 'celsius'") as refused:
        ts.register_backend(Other)
    for origin in (CelsiusBackend, Other):
        assert f"{origin.__module__}:{origin.__qualname__}" in str(refused.value)
    assert type(ts.get_backend("celsius")) is CelsiusBackend


def test_the_names_of_the_four_are_taken():
    class Mine(CelsiusBackend):
        name = "torch"

    with pytest.raises(ValueError, match=r"two backends are named 'torch': .* of tempscale and .*Mine"):
        ts.register_backend(Mine)


def test_an_unregistered_backend_is_forgotten():
    ts.register_backend(CelsiusBackend)
    assert ts.backend_of(Celsius([1.0])).name == "celsius"
    unregister_backend("celsius")
    assert "celsius" not in ts.backends()
    with pytest.raises(TypeError, match="Celsius, expected an array of a known framework"):
        ts.backend_of(Celsius([1.0]))
    with pytest.raises(ValueError, match="unknown backend 'celsius'"):
        ts.get_backend("celsius")
    with pytest.raises(KeyError):
        unregister_backend("celsius")


# Names


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="unknown backend 'touch'; choose from jax, numpy, tensorflow, torch"):
        ts.get_backend("touch")


def test_each_name_gives_one_backend_of_that_name(backend):
    assert ts.get_backend(backend.name) is backend
    assert backend.name in ts.backends()


def test_a_backend_knows_its_identity(backend):
    module = sys.modules[backend.name]
    assert backend.version == module.__version__
    x = backend.asarray([1.0, 2.0])
    assert isinstance(x, backend.array_types)
    assert backend.device_of(x) == backend.devices()[0]
    assert all(isinstance(value, str) for value in backend.settings().values())
    assert bool(backend.compilers) == (backend.name != "numpy")


# Entries


FAKE_FRAMEWORK = """
class Array:
    def __init__(self, values):
        self.values = values
"""

FAKE_BACKEND = """
import fakeframe
from tempscale_backends.numpy.backend import NumpyBackend

class FakeBackend(NumpyBackend):
    name = "fake"
    array_types = (fakeframe.Array,)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A framework `fakeframe` and its backend, installed but not imported."""
    tmp_path.joinpath("fakeframe.py").write_text(FAKE_FRAMEWORK)
    tmp_path.joinpath("fakeframe_backend.py").write_text(FAKE_BACKEND)
    monkeypatch.syspath_prepend(tmp_path)
    yield ts.BackendEntry("fakeframe", "fakeframe_backend:FakeBackend", "fakeframe-tempscale")
    for module in ("fakeframe", "fakeframe_backend"):
        sys.modules.pop(module, None)


def test_an_entry_is_loaded_when_its_arrays_are_seen_and_not_before(register, fake):
    register(fake, name="fake")
    assert "fake" in ts.backends()
    ts.softmax([1.0])
    assert "fakeframe" not in sys.modules

    import fakeframe

    assert "fakeframe_backend" not in sys.modules
    assert ts.backend_of(fakeframe.Array([1.0])) is ts.get_backend("fake")


def test_an_entry_is_loaded_when_it_is_asked_for_by_name(register, fake):
    register(fake, name="fake")
    assert ts.get_backend("fake").name == "fake"
    assert "fakeframe" in sys.modules


def test_an_entry_needs_a_name(fake):
    with pytest.raises(TypeError, match=r"a BackendEntry needs a name: register_backend\(entry, name="):
        ts.register_backend(fake)


def test_an_entry_whose_framework_is_not_installed_is_not_listed_and_says_what_to_install(register):
    register(ts.BackendEntry("nowhere_to_be_found", "nowhere:Backend", "nowhere[arrays]"), name="nowhere")
    assert "nowhere" not in ts.backends()
    with pytest.raises(ts.BackendUnavailableError, match=r"not installed: pip install 'nowhere\[arrays\]'"):
        ts.get_backend("nowhere")


def test_an_entry_that_names_no_backend_is_reported_when_it_is_asked_for(register, fake):
    register(ts.BackendEntry("fakeframe", "fakeframe_backend:Missing", "x"), name="missing")
    with pytest.raises(ts.BackendUnavailableError, match=r"'missing' is installed but .*: AttributeError: .*Missing"):
        ts.get_backend("missing")
    register(ts.BackendEntry("fakeframe", "fakeframe:Array", "x"), name="array")
    with pytest.raises(ts.BackendUnavailableError, match=r"Array is not a backend: it lacks array_types"):
        ts.get_backend("array")


# Plug-ins that are installed


def install(folder, distribution, *points):
    """As pip leaves a package behind: its metadata, with entry points."""
    metadata = folder / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    metadata.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    metadata.joinpath("entry_points.txt").write_text("\n".join(["[tempscale.backends]", *points, ""]))


def test_an_installed_plug_in_is_found_like_the_four(tmp_path):
    tmp_path.joinpath("fakeframe.py").write_text(FAKE_FRAMEWORK)
    tmp_path.joinpath("fakeframe_backend.py").write_text(FAKE_BACKEND)
    tmp_path.joinpath("fakeframe_entry.py").write_text(
        "from tempscale import BackendEntry\n"
        "entry = BackendEntry('fakeframe', 'fakeframe_backend:FakeBackend', 'fakeframe')\n"
    )
    install(tmp_path, "fakeplug", "fake = fakeframe_entry:entry")
    run_python(
        """
        import sys
        import tempscale as ts

        assert "fake" in ts.backends()
        assert "fakeframe" not in sys.modules
        import fakeframe
        assert ts.backend_of(fakeframe.Array([1.0])).name == "fake"
        assert ts.softmax([0.0, 0.0]).tolist() == [0.5, 0.5]
        """,
        path=[tmp_path],
    )


def test_a_broken_plug_in_is_reported_by_name_and_disturbs_nobody(tmp_path):
    tmp_path.joinpath("not_an_entry.py").write_text("entry = 3\n")
    install(tmp_path, "fakeplug", "gone = gone_module:entry", "wrong = not_an_entry:entry")
    run_python(
        """
        import tempscale as ts

        assert ts.softmax([0.0, 0.0]).tolist() == [0.5, 0.5]
        for name, reason in (
            ("gone", "ModuleNotFoundError: No module named 'gone_module'"),
            ("wrong", "not_an_entry:entry of fakeplug is 3, expected a tempscale.backend.BackendEntry"),
        ):
            try:
                ts.get_backend(name)
            except ts.BackendUnavailableError as error:
                assert repr(name) in str(error) and reason in str(error), error
            else:
                raise AssertionError(name)
        """,
        path=[tmp_path],
    )


def test_two_plug_ins_of_one_name_are_reported_with_both(tmp_path):
    tmp_path.joinpath("fakeframe_entry.py").write_text(
        "from tempscale import BackendEntry\n"
        "one = BackendEntry('numpy', 'fakeframe_backend:One', 'one')\n"
        "two = BackendEntry('numpy', 'fakeframe_backend:Two', 'two')\n"
    )
    install(tmp_path, "plugone", "fake = fakeframe_entry:one")
    install(tmp_path, "plugtwo", "fake = fakeframe_entry:two")
    run_python(
        """
        import tempscale as ts

        try:
            ts.get_backend("fake")
        except ts.BackendUnavailableError as error:
            message = str(error)
            assert "two backends are named 'fake'" in message, message
            assert "fakeframe_entry:one of plugone" in message, message
            assert "fakeframe_entry:two of plugtwo" in message, message
        else:
            raise AssertionError("one of two was chosen without a word")
        assert ts.softmax([0.0, 0.0]).tolist() == [0.5, 0.5]
        """,
        path=[tmp_path],
    )
