"""The command line: what it prints, what it writes, and above all its exit status."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("typer", reason="the command line needs pip install 'tempscale[cli]'")
pytest.importorskip("rich", reason="the command line needs pip install 'tempscale[cli]'")

from rich.console import Console
from support import ROOT, cell
from typer.testing import CliRunner

import tempscale
from tempscale._core.operation import OPERATIONS
from tempscale.backend import BackendUnavailableError
from tempscale.cli import inventory
from tempscale.cli.app import app
from tempscale.cli.errors import UsageError
from tempscale.cli.files import read_logits
from tempscale.reporting.report import Agreement, Report, State
from tempscale.reporting.tables import show_report
from tempscale.testing import conformance

BROKEN = cell(State.BROKEN, worst=273.0, reason="273 times the bound", backend="torch")
UNAVAILABLE = cell(State.UNAVAILABLE, worst=0.0, reason="needs a compiler: apt-get install g++")
NOT_APPLICABLE = cell(State.NOT_APPLICABLE, worst=0.0, mode="compiled", reason="numpy does not compile")


@pytest.fixture
def engine(monkeypatch):
    """An engine that runs nothing: it keeps what it was asked for and returns the report it is given."""
    seen = SimpleNamespace(report=Report(cells=[cell()], seconds=95.0), selection=None, logits=None, operations=None)

    def run(selection, *, operations=None, logits=None, progress=None):
        seen.selection, seen.operations, seen.logits = selection, operations, logits
        if isinstance(seen.report, Exception):
            raise seen.report
        return seen.report

    monkeypatch.setattr(conformance, "run", run)
    return seen


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def shown(report, width=100):
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    show_report(report, console)
    return console.file.getvalue()


class TestExitStatus:
    def test_0_if_everything_held(self, engine):
        assert invoke("conform").exit_code == 0

    def test_0_if_the_rest_is_not_applicable(self, engine):
        engine.report.cells.append(NOT_APPLICABLE)
        assert invoke("conform").exit_code == 0

    def test_1_if_something_is_broken_whatever_else_there_is(self, engine):
        engine.report = Report(cells=[cell(), BROKEN, UNAVAILABLE], interrupted=True)
        assert invoke("conform", "--allow-unavailable").exit_code == 1

    def test_3_if_something_was_unavailable(self, engine):
        engine.report.cells.append(UNAVAILABLE)
        assert invoke("conform").exit_code == 3

    def test_0_if_unavailable_is_allowed(self, engine):
        engine.report.cells.append(UNAVAILABLE)
        assert invoke("conform", "--allow-unavailable").exit_code == 0

    def test_3_if_nothing_was_checked_even_if_unavailable_is_allowed(self, engine):
        engine.report = Report(cells=[UNAVAILABLE])
        assert invoke("conform", "--allow-unavailable").exit_code == 3

    def test_130_if_interrupted(self, engine):
        engine.report.interrupted = True
        assert invoke("conform").exit_code == 130


class TestSelection:
    def test_without_options_selects_everything(self, engine):
        invoke("conform")
        assert engine.selection == conformance.Selection()
        assert engine.logits is None

    def test_names_are_given_with_commas_or_by_repeating(self, engine):
        invoke("conform", "--backend", "numpy,torch", "--backend", "jax", "--op", "softmax, entropy")
        assert engine.selection.backends == ("numpy", "torch", "jax")
        assert engine.selection.operations == ("softmax", "entropy")

    def test_every_option_reaches_the_engine(self, engine):
        invoke("conform", "--dtype", "float16", "--mode", "vmap", "--device", "cpu", "--quick", "--drawn", "5")
        assert engine.selection == conformance.Selection(
            dtypes=("float16",), modes=("vmap",), devices=("cpu",), quick=True, drawn=5
        )


class TestUsageErrors:
    def test_unknown_name_is_told_with_those_there_are(self, engine):
        engine.report = ValueError("unknown backend 'numpyy'; choose from jax, numpy")
        result = invoke("conform", "--backend", "numpyy")
        assert result.exit_code == 2
        assert "unknown backend 'numpyy'; choose from jax, numpy" in result.stderr

    def test_the_engine_itself_refuses_unknown_names(self):
        assert invoke("conform", "--op", "sofmax").exit_code == 2

    def test_unknown_option(self):
        assert invoke("conform", "--backends", "numpy").exit_code == 2

    def test_empty_name(self, engine):
        result = invoke("conform", "--dtype", "float16,,float32")
        assert result.exit_code == 2
        assert "empty name" in result.stderr

    @pytest.mark.parametrize("options", [("--key", "a"), ("--log",)])
    def test_options_about_a_file_need_the_file(self, engine, options):
        result = invoke("conform", *options)
        assert result.exit_code == 2
        assert "--logits FILE" in result.stderr

    def test_missing_file(self, engine, tmp_path):
        result = invoke("conform", "--logits", tmp_path / "absent.npy")
        assert result.exit_code == 2
        assert "no such file" in result.stderr

    def test_a_report_that_could_not_be_written_is_refused_before_the_run(self, engine, tmp_path):
        result = invoke("conform", "--json", tmp_path / "absent" / "report.json")
        assert result.exit_code == 2
        assert "existing folder" in result.stderr
        assert engine.selection is None

    def test_refusing_leaves_no_file_behind(self, engine, tmp_path):
        invoke("conform", "--json", tmp_path / "a.json", "--html", tmp_path / "absent" / "a.html")
        assert list(tmp_path.iterdir()) == []


THEIRS = """
import tempscale
from tempscale import softmax
from tempscale.testing import Contract

