"""array-api-strict: arrays that can do what the Python array API standard promises, and nothing beyond it."""

from __future__ import annotations

from typing import Any, final

import array_api_strict as xp
import numpy as np

from tempscale.backend import Array, Backend
from tempscale_strict import natives as natives

# As strict as it can be, for the whole process: no shape of a result may depend on values.
xp.set_array_api_strict_flags(
    api_version="2024.12", boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()
)

HOST = "CPU_DEVICE"
DEVICES = {name: xp.Device(name) for name in (HOST, "device1", "device2", "no_float64", "no_x64")}
DTYPES: dict[str, Any] = dict(xp.__array_namespace_info__().dtypes())
DEFAULTS = xp.__array_namespace_info__().default_dtypes()


def name_in(table: dict[str, Any], wanted: Any) -> str:
    """Name of a dtype or device; the standard promises that they can be compared, not that they have names."""
    return next(name for name, value in table.items() if value == wanted)


@final
class StrictBackend(Backend):
    """The arrays of `array_api_strict`. It neither differentiates nor compiles."""

    name = "strict"
    array_types = (type(xp.asarray(0.0)),)  # the class has no public name
    floats = ("float32", "float64")
    transforms = False
    unknown_dims = False

    @property
    def version(self) -> str:
        return xp.__version__

    def devices(self) -> tuple[str, ...]:
        return (HOST, "device1")  # both are the host; but arrays of two devices do not mix

    def device_of(self, x: Array) -> str:
        return name_in(DEVICES, x.device)

    def settings(self) -> dict[str, str]:
        return {"standard": xp.__array_api_version__}

    @property
    def namespace(self) -> Any:
        return xp

    def dtype_name(self, x: Array) -> str:
        return name_in(DTYPES, x.dtype)

    def dtype(self, name: str) -> Any:
        if name not in DTYPES:
            raise TypeError(f"array-api-strict has no {name}; there are {', '.join(DTYPES)}")
        return DTYPES[name]

    def default_float(self) -> str:
        return name_in(DTYPES, DEFAULTS["real floating"])

    def default_index(self) -> str:
        return name_in(DTYPES, DEFAULTS["indexing"])

    def asarray(
        self, obj: Any, *, dtype: str | None = None, like: Array | None = None, device: str | None = None
    ) -> Array:
        if device is None:
            device = HOST if like is None else self.device_of(like)
        if device not in DEVICES:
            raise ValueError(f"array-api-strict has no device {device!r}; there are {', '.join(DEVICES)}")
        return xp.asarray(obj, dtype=None if dtype is None else self.dtype(dtype), device=DEVICES[device], copy=True)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return np.from_dlpack(x.to_device(DEVICES[HOST]), copy=True)

    def from_dlpack(self, x: Array) -> Array:
        return xp.from_dlpack(x, copy=False)
