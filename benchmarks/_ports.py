"""Three models, each written once and built in torch, Keras and nnx, with places at which a port may go wrong.

The kits build layers as each framework has them: torch with activations as modules, Keras with activations inside
layers, nnx with functions between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import flax.nnx as nnx
import jax.numpy as jnp
import keras
import numpy as np
import torch
from torch import nn

Weights = dict[str, np.ndarray]


class TorchKit:
    """Layers of PyTorch."""

    channels_last = False
    functions: ClassVar[dict[str, Any]] = {
        "relu": nn.ReLU,
        "gelu": nn.GELU,
        "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "elu": nn.ELU,
        "leaky": nn.LeakyReLU,
        "leaky.3": lambda: nn.LeakyReLU(0.3),
        "softmax": lambda: nn.Softmax(dim=-1),
    }

    def _with(self, layer: Any, activation: Any) -> Any:
        if activation is None:
            return layer
        twice = activation.endswith(" twice")
        function = self.functions[activation.removesuffix(" twice")]
        return nn.Sequential(layer, *(function() for _ in range(1 + twice)))

    def dense(self, kernel: Any, bias: Any, activation: Any = None) -> Any:
        layer = nn.Linear(kernel.shape[0], kernel.shape[1], bias=bias is not None)
        self._fill(layer, weight=kernel.T, bias=bias)
        return self._with(layer, activation)

    def conv(
        self, kernel: Any, bias: Any, stride: Any = 1, padding: Any = 1, dilation: Any = 1, activation: Any = None
    ) -> Any:
        asymmetric = padding == "SAME" and stride > 1
        layer = nn.Conv2d(
            kernel.shape[2], kernel.shape[3], kernel.shape[:2], stride,
            0 if asymmetric else 1 if padding == "SAME" else padding, dilation, bias=bias is not None,
        )  # fmt: skip
        self._fill(layer, weight=np.transpose(kernel, (3, 2, 0, 1)), bias=bias)
        return self._with(_PaddedBehind(layer) if asymmetric else layer, activation)

    def batch_norm(self, weights: Any, epsilon: Any, training: Any = False) -> Any:
        layer = nn.BatchNorm2d(len(weights[0]), eps=epsilon)
        layer.train(training)
        self._fill(layer, weight=weights[0], bias=weights[1], running_mean=weights[2], running_var=weights[3])
        return layer

    def layer_norm(self, scale: Any, offset: Any, epsilon: Any, biased: Any = True) -> Any:
        if not biased:
            return _UnbiasedTorch(scale, offset, epsilon)
        layer = nn.LayerNorm(len(scale), eps=epsilon)
        self._fill(layer, weight=scale, bias=offset)
        return layer

    def embedding(self, table: Any) -> Any:
        layer = nn.Embedding(*table.shape)
        self._fill(layer, weight=table)
        return layer

    def pool(self, kind: Any) -> Any:
        return nn.MaxPool2d(2) if kind == "max" else nn.AvgPool2d(2)

    def dropout(self, rate: Any, training: Any) -> Any:
        layer = nn.Dropout(rate)
        layer.train(training)
        return layer

    def in_bfloat16(self, layer: Any) -> Any:
        return _NarrowTorch(layer)

    @staticmethod
    def _fill(layer: Any, **values: Any) -> None:
        with torch.no_grad():
            for name, value in values.items():
                if value is not None:
                    getattr(layer, name).copy_(torch.from_numpy(np.ascontiguousarray(value)))

    def model(self, layers: Any, forward: Any) -> Any:
        return _TorchPort(layers, forward, self)

    relu, softmax = staticmethod(torch.relu), staticmethod(lambda x: torch.softmax(x, -1))
    reshape = staticmethod(torch.reshape)
    transpose = staticmethod(torch.permute)
    mean, maximum = staticmethod(lambda x: x.mean(1)), staticmethod(lambda x: x.amax(1))
    array = staticmethod(torch.from_numpy)


class _TorchPort(nn.Module):
    def __init__(self, layers: Any, forward: Any, kit: Any) -> None:
        super().__init__()
        self.layers, self.kit, self.port = nn.ModuleDict(layers), kit, forward

    def forward(self, x: Any) -> Any:
        return self.port(self.kit, self.layers, x)


class _PaddedBehind(nn.Module):
    """A strided convolution that pads as TensorFlow's SAME does: behind only, for a kernel of 3 and a stride of 2."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(nn.functional.pad(x, (0, 1, 0, 1)))


