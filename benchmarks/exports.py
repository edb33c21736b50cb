"""What can be exported? Exports every function in every way, runs what came out, and compares it with the eager call.

Functions that fare alike have a row together. "equal" is in every bit; "n ulp" is the largest distance. A refusal names
what the exporter, or what runs the result, does not know. Each exporter works in a process of its own, which is started
again when a call crashes or takes too long. What is not installed is left out: ONNX needs onnxscript and onnxruntime.

    python -m benchmarks.exports [--exporter NAME ...] [--seconds N] [--markdown]
"""

from __future__ import annotations

import argparse
import importlib
import logging
import multiprocessing
import os
import re
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tempscale
from tempscale.testing import ulp_distance

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROWS, CLASSES = 2, 5

Exported = Callable[[Callable[..., Any], list[Any]], Any]
"""Exports a function for arguments of their kind, and returns what the export makes of them."""


def jit_trace(function: Callable[..., Any], arguments: list[Any]) -> Any:
    import torch

    # the check would be a second trace; its numbers are compared here
    return torch.jit.trace(_module(function), tuple(arguments), check_trace=False)(*arguments)  # type: ignore[no-untyped-call]


def torch_export(function: Callable[..., Any], arguments: list[Any]) -> Any:
    import torch

    return torch.export.export(_module(function), tuple(arguments)).module()(*arguments)


