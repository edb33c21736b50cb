"""A third party's backend, from its package to the conformance run: tests/plugin, which brings array-api-strict."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support import PLUGIN, ROOT, run_python

import tempscale as ts
from tempscale._core.operation import OPERATIONS
from tempscale._core.registry import unregister_backend
from tempscale.backend import REQUIRED_MEMBERS, TRANSFORMING_MEMBERS, Backend
from tempscale.kernels.reductions import accurate_sum
from tempscale.reporting.report import State
from tempscale.testing.conformance import Selection, run
from tempscale.testing.conformance.cases import groups

PAGE = ROOT / "docs" / "backends.md"
DEVICES = ("CPU_DEVICE", "device1")
DTYPES = ("float32", "float64")

# Installed


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder into which pip has built and installed the plug-in, for interpreters that have it on their path."""
    folder = tmp_path_factory.mktemp("site")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(folder), str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def tempscale(site, *arguments):
    """Run the command line where the plug-in is installed; returns the exit status and what it printed."""
    code = "import sys; from tempscale.cli import main; sys.exit(main())"
    variables = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def test_an_installed_plug_in_is_found_through_its_entry_point_and_by_its_arrays(site):
    run_python(
        """
        import tempscale as ts

        assert "strict" in ts.backends()
        import array_api_strict
        x = array_api_strict.asarray([1.0, 2.0])
        assert ts.backend_of(x) is ts.get_backend("strict")
        assert ts.backend_of(x).name == "strict"
        assert type(ts.softmax(x)) is type(x)
        """,
        path=[site],
    )


def test_neither_the_library_nor_the_entry_of_a_plug_in_imports_its_framework(site):
    run_python(
        """
        import sys
        import tempscale as ts

        ts.backends()
        ts.softmax([0.0, 0.0])
        assert "tempscale_strict" in sys.modules
        assert {"array_api_strict", "tempscale_strict.backend"}.isdisjoint(sys.modules)
        """,
        path=[site],
    )


def test_the_command_line_lists_an_installed_plug_in(site):
    status, printed = tempscale(site, "backends")
    assert status == 0
    row = next(line for line in printed.splitlines() if line.split()[:1] == ["strict"])
    assert "CPU_DEVICE, device1" in row
    assert "standard: 2024.12" in row


def conformed(site, file, *options):
    """Cells of a run of the command line, by their states."""
    status, printed = tempscale(site, "conform", "--backend", "strict", "--json", file, *options)
    assert status == 0, printed
    report = json.loads(file.read_text())
    cells = report["cells"] + report["precisions"]
    held = [cell for cell in cells if cell["state"] == "held"]
    assert f"{len(held)} held, 0 broken" in printed
    assert {cell["state"] for cell in cells} <= {"held", "not applicable"}
    return held


def test_the_command_line_finds_that_an_installed_plug_in_conforms_quickly(site, tmp_path):
    held = conformed(site, tmp_path / "report.json", "--quick")
    assert {cell["operation"] for cell in held} == set(OPERATIONS)
    assert {cell["device"] for cell in held} == set(DEVICES)


def test_every_operation_of_an_installed_plug_in_conforms_in_every_dtype_on_every_device(site, tmp_path):
    held = conformed(site, tmp_path / "report.json", "--drawn", "100000")
    found = {(c["operation"], c["dtype"], c["device"], c["form"]) for c in held if c["precision"] == "default"}
    assert found == set(itertools.product(OPERATIONS, DTYPES, DEVICES, ("public", "body")))


# In this process


def operands(operation, dtype="float32"):
    """Operands of an operation as the conformance run has them, in NumPy."""
    group = groups(np.dtype(dtype))["rows"].operands
    return [group[name] for name in operation.specification.operands if name != "bias"]


def test_the_arrays_of_the_plug_in_can_do_no_more_than_the_standard_promises(strict):
    xp = strict.namespace
    x = xp.asarray([1.0, 2.0])
    assert xp.__array_api_version__ == "2024.12"
    with pytest.raises(RuntimeError, match="boolean_indexing"):
        x[x > 1.0]
    with pytest.raises(RuntimeError, match="data-dependent shapes"):
        xp.unique_values(x)
    with pytest.raises(TypeError, match="cannot be type promoted"):
        x + xp.asarray([1, 2])


