"""tempscale.random: known answers, equality with JAX and between the frameworks, and the distributions."""

from __future__ import annotations

import dataclasses
import math
from itertools import permutations

import numpy as np
import pytest
import scipy.stats as stats
from support import NAMES, require

import tempscale
from tempscale import random
from tempscale.kernels import draws, threefry
from tempscale.kernels.exact import quantiles
from tempscale.random._continuous import _interval as interval

KEY = random.key(0x92345678_9ABCDEF0)  # words with their top bits set
N = 10**5

# Random123's kat_vectors: counter, key, what threefry2x32 makes of them in 20 rounds
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def like(backend):
    return backend.asarray([0.0], dtype="float32")


def jax_key(jax, key=KEY):
    return jax.random.wrap_key_data(np.asarray(key))


def same_everywhere(draw):
    """What `draw(like)` gives on NumPy, once it is seen that all frameworks give the same bits."""
    expected = draw(None)
    for name in NAMES[1:]:
        got = tempscale.to_numpy(draw(like(require(name))))
        assert got.shape == expected.shape, name
        assert np.count_nonzero(got != expected) == 0, name
    return expected


# Keys


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_threefry_gives_the_known_answers_of_random123(counter, key, answer):
    words = [np.array([word], np.uint32) for word in (*key, *counter)]
    y0, y1 = threefry.block((words[0], words[1]), words[2], words[3])
    assert (int(y0[0]), int(y1[0])) == answer


def test_pytorch_gives_the_known_answers_op_by_op_as_an_operator_and_compiled(torch):
    from tempscale_backends.torch import inductor
    from tempscale_backends.torch.natives.random import threefry_words

    words = np.array([[*key, *counter] for counter, key, _ in KNOWN_ANSWERS], np.uint32).view(np.int32)
    k0, k1, x0, x1 = torch.tensor(words).T
    answers = np.array([answer for _, _, answer in KNOWN_ANSWERS], np.uint32).view(np.int32).T.tolist()
    inductor.teach()
    compiled = torch.compile(lambda *words: threefry_words(*words, True, inductor.CODE), fullgraph=True)
    for pair in (
        threefry.block((k0, k1), x0, x1),
        threefry_words(k0, k1, x0, x1, True, inductor.CODE),
        compiled(k0, k1, x0, x1),
    ):
        assert torch.stack(list(pair)).tolist() == answers


def test_every_backend_gives_a_known_answer_through_fold_in(backend):
    _, _, answer = KNOWN_ANSWERS[0]
    folded = tempscale.to_numpy(random.fold_in(random.key(0), 0, like=like(backend)))
    assert tuple(folded.astype(np.uint32).tolist()) == answer


def test_a_key_is_the_two_words_of_the_seed():
    key = random.key(2**32 * 5 + 7)
    assert (key.high, key.low) == (5, 7)
    assert np.asarray(key).dtype == np.uint32
    assert np.asarray(key).tolist() == [5, 7]
    assert key == random.Key(5, 7)
    assert hash(key) == hash(random.Key(5, 7))
    assert eval(repr(key), {"tempscale": tempscale}) == key


def test_a_key_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        random.key(1).low = 2


def test_keys_are_those_of_jax(jax):
    ours, theirs = random.key(2**31 + 1), jax.random.key(2**31 + 1)
    np.testing.assert_array_equal(np.asarray(ours), jax.random.key_data(theirs))
    np.testing.assert_array_equal(random.split(ours, (3, 2)), jax.random.key_data(jax.random.split(theirs, (3, 2))))
    folded = jax.random.key_data(jax.random.fold_in(theirs, 2**32 - 1))
    np.testing.assert_array_equal(np.asarray(random.fold_in(ours, 2**32 - 1)), folded)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64"])
