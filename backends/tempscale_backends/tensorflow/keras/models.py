"""Keras models, as `tempscale.compare` reads them. Keras may run on any framework: only Keras itself is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from tempscale.comparison.reader import Around, Call, Inputs, Layer, ModelReader, replaced, same_padding
from tempscale_backends.tensorflow.keras.internals import layers_inside

__all__ = ["KerasReader"]

_LAYERS = keras.layers
_CONVOLUTIONS = (_LAYERS.Conv1D, _LAYERS.Conv2D, _LAYERS.Conv3D)
_WITH_ACTIVATION = (
    _LAYERS.Dense,
    _LAYERS.EinsumDense,
    *_CONVOLUTIONS,
    _LAYERS.DepthwiseConv1D,
    _LAYERS.DepthwiseConv2D,
    _LAYERS.Conv2DTranspose,
)
"""Layers that end with an activation. It is shown as a layer of its own, as other frameworks have it."""

_KINDS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((_LAYERS.Dense, _LAYERS.EinsumDense), "dense"),
    (_CONVOLUTIONS, "conv"),
    ((_LAYERS.BatchNormalization,), "batch_norm"),
    ((_LAYERS.LayerNormalization,), "layer_norm"),
    ((_LAYERS.GroupNormalization,), "group_norm"),
    ((_LAYERS.RMSNormalization,), "rms_norm"),
    ((_LAYERS.Embedding,), "embedding"),
    ((_LAYERS.MultiHeadAttention,), "attention"),
    ((_LAYERS.Dropout, _LAYERS.SpatialDropout1D, _LAYERS.SpatialDropout2D), "dropout"),
    ((_LAYERS.MaxPooling1D, _LAYERS.MaxPooling2D, _LAYERS.MaxPooling3D), "max_pool"),
    ((_LAYERS.AveragePooling1D, _LAYERS.AveragePooling2D, _LAYERS.AveragePooling3D), "average_pool"),
    ((_LAYERS.Flatten, _LAYERS.Reshape, _LAYERS.Permute, _LAYERS.Identity, _LAYERS.InputLayer), "reshape"),
    (
        (_LAYERS.Activation, _LAYERS.ReLU, _LAYERS.LeakyReLU, _LAYERS.ELU, _LAYERS.PReLU, _LAYERS.Softmax),
        "activation",
    ),
)
_SETTINGS = {
    "batch_norm": {"epsilon": "epsilon"},
    "layer_norm": {"epsilon": "epsilon"},
    "group_norm": {"epsilon": "epsilon", "groups": "groups"},
    "rms_norm": {"epsilon": "epsilon"},
    "conv": {"strides": "strides", "dilation": "dilation_rate", "groups": "groups", "padding": "padding"},
    "max_pool": {"size": "pool_size", "strides": "strides", "padding": "padding"},
    "average_pool": {"size": "pool_size", "strides": "strides", "padding": "padding"},
}
_WEIGHTS = {
    "dense": {"kernel": "kernel", "bias": "bias"},
    "conv": {"kernel": "kernel", "bias": "bias"},
    "batch_norm": {"scale": "gamma", "offset": "beta", "mean": "moving_mean", "variance": "moving_variance"},
    "layer_norm": {"scale": "gamma", "offset": "beta"},
    "group_norm": {"scale": "gamma", "offset": "beta"},
    "rms_norm": {"scale": "scale"},
    "embedding": {"table": "embeddings"},
}
_TRAINED = ("batch_norm", "dropout")


def _to_numpy(x: Any) -> np.ndarray[Any, Any]:
    return np.array(keras.ops.convert_to_numpy(x))


def _is_there(x: Any) -> bool:
    """Whether `x` is an array that has values: inside a compiled function it has none."""
    if not keras.ops.is_tensor(x) or isinstance(x, keras.KerasTensor):
        return False
    try:
        keras.ops.convert_to_numpy(x)
    except Exception:  # each framework has its own error for a tensor that is being traced
        return False
    return True


def _to_keras(x: np.ndarray[Any, Any], like: Any) -> Any:
    dtype = keras.backend.standardize_dtype(like.dtype)
    return keras.ops.convert_to_tensor(x, dtype=dtype if "float" in dtype else None)


class _KerasLayer(Layer):
    training: bool | None = None

    def __init__(self, layer: Any, name: str) -> None:
        self.module, self.name, self.title = layer, name, type(layer).__name__
        self.kind = next((kind for classes, kind in _KINDS if isinstance(layer, classes)), "")
        first = getattr(layer, "data_format", None)
        self.channels_first = None if first is None else first == "channels_first"

    def settings(self, arrays: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
        found = {name: getattr(self.module, attribute) for name, attribute in _SETTINGS.get(self.kind, {}).items()}
        if "padding" in found:
            sizes = arrays[0].shape[2:] if self.channels_first else arrays[0].shape[1:-1]
            size = found.get("size") or self.module.kernel_size
            dilation = found.get("dilation", (1,) * len(sizes))
            same = found["padding"] == "same"
            found["padding"] = same_padding(sizes, size, found["strides"], dilation) if same else ((0, 0),) * len(sizes)
        if self.kind == "average_pool":
            found["padding counts"] = False
        if self.kind in _TRAINED:
            found["training"] = bool(self.training)
        return found

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        if self.kind not in _WEIGHTS:
            inside = {id(x) for layer in layers_inside(self.module) for x in layer.weights}
            return {x.name: _to_numpy(x) for x in self.module.weights if id(x) not in inside}
        found = {}
        for name, attribute in _WEIGHTS[self.kind].items():
            variable = getattr(self.module, attribute, None)
            if variable is not None:
                found[name] = _to_numpy(variable)
        return found

    def line(self, setting: str, value: Any) -> str:
        if setting == "training":
            return f"model(x, training={value})"
        if setting in _WEIGHTS.get(self.kind, {}):
            return f"{self.name}.{_WEIGHTS[self.kind][setting]}"
        return super().line(_SETTINGS.get(self.kind, {}).get(setting, setting), value)

    def set(self, name: str, value: Any) -> Callable[[], None]:
        if name == "training":
            return replaced(self, "training", value)
        if name in _WEIGHTS.get(self.kind, {}):
            variable = getattr(self.module, _WEIGHTS[self.kind][name])
            before = _to_numpy(variable)
            variable.assign(value)
            return lambda: variable.assign(before)
        if name == "padding":
            if np.any(value):
                raise NotImplementedError("Keras pads nothing or SAME")
            value = "valid"
        return replaced(self.module, _SETTINGS[self.kind][name], value)


class _Activation(Layer):
    """The activation at the end of a layer."""

    kind = "activation"

    def __init__(self, owner: _KerasLayer) -> None:
        function = owner.module.activation
        self.name, self.title = f"{owner.name}.activation", getattr(function, "__name__", type(function).__name__)


class _KerasCall(Call):
    def __init__(self, layer: Layer, call: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.layer, self.call = layer, call
        self.leaves = keras.tree.flatten((args, kwargs))
        self.structure = (args, kwargs)
        self.tensors = list({id(leaf): leaf for leaf in self.leaves if _is_there(leaf)}.values())
        self.arrays = [_to_numpy(tensor) for tensor in self.tensors]
        self.result: Any = None

    def proceed(self, arrays: list[np.ndarray[Any, Any]], *, wide: bool = False) -> list[np.ndarray[Any, Any]]:
        if wide:
            return self._in_float64(arrays)
        given = {id(x): _to_keras(array, x) for x, array in zip(self.tensors, arrays, strict=True)}
        leaves = [given.get(id(leaf), leaf) for leaf in self.leaves]
        args, kwargs = keras.tree.pack_sequence_as(self.structure, leaves)
        if getattr(self.layer, "training", None) is not None and "training" in kwargs:
            kwargs["training"] = self.layer.training  # type: ignore[attr-defined]
        self.result = self.call(*args, **kwargs)
        return [_to_numpy(x) for x in keras.tree.flatten(self.result) if keras.ops.is_tensor(x)]

    def _in_float64(self, arrays: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Call a copy of the layer that computes in float64, with the same weights."""
        if not isinstance(self.layer, _KerasLayer):
            return [_to_numpy(self.call(keras.ops.convert_to_tensor(arrays[0], dtype="float64")))]
        module = self.layer.module
        try:
            copy = type(module).from_config({**module.get_config(), "dtype": "float64"})
            if isinstance(module, _WITH_ACTIVATION):
                copy.activation = keras.activations.linear
            inputs = [keras.ops.convert_to_tensor(x.astype("float64")) for x in arrays]
            copy(*inputs)
            copy.set_weights([weight.astype("float64") for weight in module.get_weights()])
            return [_to_numpy(x) for x in keras.tree.flatten(copy(*inputs, **self._training()))]
        except (TypeError, ValueError, NotImplementedError) as error:
            raise NotImplementedError(f"{self.layer.title} cannot be built again in float64: {error}") from error

    def _training(self) -> dict[str, Any]:
        return {"training": self.layer.training} if self.layer.kind in _TRAINED else {}  # type: ignore[attr-defined]

    def returned(self, arrays: list[np.ndarray[Any, Any]]) -> Any:
        """Return what the layer returned last, with `arrays` in the place of its tensors."""
        values = iter(arrays)
        return keras.tree.map_structure(
            lambda x: _to_keras(next(values), x) if keras.ops.is_tensor(x) else x, self.result
        )