class _UnbiasedTorch(nn.Module):
    def __init__(self, scale: Any, offset: Any, epsilon: Any) -> None:
        super().__init__()
        self.scale, self.offset = (nn.Parameter(torch.from_numpy(x.copy())) for x in (scale, offset))
        self.epsilon = epsilon

    def forward(self, x: Any) -> Any:
        variance = x.var(-1, keepdim=True)  # unbiased, which is torch's default
        return (x - x.mean(-1, keepdim=True)) / torch.sqrt(variance + self.epsilon) * self.scale + self.offset


class _NarrowTorch(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x).bfloat16().float()


class KerasKit:
    """Layers of Keras."""

    channels_last = True
    functions: ClassVar[dict[str, Any]] = {
        "relu": keras.activations.relu,
        "gelu": keras.activations.gelu,
        "gelu_tanh": lambda x: keras.activations.gelu(x, approximate=True),
        "silu": keras.activations.silu,
        "tanh": keras.activations.tanh,
        "sigmoid": keras.activations.sigmoid,
        "elu": keras.activations.elu,
        "leaky": lambda x: keras.activations.leaky_relu(x, negative_slope=0.01),
        "leaky.3": lambda x: keras.activations.leaky_relu(x, negative_slope=0.3),
        "softmax": keras.activations.softmax,
    }

    def _function(self, activation: Any) -> Any:
        if activation is None or not activation.endswith(" twice"):
            return activation and self.functions[activation]
        function = self.functions[activation.removesuffix(" twice")]
        return lambda x: function(function(x))

    def dense(self, kernel: Any, bias: Any, activation: Any = None) -> Any:
        layer = keras.layers.Dense(kernel.shape[1], activation=self._function(activation), use_bias=bias is not None)
        return self._filled(layer, (None, kernel.shape[0]), kernel, bias)

    def conv(
        self, kernel: Any, bias: Any, stride: Any = 1, padding: Any = 1, dilation: Any = 1, activation: Any = None
    ) -> Any:
        explicit = padding == 1 and stride > 1
        layer = keras.layers.Conv2D(
            kernel.shape[3], kernel.shape[:2], stride, "same" if not explicit and padding else "valid",
            dilation_rate=dilation, activation=self._function(activation), use_bias=bias is not None,
        )  # fmt: skip
        layer = self._filled(layer, (None, None, None, kernel.shape[2]), kernel, bias)
        return keras.Sequential([keras.layers.ZeroPadding2D(1), layer]) if explicit else layer

    def batch_norm(self, weights: Any, epsilon: Any, training: Any = False) -> Any:
        layer = self._filled(
            keras.layers.BatchNormalization(epsilon=epsilon), (None, None, None, len(weights[0])), *weights
        )
        return _Always(layer, training=True) if training else layer

    def layer_norm(self, scale: Any, offset: Any, epsilon: Any, biased: Any = True) -> Any:
        if not biased:
            return _UnbiasedKeras(scale, offset, epsilon)
        return self._filled(keras.layers.LayerNormalization(epsilon=epsilon), (None, None, len(scale)), scale, offset)

    def embedding(self, table: Any) -> Any:
        return self._filled(keras.layers.Embedding(*table.shape), (None, None), table)

    def pool(self, kind: Any) -> Any:
        return keras.layers.MaxPooling2D(2) if kind == "max" else keras.layers.AveragePooling2D(2)

    def dropout(self, rate: Any, training: Any) -> Any:
        layer = keras.layers.Dropout(rate, seed=0)
        return _Always(layer, training=True) if training else layer

    def in_bfloat16(self, layer: Any) -> Any:
        return _NarrowKeras(layer)

    @staticmethod
    def _filled(layer: Any, shape: Any, *weights: Any) -> Any:
        layer.build(shape)
        layer.set_weights([weight for weight in weights if weight is not None])
        return layer

    def model(self, layers: Any, forward: Any) -> Any:
        return _KerasPort(layers, forward, self)

    relu, softmax = staticmethod(keras.ops.relu), staticmethod(keras.ops.softmax)
    reshape, transpose = staticmethod(keras.ops.reshape), staticmethod(keras.ops.transpose)
    mean, maximum = staticmethod(lambda x: keras.ops.mean(x, 1)), staticmethod(lambda x: keras.ops.max(x, 1))
    array = staticmethod(keras.ops.convert_to_tensor)


