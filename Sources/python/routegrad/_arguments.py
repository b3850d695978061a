"""Arguments that are not arrays, as the library takes them.

Limits are the library's: whatever C can hold is handed over, and refused there if it is out of range.
"""

from __future__ import annotations

import numbers
import operator
from typing import Any, Union

import numpy as np

from ._errors import RouteGradError

Mask = Union[None, str, tuple[str, float]]
"""``None`` or ``"none"``, ``("paper", r)``, ``("reference-code", r)``; a rule alone has the threshold 0.1."""


def shown(value: object) -> str:
    """A value in a message: one line, not too long, whatever its ``repr`` does."""
    try:
        return one_line(repr(value))
    except Exception:  # noqa: BLE001 - of a stranger's __repr__
        return f"a value of type {type(value).__name__}"


def one_line(text: str, most: int = 80) -> str:
    """Text with its white space folded, clipped, and with nothing that cannot be encoded."""
    text = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return text if len(text) <= most else text[:most - 1] + "…"


def text(value: object, name: str) -> bytes:
    """A string in UTF-8."""
    if not isinstance(value, str):
        raise RouteGradError(f"{name}: expected a string, got {shown(value)}")
    try:
        encoded = str.encode(value)
    except UnicodeEncodeError as error:
        raise RouteGradError(f"{name}: expected text that UTF-8 can hold, got {shown(value)}") from error
    if b"\0" in encoded:
        raise RouteGradError(f"{name}: expected a string without NUL, got {shown(value)}")
    return encoded


def number(value: object, name: str) -> float:
    """A real number: an ``int``, a ``float``, NumPy's, or an array of no dimensions."""
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # PyTorch's have none
    is_number = isinstance(value, numbers.Real) or getattr(value, "shape", None) == () and kind in "fiu"
    if not is_number or isinstance(value, (bool, np.bool_)):
        raise RouteGradError(f"{name}: expected a number, got {shown(value)}")
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - whatever a stranger's number raises
        raise RouteGradError(f"{name}: expected a number that float64 can hold, got {shown(value)}") from error


def whole(value: object, name: str, *, most: int = 2**63 - 1, least: int = -(2**63)) -> int:
    """A whole number, taken to the nearest that C can hold: no limit of the library is as far out."""
    if isinstance(value, (bool, np.bool_)):
        raise RouteGradError(f"{name}: expected a whole number, got {shown(value)}")
    try:
        found = int(operator.index(value))  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001 - whatever a stranger's number raises
        raise RouteGradError(f"{name}: expected a whole number, got {shown(value)}") from error
    return min(max(found, least), most)


def seed(value: object) -> int:
    """A seed: any number that a uint64 is."""
    found = whole(value, "seed", most=2**64, least=-1)
    if not 0 <= found < 2**64:
        raise RouteGradError(f"seed: expected a whole number from 0 to 2**64 - 1, got {shown(value)}")
    return found


def flag(value: object, name: str) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise RouteGradError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def mask_rule(mask: object) -> tuple[bytes, float]:
    """A mask's rule and threshold."""
    if mask is None:
        return b"none", 0.1
    if isinstance(mask, str):
        return text(mask, "mask rule"), 0.1
    if not isinstance(mask, (tuple, list)) or len(mask) != 2:
        raise RouteGradError(f"mask: expected None, a rule, or a pair of a rule and a threshold, got {shown(mask)}")
    return text(mask[0], "mask rule"), number(mask[1], "mask threshold")
