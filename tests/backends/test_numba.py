"""NumPy's words and tokens, by loops that numba compiles or by arrays: the same bits, whatever is installed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from draws import CASES, CLASSES, KEY, WORDS, known_tokens, many_rows, named
from support import require, run_python
from tempscale_backends.numpy.natives import random as numpy_random

from tempscale import random, sample, sample_without_replacement
from tempscale.kernels import gumbel, threefry

WAYS = ("loops", "arrays")


@pytest.fixture
def loops(request: pytest.FixtureRequest) -> ModuleType:
    """What numba has compiled; a failure under --require-backends if there is no numba."""
    if not request.config.getoption("--require-backends"):
        pytest.importorskip("numba")
    found = numpy_random.loops()
    assert found is not None
    return found


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have NumPy work in one of its ways."""
    name: str = request.param
    if name == "loops":
        request.getfixturevalue("loops")
    else:
        by_arrays(monkeypatch)
    return name


def by_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_random, "loops", lambda: None)


# Known answers


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_tokens_are_known_in_both_ways(way: str, case: dict[str, Any]) -> None:
    assert known_tokens(require("numpy"), case, gumbel.factor_of_number(float(case["T"]))) == case["tokens"]


def test_the_noise_of_a_word_is_that_of_the_body(loops: ModuleType) -> None:
    assert np.array_equal(noise_of(loops, loops._TABLES), gumbel.noise.call_body(WORDS))


@pytest.mark.parametrize("table", [0, 1, 2, 3])
def test_a_wrong_bit_in_a_table_of_the_loops_is_noticed(loops: ModuleType, table: int) -> None:
    tables = [*loops._TABLES]
    tables[table] = tables[table].copy()
    tables[table][700] ^= 1
    assert not np.array_equal(noise_of(loops, tuple(tables)), noise_of(loops, loops._TABLES))


def noise_of(loops: ModuleType, tables: tuple[Any, ...]) -> Any:
    return np.array([loops.noise(word, tables) for word in WORDS.view(np.uint32)])


@pytest.mark.parametrize("count", [0, 1, 1000, 2**15 + 3])
@pytest.mark.parametrize("stream", [0, 5])
def test_words_are_those_of_the_body_in_both_ways(way: str, count: int, stream: int) -> None:
    key = np.array([-2, 2**31 - 7], np.int32)
    words = key.view(np.uint32)  # the body adds as the framework does
    expected = threefry.pairs.call_body(words, count=count, stream=stream)
    found = threefry.pairs(key, count=count, stream=stream)
    assert [y.dtype for y in found] == [np.uint32, np.uint32]
    assert np.array_equal(found, expected)
    assert np.array_equal(threefry.words(key, count=count), np.bitwise_xor(*threefry.pairs(key, count=count)))


# Both ways


