"""How much of the public suite data-apis/array-api-tests the array namespaces pass: its tests of functions.

The folder is a checkout of that suite, with its submodule. Prints for each namespace how many tests passed, failed
and were skipped, and the names of those that failed for ours. Ours runs twice: in the suite as it is, and in one whose
helpers take a `tf.TensorShape` for a tuple (`benchmarks/_tensor_shapes.py`).

    python -m benchmarks.array_api FOLDER [--module NAME ...] [--examples N] [--processes N]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

OURS = "tempscale_backends.tensorflow.namespace"
PEERS = ("array_api_compat.torch", "numpy")
# the methods and operators of the array are the framework's own
FUNCTIONS = "not __ and not array_object and not array_method and not array_attribute and not array_operator"
HERE = Path(__file__).parents[1]
SHAPES = "benchmarks._tensor_shapes"
OUTCOMES = ("passed", "failed", "skipped")


def suite_at(folder: Path) -> Path:
    """The folder, if it is a complete checkout of the suite."""
    if not (folder / "array_api_tests" / "stubs.py").is_file():
        raise SystemExit(
            f"{folder} is not a checkout of data-apis/array-api-tests: it has no array_api_tests/stubs.py. "
            "Clone it with: git clone --recurse-submodules https://github.com/data-apis/array-api-tests"
        )
    if not (folder / "array-api" / "src").is_dir():
        raise SystemExit(f"{folder} lacks its submodule: run git submodule update --init in it")
    return folder


def run(
    suite: Path, module: str, *, examples: int, processes: int, plugin: str = ""
) -> tuple[dict[str, int], list[str]]:
    """The outcomes of the suite's tests of functions for a namespace, and the names of those that failed."""
    command = [sys.executable, "-m", "pytest", "array_api_tests", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider"]
    command += ["-n", str(processes), "--max-examples", str(examples), "-k", FUNCTIONS]
    command += ["-p", plugin] if plugin else []
    variables = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    variables |= {"ARRAY_API_TESTS_MODULE": module, "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "300"}
    done = subprocess.run(
        command, cwd=suite, env=os.environ | variables, capture_output=True, text=True, errors="replace", check=False
    )
    # 1 says that tests failed; anything above, that they did not run
    if done.returncode > 1:
        raise SystemExit(f"the suite did not run for {module}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return outcomes(done.stdout)


def outcomes(output: str) -> tuple[dict[str, int], list[str]]:
    """The counts in the last line of a run of pytest, and the tests named as failed."""
    counts = dict.fromkeys(OUTCOMES, 0)
    summary = re.findall(r"^.*\d+ (?:passed|failed).* in .*$", output, re.MULTILINE)
    for number, outcome in re.findall(r"(\d+) (\w+)", summary[-1] if summary else ""):
        if outcome in counts:
            counts[outcome] = int(number)
    failed = re.findall(r"^FAILED (?:array_api_tests/)?(.+?)(?: - .*)?$", output, re.MULTILINE)
    return counts, sorted(failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkout of data-apis/array-api-tests")
    parser.add_argument("--module", nargs="+", default=[OURS, *PEERS], help="the namespaces, as modules to import")
    parser.add_argument("--examples", type=int, default=10, help="how many examples the suite makes for a test")
    parser.add_argument("--processes", type=int, default=2, help="how many processes run the suite")
    options = parser.parse_args()
    suite = suite_at(options.folder)
    print(f"{'namespace':64}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES))
    for module in options.module:
        for plugin in ("", SHAPES) if module == OURS else ("",):
            counts, failed = run(suite, module, examples=options.examples, processes=options.processes, plugin=plugin)
            name = f"{module}, TensorShape as tuple" if plugin else module
            print(f"{name:64}" + "".join(f"{counts[outcome]:9}" for outcome in OUTCOMES), flush=True)
            if module == OURS:
                print("".join(f"    {name}\n" for name in failed), end="")


if __name__ == "__main__":
    main()
