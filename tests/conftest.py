"""Fixtures: the frameworks themselves. The fixture `backend` is that of the library's own pytest plugin."""

from __future__ import annotations

import os
import sys

# Before any framework is imported: quiet, and several on one GPU
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from collections.abc import Iterator
from types import ModuleType

import pytest
from support import DIFFERENTIATING, PLUGIN, Run, require

from tempscale import Backend, get_backend, register_backend
from tempscale._core.registry import unregister_backend


def pytest_configure(config: pytest.Config) -> None:
    """Let `require` know of --require-backends."""
    Run.config = config


@pytest.fixture(autouse=True, scope="module")
def _compiled_code_of_a_module_is_dropped() -> Iterator[None]:
    """What compilers keep for later takes gigabytes in the end."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


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


@pytest.fixture
def strict() -> Iterator[Backend]:
    """A fifth backend, of the plug-in: it does what the array API standard promises and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGIN)
        from tempscale_strict import entry

        register_backend(entry, name="strict")
        yield get_backend("strict")
        unregister_backend("strict")
