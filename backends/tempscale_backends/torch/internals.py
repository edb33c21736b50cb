"""What PyTorch has no public name for. It is used here and nowhere else, and another version may not have it.

Each function says what it is for and what happens without the private names: something slower, or an error in words,
not something wrong.
They were seen to work in PyTorch 2.13.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad

from tempscale.backend import Array, ArrayFunction

# Transforms of torch.func, those of a function that torch.compile traces among them: it asks with no arrays


def is_wrapped(x: Array) -> bool:
    """Whether a transform of `torch.func` looks at an array. By a public name, which `torch.compile` cannot trace."""
    return torch.func.debug_unwrap(x, recurse=False) is not x


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def in_transform(*arrays: Array) -> bool:
    """Whether a transform of `torch.func` is around a call, which `torch.compile` then leaves alone.

    Without: whether one looks at the arrays. Where it looks at none, `torch.compile` refuses what it cannot do.
    """
    around = _transforms()
    return any(map(is_wrapped, arrays)) if around is None else bool(around)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def in_forward_mode(*arrays: Array) -> bool:
    """Whether the innermost transform around a call is `torch.func.jvp`, in whose terms it is then written out.

    Without: whether one of the arrays has a tangent.
    """
    around = _transforms()
    return any(map(_has_tangent, arrays)) if around is None else around[-1:] == ["Jvp"]


def in_nested_forward_mode(*arrays: Array) -> bool:
    """Whether `torch.func.jvp` is around a call more than once, for a rule that PyTorch would not differentiate.

    Without: whether any transform looks at the arrays that the rule is given. So a second derivative in forward mode,
    and one around a vmap, are refused as well.
    """
    around = _transforms()
    return any(map(is_wrapped, arrays)) if around is None else around.count("Jvp") > 1


def _transforms() -> list[str] | None:
    """Return the names of the transforms around a call, the outermost first; None if PyTorch does not say."""
    try:
        return [level.key().name for level in torch._C._functorch.get_interpreter_stack() or ()]
    except AttributeError:
        return None


def _has_tangent(x: Array) -> bool:
    try:
        return forward_ad.unpack_dual(x, level=0).tangent is not None  # type: ignore[no-untyped-call]
    except RuntimeError:  # right inside vmap
        return False


def is_cotangents(x: Array) -> bool:
    """Whether an array is several cotangents at once, those of `torch.autograd.grad(is_grads_batched=True)`.

    Without: no. Then PyTorch says that it cannot write to them in place.
    """
    try:
        return bool(torch._C._functorch.is_legacy_batchedtensor(x))
    except AttributeError:
        return False


# Modes


def in_dispatch_mode() -> bool:
    """Whether a mode looks on that has to see operators, such as that of fake tensors.

    Without: yes. Then PyTorch computes on a CPU what NumPy would compute faster.
    """
    try:
        return bool(torch._C._len_torch_dispatch_stack())
    except AttributeError:
        return True


# torch.compile


def recompile_limit_hit() -> type[Exception]:
    """Return what is raised when a function was compiled in too many variants, to go on with a copy of it.

    Without: any exception, so that every function that fails is compiled twice.
    """
    try:
        return torch._dynamo.exc.FailOnRecompileLimitHit
    except AttributeError:
        return Exception


def forget(fn: ArrayFunction) -> None:
    """Drop what is compiled of a function: it hangs on the code object, which Dynamo does not let go of.

    Without: it stays in memory, until `torch.compiler.reset` drops what is compiled of all functions.
    """
    try:
        torch._dynamo.eval_frame.remove_from_cache(fn)
    except AttributeError:
        return


class Inductor(NamedTuple):
    """What it takes to have the compiler behind `torch.compile` make one loop of an operator of ours."""

    lowerings: dict[Any, Any]
    register_lowering: Any
    make_fallback: Any
    register_decomposition: Any
    random_decompositions: Any
    pointwise: Any
    ops: Any


def inductor() -> Inductor | None:
    """Return what Inductor can be taught by. It takes a second to import.

    Without: None. The operators are then called as they are, and not fused with what is around them.
    """
    try:
        from torch._inductor import decomposition, ir, lowering, virtualized

        return Inductor(
            lowering.lowerings,
            lowering.register_lowering,
            lowering.make_fallback,
            decomposition.register_decomposition,
            decomposition.fast_random_decomps,
            ir.Pointwise,
            virtualized.ops,
        )
    except (ImportError, AttributeError):
        return None
