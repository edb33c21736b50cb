"""The marks by which the frameworks' compilers know functions that they must not look into.

The frameworks set them by public decorators (`torch.compiler.assume_constant_result`,
`tf.autograph.experimental.do_not_convert`), which this package cannot have, as it imports no framework. So they are set
by hand here, and nowhere else. They were seen to work in PyTorch 2.13 and in TensorFlow 2.20 and 2.21.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


def constant_while_tracing(fn: _F) -> _F:
    """Have `torch.compile` call `fn` for real and keep its result, instead of tracing into it.

    It lets even the first call, which imports the backend, trace without a graph break. The function should return a
    name: an object that came out of a call Dynamo cannot always guard. Without the mark, the first call of a process
    must not be one that `torch.compile(fullgraph=True)` traces.
    """
    fn._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return called_as_it_is(fn)


def called_as_it_is(fn: _F) -> _F:
    """Have TensorFlow's AutoGraph call `fn` as it is. Without the mark it converts what it can, and warns."""
    fn.autograph_info__ = {}  # type: ignore[attr-defined]
    return fn
