"""TensorFlow as a backend."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from tempscale.backend import Array, ArrayFunction, Backend, ForwardRule, ReverseRule
from tempscale.kernels import flatten, unwrap
from tempscale_backends.tensorflow import internals, namespace
from tempscale_backends.tensorflow import natives as natives


def _beside_the_arrays(transform: Callable[..., Any]) -> Callable[..., Any]:
    """Have what a transform returns lie on the device of the arrays."""

    @functools.wraps(transform)
    def placed(self: TensorFlowBackend, fn: Any, arrays: Sequence[Array], *others: Any) -> Any:
        with self.beside(arrays):
            return transform(self, fn, arrays, *others)

    return placed


class TensorFlowBackend(Backend):
    """`tf.Tensor`, eager and symbolic, and `tf.Variable`."""

    name = "tensorflow"
    array_types = (tf.Tensor, tf.Variable)
    compilers = ("tf.function", "tf.function(jit_compile=True)")
    follows_arrays = False  # eagerly: results lie on the first device, wherever the arrays are

    @property
    def version(self) -> str:
        return str(tf.__version__)

    def devices(self) -> tuple[str, ...]:
        names = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()]
        return tuple(sorted(names, key=lambda name: not name.startswith("GPU")))

    def device_of(self, x: Array) -> str:
        device = getattr(x, "device", "")
        return ":".join(device.rsplit(":", 2)[-2:]) if device else self.devices()[0]

    def settings(self) -> dict[str, str]:
        return {"threads": str(tf.config.threading.get_intra_op_parallelism_threads() or "all cores")}

    @property
    def namespace(self) -> Any:
        return namespace

    def shape(self, x: Array) -> tuple[int | None, ...]:
        if x.shape.rank is None:
            raise ValueError("the rank of a tensor is not known: give it with tf.TensorSpec or x.set_shape")
        return tuple(x.shape)

    def dtype_name(self, x: Array) -> str:
        return str(x.dtype.name)

    def dtype(self, name: str) -> Any:
        try:
            return tf.as_dtype(name)
        except TypeError:
            raise TypeError(f"TensorFlow has no dtype {name}") from None

    def beside(self, tree: Any) -> AbstractContextManager[Any]:
        if not tf.executing_eagerly() or len(tf.config.list_logical_devices()) == 1:
            return nullcontext()
        values = [unwrap(leaf) for leaf in flatten(tree)[0]]
        device: AbstractContextManager[Any] = tf.device(
            next((x.device for x in values if isinstance(x, self.array_types)), None)
        )
        return device

    def default_float(self) -> str:
        return "float32"

    def default_index(self) -> str:
        return "int64"

    def asarray(
        self, obj: Any, *, dtype: str | None = None, like: Array | None = None, device: str | None = None
    ) -> Array:
        kind = None if dtype is None else self.dtype(dtype)
        place = device or (None if like is None or not getattr(like, "device", "") else like.device)
        with tf.device(place):
            if isinstance(obj, (tf.Tensor, tf.Variable)):
                return tf.identity(obj if kind is None else tf.cast(obj, kind))
            if isinstance(obj, np.ndarray):
                # A NumPy array on the CPU may be taken over without a copy
                made = tf.convert_to_tensor(obj.copy())
                return made if kind is None else tf.cast(made, kind)
            return tf.convert_to_tensor(obj, dtype=kind)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.array(x.numpy())

    def from_dlpack(self, x: Array) -> Array:
        return tf.experimental.dlpack.from_dlpack(x.__dlpack__())

    def is_traced(self, x: Array) -> bool:
        return not hasattr(x, "numpy") or not tf.executing_eagerly()

    def stop_gradient(self, x: Array) -> Array:
        with self.beside(x):
            return tf.stop_gradient(x)

    def custom_gradient(self, fn: ArrayFunction, *, vjp: ReverseRule, jvp: ForwardRule) -> ArrayFunction:
        def call(*arrays: Array) -> Array:
            if tf.executing_eagerly() and not internals.differentiates():
                return fn(*arrays)
            arrays = tuple([tf.convert_to_tensor(x) for x in arrays])
            results = list[Array]()  # an annotation AutoGraph could not convert

            def backward(g: Array) -> Sequence[Array]:
                # the result as the tapes see it, so that the rule can be differentiated again; there is none yet where
                # forward mode transposes this rule
                return vjp(arrays, results[0] if results else fn(*arrays), g)

            def forward(*tangents: Array) -> list[Array]:
                known = [tf.zeros_like(x) if t is None else t for x, t in zip(arrays, tangents, strict=True)]
                return [jvp(arrays, results[0], tuple(known))]

            @tf.custom_gradient  # type: ignore[untyped-decorator]
            def in_graph(*inner: Array) -> Any:
                return fn(*[seen(x) for x in inner]), backward

            # tf.custom_gradient is for the gradient of a whole graph. In forward mode it goes through fn, or
            # transposes the gradient; so tapes and accumulators get the rules themselves.
            with internals.with_rules(results, arrays, backward, forward) as seen:
                results.append(in_graph(*arrays))
            return results[0]

        return call

    @_beside_the_arrays
    def vjp(self, fn: ArrayFunction, arrays: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
        arrays = [tf.identity(x) for x in arrays]  # one array given twice has two gradients
        with tf.GradientTape() as tape:
            for x in arrays:
                tape.watch(x)
            result = fn(*arrays)
        gradients = tape.gradient(result, list(arrays), cotangent, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tuple([tf.convert_to_tensor(g) for g in gradients])  # a gather has a sparse one

    @_beside_the_arrays
    def value_and_grad(
        self, fn: Callable[..., tuple[Array, Any]], arrays: Sequence[Array]
    ) -> tuple[Array, Any, tuple[Array, ...]]:
        arrays = [tf.identity(x) for x in arrays]  # one array given twice has two gradients
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            value, more = fn(*arrays)
        gradients = tape.gradient(value, arrays, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return value, more, tuple([tf.convert_to_tensor(g) for g in gradients])  # a gather has a sparse one

    @_beside_the_arrays
    def jvp(self, fn: ArrayFunction, arrays: Sequence[Array], tangents: Sequence[Array]) -> Array:
        arrays = [tf.identity(x) for x in arrays]
        with tf.autodiff.ForwardAccumulator(list(arrays), list(tangents)) as accumulator:
            result = fn(*arrays)
        return accumulator.jvp(result, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def vmap(self, fn: ArrayFunction) -> ArrayFunction:
        def one(row: tuple[Array, ...]) -> Any:
            # a result that was there before has no operation in the graph of the loop
            return tf.nest.map_structure(tf.identity, fn(*row))

        def mapped(*arrays: Array) -> Array:
            with self.beside(arrays), internals.mapping_bitcast() as known:
                return tf.vectorized_map(one, arrays, fallback_to_while_loop=not known)

        return mapped

    def jit(self, fn: ArrayFunction, *, compiler: str | None = None, unknown_dims: bool = False) -> ArrayFunction:
        xla = compiler == self.compilers[1]
        if not unknown_dims:
            compiled = tf.function(fn, jit_compile=xla, autograph=False)

            def beside(*arrays: Array) -> Any:
                with self.beside(arrays):
                    return compiled(*arrays)

            return beside
        made: dict[tuple[Any, ...], Any] = {}

        def call(*arrays: Array) -> Any:
            specs = tuple(tf.TensorSpec([None] * len(x.shape), x.dtype) for x in arrays)
            if specs not in made:
                made[specs] = tf.function(fn, input_signature=specs, jit_compile=xla, autograph=False)
            with self.beside(arrays):
                return made[specs](*arrays)

        return call
