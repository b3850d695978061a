"""Arrays as the library takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._errors import RouteGradError


def as_array(values: Any, name: str, dimensions: int) -> np.ndarray:
    """``values`` as a C-contiguous float64 array; itself, not a copy, if that is what it is.

    Takes whatever NumPy takes, and PyTorch tensors on any device, with or without gradient.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RouteGradError(f"{name}: expected numbers in {dimensions} dimension(s): {error}") from error
    if np.ndim(values) != dimensions:
        raise RouteGradError(f"{name}: expected {dimensions} dimension(s), got {np.ndim(values)}")
    return array


def require_shape(array: np.ndarray | None, shape: tuple[int, ...], name: str) -> None:
    """Raises unless the array, if there is one, has the shape."""
    if array is not None and array.shape != shape:
        raise RouteGradError(f"{name}: expected shape {list(shape)}, got {list(array.shape)}")


def address(array: np.ndarray | None) -> int | None:
    """Where the entries are; None stands for NULL."""
    return None if array is None else array.ctypes.data
