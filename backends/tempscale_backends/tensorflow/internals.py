"""What TensorFlow has no public name for. It is used here and nowhere else, and another version may not have it.

Each function says what it is for and what happens without the private names: something slower, not something wrong.
They were seen to work in TensorFlow 2.20 and 2.21.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tempscale.backend import Array


def _module(name: str) -> Any:
    """Return a private module, or None, which has none of the names that are looked for either."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_record = _module("tensorflow.python.eager.record")
_control_flow = _module("tensorflow.python.ops.control_flow_util")
_pfor = _module("tensorflow.python.ops.parallel_for.pfor")

# Derivatives


def differentiates() -> bool:
    """Whether a tape or an accumulator may look at what is computed eagerly.

    Without: yes. Calls are then made ready for derivatives that nobody asks for.
    """
    try:
        return bool(_record.could_possibly_record())
    except AttributeError:
        return True


@contextlib.contextmanager
def with_rules(
    results: list[Array],
    arrays: Sequence[Array],
    backward: Callable[..., Sequence[Array]],
    forward: Callable[..., Sequence[Array]],
) -> Iterator[Callable[[Array], Array]]:
    """Give what is put into `results` inside derivatives of its own, in both modes.

    Yields what to do with each array before it is computed with: here nothing, because nobody looks on.
    Without: all that `tf.custom_gradient` knows is the backward rule, which forward mode transposes, once it does not
    go through the function itself.
    """
    try:
        stop, add = _record.stop_recording, _record.record_operation
        add_backward = _record.record_operation_backprop_only
    except AttributeError:
        yield tf.stop_gradient
        return
    with stop():
        yield lambda x: x
    # Tapes come first: the forward rule is differentiated through them.
    add_backward("CustomGradient", results, list(arrays), backward)
    add("CustomGradient", results, list(arrays), backward, forward)


# XLA


def in_xla() -> bool:
    """Whether XLA compiles what is computed, whose exponential of a NaN may be another number.

    Without: yes. The NaN is then put back by three more passes.
    """
    try:
        return bool(_control_flow.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))
    except AttributeError:
        return True


# tf.vectorized_map

_lock = threading.Lock()
_users: list[None] = []
"""One entry for each call of `mapping_bitcast` that has not ended."""


@contextlib.contextmanager
def mapping_bitcast() -> Iterator[bool]:
    """Let `tf.vectorized_map` over `tf.bitcast`, the one elementwise operation here that it does not know.

    Yields whether it does. The registry is that of the whole process, so that the entry is there only while a function
    of this library is mapped. Without, and in a `tf.vectorized_map` of others: TensorFlow loops over the bitcasts.
    """
    try:
        registry = _pfor._pfor_converter_registry
    except AttributeError:
        yield False
        return
    with _lock:
        _users.append(None)
        registry.setdefault("Bitcast", _mapped_bitcast)
    try:
        yield True
    finally:
        with _lock:
            _users.pop()
            if not _users and registry["Bitcast"] is _mapped_bitcast:
                del registry["Bitcast"]


def _mapped_bitcast(given: Any) -> Any:
    return _pfor.wrap(tf.bitcast(given.stacked_input(0), given.get_attr("type")), True)
