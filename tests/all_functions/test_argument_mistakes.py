"""A mistake in an argument is an error in the function's and the argument's name, with the way out."""

from __future__ import annotations

import inspect
import re
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from support import require

import tempscale as ts
from tempscale import random
from tempscale._core.mistakes import HABITS
from tempscale.testing import assert_conforms, gradcheck

KEY = random.key(0)
LOGITS = np.float32([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
INSIDE = re.compile(r"native\(|prepare|\bbody\(|has no attribute|<locals>|\b_\w+\(\)|cannot be interpreted as")
"""What the library's own parts are called, and what Python says when something wrong has got as far as there."""

LABELS = np.int32([0, 2])
DATA = dict.fromkeys(("logits", "p_logits", "q_logits", "x", "like", "hidden", "weight"), LOGITS)
DATA |= {"labels": LABELS, "tokens": LABELS, "key": KEY}
OTHERS = {"k": 2, "data": 1, "minval": 0, "maxval": 5, "lower": -1.0, "upper": 1.0, "a": 4, "seed": 0, "shape": (2,)}


def good(fn, name):
    """An argument that is right for a function."""
    if name == "x" and fn is random.permutation:
        return 4
    return DATA.get(name, OTHERS.get(name))


OPERATIONS = (ts.softmax, ts.log_softmax, ts.logsumexp, ts.entropy, ts.sparsemax, ts.kl_divergence, ts.log_prob)
OPERATIONS += (ts.cross_entropy, ts.linear_cross_entropy, ts.sample, ts.sample_without_replacement)
DRAWS = tuple(getattr(random, name) for name in random.__all__ if name != "Key")
FUNCTIONS = (*OPERATIONS, *DRAWS, ts.convert, ts.to_numpy)
TRANSFORMS = (ts.grad, ts.value_and_grad, ts.jit, ts.vmap)
CALLABLES = (*FUNCTIONS, *TRANSFORMS, ts.custom_gradient, ts.stop_gradient, ts.agnostic, assert_conforms, gradcheck)
named = pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: fn.__name__)


class Table:
    """What pandas has in common with arrays: NumPy can read it, and Python can go through it."""

    def __array__(self, dtype=None, copy=None):
        return np.asarray(LOGITS, dtype, copy=copy)

    def __iter__(self):
        return iter(range(2))

    def __len__(self):
        return 2

    def to_numpy(self):
        return LOGITS


ANYTHING = {
    "a string": "no",
    "bytes": b"a",
    "a set": {1.0},
    "a fraction": Fraction(1, 3),
    "a function": len,
    "an object": object(),
    "a NumPy string": np.str_("no"),
    "a date": np.datetime64("2020"),
    "a ragged list": [[1.0], [1.0, 2.0]],
    "a list of strings": ["a", "b"],
    "a list of None": [None, 1.0],
    "an array of objects": np.asarray([1, None], object),
    "a structured array": np.zeros(2, [("a", np.float32)]),
    "a matrix": np.matrix(LOGITS),
    "a masked array": np.ma.array(LOGITS),
    "an array of strings": np.asarray(["a", "b"]),
    "complex numbers": LOGITS + 1j,
    "a table": Table(),
}
"""Wrong wherever it is given, but for the few places below."""
RIGHT = {("dtype", "a function"), ("x", "an array of objects"), ("x", "a structured array"), ("x", "complex numbers")}
RIGHT |= {("a", "an array of objects"), ("a", "a structured array"), ("a", "complex numbers")}
RIGHT |= {(name, kind) for name in ("x", "a", "like") for kind in ("an array of strings", "an array of objects")}
RIGHT |= {("like", "a structured array"), ("like", "complex numbers"), ("like", "a list of strings")}
RIGHT |= {("like", "a list of None"), ("like", "a ragged list"), ("label_smoothing", "a fraction")}
RIGHT |= {(name, "a fraction") for name in ("z_loss", "softcap")}
RIGHT |= {(name, "a fraction") for name in ("lower", "upper")} | {(name, "a table") for name in ("shape", "num")}

INTEGER = {"a float": 1.0, "a boolean": True, "a NumPy float": np.float64(1.0)}
NUMBER = {"a boolean": True, "a complex number": 1j, "an enormous integer": 10**400}
FLAG = {"a word": "yes", "None": None, "a float": 0.5}
ROWS = {"a number": 1.0, "None": None}
WORD = {"None": None, "a number": 1}
KINDS = {
    **dict.fromkeys(("axis", "num_samples", "k", "ignore_index", "seed", "num", "shape"), INTEGER),
    **dict.fromkeys(("temperature", "q_temperature", "label_smoothing", "lower", "upper", "z_loss", "softcap"), NUMBER),
    **dict.fromkeys(("keepdims", "replace", "independent", "copy"), FLAG),
    **dict.fromkeys(("logits", "p_logits", "q_logits", "hidden", "weight"), ROWS),
    **dict.fromkeys(("reduction", "precision"), WORD),
    "key": {"a number": 0, "None": None, "a list": [0, 1]},
}


def call_with(fn, wrong, value, make=np.asarray):
    """Call a function with arguments that are right but for one; arrays are made by `make`."""
    args, options = [], {}
    for name, parameter in inspect.signature(fn).parameters.items():
        given = value if name == wrong else good(fn, name)
        if name != wrong and isinstance(given, np.ndarray):
            given = make(given)
        if parameter.kind is parameter.KEYWORD_ONLY:
            if name in (wrong, "like"):
                options[name] = given
        elif parameter.default is parameter.empty or name == wrong:
            args.append(given)
        else:  # those that stand before it
            args.append(parameter.default if parameter.default is not None else given)
    return fn(*args, **options)


def problems_of(fn, name, kinds, make=np.asarray):
    """What is wrong with the errors that a function raises for wrong values of an argument."""
    for kind, value in kinds.items():
        try:
            call_with(fn, name, value, make)
        except (TypeError, ValueError) as error:
            if name not in str(error) or INSIDE.search(str(error)):
                yield f"{name}, {kind}: {type(error).__name__}: {error}"
        except Exception as error:
            yield f"{name}, {kind}: {type(error).__name__}: {error}"
        else:
            yield f"{name}, {kind}: no error"


@named
@pytest.mark.parametrize("framework", ["numpy", "torch", "tensorflow", "jax"])
def test_a_wrong_kind_of_argument_is_refused_in_its_name(fn, framework):
    make = require(framework).asarray
    problems = []
    for name in inspect.signature(fn).parameters:
        anything = {kind: value for kind, value in ANYTHING.items() if (name, kind) not in RIGHT}
        problems += problems_of(fn, name, anything | KINDS.get(name, {}), make)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("fn", [fn for fn in CALLABLES if fn is not ts.agnostic], ids=lambda fn: fn.__name__)
def test_a_call_that_does_not_fit_is_refused_in_the_name_of_the_function(fn):
    arguments = [good(fn, name) for name in inspect.signature(fn).parameters]
    takes_options = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(fn).parameters.values())
    if not takes_options:
        with pytest.raises(TypeError, match=rf"^{fn.__name__}\(\) has no 'unknown': it takes "):
            fn(unknown=1)
        with pytest.raises(TypeError, match=rf"^{fn.__name__}\(\) got \d+ arguments by position and takes "):
            fn(*arguments, *arguments, 1, 2)
    if fn is not ts.agnostic:
        with pytest.raises(TypeError, match=rf"^{fn.__name__}\(\) needs '"):
            fn()