@tempscale.agnostic
def softplus(x, /, *, xp):
    return xp.log1p(xp.exp(-xp.abs(x))) + xp.maximum(x, xp.zeros_like(x))

@softplus.specified_by(Contract("12*u*value + 2*tiny", widens=False))
def exactly(x):
    import numpy
    return {"value": numpy.log1p(numpy.exp(-numpy.abs(x))) + numpy.maximum(x, 0)}

@tempscale.agnostic
def halfway(x, y, /, *, xp):
    return x / 2 + y / 2

@halfway.specified_by(
    Contract("2*u*(abs(x) + abs(y)) + 2*tiny", {"x": "tiny", "y": "tiny"}, widens=False)
)
def halfway_exactly(x, y):
    return {"value": x / 2 + y / 2, "gradients": lambda g: {"x": g / 2, "y": g / 2}}
"""


class TestModule:
    @pytest.fixture
    def write(self, tmp_path, monkeypatch):
        """Writes a module of a name that no other test has, into the current directory."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
        before, registered = {*sys.modules}, {**OPERATIONS}

        def write(source):
            name = f"theirs_{len(list(tmp_path.iterdir()))}_{tmp_path.name}"
            (tmp_path / f"{name}.py").write_text(source)
            return name

        yield write
        for name in {*sys.modules} - before:
            if name.startswith("theirs_"):
                del sys.modules[name]
        OPERATIONS.clear()
        OPERATIONS.update(registered)

    def test_the_functions_that_a_module_defines_are_run_and_no_others(self, engine, write):
        assert invoke("conform", "--module", write(THEIRS)).exit_code == 0
        assert [operation.__name__ for operation in engine.operations] == ["softplus", "halfway"]

    def test_functions_of_any_arguments_and_no_temperature_run_through_the_same_report(self, write, tmp_path):
        name = write(THEIRS)
        file = tmp_path / "report.json"
        options = ("--backend", "numpy,jax", "--dtype", "float32", "--mode", "eager,compiled,vmap,gradient")
        result = invoke("conform", "--module", name, "--json", file, *options)
        assert result.exit_code == 0, result.output
        cells = json.loads(file.read_text())["cells"]
        assert {cell["operation"] for cell in cells} == {"softplus", "halfway"}
        held = {(cell["operation"], cell["backend"], cell["mode"]) for cell in cells if cell["state"] == "held"}
        assert held >= {(op, "jax", mode) for op in ("softplus", "halfway") for mode in ("eager", "compiled", "vmap")}
        assert ("halfway", "jax", "gradient") in held
        (reason,) = {c["reason"] for c in cells if (c["operation"], c["mode"]) == ("softplus", "gradient")}
        assert "has no formulas for gradients" in reason

    def test_the_module_of_the_page_conforms(self, write):
        page = ROOT.joinpath("docs", "testing.md").read_text(encoding="utf-8")
        name = write("\n".join(re.findall(r"^```python activations.py\n(.*?)^```$", page, re.M | re.S)))
        result = invoke("conform", "--module", name, "--backend", "numpy,torch,jax", "--mode", "eager")
        assert result.exit_code == 0, result.output
        assert "mish" in result.output

    def test_what_is_wrong_is_found(self, write, tmp_path):
        name = write(THEIRS.replace("return x / 2 + y / 2\n\n@", "return x / 2 + y / 2.001\n\n@"))
        result = invoke("conform", "--module", name, "--backend", "numpy", "--mode", "eager", "--dtype", "float32")
        assert result.exit_code == 1
        assert "halfway on numpy: 2 of 2" in result.output

    def test_op_chooses_among_them(self, write):
        name = write(THEIRS)
        result = invoke("conform", "--module", name, "--op", "softmax")
        assert result.exit_code == 2
        assert "unknown operation 'softmax'; choose from softplus, halfway" in result.stderr

    def test_a_module_that_does_not_exist(self, engine):
        result = invoke("conform", "--module", "theirs.nowhere")
        assert result.exit_code == 2
        assert "no module named 'theirs.nowhere'" in result.stderr

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("import no_such_package", "needs no_such_package, which is not installed"),
            ("1 / 0", "cannot be imported: ZeroDivisionError"),
            ("from tempscale import softmax", "defines no agnostic functions: decorate one with @tempscale.agnostic"),
            (THEIRS + "\n@tempscale.agnostic\ndef bare(x, /, *, xp): return x", "without a contract: bare."),
        ],
    )
    def test_a_module_that_cannot_be_run(self, engine, write, source, said):
        result = invoke("conform", "--module", write(source))
        assert result.exit_code == 2
        assert said in result.stderr
        assert engine.selection is None

    def test_what_to_write_is_said(self, engine, write):
        result = invoke("conform", "--module", write("import tempscale\nf = tempscale.agnostic(lambda x, xp: x)"))
        assert "specified_by(tempscale.testing.Contract(" in result.stderr


