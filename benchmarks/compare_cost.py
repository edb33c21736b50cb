"""What `tempscale.compare` costs: a residual network of 20 layers on 32 images, in forward passes of both models.

    python -m benchmarks.compare_cost

A forward pass is that of A and that of B, eager, after a first one that compiles what there is to compile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import torch
from torch import nn

import tempscale

WIDTHS = (16, 16, 16, 32, 32, 32, 64, 64, 64)


class Block(nn.Module):
    """Two convolutions with batch norms, and what goes past them."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        stride = 1 if inside == outside else 2
        self.conv1, self.norm1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
        self.conv2, self.norm2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        self.past = nn.Identity() if stride == 1 else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.past(x))


def original() -> nn.Module:
    torch.manual_seed(0)
    blocks = [Block(inside, outside) for inside, outside in zip((16, *WIDTHS), WIDTHS, strict=False)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks, *head).eval()


def ported(model: nn.Module) -> keras.Model:
    """Return the model in Keras, with the weights of the original in order of use."""
    layers = keras.layers
    images = keras.Input((32, 32, 3))

    def conv(x: Any, width: int, size: int, stride: int) -> Any:
        if size == 3:
            x = layers.ZeroPadding2D(1)(x)
        return layers.Conv2D(width, size, stride, use_bias=False)(x)

    def norm(x: Any) -> Any:
        return layers.BatchNormalization(epsilon=1e-5)(x)

    x = layers.ReLU()(norm(conv(images, 16, 3, 1)))
    for inside, outside in zip((16, *WIDTHS), WIDTHS, strict=False):
        stride = 1 if inside == outside else 2
        y = norm(conv(layers.ReLU()(norm(conv(x, outside, 3, stride))), outside, 3, 1))
        x = layers.ReLU()(layers.Add()([y, x if stride == 1 else conv(x, outside, 1, stride)]))
    result = keras.Model(images, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
    kinds = {nn.Conv2d: layers.Conv2D, nn.BatchNorm2d: layers.BatchNormalization, nn.Linear: layers.Dense}
    for kind, theirs in kinds.items():
        mine = [module for module in model.modules() if isinstance(module, kind)]
        for module, layer in zip(mine, (x for x in result.layers if isinstance(x, theirs)), strict=True):
            weights = [value.numpy() for name, value in module.state_dict().items() if "num_batches" not in name]
            axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
            layer.set_weights([weight.transpose(axes[weight.ndim]) for weight in weights])
    return result


def seconds(run: Callable[[], Any], repeats: int) -> float:
    run()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    a = original()
    b = ported(a)
    x = np.random.default_rng(0).normal(size=(32, 3, 32, 32)).astype("float32")
    moved = keras.ops.convert_to_tensor(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    with torch.no_grad():
        forward = seconds(lambda: a(torch.from_numpy(x)), 5) + seconds(lambda: b(moved, training=False), 5)
    compared = seconds(lambda: tempscale.compare(a, b, x), 2)
    report = tempscale.compare(a, b, x)
    worst = max(pair.ratio for pair in report.layers)
    print(f"verdict: {report.verdict}, {len(report.layers)} lines, own error at most {worst:.2f} floors")
    print(f"forward pass of both: {1e3 * forward:.0f} ms; comparison: {compared:.2f} s, or {compared / forward:.0f}")


if __name__ == "__main__":
    main()
