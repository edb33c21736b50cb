"""What JAX does not promise to keep: `jax.core`, `jax.extend` and `jax.interpreters`. It is used here and nowhere else.

Each function says what it is for and what happens without these names: something slower, or an error in words, not
something wrong. They were seen to work in JAX 0.8.0 and 0.10.2.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import jax

from tempscale.backend import Array


def _module(name: str) -> Any:
    """Return a module, or None, which has none of the names that are looked for either."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_core = _module("jax.core")
_extend = _module("jax.extend.core")
_ad = _module("jax.interpreters.ad")
_batching = _module("jax.interpreters.batching")
_mlir = _module("jax.interpreters.mlir")

# Tracers


def array_types() -> tuple[type, ...]:
    """Return the types of arrays. A tracer is an instance of `jax.Array`, and its type no subclass of it.

    Without: `jax.Array` alone, by which arrays are found as well.
    """
    tracer = getattr(_core, "Tracer", None)
    return (jax.Array,) if tracer is None else (jax.Array, tracer)


def is_tracer(x: Any) -> bool:
    """Whether JAX traces: `x` stands for an array whose values are not there.

    Without: whether it is an array that does not say where it is.
    """
    try:
        return isinstance(x, _core.Tracer)
    except AttributeError:
        return isinstance(x, jax.Array) and not _says_where(x)


def _says_where(x: jax.Array) -> bool:
    try:
        return x.is_fully_addressable in (True, False)
    except jax.errors.ConcretizationTypeError:
        return False


# Primitives


def primitive(
    name: str,
    *,
    run: Callable[..., Any],
    types: Callable[..., Any],
    jvp: Callable[..., Any],
    transpose: Callable[..., Any],
    batch: Callable[..., Any],
    lower: Callable[..., Any],
    otherwise: Callable[..., Any],
) -> Callable[..., Any]:
    """Make a primitive with several results, for what JAX should transform and lower by rules of ours.

    Without: `otherwise`, which runs as it is where that is as good, and says where it is not.
    """
    try:
        made = _extend.Primitive(name)
        made.multiple_results = True
        made.def_impl(run)
        made.def_abstract_eval(types)
        _ad.primitive_jvps[made] = jvp
        _ad.primitive_transposes[made] = transpose
        _batching.primitive_batchers[made] = batch
        _mlir.register_lowering(made, lower)
    except AttributeError:
        return otherwise
    return made.bind  # type: ignore[no-any-return]


# In the rules of a primitive


def is_zero(tangent: Any) -> bool:
    """Whether a tangent is that of an array that does not move."""
    return isinstance(tangent, _ad.Zero)


def zero_for(x: Array) -> Any:
    """Return the tangent of a result that does not move."""
    return _ad.Zero.from_primal_value(x)


def made_real(cotangent: Any) -> Array:
    """Return a cotangent as an array."""
    return _ad.instantiate_zeros(cotangent)


def is_linear(x: Any) -> bool:
    """Whether a transpose is asked for with respect to an argument, of which there is the type alone."""
    return bool(_ad.is_undefined_primal(x))


def lowered(context: Any, traced: Any, values: Any) -> Any:
    """Return the code of a function that is traced, in the rule that lowers a primitive."""
    return _mlir.lower_fun(_extend.jaxpr_as_fun(traced))(context, *values)
