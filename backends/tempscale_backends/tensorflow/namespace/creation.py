"""Creation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tempscale.backend import Array
from tempscale_backends.tensorflow.namespace._arguments import (
    SCALARS,
    TENSORS,
    as_operand,
    as_shape,
    diagonal_number,
    on,
    promote,
    rank,
    scalar_tensor,
    sizes,
)
from tempscale_backends.tensorflow.namespace._dtypes import DEFAULT_COMPLEX, DEFAULT_FLOAT, INTEGRAL, default_dtype


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
    """Make a tensor from numbers, nested lists or arrays; `copy=False` raises a ValueError where that takes a copy."""
    kind = None if dtype is None else tf.as_dtype(dtype)
    if copy is False:
        return _uncopied(obj, kind, device)
    with on(device):
        if isinstance(obj, TENSORS):
            made = tf.identity(obj) if device is not None or copy or isinstance(obj, tf.Variable) else obj
            return made if kind is None else tf.cast(made, kind)
        if isinstance(obj, (np.ndarray, np.generic)):
            # TensorFlow may take over the memory of a NumPy array
            made = tf.convert_to_tensor(obj.copy() if copy else obj)
            return made if kind is None else tf.cast(made, kind)
        return _from_sequence(obj, kind)


def _uncopied(obj: Any, dtype: Any, device: Any) -> Array:
    reasons = {
        f"a {type(obj).__name__} is not a tensor": not isinstance(obj, tf.Tensor),
        f"the dtype changes to {dtype}": dtype is not None and getattr(obj, "dtype", None) != dtype,
        f"the device changes to {device}": device is not None and not getattr(obj, "device", "").endswith(str(device)),
    }
    for reason, holds in reasons.items():
        if holds:
            raise ValueError(f"asarray(copy=False) would have to copy, because {reason}: leave copy out")
    return obj


def _from_sequence(obj: Any, dtype: Any) -> Array:
    if isinstance(obj, SCALARS):
        kind = default_dtype(obj) if dtype is None else dtype
        obj = int(obj) if isinstance(obj, bool) and kind != tf.bool else obj
        return scalar_tensor(obj, kind) if _holds(kind, obj) else tf.cast(scalar_tensor(obj, default_dtype(obj)), kind)
    leaves = tf.nest.flatten(obj)
    if not leaves or not all(isinstance(leaf, SCALARS) for leaf in leaves):
        made = tf.convert_to_tensor(obj)
        return made if dtype is None else tf.cast(made, dtype)
    types = {type(leaf) for leaf in leaves}
    widest = max((next(kind for kind in SCALARS if issubclass(t, kind)) for t in types), key=SCALARS.index)
    kind = dtype or _default_of(widest, leaves)
    if kind in INTEGRAL and widest in (int, bool):
        for extreme in (min(leaves), max(leaves)):
            scalar_tensor(int(extreme), kind)
    if not _holds(kind, widest(0)):
        return tf.cast(_from_sequence(obj, None), kind)
    python = bool if kind == tf.bool else int if kind in INTEGRAL else complex if kind.is_complex else float
    return tf.constant(obj if types == {python} else tf.nest.map_structure(python, obj), kind)


def _default_of(widest: type, leaves: list[Any]) -> Any:
    if widest is int:
        return max((default_dtype(int(leaf)) for leaf in (min(leaves), max(leaves))), key=lambda d: d.size)
    return default_dtype(widest(0))


def _holds(dtype: Any, number: Any) -> bool:
    """Whether a Python number becomes one of `dtype` without a change of kind that TensorFlow refuses."""
    if isinstance(number, bool):
        return True
    if dtype == tf.bool or isinstance(number, complex):
        return bool(isinstance(number, complex) and dtype.is_complex)
    return isinstance(number, int) or dtype not in INTEGRAL


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Array:
    """Numbers from `start`, `step` apart, before `stop`; 0-d tensors will do where they are not known yet."""
    if stop is None:
        start, stop = 0, start
    with on(device):
        if any(isinstance(x, TENSORS) for x in (start, stop, step)):
            numbers = tf.range(*promote(start, stop, step))
            return numbers if dtype is None else tf.cast(numbers, dtype)
        whole = all(isinstance(x, int) for x in (start, stop, step))
        kind = dtype or (default_dtype(max(start, stop, key=abs)) if whole else DEFAULT_FLOAT)
        count = max(-((start - stop) // step) if whole else math.ceil((stop - start) / step), 0)
        if kind not in INTEGRAL:
            places = tf.range(count, dtype=tf.int64)
            return tf.cast(start + tf.cast(places, tf.float64) * step, kind)
        # modulo 2 ** 64, which is right for uint64 too
        first, apart = (_wrapped(int(x)) for x in (start, step))
        return tf.cast(tf.bitcast(first + tf.range(count, dtype=tf.int64) * apart, _wide_as(kind)), kind)


def _wrapped(n: int) -> Array:
    return tf.constant((n + 2**63) % 2**64 - 2**63, tf.int64)


def _wide_as(dtype: Any) -> Any:
    return tf.uint64 if dtype == tf.uint64 else tf.int64


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array of a shape; its values, here zeros, are not for use."""
    return zeros(shape, dtype=dtype, device=device)


