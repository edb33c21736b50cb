"""Drawing without replacement: the definition, followed number by number, and what a user counts on."""

from __future__ import annotations

import itertools
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from exactness import make
from scipy.stats import chi2
from support import ROOT

from tempscale import Backend, random, sample_without_replacement
from tempscale.kernels import gumbel

KNOWN = json.loads((ROOT / "tests" / "data" / "without_replacement.json").read_text())
KEY = random.key(0x0123456789ABCDEF)
F32 = np.float32


# The definition of docs/sampling.md in plain integers, one at a time, with nothing of the library's


def wrapped(n: int) -> int:
    """As a signed number of 32 bits."""
    return (n + 2**31) % 2**32 - 2**31


def threefry(k0: int, k1: int, x0: int, x1: int) -> tuple[int, int]:
    keys = (k0, k1, k0 ^ k1 ^ 0x1BD11BDA)
    x0, x1 = (x0 + k0) % 2**32, (x1 + k1) % 2**32
    for i in range(5):
        for r in (13, 15, 26, 6) if i % 2 == 0 else (17, 29, 16, 24):
            x0 = (x0 + x1) % 2**32
            x1 = ((x1 << r | x1 >> (32 - r)) % 2**32) ^ x0
        x0, x1 = (x0 + keys[(i + 1) % 3]) % 2**32, (x1 + keys[(i + 2) % 3] + i + 1) % 2**32
    return x0, x1


def table_a(k: int) -> int:
    return round(2**24 * math.log2(1 + k / 1024))


def table_b(k: int) -> int:
    v = k / 2048
    return round(2**24 * math.log2(-math.log1p(-v) / math.log(2) / v if k else 1 / math.log(2)))


def log2(m: int) -> int:
    bits = struct.unpack("<I", struct.pack("<f", m))[0]
    k, f = bits >> 13 & 1023, bits & 8191
    return ((bits >> 23) - 127) * 2**24 + table_a(k) + ((table_a(k + 1) - table_a(k)) * f >> 13)


def noise(word: int) -> int:
    y = wrapped(word)
    a = ~y if y < 0 else y
    log = log2(2 * a + 1) - 33 * 2**24 if a < 2**30 else log2(a) - 32 * 2**24
    if y < 0:
        return log2(-log) - 24 * 2**24
    k, f = a >> 21, a >> 5 & 65535
    return log + table_b(k) + ((table_b(k + 1) - table_b(k)) * f >> 16)


