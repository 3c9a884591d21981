"""Parts of JSON of unknown origin: what is missing or mistyped becomes None or is left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def pairs(value: object) -> Iterator[tuple[str, Any]]:
    """The entries of an object, none of anything else."""
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())


def dig(value: object, *keys: str) -> Any:
    """The value under a path of keys, None where one of them is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def as_number(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e300 and not math.isnan(value) else None


def as_count(value: object) -> int | None:
    """A whole number from 0, below 2^31."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 2**31 else None  # type: ignore[operator,return-value]


def as_text(value: object) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None


def as_numbers(value: object) -> dict[str, float]:
    """The entries that are finite numbers."""
    found = {key: as_number(item) for key, item in pairs(value)}
    return {key: number for key, number in found.items() if number is not None}


def as_figures(value: object) -> dict[str, float | int | bool]:
    """The entries that are finite numbers or truth values, as they are."""
    return {
        key: item
        for key, item in pairs(value)
        if isinstance(item, bool)
        or (isinstance(item, (int, float)) and as_number(item) is not None)
    }
