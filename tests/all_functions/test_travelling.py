"""What can be pickled, by value too, copied and sent to another process works there."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import cloudpickle
import numpy as np
import pytest
from support import NAMES, cell, require, run_python

import tempscale as ts
from tempscale import Backend
from tempscale._core.operation import OPERATIONS
from tempscale.reporting.report import Report
from tempscale.testing import assert_ulp

SENDER = """
import cloudpickle, numpy, sys
import tempscale as ts

@ts.agnostic
def exponential(x, /, *, xp=None):
    return xp.exp(x)

@exponential.native("torch")
def _(x):
    return x.exp() * 2.0

def total(x):
    return ts.array_namespace(x).sum(exponential(x))

sent = {
    "operation": exponential, "jit of an operation": ts.jit(ts.softmax), "jit": ts.jit(exponential),
    "grad": ts.grad(total), "value_and_grad": ts.value_and_grad(total), "vmap": ts.vmap(ts.softmax),
}
sent["jit"](numpy.ones((2, 3)))
with open(sys.argv[1], "wb") as file:
    cloudpickle.dump(sent, file)
"""


@pytest.fixture(scope="module")
def arrived(tmp_path_factory):
    """Functions that a process without any framework has sent."""
    path = tmp_path_factory.mktemp("sent") / "functions"
    run_python(SENDER.replace("sys.argv[1]", repr(str(path))))
    return pickle.loads(path.read_bytes())


FUNCTIONS = ("operation", "jit of an operation", "jit", "grad", "value_and_grad", "vmap")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_was_pickled_by_value_works_on_every_framework_where_it_arrives(arrived, backend: Backend, name):
    if not backend.transforms and "grad" in name:
        pytest.skip("needs autograd")
    x = backend.asarray([[0.0, 1.0], [2.0, 0.0]])
    exponential = ts.to_numpy(x)
    exponential = np.exp(exponential) * (2.0 if backend.name == "torch" else 1.0)
    expected = {
        "operation": exponential,
        "jit": exponential,
        "grad": exponential,
        "value_and_grad": exponential,
        "jit of an operation": ts.to_numpy(ts.softmax(x)),
        "vmap": ts.to_numpy(ts.softmax(x)),
    }[name]
    result = arrived[name](x)
    result = result[1] if name == "value_and_grad" else result
    assert_ulp(result, expected, 4)


def test_a_compiled_function_that_has_run_can_be_pickled_by_value(differentiating):
    x = differentiating.asarray([0.0, 1.0])
    compiled = ts.jit(lambda tree: {"x": tree["x"] * 2.0, "n": 3})
    compiled({"x": x})
    copied = pickle.loads(cloudpickle.dumps(compiled))
    result = copied({"x": x})
    assert ts.to_numpy(result["x"]).tolist() == [0.0, 2.0]
    assert result["n"] == 3


def test_transformed_operations_have_no_natives():
    for made in (ts.jit(ts.softmax), ts.grad(ts.softmax), ts.value_and_grad(ts.softmax), ts.vmap(ts.softmax)):
        assert made.__name__ == "softmax"
        assert not hasattr(made, "natives")


WAYS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "cloudpickle": lambda x: pickle.loads(cloudpickle.dumps(x)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("way", WAYS)
def test_operations_and_backends_stay_themselves(way):
    for operation in (*OPERATIONS.values(), ts.sample, ts.random.normal):
        assert WAYS[way](operation) is operation
    for name in NAMES:
        backend = require(name)
        assert WAYS[way](backend) is backend


@pytest.mark.parametrize("way", WAYS)
def test_keys_contracts_and_cells_of_reports_stay_equal(way):
    key = ts.random.key(7)
    assert np.array_equal(WAYS[way](key), key)
    for thing in (*[operation.specification for operation in OPERATIONS.values()], cell()):
        assert WAYS[way](thing) == thing


def _used(sent):
    operation, draw, key, *others = sent
    return [operation([0.0, 1.0]), draw(key, (2,)), key, *others]


def test_operations_keys_contracts_reports_and_backends_travel_to_a_spawned_process():
    others = [ts.softmax.specification, cell(), Report(cells=[cell()]), ts.get_backend("numpy")]
    sent = [ts.softmax, ts.random.normal, ts.random.key(7), *others]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        value, drawn, key, *back = pool.apply(_used, [sent])
    assert_ulp(value, ts.softmax([0.0, 1.0]), 4)
    assert np.array_equal(drawn, ts.random.normal(key, (2,)))
    assert np.array_equal(key, ts.random.key(7))
    assert back[:-1] == others[:-1]
    assert back[-1] is others[-1]


def test_a_backend_that_is_not_registered_is_copied_as_any_object():
    backend = type(ts.get_backend("numpy"))()
    assert copy.copy(backend) is not backend