def test_an_array_of_the_framework_is_a_key(backend, dtype):
    words = np.asarray(KEY).view(np.int32) if dtype == "int32" else np.asarray(KEY).astype(dtype)
    with backend.allowing(dtype):
        key = backend.asarray(words)
        found = [tempscale.to_numpy(random.bits(key, (5,))), tempscale.to_numpy(random.split(key, 3))]
        assert backend.dtype_name(random.fold_in(key, 3)) == backend.dtype_name(random.split(key)) == dtype
    np.testing.assert_array_equal(found[0], random.bits(KEY, (5,)))
    np.testing.assert_array_equal(found[1].astype(np.uint32), np.array(random.split(KEY, 3)))


def test_jax_typed_keys_are_keys_and_make_typed_keys(jax):
    key = jax_key(jax)
    assert jax.numpy.issubdtype(random.split(key).dtype, jax.dtypes.prng_key)
    assert random.split(key, 3).shape == (3,)
    np.testing.assert_array_equal(
        jax.random.key_data(random.fold_in(key, 9)), jax.random.key_data(jax.random.fold_in(key, 9))
    )
    np.testing.assert_array_equal(random.uniform(key, (9,)), jax.random.uniform(key, (9,)))
    with pytest.raises(TypeError, match="expected threefry2x32"):
        random.bits(jax.random.key(0, impl="rbg"))


def test_a_step_number_in_an_array_folds_in(backend):
    step = backend.asarray(np.array(2**31 + 5, np.uint32))
    folded = tempscale.to_numpy(random.fold_in(KEY, step))
    np.testing.assert_array_equal(folded.astype(np.uint32), np.asarray(random.fold_in(KEY, 2**31 + 5)))