class _KerasPort(keras.Model):  # type: ignore[misc]
    def __init__(self, layers: Any, forward: Any, kit: Any) -> None:
        super().__init__()
        self.kit, self.port = kit, forward
        for name, layer in layers.items():
            layer.name = name
            setattr(self, f"layer_{name}", layer)

    def call(self, x: Any) -> Any:
        return self.port(self.kit, {layer.name: layer for layer in self.layers}, x)


class _Always(keras.layers.Layer):  # type: ignore[misc]
    """Calls a layer in training mode."""

    def __init__(self, layer: Any, training: Any) -> None:
        super().__init__()
        self.layer, self.mode = layer, training

    def call(self, x: Any) -> Any:
        return self.layer(x, training=self.mode)


class _UnbiasedKeras(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, scale: Any, offset: Any, epsilon: Any) -> None:
        super().__init__()
        self.scale = self.add_weight(shape=scale.shape, initializer=keras.initializers.Constant(scale))
        self.offset = self.add_weight(shape=offset.shape, initializer=keras.initializers.Constant(offset))
        self.epsilon = epsilon

    def call(self, x: Any) -> Any:
        n = x.shape[-1]
        variance = keras.ops.var(x, -1, keepdims=True) * (n / (n - 1))
        return (x - keras.ops.mean(x, -1, keepdims=True)) / keras.ops.sqrt(
            variance + self.epsilon
        ) * self.scale + self.offset