def empty_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array shaped as `x`; its values, here zeros, are not for use."""
    return zeros_like(x, dtype=dtype, device=device)


def eye(n_rows: Any, n_cols: Any = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Array:
    """Ones on the k-th diagonal, zeros elsewhere."""
    with on(device):
        rows, columns = tf.range(n_rows)[:, None], tf.range(n_rows if n_cols is None else n_cols)
        return tf.cast(columns - rows == diagonal_number(k), DEFAULT_FLOAT if dtype is None else dtype)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    """Take over an array of another library; a copy is made for another device, and of memory that lies unaligned."""
    made = x if isinstance(x, tf.Tensor) else _taken_over(x, copy)
    moves = device is not None and not made.device.endswith(str(device))
    if moves and copy is False:
        raise ValueError(f"from_dlpack(copy=False) would have to copy from {made.device} to {device}: leave copy out")
    with on(device if moves else made.device):
        return tf.identity(made) if moves else tf.raw_ops.DeepCopy(x=made) if copy else made


ALIGNMENT, CPU = 64, 1
"""Bytes at a multiple of which kernels expect data, and the number of the CPU among DLPack's devices."""


def _taken_over(x: Any, copy: bool | None) -> Array:
    if x.__dlpack_device__()[0] == CPU and getattr(x, "dtype", None) != "bfloat16":
        host = np.from_dlpack(x)
        if host.ctypes.data % ALIGNMENT or not host.flags.c_contiguous:
            # a kernel would abort the process
            if copy is False:
                raise ValueError(
                    f"from_dlpack(copy=False) would have to copy: the memory of the {type(x).__name__} is not "
                    f"contiguous from an address that is a multiple of {ALIGNMENT}: leave copy out"
                )
            return tf.convert_to_tensor(host.copy())
    return tf.experimental.dlpack.from_dlpack(x.__dlpack__())


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array of a shape, filled with one number."""
    with on(device):
        return tf.fill(as_shape(shape), asarray(as_operand(fill_value), dtype=dtype))


def full_like(x: Array, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array shaped as `x`, filled with one number."""
    return full(sizes(x), fill_value, dtype=x.dtype if dtype is None else dtype, device=device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Array:
    """`num` numbers evenly spaced from `start` to `stop`, which is the last of them if `endpoint`."""
    is_complex = isinstance(start, complex) or isinstance(stop, complex)
    kind = dtype or (DEFAULT_COMPLEX if is_complex else DEFAULT_FLOAT)
    working = tf.complex128 if tf.as_dtype(kind).is_complex else tf.float64
    parts = num - 1 if endpoint else num
    with on(device):
        places = tf.range(num, dtype=tf.int64)
        share = tf.cast(places, tf.float64) / max(parts, 1)
        # start and stop are met exactly, and stop - start may overflow
        ends = [tf.constant(x, working) for x in (start, stop)]
        spread = ends[0] * tf.cast(1 - share, working) + ends[1] * tf.cast(share, working)
        return tf.cast(tf.where(places == 0, ends[0], spread), kind)


def meshgrid(*arrays: Array, indexing: str = "xy") -> list[Array]:
    """Coordinates of a grid, an array for each of its axes; "xy" has the first two axes exchanged, "ij" has not."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing is {indexing!r}: give 'xy' or 'ij'")
    count = len(arrays)
    places = list(range(count))
    if indexing == "xy" and count > 1:
        places[:2] = 1, 0
    flat = [tf.reshape(x, [-1]) for x in arrays]
    lengths = [sizes(flat[places.index(i)])[0] for i in range(count)]
    grids = []
    for x, place in zip(flat, places, strict=True):
        along = [-1 if i == place else 1 for i in range(count)]
        grids.append(tf.broadcast_to(tf.reshape(x, along), lengths))
    return grids


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array of ones."""
    with on(device):
        return tf.ones(as_shape(shape), DEFAULT_FLOAT if dtype is None else dtype)


def ones_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array of ones, shaped as `x`."""
    with on(device):
        return tf.ones_like(x, dtype=dtype)


def tril(x: Array, /, *, k: int = 0) -> Array:
    """Matrices with zeros above the k-th diagonal."""
    return tf.where(_diagonals(x) <= diagonal_number(k), x, tf.zeros_like(x))


def triu(x: Array, /, *, k: int = 0) -> Array:
    """Matrices with zeros below the k-th diagonal."""
    return tf.where(_diagonals(x) >= diagonal_number(k), x, tf.zeros_like(x))


def _diagonals(x: Array) -> Array:
    """Return for each entry of a matrix the number of its diagonal."""
    if rank(x) < 2:
        raise ValueError(f"tril and triu take matrices or stacks of them, not an array of {rank(x)} axes")
    rows, columns = sizes(x)[-2:]
    return tf.range(columns) - tf.range(rows)[:, None]


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array of zeros."""
    with on(device):
        return tf.zeros(as_shape(shape), DEFAULT_FLOAT if dtype is None else dtype)


def zeros_like(x: Array, /, *, dtype: Any = None, device: Any = None) -> Array:
    """Return an array of zeros, shaped as `x`."""
    with on(device):
        return tf.zeros_like(x, dtype=dtype)