class KerasReader(ModelReader):
    """Reads a Keras 3 model or layer; while it runs, it stands in the place of every layer's ``call``."""

    framework = "keras"

    def run(self, inputs: Inputs, around: Around) -> list[np.ndarray[Any, Any]]:
        if isinstance(inputs, Mapping):
            result = self._run(around, (), {name: self._tensor(x) for name, x in inputs.items()})
        elif len(inputs) > 1 and isinstance(self.model, keras.Model) and hasattr(self.model, "_functional"):
            result = self._run(around, ([self._tensor(x) for x in inputs],), {})
        else:
            result = self._run(around, tuple(self._tensor(x) for x in inputs), {})
        return [_to_numpy(x) for x in keras.tree.flatten(result) if keras.ops.is_tensor(x)]

    def _run(self, around: Around, args: Any, kwargs: Any) -> Any:
        if not self.model.built:  # its first call is a symbolic one
            self.model(*args, **kwargs)
        with ExitStack() as stack:
            for name, layer in self._modules().items():
                stack.callback(self._stand_around(layer, name, around))
            return self.model(*args, **kwargs)

    def _modules(self) -> dict[str, Any]:
        """Return the model and all layers in it by their path, each once."""
        found: dict[int, tuple[str, Any]] = {id(self.model): ("", self.model)}

        def visit(module: Any, path: str) -> None:
            for layer in layers_inside(module):
                if id(layer) not in found:
                    found[id(layer)] = f"{path}{layer.name}", layer
                    visit(layer, f"{path}{layer.name}/")

        visit(self.model, "")
        return dict(found.values())

    @staticmethod
    def _tensor(x: Any) -> Any:
        return keras.ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x

    @staticmethod
    def _stand_around(module: Any, name: str, around: Around) -> Callable[[], None]:
        call, layer = module.call, _KerasLayer(module, name)
        activation = module.activation if isinstance(module, _WITH_ACTIVATION) else keras.activations.linear
        last = _Activation(layer) if activation is not keras.activations.linear else None

        def before_activation(*args: Any, **kwargs: Any) -> Any:
            module.activation = keras.activations.linear
            try:
                return call(*args, **kwargs)
            finally:
                module.activation = activation

        def instead(*args: Any, **kwargs: Any) -> Any:
            if not any(map(_is_there, keras.tree.flatten((args, kwargs)))):
                return call(*args, **kwargs)
            layer.training = kwargs.get("training")
            now = _KerasCall(layer, before_activation if last else call, args, kwargs)
            result = now.returned(around(now))
            if last is None:
                return result
            now = _KerasCall(last, activation, (result,), {})
            return now.returned(around(now))

        object.__setattr__(module, "call", instead)
        return lambda: object.__delattr__(module, "call")

    def variables(self) -> dict[str, np.ndarray[Any, Any]]:
        values = {str(index): _to_numpy(x) for index, x in enumerate(self.model.variables)}
        return {name: x for name, x in values.items() if x.dtype.kind not in "iub"}

    def assign(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        variables = self.model.variables
        for name, value in values.items():
            variables[int(name)].assign(value)

    @contextmanager
    def kept(self) -> Iterator[None]:
        # seeds are variables too: with them goes the random state
        before = [(variable, _to_numpy(variable)) for variable in self.model.variables]
        try:
            yield
        finally:
            for variable, value in before:
                variable.assign(value)

    def channels_first(self) -> bool | None:
        found = [_KerasLayer(layer, "").channels_first for layer in self._modules().values()]
        return next((first for first in found if first is not None), None)