class _NarrowKeras(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def call(self, x: Any) -> Any:
        return keras.ops.cast(keras.ops.cast(self.layer(x), "bfloat16"), "float32")


class NnxKit:
    """Layers of Flax."""

    channels_last = True
    functions: ClassVar[dict[str, Any]] = {
        "relu": nnx.relu,
        "gelu": lambda x: nnx.gelu(x, approximate=False),
        "gelu_tanh": nnx.gelu,
        "silu": nnx.silu,
        "tanh": jnp.tanh,
        "sigmoid": nnx.sigmoid,
        "elu": nnx.elu,
        "leaky": nnx.leaky_relu,
        "leaky.3": lambda x: nnx.leaky_relu(x, 0.3),
        "softmax": nnx.softmax,
    }

    def _with(self, layer: Any, activation: Any) -> Any:
        if activation is None:
            return layer
        function = self.functions[activation.removesuffix(" twice")]
        return _NnxThen(layer, (lambda x: function(function(x))) if activation.endswith(" twice") else function)

    def dense(self, kernel: Any, bias: Any, activation: Any = None) -> Any:
        layer = nnx.Linear(*kernel.shape, use_bias=bias is not None, rngs=nnx.Rngs(0))
        return self._with(self._filled(layer, kernel=kernel, bias=bias), activation)

    def conv(
        self, kernel: Any, bias: Any, stride: Any = 1, padding: Any = 1, dilation: Any = 1, activation: Any = None
    ) -> Any:
        layer = nnx.Conv(
            kernel.shape[2], kernel.shape[3], kernel.shape[:2], stride, padding=padding, kernel_dilation=dilation,
            use_bias=bias is not None, rngs=nnx.Rngs(0),
        )  # fmt: skip
        return self._with(self._filled(layer, kernel=kernel, bias=bias), activation)

    def batch_norm(self, weights: Any, epsilon: Any, training: Any = False) -> Any:
        layer = nnx.BatchNorm(len(weights[0]), use_running_average=not training, epsilon=epsilon, rngs=nnx.Rngs(0))
        return self._filled(layer, scale=weights[0], bias=weights[1], mean=weights[2], var=weights[3])

    def layer_norm(self, scale: Any, offset: Any, epsilon: Any, biased: Any = True) -> Any:
        if not biased:
            return _UnbiasedNnx(scale, offset, epsilon)
        return self._filled(nnx.LayerNorm(len(scale), epsilon=epsilon, rngs=nnx.Rngs(0)), scale=scale, bias=offset)

    def embedding(self, table: Any) -> Any:
        return self._filled(nnx.Embed(*table.shape, rngs=nnx.Rngs(0)), embedding=table)

    def pool(self, kind: Any) -> Any:
        return _NnxPool(nnx.max_pool if kind == "max" else nnx.avg_pool)

    def dropout(self, rate: Any, training: Any) -> Any:
        return nnx.Dropout(rate, deterministic=not training, rngs=nnx.Rngs(0))

    def in_bfloat16(self, layer: Any) -> Any:
        return _NnxThen(layer, lambda x: x.astype("bfloat16").astype("float32"))

    @staticmethod
    def _filled(layer: Any, **values: Any) -> Any:
        for name, value in values.items():
            if value is not None:
                getattr(layer, name)[...] = jnp.asarray(value)
        return layer

    def model(self, layers: Any, forward: Any) -> Any:
        return _NnxPort(layers, forward, self)

    relu, softmax = staticmethod(nnx.relu), staticmethod(nnx.softmax)
    reshape, transpose = staticmethod(jnp.reshape), staticmethod(jnp.transpose)
    mean, maximum = staticmethod(lambda x: x.mean(1)), staticmethod(lambda x: x.max(1))
    array = staticmethod(jnp.asarray)


class _NnxPort(nnx.Module):
    def __init__(self, layers: Any, forward: Any, kit: Any) -> None:
        self.layers = nnx.Dict(layers)
        self.kit, self.port = kit, forward

    def __call__(self, x: Any) -> Any:
        return self.port(self.kit, self.layers, x)


class _NnxThen(nnx.Module):
    def __init__(self, layer: Any, function: Any) -> None:
        self.layer, self.function = layer, function

    def __call__(self, x: Any) -> Any:
        return self.function(self.layer(x))


class _NnxPool(nnx.Module):
    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, x: Any) -> Any:
        return self.function(x, (2, 2), strides=(2, 2))


class _UnbiasedNnx(nnx.Module):
    def __init__(self, scale: Any, offset: Any, epsilon: Any) -> None:
        self.scale, self.offset, self.epsilon = nnx.Param(jnp.asarray(scale)), nnx.Param(jnp.asarray(offset)), epsilon

    def __call__(self, x: Any) -> Any:
        variance = x.var(-1, ddof=1, keepdims=True)
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(variance + self.epsilon) * self.scale[...] + self.offset[...]


KITS: dict[str, Any] = {"torch": TorchKit(), "keras": KerasKit(), "nnx": NnxKit()}


def _random(rng: np.random.Generator, *shape: int, fan_in: int | None = None) -> np.ndarray:
    return rng.normal(0, (fan_in or int(np.prod(shape[:-1])) or 1) ** -0.5, shape).astype("float32")


def _norm(rng: np.random.Generator, width: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0.5, 1.5, width).astype("float32"), rng.normal(0, 0.3, width).astype("float32")


# The perceptron


def mlp_weights(rng: np.random.Generator) -> Weights:
    found: Weights = {}
    for number, (inside, outside) in enumerate(((20, 32), (32, 32), (32, 32), (32, 10)), 1):
        found[f"kernel{number}"] = _random(rng, inside, outside)
        found[f"bias{number}"] = rng.normal(0, 0.2, outside).astype("float32")
    found["scale"], found["offset"] = _norm(rng, 32)
    return found


def mlp(
    kit: Any,
    w: Weights,
    *,
    gelu: Any = "gelu",
    epsilon: Any = 1e-5,
    biased: Any = True,
    second: Any = "silu",
    third: Any = "relu",
    end: Any = None,
    narrow: Any = False,
) -> Any:
    layers = {
        "dense1": kit.dense(w["kernel1"], w["bias1"], gelu),
        "norm": kit.layer_norm(w["scale"], w["offset"], epsilon, biased),
        "dense2": kit.dense(w["kernel2"], w["bias2"], second),
        "dense3": kit.dense(w["kernel3"], w.get("bias3"), third),
        "dense4": kit.dense(w["kernel4"], w["bias4"], end),
    }
    if narrow:
        layers["dense2"] = kit.in_bfloat16(layers["dense2"])
    return kit.model(layers, _mlp)