def onnx(function: Callable[..., Any], arguments: list[Any]) -> Any:
    import onnxruntime
    import torch

    program = torch.onnx.export(_module(function), tuple(arguments), dynamo=True, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        program.save(f"{folder}/model.onnx")  # type: ignore[union-attr]
        session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
    names = [argument.name for argument in session.get_inputs()]
    return session.run(None, {name: tempscale.to_numpy(x) for name, x in zip(names, arguments, strict=True)})[0]


def saved_model(function: Callable[..., Any], arguments: list[Any]) -> Any:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(_tensorflow_module(function, arguments), folder)
        return tf.saved_model.load(folder).run(*arguments)


def tflite(function: Callable[..., Any], arguments: list[Any]) -> Any:
    import tensorflow as tf

    module = _tensorflow_module(function, arguments)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    run = tf.lite.Interpreter(model_content=converter.convert()).get_signature_runner()
    (result,) = run(**{f"x{i}": x for i, x in enumerate(arguments)}).values()
    return result


def jax_export(function: Callable[..., Any], arguments: list[Any]) -> Any:
    import jax
    from jax import export

    exported = export.export(jax.jit(function))(*arguments)
    return export.deserialize(exported.serialize()).call(*arguments)  # type: ignore[no-untyped-call]


class Exporter(NamedTuple):
    backend: str
    run: Exported
    needs: tuple[str, ...] = ()


EXPORTERS = {
    "torch.jit.trace": Exporter("torch", jit_trace),
    "torch.export": Exporter("torch", torch_export),
    "ONNX": Exporter("torch", onnx, ("onnxscript", "onnxruntime")),
    "tf.saved_model": Exporter("tensorflow", saved_model),
    "TFLite": Exporter("tensorflow", tflite),
    "jax.export": Exporter("jax", jax_export),
}


def _module(function: Callable[..., Any]) -> Any:
    import torch

    class Module(torch.nn.Module):
        def forward(self, *arguments: Any) -> Any:
            return function(*arguments)

    return Module()


def _tensorflow_module(function: Callable[..., Any], arguments: list[Any]) -> Any:
    import tensorflow as tf

    module = tf.Module()
    signature = [tf.TensorSpec(x.shape, x.dtype, f"x{i}") for i, x in enumerate(arguments)]
    module.run = tf.function(lambda *xs: function(*xs), input_signature=signature)
    return module


# Comparing, in a process of its own


def every_function() -> tuple[Any, ...]:
    """Return the table of all functions, which the tests have."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    return importlib.import_module("every_function").EVERY_FUNCTION  # type: ignore[no-any-return]


def serve(name: str, pipe: Connection) -> None:
    """Answer each number of a function with how its export fares."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # converters write pages about what they refuse
    exporter, functions = EXPORTERS[name], every_function()
    while True:
        pipe.send(outcome(exporter, functions[pipe.recv()]))


def outcome(exporter: Exporter, function: Any) -> int | str:
    """Return the distance in ulp, or the reason why there is no result."""
    backend = tempscale.get_backend(exporter.backend)
    arguments = [backend.asarray(x) for x in function.arguments((ROWS,), CLASSES)]
    expected = tempscale.to_numpy(function.call(*arguments))
    try:
        found = np.asarray(exporter.run(function.call, arguments))
    except Exception as error:
        return reason(error)
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return f"another result: {found.dtype} {found.shape}"
    if found.dtype.kind == "f":
        return int(np.max(ulp_distance(found, expected, found.dtype.name)))
    return 0 if np.array_equal(found, expected) else "other numbers"


def reason(error: BaseException) -> str:
    """Return the operator that an error is about, where there is one, else its first line."""
    while error.__cause__:
        error = error.__cause__
    operator = re.search(r"op='([\w.]+)'|op for ([\w:]+)|\((Flex\w+)\)|'(tf\.\w+)'|\"(tf\.\w+)\"", str(error))
    if operator:
        return f"`{next(filter(None, operator.groups()))}`"
    return f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"


class Worker:
    """A process that exports in one way."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(name, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, number: int, seconds: float) -> int | str | None:
        """Return the outcome for a function; None says that the process has ended, or has to."""
        self.pipe.send(number)
        try:
            return self.pipe.recv() if self.pipe.poll(seconds) else None
        except EOFError:
            return None

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def outcomes(name: str, count: int, seconds: float) -> Iterator[int | str]:
    """Yield how each function fares with an exporter."""
    worker = Worker(name)
    for number in range(count):
        found = worker.ask(number, seconds)
        if found is None:
            crashed = not worker.process.is_alive()
            worker.end()
            worker = Worker(name)
        yield found if found is not None else "crashed" if crashed else f"more than {seconds:g} s"
    worker.end()


# The table


def by_groups(names: list[str], found: dict[str, list[int | str]]) -> Iterator[list[str]]:
    """Yield rows of cells, of functions whose numbers are equal, close or missing for the same exporters."""
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i in range(len(names)):
        groups[tuple(str if isinstance(x[i], str) else x[i] > 0 for x in found.values())].append(i)  # type: ignore[operator]
    for group in groups.values():
        yield [", ".join(names[i] for i in group), *(cell([x[i] for i in group]) for x in found.values())]


def cell(found: list[int | str]) -> str:
    distances = [x for x in found if isinstance(x, int)]
    if not distances:
        return "no: " + ", ".join(sorted({str(x) for x in found}))
    return f"{max(distances)} ulp" if max(distances) else "equal"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    there = [name for name, exporter in EXPORTERS.items() if all(map(find_spec, exporter.needs))]
    parser.add_argument("--exporter", nargs="+", choices=there, default=there)
    parser.add_argument("--seconds", type=float, default=120.0, help="the limit of a function")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args()
    names = [function.name for function in every_function()]
    found: dict[str, list[int | str]] = {}
    for exporter in options.exporter:
        found[exporter] = list(outcomes(exporter, len(names), options.seconds))
        print(f"{exporter}: {sum(isinstance(x, int) for x in found[exporter])} of {len(names)}", file=sys.stderr)
    line = "| {} |" if options.markdown else "{}"
    between = " | " if options.markdown else "\n    "
    print(line.format(between.join(["functions", *found])))
    if options.markdown:
        print("|---" * (len(found) + 1) + "|")
    for row in by_groups(names, found):
        print(line.format(between.join(row)))


if __name__ == "__main__":
    main()
