"""Every operation of logits, its value and its value with the gradient, against what a user would write by hand.

Prints a line for each framework, way of running, operation and dtype, with two cells for each size: of the value, and
of the value with the gradient to the logits. A cell is the time as a multiple of the native form's, the median over
turns that the two take; and behind a stroke the peak memory, what goes in included, as a multiple of the native form's.
The native forms are in `benchmarks/peers`. A cell beyond its goal has a mark; the summary at the end names the best and
the worst of each framework. The goals are 1.1 for large sizes (1.0 in NumPy, 1.5 in TensorFlow's own kernels) and for
the memory; for few entries, where calls cost more than numbers, 2 eagerly and 1.2 compiled.

    python -m benchmarks.probability [--backend NAME ...] [--operation NAME ...] [--dtype NAME ...]
                                     [--size 64x128256 ...] [--quick] [--markdown]

The whole takes an hour and more, a line 20 seconds; --quick has fewer turns and leaves the memory out.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tempscale
from benchmarks._measure import forget_shapes, peak_bytes, ratios
from benchmarks.peers import LABEL_SMOOTHING, NAMES, T, peer_of

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SIZES = ((64, 128_256), (4096, 1000), (128, 10))
DTYPES = ("float32", "bfloat16")
LARGE = 10**6
"""Entries from which on a size is large: the memory counts, and calls do not."""
PEAK_GOAL = 1.1

OPERATIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "softmax": (lambda x: tempscale.softmax(x, temperature=T), ""),
    "log_softmax": (lambda x: tempscale.log_softmax(x, temperature=T), ""),
    "logsumexp": (lambda x: tempscale.logsumexp(x, temperature=T), ""),
    "entropy": (lambda x: tempscale.entropy(x, temperature=T), ""),
    "log_prob": (lambda x, tokens: tempscale.log_prob(x, tokens, temperature=T), "classes"),
    "kl_divergence": (lambda x, teacher: tempscale.kl_divergence(teacher, x, temperature=T), "logits"),
    "sparsemax": (lambda x: tempscale.sparsemax(x, temperature=T), ""),
    "cross_entropy": (lambda x, labels: tempscale.cross_entropy(x, labels), "classes"),
    "cross_entropy_of_probabilities": (lambda x, labels: tempscale.cross_entropy(x, labels), "probabilities"),
    "smoothed_cross_entropy": (
        lambda x, labels: tempscale.cross_entropy(x, labels, label_smoothing=LABEL_SMOOTHING),
        "classes",
    ),
}
"""What is measured, and what goes in beside the logits."""


@dataclass(frozen=True)
class Cell:
    """What is found for one size, of the value alone or with the gradient."""

    size: tuple[int, int]
    has_gradient: bool
    time: float
    peak: float | None
    goal: float

    def holds(self) -> bool:
        return self.time <= self.goal and (self.peak is None or self.peak <= PEAK_GOAL)

    def __str__(self) -> str:
        return f"{self.time:.2f}" + ("" if self.peak is None else f" / {self.peak:.2f}")


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    backend: str
    way: str
    operation: str
    dtype: str
    cells: list[Cell]


def lines(options: argparse.Namespace) -> Iterator[Line]:
    """Measure, one line at a time."""
    for name in options.backend:
        for way in peer_of(name).WAYS:
            for operation in options.operation:
                for dtype in options.dtype:
                    cells = [
                        measured(name, way, operation, dtype, size, has_gradient, options.quick)
                        for size in options.size
                        for has_gradient in (False, True)
                    ]
                    yield Line(name, way, operation, dtype, cells)


def measured(
    name: str, way: str, operation: str, dtype: str, size: tuple[int, int], has_gradient: bool, quick: bool
) -> Cell:
    """Measure one cell."""
    peer, (ours, beside) = peer_of(name), OPERATIONS[operation]
    native, compiled = getattr(peer, operation), peer.WAYS[way]
    operands, backend = operands_of(name, dtype, size, beside), tempscale.get_backend(name)
    forget_shapes(backend)
    if has_gradient:
        operands.append(cotangent_of(native(*operands), name, dtype))
        forms = [peer.value_and_gradient(fn, compiled) for fn in (native, ours)]
    else:
        forms = [compiled(fn) for fn in (native, ours)]
    theirs, own = [lambda form=form: peer.wait(form(*operands)) for form in forms]
    time = ratios(theirs, {"ours": own}, seconds=0.1 if quick else 0.5)["ours"]
    is_large = size[0] * size[1] > LARGE
    goes_in = sum(backend.to_numpy(x).nbytes for x in operands)
    is_seen = is_large and not quick and peer.SHOWS_MEMORY
    peak = relative_peak(theirs, own, goes_in) if is_seen else None
    return Cell(size, has_gradient, time, peak, goal(name, way, is_large))


def operands_of(name: str, dtype: str, size: tuple[int, int], beside: str) -> list[Any]:
    """Return logits, and what else goes in."""
    backend, rng = tempscale.get_backend(name), np.random.default_rng(0)

    def normal() -> Any:
        return backend.asarray(3 * rng.standard_normal(size, dtype=np.float32), dtype=dtype)

    found = [normal()]
    if beside == "classes":
        found.append(backend.asarray(rng.integers(0, size[1], size[0]), dtype=backend.default_index()))
    elif beside:
        found.append(normal() if beside == "logits" else tempscale.softmax(normal()))
    return found


def cotangent_of(result: Any, name: str, dtype: str) -> Any:
    """Return a cotangent like a result: that of a loss is 1."""
    backend = tempscale.get_backend(name)
    values = np.ones(result.shape, np.float32)
    if values.ndim:
        np.random.default_rng(1).standard_normal(out=values, dtype=np.float32)
    return backend.asarray(values, dtype=dtype)


def relative_peak(theirs: Callable[[], Any], own: Callable[[], Any], goes_in: int) -> float | None:
    """Return the ratio of the peaks, None where they are not known."""
    native, ours = peak_bytes(theirs), peak_bytes(own)
    return None if native is None or ours is None else (goes_in + ours) / (goes_in + native)


def goal(name: str, way: str, is_large: bool) -> float:
    if not is_large:
        return 2.0 if way == "eager" else 1.2
    return {"numpy": 1.0, "tensorflow": 1.1 if "jit" in way else 1.5}.get(name, 1.1)


# The table


def as_size(text: str) -> tuple[int, int]:
    rows, classes = text.split("x")
    return int(rows), int(classes)


def heading(size: tuple[int, int], has_gradient: bool) -> str:
    return f"{size[0]} x {size[1]}" + (", gradient" if has_gradient else "")


def show(line: Line, form: str, mark: str) -> None:
    cells = [str(cell) if cell.holds() else mark.format(cell) for cell in line.cells]
    goals = ", ".join(dict.fromkeys(f"{cell.goal:g}" for cell in line.cells))
    print(form.format(line.backend, line.way, line.operation, line.dtype, goals, *cells), flush=True)


def summarise(found: list[Line]) -> Iterator[str]:
    """Yield a sentence for each framework: what is within the goals, the best and the worst."""
    for name in dict.fromkeys(line.backend for line in found):
        cells = [(cell, line) for line in found if line.backend == name for cell in line.cells]
        held = sum(cell.holds() for cell, _ in cells)
        by_time = sorted(cells, key=lambda pair: pair[0].time)
        text = f"{name}: {held} of {len(cells)} within the goals"
        text += f"; time from {_named(*by_time[0])} to {_named(*by_time[-1])}"
        peaks = [pair for pair in cells if pair[0].peak is not None]
        if peaks:
            text += f"; most memory {_named(*max(peaks, key=lambda pair: pair[0].peak or 0))}"
        yield text


def _named(cell: Cell, line: Line) -> str:
    return f"{cell} ({line.operation}, {line.way}, {line.dtype}, {heading(cell.size, cell.has_gradient)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--operation", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--size", nargs="+", type=as_size, default=list(SIZES), help="as 64x128256")
    parser.add_argument("--quick", action="store_true", help="fewer turns, and no memory")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of compilers
    cells = [heading(size, has_gradient) for size in options.size for has_gradient in (False, True)]
    form = "{:11}{:31}{:32}{:10}{:10}" + "{:>23}" * len(cells)
    if options.markdown:
        form = "| {} | {} | {} | {} | {} |" + " {} |" * len(cells)
    print(form.format("framework", "way", "operation", "dtype", "goal", *cells))
    if options.markdown:
        print("|---|---|---|---|---:|" + "---:|" * len(cells))
    found: list[Line] = []
    count = sum(len(peer_of(name).WAYS) for name in options.backend) * len(options.operation) * len(options.dtype)
    for line in lines(options):
        show(line, form, "**{}**" if options.markdown else "{} !")
        found.append(line)
        print(f"{len(found)} of {count}", end="\r", file=sys.stderr)
    print(*summarise(found), sep="\n")


if __name__ == "__main__":
    main()
