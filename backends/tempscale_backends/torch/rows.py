"""Gradients of functions of rows of logits, by blocks: what is in between stays in the cache.

Autograd keeps the arguments, and the result where the gradient is made of it. A gradient that is to be differentiated
again, or that a transform looks at, is that of the operation's rules in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import array_api_compat.torch as xp
import torch

from tempscale.backend import Array
from tempscale.kernels import LARGEST, SMALLEST_NORMAL, Operation
from tempscale.kernels.exact import LOG2_E
from tempscale.kernels.reductions import accurate_sum, sum_to_row
from tempscale.kernels.temperature import is_limit, reciprocal
from tempscale_backends.torch.tensors import has_tangent, is_differentiated, is_plain

BLOCK = 2**20
"""Entries that are worked on at a time."""

HALF = (torch.float16, torch.bfloat16)

Named = dict[str, Any]
"""The arguments of an operation by name; in a block of rows, arrays as rows with classes on the last axis."""


class Kernel(NamedTuple):
    """What an operation does with rows of logits."""

    operands: tuple[str, ...]
    """Names of the positional arguments, the logits first."""
    value: Callable[[Named], tuple[Array, tuple[Array, ...]]]
    """The result, and what the gradient needs besides: numbers, one per row."""
    gradient: Callable[..., Named]
    """``gradient(named, result, g, kept, needs)``: the gradients that are needed, by name."""
    rule: Operation[..., Named]
    """The gradient in differentiable steps."""
    keeps_result: bool = False
    """Whether the gradient is made of the result."""


def eager(kernel: Kernel, named: Named, body: Callable[[], Array]) -> Array:
    """Run a kernel in an eager call; or the operation's body, where a compiler or a transform has to see every step."""
    tensors = _tensors(named)
    limit = any(is_limit(value) for value in named.values())
    if limit or not is_plain(*tensors.values()) or any(map(has_tangent, tensors.values())):
        return body()
    if not is_differentiated(*tensors.values()):
        return kernel.value(named)[0]
    result: Array = _Differentiated.apply(_Call(kernel, tuple(tensors), named), *tensors.values())  # type: ignore[no-untyped-call]
    return result


class _Call(NamedTuple):
    """One call of an operation."""

    kernel: Kernel
    names: tuple[str, ...]
    """Of the arguments that are tensors."""
    named: Named
    """The other arguments, and the tensors as they were given."""

    def of(self, tensors: tuple[Array, ...]) -> Named:
        return {**self.named, **dict(zip(self.names, tensors, strict=True))}

    def by_rule(self, tensors: tuple[Array, ...], result: Array, g: Array) -> Named:
        named = self.of(tensors)
        operands = [named.pop(name) for name in self.kernel.operands]
        return self.kernel.rule(*operands, result, g, **named)


class _Differentiated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Array) -> Array:
        result, kept = call.kernel.value(call.of(tensors))
        # the tensors are kept by autograd, which watches whether they are written to
        ctx.call = call._replace(named={name: x for name, x in call.named.items() if name not in call.names})
        ctx.save_for_backward(*tensors, result if call.kernel.keeps_result else result.new_empty(()), *kept)
        return result

    @staticmethod
    def backward(ctx: Any, g: Array) -> Any:
        call, count, saved = ctx.call, len(ctx.call.names), ctx.saved_tensors  # which a checkpoint gives out once
        tensors, result, kept = saved[:count], saved[count], saved[count + 1 :]
        needs = [name for name, needed in zip(call.names, ctx.needs_input_grad[1:], strict=True) if needed]
        if torch.is_grad_enabled() or not is_plain(g):
            found = call.by_rule(tensors, result, g)
        else:
            found = call.kernel.gradient(call.of(tensors), result, g, kept, needs)
        return (None, *[found[name] if name in needs else None for name in call.names])


# By blocks


