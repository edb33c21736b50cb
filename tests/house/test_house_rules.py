"""Rules of the house, read from the source: who may import what, and no knowing of backends by name."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
import tempscale_backends
from support import NAMES, ROOT

import tempscale

CORE = Path(tempscale.__file__).parent
BACKENDS = Path(tempscale_backends.__file__).parent
FRAMEWORKS = {"torch", "tensorflow", "jax", "jaxlib", "keras", "flax", "optax", "PIL", "array_api_compat"}
OWN = {
    "numpy": {"ml_dtypes", "autograd", "numba"},
    "torch": {"torch", "array_api_compat", "ml_dtypes"},
    "tensorflow": {"tensorflow", "keras", "ml_dtypes"},
    "jax": {"jax", "jaxlib", "flax", "ml_dtypes"},
}


def sources(folder):
    files = sorted(folder.rglob("*.py"))
    assert files
    return files


def imports(file):
    """Modules that a file imports, anywhere in it, by statement or by a call with a literal name."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} has a relative import"
            yield node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value)


def top(module):
    return module.partition(".")[0]


ROOMS = (  # each may import what is in its own line, or above
    ("backend", "contracts", "_reference"),
    ("_core",),
    ("arrays", "transforms"),
    ("kernels",),
    ("probability", "random"),
    ("losses", "decoding"),
    ("reporting",),
    ("comparison",),
    ("__init__",),
    ("facts",),
    ("testing",),
    ("cli",),
)


def floor(module):
    """Number of the line of `ROOMS` that a module of the library is in; that of the face for the library itself."""
    room = module.split(".")[1] if "." in module else "__init__"
    return next(number for number, rooms in enumerate(ROOMS) if room in rooms)


def members(file):
    """Modules of the library that a file imports, with the rooms that it takes from the library itself."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "tempscale":
            rooms = {room for rooms in ROOMS for room in rooms}
            yield from (f"tempscale.{alias.name}" if alias.name in rooms else "tempscale" for alias in node.names)
    yield from (module for module in imports(file) if module.startswith("tempscale."))


@pytest.mark.parametrize("file", sources(CORE), ids=lambda file: str(file.relative_to(CORE)))
def test_imports_within_the_library_go_down_only(file):
    here = "tempscale." + file.relative_to(CORE).with_suffix("").parts[0]
    assert [module for module in members(file) if floor(module) > floor(here)] == []


def test_facts_reach_the_frameworks_through_one_door_only():
    """Facts are about the frameworks themselves: they are handed their modules, and import none."""
    doors = [file.name for file in sources(CORE / "facts") if "import_module(" in file.read_text(encoding="utf-8")]
    assert doors == ["libraries.py"]


def test_reporting_knows_no_topic():
    for file in sources(CORE / "reporting"):
        assert {module.split(".")[1] for module in imports(file) if top(module) == "tempscale"} <= {
            "backend",
            "reporting",
        }


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_imports_nothing_that_is_private_to_the_library(name):
    for file in sources(BACKENDS / name):
        private = [module for module in imports(file) if top(module) == "tempscale" and "._" in module]
        assert private == [], file


@pytest.mark.parametrize("file", sources(CORE), ids=lambda file: str(file.relative_to(CORE)))
def test_the_core_imports_no_framework_and_no_backend(file):
    assert {top(m) for m in imports(file)} & (FRAMEWORKS | {"tempscale_backends"}) == set()


@pytest.mark.parametrize("file", sorted(CORE.glob("*.py")), ids=lambda file: file.name)
def test_the_modules_of_the_library_import_numpy_and_nothing_else_when_they_are_imported(file):
    body = ast.parse(file.read_text(encoding="utf-8")).body
    names = set()
    for node in body:
        if isinstance(node, ast.Import):
            names |= {top(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(top(node.module))
    assert names - sys.stdlib_module_names <= {"numpy", "tempscale"}


@pytest.mark.parametrize("name", NAMES)
def test_a_backend_imports_its_framework_and_the_library_and_no_other_backend(name):
    allowed = {"numpy", "tempscale", *OWN[name], *sys.stdlib_module_names}
    for file in sources(BACKENDS / name):
        for module in imports(file):
            if top(module) == "tempscale_backends":
                assert module == f"tempscale_backends.{name}" or module.startswith(f"tempscale_backends.{name}.")
            else:
                assert top(module) in allowed, f"{file} imports {module}"


@pytest.mark.parametrize("name", NAMES)
def test_the_entry_of_a_backend_imports_no_framework(name):
    assert {*imports(BACKENDS / name / "__init__.py")} == {"tempscale.backend"}


def test_every_backend_is_its_own_package():
    packages = {path.name for path in BACKENDS.iterdir() if path.joinpath("__init__.py").exists()}
    assert packages == set(NAMES)


def known_by_name(file):
    """Lines that compare something with the name of a backend."""
    names = {*NAMES, "tf", "np"}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            parts += [e for part in parts if isinstance(part, ast.Tuple | ast.List | ast.Set) for e in part.elts]
            if any(isinstance(part, ast.Constant) and part.value in names for part in parts):
                yield node.lineno
        elif isinstance(node, ast.MatchValue) and getattr(node.value, "value", None) in names:
            yield node.value.lineno


@pytest.mark.parametrize("file", sources(CORE), ids=lambda file: str(file.relative_to(CORE)))
def test_no_code_outside_the_backends_asks_which_backend_it_is(file):
    assert [*known_by_name(file)] == []


def test_the_rule_against_names_sees_what_it_forbids(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("if backend.name == 'torch': pass\nif name in ('jax', 'numpy'): pass\nif a == b: pass\n")
    assert [*known_by_name(file)] == [1, 2]


def test_the_rule_for_imports_sees_what_it_forbids(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("def f():\n    import torch.nn\n    importlib.import_module('jax.numpy')\nfrom keras import ops\n")
    assert [*imports(file)] == ["keras", "torch.nn", "jax.numpy"]


UNPROMISED = ("tensorflow.python", "jax.core", "jax.extend", "jax.interpreters", "jaxlib", "autograph_info__")
"""What frameworks do not promise to keep, and call by a name without an underscore."""
OF_PYTHON = {"_replace", "_fields", "_asdict"}  # named tuples


def is_private(name):
    """Whether a name with dots is one that may be gone in another version of a framework."""
    parts = name.split(".")[1:]  # the first is a module or a variable of this house, or the name of the framework
    hidden = any(part.startswith("_") and not part.startswith("__") and part not in OF_PYTHON for part in parts)
    return hidden or any(f".{name}.".find(f".{unpromised}.") >= 0 for unpromised in UNPROMISED)


def own_names(tree):
    """Names that a file gives to its own functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            yield node.attr


