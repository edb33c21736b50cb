"""Tokens drawn from logits, the same ones on every framework."""

from __future__ import annotations

from typing import Any

from tempscale._core.arguments import as_axis, as_float, as_integer, as_mask, as_temperature, same_shape
from tempscale._core.checks import check_logits, checking
from tempscale._core.dispatch import call_backend, is_number, is_sequence, unwrap
from tempscale._core.mistakes import in_words
from tempscale._core.operation import INJECTED, agnostic
from tempscale.backend import Array, Backend
from tempscale.kernels import gumbel
from tempscale.kernels.gumbel.tokens import tokens_of_batch
from tempscale.random._arguments import Key, host_words, raw_words, require_key

DEFINITION_VERSION = gumbel.VERSION
"""Version of the definition of a draw. Within a version the same arguments give the same tokens, for good."""
_MOST_CLASSES = gumbel.MOST_SLOTS * gumbel.GROUPS


@in_words
def sample(
    logits: Array,
    key: Key | Array,
    /,
    *,
    temperature: Any = 1.0,
    where: Array | None = None,
    num_samples: int | None = None,
) -> Array:
    """Draw classes with the probabilities softmax(logits / T): the same ones on every framework.

    Parameters
    ----------
    logits : array
        Floats or integers of shape (..., classes), up to 2^24 classes; -inf marks a masked entry. float64 and
        integers are rounded to float32.
    key : Key or array
        What `tempscale.random.key` makes, an integer array of shape (2,), or one of JAX's typed keys. One key serves
        all rows, each of which draws differently. Keys of shape (..., 2), one per row, as ``random.split(key, rows,
        like=logits)`` makes them, give each row a stream of its own: what it draws then does not depend on which rows
        are beside it.
    temperature : float or array, default 1
        T >= 0: a number, a 0-d array, or one per row, of shape (..., 1). 0 gives the first maximum, inf a uniform draw
        from what is not masked. T is rounded to float32.
    where : array of bool, optional
        Broadcasts to `logits`; False masks an entry, as -inf does.
    num_samples : int, optional
        How many to draw from each row, independently. The first of them are those of a smaller number.

    Returns
    -------
    array
        Of shape (...), or (..., num_samples), in the framework's index dtype, on the device of `logits`. A row with
        NaN, with +inf or with nothing but masked entries gives -1, an index of no class; so does one whose
        temperature, in an array, is negative or NaN.

    Raises
    ------
    TypeError
        For boolean or complex logits, arrays of two frameworks, a mask that is not boolean, something that is no key.
    ValueError
        For a negative or NaN number as temperature, shapes that do not fit, no classes or more than 2^24.

    Notes
    -----
    A token is a function of (logits, temperature, key, draw, row) alone, where draw is the number of the sample and
    row that of the row in row-major order, 0 with keys per row. It is computed in integers and in float32 operations
    that IEEE 754 rounds the same everywhere. So logits that are equal in every bit give the same token on every
    framework, eager and compiled. Logits that differ give another one when the two best entries of the race nearly
    tie: rarely, in proportion to the difference; docs/sampling.md has what was measured.

    `DEFINITION_VERSION` counts changes of that function; docs/sampling.md defines it. To draw again, use another key:
    ``fold_in(key, step)`` in a loop.

    Time O(classes); noise is drawn for about classes / 1024 + 1024 entries of a row. Where nothing is compiled, rows
    and samples are worked on by blocks.

    References
    ----------
    Gumbel-max: E. J. Gumbel, "Statistical theory of extreme values and some practical applications", 1954;
    C. J. Maddison, D. Tarlow, T. Minka, "A* sampling", NeurIPS 2014. The noise's bits: Salmon, Moraes, Dror, Shaw,
    "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> import tempscale
    >>> from tempscale import random
    >>> logits = [[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]
    >>> tempscale.sample(logits, random.key(0), temperature=0.7)
    array([2, 0])
    >>> tempscale.sample(logits, random.key(0), num_samples=4)
    array([[1, 2, 2, 1],
           [0, 0, 0, 0]])
    """
    return _sample(
        logits,
        key_beside(key, logits=logits, temperature=temperature, where=where),
        temperature=temperature,
        where=where,
        draws=None if num_samples is None else _count(num_samples, "num_samples", " or None, which is one draw"),
        replacement=True,
    )


