"""Random numbers in PyTorch, whose words are int32: there is no arithmetic on uint32.

Threefry is an operator of its own, and Inductor is taught to compile it into one loop: over its rounds as operations
of the graph it takes minutes. On a CPU NumPy computes the words, in half the time of PyTorch or less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tempscale.backend import Array
from tempscale.kernels import threefry
from tempscale.kernels.draws import in_blocks, random_bits, rarely
from tempscale.kernels.exact.quantiles import split_float
from tempscale_backends.torch import inductor
from tempscale_backends.torch.tensors import is_plain, viewed

BLOCK = 2**14
"""Entries that are worked on at a time in float64 on a CPU."""

# Keys


@threefry.as_words.native("torch")
def _as_words(x: Array) -> Array:
    return viewed(x, torch.int32) if x.dtype == torch.uint32 else x.to(torch.int32)  # wraps


@threefry.key_like.native("torch")
def _key_like(words: Array, key: Array) -> Array:
    if key.dtype == torch.int32:
        return words
    return viewed(words, torch.uint32) if key.dtype == torch.uint32 else words.to(torch.int64) & threefry.MASK


# Words


@torch.library.custom_op("tempscale::threefry", mutates_args=())
def threefry_words(
    k0: torch.Tensor, k1: torch.Tensor, x0: torch.Tensor, x1: torch.Tensor, both: bool, code: str
) -> list[torch.Tensor]:
    """Encrypt the counters (x0, x1) to y0 and y1, or to y0 ^ y1; int32, none 0-d, everything broadcasts."""
    if x1.is_cpu:
        words = threefry.host_block((_host(k0), _host(k1)), _host(x0), _host(x1))
        y0, y1 = [_of_host(y) for y in words]
    else:
        y0, y1 = threefry.block((k0, k1), x0, x1)
    return [y0, y1] if both else [y0 ^ y1]


@threefry_words.register_fake
def _(k0: Array, k1: Array, x0: Array, x1: Array, both: bool, code: str) -> list[Array]:
    y = k0 + k1 + x0 + x1
    return [y, torch.empty_like(y)] if both else [y]


@threefry_words.register_vmap
def _(
    info: Any, in_dims: Any, k0: Array, k1: Array, x0: Array, x1: Array, both: bool, code: str
) -> tuple[list[Array], list[int]]:
    given = zip((k0, k1, x0, x1), in_dims, strict=False)
    mapped = [x[None] if at is None else x.movedim(at, 0) for x, at in given]
    rank = max(x.ndim for x in mapped)
    k0, k1, x0, x1 = [x.reshape(x.shape[0], *[1] * (rank - x.ndim), *x.shape[1:]) for x in mapped]
    words: list[Array] = threefry_words(k0, k1, x0, x1, both, code)
    return words, [0] * len(words)


def _host(x: Array) -> Any:
    return x.detach().numpy().view(np.uint32)


def _of_host(x: Any) -> Array:
    return torch.from_numpy(x.view(np.int32))


@threefry.words.native("torch")
def _words(key: Array, *, count: int) -> Array:
    key = _as_words(key)
    if _at_hand(key):
        return _of_host(threefry.words(_host(key), count=count))
    return _encrypted(key, 0, _counters(key, count), both=False)[0]


@threefry.pairs.native("torch")
def _pairs(key: Array, *, count: int, stream: int = 0) -> tuple[Array, Array]:
    key = _as_words(key)
    if _at_hand(key):
        y0, y1 = threefry.pairs(_host(key), count=count, stream=stream)
        return _of_host(y0), _of_host(y1)
    y0, y1 = _encrypted(key, stream, _counters(key, count))
    return y0, y1


@threefry.folded.native("torch")
def _folded(key: Array, data: Array) -> Array:
    return torch.cat(_encrypted(_as_words(key), 0, _as_words(data).reshape((1,))))


def _counters(key: Array, count: int) -> Array:
    return torch.arange(count, dtype=torch.int32, device=key.device)


def _encrypted(key: Array, stream: int, x1: Array, *, both: bool = True) -> list[Array]:
    if torch.compiler.is_compiling():
        inductor.teach()
    words: list[Array] = threefry_words(key[0:1], key[1:2], torch.full_like(x1[:1], stream), x1, both, inductor.CODE)
    return words


# Numbers


@threefry.to_int64.native("torch")
def _to_int64(x: Array) -> Array:
    return x.to(torch.int64) & threefry.MASK


@random_bits.native("torch")
def _draw_bits(key: Array, *, shape: tuple[int, ...], dtype: str) -> Array:
    kind, count = getattr(torch, dtype), math.prod(shape)
    if dtype == "uint64":
        y0, y1 = [_to_int64(y) for y in _pairs(key, count=count)]
        return viewed(y0 << 32 | y1, kind).reshape(shape)
    signed = {"uint8": torch.uint8, "uint16": torch.int16, "uint32": torch.int32}[dtype]
    return viewed(_words(key, count=count).to(signed), kind).reshape(shape)


@split_float.native("torch")
def _split_float(x: Array) -> tuple[Array, Array]:
    # torch.frexp would do, but neither vmap nor the C++ of torch.compile knows it
    pattern = viewed(x, torch.int64)
    m = viewed((pattern & (2**52 - 1)) | (1022 << 52), torch.float64)
    return torch.where(x == 0, 0.0, m), ((pattern >> 52) - 1022).to(torch.float64)


@rarely.native("torch")
def _rarely(condition: Array, x: Array, *, instead: Callable[[], Array]) -> Array:
    return x if _at_hand(condition) and not condition.any() else torch.where(condition, instead(), x)


@in_blocks.native("torch")
def _in_blocks(*arrays: Array, function: Callable[..., Array]) -> Array:
    if not _at_hand(arrays[0]) or len(arrays[0]) <= BLOCK:
        return function(*arrays)
    return torch.cat([function(*parts) for parts in zip(*[x.split(BLOCK) for x in arrays], strict=True)])


def _at_hand(x: Array) -> bool:
    """Whether values are there to look at, on the host: nothing traces, and nothing is mapped over."""
    return is_plain(x) and bool(x.is_cpu)