def private_names(file):
    """Lines that name what is private to a framework, or to anything else that is not of this house."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    own = {*own_names(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and node.attr not in own:
            names = [ast.unparse(node) if isinstance(node.value, ast.Name | ast.Attribute) else f"x.{node.attr}"]
        else:
            continue
        ours = ("tempscale", "tempscale_backends", "benchmarks", "self", "cls")
        if any(top(name) not in ours and is_private(name) for name in names):
            yield node.lineno


WRITTEN = [file for folder in (CORE, BACKENDS, ROOT / "examples") for file in sources(folder)]


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: "/".join(file.parts[-3:]))
def test_private_names_of_frameworks_are_in_internals_and_nowhere_else(file):
    assert file.name == "internals.py" or {*private_names(file)} == set()


@pytest.mark.parametrize("name", ["torch", "tensorflow", "jax"])
def test_internals_of_a_backend_are_not_without_what_the_rule_looks_for(name):
    text = (BACKENDS / name / "internals.py").read_text(encoding="utf-8")
    assert "Without: " in text
    assert "seen to work in" in text


def test_the_rule_against_private_names_sees_what_it_forbids(tmp_path):
    file = tmp_path / "x.py"
    lines = (
        "from tensorflow.python.eager import record",
        "from torch import _C",
        "import jax.interpreters.ad",
        "torch._dynamo.exc.Hit",
        "isinstance(x, jax.core.Tracer)",
        "level = forward_ad._current_level",
        "box()._value",
        "fn.autograph_info__ = {}",
        "import torch, jax.numpy; torch.func.vmap; x.__array__; x._replace(a=1); self._own; y._own",
    )
    file.write_text("\n".join(lines))
    assert sorted({*private_names(file)}) == [*range(1, 9)]
