"""Before anything is imported: what an import loads, first calls, frameworks that are absent or broken."""

from __future__ import annotations

import importlib.metadata
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tempscale_backends
from support import NAMES, require, run_python

import tempscale

FRAMEWORKS = ("torch", "tensorflow", "jax", "jaxlib", "array_api_compat", "ml_dtypes", "keras")
LOADED = f"sorted(set({FRAMEWORKS!r}) & set(sys.modules))"


# Importing


def test_importing_tempscale_imports_no_framework():
    assert run_python(f"import sys, tempscale; print({LOADED})").strip() == "[]"


def test_listing_backends_imports_no_framework():
    for name in NAMES:
        require(name)
    out = run_python(f"import sys, tempscale; print(*tempscale.backends()); print({LOADED})")
    assert out.split("\n")[:2] == ["jax numpy tensorflow torch", "[]"]


def test_numpy_and_lists_import_no_framework():
    out = run_python(f"""
        import sys, numpy, tempscale
        tempscale.softmax([1.0, 2.0])
        tempscale.softmax(numpy.ones(3), temperature=numpy.float32(2))
        tempscale.get_backend("numpy")
        print({LOADED})
    """)
    assert out.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "array"),
    [("torch", "torch.ones(2)"), ("tensorflow", "tensorflow.ones(2)"), ("jax", "jax.numpy.ones(2)")],
)
def test_a_framework_s_arrays_import_no_other_framework(name, array):
    require(name)
    out = run_python(f"""
        import sys
        import {name}
        before = set(sys.modules)
        import tempscale
        tempscale.softmax({array})
        print({{"torch", "tensorflow", "jax"}} & (set(sys.modules) - before))
    """)
    assert out.strip() == "set()"


def test_an_array_does_not_load_the_backends_of_other_frameworks_that_are_imported():
    for name in ("torch", "jax"):
        require(name)
    out = run_python("""
        import sys, numpy, torch, jax, tempscale
        tempscale.softmax(numpy.ones(2))
        tempscale.softmax(jax.numpy.ones(2))
        print("tempscale_backends.torch.backend" in sys.modules)
    """)
    assert out.strip() == "False"


# The first call of all, inside a compiler


def test_the_first_call_of_all_traces_in_torch_compile_without_a_break_or_a_second_compilation():
    require("torch")
    run_python("""
        import sys
        import torch
        import tempscale as ts

        compilations = []

        def count(graph, inputs):
            compilations.append(graph)
            return graph.forward

        @ts.agnostic
        def shifted(x, y, /, *, xp):
            return xp.exp(x) + y

        @torch.compile(fullgraph=True, backend=count)
        def first(x, t):
            return shifted(ts.softmax(x, temperature=t), [1.0, 2.0]), ts.log_softmax(x, temperature=0.5)

        assert "tempscale_backends.torch.backend" not in sys.modules
        for _ in range(3):
            first(torch.ones(2), torch.ones(()))
        assert len(compilations) == 1, len(compilations)

        # what else is loaded later does not compile it again
        ts.get_backend("numpy")
        ts.softmax([1.0])
        first(torch.ones(2), torch.ones(()))
        assert len(compilations) == 1, len(compilations)
    """)


def test_get_backend_traces_cold_in_torch_compile():
    require("torch")
    run_python("""
        import torch
        import tempscale as ts

        @torch.compile(fullgraph=True, backend="eager")
        def first(x):
            return ts.get_backend("torch").stop_gradient(x) + ts.array_namespace(x).exp(x)

        assert first(torch.zeros(2)).tolist() == [1.0, 1.0]
    """)


def test_the_first_call_of_all_traces_in_jax_jit():
    require("jax")
    run_python("""
        import jax
        import tempscale as ts

        first = jax.jit(jax.vmap(jax.grad(lambda x, t: ts.softmax(x, temperature=t)[0])))
        assert first(jax.numpy.zeros((2, 2)), jax.numpy.ones(2)).tolist() == [[0.25, -0.25], [0.25, -0.25]]
    """)


@pytest.mark.parametrize("options", ["", "jit_compile=True"])
def test_the_first_call_of_all_traces_in_tf_function(options):
    require("tensorflow")
    run_python(f"""
        import tensorflow as tf
        import tempscale as ts

        first = tf.function(lambda x, t: ts.softmax(x, temperature=t), {options})
        assert first(tf.zeros(2), tf.ones([])).numpy().tolist() == [0.5, 0.5]
        assert first.experimental_get_tracing_count() == 1
        first(tf.ones(2), tf.zeros([]))
        assert first.experimental_get_tracing_count() == 1
    """)


