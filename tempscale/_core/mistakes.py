"""What to say of a call that does not fit a function. A call is looked at only when it has failed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from tempscale._core.dispatch import refuse_unsupported
from tempscale._core.internals import called_as_it_is

_F = TypeVar("_F", bound=Callable[..., Any])
_WRITTEN = (int, float, complex, str, bytes, type(None))


class Habit(NamedTuple):
    """A name from another library: what it is called here, and why a function with none of these has none."""

    here: tuple[str, ...] = ()
    otherwise: str = ""


_AXIS = Habit(("axis",), "it works on the last axis; move the classes there first")
_KEEPDIMS = Habit(("keepdims",), "add the axis to the result")
_TEMPERATURE = Habit(("temperature",))
_MASK = Habit(("where",), "write -inf to the logits that do not count")
_WEIGHTS = Habit(("class_weights", "p"))
_SHAPE = Habit(("shape", "num_samples", "k", "num"))
_COUNT = Habit(("num_samples", "num", "k", "shape"))
_KEY = Habit(("key", "seed"), "nothing here is random")
_LOW = Habit(("minval", "lower"))
_HIGH = Habit(("maxval", "upper"))
_DATA = Habit(("logits", "p_logits", "x", "a"))
_TARGET = Habit(("labels", "tokens", "q_logits"))
_REDUCTION = Habit(("reduction",), "it gives one value per row; take their sum or mean")
_MOMENTS = Habit((), "scale and shift the result")
_CLASSES = Habit((), "the number of classes is the size of the logits along the axis")
_LOGITS = Habit((), "it takes logits; the logarithms of probabilities are logits")
_NEW = Habit((), "the result is always a new array")

HABITS = {
    **dict.fromkeys(("dim", "dims", "axes", "axis"), _AXIS),
    **dict.fromkeys(("keepdim", "keep_dims", "keepdims"), _KEEPDIMS),
    **dict.fromkeys(("T", "t", "tau", "temp"), _TEMPERATURE),
    **dict.fromkeys(("mask", "where"), _MASK),
    **dict.fromkeys(("weight", "weights", "class_weight", "pos_weight"), _WEIGHTS),
    **dict.fromkeys(("size", "sample_shape", "num_samples"), _SHAPE),
    **dict.fromkeys(("n", "num", "n_samples", "k"), _COUNT),
    **dict.fromkeys(("seed", "rng", "rng_key", "generator", "random_state", "key"), _KEY),
    **dict.fromkeys(("low", "min", "minval", "lower"), _LOW),
    **dict.fromkeys(("high", "max", "maxval", "upper"), _HIGH),
    **dict.fromkeys(("input", "inputs", "x", "y_pred"), _DATA),
    **dict.fromkeys(("target", "targets", "label", "y", "y_true"), _TARGET),
    **dict.fromkeys(("reduce", "size_average", "reduction"), _REDUCTION),
    **dict.fromkeys(("loc", "mean", "scale", "std", "stddev"), _MOMENTS),
    **dict.fromkeys(("num_classes", "n_classes"), _CLASSES),
    **dict.fromkeys(("from_logits", "log_target", "log_input"), _LOGITS),
    **dict.fromkeys(("out", "inplace"), _NEW),
    **dict.fromkeys(("func", "fun", "function", "f"), Habit(("fn", "body"))),
    "smoothing": Habit(("label_smoothing",)),
    "sample_weight": Habit((), 'multiply the result of reduction="none"'),
    "probs": Habit(("p",), _LOGITS.otherwise),
    "replacement": Habit(("replace",)),
    "argnum": Habit(("argnums",)),
    "in_dims": Habit(("in_axes",)),
    "out_dims": Habit(("out_axes",)),
    "device": Habit(("like",), "the result is on the device of the input"),
    "dtype": Habit((), "the result has the dtype of the input; convert that first"),
    "base": Habit((), "results are in nats; divide by the logarithm of the base"),
    "b": Habit((), "add the logarithms of the weights to the logits"),
    "static_argnums": Habit((), "numbers among the arguments are part of what is compiled"),
}
"""What people type from habit: names of arguments in the frameworks, SciPy and scikit-learn."""

VALUES = {
    "batchmean": "take 'sum' and divide by the number of examples",
    "sum_over_batch_size": "take 'mean', or 'sum' and divide by the number of examples",
}
"""Values that other libraries have for an option, and what to do here."""


class Call:
    """Which arguments a function takes, to say what is wrong with a call.

    Parameters
    ----------
    name : str
        Of the function, as its users know it.
    parameters : collection of inspect.Parameter
        What it takes.
    """

    def __init__(self, name: str, parameters: Collection[inspect.Parameter]) -> None:
        self.name = name
        kinds = {p.name: p.kind for p in parameters}
        kind = inspect.Parameter
        self.by_position = [n for n, k in kinds.items() if k in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD)]
        self.by_name = [n for n, k in kinds.items() if k in (kind.KEYWORD_ONLY, kind.POSITIONAL_OR_KEYWORD)]
        self.only_by_name = [n for n in self.by_name if n not in self.by_position]
        without_default = [p.name for p in parameters if p.default is p.empty]
        self.required = [n for n in without_default if n in (*self.by_position, *self.only_by_name)]
        self.any_number, self.any_name = (k in kinds.values() for k in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD))

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise `TypeError` if a call does not fit, or an argument is an array that nothing here can work on."""
        words = self._misfit(args, kwargs)
        if words:
            raise TypeError(words) from None
        refuse_unsupported(args, kwargs, self.by_position)

    def _misfit(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        for name in kwargs:
            if name not in self.by_name and not self.any_name:
                return self._unknown(name)
            if name in self.by_position[: len(args)] and name in self.by_name:
                return f"{self.name}() got {name!r} twice, by position and by name"
        if len(args) > len(self.by_position) and not self.any_number:
            return self._too_many(len(args))
        for name in self.required:
            if name not in kwargs and name not in self.by_position[: len(args)]:
                return f"{self.name}() needs {name!r}: it takes {self._arguments()}"
        return ""

    def _unknown(self, name: str) -> str:
        if name in self.by_position:
            return f"{self.name}() takes {name!r} by position, without its name"
        habit = HABITS.get(name, Habit())
        for here in habit.here:
            if here in self.by_name:
                return f"{self.name}() has no {name!r}: it is called {here!r} here"
            if here in self.by_position:
                return f"{self.name}() has no {name!r}: it is called {here!r} here, and given by position"
        return f"{self.name}() has no {name!r}: {habit.otherwise or f'it takes {self._arguments()}'}"

    def _too_many(self, given: int) -> str:
        most = len(self.by_position)
        taken = f"{most} by position ({', '.join(self.by_position)})" if most else "none by position"
        advice = f": give others by name ({', '.join(self.only_by_name)})" if self.only_by_name else ""
        return f"{self.name}() got {given} arguments by position and takes {taken}{advice}"

    def _arguments(self) -> str:
        return ", ".join([*self.by_position, *self.only_by_name]) or "no arguments"


def shown(value: Any) -> str:
    """Return a value for an error: numbers, strings and flat lists as they are written, of all else the type."""
    if isinstance(value, int) and abs(value) >= 2**64:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (list, tuple)) and len(value) <= 8 and all(isinstance(v, _WRITTEN) for v in value):
        return repr(value)
    text = repr(value) if isinstance(value, _WRITTEN) else ""
    return text if 0 < len(text) <= 60 else f"of type {type(value).__name__}"


def in_words(fn: _F) -> _F:
    """Have a call that does not fit a public function fail in words that help.

    Operations that `agnostic` makes do so by themselves.
    """
    call = Call(fn.__name__, inspect.signature(fn).parameters.values())

    @functools.wraps(fn)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception:
            call.check(args, kwargs)
            raise

    return cast("_F", called_as_it_is(checked))
