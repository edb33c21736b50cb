"""``tempscale sample``: the tokens of every backend side by side, and whether they are identical."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer", reason="the command line needs pip install 'tempscale[cli]'")
pytest.importorskip("rich", reason="the command line needs pip install 'tempscale[cli]'")

from typer.testing import CliRunner

import tempscale
from tempscale import BackendUnavailableError, random
from tempscale.cli.app import app

LOGITS = np.random.default_rng(5).standard_normal((12, 50)) * 3
TOKENS = r"-?\d+"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "logits.npy"
    np.save(path, LOGITS)
    return path


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


def without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As if a framework were not installed."""

    def get_backend(wanted: str) -> Any:
        if wanted == name:
            raise BackendUnavailableError(f"backend {name!r} needs {name}")
        return tempscale.get_backend(wanted)

    monkeypatch.setattr("tempscale.cli.sample.get_backend", get_backend)


def test_each_backend_has_a_column_of_the_tokens_that_sample_draws(file: Path) -> None:
    result = invoke(file, "--temperature", 0.7, "--seed", 3, "--draws", 2, "--backend", "numpy,jax")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["row", "numpy", "jax"]
    expected = tempscale.sample(LOGITS, random.key(3), temperature=0.7, num_samples=2)
    for row in range(10):
        assert [int(t) for t in re.findall(TOKENS, lines[1 + row])] == [row, *expected[row], *expected[row]]
    assert lines[-2:] == ["2 more rows were compared and are not shown", "identical: 24 tokens from each of numpy, jax"]


def test_all_backends_are_asked(file: Path) -> None:
    result = invoke(file)
    assert result.exit_code == 0, result.output
    assert "identical: 12 tokens from each of jax, numpy, tensorflow, torch" in result.stdout


def test_compilers_too(file: Path) -> None:
    result = invoke(file, "--compiled", "--backend", "jax")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("identical: 12 tokens from each of jax, jax jax.jit\n")


def test_the_first_difference_is_shown_with_status_1(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tempscale.sample

    def one_token_off(x: Any, *args: Any, **options: Any) -> Any:
        tokens = real(x, *args, **options)
        return tokens.at[7, 1].set(49) if tempscale.backend_of(x).name == "jax" else tokens

    monkeypatch.setattr(tempscale, "sample", one_token_off)
    result = invoke(file, "--draws", 3, "--backend", "numpy", "--backend", "jax")
    assert result.exit_code == 1
    token = int(real(LOGITS, random.key(0), num_samples=3)[7, 1])
    assert f"different: first at row 7, draw 1: numpy {token}, jax 49" in result.stdout


def test_a_missing_framework_is_named_and_the_others_are_compared(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "torch")
    result = invoke(file, "--backend", "numpy,torch")
    assert result.exit_code == 0
    assert "missing: backend 'torch' needs torch" in result.stdout
    assert "12 tokens from numpy; no other backend to compare with" in result.stdout


def test_nothing_but_missing_frameworks_is_status_2(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "torch")
    result = invoke(file, "--backend", "torch")
    assert result.exit_code == 2
    assert "needs torch" in result.stderr


def test_tokens_that_do_not_fit_are_left_out(file: Path) -> None:
    result = invoke(file, "--draws", 100, "--backend", "numpy")
    assert result.exit_code == 0
    assert all(len(line) <= 100 for line in result.stdout.splitlines())
    assert result.stdout.splitlines()[1].rstrip().endswith("...")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--temperature", "-1"), "--temperature is -1, expected a number from 0 to inf"),
        (("--temperature", "nan"), "--temperature is nan, expected a number from 0 to inf"),
        (("--seed", "-3"), "--seed: seed is -3, expected an integer from 0 to 2**64 - 1"),
        (("--draws", "0"), "--draws is 0, expected at least 1"),
        (("--backend", "numpi"), "unknown backend 'numpi'; choose from"),
        (("--key", "x"), "leave out --key"),
    ],
)
def test_what_is_wrong_is_said_with_status_2(file: Path, options: tuple[str, ...], message: str) -> None:
    result = invoke(file, *options)
    assert result.exit_code == 2
    assert message in result.stderr