def test_the_first_call_of_all_in_a_plain_tf_function_writes_no_warnings(tmp_path):
    require("tensorflow")
    # from a file, because AutoGraph converts nothing whose source it cannot read
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
            import sys
            sys.stderr = sys.stdout
            import tensorflow as tf
            import tempscale as ts
            from tempscale import random

            @tf.function
            def first(x):
                p = ts.softmax(x) + random.uniform(random.key(0), (3,), like=x)
                return p, ts.sample(x, random.key(0)), ts.log_prob(x, tf.constant([1]))

            print(first(tf.zeros((1, 3)))[0].shape)
        """)
    )
    out = run_python("import program", path=[tmp_path])
    assert out.endswith("(1, 3)\n")
    assert "AutoGraph" not in out


# Broken


@pytest.fixture
def broken_jax(tmp_path):
    """A folder whose `jax` fails on import."""
    package = tmp_path / "jax"
    package.mkdir()
    package.joinpath("__init__.py").write_text(
        "import builtins\nbuiltins.jax_imports = getattr(builtins, 'jax_imports', 0) + 1\nraise RuntimeError('boom')\n"
    )
    return tmp_path


def test_a_framework_that_fails_on_import_is_reported_by_name_with_its_error(broken_jax):
    run_python(
        """
        import builtins
        import tempscale as ts

        for _ in range(2):
            try:
                ts.get_backend("jax")
            except ts.BackendUnavailableError as error:
                assert "'jax'" in str(error) and "RuntimeError: boom" in str(error), error
                assert "installed but could not be loaded" in str(error), error
                assert type(error.__cause__) is RuntimeError
            else:
                raise AssertionError("a broken framework was loaded")
        assert builtins.jax_imports == 1
        """,
        path=[broken_jax],
    )


def test_a_broken_framework_does_not_disturb_the_others(broken_jax):
    require("torch")
    run_python(
        """
        import numpy, torch
        import tempscale as ts

        try:
            import jax
        except RuntimeError:
            pass
        for _ in range(2):
            assert ts.softmax(numpy.zeros(2)).tolist() == [0.5, 0.5]
            assert ts.softmax(torch.zeros(2)).tolist() == [0.5, 0.5]
            assert ts.softmax([0.0, 0.0]).tolist() == [0.5, 0.5]
            try:
                ts.get_backend("jax")
            except ts.BackendUnavailableError:
                pass
        assert set(ts.backends()) >= {"numpy", "torch", "jax"}
        """,
        path=[broken_jax],
    )


def test_arrays_of_a_framework_whose_backend_cannot_be_loaded_say_what_is_missing():
    require("torch")
    run_python("""
        import sys
        sys.modules["array_api_compat"] = None  # as if it were not installed
        import numpy, torch
        import tempscale as ts

        for _ in range(2):
            try:
                ts.softmax(torch.zeros(2))
            except ts.BackendUnavailableError as error:
                assert "'torch'" in str(error) and "array_api_compat" in str(error), error
                assert "pip install 'tempscale[torch]'" in str(error), error
            else:
                raise AssertionError("torch without array-api-compat was loaded")
            assert ts.softmax(numpy.zeros(2)).tolist() == [0.5, 0.5]
    """)


# Not installed


@pytest.fixture
def only_core(tmp_path):
    """A folder with NumPy and tempscale, and nothing else."""
    installed = Path(np.__file__).parents[1]
    metadata = Path(str(importlib.metadata.distribution("tempscale").locate_file("")))
    sources = [
        *installed.glob("numpy*"),
        *metadata.glob("tempscale-*.dist-info"),
        Path(tempscale.__file__).parent,
        Path(tempscale_backends.__file__).parent,
    ]
    for source in sources:
        tmp_path.joinpath(source.name).symlink_to(source)
    return tmp_path


def test_with_only_core_installed_the_library_works_and_says_how_to_install_the_rest(only_core):
    out = run_python(
        """
        import tempscale as ts

        print(ts.softmax([1.0, 2.0, 3.0], temperature=0.5).round(3))
        print(*ts.backends())
        for name in ("torch", "tensorflow", "jax"):
            try:
                ts.get_backend(name)
            except ts.BackendUnavailableError as error:
                assert isinstance(error, ImportError)
                print(error)
        try:
            ts.convert([1.0], like=[1.0], dtype="bfloat16")
        except TypeError as error:
            print(error)
        """,
        path=[only_core],
        options=["-S"],
    ).splitlines()
    assert out == [
        "[0.016 0.117 0.867]",
        "numpy",
        *(
            f"backend '{name}' needs the package {name}, which is not installed: pip install 'tempscale[{name}]'"
            for name in ("torch", "tensorflow", "jax")
        ),
        "NumPy has no bfloat16 of its own: pip install ml-dtypes, or convert to dtype='float32'",
    ]


def test_a_folder_that_has_the_name_of_a_framework_is_not_that_framework(only_core):
    only_core.joinpath("torch", "lib").mkdir(parents=True)
    out = run_python(
        """
        import tempscale as ts
        print(*ts.backends())
        try:
            ts.get_backend("torch")
        except ts.BackendUnavailableError as error:
            print(error)
        """,
        path=[only_core],
        options=["-S"],
    ).splitlines()
    assert out[0] == "numpy"
    assert "not installed: pip install 'tempscale[torch]'" in out[1]