def by_the_definition(logits: np.ndarray[Any, Any], t: float, row: int, k: int) -> list[int]:
    with np.errstate(all="ignore"):
        c = min(F32(1) / F32(t) * F32(2**24 * math.log2(math.e)), np.finfo(F32).max)
        subkey = threefry(0x01234567, 0x89ABCDEF, 2**32 - 1, row)
        best, arrivals = max(logits), {}
        for j, x in enumerate(logits):
            if x > -np.inf:
                behind = F32(0) if t == np.inf else np.trunc(min((best - x) * c, F32(2.0**126)))
                arrivals[j] = behind + F32(noise(threefry(*subkey, 0, j // 2)[j % 2]))
        tokens = sorted(arrivals, key=lambda j: (arrivals[j], j))[:k]
    return tokens + [-1] * (k - len(tokens))


def known_logits(classes: int) -> np.ndarray[Any, Any]:
    """Rows with a spread of 16, every seventh entry masked, in numbers that float16 and bfloat16 hold."""
    j = np.arange(3 * classes).reshape(3, classes)
    return np.where(j % 7 == 3, -np.inf, (j * 40503 % 257 - 128) / 16).astype(F32)


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: f"{case['classes']} classes, T={case['T']}")
def test_known_answers(backend: Backend, case: dict[str, Any]) -> None:
    k = min(6, case["classes"])
    logits, t = known_logits(case["classes"]), float(case["T"])
    found = sample_without_replacement(make(backend, logits), KEY, k, temperature=t)
    assert backend.to_numpy(found).tolist() == case["tokens"]


@pytest.mark.parametrize("case", KNOWN[:4], ids=lambda case: f"{case['classes']} classes, T={case['T']}")
def test_known_answers_follow_from_the_definition(case: dict[str, Any]) -> None:
    logits = known_logits(case["classes"])
    k = min(6, case["classes"])
    assert [by_the_definition(x, float(case["T"]), row, k) for row, x in enumerate(logits)] == case["tokens"]


# What is promised about tokens


def tokens_of(backend: Backend, logits: Any, k: int, dtype: str = "float32", **options: Any) -> np.ndarray[Any, Any]:
    return backend.to_numpy(sample_without_replacement(make(backend, logits, dtype), KEY, k, **options))


LOGITS = np.random.default_rng(2).standard_normal((4, 3, 30)) * 2


def test_the_result_has_an_axis_of_draws_in_the_index_dtype(backend: Backend) -> None:
    found = sample_without_replacement(make(backend, LOGITS), KEY, 5)
    assert backend.shape(found) == (4, 3, 5)
    assert backend.dtype_name(found) == backend.default_index()


def test_no_token_is_drawn_twice(backend: Backend) -> None:
    found = tokens_of(backend, LOGITS, 30)
    np.testing.assert_array_equal(np.sort(found, axis=-1), np.broadcast_to(np.arange(30), found.shape))


def test_the_first_draws_are_those_of_a_smaller_number(backend: Backend) -> None:
    np.testing.assert_array_equal(tokens_of(backend, LOGITS, 7)[..., :2], tokens_of(backend, LOGITS, 2))
    assert tokens_of(backend, LOGITS, 0).shape == (4, 3, 0)


def test_masked_entries_are_not_drawn_and_leave_minus_one(backend: Backend) -> None:
    where = make(backend, np.arange(30) % 10 == 4, "bool")
    found = tokens_of(backend, LOGITS, 5, where=where)
    assert (np.sort(found[..., :3]) == [4, 14, 24]).all()
    assert (found[..., 3:] == -1).all()
    infinite = np.where(np.arange(30) % 10 == 4, LOGITS, -np.inf)
    np.testing.assert_array_equal(tokens_of(backend, infinite, 5), found)


def test_classes_that_are_appended_and_masked_change_nothing(backend: Backend) -> None:
    padded = np.concatenate([LOGITS, np.full((4, 3, 1100), -np.inf)], axis=-1)
    np.testing.assert_array_equal(tokens_of(backend, padded, 6), tokens_of(backend, LOGITS, 6))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_logits_are_widened(backend: Backend, dtype: str) -> None:
    x = known_logits(50)
    np.testing.assert_array_equal(tokens_of(backend, x, 5, dtype), tokens_of(backend, x, 5))


def test_a_row_without_a_distribution_gives_minus_one(backend: Backend) -> None:
    rows = [[0, np.nan, 1], [0, np.inf, 1], [-np.inf] * 3, [0, 1, 2]]
    found = tokens_of(backend, rows, 2)
    assert (found[:3] == -1).all()
    assert (found[3] >= 0).all()


@pytest.mark.parametrize("shape", [(0, 3), (0, 2, 3), (2, 0, 3)])
def test_no_rows_give_no_tokens(backend: Backend, shape: tuple[int, ...]) -> None:
    for k in (0, 2):
        assert tokens_of(backend, np.zeros(shape), k).shape == (*shape[:-1], k)


def test_at_zero_the_largest_are_drawn_and_of_equals_the_first(backend: Backend) -> None:
    rows = [[1.0, 3, 3, -np.inf, 2], [-0.0, 0.0, 0.0, -0.0, 5], [np.nan, 0, 0, 0, 0]]
    expected = [[1, 2, 4, 0, -1], [4, 0, 1, 2, 3], [-1] * 5]
    assert tokens_of(backend, rows, 5, temperature=0).tolist() == expected
    per_row = make(backend, np.zeros((3, 1)))
    assert tokens_of(backend, rows, 5, temperature=per_row).tolist() == expected


def test_a_temperature_per_row_draws_what_its_number_does(backend: Backend) -> None:
    temperatures = [0.0, 0.3, 1.0, np.inf, 1e-3]
    x = np.resize(LOGITS, (5, 30))
    found = tokens_of(backend, x, 6, temperature=make(backend, np.array(temperatures)[:, None]))
    for row, t in enumerate(temperatures):
        np.testing.assert_array_equal(found[row], tokens_of(backend, x, 6, temperature=t)[row])


def test_a_temperature_that_is_none_gives_minus_one(backend: Backend) -> None:
    found = tokens_of(backend, np.zeros((3, 4)), 2, temperature=make(backend, [[-1.0], [np.nan], [1.0]]))
    assert (found[:2] == -1).all()
    assert (found[2] >= 0).all()


def test_a_key_per_row_makes_a_row_independent_of_its_neighbours(backend: Backend) -> None:
    x = make(backend, np.resize(LOGITS, (3, 30)))
    keys = np.stack([np.asarray(k) for k in random.split(KEY, 3)]).astype(np.int64).astype(np.int32)
    together = backend.to_numpy(sample_without_replacement(x, make(backend, keys, "int32"), 4))
    for row in range(3):
        alone = sample_without_replacement(x[row : row + 1], make(backend, keys[row], "int32"), 4)
        np.testing.assert_array_equal(backend.to_numpy(alone)[0], together[row])


def test_compiled_tokens_are_the_eager_ones(differentiating: Backend) -> None:
    backend = differentiating
    x, t = make(backend, known_logits(1025)), make(backend, np.array([[0.7], [0.0], [np.inf]]))
    key = backend.asarray(np.asarray(KEY).astype(np.int64).astype(np.int32))

    def draw(x: Any, key: Any, t: Any) -> Any:
        return sample_without_replacement(x, key, 9, temperature=t)

    eager = backend.to_numpy(draw(x, key, t))
    numpy = sample_without_replacement(known_logits(1025), KEY, 9, temperature=np.array([[0.7], [0.0], [np.inf]]))
    np.testing.assert_array_equal(eager, numpy)
    for compiler in backend.compilers:
        if backend.compiler_problem(compiler) is None:
            np.testing.assert_array_equal(backend.to_numpy(backend.jit(draw, compiler=compiler)(x, key, t)), eager)


def test_many_rows_are_drawn_as_a_few_are(backend: Backend) -> None:
    """By blocks where there are many, also with what each row has of its own; 300 rows are no multiple of a block."""
    x = np.random.default_rng(8).standard_normal((300, 5000)) * 3
    t = np.linspace(0, 2, 300)[:, None]
    keys = np.arange(600, dtype=np.int32).reshape(300, 2)
    found = sample_without_replacement(make(backend, x), make(backend, keys, "int32"), 2, temperature=make(backend, t))
    few = slice(190, 299, 27)
    alone = sample_without_replacement(
        make(backend, x[few]), make(backend, keys[few], "int32"), 2, temperature=make(backend, t[few])
    )
    np.testing.assert_array_equal(backend.to_numpy(found)[few], backend.to_numpy(alone))


def test_vmap_over_keys(differentiating: Backend) -> None:
    backend = differentiating
    x = make(backend, LOGITS[0])
    keys = make(backend, np.arange(8).reshape(4, 2), "int32")
    found = backend.to_numpy(backend.vmap(lambda k: sample_without_replacement(x, k, 3))(keys))
    each = [backend.to_numpy(sample_without_replacement(x, keys[i], 3)) for i in range(4)]
    np.testing.assert_array_equal(found, each)


# The distribution


@pytest.mark.parametrize("t", [0.6, 1.0, np.inf])
def test_pairs_have_the_probabilities_of_successive_draws(t: float) -> None:
    """P(i, then j) = p_i p_j / (1 - p_i): the Plackett-Luce distribution."""
    x, rows = np.array([1.5, 0.0, -1.0, 0.5, 0.2], F32), 200_000
    p = np.ones(5) if t == np.inf else np.exp(x.astype(float) / t)
    p /= p.sum()
    tokens = sample_without_replacement(np.tile(x, (rows, 1)), KEY, 2, temperature=t)
    pairs = np.array([*itertools.permutations(range(5), 2)])
    expected = rows * np.array([p[i] * p[j] / (1 - p[i]) for i, j in pairs])
    counts = np.array([((tokens == pair).all(axis=1)).sum() for pair in pairs])
    assert counts.sum() == rows
    assert chi2.sf(((counts - expected) ** 2 / expected).sum(), len(pairs) - 1) > 1e-3


def test_a_batch_of_several_axes_takes_a_key_for_each_row(backend: Backend) -> None:
    """Also where rows are drawn by blocks."""
    x = np.random.default_rng(7).standard_normal((2, 3, 50_000), dtype=F32)
    keys = np.random.default_rng(8).integers(0, 2**31, (2, 3, 2)).astype(np.int32)
    tokens = sample_without_replacement(backend.asarray(x), backend.asarray(keys), 5)
    alone = [sample_without_replacement(x[at], keys[at], 5) for at in np.ndindex(2, 3)]
    assert np.array_equal(backend.to_numpy(tokens).reshape(6, 5), alone)


def test_entries_far_below_those_that_are_drawn_keep_their_order(backend: Backend) -> None:
    """Of 0, -1000 and -2000 the second draw takes the one in the middle; noise is worth some 20."""
    assert tokens_of(backend, np.tile([-2000.0, 0.0, -1000.0, -1e30], (9, 1)), 4).tolist() == [[1, 2, 0, 3]] * 9


def test_a_wrong_bit_in_a_table_changes_known_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    table = gumbel.TABLES["log2"] ^ (np.arange(1025, dtype=np.int32) % 2 << 22)
    monkeypatch.setitem(gumbel.TABLES, "log2", table)
    monkeypatch.delitem(gumbel.noise.natives, "numpy", raising=False)  # it has tables made of these
    monkeypatch.setattr("tempscale_backends.numpy.natives.random.loops", lambda: None)  # it too
    case = KNOWN[4]
    found = sample_without_replacement(known_logits(case["classes"]), KEY, 6, temperature=case["T"])
    assert found.tolist() != case["tokens"]


# Errors


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (31, ValueError, "k is 31, expected at most the number of classes, 30"),
        (-1, ValueError, "k is -1, expected an integer of at least 0"),
        (2.0, TypeError, "k is 2.0, expected an integer"),
        (True, TypeError, "k is True, expected an integer"),
        (None, TypeError, "k is None, expected an integer"),
    ],
)
def test_a_wrong_k_is_refused(k: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sample_without_replacement(LOGITS, KEY, k)


def test_what_sample_refuses_is_refused_here() -> None:
    with pytest.raises(TypeError, match="key is 0, expected one that"):
        sample_without_replacement(LOGITS, 0, 1)
    with pytest.raises(ValueError, match="temperature is -1"):
        sample_without_replacement(LOGITS, KEY, 1, temperature=-1)
    with pytest.raises(TypeError, match="where is float64"):
        sample_without_replacement(LOGITS, KEY, 1, where=np.ones(30))
