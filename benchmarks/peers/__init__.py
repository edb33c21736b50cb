"""What users write by hand in each framework, a module each: its own kernels, in the form that its documentation shows.

A module has a function for each operation of `benchmarks.probability`, under its name: of the logits, then what else
goes in. All but the losses are at the temperature `T`. Beside them are

- `WAYS`: how functions are run, by the name of the way;
- `value_and_gradient(fn, compiled)`: a function of the operands of `fn` and a cotangent, which returns the value and
  the gradient to the logits, run in the way `compiled`;
- `SHOWS_MEMORY`: whether the memory of a call shows in the process: TensorFlow's allocator keeps it for the next call;
- `wait`: waits for results, where a framework computes in the background.
"""

from __future__ import annotations

import importlib
from typing import Any

NAMES = ("numpy", "torch", "jax", "tensorflow")
T = 0.7
LABEL_SMOOTHING = 0.1


def peer_of(name: str) -> Any:
    """Import the module of a framework."""
    return importlib.import_module(f"benchmarks.peers.{name}")
