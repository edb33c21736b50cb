"""What a backend may give natives for, and what natives are written with. README.md says what is where."""

from tempscale._core.dispatch import unwrap
from tempscale._core.dtypes import LARGEST, SMALLEST_NORMAL, cast, working_dtype
from tempscale._core.internals import constant_while_tracing
from tempscale._core.operation import OPERATIONS, Operation
from tempscale._core.registry import with_code_of_its_own
from tempscale._core.trees import flatten

__all__ = [
    "LARGEST",
    "OPERATIONS",
    "SMALLEST_NORMAL",
    "Operation",
    "cast",
    "constant_while_tracing",
    "flatten",
    "unwrap",
    "with_code_of_its_own",
    "working_dtype",
]