def _mlp(kit: Any, layers: Any, x: Any) -> Any:
    for name in ("dense1", "norm", "dense2", "dense3", "dense4"):
        x = layers[name](x)
    return x


# The residual network


def resnet_weights(rng: np.random.Generator) -> Weights:
    found: Weights = {}
    for name, (size, inside, outside) in {
        "conv1": (3, 3, 8), "conv2": (3, 8, 8), "conv3": (3, 8, 8), "conv4": (3, 8, 16), "conv5": (3, 16, 16),
        "shortcut": (1, 8, 16),
    }.items():  # fmt: skip
        found[name] = _random(rng, size, size, inside, outside)
    for number, width in ((1, 8), (2, 8), (3, 8), (4, 16), (5, 16)):
        scale, offset = _norm(rng, width)
        mean = rng.normal(0, 0.3, width).astype("float32")
        found[f"norm{number}"] = np.stack([scale, offset, mean, rng.uniform(0.3, 1.5, width).astype("float32")])
    found["kernel"], found["bias"] = _random(rng, 16 * 4 * 4, 10), rng.normal(0, 0.2, 10).astype("float32")
    return found


def resnet(
    kit: Any, w: Weights, *, epsilon: float = 1e-5, training: bool = False, padding: Any = 1,
    dilation: Any = 1, shortcut: bool = True, relu_first: bool = False, active: bool = True, pool: Any = "max",
    flatten: Any = "moved", narrow: bool = False,
) -> Any:  # fmt: skip
    kernel = w["kernel"]
    if flatten == "permuted" and kit.channels_last:  # rows in the order in which channels last are flattened
        kernel = kernel.reshape(16, 4, 4, 10).transpose(1, 2, 0, 3).reshape(256, 10)
    layers = {
        f"norm{n}": kit.batch_norm(w[f"norm{n}"], epsilon if n == 3 else 1e-5, training and n == 2) for n in range(1, 6)
    }
    layers |= {f"conv{n}": kit.conv(w[f"conv{n}"], None) for n in (1, 2, 5)}
    layers["conv3"] = kit.conv(w["conv3"], None, padding=dilation, dilation=dilation)
    layers["conv4"] = kit.conv(w["conv4"], None, stride=2, padding=padding)
    layers["shortcut"] = kit.conv(w["shortcut"], None, stride=2, padding=0)
    layers["pool"] = kit.pool(pool)
    layers["head"] = kit.dense(kernel, w["bias"])
    if narrow:
        layers["conv5"] = kit.in_bfloat16(layers["conv5"])

    def forward(kit: Any, layers: Any, x: Any) -> Any:
        x = kit.relu(layers["norm1"](layers["conv1"](x)))
        y = layers["norm2"](layers["conv2"](x))
        y = layers["norm3"](layers["conv3"](kit.relu(y) if active else y))
        x = kit.relu(x) + kit.relu(y) if relu_first else kit.relu(x + y) if shortcut else kit.relu(y)
        y = layers["norm5"](layers["conv5"](kit.relu(layers["norm4"](layers["conv4"](x)))))
        x = layers["pool"](kit.relu(layers["shortcut"](x) + y))
        if flatten == "moved" and kit.channels_last:
            x = kit.transpose(x, (0, 3, 1, 2))
        return layers["head"](kit.reshape(x, (x.shape[0], -1)))

    return kit.model(layers, forward)


# The encoder

WIDTH, HEADS, LENGTH, VOCABULARY = 16, 4, 12, 50


