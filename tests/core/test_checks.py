"""`tempscale.checks()`: values are looked at inside the block, and only there."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from exactness import allowing

import tempscale as ts
from tempscale import random

NAN, INF = float("nan"), float("inf")

OPERATIONS = {
    "softmax": ts.softmax,
    "log_softmax": ts.log_softmax,
    "logsumexp": ts.logsumexp,
    "entropy": ts.entropy,
    "cross_entropy": lambda x, **options: ts.cross_entropy(x, [0, 0], **options),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("bad", "text"), [(NAN, "nan"), (INF, "inf")])
def test_nan_and_infinity_among_logits_are_named_by_their_first_index(backend, name, bad, text, dtype):
    x = backend.asarray(np.asarray([[0.0, 1.0, 2.0], [3.0, bad, bad]], "float32"), dtype=dtype)
    with ts.checks(), pytest.raises(ValueError, match=rf"^logits\[1, 1\] is {text}: every result of its row"):
        OPERATIONS[name](x)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_both_logits_of_a_divergence_are_looked_at(backend, bad):
    good, wrong = backend.asarray([[0.0, 1.0]]), backend.asarray([[0.0, bad]])
    with ts.checks():
        ts.kl_divergence(good, good)
        with pytest.raises(ValueError, match=r"^p_logits\[0, 1\] is "):
            ts.kl_divergence(wrong, good)
        with pytest.raises(ValueError, match=r"^q_logits\[0, 1\] is "):
            ts.kl_divergence(good, wrong)


def test_a_row_that_is_masked_entirely_is_named(backend):
    x = backend.asarray([[0.0, 1.0], [-INF, -INF], [-INF, -INF]])
    with ts.checks():
        with pytest.raises(ValueError, match=r"^logits\[1, :\] is masked entirely"):
            ts.softmax(x)
        with pytest.raises(ValueError, match=r"^logits\[:, 1\] is masked entirely"):
            ts.softmax(backend.namespace.permute_dims(x, (1, 0)), axis=0)
        with pytest.raises(ValueError, match=r"^logits\[0, :\] is masked entirely"):
            ts.softmax(backend.asarray([[0.0, 1.0]]), where=[[False, False]])
        with pytest.raises(ValueError, match=r"^logits\[:\] is masked entirely"):
            ts.softmax(backend.asarray([-INF, -INF]))


def test_what_is_masked_may_hold_anything(backend):
    x = backend.asarray([[0.0, NAN, -INF]])
    with ts.checks():
        assert ts.to_numpy(ts.softmax(x, where=[True, False, True])).tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize(("bad", "text"), [(-1.0, "-1.0"), (NAN, "nan"), (-INF, "-inf")])
def test_a_negative_or_nan_array_temperature_is_named(backend, bad, text):
    x = backend.asarray([[0.0, 1.0], [2.0, 3.0]])
    with ts.checks():
        with pytest.raises(ValueError, match=rf"^temperature\[1, 0\] is {text}: a temperature is at least 0"):
            ts.softmax(x, temperature=backend.asarray([[1.0], [bad]]))
        with pytest.raises(ValueError, match=rf"^temperature is {text}: a temperature is at least 0"):
            ts.softmax(x, temperature=backend.asarray(bad))


def test_the_limits_of_the_temperature_are_no_mistake(backend):
    x = backend.asarray([[0.0, 1.0], [2.0, 3.0]])
    with ts.checks():
        limits = ts.softmax(x, temperature=backend.asarray([[0.0], [INF]]))
    assert ts.to_numpy(limits).tolist() == [[0.0, 1.0], [0.5, 0.5]]


@pytest.mark.parametrize("bad", [3, -1, 100])
def test_a_label_that_is_no_class_is_named(backend, bad):
    logits = backend.asarray(np.zeros((4, 3), "float32"))
    with ts.checks(), pytest.raises(ValueError, match=rf"^labels\[2\] is {bad}: there are 3 classes"):
        ts.cross_entropy(logits, backend.asarray([0, 2, bad, bad]))


def test_an_ignored_label_is_no_mistake_unless_all_are_ignored(backend):
    logits = backend.asarray(np.zeros((2, 3), "float32"))
    with ts.checks():
        loss = ts.cross_entropy(logits, [0, -100], ignore_index=-100)
        assert float(loss) == pytest.approx(np.log(3), rel=1e-6)
        with pytest.raises(ValueError, match=r"^labels are all -100, the ignore_index: the mean of no labels is NaN"):
            ts.cross_entropy(logits, backend.asarray([-100, -100]), ignore_index=-100)


def test_correct_input_gives_the_same_result_inside(backend):
    x = backend.asarray([[0.0, 1.0, -INF], [2.0, -3.0, 0.5]])
    outside = ts.to_numpy(ts.softmax(x, temperature=0.7))
    with ts.checks():
        inside = ts.to_numpy(ts.softmax(x, temperature=0.7))
    assert inside.tobytes() == outside.tobytes()


def test_empty_batches_are_no_mistake(backend):
    with ts.checks():
        assert ts.softmax(backend.asarray(np.zeros((0, 3), "float32"))).shape == (0, 3)


# Where it is on


def test_outside_the_block_nothing_is_looked_at(backend):
    x = backend.asarray([[NAN, 0.0], [-INF, -INF], [0.0, 0.0]])
    with ts.checks():
        pass
    expected = [[NAN, NAN], [NAN, NAN], [0.5, 0.5]]
    np.testing.assert_array_equal(ts.to_numpy(ts.softmax(x)), np.asarray(expected, "float32"))
    assert np.isnan(float(ts.cross_entropy(x, [5, 0, 0])))


def test_what_is_no_probability_is_named(backend):
    for bad in (-0.5, 1.5, float("nan")):
        p = backend.asarray([0.5, bad, 2.0])
        random.bernoulli(random.key(0), p)
        with ts.checks(), pytest.raises(ValueError, match=r"p\[1\] is .*: a probability is from 0 to 1"):
            random.bernoulli(random.key(0), p)


@pytest.mark.parametrize("words", [[2**32, 0], [0, -(2**31) - 1]])
def test_a_word_of_a_key_of_more_than_32_bits_is_named(backend, words):
    with allowing("int64"):
        x = backend.asarray(np.zeros((2, 3), np.float32))
        key, largest = [backend.asarray(np.array(w, np.int64)) for w in (words, [-(2**31), 2**32 - 1])]
        for draw in (lambda key: ts.sample(x, key), lambda key: random.bits(key, (2,))):
            draw(key)
            with ts.checks():
                draw(largest)
                with pytest.raises(ValueError, match=r"key\[[01]\] is .*: a key is two words of 32 bits"):
                    draw(key)


@pytest.mark.parametrize(
    ("weights", "count", "message"),
    [
        ([0.5, -1.0, 2.0], 2, r"p\[1\] is -1.0: a weight is finite and at least 0"),
        ([0.5, float("nan"), 2.0], 2, r"p\[1\] is nan: a weight"),
        ([0.5, float("inf"), 2.0], 2, r"p\[1\] is inf: a weight"),
        ([0.0, 0.0, 0.0], 1, "p has 0 positive weights, expected at least 1: one for each choice"),
        ([0.5, 0.0, 0.0], 2, "p has 1 positive weights, expected at least 2: one for each choice"),
    ],
)
def test_weights_to_choose_by_that_are_wrong_are_named(backend, weights, count, message):
    p = backend.asarray(weights)
    with ts.checks(), pytest.raises(ValueError, match=message):
        random.choice(random.key(0), 3, (count,), replace=False, p=p)
    for replace in (True, False):  # outside nothing is looked at, and the index is one of an entry
        chosen = ts.to_numpy(random.choice(random.key(0), 3, (count,), replace=replace, p=p))
        assert ((chosen >= 0) & (chosen < 3)).all()


def test_an_error_inside_checks_turns_them_off():
    with pytest.raises(ValueError, match="is nan"), ts.checks():
        ts.softmax([NAN])
    assert np.isnan(ts.softmax([NAN])).all()


def test_blocks_nest():
    with ts.checks():
        with ts.checks():
            pass
        with pytest.raises(ValueError, match=r"logits\[0\] is nan"):
            ts.softmax([NAN])
    ts.softmax([NAN])


def test_checks_as_a_decorator_hold_for_each_call():
    checked = ts.checks()(ts.softmax)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"logits\[0\] is nan"):
            checked([NAN])
    ts.softmax([NAN])


def test_it_holds_for_its_own_thread_only():
    inside, done = threading.Event(), threading.Event()
    outcomes = []

    def other():
        inside.wait(10)
        outcomes.append(np.isnan(ts.softmax([NAN])).all())
        with ts.checks():
            try:
                ts.softmax([NAN])
            except ValueError as error:
                outcomes.append(str(error)[:16])
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with ts.checks():
        inside.set()
        assert done.wait(10)
        with pytest.raises(ValueError, match="is nan"):
            ts.softmax([NAN])
    thread.join()
    assert outcomes == [True, "logits[0] is nan"]


# Tracing


CANNOT = "cannot look at logits while"


def test_tracing_inside_raises_in_jax(jax):
    x = jax.numpy.ones(2)
    with ts.checks():
        with pytest.raises(RuntimeError, match=f"{CANNOT} jax compiles or transforms"):
            jax.jit(ts.softmax)(x)
        with pytest.raises(RuntimeError, match=CANNOT):
            jax.vmap(ts.softmax)(x[None])
        with pytest.raises(RuntimeError, match=CANNOT):
            jax.grad(lambda x: ts.softmax(x)[0])(x)


def test_tracing_inside_raises_in_tensorflow(tf):
    variable = tf.Variable([1.0, 2.0])
    with ts.checks():
        for autograph in (True, False):
            for jit_compile in (True, False):
                compiled = tf.function(lambda x: ts.softmax(x), autograph=autograph, jit_compile=jit_compile)
                with pytest.raises(RuntimeError, match=f"{CANNOT} tensorflow compiles or transforms"):
                    compiled(tf.ones(2))
        with pytest.raises(RuntimeError, match=CANNOT):
            tf.function(lambda: ts.softmax(variable), autograph=False)()
        with tf.GradientTape() as tape:  # a tape records, it does not trace
            first = ts.softmax(variable)[0]
        assert tape.gradient(first, variable) is not None


def test_tracing_inside_raises_in_torch(torch):
    x = torch.ones(2)
    with ts.checks():
        with pytest.raises(RuntimeError, match=CANNOT):
            torch.compile(ts.softmax, fullgraph=True, backend="eager")(x)
        with pytest.raises(RuntimeError, match=f"{CANNOT} torch compiles or transforms"):
            torch.func.vmap(ts.softmax)(x[None])
        with pytest.raises(RuntimeError, match=CANNOT):
            torch.func.grad(lambda x: ts.softmax(x)[0])(x)
        leaf = torch.ones(2, requires_grad=True)
        ts.softmax(leaf)[0].backward()  # autograd records, it does not trace
        assert leaf.grad is not None


def test_what_torch_compiled_before_is_looked_at_again_inside(torch):
    compiled = torch.compile(ts.softmax, fullgraph=True, backend="eager")
    compiled(torch.ones(2))
    with ts.checks(), pytest.raises(RuntimeError, match=CANNOT):
        compiled(torch.ones(2))
    assert compiled(torch.ones(2)).tolist() == [0.5, 0.5]
