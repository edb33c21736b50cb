"""The Fourier transform extension. Sizes, axes and norms mean what they do in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import (
    axes_of,
    axis_of,
    on,
    rank,
    size_of,
    sizes,
    sizes_tensor,
    swap_last,
    take_kind,
    tensor,
    wrong_kind,
)
from tempscale_backends.tensorflow.namespace._dtypes import COMPLEX, COMPLEX_OF, DEFAULT_FLOAT, HALF, KINDS
from tempscale_backends.tensorflow.namespace.manipulation import roll

__all__ = [
    "fft",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfftn",
    "rfft",
    "rfftfreq",
    "rfftn",
]

NORMS = ("backward", "ortho", "forward")


def _complex(name: str, x: Array) -> Array:
    x = take_kind(name, "floating", tensor(x))
    return x if x.dtype in COMPLEX else tf.cast(x, COMPLEX_OF[x.dtype])


def _real(name: str, x: Array) -> Array:
    x = take_kind(name, "real floating", tensor(x))
    return tf.cast(x, tf.float32) if x.dtype in HALF else x


def _sized(x: Array, n: Any) -> Array:
    """Cut the last axis to `n` elements, or fill it up with zeros."""
    if x.shape[-1] is not None and x.shape[-1] == n:
        return x
    shape = sizes(x)
    missing = tf.maximum(n - shape[-1], 0)
    zeros = tf.zeros(sizes_tensor([*shape[:-1], missing]), x.dtype)
    return tf.ensure_shape(tf.concat([x[..., :n], zeros], -1), [*x.shape[:-1], n if isinstance(n, int) else None])


def _scaled(x: Array, n: Any, norm: str, inverse: bool) -> Array:
    """Multiply by what the norm asks for beyond what the transform did: 1 forwards, 1/n for an inverse."""
    if norm not in NORMS:
        raise ValueError(f"norm is {norm!r}: give 'backward', 'ortho' or 'forward'")
    if norm == "backward":
        return x
    power = (0.5 if norm == "ortho" else 1.0) * (1 if inverse else -1)
    return x * tf.cast(tf.cast(n, tf.float64) ** power, x.dtype)


def _along(
    transform: Callable[[Array, Any], Array],
    x: Array,
    n: Any,
    axis: int,
    norm: str,
    *,
    inverse: bool,
    half: bool = False,
) -> Array:
    """Transform along one axis; `half` has half of the spectrum only, so `n` is not the size of `x`."""
    place = axis_of(axis, rank(x))
    if n is None:
        n = 2 * (size_of(x, place) - 1) if half else size_of(x, place)
    if isinstance(n, int) and n < 1:
        raise ValueError(f"a Fourier transform has at least 1 point, not {n}")
    found = transform(_sized(swap_last(x, place), n // 2 + 1 if half else n), n)
    return swap_last(_scaled(found, n, norm, inverse), place)


def _forwards(x: Array, n: Any) -> Array:
    return tf.signal.fft(x)


def _backwards(x: Array, n: Any) -> Array:
    return tf.signal.ifft(x)


def _real_forwards(x: Array, n: Any) -> Array:
    return tf.signal.rfft(x, [n])


def _real_backwards(x: Array, n: Any) -> Array:
    return tf.signal.irfft(x, [n])


def fft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """Discrete Fourier transform."""
    return _along(_forwards, _complex("fft", x), n, axis, norm, inverse=False)


def ifft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """Inverse of `fft`."""
    return _along(_backwards, _complex("ifft", x), n, axis, norm, inverse=True)


def rfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """Discrete Fourier transform of real numbers: the half of the spectrum that tells the other."""
    return _along(_real_forwards, _real("rfft", x), n, axis, norm, inverse=False)


def irfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """Inverse of `rfft`: `n` real numbers."""
    return _along(_real_backwards, _complex("irfft", x), n, axis, norm, inverse=True, half=True)


_OPPOSITE = {"backward": "forward", "forward": "backward"}


def hfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """Discrete Fourier transform, of real values, of a signal with Hermitian symmetry, of which half is given."""
    return irfft(tf.math.conj(_complex("hfft", x)), n=n, axis=axis, norm=_OPPOSITE.get(norm, norm))


def ihfft(x: Array, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Array:
    """Inverse of `hfft`: half of a signal with Hermitian symmetry."""
    return tf.math.conj(rfft(x, n=n, axis=axis, norm=_OPPOSITE.get(norm, norm)))


def _axes(x: Array, s: Sequence[int] | None, axes: Sequence[int] | None) -> tuple[list[int], list[Any]]:
    """Return axes, and sizes for them: the last axes if only sizes are given."""
    if axes is None:
        places = list(range(rank(x)))[-len(s) :] if s is not None else list(range(rank(x)))
    else:
        places = axes_of(tuple(axes), rank(x))
    if s is not None and len(s) != len(places):
        raise ValueError(f"there are {len(s)} sizes for {len(places)} axes: give one for each")
    return places, [None] * len(places) if s is None else list(s)


def fftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Array:
    """`fft` along several axes."""
    x = _complex("fftn", x)
    for axis, n in zip(*_axes(x, s, axes), strict=True):
        x = fft(x, n=n, axis=axis, norm=norm)
    return x


def ifftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Array:
    """Inverse of `fftn`."""
    x = _complex("ifftn", x)
    for axis, n in zip(*_axes(x, s, axes), strict=True):
        x = ifft(x, n=n, axis=axis, norm=norm)
    return x


def rfftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Array:
    """`rfft` along the last of several axes, and `fft` along the others."""
    places, counts = _axes(x, s, axes)
    x = rfft(x, n=counts[-1], axis=places[-1], norm=norm)
    return fftn(x, s=counts[:-1], axes=places[:-1], norm=norm) if places[1:] else x


def irfftn(
    x: Array, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Array:
    """Inverse of `rfftn`."""
    places, counts = _axes(x, s, axes)
    if places[1:]:
        x = ifftn(x, s=counts[:-1], axes=places[:-1], norm=norm)
    return irfft(x, n=counts[-1], axis=places[-1], norm=norm)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Array:
    """Frequencies of `fft` with `n` points, `d` apart: those above 0, then those below."""
    return _frequencies("fftfreq", [*range((n + 1) // 2), *range(-(n // 2), 0)], n, d, dtype, device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Array:
    """Frequencies of `rfft` with `n` points, `d` apart."""
    return _frequencies("rfftfreq", list(range(n // 2 + 1)), n, d, dtype, device)


def _frequencies(name: str, numbers: list[int], n: int, d: float, dtype: Any, device: Any) -> Array:
    kind = tf.as_dtype(DEFAULT_FLOAT if dtype is None else dtype)
    if kind not in KINDS["real floating"]:
        raise wrong_kind(name, "real floating", kind)
    with on(device):
        return tf.cast(tf.constant([k / (n * d) for k in numbers], tf.float64), kind)


def _halves(x: Array, axes: int | Sequence[int] | None, shift: Callable[[Any], Any]) -> Array:
    places = tuple(axes_of(axes if axes is None or isinstance(axes, int) else tuple(axes), rank(x)))
    return roll(x, tuple(shift(size_of(x, a)) for a in places), axis=places)


def fftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """Move the zero frequency to the middle."""
    return _halves(x, axes, lambda n: n // 2)


def ifftshift(x: Array, /, *, axes: int | Sequence[int] | None = None) -> Array:
    """Undo `fftshift`."""
    return _halves(x, axes, lambda n: -(n // 2))