# Equal to JAX, and on all frameworks


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_bits_are_those_of_jax_everywhere(jax, dtype):
    drawn = same_everywhere(lambda like: random.bits(KEY, (N // 5, 5), dtype, like=like))
    np.testing.assert_array_equal(drawn, jax.random.bits(jax_key(jax), (N // 5, 5), dtype))
    assert drawn.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_uniform_is_that_of_jax_everywhere(jax, dtype):
    drawn = same_everywhere(lambda like: random.uniform(KEY, (N,), dtype, like=like))
    np.testing.assert_array_equal(drawn, jax.random.uniform(jax_key(jax), (N,), dtype))
    assert drawn.dtype.name == dtype


def test_uniform_between_bounds_is_that_of_jax_everywhere(jax):
    drawn = same_everywhere(lambda like: random.uniform(KEY, (N,), minval=5.0, maxval=7.1, like=like))
    np.testing.assert_array_equal(drawn, jax.random.uniform(jax_key(jax), (N,), minval=5.0, maxval=7.1))


def test_64_bits_are_those_of_jax_with_x64(backend, jax):
    with backend.allowing("uint64"):
        bits = tempscale.to_numpy(random.bits(KEY, (1000,), "uint64", like=like(backend)))
        uniform = tempscale.to_numpy(random.uniform(KEY, (1000,), "float64", like=like(backend)))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(bits, jax.random.bits(jax_key(jax), (1000,), "uint64"))
        np.testing.assert_array_equal(uniform, jax.random.uniform(jax_key(jax), (1000,), "float64"))


def test_bernoulli_is_that_of_jax_everywhere(jax):
    drawn = same_everywhere(lambda like: random.bernoulli(KEY, 0.3, (N,), like=like))
    np.testing.assert_array_equal(drawn, jax.random.bernoulli(jax_key(jax), 0.3, (N,)))


DRAWS = {
    "normal": lambda like: random.normal(KEY, (N,), like=like),
    "exponential": lambda like: random.exponential(KEY, (N,), like=like),
    "gumbel": lambda like: random.gumbel(KEY, (N,), like=like),
    "truncated_normal": lambda like: random.truncated_normal(KEY, -1.0, 2.5, (N,), like=like),
    "gumbel in float16": lambda like: random.gumbel(KEY, (N,), "float16", like=like),
    "randint": lambda like: random.randint(KEY, (N,), -7, 10**6, like=like),
    "randint over all of int32": lambda like: random.randint(KEY, (N,), -(2**31), 2**31, like=like),
    "randint in int8": lambda like: random.randint(KEY, (N,), -128, 128, "int8", like=like),
    "permutation": lambda like: random.permutation(KEY, N, like=like),
    "choice": lambda like: random.choice(KEY, 9, (50, 2), like=like),
    "choice by weight": lambda like: random.choice(KEY, 3, (N,), p=[0.2, 0.5, 0.3], like=like),
    "choice without replacement": lambda like: random.choice(KEY, 90, (20,), replace=False, like=like),
    "choice by weight without replacement": lambda like: random.choice(
        KEY, 50, (20,), replace=False, p=[0.02] * 50, like=like
    ),
}


@pytest.mark.parametrize("name", DRAWS)
def test_all_frameworks_draw_the_same_bits(name):
    same_everywhere(DRAWS[name])


@pytest.mark.parametrize("operation", draws.DRAWS, ids=lambda operation: operation.__name__)
def test_natives_of_numpy_draw_what_the_bodies_draw(operation, monkeypatch):
    arguments = {
        "_split": ((), {"shape": (3,)}),
        "_fold": ((np.asarray(7),), {}),
        "random_bits": ((), {"shape": (40000,), "dtype": "uint64"}),
        "_uniform_between": ((np.asarray(1.0), np.asarray(2.0)), {"shape": (9,), "dtype": "float64"}),
        "_bernoulli": ((np.asarray(0.5, np.float32),), {"shape": (9,), "dtype": "float32"}),
        "_randint": ((np.asarray(1), np.asarray(9)), {"shape": (9,), "dtype": "int32", "inclusive": False}),
        "_order": ((), {"shape": (9,), "axis": 0, "dtype": "int64"}),
        "_weighted": ((np.array([0.5, 0.0, 3.0]),), {"count": 9, "size": 3, "dtype": "int64"}),
        "_race": ((np.array([0.5, 0.0, 3.0]),), {"count": 3, "size": 3, "dtype": "int64"}),
        "_truncated_normal": (
            (),
            {"case": "middle", "numbers": interval(0.0, 1.0)[1], "shape": (9,), "dtype": "float32"},
        ),
    }
    arrays, options = arguments.get(operation.__name__, ((), {"shape": (9999,), "dtype": "float32"}))
    natives = operation(np.asarray(KEY), *arrays, **options)
    helpers = (threefry.as_words, threefry.words, threefry.pairs, quantiles.split_float)
    for helper in (*helpers, draws.rarely, draws.in_blocks):
        monkeypatch.delitem(helper.natives, "numpy")
    np.testing.assert_array_equal(operation.call_body(np.asarray(KEY), *arrays, **options), natives)


@pytest.mark.parametrize("name", [name for name in DRAWS if "float16" not in name])  # the standard has none
def test_draws_ask_for_no_more_than_the_array_api_standard(name, strict):
    np.testing.assert_array_equal(tempscale.to_numpy(DRAWS[name](like(strict))), DRAWS[name](None))


# Distributions


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("draw", "distribution"),
    [
        (random.uniform, stats.uniform()),
        (random.normal, stats.norm()),
        (random.exponential, stats.expon()),
        (random.gumbel, stats.gumbel_r()),
        (lambda key, shape, dtype: random.truncated_normal(key, -2, 1, shape, dtype), stats.truncnorm(-2, 1)),
        (
            lambda key, shape, dtype: random.truncated_normal(key, 5, math.inf, shape, dtype),
            stats.truncnorm(5, math.inf),
        ),
        (lambda key, shape, dtype: random.truncated_normal(key, -9, -4, shape, dtype), stats.truncnorm(-9, -4)),
        (lambda key, shape, dtype: random.truncated_normal(key, 7.9, 9, shape, dtype), stats.truncnorm(7.9, 9)),
        (lambda key, shape, dtype: random.truncated_normal(key, -31, -30, shape, dtype), stats.truncnorm(-31, -30)),
    ],
    ids=["uniform", "normal", "exponential", "gumbel", "truncated", "right tail", "left tail", "8 sd", "30 sd"],
)
def test_draws_are_distributed_by_their_cdf(draw, distribution, dtype):
    drawn = draw(KEY, (2 * 10**5,), dtype).astype(np.float64)
    assert stats.kstest(drawn, distribution.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("draw", "quantile"),
    [
        (random.normal, lambda mp, u: mp.sqrt(2) * mp.erfinv(2 * u - 1)),
        (random.exponential, lambda mp, u: -mp.log(u)),
        (random.gumbel, lambda mp, u: -mp.log(-mp.log(u))),
    ],
)
def test_float32_draws_are_quantiles_rounded_once(draw, quantile):
    import mpmath as mp

    with mp.workdps(40):
        us = [(mp.mpf(int(word)) + 0.5) / 2**32 for word in random.bits(KEY, (300,))]
        exact = np.array([float(quantile(mp, u)) for u in us])
    drawn = draw(KEY, (300,))
    assert np.max(np.abs(drawn - exact) / np.spacing(np.abs(drawn))) < 0.501


INTERVALS = [
    *[(-1.0, 2.5), (-math.inf, math.inf), (0.0, 38.0), (-3.0, 30.0), (-30.0, 40.0)],
    *[(5.0, math.inf), (7.9, 9.0), (30.0, math.inf), (-31.0, -30.0), (35.999, 36.5)],
    *[(36.0, math.inf), (-50.0, -40.0), (1e3, 1e3 + 1e-3)],
    *[(1e-20, 2e-20), (-1e-6, 1e-6), (-9e-5, 3e-5), (1.0, 1.0 + 1e-7), (30.0, 30.0 + 1e-9), (500.0, 500.0 + 1e-10)],
]


@pytest.mark.parametrize(("lower", "upper"), INTERVALS)
def test_truncated_normal_is_the_quantile_however_far_out_or_narrow(lower, upper):
    import mpmath as mp

    drawn = random.truncated_normal(KEY, lower, upper, (15,), "float64")
    assert len(set(drawn)) > 12
    with mp.workdps(60):
        sign = -1 if lower + upper > 0 else 1  # the lower tail is the nearer one
        first, last = sorted((sign * mp.mpf(lower), sign * mp.mpf(upper)))
        below = [mp.erfc(-x / mp.sqrt(2)) / 2 if mp.isfinite(x) else mp.mpf(x > 0) for x in (first, last)]
        for x, word in zip(sign * drawn, random.bits(KEY, (15,), "uint64") >> np.uint64(12), strict=True):
            u = (mp.mpf(int(word)) + 0.5) / 2**52
            x = mp.mpf(float(x))
            probability = mp.erfc(-x / mp.sqrt(2)) / 2
            error = abs(probability - below[0] - u * (below[1] - below[0])) / mp.npdf(x)
            assert error <= 4e-12 * abs(x) + (1e-11 * (last - first) if mp.isfinite(last - first) else 0)


TAILS = {
    "middle": (-3.0, 5.0),
    "low": (7.9, 9.0),
    "far": (40.0, 41.0),
    "narrow": (1.0, 1.0 + 2.0**-30),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_normal_has_the_same_bits_everywhere_in_the_tails(backend, dtype):
    with backend.allowing(dtype):
        for case, bounds in TAILS.items():
            assert interval(*bounds)[0] == case
            drawn = tempscale.to_numpy(random.truncated_normal(KEY, *bounds, (N // 10,), dtype, like=like(backend)))
            np.testing.assert_array_equal(drawn, random.truncated_normal(KEY, *bounds, (N // 10,), dtype))


def test_bounds_of_float64_that_are_compiled_in_give_the_same_bits(jax):
    def draw(key):
        return random.truncated_normal(key, -1.0, 2.5, (N,), "float64")

    with jax.enable_x64(True):
        np.testing.assert_array_equal(jax.jit(draw)(np.asarray(KEY)), draw(np.asarray(KEY)))


@pytest.mark.parametrize("p", [1e-10, 2.0**-40])
def test_bernoulli_with_a_tiny_probability_is_hardly_ever_true(p):
    assert random.bernoulli(KEY, p, (2**25,)).sum() == 0  # by a uniform number of 23 bits there would be 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bernoulli_compares_64_bits(backend, dtype):
    with backend.allowing(dtype):
        key = tempscale.convert(np.asarray(KEY), like=like(backend))
        high, low = [tempscale.to_numpy(y).astype(np.uint32) for y in threefry.pairs(key, count=9)]
        high = high if dtype == "float64" else high ^ low
        words = [int(h) << 32 | int(w) for h, w in zip(high, low, strict=True)]
        p = np.array([word * 2.0**-64 for word in words], dtype)
        drawn = tempscale.to_numpy(random.bernoulli(key, backend.asarray(p)))
    assert drawn.tolist() == [word < int(float(q) * 2**64) for word, q in zip(words, p, strict=True)]


def test_uniform_between_huge_and_tiny_bounds_is_the_same_everywhere():
    huge = same_everywhere(lambda like: random.uniform(KEY, (N,), minval=-3e38, maxval=3e38, like=like))
    assert stats.kstest(huge.astype(np.float64) / 6e38, stats.uniform(-0.5, 1.0).cdf).pvalue > 0.01
    half = same_everywhere(lambda like: random.uniform(KEY, (N,), "float16", -6e4, 6e4, like=like))
    assert np.isfinite(half).all()
    assert abs(half.astype(np.float64).mean()) < 500
    tiny = same_everywhere(lambda like: random.uniform(KEY, (N,), minval=0.0, maxval=2.0**-125, like=like))
    assert 0.49 < np.mean(tiny == 0) < 0.51  # what would be subnormal
    assert same_everywhere(lambda like: random.uniform(KEY, (9,), maxval=1e-40, like=like)).tolist() == [0.0] * 9


def test_the_logarithm_is_right_to_three_ulp_where_draws_need_it():
    x = np.concatenate([np.exp(np.linspace(-24, 3.7, 5000)), 1 - 2.0 ** -np.arange(1.0, 53)])
    np.testing.assert_array_max_ulp(quantiles.log(x, np), np.log(x), maxulp=3)


def test_the_extreme_words_have_quantiles():
    u = np.array([2.0**-53, 2.0**-33, 1 - 2.0**-33, 1 - 2.0**-53])
    np.testing.assert_allclose(quantiles.normal_quantile(u, np), stats.norm.ppf(u), rtol=5e-12)


@pytest.mark.parametrize("n", [2, 6, 1000])
def test_randint_favours_none(n):
    counts = np.bincount(random.randint(KEY, (10**6,), 0, n), minlength=n)
    assert len(counts) == n
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("n", [1, 3, 2**31 + 1, 2**32, 2**62 - 1])
@pytest.mark.parametrize("w", [0, 1, 2**32 - 1, 2**32, 0x92345678_9ABCDEF0, 2**64 - 1])
def test_the_product_of_64_bits_is_that_of_integers(n, w):
    high, low = np.array([w >> 32], np.uint32), np.array([w & 0xFFFFFFFF], np.uint32)
    upper, rest = threefry.high_product(np.array([n]), high, low, np)
    assert (int(upper[0]) << 64) + int(rest.view(np.uint64)[0]) == n * w


def test_what_is_rejected_is_drawn_again(backend):
    condition = backend.asarray(np.array([True, False, True]))
    x = backend.asarray(np.array([1, 2, 3], np.int32))
    again = tempscale.to_numpy(draws.rarely(condition, x, instead=lambda: x * 10))
    assert again.tolist() == [10, 2, 30]
    assert tempscale.to_numpy(draws.rarely(condition & ~condition, x, instead=lambda: x * 10)).tolist() == [1, 2, 3]


def test_bounds_of_randint_may_be_arrays(backend):
    low = backend.asarray(np.array([-5, 0, 7], np.int32))
    high = backend.asarray(np.array([-3, 2**31 - 1, 7], np.int32))
    drawn = tempscale.to_numpy(random.randint(KEY, (1000, 3), low, high))
    assert set(drawn[:, 0]) == {-5, -4}
    assert (drawn[:, 1] >= 0).all()
    assert (drawn[:, 2] == 7).all()  # nothing between the bounds: minval
    np.testing.assert_array_equal(drawn[:, 1], random.randint(KEY, (1000, 3), 0, 2**31 - 1)[:, 1])


def test_bernoulli_with_0_and_1_is_certain(backend):
    p = backend.asarray(np.array([0.0, 1.0, math.nan], np.float32))
    drawn = tempscale.to_numpy(random.bernoulli(KEY, p, (1000, 3)))
    assert drawn.sum(axis=0).tolist() == [0, 1000, 0]
    assert tempscale.to_numpy(random.bernoulli(KEY, p)).shape == (3,)


def test_permutations_are_all_equally_likely():
    found = [tuple(random.permutation(key, 4).tolist()) for key in random.split(KEY, 4800)]
    assert stats.chisquare([found.count(order) for order in permutations(range(4))]).pvalue > 0.01


def test_a_permutation_moves_slices_or_entries(backend):
    x = np.arange(60, dtype=np.float32).reshape(20, 3)
    given = backend.asarray(x)
    rows = tempscale.to_numpy(random.permutation(KEY, given))
    np.testing.assert_array_equal(rows, x[random.permutation(KEY, 20)])
    columns = tempscale.to_numpy(random.permutation(KEY, given, axis=1, independent=True))
    np.testing.assert_array_equal(np.sort(columns, axis=1), x)
    assert len({tuple(row % 3) for row in columns}) > 1


def test_choices_follow_their_weights():
    p = [0.1, 0.0, 0.6, 0.3]
    counts = np.bincount(random.choice(KEY, 4, (10**6,), p=p), minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], np.array([0.1, 0.6, 0.3]) * 1e6).pvalue > 0.01


def test_choices_without_replacement_follow_their_weights():
    p = [0.1, 0.2, 0.7]
    found = [tuple(random.choice(key, 3, (2,), replace=False, p=p).tolist()) for key in random.split(KEY, 4000)]
    pairs = list(permutations(range(3), 2))
    expected = [4000 * p[i] * p[j] / (1 - p[i]) for i, j in pairs]
    assert stats.chisquare([found.count(pair) for pair in pairs], expected).pvalue > 0.01


def test_choice_takes_entries_of_an_array_along_an_axis(backend):
    x = np.arange(24.0, dtype=np.float32).reshape(2, 4, 3)
    chosen = tempscale.to_numpy(random.choice(KEY, backend.asarray(x), (5, 2), axis=1))
    index = random.choice(KEY, 4, (5, 2))
    np.testing.assert_array_equal(chosen, x[:, index])


# Arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.key(-1), ValueError, "seed is -1"),
        (lambda: random.key(2**64), ValueError, "expected an integer from 0 to 2"),
        (lambda: random.key(1.5), TypeError, "seed is 1.5, expected an integer"),
        (lambda: random.key(True), TypeError, "seed is True"),
        (lambda: random.fold_in(KEY, -1), ValueError, "data is -1"),
        (lambda: random.fold_in(KEY, np.zeros(2, np.int32)), TypeError, "data is an array of int32 of shape"),
        (lambda: random.bits(5), TypeError, r"key is 5, expected one that tempscale.random.key\(seed\) makes"),
        (lambda: random.bits([0, 5]), TypeError, r"key is \[0, 5\]"),
        (lambda: random.bits(np.zeros((3, 2), np.uint32)), TypeError, "of several keys take one"),
        (lambda: random.bits(np.zeros(2)), TypeError, "key is an array of float64"),
        (lambda: random.bits(KEY, (2, -1)), ValueError, "expected sizes of at least 0"),
        (lambda: random.bits(KEY, (2.0,)), TypeError, "shape is 2.0, expected an integer"),
        (lambda: random.bits(KEY, 2**33), ValueError, "more than 2.*32 numbers from one key"),
        (lambda: random.bits(KEY, 2, "int32"), TypeError, "dtype is int32, expected one of uint8"),
        (lambda: random.uniform(KEY, 2, np.int32), TypeError, "dtype is int32, expected one of float16"),
        (lambda: random.uniform(KEY, 2, minval=1.0, maxval=1.0), ValueError, "expected minval < maxval"),
        (lambda: random.bernoulli(KEY, 1.5), ValueError, "p is 1.5, expected a probability from 0 to 1"),
        (lambda: random.bernoulli(KEY, math.nan), ValueError, "p is nan"),
        (lambda: random.bernoulli(KEY, np.ones(3), (2,)), ValueError, "does not broadcast to the shape"),
        (lambda: random.randint(KEY, (), 3, 3), ValueError, "expected minval < maxval"),
        (lambda: random.randint(KEY, (), 0, 300, "int8"), ValueError, "expected numbers of int8: -128 to 127"),
        (lambda: random.randint(KEY, (), 0, 2**33, "int64"), ValueError, r"at most 2\*\*32 numbers"),
        (lambda: random.randint(KEY, (), 0.5, 3), TypeError, "minval is 0.5, expected an integer"),
        (lambda: random.permutation(KEY, -1), ValueError, "x is -1"),
        (lambda: random.permutation(KEY, np.ones(3), axis=1), ValueError, "axis is 1, and x has 1 axes"),
        (lambda: random.truncated_normal(KEY, 1.0, 1.0), ValueError, "expected lower < upper"),
        (lambda: random.uniform(KEY, 2, minval=-math.inf), ValueError, "expected a finite number that float32 can"),
        (lambda: random.uniform(KEY, 2, "float16", maxval=1e5), ValueError, "maxval is 100000.0"),
        (lambda: random.choice(KEY, 0, (1,)), ValueError, "a has 0 entries"),
        (lambda: random.choice(KEY, 3, (4,), replace=False), ValueError, "they need replace=True"),
        (lambda: random.choice(KEY, 2, p=[0.5, 0.6]), ValueError, "expected probabilities"),
        (lambda: random.choice(KEY, 2, p=[1.5, -0.5]), ValueError, "none negative"),
        (lambda: random.choice(KEY, 2, p=[1.0]), TypeError, r"expected floats of shape \(2,\)"),
        (lambda: random.choice(KEY, 3, (2,), False, p=[1.0, 0.0, 0.0]), ValueError, "can be chosen"),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_expected(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_key_of_one_framework_does_not_draw_for_another(torch):
    with pytest.raises(TypeError, match="arrays of two frameworks"):
        random.bits(torch.zeros(2, dtype=torch.int32), like=np.zeros(1))


def test_a_dtype_that_the_framework_lacks_is_refused(jax):
    with pytest.raises(TypeError, match="unless x64 is on"):
        random.bits(KEY, (), "uint64", like=jax.numpy.zeros(1))


def test_dtypes_of_the_framework_name_themselves(backend):
    drawn = random.uniform(KEY, 3, backend.dtype("float16"), like=like(backend))
    assert backend.dtype_name(drawn) == "float16"
    assert backend.dtype_name(random.normal(KEY, 3, np.float32, like=like(backend))) == "float32"


def test_nothing_can_be_drawn_too(backend):
    assert tempscale.to_numpy(random.uniform(KEY, (2, 0), like=like(backend))).shape == (2, 0)
    assert tempscale.to_numpy(random.permutation(KEY, 0, like=like(backend))).shape == (0,)
    assert tempscale.to_numpy(random.normal(KEY, (), like=like(backend))).shape == ()
