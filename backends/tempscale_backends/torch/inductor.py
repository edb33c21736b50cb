"""What Inductor is taught, so that `torch.compile` fuses tempscale's own operators with what is around them.

Without what `internals.inductor` returns the operators are called as they are.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

import array_api_compat.torch as xp
import torch

from tempscale import __version__
from tempscale.backend import Array
from tempscale.kernels import constant_while_tracing, gumbel, threefry
from tempscale_backends.torch.internals import Inductor, inductor

MOST_DRAWS = 64
"""Tokens of a row that are drawn at once in code of its own."""

_MADE_OF = (
    "tempscale.kernels",
    "tempscale.kernels.gumbel",
    "tempscale_backends.torch",
    "tempscale_backends.torch.natives",
)


def fingerprint() -> str:
    """Return a fingerprint of what the operators are made of: the sources, where they are installed."""
    found = hashlib.sha256(__version__.encode())
    for package in _MADE_OF:
        for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                found.update(file.read_bytes())
    return found.hexdigest()


CODE = fingerprint()
"""One of the operators' arguments, because Inductor keeps on disk what it compiled, and knows an operator by its name
and arguments: it would go on with what another version of this library had taught it."""


@constant_while_tracing
def teach() -> None:
    """Teach it, the first time something is compiled: to import Inductor takes a second."""
    pupil = inductor()
    words, tokens = torch.ops.tempscale.threefry.default, torch.ops.tempscale.tokens_of_rows.default
    if pupil is None or words in pupil.lowerings:
        return
    _lower_threefry(words, pupil)
    # called as it is, where it is not taken apart
    pupil.make_fallback(tokens, override_decomp=True)
    pupil.register_decomposition([tokens])(_tokens_of_rows)
    pupil.random_decompositions.cache_clear()  # a copy of all decompositions, if anything was compiled before


def _lower_threefry(operator: Any, pupil: Inductor) -> None:
    """Have the operator compiled as a pointwise one: one loop, whose rounds are local to it."""
    ops = pupil.ops

    def constant(number: int) -> Any:
        return ops.constant(number, torch.int32)

    def rotate_left(x: Any, places: int) -> Any:
        low = ops.bitwise_right_shift(x, constant(32 - places)) & constant((1 << places) - 1)
        return ops.bitwise_left_shift(x, constant(places)) | low

    @pupil.register_lowering(operator, broadcast=True, type_promotion_kind=None)  # type: ignore[untyped-decorator]
    def lower(k0: Any, k1: Any, x0: Any, x1: Any, both: bool, code: str) -> list[Any]:
        loads = [x.make_loader() for x in (k0, k1, x0, x1)]

        def words(index: Any) -> list[Any]:
            k0, k1, x0, x1 = [load(index) for load in loads]
            y0, y1 = threefry.block((k0, k1), x0, x1, rotate_left, constant)
            return [y0, y1] if both else [y0 ^ y1]

        def pointwise(place: int) -> Any:
            made = pupil.pointwise.create(
                device=x1.get_device(),
                dtype=torch.int32,
                inner_fn=lambda index: words(index)[place],
                ranges=x1.get_size(),
            )
            made.realize()  # not once more for each use; and a view as uint32, which has no vectors, stays outside
            return made

        return [pointwise(place) for place in range(2 if both else 1)]


def _tokens_of_rows(
    x: Array, key: Array, temperature: Array | None, factor: float, draws: Array, rows: Array, distinct: bool, code: str
) -> Array:
    """Have tokens drawn by the definition itself.

    Unless the number of classes is unknown, which decides what is drawn, or many tokens are drawn of each row: the
    words of all are in memory here, 12 KiB for each token.
    """
    count = draws.shape[0]
    if distinct or not isinstance(x.shape[1], int) or not isinstance(count, int) or count > MOST_DRAWS:
        return NotImplemented
    given = factor if temperature is None else temperature
    return gumbel.tokens_of_rows.body(x, key, temperature=given, draws=draws, rows=rows, xp=xp)
