"""How exact `softmax(logits / T)` is as one writes it by hand, and as tempscale computes it, in float32.

Prints the worst |error| as a multiple of the contract's bound, element by element against float64.

    python -m benchmarks.accuracy
"""

from __future__ import annotations

import numpy as np

import tempscale
from benchmarks.peers import NAMES, T, peer_of
from tempscale.testing import check
from tempscale.testing.ulp import smallest_normal

CLASSES = 128_256


def rows() -> dict[str, np.ndarray]:
    """Rows of logits by what is special about them."""
    normal = np.random.default_rng(0).standard_normal(CLASSES)
    dominant = normal / 2 - 14
    dominant[77_777] = 4
    return {
        "normal, scaled by 3": 3 * normal,
        "common offset 1e4": 1e4 + normal,
        "one dominant entry": dominant,
    }


def multiple_of_bound(p: np.ndarray, logits: np.ndarray) -> float:
    """Worst |error| / bound of float32 probabilities."""
    specification = tempscale.softmax.specification
    assert specification is not None
    exact = specification.reference(logits.astype(np.float64), np.full((1, 1), T))
    quantities = {key: value for key, value in exact.items() if key not in ("value", "gradients")}
    bound = specification.contract.bound(u=2.0**-24, tiny=smallest_normal("float32"), **quantities)
    return check(p, exact["value"], bound, dtype="float32", expected_dtype="float32", names=["row"]).worst


def main() -> None:
    print(f"{'':24}{'framework':14}{'softmax(x / T)':>16}{'tempscale':>12}")
    for title, row in rows().items():
        logits = row.astype(np.float32)[None]
        for name in NAMES:
            backend = tempscale.get_backend(name)
            x = backend.asarray(logits)
            theirs = multiple_of_bound(backend.to_numpy(peer_of(name).softmax(x)).astype(np.float32), logits)
            ours = multiple_of_bound(backend.to_numpy(tempscale.softmax(x, temperature=T)), logits)
            print(f"{title:24}{name:14}{theirs:16.2f}{ours:12.2f}")


if __name__ == "__main__":
    main()
