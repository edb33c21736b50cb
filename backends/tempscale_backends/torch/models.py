"""PyTorch's modules, as `tempscale.compare` reads them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import nn

from tempscale.comparison.reader import (
    Around,
    Call,
    Inputs,
    Layer,
    ModelReader,
    leaves_of_tree,
    mapped_tree,
    replaced,
    same_padding,
)

__all__ = ["TorchReader"]

_KINDS: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    ((nn.Linear,), "dense"),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), "conv"),
    ((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm), "batch_norm"),
    ((nn.LayerNorm,), "layer_norm"),
    ((nn.GroupNorm,), "group_norm"),
    ((nn.RMSNorm,), "rms_norm"),
    ((nn.Embedding,), "embedding"),
    ((nn.MultiheadAttention,), "attention"),
    ((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout), "dropout"),
    ((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), "max_pool"),
    ((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), "average_pool"),
    ((nn.Flatten, nn.Unflatten, nn.Identity), "reshape"),
    (
        tuple(getattr(nn, name) for name in nn.modules.activation.__all__ if name != "MultiheadAttention"),
        "activation",
    ),
)
_SETTINGS = {
    "batch_norm": {"epsilon": "eps", "training": "training"},
    "layer_norm": {"epsilon": "eps"},
    "group_norm": {"epsilon": "eps", "groups": "num_groups"},
    "rms_norm": {"epsilon": "eps"},
    "conv": {"strides": "stride", "dilation": "dilation", "groups": "groups", "padding": "padding"},
    "max_pool": {"size": "kernel_size", "strides": "stride", "padding": "padding"},
    "average_pool": {
        "size": "kernel_size",
        "strides": "stride",
        "padding": "padding",
        "padding counts": "count_include_pad",
    },
    "dropout": {"training": "training"},
}
_WEIGHTS = {
    "dense": {"kernel": "weight", "bias": "bias"},
    "conv": {"kernel": "weight", "bias": "bias"},
    "batch_norm": {"scale": "weight", "offset": "bias", "mean": "running_mean", "variance": "running_var"},
    "layer_norm": {"scale": "weight", "offset": "bias"},
    "group_norm": {"scale": "weight", "offset": "bias"},
    "rms_norm": {"scale": "weight"},
    "embedding": {"table": "weight"},
}
_PER_AXIS = {"size", "strides", "dilation", "padding"}
_IMAGES = {"conv", "max_pool", "average_pool", "batch_norm"}


def _to_numpy(x: torch.Tensor) -> np.ndarray[Any, Any]:
    x = x.detach().cpu()
    if x.dtype == torch.bfloat16:
        return np.array(x.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
    return np.array(x.numpy())


def _to_torch(x: np.ndarray[Any, Any], like: torch.Tensor) -> torch.Tensor:
    """Return `x` on the device of `like` and, if both are floats, in its dtype."""
    if x.dtype == ml_dtypes.bfloat16:
        made = torch.from_numpy(x.view(np.int16).copy()).view(torch.bfloat16)
    else:
        made = torch.from_numpy(np.array(x))
    both = made.is_floating_point() and like.is_floating_point()
    return made.to(like.device, like.dtype if both else made.dtype)


def _to_neutral(kernel: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """From (out, in, ...) to (..., in, out)."""
    return np.moveaxis(kernel, (0, 1), (-1, -2))


class _TorchLayer(Layer):
    def __init__(self, module: Any, name: str) -> None:
        self.module, self.name, self.title = module, name, type(module).__name__
        self.kind = next((kind for classes, kind in _KINDS if isinstance(module, classes)), "")
        self.channels_first = True if self.kind in _IMAGES else None

    def settings(self, arrays: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
        found = {name: getattr(self.module, attribute) for name, attribute in _SETTINGS.get(self.kind, {}).items()}
        axes = arrays[0].ndim - 2 if arrays else 0
        for name in _PER_AXIS & found.keys():
            found[name] = found[name] if isinstance(found[name], (tuple, str)) else (found[name],) * axes
        if "padding" in found:
            found["padding"] = self._padding(found, arrays[0].shape[2:])
        if self.kind in ("layer_norm", "rms_norm") and found["epsilon"] is None:
            found["epsilon"] = torch.finfo(torch.float32).eps
        return found

    def _padding(self, found: Mapping[str, Any], sizes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        if isinstance(found["padding"], tuple):
            return tuple((p, p) for p in found["padding"])
        if found["padding"] == "valid":
            return ((0, 0),) * len(sizes)
        return same_padding(sizes, self.module.kernel_size, found["strides"], found["dilation"])

    def weights(self) -> dict[str, np.ndarray[Any, Any]]:
        if self.kind not in _WEIGHTS:
            return {name: _to_numpy(x) for name, x in self.module.named_parameters(recurse=False)}
        found = {}
        for name, attribute in _WEIGHTS[self.kind].items():
            variable = getattr(self.module, attribute, None)
            if variable is not None:
                found[name] = _to_neutral(_to_numpy(variable)) if name == "kernel" else _to_numpy(variable)
        return found

    def line(self, setting: str, value: Any) -> str:
        if setting == "training":
            return "model.train()" if value else "model.eval()"
        if setting in _WEIGHTS.get(self.kind, {}):
            return f"{self.name}.{_WEIGHTS[self.kind][setting]}"
        if setting == "padding" and isinstance(value, tuple):
            value = tuple(low for low, _ in value)
        return super().line(_SETTINGS.get(self.kind, {}).get(setting, setting), value)

    def set(self, name: str, value: Any) -> Callable[[], None]:
        if name in _WEIGHTS.get(self.kind, {}):
            variable = getattr(self.module, _WEIGHTS[self.kind][name])
            value = np.moveaxis(value, (-1, -2), (0, 1)) if name == "kernel" else value
            before = variable.data
            variable.data = _to_torch(value, variable.data)
            return lambda: setattr(variable, "data", before)
        if name == "padding":
            if any(low != high for low, high in value):
                raise NotImplementedError("PyTorch pads both sides alike")
            value = tuple(low for low, _ in value)
        return replaced(self.module, _SETTINGS[self.kind][name], value)


class _TorchCall(Call):
    def __init__(self, layer: _TorchLayer, forward: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.layer: _TorchLayer = layer
        self.forward = forward
        self.given = args, kwargs
        leaves = leaves_of_tree(self.given)
        self.tensors = list({id(leaf): leaf for leaf in leaves if isinstance(leaf, torch.Tensor)}.values())
        self.arrays = [_to_numpy(tensor) for tensor in self.tensors]
        self.result: Any = None
        """What the layer returned last, with whatever is no tensor."""

    def proceed(self, arrays: list[np.ndarray[Any, Any]], *, wide: bool = False) -> list[np.ndarray[Any, Any]]:
        forward, like = self.forward, self.tensors
        if wide:
            module = copy.deepcopy(self.layer.module)
            module.__dict__.pop("forward", None)
            forward = module.double()
            like = [x.double() if x.is_floating_point() else x for x in self.tensors]
        given = {id(old): _to_torch(x, new) for old, new, x in zip(self.tensors, like, arrays, strict=True)}
        args, kwargs = mapped_tree(lambda leaf: given.get(id(leaf), leaf), self.given)
        self.result = forward(*args, **kwargs)
        return [_to_numpy(x) for x in leaves_of_tree(self.result) if isinstance(x, torch.Tensor)]

    def returned(self, arrays: list[np.ndarray[Any, Any]]) -> Any:
        """Return what the layer returned last, with `arrays` in the place of its tensors."""
        values = iter(arrays)
        return mapped_tree(lambda x: _to_torch(next(values), x) if isinstance(x, torch.Tensor) else x, self.result)


class TorchReader(ModelReader):
    """Reads a `torch.nn.Module`; while it runs, it stands in the place of every module's ``forward``."""

    framework = "torch"

    def __init__(self, model: nn.Module) -> None:
        super().__init__(getattr(model, "_orig_mod", model))  # of a compiled module, what was compiled

    def run(self, inputs: Inputs, around: Around) -> list[np.ndarray[Any, Any]]:
        parameter = next(self.model.parameters(), torch.zeros(()))
        if isinstance(inputs, Mapping):
            args, kwargs = (), {name: self._tensor(x, parameter) for name, x in inputs.items()}
        else:
            args, kwargs = tuple(self._tensor(x, parameter) for x in inputs), {}
        fast = torch.backends.mha.get_fastpath_enabled()
        with ExitStack() as stack, torch.no_grad():
            # the fast path of transformers computes a whole layer without calling the modules in it
            stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
            torch.backends.mha.set_fastpath_enabled(False)
            for name, module in self.model.named_modules():
                if not isinstance(module, (nn.ModuleList, nn.ModuleDict, torch.jit.ScriptModule)):
                    stack.callback(self._stand_around(module, name, around))
            result = self.model(*args, **kwargs)
        return [_to_numpy(x) for x in leaves_of_tree(result) if isinstance(x, torch.Tensor)]

    @staticmethod
    def _tensor(x: Any, like: torch.Tensor) -> Any:
        return _to_torch(x, like) if isinstance(x, np.ndarray) else x

    @staticmethod
    def _stand_around(module: nn.Module, name: str, around: Around) -> Callable[[], None]:
        forward, own = module.forward, vars(module).get("forward")
        layer = _TorchLayer(module, name)

        def instead(*args: Any, **kwargs: Any) -> Any:
            call = _TorchCall(layer, forward, args, kwargs)
            return call.returned(around(call))

        module.forward = instead
        return lambda: module.__dict__.pop("forward") if own is None else setattr(module, "forward", own)

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}

    def variables(self) -> dict[str, np.ndarray[Any, Any]]:
        return {name: _to_numpy(x) for name, x in self._tensors().items() if x.is_floating_point()}

    def assign(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        variables = self._tensors()
        with torch.no_grad():
            for name, value in values.items():
                variables[name].copy_(_to_torch(value, variables[name]))

    @contextmanager
    def kept(self) -> Iterator[None]:
        before = {name: x.detach().clone() for name, x in self._tensors().items()}
        modes = {module: module.training for module in self.model.modules()}
        with torch.random.fork_rng():
            try:
                yield
            finally:
                with torch.no_grad():
                    for name, x in self._tensors().items():
                        x.copy_(before[name])
                for module, training in modes.items():
                    module.training = training

    def channels_first(self) -> bool | None:
        images = any(_TorchLayer(module, "").kind in _IMAGES - {"batch_norm"} for module in self.model.modules())
        return True if images else None
