"""Random numbers in PyTorch, whose words are int32: there is no arithmetic on uint32.

Threefry is an operator of its own: `torch.compile` takes minutes over its rounds when they are part of a graph. On a
CPU NumPy computes the words, block by block, in half the time of PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from tempscale import _threefry
from tempscale._quantiles import split_float
from tempscale.backend import Array
from tempscale.random import _bits, in_blocks, rarely

BLOCK = 2**14
"""Entries that are worked on at a time in float64 on a CPU."""

# Keys


@_threefry.as_words.native("torch")
def _as_words(x: Array) -> Array:
    return x.view(torch.int32) if x.dtype == torch.uint32 else x.to(torch.int32)  # wraps


@_threefry.key_like.native("torch")
def _key_like(words: Array, key: Array) -> Array:
    if key.dtype == torch.int32:
        return words
    return words.view(torch.uint32) if key.dtype == torch.uint32 else words.to(torch.int64) & _threefry.MASK


# Words. Keys may have leading axes, which are those of torch.func.vmap.


@torch.library.custom_op("tempscale::random_words", mutates_args=())
def random_words(key: torch.Tensor, count: int) -> torch.Tensor:
    """`tempscale._threefry.words` of int32 keys of shape (..., 2): of shape (..., count)."""
    if key.is_cpu:
        return torch.from_numpy(_threefry.host_words(_host(key), count)).view(torch.int32)
    both: torch.Tensor = random_pairs(key, count, 0)
    return both[0] ^ both[1]


@torch.library.custom_op("tempscale::random_pairs", mutates_args=())
def random_pairs(key: torch.Tensor, count: int, stream: int) -> torch.Tensor:
    """`tempscale._threefry.pairs` of int32 keys of shape (..., 2): of shape (2, ..., count)."""
    if key.is_cpu:
        return torch.from_numpy(_threefry.host_pairs(_host(key), count, stream)).view(torch.int32)
    i = torch.arange(count, dtype=torch.int32, device=key.device)
    return torch.stack(_rounds(key, torch.full_like(i, stream), i))


@torch.library.custom_op("tempscale::fold_in", mutates_args=())
def fold(key: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """`tempscale._threefry.folded` of int32 keys of shape (..., 2) and numbers of shape (...)."""
    x1 = data[..., None]
    return torch.cat(_rounds(key, torch.zeros_like(x1), x1), -1)


def _host(key: Array) -> Any:
    return key.detach().contiguous().view(torch.uint32).numpy()


def _rounds(key: Array, x0: Array, x1: Array) -> tuple[Array, Array]:
    return _threefry.block((key[..., 0:1], key[..., 1:2]), x0, x1)


@random_words.register_fake
def _(key: Array, count: int) -> Array:
    return key.new_empty((*key.shape[:-1], count))


@random_pairs.register_fake
def _(key: Array, count: int, stream: int) -> Array:
    return key.new_empty((2, *key.shape[:-1], count))


@fold.register_fake
def _(key: Array, data: Array) -> Array:
    return torch.empty_like(key + data[..., None])


@random_words.register_vmap
def _(info: Any, in_dims: Any, key: Array, count: int) -> tuple[Array, int]:
    return random_words(key.movedim(in_dims[0], 0), count), 0


@random_pairs.register_vmap
def _(info: Any, in_dims: Any, key: Array, count: int, stream: int) -> tuple[Array, int]:
    return random_pairs(key.movedim(in_dims[0], 0), count, stream), 1


@fold.register_vmap
def _(info: Any, in_dims: Any, key: Array, data: Array) -> tuple[Array, int]:
    moved = [x if at is None else x.movedim(at, 0) for x, at in zip((key, data), in_dims, strict=True)]
    return fold(*moved), 0


@_threefry.words.native("torch")
def _words(key: Array, *, count: int) -> Array:
    return random_words(_as_words(key), count)


@_threefry.pairs.native("torch")
def _pairs(key: Array, *, count: int, stream: int = 0) -> tuple[Array, Array]:
    both = random_pairs(_as_words(key), count, stream)
    return both[0], both[1]


@_threefry.folded.native("torch")
def _folded(key: Array, data: Array) -> Array:
    return fold(_as_words(key), _as_words(data).reshape(()))


# Numbers


@_threefry.to_int64.native("torch")
def _to_int64(x: Array) -> Array:
    return x.to(torch.int64) & _threefry.MASK


@_bits.native("torch")
def _draw_bits(key: Array, *, shape: tuple[int, ...], dtype: str) -> Array:
    kind, count = getattr(torch, dtype), math.prod(shape)
    if dtype == "uint64":
        y0, y1 = [_to_int64(y) for y in _pairs(key, count=count)]
        return (y0 << 32 | y1).view(kind).reshape(shape)
    signed = {"uint8": torch.uint8, "uint16": torch.int16, "uint32": torch.int32}[dtype]
    return _words(key, count=count).to(signed).view(kind).reshape(shape)


@split_float.native("torch")
def _split_float(x: Array) -> tuple[Array, Array]:
    # torch.frexp would do, but neither vmap nor the C++ of torch.compile knows it
    pattern = x.view(torch.int64)
    m = ((pattern & (2**52 - 1)) | (1022 << 52)).view(torch.float64)
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
    """Whether values are there to look at, on the host."""
    if torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x):
        return False
    return bool(x.is_cpu)
