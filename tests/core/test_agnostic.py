"""`tempscale.agnostic`: a function written once that dispatches on its arrays."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import pydoc

import numpy as np
import pytest
from support import DIFFERENTIATING, NAMES, require

import tempscale as ts
from tempscale._core.operation import INJECTED


@ts.agnostic
def centred(x, /, *, scale=1.0, xp=INJECTED):
    """`x` less its mean, times `scale`."""
    return (x - xp.sum(x) / x.shape[0]) * scale


@ts.agnostic(arrays=("weights",))
def weighted(x, y, /, *, weights=None, xp=INJECTED):
    """`x` + `y`, times `weights`."""
    return x + y if weights is None else (x + y) * weights


def values(x):
    return ts.to_numpy(x).tolist()


# The function that comes out


def test_the_signature_is_that_of_the_body_without_the_namespace():
    assert str(inspect.signature(centred)) == "(x, /, *, scale=1.0)"
    assert str(inspect.signature(weighted)) == "(x, y, /, *, weights=None)"
    assert "xp" not in inspect.signature(ts.softmax).parameters


def test_name_module_and_documentation_are_those_of_the_body():
    assert (centred.__name__, centred.__module__) == ("centred", __name__)
    assert centred.__doc__ == "`x` less its mean, times `scale`."
    assert centred.body.__name__ == "centred"
    assert inspect.getdoc(ts.softmax).startswith("Probabilities exp(logits / T)")


def test_the_body_gets_the_namespace_of_the_arrays(backend):
    seen = []

    @ts.agnostic
    def look(x, /, *, xp):
        seen.append(xp)
        return x

    look(backend.asarray([1.0]))
    assert seen == [backend.namespace]


def test_arrays_come_back_as_arrays_of_the_same_framework(backend):
    result = centred(backend.asarray([1.0, 3.0]), scale=2.0)
    assert ts.backend_of(result) is backend
    assert values(result) == [-2.0, 2.0]


def test_the_types_of_the_body_are_kept(tmp_path):
    """A type checker sees the body's parameters and result, where `xp` has a default."""
    api = pytest.importorskip("mypy.api")
    (tmp_path / "use.py").write_text(
        "from typing import Any\n"
        "import tempscale\n"
        "@tempscale.agnostic\n"
        "def half(x: Any, /, *, times: int = 1, xp: Any = None) -> list[str]: ...\n"
        "reveal_type(half(1.0))\n"
        "half(1.0, times='2')\n",
        encoding="utf-8",
    )
    out, _, _ = api.run(["--strict", "--ignore-missing-imports", str(tmp_path / "use.py")])
    assert 'Revealed type is "list[str]"' in out.replace("builtins.", "")
    assert 'Argument "times" to "__call__" of "Operation" has incompatible type "str"; expected "int"' in out


def test_help_names_the_backends_with_implementations_of_their_own():
    @ts.agnostic
    def plain(x, /, *, xp):
        """Return x."""
        return x

    assert plain.__doc__ == "Return x."
    plain.native("torch")(lambda x: x)
    plain.native("jax")(lambda x: x)
    assert "Return x.\n\nImplementations of its own for: jax, torch." in pydoc.render_doc(
        plain, renderer=pydoc.plaintext
    ).replace("    ", "")


# Arguments


def test_all_arrays_decide_together(backend):
    x = backend.asarray([1.0, 2.0])
    for arguments in ((x, x), (x, [1.0, 2.0]), ([1.0, 2.0], x), ((1.0, 2.0), x)):
        result = weighted(*arguments)
        assert ts.backend_of(result) is backend
        assert values(result) == [2.0, 4.0]
    assert values(weighted(x, 1)) == [2.0, 3.0]


def test_keyword_arrays_decide_too(backend):
    weights = backend.asarray([2.0, 0.0])
    for arguments in (([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0], 1)):
        assert ts.backend_of(weighted(*arguments, weights=weights)) is backend
    assert values(weighted([1.0, 2.0], [1.0, 2.0], weights=weights)) == [4.0, 0.0]


def test_keyword_lists_become_arrays_where_the_decorator_says_so(backend):
    x = backend.asarray([1.0, 2.0])
    assert values(weighted(x, x, weights=[2.0, 0.0])) == [4.0, 0.0]
    kept = []

    @ts.agnostic
    def pads(x, /, *, widths, xp):
        kept.append(widths)
        return x

    pads(x, widths=[1, 2])
    pads(x, widths=(1, 2))
    assert kept == [[1, 2], (1, 2)]


def test_numbers_alone_become_numpy_arrays_and_keyword_numbers_stay_numbers():
    seen = []

    @ts.agnostic(arrays=("weights",))
    def look(x, /, *, weights, xp):
        seen.append((type(x), type(weights)))
        return x

    look(2, weights=2.0)
    look([2.0], weights=np.float32(2))
    assert seen == [(np.ndarray, float), (np.ndarray, float)]