def encoder_weights(rng: np.random.Generator) -> Weights:
    found: Weights = {"table": rng.normal(size=(VOCABULARY, WIDTH)).astype("float32")}
    found["positions"] = rng.normal(0, 0.5, (LENGTH, WIDTH)).astype("float32")
    for block in (1, 2):
        for name, shape in {
            "query": (WIDTH, WIDTH), "key": (WIDTH, WIDTH), "value": (WIDTH, WIDTH), "out": (WIDTH, WIDTH),
            "up": (WIDTH, 4 * WIDTH), "down": (4 * WIDTH, WIDTH),
        }.items():  # fmt: skip
            found[f"{name}{block}"] = _random(rng, *shape)
            found[f"{name}{block}.bias"] = rng.normal(0, 0.2, shape[1]).astype("float32")
        for name in ("first", "second"):
            found[f"{name}{block}"], found[f"{name}{block}.bias"] = _norm(rng, WIDTH)
    found["head"], found["head.bias"] = _random(rng, WIDTH, 5), rng.normal(0, 0.2, 5).astype("float32")
    return found


def encoder(
    kit: Any, w: Weights, *, epsilon: float = 1e-5, gelu: str = "gelu", scale: float = (WIDTH // HEADS) ** -0.5,
    causal: bool = False, factor: float = 1.0, positions: bool = True, pool: str = "mean",
    shortcut: bool = True, dropout: bool = False, fast_heads: bool = False,
) -> Any:  # fmt: skip
    layers = {"table": kit.embedding(w["table"]), "head": kit.dense(w["head"], w["head.bias"])}
    for block in (1, 2):
        for name in ("query", "key", "value", "out", "down"):
            layers[f"{name}{block}"] = kit.dense(w[f"{name}{block}"], w[f"{name}{block}.bias"])
        layers[f"up{block}"] = kit.dense(w[f"up{block}"], w[f"up{block}.bias"], gelu if block == 2 else "gelu")
        for name in ("first", "second"):
            eps = epsilon if (name, block) == ("second", 1) else 1e-5
            layers[f"{name}{block}"] = kit.layer_norm(w[f"{name}{block}"], w[f"{name}{block}.bias"], eps)
        layers[f"dropout{block}"] = kit.dropout(0.1, dropout and block == 2)
    places = w["positions"]

    def heads(x: Any) -> Any:
        if fast_heads:
            return kit.transpose(kit.reshape(x, (x.shape[0], LENGTH, WIDTH // HEADS, HEADS)), (0, 3, 1, 2))
        return kit.transpose(kit.reshape(x, (x.shape[0], LENGTH, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))

    def attention(layers: Any, block: Any, x: Any) -> Any:
        q, k, v = (heads(layers[f"{name}{block}"](x)) for name in ("query", "key", "value"))
        scores = q @ kit.transpose(k, (0, 1, 3, 2)) * (scale if block == 2 else (WIDTH // HEADS) ** -0.5)
        if causal and block == 1:
            scores = scores + kit.array(np.triu(np.full((LENGTH, LENGTH), -1e9, "float32"), 1))
        mixed = kit.transpose(kit.softmax(scores) @ v, (0, 2, 3, 1) if fast_heads else (0, 2, 1, 3))
        return layers[f"out{block}"](kit.reshape(mixed, x.shape))

    def forward(kit: Any, layers: Any, tokens: Any) -> Any:
        x = layers["table"](tokens) * factor
        if positions:
            x = x + kit.array(places)
        for block in (1, 2):
            x = x + attention(layers, block, layers[f"first{block}"](x))
            y = layers[f"up{block}"](layers[f"second{block}"](x))
            y = layers[f"dropout{block}"](layers[f"down{block}"](y))
            x = x + y if shortcut or block == 1 else y
        return layers["head"]({"mean": kit.mean, "max": kit.maximum, "first": lambda x: x[:, 0]}[pool](x))

    return kit.model(layers, forward)


def images(rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    return (scale * rng.normal(size=(4, 3, 16, 16))).astype("float32")


def rows(rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    return (scale * rng.normal(size=(32, 20))).astype("float32")


def tokens(rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    return rng.integers(0, VOCABULARY, size=(4, LENGTH))


MODELS: dict[str, tuple[Callable[..., Any], Callable[..., Weights], Callable[..., np.ndarray]]] = {
    "mlp": (mlp, mlp_weights, rows),
    "resnet": (resnet, resnet_weights, images),
    "encoder": (encoder, encoder_weights, tokens),
}
