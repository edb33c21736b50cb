"""With nothing but NumPy the library works, and says clearly what is missing."""

import subprocess
import sys

import pytest

HIDE = """
import sys

class Hidden:
    names = {"torch", "tensorflow", "jax", "keras", "array_api_compat", "ml_dtypes", "autograd", "numba"}
    names |= {"typer", "rich"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def run(code, *, status=0):
    """Run code where only NumPy can be imported; returns what it printed."""
    done = subprocess.run([sys.executable, "-c", HIDE + code], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def test_softmax_of_a_list_works():
    code = "import tempscale as ts; print(ts.softmax([1., 2., 3.], temperature=0.5).round(6))"
    assert run(code).strip() == "[0.015876 0.11731  0.866813]"


def test_tokens_are_drawn_the_known_ones():
    code = "import tempscale as ts; print(ts.sample([[0.0, 1.0, 2.0]], ts.random.key(0), num_samples=4))"
    assert run(code).strip() == "[[1 2 2 1]]"


def test_numpy_is_the_only_backend():
    assert run("import tempscale as ts; print(ts.backends())").strip() == "('numpy',)"


@pytest.mark.parametrize("name", ["torch", "tensorflow", "jax"])
def test_a_missing_framework_is_named_with_what_installs_it(name):
    code = f"""
import tempscale as ts
try:
    ts.get_backend("{name}")
except ts.BackendUnavailableError as error:
    print(error)
"""
    assert f"pip install 'tempscale[{name}]'" in run(code)


def test_bfloat16_names_the_package_that_brings_it():
    code = """
import tempscale as ts, numpy
try:
    ts.convert([1.0], like=numpy.zeros(1), dtype="bfloat16")
except TypeError as error:
    print(error)
"""
    assert "pip install ml-dtypes" in run(code)


def test_the_command_line_says_what_it_needs():
    printed = run("import tempscale.cli; tempscale.cli.main()", status=2)
    assert "pip install 'tempscale[cli]'" in printed


def test_numpy_conforms_without_any_framework():
    code = """
from tempscale.testing import Selection, run
report = run(Selection(("numpy",), dtypes=("float16", "float32", "float64"), modes=("eager",), drawn=10**5))
print(report.exit_status(), len(report.cells))
"""
    status, cells = run(code).split()
    assert status == "0"
    assert int(cells) > 40
