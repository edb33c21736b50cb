"""``tempscale compare``: two models or two traces, and the exit status."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer", reason="the command line needs pip install 'tempscale[cli]'")
pytest.importorskip("rich", reason="the command line needs pip install 'tempscale[cli]'")

from typer.testing import CliRunner

from tempscale.cli.app import app

MODELS = """
import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())

def without_relu():
    return torch.nn.Sequential(model[0], torch.nn.Identity())

def broken():
    raise RuntimeError("no such file")
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: ModuleType) -> Path:
    """A folder with a module of models and an input for them."""
    (tmp_path / "two_models.py").write_text(MODELS, encoding="utf-8")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(8, 3)).astype("float32"))
    np.savez(tmp_path / "named.npz", input=np.load(tmp_path / "x.npy"), more=np.ones(3))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("two_models", None)


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_the_same_model_has_the_status_0(models):
    done = invoke("two_models:model", "two_models:model", "--input", models / "x.npy")
    assert done.exit_code == 0
    assert "the same, up to rounding" in done.output


def test_a_model_that_differs_has_the_status_1_and_every_file_is_written(models):
    files = "--json", models / "r.json", "--html", models / "r.html"
    done = invoke("two_models:model", "two_models:without_relu", "--input", models / "x.npy", *files)
    assert done.exit_code == 1
    reason = "a computes relu of 0; b computes 0"
    assert reason in done.output
    assert json.loads((models / "r.json").read_text(encoding="utf-8"))["layers"][-1]["reason"] == reason
    assert reason in (models / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("two_models:model", "two_models:model"), "--input FILE is needed"),
        (("two_models", "two_models:model", "--input", "x.npy"), "'two_models' names no model"),
        (("two_models:other", "two_models:model", "--input", "x.npy"), "module two_models has no 'other'"),
        (("two_models:broken", "two_models:model", "--input", "x.npy"), "RuntimeError: no such file"),
        (("no_such:model", "two_models:model", "--input", "x.npy"), "no module named 'no_such'"),
        (("two_models:MODELS", "two_models:torch", "--input", "x.npy"), "module two_models has no 'MODELS'"),
        (("two_models:torch", "two_models:model", "--input", "x.npy"), "expected a model"),
        (("two_models:model", "two_models:model", "--input", "named.npz"), "unexpected keyword argument 'more'"),
        (("two_models:model", "two_models:model", "--input", "absent.npy"), "cannot read absent.npy"),
        (("a.npz", "b.npz", "--input", "x.npy"), "traces take no --input"),
    ],
)
def test_a_mistake_in_the_command_has_the_status_2_and_is_said(models, monkeypatch, arguments, said):
    monkeypatch.chdir(models)
    done = invoke(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.output


def test_traces_are_compared_without_a_model(tmp_path):
    x = np.arange(6, dtype="float32").reshape(2, 3)
    np.savez(tmp_path / "a.npz", hidden=x, logits=x)
    np.savez(tmp_path / "b.npz", hidden=x, logits=x + 1)
    assert invoke(tmp_path / "a.npz", tmp_path / "a.npz").exit_code == 0
    done = invoke(tmp_path / "a.npz", tmp_path / "b.npz")
    assert done.exit_code == 1
    assert "different, first at logits" in done.output


def test_what_should_be_looked_at_has_the_status_3(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([1.0, np.nan]))
    assert invoke(tmp_path / "a.npz", tmp_path / "a.npz").exit_code == 3
