"""Drawing tokens in TensorFlow: the body, compiled by XLA, also when it is called from a graph that is not.

By blocks of rows, as in JAX: a third of the time, and next to no memory.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale.kernels import gumbel
from tempscale.kernels.gumbel import top_k
from tempscale.kernels.gumbel.tokens import tokens_of_batch
from tempscale.kernels.indexing import indices
from tempscale.kernels.temperature import Reciprocal
from tempscale_backends.tensorflow import namespace
from tempscale_backends.tensorflow.namespace._arguments import size_of, sizes

BLOCK = 2**18
"""Entries that are worked on at a time."""


@gumbel.lookup.native("tensorflow")
def _lookup(index: Array, *, table: str) -> Array:
    return tf.gather(tf.constant(gumbel.TABLES[table]), index)


@gumbel.float_bits.native("tensorflow")
def _float_bits(m: Array) -> Array:
    return tf.bitcast(tf.cast(m, tf.float32), tf.int32)


@gumbel.is_exactly_zero.native("tensorflow")
def _is_exactly_zero(x: Array) -> Array:
    # In halves: of a comparison of all bits with 0 XLA makes one of floats, which takes subnormal ones for 0.
    halves = tf.cast(tf.bitcast(x, tf.uint16), tf.int32)
    return (halves[..., 0] == 0) & (halves[..., 1] % 2**15 == 0)


@gumbel.rotated.native("tensorflow")
def _rotated(x: Array, *, places: int) -> Array:
    word = tf.bitcast(x, tf.uint32)
    left = tf.bitwise.left_shift(word, tf.constant(places, tf.uint32))
    right = tf.bitwise.right_shift(word, tf.constant(32 - places, tf.uint32))
    return tf.bitcast(tf.bitwise.bitwise_or(left, right), tf.int32)


# Shapes that may not be known yet


@indices.native("tensorflow")
def _indices(x: Array, *, axis: int) -> Array:
    return tf.range(tf.shape(x)[axis])


@gumbel.count_to.native("tensorflow")
def _count_to(x: Array, *, count: int) -> Array:
    return tf.range(count)


@gumbel.flat_rows.native("tensorflow")
def _flat_rows(x: Array) -> Array:
    return tf.reshape(x, (-1, x.shape[-1] or tf.shape(x)[-1]))


@gumbel.batched.native("tensorflow")
def _batched(tokens: Array, logits: Array, *, several: bool) -> Array:
    shape = tf.concat([tf.shape(logits)[:-1], tf.shape(tokens)[1:] if several else []], 0)
    result = tf.reshape(tf.cast(tokens, tf.int64), shape)
    return tf.ensure_shape(result, (*logits.shape[:-1], tokens.shape[1]) if several else logits.shape[:-1])


@gumbel.grouped.native("tensorflow")
def _grouped(x: Array) -> tuple[Array, ...]:
    if x.shape[1] is not None:
        known: tuple[Array, ...] = gumbel.grouped.body(x, xp=namespace)
        return known
    rows, classes = tf.unstack(tf.shape(x))
    full = classes // gumbel.GROUPS
    rest = x[:, full * gumbel.GROUPS :]  # of no entries, if there are none: a slot of -inf changes nothing
    last = tf.pad(rest, [[0, 0], [0, gumbel.GROUPS - tf.shape(rest)[1]]], constant_values=-math.inf)
    parts = (x[:, : full * gumbel.GROUPS], full), (last, 1)
    return tuple([tf.cast(tf.reshape(part, (rows, n, gumbel.GROUPS)), tf.float32) for part, n in parts])


@gumbel.shifts.native("tensorflow")
def _shifts(x: Array) -> gumbel.Shifts | None:
    if x.shape[1] is not None:
        known: gumbel.Shifts | None = gumbel.shifts.body(x, xp=namespace)
        return known
    slots = (tf.shape(x)[1] + gumbel.GROUPS - 1) // gumbel.GROUPS
    # the exponent of slots - 1 and 1 more; of no more than one slot 0
    exponent = tf.bitcast(tf.cast(slots - 1, tf.float32), tf.int32) // 2**23 - 126
    s = tf.maximum(exponent, 0)
    one = tf.bitwise.left_shift(tf.ones_like(s), 30 - s)
    return gumbel.Shifts(s, 1 + s, one, (30 - s) * gumbel.ONE, tf.cast((31 - s) * 2**15, tf.float32))


@top_k.alternating.native("tensorflow")
def _alternating(y0: Array, y1: Array, x: Array) -> Array:
    shape = tf.shape(x)
    return tf.reshape(tf.stack([y0, y1], 2), (shape[0], -1))[:, : shape[1]]


@top_k.first.native("tensorflow")
def _first(arrivals: Array, draws: Array) -> Array:
    return tf.math.top_k(-arrivals, draws.shape[0]).indices


def _some_at_a_time(function: Callable[..., Array], step: Any, width: Any, **arrays: Array) -> Array:
    """Return the rows of int32 that a function makes of some rows of arrays at a time, `width` numbers each."""
    count = tf.shape(next(iter(arrays.values())))[0]
    step = tf.minimum(count, tf.maximum(step, 1))

    def some(block: Array, found: Array) -> tuple[Array, Array]:
        start = tf.minimum(block * step, count - step)  # the last block may have some rows of the one before
        here = {name: tf.slice(a, [start, 0][: a.shape.rank], [step, *sizes(a)[1:]]) for name, a in arrays.items()}
        rows = tf.pad(function(**here), [[0, 0], [0, 1]])
        return block + 1, tf.tensor_scatter_nd_update(found, (start + tf.range(step))[:, None], rows)

    blocks = -(-count // tf.maximum(step, 1))
    nothing = tf.zeros((count, width + 1), tf.int32)  # XLA can update no array of width 0
    return tf.while_loop(lambda block, _: block < blocks, some, (0, nothing))[1][:, :-1]


def _race(field: gumbel.Field, key: tuple[Array, Array], draws: Array, rows: Array, xp: Any) -> Array:
    """Race for some draws at a time: all at once would take as many numbers for each as there are groups, or slots."""
    if draws.shape[0] == 1:
        return gumbel.race(field, key, draws, rows, xp)
    count = size_of(rows, 0)
    slots = tf.add_n([size_of(part, 1) for part in field.parts])
    step = BLOCK // tf.maximum(count * tf.maximum(slots, size_of(field.best, 1)), 1)

    def some(draws: Array) -> Array:
        return tf.transpose(gumbel.race(field, key, draws, rows, xp))

    return tf.transpose(_some_at_a_time(some, step, count, draws=draws))


def _by_blocks(body: Callable[..., Array]) -> Callable[..., Array]:
    """Make of a body one that draws some rows at a time, so that what is in between stays in the cache."""

    @functools.wraps(body)
    def draw(x: Array, key: Array, *, temperature: Any, draws: Array, rows: Array, xp: Any) -> Array:
        count, classes = sizes(x)
        # as words, because XLA widens all of an array of 16 bits that it takes floats out of
        by_row = {"x": tf.bitcast(x, tf.uint16) if x.dtype.size == 2 else x, "rows": rows}
        if key.shape.rank == 2:
            by_row["key"] = key
        if isinstance(temperature, tf.Tensor) and temperature.shape.rank == 2:
            by_row["temperature"] = tf.broadcast_to(temperature, (count, 1))

        def some(**here: Array) -> Array:
            given = {"key": key, "temperature": temperature, **here}
            return body(tf.bitcast(given.pop("x"), x.dtype), given.pop("key"), draws=draws, xp=xp, **given)

        return _some_at_a_time(some, BLOCK // classes, draws.shape[0], **by_row)

    return draw


def _spec(x: Array, name: str) -> tf.TensorSpec:
    """Leave open how many rows there are, and nothing else: of one axis only `rows` is an axis of rows."""
    return tf.TensorSpec([None, *x.shape[1:]] if x.shape.rank > 1 or name == "rows" else x.shape, x.dtype)


def _compiled(body: Callable[..., Array]) -> Callable[..., Array]:
    """Compile a body once per set of options, ranks and classes; XLA then compiles for each number of rows."""

    @functools.lru_cache(maxsize=256)
    def for_operands(
        specs: tuple[tf.TensorSpec, ...], names: tuple[str, ...], options: tuple[tuple[str, Any], ...]
    ) -> Callable[..., Array]:
        def call(*tensors: Array) -> Array:
            arrays = tensors[: len(tensors) - len(names)]
            named = dict(options) | dict(zip(names, tensors[len(arrays) :], strict=True))
            if "factor" in named:
                named["temperature"] = Reciprocal(named.pop("factor"))
            return body(*arrays, xp=namespace, **named)

        compiled = tf.function(call, input_signature=specs, jit_compile=True, autograph=False)
        concrete: Callable[..., Array] = compiled.get_concrete_function()  # a call then looks for no other
        return concrete

    def native(*arrays: Array, **options: Any) -> Array:
        temperature = options["temperature"]
        if isinstance(temperature, float) and temperature != gumbel.AT_ZERO:
            # an operand, so that another number does not compile again
            options["factor"] = tf.constant(options.pop("temperature"), tf.float32)
        elif isinstance(temperature, Reciprocal):
            options["factor"] = options.pop("temperature").value
        named = {name: value for name, value in options.items() if isinstance(value, (tf.Tensor, tf.Variable))}
        operands = [tf.convert_to_tensor(given) for given in (*arrays, *named.values())]
        specs = tuple([_spec(given, name) for given, name in zip(operands, ("", "", *named), strict=True)])
        static = tuple([(name, value) for name, value in options.items() if name not in named])
        return for_operands(specs, tuple(named), static)(*operands)

    return native


_drawn = functools.partial(gumbel.drawn, stages=gumbel.STAGES._replace(race=_race))
_with_replacement = functools.partial(gumbel.tokens_of_rows.body, run=_drawn)
gumbel.tokens_of_rows.native("tensorflow")(_compiled(_by_blocks(_with_replacement)))
top_k.distinct_tokens_of_rows.native("tensorflow")(_compiled(_by_blocks(top_k.distinct_tokens_of_rows.body)))
_eagerly = _compiled(tokens_of_batch.body)


@tokens_of_batch.native("tensorflow")
def _draw(logits: Array, key: Array, **options: Any) -> Array:
    """As one graph in an eager call, where each operation outside of it would take as long."""
    if tf.executing_eagerly():
        return _eagerly(logits, key, **options)
    return tokens_of_batch.body(logits, key, xp=namespace, **options)