def test_a_name_typed_from_habit_is_told_what_it_is_called_here():
    for fn in FUNCTIONS + TRANSFORMS:
        takes = inspect.signature(fn).parameters
        for name, habit in HABITS.items():
            if name in takes:
                continue
            here = next((each for each in habit.here if each in takes), None)
            expected = f"it is called '{here}' here" if here else habit.otherwise or "it takes "
            with pytest.raises(TypeError, match=re.escape(f"{fn.__name__}() has no {name!r}: {expected}")):
                fn(**{name: 1})


HABITUAL = (
    (lambda x: ts.softmax(x, dim=-1), "softmax() has no 'dim': it is called 'axis' here"),
    (lambda x: ts.softmax(x, -1), "give others by name (temperature, axis, where, precision)"),
    (lambda x: ts.softmax(logits=x), "softmax() takes 'logits' by position"),
    (lambda x: ts.log_softmax(x, tau=2.0), "log_softmax() has no 'tau': it is called 'temperature' here"),
    (lambda x: ts.logsumexp(x, keepdim=True), "it is called 'keepdims' here"),
    (lambda x: ts.cross_entropy(input=x, target=0), "it is called 'logits' here, and given by position"),
    (lambda x: ts.cross_entropy(x, [0, 1], weight=x), "it is called 'class_weights' here"),
    (lambda x: ts.cross_entropy(x, [0, 1], from_logits=True), "the logarithms of probabilities are logits"),
    (lambda x: ts.cross_entropy(x, [0, 1], reduction="batchmean"), "divide by the number of examples"),
    (lambda x: ts.kl_divergence(1.0, x), "p_logits is 1.0, expected an array"),
    (lambda x: ts.sample(x, KEY, axis=0), "it works on the last axis"),
    (lambda x: ts.sample(x, seed=0), "it is called 'key' here"),
    (lambda x: random.normal(KEY, size=3), "it is called 'shape' here"),
    (lambda x: random.normal(KEY, (), "float32", x), "normal() got 4 arguments by position"),
    (lambda x: random.uniform(KEY, None), "shape is None, expected an integer or a sequence of integers"),
    (lambda x: ts.softmax(x, temperature=10**400), "expected a number that fits in a float"),
    (lambda x: ts.softmax(x, axis=x[0, 0]), ", expected an integer"),
    (lambda x: ts.vmap(ts.softmax, in_dims=0), "it is called 'in_axes' here"),
    (lambda x: ts.vmap(ts.softmax, in_axes=2)(x), "in_axes has axis 2, and an array there has 2 axes"),
    (lambda x: ts.vmap(ts.softmax, out_axes=0.5)(x), "out_axes is 0.5, expected an integer"),
    (lambda x: ts.grad(ts.logsumexp, argnums="0")(x), "argnums is '0', expected an integer"),
    (lambda x: ts.grad(ts.logsumexp, argnums=())(x), "argnums is empty"),
    (lambda x: ts.grad(1.0), "fn is 1.0, expected a function"),
    (lambda x: ts.jit(x), "expected a function"),
    (lambda x: ts.agnostic(1.0), "body is 1.0, expected a function"),
    (lambda x: ts.custom_gradient(len, vjp=len, jvp=0), "jvp is 0, expected a function"),
    (lambda x: ts.convert(x, like=x, dtype="float31"), "dtype is float31, expected one that"),
    (lambda x: ts.get_backend(1), "name is of type int, expected one of 'jax', 'numpy'"),
    (lambda x: assert_conforms(1.0, LOGITS, contract="u"), "fn is 1.0, expected a function"),
    (lambda x: assert_conforms(ts.softmax, LOGITS, backends="numpy"), "backends is 'numpy', expected a list of names"),
    (lambda x: gradcheck(ts.softmax, LOGITS, directions=0), "directions is 0, expected"),
)


