"""A pytest plugin for the array-api-tests: its helpers take a `tf.TensorShape` for the tuple it stands for.

The suite hands `x.shape` to ndindex and to hypothesis, which refuse anything but tuples. Nothing else is changed: what
is compared, and with what, is up to the suite.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import hypothesis.extra.array_api as array_api
import ndindex.shapetools as shapetools
import tensorflow as tf


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, tf.TensorShape) else value


def _with_tuples(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)  # keeps the signature, which hypothesis looks at
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*[_as_tuple(x) for x in args], **{key: _as_tuple(x) for key, x in kwargs.items()})

    return call


shapetools.asshape = _with_tuples(shapetools.asshape)
for _name in ("check_type", "_arrays", "mutually_broadcastable_shapes", "broadcastable_shapes"):
    setattr(array_api, _name, _with_tuples(getattr(array_api, _name)))