class Block(NamedTuple):
    """Some rows of logits, in the working precision."""

    x: Array
    """-inf where masked. It may lie in `out`."""
    temperature: Any
    """A number, or one per row, or one for all."""
    here: slice
    """Which rows these are."""
    out: Array
    spare: Array
    """Memory, as large as `x`."""


def blocks_of_logits(named: Named, found: Array | None = None, *, keeps_x: bool = False) -> Iterator[Block]:
    """Yield blocks of the argument `logits`.

    `out` is part of `found`, rows for a result, if there are these in the working precision. `keeps_x` says that `x`
    has to outlast what is written to `out`.
    """
    logits, axis, temperature, where = named["logits"], named["axis"], named["temperature"], named.get("where")
    rows = as_rows(logits, logits, axis)
    masks = None if where is None else as_rows(where.expand(logits.shape), logits, axis)
    half = rows.dtype in HALF
    if isinstance(temperature, torch.Tensor) and temperature.ndim:
        temperature = as_rows(temperature, logits, axis)
    step = max(1, BLOCK // rows.shape[1])
    shape = (1 + (found is None or half), min(step, len(rows)), rows.shape[1])
    memory = torch.empty(shape, dtype=working_dtype(logits), device=rows.device)
    for start in range(0, len(rows), step):
        here = slice(start, start + step)
        x = rows[here]
        out = memory[1, : len(x)] if found is None or half else found[here]
        if half:
            x = x.float() if keeps_x else out.copy_(x)
        if masks is not None:
            x = torch.where(masks[here], x, -math.inf)
        t = temperature[here] if isinstance(temperature, torch.Tensor) and temperature.ndim else temperature
        yield Block(x, t, here, out, memory[0, : len(x)])


def in_place(
    to_z: Callable[[Named, Block, Array, Array | None, list[Array]], Array],
    names: tuple[str, ...],
    rule: Operation[..., Named],
) -> Callable[..., Named]:
    """Make a gradient by blocks.

    ``to_z(named, block, g, p, kept)`` writes the gradient with respect to z = (x - max) / T into `Block.out`: from
    rows of the cotangent, of the result if it is kept in the working precision, and of what else is kept. Where more
    than the gradients of logits and temperature is needed, the rule serves.
    """
    by_rule = of_rule(names, rule)

    def gradient(named: Named, result: Array, g: Array, kept: tuple[Array, ...], needs: list[str]) -> Named:
        if not {*needs} <= {"logits", "temperature"}:
            return by_rule(named, result, g, kept, needs)
        logits, temperature, axis, where = named["logits"], named["temperature"], named["axis"], named.get("where")
        g = as_rows(g, logits, axis)
        p = as_rows(result, logits, axis) if result.ndim and result.dtype == working_dtype(logits) else None
        found, to_t = logits.new_empty((len(g), logits.shape[axis])), []
        for block in blocks_of_logits(named, found, keeps_x="temperature" in needs):
            here = block.here
            of_z = to_z(
                named, block, g[here].to(block.x.dtype), None if p is None else p[here], [x[here] for x in kept]
            )
            r = _rate(block.temperature, of_z)
            if "temperature" in needs:
                to_t.append(_along_z(block, of_z) * -r)
            if not isinstance(r, float) or r != 1.0:
                of_z.mul_(r)
            if where is not None:
                of_z.masked_fill_(~as_rows(where.expand(logits.shape), logits, axis)[here], 0.0)
            if found.dtype in HALF:
                found[here] = of_z
        gradients = {"logits": from_rows(found, logits, axis)}
        if "temperature" in needs:
            rows = torch.cat(to_t) if to_t else found.new_empty((0, 1))
            gradients["temperature"] = _to_temperature(rows, temperature, logits, axis)
        return gradients

    return gradient


def of_rule(names: tuple[str, ...], rule: Operation[..., Named]) -> Callable[..., Named]:
    """Make a gradient of the rule itself, run on blocks; `names` are those of its operands."""

    def gradient(named: Named, result: Array, g: Array, kept: tuple[Array, ...], needs: list[str]) -> Named:
        logits, axis = named[names[0]], named["axis"]
        rows = _as_operands(named, names, logits, axis)
        g = as_rows(g if g.ndim == logits.ndim else g.unsqueeze(axis), logits, axis)
        results = as_rows(result, logits, axis) if result.ndim == logits.ndim else result.expand(len(g))
        found = {name: torch.zeros(rows[name].shape, dtype=rows[name].dtype, device=g.device) for name in needs}
        for here, own in _cut(rows, named, len(g), logits.shape[axis]):
            parts = rule(*[own.pop(name) for name in names], results[here], g[here], **own)
            for name in needs:
                target = found[name][here] if len(found[name].shape) and len(found[name]) == len(g) else found[name]
                target += parts[name]
        return {name: _from_operand(x, named[name], logits, axis) for name, x in found.items()}

    return gradient


def of_body(names: tuple[str, ...], body: Callable[..., Array]) -> Callable[[Named], tuple[Array, tuple[Array, ...]]]:
    """Make a value of the body, run on blocks, for an operation that has one value per row."""

    def value(named: Named) -> tuple[Array, tuple[Array, ...]]:
        logits, axis = named[names[0]], named["axis"]
        rows = _as_operands(named, names, logits, axis)
        count = len(rows[names[0]])
        parts = [
            body(*[own.pop(name) for name in names], xp=xp, **own)
            for _, own in _cut(rows, named, count, logits.shape[axis])
        ]
        result = from_rows(parts[0] if len(parts) == 1 else torch.cat(parts), logits, axis)
        return result if named.get("keepdims", True) else result.squeeze(axis), ()

    return value


def _as_operands(named: Named, names: tuple[str, ...], logits: Array, axis: int) -> dict[str, Array]:
    """Return the arguments that are tensors as rows, or as the one row that all share; some in the wider dtype."""
    rows = {}
    for name, x in _tensors(named).items():
        x = x.float() if x.dtype in HALF and name not in names else x
        if x.ndim:
            x = x.reshape((1,) * (logits.ndim - x.ndim) + tuple(x.shape))
            shared = x.numel() == x.shape[axis]
            x = x.reshape(1, -1) if shared else as_rows(x, logits, axis)
        rows[name] = x
    return rows


def _cut(rows: dict[str, Array], named: Named, count: int, classes: int) -> Iterator[tuple[slice, Named]]:
    """Yield blocks of rows as arguments; there is one, if an empty one, where there are no rows."""
    options = {**named, "axis": 1, **({"keepdims": True} if "keepdims" in named else {})}
    step = max(1, BLOCK // classes)
    for start in range(0, max(1, count), step):
        here = slice(start, start + step)
        yield here, {**options, **{name: x[here] if x.ndim and len(x) == count else x for name, x in rows.items()}}


def _from_operand(x: Array, argument: Array, logits: Array, axis: int) -> Array:
    """Return the gradient of an operand in the shape and dtype of the argument that it was made of."""
    if x.numel() == argument.numel():
        several = x.ndim and len(x) > 1
        return (from_rows(x, logits, axis) if several else x.reshape(argument.shape)).to(argument.dtype)
    return _to_temperature(x, argument, logits, axis)


def _tensors(named: Named) -> dict[str, Array]:
    return {name: x for name, x in named.items() if isinstance(x, torch.Tensor)}


def as_rows(x: Array, logits: Array, axis: int) -> Array:
    """Return an array shaped as logits, but perhaps for sizes of 1, as rows; without a copy where that can be."""
    x = x.movedim(axis, -1)
    return x.expand((*logits.shape[:axis], *logits.shape[axis + 1 :], x.shape[-1])).reshape(-1, x.shape[-1])


def from_rows(x: Array, logits: Array, axis: int) -> Array:
    """Put rows back into the shape of logits, but for the size of the axis."""
    return x.reshape(*logits.shape[:axis], *logits.shape[axis + 1 :], x.shape[-1]).movedim(-1, axis)


def _rate(temperature: Any, like: Array) -> Any:
    """Return 1/T as derivatives see it: 0 at the limits."""
    if not isinstance(temperature, torch.Tensor):
        return 1.0 / temperature
    working = working_name(like)
    c = reciprocal(temperature, working, xp)
    return torch.where((c >= LARGEST[working]) | (c <= SMALLEST_NORMAL[working]), 0.0, c)


def _along_z(block: Block, to_z: Array) -> Array:
    """Return sum(z * gradient) of each row, where an entry at -inf does not move."""
    z = scaled(block.x - block.x.amax(1, keepdim=True), block.temperature)
    return accurate_sum(z.masked_fill_(z == -math.inf, 0.0).mul_(to_z), axis=1)


def _to_temperature(of_rows: Array, temperature: Array, logits: Array, axis: int) -> Array:
    one_per_row = from_rows(of_rows, logits, axis)
    like = temperature if temperature.ndim else temperature.reshape((1,) * logits.ndim)
    return sum_to_row(one_per_row, like).reshape(temperature.shape).to(temperature.dtype)


# z = (x - max) / T


Factors = tuple[Any, ...]
"""Numbers, or one per row, that make z = (x - max) / T of a difference when they are multiplied in turn."""


def factors(temperature: Any, working: str, unit: float = 1.0) -> Factors:
    """Return what makes z * unit of x - max. For an array T the limits are products, not selections."""
    if not isinstance(temperature, torch.Tensor):
        return (unit / temperature,)
    # in float64, so that the unit costs no rounding; halved, so that it does not overflow
    c = reciprocal(temperature, working, xp)
    exact = c if unit == 1.0 else reciprocal(temperature, "float64", xp) * (0.5 * unit)
    # A second factor takes the clamped 1/T to the limit: differences overflow to -inf at T = 0, vanish at T = inf.
    limit = (c >= LARGEST[working]) | (c <= SMALLEST_NORMAL[working])
    return torch.where(limit, c, exact.to(c.dtype)), torch.where(limit, c, 1.0 if unit == 1.0 else 2.0)


def times(x: Array, factors: Factors, out: Array | None = None) -> Array:
    """Multiply by factors in turn."""
    x = torch.mul(x, factors[0], out=out)
    return x if len(factors) == 1 else x.mul_(factors[1])


def scaled(difference: Array, temperature: Any, out: Array | None = None) -> Array:
    """Return z of x - max."""
    return times(difference, factors(temperature, working_name(difference), 1.0), out)


def exp(difference: Array, temperature: Any, out: Array | None) -> Array:
    """exp(difference / T). In float32 as a power of two, whose kernel takes a quarter of the time of exp's."""
    too_cold = isinstance(temperature, float) and temperature * LARGEST["float32"] < LOG2_E
    if difference.dtype == torch.float64 or too_cold:
        return scaled(difference, temperature, out).exp_()
    return times(difference, factors(temperature, "float32", LOG2_E), out).exp2_()


def working_dtype(x: Array) -> torch.dtype:
    """Return the working precision for logits."""
    return torch.float32 if x.dtype in HALF else x.dtype


def has_masked(x: Array) -> bool:
    """Whether an entry may be masked. To look is faster than to select, and on a CPU nobody waits for it."""
    return not x.is_cpu or bool(x.numel() and not x.amin() > -math.inf)  # a NaN hides the others


def others_of(e: Array, axis: int = 1) -> Array:
    """Return the sum of exp(z) over all but one maximum, accurate where one entry dominates; `e` is overwritten."""
    others = accurate_sum(torch.frac(e), axis=axis)  # the fractions below 1, and the ones but one
    others += e.floor_().sum(axis, keepdim=True).sub_(1.0)
    return others


def working_name(x: Array) -> str:
    """Return the name of the working precision that a block is in."""
    return "float64" if x.dtype == torch.float64 else "float32"
