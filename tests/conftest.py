"""Fixtures: the frameworks themselves. The fixture `backend` is that of the library's own pytest plugin."""

from __future__ import annotations

import os

# Before any framework is imported: quiet, and several on one GPU
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from types import ModuleType

import pytest
from support import DIFFERENTIATING, Run, require

from tempscale import Backend


def pytest_configure(config: pytest.Config) -> None:
    """Let `require` know of --require-backends."""
    Run.config = config


@pytest.fixture(params=DIFFERENTIATING)
def differentiating(request: pytest.FixtureRequest) -> Backend:
    """Each backend that differentiates, compiles and maps."""
    return require(request.param)


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    require("torch")
    import torch

    return torch


@pytest.fixture(scope="session")
def tf() -> ModuleType:
    require("tensorflow")
    import tensorflow

    return tensorflow


@pytest.fixture(scope="session")
def jax() -> ModuleType:
    require("jax")
    import jax

    return jax