@pytest.mark.parametrize("classes", [1, 2, 50, 512, 513, 1023, 1024, 1025, 2048, 5000])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_both_ways_draw_the_same_tokens(
    loops: ModuleType, monkeypatch: pytest.MonkeyPatch, classes: int, dtype: str
) -> None:
    x, t = many_rows(classes)
    x = x.astype(require("numpy").dtype(dtype))
    keys = np.random.default_rng(1).integers(0, 2**32, (len(x), 2)).astype(np.uint32)

    def tokens() -> list[Any]:
        return [
            sample(x, KEY, temperature=t, num_samples=3),
            sample(x, keys, temperature=0.7),
            sample(x, keys, temperature=np.inf, where=np.arange(classes) % 3 != 1),
            sample_without_replacement(x, KEY, classes, temperature=t),
            sample_without_replacement(x, keys, classes // 2, temperature=1e-3),
        ]

    by_loops = tokens()
    by_arrays(monkeypatch)
    for mine, other in zip(by_loops, tokens(), strict=True):
        assert np.array_equal(mine, other)


def test_equal_scores_give_the_first_group_and_the_first_slot(way: str) -> None:
    """Draws, found by search, in which two entries tie for the lowest score."""
    zero = np.zeros(1, np.int32)
    slots = np.full((1, 2048), -np.inf, np.float32)
    slots[0, [0, 1024]] = 0
    for x, draw in ((np.zeros((1, 2), np.float32), 67081152), (slots, 28232490)):
        options = {"temperature": gumbel.factor_of_number(1.0), "rows": zero, "draws": np.array([draw], np.int32)}
        assert gumbel.tokens_of_rows(x, np.zeros(2, np.int32), **options).tolist() == [[0]]


def test_the_largest_differences_count_for_nothing_where_the_temperature_is_infinite(way: str) -> None:
    x = np.tile(np.array([3e38, -3e38, -np.inf, 0], np.float32), (40, 300))
    tokens = sample(x, KEY, temperature=np.full((40, 1), np.inf, np.float32), num_samples=20)
    assert np.array_equal(np.unique(tokens % 4), [0, 1, 3])


def test_entries_that_are_too_far_off_to_count_do_not_add_up(
    loops: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1023 of them a thousandth of the weight of one would come, and another token in some of the draws."""
    x = np.full((1, 1024, 1024), -1e4, np.float32)
    x[0, 0] = 0
    x[0, :, ::2] = -np.log(np.float32(1024))
    by_loops = sample(x.reshape(1, -1), KEY, num_samples=20_000)
    by_arrays(monkeypatch)
    assert np.array_equal(by_loops, sample(x.reshape(1, -1), KEY, num_samples=20_000))


def test_many_arrivals_that_nearly_tie_come_in_the_same_order(
    loops: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference that is not truncated before the noise is added changes some of them."""
    x = np.random.default_rng(0).standard_normal((1, 2**17)).astype(np.float32) * np.float32(1e-2)
    by_loops = sample_without_replacement(x, KEY, 2**17)
    by_arrays(monkeypatch)
    assert np.array_equal(by_loops, sample_without_replacement(x, KEY, 2**17))


def test_loops_refuse_what_they_would_read_beyond_the_end_of(loops: ModuleType) -> None:
    x, key = np.zeros((3, 5), np.float32), np.zeros((2, 1), np.int32)
    with pytest.raises(ValueError, match="2 for 3 rows"):
        loops.drawn(x, (key, key), 1.0, np.zeros(1, np.int32), np.zeros(3, np.int32), np)


def test_no_rows_and_no_draws_give_no_tokens(way: str) -> None:
    x = np.zeros((0, 7), np.float32)
    assert sample(x, KEY).shape == (0,)
    assert sample(x, KEY, temperature=np.ones((0, 1)), num_samples=3).shape == (0, 3)
    assert sample(np.zeros((3, 7)), KEY, num_samples=0).shape == (3, 0)
    assert sample_without_replacement(x, KEY, 2).shape == (0, 2)


def test_draws_by_parts_are_the_same(loops: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    x, t = many_rows(50)
    expected = sample(x, KEY, temperature=t, num_samples=10)
    monkeypatch.setattr(loops, "MOST", 3 * x.size)
    assert np.array_equal(sample(x, KEY, temperature=t, num_samples=10), expected)


@pytest.mark.parametrize("classes", CLASSES)
def test_layout_does_not_matter_in_either_way(way: str, tmp_path: Path, classes: int) -> None:
    x, _ = many_rows(classes)
    np.save(tmp_path / "x.npy", x)
    unaligned = np.frombuffer(b"." + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    assert not unaligned.flags.aligned
    expected = sample(x, KEY), sample_without_replacement(x, KEY, 5)
    for given in (np.load(tmp_path / "x.npy", mmap_mode="r"), unaligned, x.astype(">f4"), np.flip(np.flip(x).copy())):
        assert np.array_equal(sample(given, KEY), expected[0])
        assert np.array_equal(sample_without_replacement(given, KEY, 5), expected[1])


# Without numba, or where it cannot keep what it compiles

DRAW = """
import tempscale
print(tempscale.sample([[0.0, 1.0, 2.0]] * 20, tempscale.random.key(0), num_samples=4).tolist())
print(tempscale.random.bits(tempscale.random.key(0), (5,)).tolist())
"""
ASK = "from tempscale_backends.numpy.natives.random import loops; print(loops() is None)"


def drawn() -> str:
    tokens = sample([[0.0, 1.0, 2.0]] * 20, random.key(0), num_samples=4).tolist()
    return f"{tokens}\n{random.bits(random.key(0), (5,)).tolist()}\n"


def test_where_numba_is_missing_arrays_draw_the_same() -> None:
    assert run_python("import sys; sys.modules['numba'] = None" + DRAW + ASK) == drawn() + "True\n"


@pytest.mark.parametrize("name", ["NUMBA_DISABLE_JIT", "TEMPSCALE_NUMBA"])
def test_where_numba_is_told_not_to_compile_arrays_draw_the_same(name: str) -> None:
    value = "0" if name == "TEMPSCALE_NUMBA" else "1"
    assert run_python(DRAW + ASK, env={name: value}, options=["-W", "error"]) == drawn() + "True\n"


@pytest.mark.parametrize("error", ["AttributeError", "OSError", "SystemError"])
def test_a_numba_that_is_broken_is_said_once_and_arrays_draw_the_same(tmp_path: Path, error: str) -> None:
    (tmp_path / "numba.py").write_text(f"raise {error}('broken')")
    heard = "import warnings; heard = warnings.catch_warnings(record=True).__enter__(); warnings.simplefilter('always')"
    told = "; print([str(w.message)[:40] for w in heard if w.category is RuntimeWarning])"
    expected = drawn() + "True\n['numba is installed but does not work, so']\n"
    assert run_python(heard + DRAW + ASK + told, path=[tmp_path]) == expected


def test_the_backend_says_whether_numba_is_used(way: str) -> None:
    used = require("numpy").settings()["numba"]
    assert (used == "not used") == (way == "arrays")


def test_where_nothing_can_be_kept_on_disk_the_loops_draw_all_the_same(loops: ModuleType) -> None:
    nowhere = "import numba.core.caching; numba.core.caching.FunctionCache._impl_class._locator_classes = []"
    assert run_python(nowhere + DRAW + ASK) == drawn() + "False\n"


def test_what_was_kept_on_disk_and_is_damaged_is_left_alone(loops: ModuleType, tmp_path: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(tmp_path)}
    run_python(DRAW, env=env)
    kept = [*tmp_path.rglob("*.nbi")]
    assert len(kept) == 4
    for file in kept:
        file.write_bytes(b"")
    assert run_python(DRAW + ASK, env=env) == drawn() + "False\n"


def test_numba_is_not_imported_before_there_is_much_to_draw(loops: ModuleType) -> None:
    code = "import sys, tempscale; tempscale.softmax([1.0]); tempscale.random.uniform(tempscale.random.key(0), (99,))"
    ask = "; print('numba' in sys.modules)"
    assert run_python(code + ask) == "False\n"
    assert run_python(code + "; tempscale.random.bits(tempscale.random.key(0), (2**16,))" + ask) == "True\n"