class TestLogits:
    def save(self, path: Path, array) -> Path:
        np.save(path / "logits.npy", array)
        return path / "logits.npy"

    def test_reach_the_engine_as_rows(self, engine, tmp_path):
        rows = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
        result = invoke("conform", "--logits", self.save(tmp_path, rows))
        assert result.exit_code == 0
        assert engine.logits.dtype == np.float16
        np.testing.assert_array_equal(engine.logits, rows.reshape(6, 4))

    def test_one_axis_is_one_row(self, tmp_path):
        assert read_logits(self.save(tmp_path, np.zeros(5))).shape == (1, 5)

    def test_integers_become_float64(self, tmp_path):
        assert read_logits(self.save(tmp_path, np.array([[1, 2]]))).dtype == np.float64

    def test_foreign_byte_order_becomes_native(self, tmp_path):
        found = read_logits(self.save(tmp_path, np.array([[1.0, 2.0]], dtype=">f4")))
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, [[1.0, 2.0]])

    def test_logarithm_is_taken_in_float64(self, tmp_path):
        probabilities = np.array([[0.25, 0.75]], dtype=np.float32)
        found = read_logits(self.save(tmp_path, probabilities), log=True)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, np.log([[0.25, 0.75]]))

    def test_logarithm_of_zero_is_a_masked_class(self, tmp_path):
        assert read_logits(self.save(tmp_path, np.array([0.0, 1.0])), log=True)[0, 0] == -math.inf

    def test_logarithm_of_logits_is_refused_with_the_place(self, tmp_path):
        with pytest.raises(UsageError, match="row 0, column 1"):
            read_logits(self.save(tmp_path, np.array([[1.0, -2.0]])), log=True)

    @pytest.mark.parametrize(
        ("array", "said"),
        [
            (np.array(1.0), r"shape \(\)"),
            (np.zeros((0, 4)), r"shape \(0, 4\)"),
            (np.zeros(3, bool), "bool"),
            (np.zeros(3, complex), "complex128"),
            (np.array(["a"]), "str"),
            (np.zeros(3, "V2"), "bfloat16 as float32"),
        ],
    )
    def test_what_is_not_logits_is_refused(self, tmp_path, array, said):
        with pytest.raises(UsageError, match=said):
            read_logits(self.save(tmp_path, array))

    def test_key_chooses_from_an_archive(self, tmp_path):
        np.savez(tmp_path / "a.npz", predictions=np.ones((2, 3)), labels=np.zeros(2, int))
        assert read_logits(tmp_path / "a.npz", key="predictions").shape == (2, 3)

    def test_an_archive_of_one_needs_no_key(self, tmp_path):
        np.savez_compressed(tmp_path / "a.npz", only=np.ones((2, 3)))
        assert read_logits(tmp_path / "a.npz").shape == (2, 3)

    @pytest.mark.parametrize("key", [None, "prediction"])
    def test_without_the_right_key_the_keys_are_listed(self, tmp_path, key):
        np.savez(tmp_path / "a.npz", predictions=np.ones((2, 3), np.float32), labels=np.zeros(2, np.int64))
        with pytest.raises(UsageError) as caught:
            read_logits(tmp_path / "a.npz", key=key)
        assert "predictions (shape (2, 3), float32), labels (shape (2,), int64)" in str(caught.value)

    def test_a_key_for_an_npy_file_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="leave out --key"):
            read_logits(self.save(tmp_path, np.zeros(3)), key="a")

    @pytest.mark.parametrize("content", [b"", b"1,2,3\n", b"\x93NUMPY", b"PK\x03\x04nonsense", b"\x93NUMPY\x01\x00"])
    def test_damaged_files_are_usage_errors(self, engine, tmp_path, content):
        (tmp_path / "logits.npy").write_bytes(content)
        result = invoke("conform", "--logits", tmp_path / "logits.npy")
        assert result.exit_code == 2
        assert "logits.npy" in result.stderr

    def test_a_truncated_file_is_a_usage_error(self, tmp_path):
        path = self.save(tmp_path, np.zeros(100))
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(UsageError, match="cannot read"):
            read_logits(path)

    def test_a_directory_is_a_usage_error(self, tmp_path):
        with pytest.raises(UsageError, match="directory"):
            read_logits(tmp_path)


