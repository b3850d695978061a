"""Arrays as the library takes them."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._arguments import shown
from ._errors import RouteGradError


def plain_array(values: Any, name: str) -> np.ndarray[Any, Any]:
    """Whatever NumPy takes, and PyTorch tensors on any device, with or without gradient, of any type: bfloat16, which NumPy
    does not have, becomes float32."""
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            try:
                values = values.numpy()
            except TypeError:
                values = values.float().numpy()
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            raise RouteGradError(f"{name}: expected numbers, got an array with entries masked out")
        array = np.asarray(values)
        if _is_small_float(array.dtype):
            array = array.astype(np.float32)
    except RouteGradError:
        raise
    except Exception as error:  # noqa: BLE001 - rows of different length, a list within itself, a stranger's __array__
        raise RouteGradError(f"{name}: expected an array of numbers, got {shown(values)}") from error
    return array


def _is_small_float(dtype: np.dtype[Any]) -> bool:
    """Whether these are the bfloat16 or float8 of JAX, which NumPy takes for raw bytes."""
    return dtype.kind == "V" and dtype.names is None and dtype.name.startswith(("bfloat", "float"))


def as_array(values: Any, name: str, dimensions: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``values`` as a C-contiguous, aligned float64 array; itself, not a copy, if that is what it is."""
    array = plain_array(values, name)
    kind = array.dtype.kind
    # Text, complex numbers and dates are not taken for numbers; whole numbers too large for int64 are objects.
    if array.size and kind not in "biuf" and not (kind == "O" and all(isinstance(x, numbers.Real) for x in array.flat)):
        raise RouteGradError(f"{name}: expected numbers in {dimensions} dimension(s), got {shown(values)} ({array.dtype})")
    if array.ndim != dimensions:
        raise RouteGradError(f"{name}: expected {dimensions} dimension(s), got {array.ndim}")
    try:
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype=np.float64)
    except Exception as error:  # noqa: BLE001 - 10**400, or whatever a stranger's number raises
        raise RouteGradError(f"{name}: expected numbers that float64 can hold, got {shown(values)}") from error
    return array if array.flags.aligned else array.copy()


def whole_numbers(values: Any, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """``values`` as a C-contiguous int64 array of whole numbers, of any dimension."""
    array = plain_array(values, name)
    if array.size and array.dtype.kind not in "iu":
        raise RouteGradError(f"{name}: expected whole numbers, got {shown(values)} ({array.dtype})")
    if array.size and array.max() > np.iinfo(np.int64).max:
        raise RouteGradError(f"{name}: expected whole numbers below 2**63, got {array.max()}")
    array = np.ascontiguousarray(array, dtype=np.int64).reshape(array.shape)
    return array if array.flags.aligned else array.copy()


def plain_mapping(values: Any, name: str, known: tuple[str, ...]) -> dict[str, Any]:
    """A mapping as a dict, with no keys but the known ones."""
    if not isinstance(values, Mapping):
        raise RouteGradError(f"{name}: expected a dict of {', '.join(known)}, got {shown(values)}")
    found = dict(values)
    for key in found:
        if key not in known:
            raise RouteGradError(f"{name}: expected {', '.join(known)}, got {key if isinstance(key, str) else shown(key)}")
    return found


def require_shape(array: np.ndarray[Any, Any] | None, shape: tuple[int, ...], name: str) -> None:
    """Raises unless the array, if there is one, has the shape."""
    if array is not None and array.shape != shape:
        raise RouteGradError(f"{name}: expected shape {list(shape)}, got {list(array.shape)}")


def address(array: np.ndarray[Any, Any] | None) -> int | None:
    """Where the entries are; None stands for NULL."""
    return None if array is None else array.ctypes.data
