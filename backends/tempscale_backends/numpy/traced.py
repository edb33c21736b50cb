"""NumPy arrays that the package autograd traces, which is how NumPy differentiates."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from autograd.core import make_jvp, make_vjp
from autograd.extend import defjvp_argnums, defvjp_argnums, primitive
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.numpy.numpy_vspaces import ArrayVSpace

from tempscale.arrays import custom_gradient
from tempscale.backend import Array, ArrayFunction, ForwardRule, ReverseRule
from tempscale.kernels import OPERATIONS, Operation
from tempscale.kernels.derivatives import with_derivatives
from tempscale.kernels.example_losses import losses_of_examples
from tempscale.kernels.reductions import accurate_sum, minus_row, minus_row_accurately, times_row, times_row_accurately
from tempscale.kernels.temperature import is_limit
from tempscale_backends.numpy import traced_namespace
from tempscale_backends.numpy.backend import NumpyBackend
from tempscale_backends.numpy.traced_namespace import values

with contextlib.suppress(ImportError):
    import ml_dtypes

    # autograd knows the scalars of NumPy's own dtypes only
    ArrayBox.register(ml_dtypes.bfloat16)
    ArrayVSpace.register(ml_dtypes.bfloat16)


class TracedNumpyBackend(NumpyBackend):
    """autograd's boxes around NumPy arrays. Natives for NumPy do not see them: what is traced is the body."""

    name = "autograd"
    array_types = (ArrayBox,)

    @property
    def namespace(self) -> Any:
        return traced_namespace

    def asarray(
        self, obj: Any, *, dtype: str | None = None, like: Array | None = None, device: str | None = None
    ) -> Array:
        return super().asarray(values(obj), dtype=dtype, like=like, device=device)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(values(x))

    def from_dlpack(self, x: Array) -> Array:
        raise BufferError("an array that is being differentiated does not share its memory")

    def stop_gradient(self, x: Array) -> Array:
        return values(x)

    def custom_gradient(self, fn: ArrayFunction, *, vjp: ReverseRule, jvp: ForwardRule) -> ArrayFunction:
        rules = _Rules(fn, vjp, jvp)
        return lambda *arrays: _custom(rules, *arrays)


class _Rules(NamedTuple):
    """What `custom_gradient` was given."""

    fn: ArrayFunction
    vjp: ReverseRule
    jvp: ForwardRule


@primitive  # type: ignore[untyped-decorator]
def _custom(rules: _Rules, *arrays: Array) -> Array:
    """One primitive for all custom gradients: autograd keeps every primitive for good."""
    return rules.fn(*arrays)


def _backward(argnums: Sequence[int], result: Array, args: tuple[Any, ...], options: Any) -> Any:
    rules, *arrays = args

    def gradients(g: Array) -> tuple[Array, ...]:
        every = rules.vjp(tuple(arrays), result, g)
        return tuple([every[i - 1] for i in argnums])

    return gradients


def _forward(argnums: Sequence[int], tangents: Sequence[Array], result: Array, args: tuple[Any, ...], _: Any) -> Array:
    rules, *arrays = args
    known = dict(zip(argnums, tangents, strict=True))
    every = tuple([known.get(i, np.zeros_like(values(x))) for i, x in enumerate(arrays, start=1)])
    return rules.jvp(tuple(arrays), result, every)


defvjp_argnums(_custom, _backward)
defjvp_argnums(_custom, _forward)


def value_and_grad(
    fn: Callable[..., tuple[Array, Any]], arrays: Sequence[Array]
) -> tuple[Array, Any, tuple[Array, ...]]:
    """`Backend.value_and_grad`, for NumPy arrays and for boxes around them."""
    others: list[tuple[Array, ...]] = []

    def value(inputs: Any) -> Array:
        result, more = fn(*inputs)
        others.append(tuple([x._value if isinstance(x, ArrayBox) and x._trace == inputs._trace else x for x in more]))
        return result

    result, backward = _make_vjp(value, arrays)
    return result, others[0], tuple(backward(np.ones_like(values(result))))


def vjp(fn: ArrayFunction, arrays: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
    """`Backend.vjp`."""
    _, backward = _make_vjp(lambda inputs: fn(*inputs), arrays)
    return tuple(backward(cotangent))


def jvp(fn: ArrayFunction, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
    """`Backend.jvp`."""
    with _quietly():
        result, tangent = make_jvp(lambda inputs: fn(*inputs), tuple(arrays))(tuple(tangents))
    # autograd's rules widen, as that of `where` does, which has zeros of float64
    return tangent if tangent.dtype == result.dtype else traced_namespace.astype(tangent, result.dtype)[()]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without warnings: what is wrong in the values shows in the values, and a derivative of zeros is one."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", "Output seems independent of input")
        yield


times_row.native("autograd")(times_row_accurately)
minus_row.native("autograd")(minus_row_accurately)


def _of_native(operation: Operation[..., Any]) -> Callable[..., Array]:
    """Take the value of the native for NumPy, and the derivatives in closed form."""
    body = operation.body

    @functools.wraps(body)
    def value(*arrays: Array, xp: Any, **options: Any) -> Array:
        return operation.natives["numpy"](*arrays, **options)

    differentiable = with_derivatives(body.derivatives)(value)  # type: ignore[attr-defined]

    def native(*arrays: Array, **options: Any) -> Array:
        run = body if any(map(is_limit, options.values())) else differentiable
        return run(*arrays, xp=traced_namespace, **options)

    return native


for _operation in (*OPERATIONS.values(), losses_of_examples):
    if hasattr(_operation.body, "derivatives"):
        _operation.native("autograd")(_of_native(_operation))


@accurate_sum.native("autograd")
def _accurate_sum(x: Array, *, axis: int) -> Array:
    def total(x: Array) -> Array:
        return accurate_sum(x, axis=axis)

    rules = custom_gradient(
        total,
        vjp=lambda arrays, result, g: (traced_namespace.broadcast_to(g, arrays[0].shape),),
        jvp=lambda arrays, result, tangents: total(tangents[0]),
    )
    return rules(x)


def _make_vjp(fn: Callable[[Any], Array], arrays: Sequence[Array]) -> tuple[Array, Callable[[Array], Any]]:
    with _quietly():
        backward, result = make_vjp(fn, tuple(arrays))

    def quiet(g: Array) -> Any:
        with np.errstate(all="ignore"):
            return backward(g)

    return result, quiet