@in_words
def sample_without_replacement(
    logits: Array, key: Key | Array, k: int, /, *, temperature: Any = 1.0, where: Array | None = None
) -> Array:
    """Draw k different classes of each row, one after another: the same ones on every framework.

    Parameters
    ----------
    logits, key, temperature, where
        As for `sample`. T = 0 gives the k largest, the largest first and of equals the first.
    k : int
        How many, from 0 to the number of classes.

    Returns
    -------
    array
        Of shape (..., k), in the order of the draws, in the framework's index dtype, on the device of `logits`. Where
        a row has fewer than k entries that are not masked, -1 follows them. All are -1 where `sample` gives -1.

    Raises
    ------
    TypeError
        If k is not an integer; otherwise as for `sample`.
    ValueError
        If k is negative or more than the number of classes; otherwise as for `sample`.

    Notes
    -----
    Each draw has the probabilities softmax(logits / T) of the classes that are left: the Plackett-Luce distribution.
    They are the first k of one Gumbel race, so that the first of them are those of a smaller k; they are not the
    tokens of `sample`. What is promised of those is promised of these: equal logits give equal tokens everywhere. The
    definition is part of `DEFINITION_VERSION`.

    Noise is drawn for every class, so that many classes take longer than they do in `sample`.

    References
    ----------
    W. Kool, H. van Hoof, M. Welling, "Stochastic beams and where to find them: the Gumbel-top-k trick for sampling
    sequences without replacement", ICML 2019.

    Examples
    --------
    >>> import tempscale
    >>> from tempscale import random
    >>> logits = [[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]
    >>> tempscale.sample_without_replacement(logits, random.key(0), 2)
    array([[2, 0],
           [0, 2]])
    """
    return _sample(
        logits,
        key_beside(key, logits=logits, temperature=temperature, where=where),
        temperature=temperature,
        where=where,
        draws=_count(k, "k"),
        replacement=False,
    )


def _prepare(
    backend: Backend,
    logits: Array,
    key: Array,
    /,
    *,
    temperature: Any,
    where: Any,
    draws: int | None,
    replacement: bool,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    logits = as_float(backend, logits, "logits")
    axis = as_axis(backend, logits, -1, "logits")
    classes = backend.shape(logits)[axis]
    if classes is not None and classes > _MOST_CLASSES:
        raise ValueError(f"logits have {classes} classes, expected at most 2**24")
    if not replacement and draws is not None and classes is not None and draws > classes:
        raise ValueError(f"k is {draws}, expected at most the number of classes, {classes}")
    where = as_mask(backend, where, logits)
    key = as_key(backend, key, backend.shape(logits)[:-1])
    temperature = as_factor(backend, temperature, logits, axis)
    if checking():
        check_logits(backend, logits, where, axis, "logits")
    options = {"temperature": temperature, "where": where, "draws": draws, "replacement": replacement}
    return (logits, key), options


@agnostic(prepare=_prepare, arrays=("temperature", "where"))
def _sample(
    logits: Array,
    key: Array,
    /,
    *,
    temperature: Any,
    where: Array | None,
    draws: int | None,
    replacement: bool,
    xp: Any = INJECTED,
) -> Array:
    return tokens_of_batch(logits, key, temperature=temperature, where=where, draws=draws, replacement=replacement)


def key_beside(key: Any, **others: Any) -> Any:
    """Return a key as an array, of the framework and on the device of what is given beside it."""
    key = unwrap(key)
    require_key(key, "; for a key per row tempscale.random.split(key, rows, like=logits)")
    if not isinstance(key, Key):
        return key
    arrays = {name: x for name, x in others.items() if not (x is None or is_number(x) or is_sequence(x))}
    found = [unwrap(x) for x in arrays.values()]
    return host_words(call_backend(found, [*arrays]), key, found[0] if found else None)


def as_key(backend: Backend, key: Array, batch: tuple[int | None, ...]) -> Array:
    """Return the words of a key: of shape (2,), or of one key per row."""
    raw = raw_words(backend, key)
    shape = backend.shape(raw)
    if shape != (2,) and not same_shape(shape, (*batch, 2)):
        raise ValueError(f"key has shape {shape}, expected (2,) for all rows, or one per row, {(*batch, 2)}")
    return raw


def as_factor(backend: Backend, temperature: Any, logits: Array, axis: int) -> Any:
    """Return what `tokens_of_rows` asks for: the factor of a number, or the array."""
    checked = as_temperature(backend, temperature, logits, axis)
    if not is_number(temperature):
        return checked
    # the number itself: what is checked is taken to its limits, for another formula
    return gumbel.number_or_factor(logits, temperature=float(temperature))


def _count(number: Any, name: str, otherwise: str = "") -> int:
    count = as_integer(number, name, otherwise)
    if not 0 <= count < 2**31:
        raise ValueError(f"{name} is {count}, expected an integer of at least 0 and below 2**31")
    return count