def test_frameworks_do_not_mix(torch):
    with pytest.raises(TypeError, match=r"argument 'x' is numpy\.ndarray and argument 'y' is torch\.Tensor"):
        weighted(np.ones(1), torch.ones(1))
    with pytest.raises(TypeError, match=r"argument 'x' is torch\.Tensor and argument 'weights' is numpy\.ndarray"):
        weighted(torch.ones(1), 1, weights=np.ones(1))


def test_the_caller_s_arguments_are_left_as_they_are():
    x, options = [1.0, 2.0], {"weights": [1.0, 1.0]}
    weighted(x, x, **options)
    assert (x, options) == ([1.0, 2.0], {"weights": [1.0, 1.0]})


def test_a_missing_or_unknown_argument_is_a_type_error(backend):
    x = backend.asarray([1.0])
    with pytest.raises(TypeError, match=r"weighted\(\) needs 'y'"):
        weighted(x)
    with pytest.raises(TypeError, match=r"weighted\(\) has no 'weight'"):
        weighted(x, x, weight=1)


# prepare


def test_prepare_checks_and_completes_before_native_and_body(backend):
    def prepare(backend, x, /, *, power=None):
        if power == 0:
            raise ValueError("power is 0")
        return (x * 2,), {"power": 1 if power is None else power}

    @ts.agnostic(prepare=prepare)
    def raised(x, /, *, power=None, xp=INJECTED):
        return x**power

    @raised.native("numpy")
    def _raised(x, *, power):
        return x**power

    x = backend.asarray([1.0, 2.0])
    for call in (raised, raised.call_body):
        assert values(call(x)) == [2.0, 4.0]
        assert values(call(x, power=2)) == [4.0, 16.0]
        with pytest.raises(ValueError, match="power is 0"):
            call(x, power=0)


# Natives


def test_a_native_is_used_for_its_backend_and_only_for_it(backend):
    @ts.agnostic
    def which(x, /, *, times=1, xp):
        return x * times

    @which.native("torch")
    def _which(x, *, times=1):
        return x * times * 100

    assert which.natives == {"torch": _which}
    factor = 100.0 if backend.name == "torch" else 1.0
    x = backend.asarray([1.0])
    assert values(which(x, times=3)) == [3 * factor]
    assert values(which.call_body(x, times=3)) == [3.0]
    assert values(which.body(x, times=3, xp=backend.namespace)) == [3.0]


def test_a_native_gets_arrays_where_lists_were_given(torch):
    @ts.agnostic
    def both(x, y, /, *, xp):
        return x

    @both.native("torch")
    def _both(x, y):
        assert isinstance(x, torch.Tensor)
        assert isinstance(y, torch.Tensor)
        return y

    assert both([1.0], torch.ones(1)).tolist() == [1.0]
    assert both(torch.ones(1), (2.0,)).tolist() == [2.0]


def test_a_later_native_replaces_an_earlier_one():
    @ts.agnostic
    def which(x, /, *, xp):
        return "body"

    which.native("numpy")(lambda x: "first")
    which.native("numpy")(lambda x: "second")
    assert which(np.ones(1)) == "second"


def test_operations_nest(backend):
    @ts.agnostic
    def outer(x, /, *, xp):
        return centred(x) + weighted(x, x, weights=[1.0, 0.0])

    assert values(outer(backend.asarray([1.0, 3.0]))) == [1.0, 1.0]


# Inside compilers and transforms


@ts.agnostic(arrays=("offsets",))
def energy(x, t, /, *, offsets=None, xp=INJECTED):
    shifted = x if offsets is None else x + offsets
    return xp.sum(xp.exp(shifted / t), axis=-1)


@energy.native("jax")
def _energy(x, t, *, offsets=None):
    return energy.body(x, t, offsets=offsets, xp=require("jax").namespace)


@pytest.mark.parametrize(
    ("name", "compiler"),
    [("tensorflow", "tf.function"), ("tensorflow", "tf.function(jit_compile=True)"), ("jax", None)],
)
def test_an_operation_is_traced_once(name, compiler):
    backend = require(name)
    traces = []

    def call(x, t):
        traces.append(1)
        return energy(x, t, offsets=[0.0, 1.0]) - energy.call_body(x, t)

    compiled = backend.jit(call, compiler=compiler)
    for t in (2.0, 1.0):
        result = compiled(backend.asarray([2.0, 2.0]), backend.asarray(t))
        assert float(result) == pytest.approx(np.exp(3.0 / t) - np.exp(2.0 / t), rel=1e-5)
    assert len(traces) == 1


