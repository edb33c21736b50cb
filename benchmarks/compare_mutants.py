"""What `tempscale.compare` finds: mistakes planted in ports of three models, and nothing in ports without one.

    python -m benchmarks.compare_mutants

The first table has a line for each mistake: the layer and the reason that were named. The second has the largest own
error over its floor in ports without a mistake, over seeds and scales of the input.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tempscale
from benchmarks._ports import HEADS, KITS, MODELS, WIDTH, Weights
from tempscale.comparison import ComparisonReport

ALL = ("torch", "keras", "nnx")


@dataclass(frozen=True)
class Mutant:
    """A mistake in a port: an option of the model, or a change of its weights; where it is, and words of its reason."""

    model: str
    where: str
    reason: str
    options: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Weights], None] | None = None
    ports: tuple[str, ...] = ALL

    @property
    def name(self) -> str:
        """What is wrong, in short."""
        changed = self.change.__doc__ or "" if self.change else ""
        return ", ".join([f"{key}={value!r}" for key, value in self.options.items()] + [changed] * bool(changed))


def _weight(words: str, name: str, made: Callable[[np.ndarray], np.ndarray]) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        weights[name] = np.ascontiguousarray(made(weights[name]), np.float32)

    change.__doc__ = f"{name} {words}"
    return change


def _swapped(one: str, other: str) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        weights[one], weights[other] = weights[other], weights[one]

    change.__doc__ = f"{one} and {other} exchanged"
    return change


def _norm_rows(words: str, name: str, order: list[int]) -> Callable[[Weights], None]:
    return _weight(words, name, lambda w: w[order])


MUTANTS = (
    Mutant("mlp", "norm", "epsilon", {"epsilon": 1e-3}),
    Mutant("mlp", "norm", "epsilon", {"epsilon": 1.1e-5}),
    Mutant("mlp", "norm", "unbiased", {"biased": False}),
    Mutant("mlp", "dense1|norm", "gelu (tanh)", {"gelu": "gelu_tanh"}),
    Mutant("mlp", "norm", "gelu (erf)", {"gelu": None}),
    Mutant("mlp", "dense1|norm", "twice|b computes gelu (erf) of", {"gelu": "gelu twice"}),
    Mutant("mlp", "dense2|dense3", "relu", {"second": "relu"}),
    Mutant("mlp", "dense3", "silu", {"second": None}),
    Mutant("mlp", "dense3|dense4", "slope 0.3", {"third": "leaky.3"}),
    Mutant("mlp", "output", "softmax", {"end": "softmax"}),
    Mutant("mlp", "dense2|dense3", "bfloat16", {"narrow": True}),
    Mutant("mlp", "dense2", "transposed", change=_weight("transposed", "kernel2", lambda w: w.T)),
    Mutant("mlp", "dense2", "that of layers.dense3", change=_swapped("kernel2", "kernel3")),
    Mutant(
        "mlp", "dense1", "rounded to float16", change=_weight("in float16", "kernel1", lambda w: w.astype("float16"))
    ),
    Mutant("mlp", "dense3", "bias", change=_weight("zero", "bias3", np.zeros_like)),
    Mutant("mlp", "norm", "differs from a's", change=_weight("one", "scale", np.ones_like)),
    Mutant("resnet", "norm3", "epsilon", {"epsilon": 1e-3}),
    Mutant("resnet", "norm3", "epsilon", {"epsilon": 1.1e-5}),
    Mutant("resnet", "norm2", "training", {"training": True}),
    Mutant("resnet", "conv4", "padding", {"padding": "SAME"}),
    Mutant("resnet", "conv3", "dilation", {"dilation": 2}),
    Mutant("resnet", "conv3", "relu", {"active": False}),
    Mutant("resnet", "conv4", "a computes relu of (", {"shortcut": False}),
    Mutant("resnet", "conv4", "a computes relu of (", {"relu_first": True}),
    Mutant("resnet", "pool", "Pool|the mean of 2x2", {"pool": "average"}),
    Mutant("resnet", "head", "flatten", {"flatten": "wrong"}, ports=("keras", "nnx")),
    Mutant("resnet", "conv5|norm5", "bfloat16", {"narrow": True}),
    Mutant("resnet", "conv2", "height and width", change=_weight("turned", "conv2", lambda w: w.swapaxes(0, 1))),
    Mutant("resnet", "conv2", "flipped", change=_weight("flipped", "conv2", lambda w: w[::-1, ::-1])),
    Mutant("resnet", "conv1", "RGB", change=_weight("for BGR", "conv1", lambda w: w[:, :, ::-1])),
    Mutant("resnet", "conv5", "transposed", change=_weight("in and out", "conv5", lambda w: w.swapaxes(2, 3))),
    Mutant("resnet", "norm1", "var", change=_norm_rows("mean as variance", "norm1", [0, 1, 2, 0])),
    Mutant("resnet", "norm1", "mean", change=_norm_rows("offset as mean", "norm1", [0, 1, 1, 3])),
    Mutant("resnet", "norm2", "that of", change=_swapped("norm2", "norm3")),
    Mutant("encoder", "second1", "epsilon", {"epsilon": 1e-3}),
    Mutant("encoder", "second1", "epsilon", {"epsilon": 1.1e-5}),
    Mutant("encoder", "up2|down2", "gelu (tanh)", {"gelu": "gelu_tanh"}),
    Mutant("encoder", "out2", "not divided", {"scale": 1.0}),
    Mutant("encoder", "out2", "whole width", {"scale": WIDTH**-0.5}),
    Mutant("encoder", "out1", "causal", {"causal": True}),
    Mutant("encoder", "out1", "faster axis", {"fast_heads": True}),
    Mutant("encoder", "first1", "b adds 3 times layers.table", {"factor": 4.0}),
    Mutant("encoder", "first1", "does not depend on the input", {"positions": False}),
    Mutant("encoder", "head", "first position", {"pool": "first"}),
    Mutant("encoder", "head", "maximum", {"pool": "max"}),
    Mutant("encoder", "head", "b computes the mean over the positions of layers.down2", {"shortcut": False}),
    Mutant("encoder", "dropout2", "training", {"dropout": True}),
    Mutant("encoder", "query1", "that of layers.key1", change=_swapped("query1", "key1")),
    Mutant("encoder", "out2", "transposed", change=_weight("transposed", "out2", lambda w: w.T)),
)
assert HEADS > 1  # with one head there would be no order of heads to mistake


@dataclass(frozen=True)
class Finding:
    """What was found of a mutant."""

    mutant: Mutant
    port: str
    report: ComparisonReport

    @property
    def found(self) -> bool:
        """Whether anything differs."""
        return self.report.verdict == "different"

    @property
    def placed(self) -> bool:
        """Whether the layer is the right one."""
        first = self.report.first
        return first is not None and any(where in first.title for where in self.mutant.where.split("|"))

    @property
    def reasoned(self) -> bool:
        """Whether the reason is the right one."""
        first = self.report.first
        return self.placed and first is not None and any(word in first.reason for word in self.mutant.reason.split("|"))


def only(mutant: Mutant, port: str) -> Mutant:
    """Return a mutant in one framework alone."""
    return replace(mutant, ports=(port,))


def findings(mutants: tuple[Mutant, ...], a: str = "torch", seed: int = 0) -> Iterator[Finding]:
    """Compare the model in framework `a` with each of its mutants in each framework."""
    for mutant in mutants:
        build, weights_of, inputs = MODELS[mutant.model]
        weights = weights_of(np.random.default_rng(seed))
        changed = {name: value.copy() for name, value in weights.items()}
        if mutant.change:
            mutant.change(changed)
        x = inputs(np.random.default_rng(seed + 100))
        for port in mutant.ports:
            one, other = build(KITS[a], weights), build(KITS[port], changed, **mutant.options)
            yield Finding(mutant, port, tempscale.compare(evaluated(one), evaluated(other, mutant), x))


def evaluated(model: Any, mutant: Mutant | None = None) -> Any:
    """Take a torch model out of training mode, but for what a mutant left in it."""
    if hasattr(model, "named_modules"):
        kept = {"training": "layers.norm2", "dropout": "layers.dropout2"} if mutant else {}
        left = {kept[option] for option in kept if mutant and mutant.options.get(option)}
        for name, module in model.named_modules():
            module.training = name in left
    return model


def calibration(seeds: int, scales: tuple[float, ...]) -> Iterator[tuple[str, str, float, str]]:
    """Yield model, port, the largest own error over its floor, and the worst verdict of ports without a mistake."""
    for name, (build, weights_of, inputs) in MODELS.items():
        for port in ALL:
            worst, verdicts = 0.0, set()
            for seed in range(seeds):
                for scale in scales:
                    weights = weights_of(np.random.default_rng(seed))
                    options = {"flatten": "permuted"} if name == "resnet" and seed % 2 else {}
                    one, other = (
                        evaluated(build(KITS["torch"], weights)),
                        evaluated(build(KITS[port], weights, **options)),
                    )
                    report = tempscale.compare(one, other, inputs(np.random.default_rng(seed), scale))
                    worst = max([worst, *(pair.ratio for pair in report.layers)])
                    verdicts.add(report.verdict)
            yield name, port, worst, ", ".join(sorted(verdicts))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="for the second table, each at five scales of the input")
    parser.add_argument("--only", default="", help="mutants whose name or model contains this")
    given = parser.parse_args()
    chosen = tuple(mutant for mutant in MUTANTS if given.only in f"{mutant.model} {mutant.name}")
    found = []
    for finding in findings(chosen):
        found.append(finding)
        first = finding.report.first
        mark = "reason" if finding.reasoned else "layer" if finding.placed else "found" if finding.found else "MISSED"
        print(f"{mark:7s}{finding.mutant.model:8s}{finding.port:6s} {finding.mutant.name}", flush=True)
        if first is not None:
            print(f"       {first.title}: {first.ratio:.3g} floors; {first.reason}")
    counts = [sum(getattr(finding, what) for finding in found) for what in ("found", "placed", "reasoned")]
    print("\n{} mutants: {} found, {} at the right layer, {} with the right reason\n".format(len(found), *counts))
    for name, port, worst, verdict in calibration(given.seeds, (0.01, 0.1, 1.0, 10.0, 100.0)):
        print(f"{name:8s}{port:6s} own error at most {worst:.2f} floors: {verdict}", flush=True)


if __name__ == "__main__":
    main()