@pytest.mark.parametrize(("call", "words"), HABITUAL, ids=[words for _, words in HABITUAL])
def test_a_common_mistake_is_told_the_way_out(call, words, backend):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        call(backend.asarray(LOGITS))


def test_arrays_that_are_not_dense_are_refused_with_what_to_pass(torch, tf, jax):
    sparse = pytest.importorskip("scipy.sparse")
    x = torch.tensor(LOGITS)
    refused = {
        r"x\.toarray\(\)": sparse.csr_matrix(LOGITS),
        r"x\.todense\(\)": pytest.importorskip("jax.experimental.sparse").BCOO.fromdense(LOGITS),
        r"make it dense first": tf.sparse.from_dense(LOGITS),
        r"x\.to_tensor\(\)": tf.ragged.constant([[1.0], [1.0, 2.0]]),
        r"sparse_coo: pass x\.to_dense\(\)": x.to_sparse(),
        r"sparse_csr: pass x\.to_dense\(\)": x.to_sparse_csr(),
        r"nested tensor: pass": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    }
    calls = {
        "logits": [*OPERATIONS[:5], lambda x: ts.cross_entropy(x, [0, 1]), partial(_second, ts.sample)],
        "x": [ts.to_numpy, lambda x: ts.convert(x, like=LOGITS)],
        "p_logits": [lambda x: ts.kl_divergence(x, x)],
        "temperature": [lambda x: ts.softmax([1.0, 2.0], temperature=x)],
    }
    for words, value in refused.items():
        for name, functions in calls.items():
            for fn in functions:
                with pytest.raises(TypeError, match=f"argument '{name}' .*{words}"):
                    fn(value)


def _second(fn, x):
    return fn(x, KEY)


def test_what_the_function_of_a_caller_raises_is_left_as_it_is(backend):
    @ts.agnostic
    def fails(x, /, *, xp):
        raise TypeError("of the caller's own")

    with pytest.raises(TypeError, match=r"^of the caller's own$") as raised:
        fails(backend.asarray(LOGITS))
    assert raised.value.__cause__ is None
