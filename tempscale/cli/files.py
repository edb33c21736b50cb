"""Reading the user's arrays from .npy and .npz files. Pickles are never read."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from tempscale.cli.errors import UsageError

__all__ = ["read_arrays", "read_logits"]

_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK"
_FLOATS = ("float16", "float32", "float64")

# What NumPy and zipfile raise for a damaged file; MemoryError, because a damaged header may claim any size.
_DAMAGED = (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def read_logits(path: Path, *, key: str | None = None, log: bool = False) -> np.ndarray[Any, Any]:
    """Read rows of logits from a file.

    Parameters
    ----------
    path : Path
        An .npy file or an .npz archive, recognised by its content.
    key : str, optional
        Name of the array in an .npz archive; needed if it holds several.
    log : bool
        Take the natural logarithm of the values, in float64: for a file of probabilities.

    Returns
    -------
    numpy.ndarray
        Rows of logits, shape (rows, classes): floats in the file's dtype, integers and logarithms in float64.

    Raises
    ------
    UsageError
        If the file cannot be read, holds Python objects, or holds no logits. The message says what was found and
        what to do.
    """
    try:
        magic = _first_bytes(path)
        if magic == _NPY_MAGIC:
            array = _read_npy(path, key)
        elif magic.startswith(_ZIP_MAGIC):
            array = _read_npz(path, key)
        else:
            raise UsageError(
                f"{path} is neither an .npy nor an .npz file: save the logits with numpy.save or numpy.savez. No "
                "pickle is ever read, because loading one runs code"
            )
    except _DAMAGED as error:
        raise UsageError(f"cannot read {path}: {_reason(error)}") from error
    rows = _rows(array, path)
    return _logarithm(rows, path) if log else rows


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read all arrays of an .npz archive by name, or the one of an .npy file, whose name is "".

    Raises
    ------
    UsageError
        If the file cannot be read, or holds Python objects.
    """
    try:
        magic = _first_bytes(path)
        if magic == _NPY_MAGIC:
            return {"": _read_npy(path, None)}
        if magic.startswith(_ZIP_MAGIC):
            return {name: _read_npz(path, name) for name in _contents(path)}
    except _DAMAGED as error:
        raise UsageError(f"cannot read {path}: {_reason(error)}") from error
    raise UsageError(f"{path} is neither an .npy nor an .npz file: save arrays with numpy.save or numpy.savez")


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(_NPY_MAGIC))


def _read_npy(path: Path, key: str | None) -> np.ndarray[Any, Any]:
    if key is not None:
        raise UsageError(f"{path} is an .npy file, which holds a single array without a name: leave out --key")
    with path.open("rb") as stream:
        _refuse_objects(_header(stream)[1], path)
    array: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
    return array


def _read_npz(path: Path, key: str | None) -> np.ndarray[Any, Any]:
    found = _contents(path)
    if key is None and len(found) == 1:
        key = next(iter(found))
    if key not in found:
        given = "has several arrays" if key is None else f"has no array {key!r}"
        raise UsageError(f"{path} {given}; choose one with --key: {_listing(found)}")
    _refuse_objects(found[key][1], f"{key!r} in {path}")
    with np.load(path, allow_pickle=False) as archive:
        array: np.ndarray[Any, Any] = archive[key]
    return array


def _contents(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and dtype of each array in an archive, from its header: the arrays themselves may be large."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as stream:
                    found[member.removesuffix(".npy")] = _header(stream)
    if not found:
        raise UsageError(f"{path} is a zip file without arrays; expected an archive that numpy.savez wrote")
    return found


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _listing(found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    return ", ".join(f"{name} (shape {shape}, {dtype.name})" for name, (shape, dtype) in found.items())


def _refuse_objects(dtype: np.dtype[Any], what: object) -> None:
    if dtype.hasobject:
        raise UsageError(
            f"{what} is an array of Python objects, stored as a pickle. Pickles are never read, because loading one "
            "runs code. Save numbers instead: numpy.save(file, array.astype('float32'))"
        )


def _rows(array: np.ndarray[Any, Any], path: Path) -> np.ndarray[Any, Any]:
    """Return an array of any rank as rows of floats, in native byte order."""
    if array.dtype.kind in "iu":
        array = array.astype(np.float64)
    if array.dtype.name not in _FLOATS:
        raise UsageError(
            f"{path} holds {array.dtype.name}; expected {', '.join(_FLOATS)} or integers"
            + ("; save bfloat16 as float32, which keeps every bit" if array.dtype.kind == "V" else "")
        )
    if array.ndim == 0 or array.size == 0:
        raise UsageError(
            f"{path} has shape {array.shape}; expected at least one row of logits, with the classes on the last axis"
        )
    return array.reshape(-1, array.shape[-1]).astype(array.dtype.newbyteorder("="))


def _logarithm(rows: np.ndarray[Any, Any], path: Path) -> np.ndarray[Any, Any]:
    wide = rows.astype(np.float64)
    if (wide < 0).any():
        row, column = map(int, np.argwhere(wide < 0)[0])
        raise UsageError(
            f"--log needs values of at least 0, but {path} has {wide[row, column]:g} in row {row}, "
            f"column {column}: leave out --log if these are logits already"
        )
    with np.errstate(divide="ignore"):  # a probability of 0 becomes -inf, a masked class
        logits: np.ndarray[Any, Any] = np.log(wide)
    return logits


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
