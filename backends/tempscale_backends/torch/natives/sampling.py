"""Drawing tokens in PyTorch: on a CPU NumPy does it all, in a third of the time of PyTorch op by op.

Where PyTorch has to see what is done, it sees an operator; `torch.compile` is taught what that is made of.
"""

from __future__ import annotations

import functools
from typing import Any

import array_api_compat.torch as xp
import ml_dtypes
import torch

from tempscale import get_backend
from tempscale.backend import Array
from tempscale.kernels import gumbel
from tempscale.kernels.gumbel import top_k
from tempscale.kernels.gumbel.tokens import tokens_of_batch
from tempscale.kernels.indexing import indices
from tempscale_backends.torch import inductor
from tempscale_backends.torch.natives.random import threefry_words
from tempscale_backends.torch.tensors import is_plain, viewed

BLOCK = 2**24
"""Entries that are worked on at a time on a device: enough to keep it busy, and some hundreds of MiB in between."""


@gumbel.lookup.native("torch")
def _lookup(index: Array, *, table: str) -> Array:
    return torch.from_numpy(gumbel.TABLES[table]).to(index.device).take(index.long())


@gumbel.float_bits.native("torch")
def _float_bits(m: Array) -> Array:
    return viewed(m.to(torch.float32), torch.int32)


@indices.native("torch")
def _indices(x: Array, *, axis: int) -> Array:
    return torch.arange(x.shape[axis], dtype=torch.int32, device=x.device)


@gumbel.count_to.native("torch")
def _count_to(x: Array, *, count: int) -> Array:
    return torch.arange(count, dtype=torch.int32, device=x.device)


@gumbel.threefry.native("torch")
def _threefry(k0: Array, k1: Array, x0: Array, x1: Array) -> tuple[Array, Array]:
    y0, y1 = threefry_words(k0, k1, x0, x1, True, inductor.CODE)
    return y0, y1


@gumbel.number_or_factor.native("torch")
def _number_or_factor(x: Array, *, temperature: float) -> Any:
    if torch.compiler.is_compiling():  # where a number may be one that is not known yet
        return x.new_full((), temperature, dtype=torch.float32)
    return gumbel.factor_of_number(temperature)


@torch.library.custom_op("tempscale::tokens_of_rows", mutates_args=())
def tokens(
    x: torch.Tensor,
    key: torch.Tensor,
    temperature: torch.Tensor | None,
    factor: float,
    draws: torch.Tensor,
    rows: torch.Tensor,
    distinct: bool,
    code: str,
) -> torch.Tensor:
    """Draw, by an array of temperatures or else by the factor of a number; without replacement if `distinct`."""
    given = factor if temperature is None else temperature
    draw = top_k.distinct_tokens_of_rows if distinct else gumbel.tokens_of_rows
    if x.is_cpu:
        options = {"temperature": _host(given), "draws": _host(draws), "rows": _host(rows)}
        return torch.from_numpy(draw(_host(x), _host(key), **options))
    by_blocks = functools.partial(gumbel.by_rows, functools.partial(draw.body, xp=xp))
    found: torch.Tensor = (by_blocks if distinct else gumbel.in_blocks)(
        x, key, temperature=given, draws=draws, rows=rows, xp=xp, block=BLOCK
    )
    return found


def _host(value: Any) -> Any:
    """Return a tensor as a NumPy array that shares its memory."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.dtype == torch.bfloat16:
        return value.view(torch.int16).numpy(force=True).view(ml_dtypes.bfloat16)
    return value.numpy(force=True)


@tokens.register_fake
def _(
    x: Array, key: Array, temperature: Array | None, factor: float, draws: Array, rows: Array, distinct: bool, code: str
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
    code: str,
) -> tuple[Array, int]:
    """Take the rows of all that is mapped over as rows of one array."""
    n = info.batch_size

    def all_rows(value: Array, at: int | None, shape: tuple[int, ...]) -> Array:
        value = value.unsqueeze(0) if at is None else value.movedim(at, 0)
        return value.reshape(value.shape[0], -1, *shape[1:]).expand(n, *shape).reshape(-1, *shape[1:])

    x_at, key_at, temperature_at, _, draws_at, rows_at, _, _ = in_dims
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
        code,
    )
    return found.reshape(n, count, -1), 0


@gumbel.tokens_of_rows.native("torch")
def _tokens_of_rows(
    x: Array, key: Array, *, temperature: Any, draws: Array, rows: Array, distinct: bool = False
) -> Array:
    if torch.compiler.is_compiling():
        inductor.teach()
    array, factor = (temperature.detach(), 0.0) if isinstance(temperature, torch.Tensor) else (None, temperature)
    return tokens(x.detach(), key, array, factor, draws, rows, distinct, inductor.CODE)


top_k.distinct_tokens_of_rows.native("torch")(functools.partial(_tokens_of_rows, distinct=True))


@tokens_of_batch.native("torch")
def _draw(logits: Array, key: Array, **options: Any) -> Array:
    given = [value for value in (logits, key, *options.values()) if isinstance(value, torch.Tensor)]
    if not (is_plain(*given) and logits.is_cpu):
        return tokens_of_batch.body(logits, key, xp=xp, **options)
    options = {name: _host(value) for name, value in options.items()}
    return torch.from_numpy(
        tokens_of_batch.body(_host(logits), _host(key), xp=get_backend("numpy").namespace, **options)
    )
