"""Results lie on the device of the arrays: every function of every framework, on a device that is not the first."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import require, run_python

SECOND = {"numpy": "cpu", "torch": "meta", "tensorflow": "CPU:1", "jax": "cpu:1"}
SETUP = {
    "tensorflow": """
import tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
"""
}
EVERY_FUNCTION = """
import sys
sys.path.insert(0, TESTS)
import numpy as np
import tempscale as ts
from every_function import EVERY_FUNCTION, PROBABILITIES
from tempscale._core.trees import flatten

backend = ts.get_backend(NAME)
FIRST = backend.device_of(backend.asarray(np.zeros(1, np.float32)))


def check(what, result, device):
    for x in flatten(result)[0]:
        if backend.device_of(x) != device:
            print(what, backend.device_of(x), "not", device)


def run(function, device):
    arrays = [backend.asarray(x, device=device) for x in function.arguments((2,), 5)]
    check(function, function.call(*arrays), device)
    return arrays


for function in EVERY_FUNCTION:
    run(function, SECOND)
for function in EVERY_FUNCTION:
    if function.name in ("softmax", "sample", "bits"):
        run(function, FIRST)  # what was kept from the second device does not draw the results to it

arrays = run(PROBABILITIES[0], SECOND)
check("convert", ts.convert(np.ones(3, np.float32), like=arrays[0]), SECOND)
check("a list", ts.softmax([0.0, 1.0], temperature=backend.asarray(np.float32(2.0), device=SECOND)), SECOND)
check("stop_gradient", ts.stop_gradient(arrays[0]), SECOND)
check("choice of an array", ts.random.choice(ts.random.key(0), arrays[0], 3), SECOND)
check("permutation of an array", ts.random.permutation(ts.random.key(0), arrays[0], 1), SECOND)
check("a host key", ts.sample(arrays[0], ts.random.key(0)), SECOND)
check("a host key with like", ts.random.normal(ts.random.key(0), (3,), like=arrays[0]), SECOND)
"""
TRANSFORMS = """
labels = backend.asarray(np.asarray([1, 2], np.int32), device=SECOND)


def total(x, y):
    return backend.namespace.sum(ts.log_softmax(x) * y) + ts.cross_entropy(x, labels)


arrays = [backend.asarray(x, device=SECOND) for x in PROBABILITIES[0].arguments((2,), 5)] * 2
check("value_and_grad", ts.value_and_grad(total, (0, 1))(*arrays), SECOND)
check("jit", ts.jit(ts.softmax)(arrays[0]), SECOND)
check("jit, again", ts.jit(ts.softmax)(arrays[0]), SECOND)
check("vmap", ts.vmap(ts.softmax, out_axes=1)(arrays[0]), SECOND)
check("jvp", backend.jvp(lambda x: total(x, x), arrays[:1], arrays[:1]), SECOND)
"""


@pytest.mark.parametrize("name", SECOND)
def test_results_of_every_function_lie_on_the_device_of_the_arrays(name: str) -> None:
    require(name)
    names = {"NAME": name, "SECOND": SECOND[name], "TESTS": str(Path(__file__).parents[1])}
    constants = "\n".join(f"{key} = {value!r}" for key, value in names.items())
    code = [SETUP.get(name, ""), constants, EVERY_FUNCTION, "" if name == "numpy" else TRANSFORMS]
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    assert run_python("\n".join(code), env=flags if name == "jax" else {}) == ""
