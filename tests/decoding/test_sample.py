"""Drawing tokens: what is promised about every single one, on every framework."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from draws import CASES, CLASSES, KEY, KNOWN, ROWS, TEMPERATURES, WORDS, known_logits, known_tokens, many_rows, named
from exactness import allowing, make
from support import NAMES, require, run_python

from tempscale import Backend, random
from tempscale.decoding import DEFINITION_VERSION, sample
from tempscale.kernels import gumbel

# Known answers


def wrong_tables():
    """Names of the tables that are not those of the definition, by their ends and their sums."""
    known = KNOWN["int"]["table_crc"]
    for name, short in (("log2", "LT0"), ("log2 steps", "LTD"), ("tail", "HT0"), ("tail steps", "HTD")):
        table = gumbel.TABLES[name][:1024]
        found = {"first": table[:3].tolist(), "last": int(table[-1]), "sum": int(table.sum(dtype=np.int64))}
        if found != known[short]:
            yield name


def test_the_tables_are_those_of_the_definition():
    assert [*wrong_tables()] == []


@pytest.mark.parametrize("table", ["log2", "log2 steps", "tail", "tail steps"])
def test_a_wrong_bit_in_a_table_is_noticed(monkeypatch, table):
    mutant = gumbel.TABLES[table].copy()
    mutant[700] ^= 1
    monkeypatch.setitem(gumbel.TABLES, table, mutant)
    assert [*wrong_tables()] == [table]


@pytest.mark.parametrize("table", ["log2", "tail"])
def test_a_table_that_is_wrong_changes_known_tokens(monkeypatch, table):
    numpy, draw = require("numpy"), gumbel.tokens_of_rows.call_body
    monkeypatch.delitem(gumbel.noise.natives, "numpy")  # it made tables of these when it was imported
    monkeypatch.setitem(gumbel.TABLES, table, gumbel.TABLES[table] ^ (np.arange(1025, dtype=np.int32) % 2 << 22))
    with np.errstate(all="ignore"):
        found = [known_tokens(numpy, c, gumbel.factor_of_number(float(c["T"])), draw) for c in CASES]
    assert found != [case["tokens"] for case in CASES]


def test_the_words_are_those_of_the_definition():
    three, zero = np.arange(3, dtype=np.int32), np.zeros(1, np.int32)
    subkeys = gumbel.subkeys(gumbel.signed_words(np.asarray(KEY), np), zero, three, np)
    found = np.stack(subkeys, axis=-1)[:, 0].view(np.uint32)
    assert [[hex(word) for word in pair] for pair in found] == KNOWN["int"]["subkeys_draw0_rows0-2"]
    blocks = np.arange(4, dtype=np.int32)
    words = gumbel.threefry(*(x[0] for x in subkeys), np.zeros_like(blocks), blocks)
    assert [[hex(w) for w in pair] for pair in np.stack(words, -1).view(np.uint32)] == KNOWN["int"][
        "words_row0_blocks0-3"
    ]


def test_the_noise_of_a_word_is_known(backend):
    words, expected = zip(*KNOWN["int"]["noise_L_Q24"].items(), strict=True)
    given = np.array([int(word, 16) for word in words], np.uint32).view(np.int32)
    assert backend.to_numpy(gumbel.noise(backend.asarray(given))).tolist() == list(expected)


def test_the_noise_of_every_kind_of_word_is_that_of_the_body(backend):
    expected = gumbel.noise.call_body(WORDS)
    assert np.array_equal(backend.to_numpy(gumbel.noise(backend.asarray(WORDS))), expected)


@pytest.mark.parametrize(("temperature", "bits"), KNOWN["c_hex"].items())
def test_the_factor_of_a_temperature_is_known_whether_it_is_a_number_or_an_array(backend, temperature, bits):
    expected = struct.unpack(">f", bytes.fromhex(bits))[0]
    assert gumbel.factor_of_number(float(temperature)) == expected
    array = backend.asarray(np.array([[temperature]], np.float32))
    assert backend.to_numpy(gumbel.factor(array, backend.namespace).c).item() == expected


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_tokens_are_known(backend, case):
    assert known_tokens(backend, case, gumbel.factor_of_number(float(case["T"]))) == case["tokens"]


@pytest.mark.parametrize("case", [CASES[i] for i in (0, 2, 3, 4, 10)], ids=named)
def test_they_are_the_same_for_a_temperature_per_row(backend, case):
    temperatures = np.full((len(case["tokens"]), 1), float(case["T"]), np.float32)
    assert known_tokens(backend, case, backend.asarray(temperatures)) == case["tokens"]


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_body_draws_them_too(case):
    with np.errstate(all="ignore"):
        found = known_tokens(
            require("numpy"), case, gumbel.factor_of_number(float(case["T"])), gumbel.tokens_of_rows.call_body
        )
    assert found == case["tokens"]


@pytest.mark.parametrize("case", CASES[:7] + CASES[10:12], ids=named)
def test_pytorch_draws_the_known_tokens_op_by_op_as_on_a_device(torch, case):
    def draw(*arrays: Any, **options: Any) -> Any:
        return gumbel.in_blocks(*arrays, **options, xp=backend.namespace, block=2**14)

    backend = require("torch")
    assert known_tokens(backend, case, gumbel.factor_of_number(float(case["T"])), draw) == case["tokens"]


def test_the_public_function_draws_them():
    case = CASES[4]
    tokens = sample(np.tile(known_logits(case), (8, 1)), KEY, temperature=0.05, num_samples=8)
    assert tokens[:, 7].tolist() == case["tokens"]


def test_the_bits_of_a_float_are_computed_in_integers_where_there_is_no_cast():
    rng = np.random.default_rng(1)
    m = (rng.integers(1, 2**31, 20_000) >> rng.integers(0, 31, 20_000)).clip(1).astype(np.int32)
    m = np.concatenate([m, [1, 2, 3, 2**24 - 1, 2**24 + 1, 2**24 + 3, 2**25 + 2, 2**25 + 6, 2**31 - 1]]).astype(
        np.int32
    )
    assert np.array_equal(gumbel.float_bits.body(m, xp=np), m.astype(np.float32).view(np.int32))


def test_the_definition_has_a_version():
    assert DEFINITION_VERSION == 1


# The same everywhere


def drawn(backend: Backend, x: Any, t: Any, dtype: str = "float32", count: int | None = None) -> Any:
    """What a backend draws, as NumPy has it."""
    tokens = sample(make(backend, x, dtype), KEY, temperature=backend.asarray(t), num_samples=count)
    return backend.to_numpy(tokens)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_dtype_gives_the_same_tokens(backend, dtype):
    x, t = many_rows(50, 200)
    with allowing(dtype):
        assert np.array_equal(drawn(backend, x, t, dtype), sample(x, KEY, temperature=t))


@pytest.mark.parametrize("classes", [1, 2, 600, 1024, 3000])
def test_every_framework_gives_the_same_tokens(backend, classes):
    x, t = many_rows(classes, 200)
    assert np.array_equal(drawn(backend, x, t), sample(x, KEY, temperature=t))


def test_every_framework_draws_the_same_ten_thousand_tokens(backend):
    x, t = many_rows(1025, 200)
    assert np.array_equal(drawn(backend, x, t, count=50), sample(x, KEY, temperature=t, num_samples=50))


@pytest.mark.parametrize("t", TEMPERATURES)
def test_a_number_and_an_array_as_temperature_give_the_same_tokens(backend, t):
    x, _ = many_rows(50)
    one = sample(backend.asarray(x), KEY, temperature=t)
    assert np.array_equal(backend.to_numpy(one), drawn(backend, x, np.float32(t)))


@pytest.mark.parametrize(("classes", "dtype"), [(50, "float32"), (1100, "float32"), (1100, "bfloat16")])
def test_torch_compile_gives_the_same_tokens_by_code_of_its_own(torch, classes, dtype):
    from torch._inductor.utils import run_and_get_code

    x, t = many_rows(classes)
    compiled = torch.compile(lambda x, t: sample(x, KEY, temperature=t, num_samples=3), fullgraph=True)
    found, [code] = run_and_get_code(compiled, make(require("torch"), x, dtype), torch.tensor(t))
    assert np.array_equal(found.numpy(), sample(x, KEY, temperature=t, num_samples=3))
    assert "tempscale" not in code  # no call of an operator


def test_torch_compile_draws_the_known_tokens_of_any_number_of_rows(torch):
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, t: sample(x, KEY, temperature=t), fullgraph=True)
    for rows in (60, 40, 7):
        x, t = torch.tensor(many_rows(1100)[0][:rows]), torch.tensor(many_rows(1100)[1][:rows])
        torch._dynamo.mark_dynamic(x, 0)
        torch._dynamo.mark_dynamic(t, 0)
        with torch.compiler.set_stance("default" if rows == 60 else "fail_on_recompile"):
            found = compiled(x, t).numpy()
        assert np.array_equal(found, sample(x.numpy(), KEY, temperature=t.numpy()))


@pytest.mark.parametrize("case", [CASES[i] for i in (0, 7, 10, 11, 14)], ids=named)
def test_torch_compile_draws_the_known_tokens(torch, case):
    backend = require("torch")
    temperature = backend.asarray(np.float32(case["T"]))  # not a constant of what is compiled
    assert known_tokens(backend, case, temperature, torch.compile(gumbel.tokens_of_rows)) == case["tokens"]


def test_pytorch_sees_one_operator_where_it_looks_on(torch):
    from tempscale_backends.torch import inductor
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    x, t = many_rows(50)
    traced = make_fx(lambda x: sample(x, KEY))(torch.zeros(ROWS, 50))
    assert np.array_equal(traced(torch.tensor(x)).numpy(), sample(x, KEY))
    [operator] = [node for node in traced.graph.nodes if "tempscale" in str(node.target)]
    assert inductor.CODE in operator.args
    with FakeTensorMode() as mode:
        fake = sample(mode.from_tensor(torch.tensor(x)), KEY, temperature=mode.from_tensor(torch.tensor(t)))
    assert fake.shape == (ROWS,)


def test_another_source_gives_the_operator_another_argument_and_its_compiled_code_another_place(torch, monkeypatch):
    from tempscale_backends.torch import inductor

    assert inductor.fingerprint() == inductor.CODE
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b"#" if path.name == "racing.py" else b""))
    assert inductor.fingerprint() != inductor.CODE
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(()))  # installed without sources
    assert inductor.fingerprint()


def test_torch_compile_takes_keys_and_numbers_as_arguments_and_unknown_dimensions(torch):
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(
        lambda x, key, t: sample(x, key, temperature=t), fullgraph=True, dynamic=True, backend=counter
    )
    key = torch.tensor([KEY.high, KEY.low])
    for (rows, classes), t in zip([(60, 50), (60, 600), (40, 1025)], [0.7, 0.8, 0.0], strict=True):
        x, _ = many_rows(classes)
        found = compiled(torch.tensor(x[:rows]), key, t).numpy()
        assert np.array_equal(found, sample(x[:rows], KEY, temperature=t))
    assert counter.frame_count <= 2  # the first number may be taken for a constant


@pytest.mark.parametrize("jit_compile", [False, True])
def test_tf_function_with_unknown_dimensions_gives_the_same_tokens(tf, jit_compile):
    signature = [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None, 1], tf.float32)]
    compiled = tf.function(
        lambda x, t: sample(x, KEY, temperature=t, num_samples=3),
        input_signature=signature,
        jit_compile=jit_compile,
        autograph=False,
    )
    for classes in (50, 1100):
        x, t = many_rows(classes)
        assert np.array_equal(
            compiled(tf.constant(x), tf.constant(t)).numpy(), sample(x, KEY, temperature=t, num_samples=3)
        )


def test_jax_jit_gives_the_same_tokens_and_takes_steps_as_arguments(jax):
    compiled = jax.jit(lambda x, t, key, step: sample(x, random.fold_in(key, step), temperature=t, num_samples=3))
    for step in (3, 4):
        x, t = many_rows(1100)
        expected = sample(x, random.fold_in(KEY, step), temperature=t, num_samples=3)
        found = compiled(x, t, jax.numpy.asarray(np.asarray(KEY)), step)
        assert np.array_equal(found, expected)


def test_maps_over_rows_draw_from_each_with_its_key(torch, jax):
    x, t = many_rows(50)
    keys = np.random.default_rng(2).integers(0, 2**31, (60, 2)).astype(np.int32)
    expected = sample(x, keys, temperature=t, num_samples=2)

    def draw(x: Any, key: Any, t: Any) -> Any:
        return sample(x, key, temperature=t, num_samples=2)

    assert np.array_equal(torch.func.vmap(draw)(*map(torch.tensor, (x, keys, t))).numpy(), expected)
    assert np.array_equal(jax.vmap(draw)(*map(jax.numpy.asarray, (x, keys, t))), expected)


def test_a_map_in_pytorch_may_leave_the_key_or_the_logits_as_they_are(torch):
    x, t = many_rows(50)
    x, t = torch.tensor(x).reshape(5, 12, 50), torch.tensor(t).reshape(5, 12, 1)
    one, keys = torch.tensor([1, 2]), torch.tensor([[1, 2], [3, 4]])
    mapped = torch.func.vmap(lambda x, t: sample(x, one, temperature=t))(x, t)
    assert torch.equal(mapped, torch.stack([sample(x[i], one, temperature=t[i]) for i in range(5)]))
    mapped = torch.func.vmap(lambda key: sample(x, key))(keys)
    assert torch.equal(mapped, torch.stack([sample(x, key) for key in keys]))


# Special rows

N, I = float("nan"), float("inf")  # noqa: E741


NO_DISTRIBUTION = [[0, N, 1], [N, N, N], [0, I, 1], [I, I, I], [-I, -I, -I], [-I, N, I]]


@pytest.mark.parametrize("temperature", [0.0, 0.7, I])
@pytest.mark.parametrize("classes", CLASSES)
def test_a_row_without_a_distribution_gives_minus_one(backend, temperature, classes):
    x = np.full((ROWS, classes), -I, np.float32)
    x[:6, -3:] = NO_DISTRIBUTION
    x[6:] = 0
    for t in (temperature, backend.asarray(np.full((ROWS, 1), temperature, np.float32))):
        tokens = backend.to_numpy(sample(backend.asarray(x), KEY, temperature=t))
        assert tokens[:6].tolist() == [-1] * 6
        assert (tokens[6:] >= 0).all()


@pytest.mark.parametrize("classes", CLASSES)
def test_temperature_0_gives_the_first_maximum(backend, classes):
    x = np.zeros((ROWS, classes), np.float32)
    x[0, 2:] = 7
    x[1, -1] = 1
    x[2, :2] = -I
    for t in (0, 0.0, np.float32(0), backend.asarray(np.zeros((ROWS, 1), np.float32))):
        tokens = backend.to_numpy(sample(backend.asarray(x), KEY, temperature=t, num_samples=3))
        assert tokens[:3].tolist() == [[2] * 3, [classes - 1] * 3, [2] * 3]
        assert not tokens[3:].any()


@pytest.mark.parametrize("classes", CLASSES)
def test_temperature_inf_is_uniform_over_what_is_not_masked(backend, classes):
    x = np.full((ROWS, classes), -I, np.float32)
    counted = [0, 2, classes - 1]
    x[:, counted] = [-3e38, 3e38, 0]
    drawn = backend.to_numpy(sample(backend.asarray(x), KEY, temperature=I, num_samples=50))
    numbers, counts = np.unique(drawn, return_counts=True)
    assert numbers.tolist() == counted
    assert (abs(counts - 1000) < 120).all()


def test_a_temperature_in_an_array_that_is_negative_or_nan_gives_minus_one(backend):
    t = np.ones((ROWS, 1), np.float32)
    t[:4, 0] = [-1, N, -I, -0.0]
    x = np.zeros((ROWS, CLASSES[0]), np.float32)
    tokens = backend.to_numpy(sample(backend.asarray(x), KEY, temperature=backend.asarray(t)))
    assert tokens[:4].tolist() == [-1, -1, -1, 0]
    assert (tokens[4:] >= 0).all()


def test_the_largest_numbers_do_not_overflow(backend):
    x = np.zeros((ROWS, CLASSES[0]), np.float32)
    x[0] = 2.9e38
    x[0, :2] = [3e38, -3e38]
    x[1] = -3.4e38
    x[1, 0] = -3e38
    tokens = backend.to_numpy(sample(backend.asarray(x), KEY, num_samples=3))
    assert tokens[:2].tolist() == [[0] * 3, [0] * 3]


# Arguments


def test_the_result_has_the_shape_of_the_batch_and_the_dtype_of_an_index(backend):
    x = backend.asarray(np.zeros((2, 3, 4), np.float32))
    for given, count, shape in ((x, None, (2, 3)), (x, 5, (2, 3, 5)), (x[0, 0], None, ()), (x[0, 0], 1, (1,))):
        tokens = sample(given, KEY, num_samples=count)
        assert backend.shape(tokens) == shape
        assert backend.dtype_name(tokens) == backend.default_index()


@pytest.mark.parametrize(
    ("shape", "count"), [((0, 4), None), ((3, 0, 2000), 2), ((2, 4), 0), ((2, 2000), 0), ((0, 4), 0)]
)
def test_nothing_to_draw_is_an_empty_result(backend, shape, count):
    tokens = sample(backend.asarray(np.zeros(shape, np.float32)), KEY, num_samples=count)
    assert backend.shape(tokens) == (*shape[:-1], *([] if count is None else [count]))


def test_the_first_samples_do_not_depend_on_how_many_there_are(backend):
    x = backend.asarray(many_rows(50)[0])
    few, many, one = (backend.to_numpy(sample(x, KEY, num_samples=n)) for n in (3, 50, None))
    assert np.array_equal(few, many[:, :3])
    assert np.array_equal(one, many[:, 0])


def test_rows_draw_differently_and_are_counted_in_row_major_order(backend):
    x = np.zeros((4, 6, 500), np.float32)
    tokens = backend.to_numpy(sample(backend.asarray(x), KEY))
    assert len(np.unique(tokens)) > 15
    assert np.array_equal(tokens.reshape(-1), sample(x.reshape(24, 500), KEY))


@pytest.mark.parametrize("classes", CLASSES)
def test_with_a_key_per_row_a_row_does_not_depend_on_its_neighbours(backend, classes):
    x, t = many_rows(classes)
    keys = np.random.default_rng(3).integers(0, 2**32, (60, 2)).astype(np.uint32)
    together = backend.to_numpy(sample(backend.asarray(x), backend.asarray(keys), temperature=backend.asarray(t)))
    for i in (5, 59):
        alone = sample(backend.asarray(x[i]), backend.asarray(keys[i]), temperature=float(t[i, 0]))
        assert backend.to_numpy(alone) == together[i]


def test_a_batch_of_several_axes_takes_a_key_for_each_row(backend):
    """Also where rows are drawn by blocks."""
    x = np.random.default_rng(7).standard_normal((2, 3, 50_000), dtype=np.float32)
    keys = np.random.default_rng(8).integers(0, 2**31, (2, 3, 2)).astype(np.int32)
    t = np.array([[[0.5], [1], [0]], [[2], [np.inf], [1]]], np.float32)
    tokens = sample(backend.asarray(x), backend.asarray(keys), temperature=backend.asarray(t), num_samples=2)
    alone = [sample(x[at], keys[at], temperature=t[at], num_samples=2) for at in np.ndindex(2, 3)]
    assert np.array_equal(backend.to_numpy(tokens).reshape(6, 2), alone)


@pytest.mark.parametrize("dtype", ["uint32", "int32", "int64"])
def test_a_key_may_be_an_array_of_words(backend, dtype):
    x, _ = many_rows(50)
    words = np.asarray(random.key(0xFFFFFFFF_80000001)).astype(dtype)
    with allowing(dtype):
        tokens = sample(backend.asarray(x), backend.asarray(words))
        assert np.array_equal(backend.to_numpy(tokens), sample(x, random.key(0xFFFFFFFF_80000001)))


def test_a_key_may_be_one_of_jax(jax):
    x, _ = many_rows(50)
    expected = sample(x, random.key(7))
    assert np.array_equal(sample(jax.numpy.asarray(x), jax.random.key(7)), expected)
    each = jax.random.split(jax.random.key(7), 60)
    assert np.array_equal(sample(jax.numpy.asarray(x), each), sample(x, np.asarray(jax.random.key_data(each))))


@pytest.mark.parametrize("shape", [(60, 50), (50,), (60, 1), ()])
def test_a_mask_is_as_good_as_minus_infinity(backend, shape):
    x = np.random.default_rng(4).standard_normal((60, 50), dtype=np.float32)
    mask = np.random.default_rng(5).random(shape) < 0.7
    tokens = sample(backend.asarray(x), KEY, where=backend.asarray(np.asarray(mask)))
    assert np.array_equal(backend.to_numpy(tokens), sample(np.where(mask, x, np.float32(-I)), KEY))


def test_a_temperature_may_be_given_for_a_part_of_the_batch_axes(backend):
    x = np.random.default_rng(6).standard_normal((4, 3, 20), dtype=np.float32)
    t = np.array([0.1, 1, 0, 5], np.float32).reshape(4, 1, 1)
    tokens = sample(backend.asarray(x), KEY, temperature=backend.asarray(t))
    assert np.array_equal(backend.to_numpy(tokens), sample(x, KEY, temperature=np.tile(t, (1, 3, 1))))


def test_lists_and_integers_will_do():
    assert sample([0, 50, 0], KEY) == 1
    assert sample([[0.0, 1.0]], KEY, temperature=[[0.0]], where=[[True, False]]).tolist() == [0]


def test_arrays_are_not_written_to(backend):
    x, t = many_rows(1100)
    given = backend.asarray(x)
    sample(given, KEY, temperature=backend.asarray(t))
    assert np.array_equal(backend.to_numpy(given), x, equal_nan=True)


def test_layout_does_not_matter():
    x, _ = many_rows(1100)
    expected = sample(x, KEY)
    wide = np.zeros((60, 2200), np.float32)
    wide[:, ::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for given in (wide[:, ::2], np.asfortranarray(x), read_only):
        assert np.array_equal(sample(given, KEY), expected)
    for view in (require("torch").asarray(wide)[:, ::2], require("torch").asarray(x.T.copy()).T):
        assert np.array_equal(sample(view, KEY).numpy(), expected)


X = np.zeros((2, 3), np.float32)
WRONG: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    (X, 5, {}, TypeError, "key is 5, expected one that tempscale.random.key"),
    (X, None, {}, TypeError, "key is None"),
    (X, [0, 1], {}, TypeError, "key is"),
    (X, np.zeros(2, np.float32), {}, TypeError, "key is an array of float32"),
    (X, np.zeros(3, np.uint32), {}, ValueError, r"key has shape \(3,\), expected \(2,\)"),
    (X, np.zeros((3, 2), np.uint32), {}, ValueError, r"one per row, \(2, 2\)"),
    (np.zeros((2, 3), bool), KEY, {}, TypeError, "logits is bool"),
    (np.array(1.0), KEY, {}, ValueError, "0-dimensional"),
    (np.zeros((2, 0)), KEY, {}, ValueError, "no entries"),
    (np.broadcast_to(np.float32(0), (2**24 + 1,)), KEY, {}, ValueError, r"expected at most 2\*\*24"),
    (X, KEY, {"temperature": -1.0}, ValueError, "temperature is -1"),
    (X, KEY, {"temperature": N}, ValueError, "temperature is nan"),
    (X, KEY, {"temperature": None}, TypeError, "temperature is None"),
    (X, KEY, {"temperature": np.ones(2, np.float32)}, ValueError, "pass T"),
    (X, KEY, {"where": np.ones((2, 3), np.float32)}, TypeError, "where is float32"),
    (X, KEY, {"where": np.ones((4, 3), bool)}, ValueError, "does not broadcast"),
    (X, KEY, {"num_samples": -1}, ValueError, "num_samples is -1"),
    (X, KEY, {"num_samples": 1.5}, TypeError, "num_samples is 1.5"),
    (X, KEY, {"num_samples": True}, TypeError, "num_samples is True"),
]


@pytest.mark.parametrize(("logits", "key", "options", "error", "message"), WRONG, ids=lambda value: None)
def test_a_wrong_argument_is_told(logits, key, options, error, message):
    with pytest.raises(error, match=message):
        sample(logits, key, **options)


def test_two_frameworks_in_one_call_are_refused(torch):
    with pytest.raises(TypeError, match="arrays of two frameworks"):
        sample(torch.zeros(3), np.zeros(2, np.uint32))
    with pytest.raises(TypeError, match=r"'logits' is torch.Tensor and argument 'temperature' is numpy"):
        sample(torch.zeros(3), KEY, temperature=np.ones(()))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_without_a_distribution_is_told_when_values_are_checked(name):
    import tempscale

    backend = require(name)
    with tempscale.checks(), pytest.raises(ValueError, match="is nan"):
        sample(backend.asarray(np.array([0, N], np.float32)), KEY)


# The distribution


@pytest.mark.parametrize("classes", [7, 3000])
def test_the_frequencies_are_those_of_softmax(classes):
    from scipy.stats import chisquare

    x = np.random.default_rng(8).standard_normal(classes) * 2
    n = 20_000
    drawn = sample(x.astype(np.float32), random.key(9), temperature=0.8, num_samples=n)
    p = np.exp((x.astype(np.float32).astype(np.float64) - x.max()) / 0.8)
    p /= p.sum()
    order = np.argsort(-p)
    cells = np.add.reduceat(p[order], np.arange(0, classes, max(1, classes // 20)))
    counts = np.add.reduceat(np.bincount(drawn, minlength=classes)[order], np.arange(0, classes, max(1, classes // 20)))
    big = cells * n > 5
    assert (
        chisquare([*counts[big], counts[~big].sum() + 1e-9], [*(cells[big] * n), cells[~big].sum() * n + 1e-9]).pvalue
        > 1e-3
    )


@pytest.mark.parametrize("classes", [50, 3000])
def test_noise_of_one_ulp_on_the_logits_changes_no_token(classes):
    rng = np.random.default_rng(10)
    x = rng.standard_normal((100, classes), dtype=np.float32) * 3
    near = np.nextafter(x, np.where(rng.random(x.shape) < 0.5, np.float32(-I), np.float32(I)))
    assert np.array_equal(sample(x, KEY, num_samples=100), sample(near, KEY, num_samples=100))


# Many rows, and devices


def test_many_rows_are_drawn_as_a_few_are(backend):
    """By blocks where there are many, also with what each row has of its own; 300 rows are no multiple of a block."""
    x = np.random.default_rng(8).standard_normal((300, 5000)) * 3
    t = np.linspace(0, 2, 300)[:, None]
    keys = np.arange(600, dtype=np.int32).reshape(300, 2)
    found = sample(make(backend, x), make(backend, keys, "int32"), temperature=make(backend, t))
    few = slice(190, 299, 27)
    alone = sample(make(backend, x[few]), make(backend, keys[few], "int32"), temperature=make(backend, t[few]))
    np.testing.assert_array_equal(backend.to_numpy(found)[few], backend.to_numpy(alone))


def test_logits_on_two_devices_are_drawn_from(jax):
    run_python(
        """
        import jax, numpy as np
        from jax.sharding import NamedSharding, PartitionSpec
        from tempscale import random, sample

        mesh = jax.make_mesh((2,), ("rows",))
        x = np.random.default_rng(0).standard_normal((6, 50)).astype("float32")
        sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("rows")))
        assert (np.asarray(sample(sharded, random.key(3))) == sample(x, random.key(3))).all()
        """,
        env={"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"},
    )