class Trap:
    """Sets a mark if it is ever unpickled."""

    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


class TestPicklesAreNeverLoaded:
    def refused(self, path, **options):
        with pytest.raises(UsageError, match="pickle"):
            read_logits(path, **options)
        assert not Trap.sprung

    def test_in_a_bare_file(self, tmp_path):
        (tmp_path / "a.npy").write_bytes(pickle.dumps(Trap()))
        self.refused(tmp_path / "a.npy")

    def test_in_an_npy_file(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
        self.refused(tmp_path / "a.npy")

    def test_in_an_archive(self, tmp_path):
        np.savez(tmp_path / "a.npz", good=np.ones(3), bad=np.array([Trap()], dtype=object))
        self.refused(tmp_path / "a.npz", key="bad")
        assert read_logits(tmp_path / "a.npz", key="good").shape == (1, 3)


class TestFiles:
    def test_all_formats_are_written(self, engine, tmp_path):
        result = self.write_all(tmp_path)
        assert result.exit_code == 0
        assert json.loads((tmp_path / "a.json").read_text("utf-8"))["cells"][0]["operation"] == "softmax"
        assert ET.parse(tmp_path / "a.xml").getroot().get("tests") == "1"
        assert "<!DOCTYPE html>" in (tmp_path / "a.html").read_text("utf-8")

    def test_are_written_when_interrupted_and_say_so(self, engine, tmp_path):
        engine.report.interrupted = True
        result = self.write_all(tmp_path)
        assert result.exit_code == 130
        assert "Interrupted" in result.stdout
        assert json.loads((tmp_path / "a.json").read_text("utf-8"))["interrupted"] is True
        assert ET.parse(tmp_path / "a.xml").find(".//property[@name='interrupted']").get("value") == "true"
        assert "interrupted" in (tmp_path / "a.html").read_text("utf-8")

    def test_are_written_when_something_is_broken(self, engine, tmp_path):
        engine.report.cells.append(BROKEN)
        assert self.write_all(tmp_path).exit_code == 1
        assert len(list(tmp_path.iterdir())) == 3

    def test_an_older_report_is_replaced(self, engine, tmp_path):
        (tmp_path / "a.json").write_text("{" * 100_000)
        self.write_all(tmp_path)
        json.loads((tmp_path / "a.json").read_text("utf-8"))

    def write_all(self, path):
        return invoke("conform", "--json", path / "a.json", "--junit", path / "a.xml", "--html", path / "a.html")


class TestTables:
    def test_show_the_worst_of_all_cells_by_backend(self):
        text = shown(Report(cells=[cell(worst=0.31), cell(worst=0.57, mode="vmap")]))
        assert "held 0.57" in text

    def test_name_the_variant(self):
        assert "softmax (where)" in shown(Report(cells=[cell(variant="where")]))

    def test_show_the_worst_by_mode_too(self):
        line = lines_with(shown(Report(cells=[cell(worst=0.31), cell(worst=0.57, mode="vmap")])), "held")[1]
        assert line.split() == ["softmax", "held", "0.31", "held", "0.57", "numpy"]

    def test_keep_words_and_numbers_whole_in_80_columns(self):
        modes = ("eager", "compiled", "unknown-dims", "vmap", "gradient", "forward", "second")
        names = {"operation": "cross_entropy", "variant": "probabilities", "backend": "tensorflow"}
        text = shown(Report(cells=[cell(**names, worst=0.31, mode=mode) for mode in modes]), width=80)
        assert max(map(len, text.splitlines())) <= 80
        by_mode = text[text.index("by mode") :]
        assert by_mode.count("held 0.31") == len(modes)
        for whole in ("cross_entropy", "(probabilities)", "compiled", "forward", "tensorflow"):
            assert whole in by_mode.split()

    def test_say_what_is_broken_where_and_why(self):
        text = shown(Report(cells=[cell(), BROKEN]))
        assert "softmax on torch: 1 of 1" in text
        assert "float32, eager, public, cpu: 273 times the bound" in text
        assert "[2, 3] is 0.25, exactly 0.125" in text

    def test_shorten_a_long_list_of_what_is_broken(self):
        text = shown(Report(cells=[cell(State.BROKEN, worst=9.0, dtype=f"float{i}") for i in range(50)]))
        assert "and 46 more" in text

    def test_say_what_would_make_the_unavailable_available(self):
        text = shown(Report(cells=[cell(), UNAVAILABLE]))
        assert "apt-get install g++" in text
        assert "held 0.57*" in text
        assert "--allow-unavailable" in text

    def test_gather_what_is_not_applicable_in_one_line(self):
        text = shown(Report(cells=[cell(), *[NOT_APPLICABLE] * 7]))
        assert len(lines_with(text, "numpy does not compile")) == 1
        assert "7 combinations" in text

    def test_show_the_largest_distance_between_backends(self):
        agreements = [
            Agreement("softmax", "", "float32", ulp, (one, "numpy"), "ties", 100)
            for ulp, one in ((2, "jax"), (5, "torch"))
        ]
        text = shown(Report(cells=[cell()], agreements=agreements))
        assert lines_with(text, "torch / numpy")[0].split()[:2] == ["softmax", "5"]

    def test_sum_up_in_one_line(self):
        text = shown(Report(cells=[cell(), cell(), BROKEN, NOT_APPLICABLE], seconds=95.2))
        assert "2 held, 1 broken, 1 not applicable, 0 unavailable in 95 s" in text

    def test_print_square_brackets_unchanged(self):
        assert "got [red] and [0, nan]" in shown(Report(cells=[cell(State.BROKEN, reason="got [red] and [0, nan]")]))

    def test_never_round_an_error_across_its_bound(self):
        assert "broken >1.00" in shown(Report(cells=[cell(State.BROKEN, worst=1.001)]))

    def test_fit_into_100_columns(self):
        backends = ("numpy", "torch", "tensorflow", "jax")
        modes = ("eager", "compiled", "unknown-dims", "vmap", "gradient")
        cells = [
            cell(backend=b, mode=m, operation="cross_entropy", variant="label_smoothing")
            for b in backends
            for m in modes
        ]
        lines = shown(Report(cells=[*cells, UNAVAILABLE, BROKEN])).splitlines()
        assert max(map(len, lines)) <= 100

    def test_are_100_columns_wide_and_without_colour_when_piped(self, engine, monkeypatch):
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.delenv("FORCE_COLOR", raising=False)
        engine.report.cells.append(cell(State.UNAVAILABLE, reason="word " * 50))
        result = invoke("conform")
        assert 80 < max(map(len, result.stdout.splitlines())) <= 100
        assert "\x1b" not in result.stdout

    def test_show_no_progress_bar_to_a_pipe(self, engine):
        assert invoke("conform").stderr == ""

    def test_survive_a_run_interrupted_before_its_first_cell(self):
        assert "Interrupted" in shown(Report(interrupted=True))


def lines_with(text: str, part: str) -> list[str]:
    return [line for line in text.splitlines() if part in line]


class TestBackends:
    def test_shows_what_is_installed(self, monkeypatch):
        monkeypatch.setattr(inventory, "known_backends", lambda: ("numpy",))
        result = invoke("backends")
        assert result.exit_code == 0
        assert lines_with(result.stdout, "numpy")[0].split()[1] == np.__version__
        assert "cpu" in result.stdout

    def test_says_how_to_install_what_is_missing(self, monkeypatch):
        self.stand_in(monkeypatch, BackendUnavailableError("backend 'x' needs x: pip install 'x>=1'"))
        assert "missing: backend 'x' needs x: pip install 'x>=1'" in invoke("backends").stdout

    def test_says_why_something_is_broken_and_shows_the_others(self, monkeypatch):
        error = BackendUnavailableError("backend 'x' could not be loaded: OSError: no libx.so")
        error.__cause__ = OSError("no libx.so")
        self.stand_in(monkeypatch, error)
        result = invoke("backends")
        assert result.exit_code == 0
        assert "broken: backend 'x' could not be loaded: OSError: no libx.so" in result.stdout
        assert lines_with(result.stdout, np.__version__)

    def test_a_framework_that_cannot_tell_its_devices_is_broken(self, monkeypatch):
        self.stand_in(monkeypatch, RuntimeError("no driver"))
        assert "broken: backend 'x'" in invoke("backends").stdout

    def stand_in(self, monkeypatch, error):
        def get_backend(name):
            if name == "x":
                raise error
            return tempscale.get_backend(name)

        monkeypatch.setattr(inventory, "known_backends", lambda: ("numpy", "x"))
        monkeypatch.setattr(inventory, "get_backend", get_backend)


class TestMain:
    def test_version(self):
        result = invoke("--version")
        assert result.exit_code == 0
        assert result.stdout == f"tempscale {tempscale.__version__}\n"

    @pytest.mark.parametrize("absent", ["typer", "rich"])
    def test_without_typer_or_rich_says_in_one_line_what_to_install(self, absent):
        code = f"import sys; sys.modules[{absent!r}] = None; from tempscale.cli import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr == "the command line needs typer and rich: pip install 'tempscale[cli]'\n"


class TestStandardError:
    """In a process of its own, because frameworks write past Python, and while they are imported."""

    def run(self, *commands, path=()):
        """Run commands in one process, with all log lines on and `path` ahead of the installed packages."""
        code = """
            import sys
            from tempscale.cli import main
            for command in COMMANDS:
                sys.argv = ["tempscale", *command]
                try:
                    main()
                except SystemExit as end:
                    assert not end.code, end.code
        """.replace("COMMANDS", repr([[str(word) for word in command] for command in commands]))
        folders = [*path, ROOT, ROOT / "backends"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
        env.pop("TF_CPP_MIN_LOG_LEVEL", None)
        command = [sys.executable, "-c", textwrap.dedent(code)]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)

    def stand_ins(self, folder, tensorflow):
        """A folder with frameworks that fail when they are imported; what TensorFlow does is given."""
        for name, source in {"torch": "1 / 0", "jax": "1 / 0", "tensorflow": tensorflow}.items():
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(f"import os\n{source}\n")
        return folder

    def test_is_empty_when_frameworks_are_imported(self, rows):
        done = self.run(("show", rows), ("backends",))
        assert done.returncode == 0, done.stderr
        assert "tensorflow" in done.stdout
        assert done.stderr == ""

    def test_has_what_a_framework_wrote_that_cannot_be_imported(self, tmp_path):
        source = "os.write(2, b'no driver, says C++'); raise OSError('no libx.so')"
        done = self.run(("backends",), path=[self.stand_ins(tmp_path, source)])
        assert done.returncode == 0, done.stderr
        assert "broken: backend 'tensorflow'" in done.stdout
        assert "OSError: no libx.so" in " ".join(done.stdout.split())  # wrapped in the table
        assert done.stderr == "no driver, says C++"

    def test_has_what_a_framework_wrote_that_ended_the_process(self, tmp_path):
        source = "os.write(2, b'this machine has no AVX'); os.abort()"
        done = self.run(("backends",), path=[self.stand_ins(tmp_path, source)])
        assert done.returncode < 0
        assert done.stderr == "this machine has no AVX"


# show


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "logits.npy"
    np.save(path, np.log([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]))
    return path


def test_show_has_a_column_of_bars_for_each_temperature(rows):
    result = invoke("show", rows, "--temperatures", "0.5", "1", "inf")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert re.findall(r"T = \S+", lines[0]) == ["T = 0.5", "T = 1", "T = inf"]
    shares = [re.findall(r"[\d.]+%", line) for line in lines[1:5]]
    assert shares[0] == ["72.7%", "50%", "25%"]
    assert shares[1] == ["18.2%", "25%", "25%"]
    assert shares[2] == shares[3] == ["4.55%", "12.5%", "25%"]
    assert "= 4 equal" in lines[5]


def test_show_sums_up_the_classes_that_it_does_not_list(rows):
    result = invoke("show", rows, "--row", "1", "--most", "1", "--temperatures", "1,2")
    classes = [line.split()[0] for line in result.stdout.splitlines()[1:3]]
    assert classes == ["3", "3"]  # class 3, and 3 more
    assert "40%" in result.stdout
    assert "60%" in result.stdout


def test_show_draws_a_picture(rows, tmp_path):
    pytest.importorskip("matplotlib")
    for name, start in (("bars.png", b"\x89PNG"), ("bars.svg", b"<?xml"), ("bars.pdf", b"%PDF")):
        result = invoke("show", rows, "--plot", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--temperatures", "cold"), "'cold' is not a number; write for example 0.2 0.7 1 2"),
        (("--temperatures", "1", "nan"), "nan is not a number from 0 to inf"),
        (("--temperatures=-1",), "-1 is not a number from 0 to inf"),
        (("--row", "2"), "--row is 2, but the file has rows 0 to 1"),
        (("--most", "0"), "--most is 0, expected at least 1"),
        (("--plot", "/no/such/folder/a.png"), "choose a .png, .svg or .pdf file in a folder that you can write to"),
        (("--plot", "bars.txt"), "choose a .png, .svg or .pdf file"),
        (("0.7",), "unexpected argument '0.7': give one file, and temperatures after --temperatures"),
    ],
)
def test_show_says_what_is_wrong_and_ends_with_status_2(rows, options, message):
    result = invoke("show", rows, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not result.stdout


def test_show_refuses_a_row_without_a_distribution(tmp_path):
    np.save(tmp_path / "bad.npy", [[1.0, np.nan]])
    result = invoke("show", tmp_path / "bad.npy")
    assert result.exit_code == 2
    assert "row 0 has no distribution: its logits contain NaN or +inf, or only -inf" in result.stderr