def test_an_operation_is_one_graph_to_torch_compile(torch):
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    @torch.compile(fullgraph=True, backend=count)
    def call(x, t):
        return energy(x, t, offsets=[0.0, 1.0]) - energy.call_body(x, t)

    for t in (2.0, 1.0):
        result = call(torch.tensor([2.0, 2.0]), torch.tensor(t))
        assert float(result) == pytest.approx(np.exp(3.0 / t) - np.exp(2.0 / t), rel=1e-5)
    assert len(graphs) == 1


@pytest.mark.parametrize("name", DIFFERENTIATING)
def test_an_operation_works_under_vmap_and_derivatives(name):
    backend = require(name)
    x = backend.asarray([[1.0, 2.0], [1.0, 2.0]])
    t = backend.asarray([1.0, 1.0])
    mapped = backend.vmap(energy)
    total = float(np.exp(1.0) + np.exp(2.0))
    assert values(mapped(x, t)) == pytest.approx([total, total], rel=1e-6)
    gradient, _ = backend.vjp(mapped, (x, t), t)
    assert ts.to_numpy(gradient) == pytest.approx(np.exp([[1.0, 2.0]] * 2), rel=1e-6)
    tangent = backend.jvp(mapped, (x, t), (x * 0 + 1, t * 0))
    assert ts.to_numpy(tangent) == pytest.approx(np.array([total, total]), rel=1e-6)


def test_the_library_s_own_operations_are_made_this_way():
    for operation in (ts.softmax, ts.log_softmax, ts.logsumexp, ts.entropy, ts.kl_divergence, ts.cross_entropy):
        assert callable(operation.body)
        assert callable(operation.call_body)
        assert set(operation.natives) <= {*NAMES, "autograd"}  # by which NumPy differentiates


# Trees


@dataclasses.dataclass
class Layer:
    w: object
    name: str = "layer"


Pair = collections.namedtuple("Pair", "one other")


@ts.agnostic
def weighted_sum(tree, /, *more, extra=None, xp):
    """Sum of the arrays in `tree["layers"]`, times the rest."""
    total = sum(xp.sum(layer.w) for layer in tree["layers"]) * tree["pair"].one
    return total if extra is None else total + extra["bias"]


def test_arrays_in_trees_decide_and_arrive_in_their_trees(backend):
    x = backend.asarray([1.0, 2.0])
    tree = {"layers": [Layer(x), Layer(x, "second")], "pair": Pair(2.0, None), "note": "kept"}
    result = weighted_sum(tree)
    assert ts.backend_of(backend.asarray(result) if backend.name == "numpy" else result) is backend
    assert float(result) == 12.0
    assert float(weighted_sum(tree, None, extra={"bias": backend.asarray(1.0)})) == 13.0


def test_a_tree_in_a_keyword_decides_too(backend):
    @ts.agnostic
    def look(x, /, *, state=None, xp):
        return xp

    assert look(1.0, state={"a": [backend.asarray([1.0])]}) is backend.namespace
    assert look([1.0, 2.0], state=(None, backend.asarray(1.0))) is backend.namespace


def test_a_list_of_numbers_is_an_array_and_a_list_of_arrays_a_tree(backend):
    @ts.agnostic
    def look(x, /, other, *, xp):
        return type(x)

    x = backend.asarray([1.0])
    assert look([1.0, 2.0], x) is type(x)
    assert look([x, 2.0], x) is list
    assert look([[x]], x) is list


def test_two_frameworks_in_one_tree_are_refused(torch):
    with pytest.raises(TypeError, match="arrays of two frameworks in one call"):
        weighted_sum({"layers": [Layer(torch.ones(1)), Layer(np.ones(1))], "pair": Pair(1.0, 1.0)})
    with pytest.raises(TypeError, match="arrays of two frameworks in one call"):
        weighted_sum({"layers": [Layer(torch.ones(1))], "pair": Pair(1.0, 1.0)}, np.ones(1))


def test_keras_variables_and_numpy_numbers_in_trees_are_replaced():
    keras = pytest.importorskip("keras")

    @ts.agnostic
    def look(tree, /, *, xp):
        return [type(leaf) for leaf in tree]

    variable = keras.Variable([1.0])
    assert look([variable, np.float32(2.0)]) == [type(variable.value), float]


def test_a_function_that_prepares_its_arguments_takes_no_trees(backend):
    with pytest.raises(TypeError, match=r"'logits' is builtins\.dict, expected an array"):
        ts.softmax({"a": backend.asarray([1.0])})


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch"])
def test_trees_work_while_compiling(name):
    backend = require(name)
    x = backend.asarray([1.0, 2.0])
    compiled = ts.jit(lambda x, t: weighted_sum({"layers": [Layer(x)], "pair": Pair(t, None)}))
    assert float(compiled(x, backend.asarray(3.0))) == 9.0
