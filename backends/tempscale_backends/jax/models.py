"""Flax's nnx modules, as `tempscale.compare` reads them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tempscale.comparison.reader import Around, Call, Inputs, Layer, ModelReader, replaced, same_padding
from tempscale_backends.jax.internals import is_tracer

__all__ = ["NnxReader"]

_KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((nnx.Linear, nnx.LinearGeneral), "dense"),
    ((nnx.Conv,), "conv"),
    ((nnx.BatchNorm,), "batch_norm"),
    ((nnx.LayerNorm,), "layer_norm"),
    ((nnx.GroupNorm,), "group_norm"),
    ((nnx.RMSNorm,), "rms_norm"),
    ((nnx.Embed,), "embedding"),
    ((nnx.MultiHeadAttention,), "attention"),
    ((nnx.Dropout,), "dropout"),
)
_SETTINGS = {
    "batch_norm": {"epsilon": "epsilon", "training": "use_running_average"},
    "layer_norm": {"epsilon": "epsilon"},
    "group_norm": {"epsilon": "epsilon", "groups": "num_groups"},
    "rms_norm": {"epsilon": "epsilon"},
    "conv": {
        "strides": "strides",
        "dilation": "kernel_dilation",
        "groups": "feature_group_count",
        "padding": "padding",
    },
    "dropout": {"training": "deterministic"},
}
_NEGATED = {"use_running_average", "deterministic"}
_WEIGHTS = {
    "dense": {"kernel": "kernel", "bias": "bias"},
    "conv": {"kernel": "kernel", "bias": "bias"},
    "batch_norm": {"scale": "scale", "offset": "bias", "mean": "mean", "variance": "var"},
    "layer_norm": {"scale": "scale", "offset": "bias"},
    "group_norm": {"scale": "scale", "offset": "bias"},
    "rms_norm": {"scale": "scale"},
    "embedding": {"table": "embedding"},
}


def _to_numpy(x: Any) -> np.ndarray[Any, Any]:
    return np.array(x)


def _to_jax(x: np.ndarray[Any, Any], like: Any) -> jax.Array:
    return jnp.asarray(x, dtype=like.dtype if jnp.issubdtype(like.dtype, jnp.floating) else None)


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array) and not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


class _NnxLayer(Layer):
    def __init__(self, module: Any, name: str) -> None:
        self.module, self.name, self.title = module, name, type(module).__name__
        self.kind = next((kind for classes, kind in _KINDS if isinstance(module, classes)), "")
        self.channels_first = False if self.kind == "conv" else None

    def settings(self, arrays: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
        found = {name: getattr(self.module, attribute) for name, attribute in _SETTINGS.get(self.kind, {}).items()}
        if "training" in found:
            found["training"] = not found["training"]
        if self.kind == "conv":
            kernel = self.module.kernel_size
            for name in ("strides", "dilation"):
                value = 1 if found[name] is None else found[name]
                found[name] = (value,) * len(kernel) if isinstance(value, int) else tuple(value)
            found["padding"] = self._padding(found, arrays[0].shape[-len(kernel) - 1 : -1], kernel)
        return found

    def _padding(self, found: Mapping[str, Any], sizes: tuple[int, ...], kernel: tuple[int, ...]) -> Any:
        given = found["padding"]
        if given == "SAME":
            return same_padding(sizes, kernel, found["strides"], found["dilation"])
        if isinstance(given, str):
            return ((0, 0),) * len(kernel) if given == "VALID" else given
        pairs = (given,) * len(kernel) if isinstance(given, int) else given
        return tuple((p, p) if isinstance(p, int) else tuple(p) for p in pairs)

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        if self.kind not in _WEIGHTS:
            own = vars(self.module).items()
            return {name: _to_numpy(x[...]) for name, x in own if isinstance(x, (nnx.Param, nnx.BatchStat))}
        found = {}
        for name, attribute in _WEIGHTS[self.kind].items():
            variable = getattr(self.module, attribute, None)
            if variable is not None:
                found[name] = _to_numpy(variable[...])
        return found

    def line(self, setting: str, value: Any) -> str:
        if setting == "training":
            return "model.train()" if value else "model.eval()"
        if setting in _WEIGHTS.get(self.kind, {}):
            return f"{self.name}.{_WEIGHTS[self.kind][setting]}"
        return super().line(_SETTINGS.get(self.kind, {}).get(setting, setting), value)

    def set(self, name: str, value: Any) -> Callable[[], None]:
        if name in _WEIGHTS.get(self.kind, {}):
            variable = getattr(self.module, _WEIGHTS[self.kind][name])
            before = variable[...]
            variable[...] = _to_jax(value, before)
            return lambda: variable.__setitem__(..., before)
        attribute = _SETTINGS[self.kind][name]
        return replaced(self.module, attribute, not value if attribute in _NEGATED else value)


class _NnxCall(Call):
    def __init__(self, layer: _NnxLayer, call: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.layer: _NnxLayer = layer
        self.call = call
        self.leaves, self.structure = jax.tree.flatten((args, kwargs))
        self.tensors = list({id(leaf): leaf for leaf in self.leaves if _is_array(leaf)}.values())
        self.arrays = [_to_numpy(x) for x in self.tensors]
        self.result: Any = None

    def proceed(self, arrays: list[np.ndarray[Any, Any]], *, wide: bool = False) -> list[np.ndarray[Any, Any]]:
        if wide:
            return self._in_float64(arrays)
        return self._called([_to_jax(x, like) for x, like in zip(arrays, self.tensors, strict=True)])

    def _called(self, arrays: list[jax.Array]) -> list[np.ndarray[Any, Any]]:
        given = {id(old): new for old, new in zip(self.tensors, arrays, strict=True)}
        leaves = [given.get(id(leaf), leaf) for leaf in self.leaves]
        args, kwargs = jax.tree.unflatten(self.structure, leaves)
        self.result = self.call(*args, **kwargs)
        return [_to_numpy(x) for x in jax.tree.leaves(self.result) if _is_array(x)]

    def _in_float64(self, arrays: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        before = _values(self.layer.module)
        with jax.enable_x64(True):
            try:
                for variable, value in before:
                    if jnp.issubdtype(value.dtype, jnp.floating):
                        variable.set_value(jnp.asarray(np.asarray(value), dtype="float64"))
                found = self._called([jnp.asarray(x, dtype="float64" if x.dtype.kind == "f" else None) for x in arrays])
            finally:
                for variable, value in before:
                    variable.set_value(value)
        if any(x.dtype.name == "float32" for x in found):
            raise NotImplementedError(f"{self.layer.title} was told to compute in float32")
        return found

    def returned(self, arrays: list[np.ndarray[Any, Any]]) -> Any:
        """Return what the layer returned last, with `arrays` in the place of its own."""
        values = iter(arrays)
        return jax.tree.map(lambda x: _to_jax(next(values), x) if _is_array(x) else x, self.result)


def _values(module: nnx.Module) -> list[tuple[Any, Any]]:
    """All variables of a module with their values, which nothing changes in place."""
    return [(x, x.get_value()) for _, x in nnx.iter_graph(module) if isinstance(x, nnx.Variable)]


class NnxReader(ModelReader):
    """Reads an `nnx.Module`; while it runs, it stands in the place of its classes' ``__call__``."""

    framework = "flax.nnx"

    def run(self, inputs: Inputs, around: Around) -> list[np.ndarray[Any, Any]]:
        with ExitStack() as stack:
            self._stand_around(stack, around)
            if isinstance(inputs, Mapping):
                result = self.model(**{name: self._array(x) for name, x in inputs.items()})
            else:
                result = self.model(*map(self._array, inputs))
        return [_to_numpy(x) for x in jax.tree.leaves(result) if _is_array(x)]

    @staticmethod
    def _array(x: Any) -> Any:
        return jnp.asarray(x) if isinstance(x, np.ndarray) else x

    def _stand_around(self, stack: ExitStack, around: Around) -> None:
        """Replace ``__call__`` of every class in the model: Python looks it up there, not on the instance."""
        layers = {id(module): _NnxLayer(module, self._name(path)) for path, module in nnx.iter_modules(self.model)}
        owners = {
            owner
            for _, module in nnx.iter_modules(self.model)
            for owner in type(module).__mro__
            if "__call__" in vars(owner) and issubclass(owner, nnx.Module)
        }
        running: list[int] = []  # modules that are being called: what a method of the base class adds is theirs
        thread = threading.get_ident()
        for owner in owners:
            stack.callback(setattr, owner, "__call__", vars(owner)["__call__"])
            around_call = self._instead(vars(owner)["__call__"], layers, running, thread, around)
            setattr(owner, "__call__", around_call)  # noqa: B010, because mypy lets no method be assigned

    @staticmethod
    def _instead(
        call: Callable[..., Any], layers: Mapping[int, _NnxLayer], running: list[int], thread: int, around: Around
    ) -> Callable[..., Any]:
        def instead(module: nnx.Module, *args: Any, **kwargs: Any) -> Any:
            layer = layers.get(id(module))
            seen = any(is_tracer(x) for x in jax.tree.leaves((args, kwargs)))
            if layer is None or seen or id(module) in running or threading.get_ident() != thread:
                return call(module, *args, **kwargs)

            def proceed(*args: Any, **kwargs: Any) -> Any:
                running.append(id(module))
                try:
                    return call(module, *args, **kwargs)
                finally:
                    running.pop()

            now = _NnxCall(layer, proceed, args, kwargs)
            return now.returned(around(now))

        return instead

    @staticmethod
    def _name(path: tuple[Any, ...]) -> str:
        return ".".join(map(str, path))

    def variables(self) -> dict[str, np.ndarray[Any, Any]]:
        found = enumerate(value for _, value in _values(self.model))
        return {str(index): _to_numpy(x) for index, x in found if jnp.issubdtype(x.dtype, jnp.floating)}

    def assign(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        variables = _values(self.model)
        for name, value in values.items():
            variable, before = variables[int(name)]
            variable.set_value(_to_jax(value, before))

    @contextmanager
    def kept(self) -> Iterator[None]:
        before = _values(self.model)  # those of its random streams among them
        try:
            yield
        finally:
            for variable, value in before:
                variable.set_value(value)

    def channels_first(self) -> bool | None:
        kinds = {_NnxLayer(module, "").kind for _, module in nnx.iter_modules(self.model)}
        return False if "conv" in kinds else None