def test_what_a_framework_has_not_is_not_applicable_rather_than_unavailable(strict):
    report = run(Selection(backends=("strict",), operations=("softmax",), devices=("CPU_DEVICE",), drawn=0))
    reasons = {(cell.dtype, cell.mode): cell.reason for cell in report.cells if cell.state is State.NOT_APPLICABLE}
    assert reasons["float16", "eager"] == "strict has no float16"
    assert reasons["bfloat16", "eager"] == "strict has no bfloat16"
    assert reasons["float32", "compiled"] == "strict does not compile"
    assert reasons["float32", "vmap"] == "strict has no vmap"
    assert reasons["float32", "gradient"] == "strict does not differentiate"
    with pytest.raises(TypeError, match=r"array-api-strict has no bfloat16; there are .*float32, float64"):
        strict.dtype("bfloat16")


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_gives_the_numbers_that_its_body_gives_in_numpy_but_for_the_sum(strict, dtype, monkeypatch):
    for backend in (strict, ts.get_backend("numpy")):
        monkeypatch.delitem(accurate_sum.natives, backend.name)
    (logits,) = operands(ts.softmax, dtype)
    with np.errstate(all="ignore"):
        expected = ts.softmax.call_body(logits, temperature=0.7)
        result = ts.softmax(strict.asarray(logits), temperature=0.7)
    assert isinstance(result, strict.array_types)
    np.testing.assert_array_equal(ts.to_numpy(result), expected, strict=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_result_is_where_its_operands_were(strict, name):
    operation = OPERATIONS[name]
    for device in DEVICES:
        given = [strict.asarray(x, device=device) for x in operands(operation)]
        with np.errstate(all="ignore"):
            result = operation(*given)
        assert isinstance(result, strict.array_types)
        assert strict.device_of(result) == device
        assert strict.dtype_name(result) == "float32"


def test_numbers_lists_and_masks_go_to_the_device_of_the_array_beside_them(strict):
    x = strict.asarray(np.asarray([[1.0, 2.0], [3.0, 4.0]], "float32"), device="device1")
    for options in (
        {"temperature": np.float64(0.5)},
        {"temperature": [[0.5], [2.0]]},
        {"where": [True, False]},
        {"where": True},
        {"temperature": strict.asarray(2, device="device1"), "axis": 0},
    ):
        result = ts.softmax(x, **options)
        assert strict.device_of(result) == "device1"
        assert strict.dtype_name(result) == "float32"
    loss = ts.cross_entropy(x, [0, 1], class_weights=[1, 2], ignore_index=np.int64(0), label_smoothing=0.1)
    assert strict.device_of(loss) == "device1"


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_classes_of_any_integer_dtype_give_the_losses_that_they_give_in_numpy(strict, dtype, reduction):
    rng = np.random.default_rng(5)
    logits, weights = rng.standard_normal((6, 4)), rng.random(4)
    labels = np.asarray([0, 1, 2, 3, 2, 1], dtype)
    for options in ({}, {"ignore_index": -100}, {"ignore_index": 2}, {"ignore_index": 1000}):
        expected = ts.cross_entropy(logits, labels, class_weights=weights, reduction=reduction, **options)
        arrays = [strict.asarray(x) for x in (logits, labels, weights)]
        result = ts.cross_entropy(*arrays[:2], class_weights=arrays[2], reduction=reduction, **options)
        np.testing.assert_allclose(ts.to_numpy(result), expected, rtol=1e-15)


def test_two_frameworks_in_one_call_are_refused_by_name(strict):
    x = strict.asarray([1.0, 2.0])
    with pytest.raises(TypeError) as refused:
        ts.softmax(x, temperature=np.ones(1))
    message = str(refused.value)
    assert f"argument 'logits' is {type(x).__module__}.{type(x).__qualname__}" in message
    assert "argument 'temperature' is numpy.ndarray" in message
    assert "tempscale.convert(x, like=y)" in message


def test_arrays_are_converted_into_the_plug_in_and_out_of_it(strict):
    like = strict.asarray(1.0, device="device1")
    for dtype in ("bool", "uint8", "int64", "float32", "float64"):
        given = np.asarray([[0, 1, 2]], dtype)
        converted = ts.convert(given, like=like)
        assert strict.device_of(converted) == "device1"
        np.testing.assert_array_equal(ts.convert(converted, like=np.zeros(1)), given, strict=True)
    with pytest.raises(TypeError, match=r"values could be lost: array-api-strict has no float16"):
        ts.convert(np.zeros(1, "float16"), like=like)
    with pytest.raises(ValueError, match="array-api-strict has no device 'gpu'; there are CPU_DEVICE, device1"):
        strict.asarray([1.0], device="gpu")


def test_memory_is_shared_through_dlpack(strict):
    given = np.asarray([1.0, 2.0])
    shared = ts.convert(given, like=strict.asarray(0.0), copy=False)
    given[0] = 7.0
    assert float(shared[0]) == 7.0
    assert np.shares_memory(ts.convert(shared, like=given, copy=False), given)


def test_what_the_framework_cannot_do_is_refused_in_words(strict):
    x = strict.asarray([1.0])
    for words, use in (
        ("does not differentiate", lambda: strict.vjp(ts.softmax, [x], x)),
        ("does not differentiate", lambda: strict.jvp(ts.softmax, [x], [x])),
        ("has no vmap", lambda: strict.vmap(ts.softmax)),
        ("does not compile", lambda: strict.jit(ts.softmax)),
    ):
        with pytest.raises(NotImplementedError, match=words):
            use()


def test_a_backend_under_another_name_keeps_arrays_on_their_device(strict):
    unregister_backend("strict")
    try:
        ts.register_backend(type(strict), name="severe")
        x = strict.asarray([1.0, 2.0], device="device1")
        assert ts.get_backend("severe").device_of(ts.softmax(x, temperature=[0.5])) == "device1"
        assert "argument number 1" in ts.explain(x)
    finally:
        unregister_backend("severe")
        ts.register_backend(strict)


# Plug-ins that are wrong


def test_a_class_with_all_members_that_is_no_backend_is_refused():
    duck = type(
        "Duck",
        (),
        {**dict.fromkeys([*REQUIRED_MEMBERS, *TRANSFORMING_MEMBERS], 1), "name": "duck", "array_types": (frozenset,)},
    )
    with pytest.raises(TypeError, match=r"Duck is not a backend: .* does not inherit from it"):
        ts.register_backend(duck)
    assert "duck" not in ts.backends()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import module_that_is_nowhere", "ModuleNotFoundError: No module named 'module_that_is_nowhere'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("other = 3", "AttributeError: module 'broken_backend' has no attribute 'BrokenBackend'"),
        ("class BrokenBackend: name = 'broken'", "BrokenBackend is not a backend: it lacks array_types, asarray"),
    ],
    ids=["its import fails", "it raises", "no such class", "not a backend"],
)
def test_a_target_that_is_wrong_is_reported_when_it_is_asked_for_and_disturbs_nobody(
    tmp_path, monkeypatch, source, reason
):
    tmp_path.joinpath("broken_backend.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    ts.register_backend(ts.BackendEntry("numpy", "broken_backend:BrokenBackend", "broken"), name="broken")
    try:
        with pytest.raises(ts.BackendUnavailableError, match="'broken' is installed but could not be loaded") as error:
            ts.get_backend("broken")
        assert reason in str(error.value)
        assert ts.softmax(np.zeros(2)).tolist() == [0.5, 0.5]
    finally:
        unregister_backend("broken")
        sys.modules.pop("broken_backend", None)


def test_a_target_in_a_module_that_does_not_exist_is_reported_with_its_name():
    ts.register_backend(ts.BackendEntry("numpy", "module_that_is_nowhere:Backend", "nowhere"), name="nowhere")
    try:
        with pytest.raises(ts.BackendUnavailableError, match=r"'module_that_is_nowhere': pip install 'nowhere'"):
            ts.get_backend("nowhere")
    finally:
        unregister_backend("nowhere")


def test_an_entry_point_that_fails_on_import_is_reported_when_it_is_asked_for(tmp_path):
    tmp_path.joinpath("failing_entry.py").write_text("raise RuntimeError('out of order')\n")
    metadata = tmp_path / "failing-1.0.dist-info"
    metadata.mkdir()
    metadata.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: failing\nVersion: 1.0\n")
    metadata.joinpath("entry_points.txt").write_text("[tempscale.backends]\nfailing = failing_entry:entry\n")
    run_python(
        """
        import tempscale as ts

        assert ts.softmax([0.0, 0.0]).tolist() == [0.5, 0.5]
        try:
            ts.get_backend("failing")
        except ts.BackendUnavailableError as error:
            assert "'failing'" in str(error) and "RuntimeError: out of order" in str(error), error
        else:
            raise AssertionError("a plug-in that fails was loaded")
        """,
        path=[tmp_path],
    )


# The page that walks through it


def quoted(file):
    """Lines of a file as the page quotes them, in pieces or whole; blank ones aside."""
    pieces = re.findall(rf"^```\w+ {re.escape(file)}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return [line for piece in pieces for line in piece.splitlines() if line.strip()]


FILES = ("pyproject.toml", *(f"tempscale_strict/{name}.py" for name in ("__init__", "backend", "natives")))


@pytest.mark.parametrize("file", FILES)
def test_the_page_quotes_the_whole_of_each_file(file):
    source = PLUGIN.joinpath(file).read_text(encoding="utf-8")
    assert quoted(file) == [line for line in source.splitlines() if line.strip()]


def test_the_page_quotes_every_file_of_the_plug_in():
    files = {p.relative_to(PLUGIN).as_posix() for p in PLUGIN.rglob("*") if p.suffix in (".py", ".toml")}
    assert {file for file in files if quoted(file)} == files


def test_the_table_of_the_contract_has_every_member():
    listed = re.findall(r"^\| `(\w+)", PAGE.read_text(encoding="utf-8"), re.M)
    members = {name for name in {**vars(Backend), **Backend.__annotations__} if not name.startswith("_")}
    assert sorted(listed) == sorted(members)
