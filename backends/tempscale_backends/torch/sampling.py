"""Drawing tokens in PyTorch: by blocks of rows and of draws; one operator, where PyTorch has to see one.

An operator of its own, because `torch.compile` takes minutes over the rounds of Threefry when they are in its graph.
On a CPU NumPy draws, in a third of the time of PyTorch op by op.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import array_api_compat.torch as xp
import ml_dtypes
import torch

from tempscale import _gumbel, _gumbel_top_k
from tempscale.backend import Array
from tempscale_backends.torch.natives import is_plain

BLOCK = 2**24
"""Entries that are worked on at a time on a device: enough to keep it busy, and some hundreds of MiB in between."""


@_gumbel.lookup.native("torch")
def _lookup(index: Array, *, table: str) -> Array:
    return torch.from_numpy(_gumbel.TABLES[table]).to(index.device).take(index.long())


@_gumbel.float_bits.native("torch")
def _float_bits(m: Array) -> Array:
    return m.to(torch.float32).view(torch.int32)


@_gumbel.indices.native("torch")
def _indices(x: Array, *, axis: int) -> Array:
    return torch.arange(x.shape[axis], dtype=torch.int32, device=x.device)


@_gumbel.count_to.native("torch")
def _count_to(x: Array, *, count: int) -> Array:
    return torch.arange(count, dtype=torch.int32, device=x.device)


@_gumbel.grouped.native("torch")
def _grouped(x: Array) -> Array:
    rows, classes = x.shape
    x = x.float()
    slots = -(-classes // _gumbel.GROUPS)
    if slots == 1:
        return x.reshape(rows, 1, classes)
    x = torch.nn.functional.pad(x, (0, slots * _gumbel.GROUPS - classes), value=-math.inf)
    return x.reshape(rows, slots, _gumbel.GROUPS)


@_gumbel.number_or_factor.native("torch")
def _number_or_factor(x: Array, *, temperature: float) -> Any:
    if torch.compiler.is_compiling():  # where a number may be one that is not known yet
        return x.new_full((), temperature, dtype=torch.float32)
    return _gumbel.factor_of_number(temperature)


@torch.library.custom_op("tempscale::tokens_of_rows", mutates_args=())
def tokens(
    x: torch.Tensor,
    key: torch.Tensor,
    temperature: torch.Tensor | None,
    factor: float,
    draws: torch.Tensor,
    rows: torch.Tensor,
    distinct: bool,
) -> torch.Tensor:
    """Draw, by an array of temperatures or else by the factor of a number; without replacement if `distinct`."""
    given = factor if temperature is None else temperature
    found: torch.Tensor = _draw(x, key, temperature=given, draws=draws, rows=rows, distinct=distinct)
    return found


def _draw(x: Array, key: Array, *, distinct: bool, **options: Any) -> Array:
    if x.is_cpu:
        on_host = _gumbel_top_k.distinct_tokens_of_rows if distinct else _gumbel.tokens_of_rows
        found = on_host(_host(x), _host(key), **{name: _host(given) for name, given in options.items()})
        return torch.from_numpy(found)
    if not distinct:
        return _gumbel.in_blocks(x, key, xp=xp, block=BLOCK, **options)
    draw = functools.partial(_gumbel_top_k.distinct_tokens_of_rows.body, xp=xp)
    return _gumbel.by_rows(draw, x, key, xp=xp, block=BLOCK, **options)


def _host(value: Any) -> Any:
    """Return a tensor as a NumPy array that shares its memory."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.bfloat16:
        return value.view(torch.int16).numpy(force=True).view(ml_dtypes.bfloat16)
    return value.numpy(force=True)


@tokens.register_fake
def _(
    x: Array, key: Array, temperature: Array | None, factor: float, draws: Array, rows: Array, distinct: bool
) -> Array:
    return draws.new_empty((x.shape[0], draws.shape[0]))


@tokens.register_vmap
def _(
    info: Any,
    in_dims: Any,
    x: Array,
    key: Array,
    temperature: Array | None,
    factor: float,
    draws: Array,
    rows: Array,
    distinct: bool,
) -> tuple[Array, int]:
    """Take the rows of all that is mapped over as rows of one array."""
    n = info.batch_size

    def all_rows(value: Array, at: int | None, shape: tuple[int, ...]) -> Array:
        value = value.unsqueeze(0) if at is None else value.movedim(at, 0)
        return value.reshape(value.shape[0], -1, *shape[1:]).expand(n, *shape).reshape(-1, *shape[1:])

    x_at, key_at, temperature_at, _, draws_at, rows_at, _ = in_dims
    count, classes = (x if x_at is None else x.movedim(x_at, 0)[0]).shape
    assert draws_at is None  # made inside
    if temperature is not None:
        temperature = all_rows(temperature, temperature_at, (count, 1))
    found = tokens(
        all_rows(x, x_at, (count, classes)),
        all_rows(key, key_at, (count, 2)),
        temperature,
        factor,
        draws,
        all_rows(rows, rows_at, (count,)),
        distinct,
    )
    return found.reshape(n, count, -1), 0


@_gumbel.tokens_of_rows.native("torch")
def _tokens_of_rows(
    x: Array, key: Array, *, temperature: Any, draws: Array, rows: Array, distinct: bool = False
) -> Array:
    x = x.detach()
    if isinstance(temperature, torch.Tensor):
        return tokens(x, key, temperature.detach(), 0.0, draws, rows, distinct)
    if is_plain(x, key):
        return _draw(x, key, temperature=temperature, draws=draws, rows=rows, distinct=distinct)
    return tokens(x, key, None, temperature, draws, rows, distinct)


_gumbel_top_k.distinct_tokens_of_rows.native("torch")(functools.partial(_tokens_of_rows, distinct=True))
