"""One clear line out of a pydantic validation error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic import ValidationError


def one_line_validation(error: ValidationError, what: str, known: Iterable[str]) -> str:
    """Name the setting, what is wrong and what is allowed, for the first error of ``error``.

    Args:
        error: what pydantic raised.
        what: whose settings they are ("strategy darts").
        known: the names that are allowed.
    """
    known = sorted(known)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])  # empty where several do not go together
    if first["type"] == "extra_forbidden":
        return unknown_name(name, what, known)
    message = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    shown = "" if isinstance(value, dict) else f" (got {value!r:.60})"
    more = len(error.errors()) - 1
    where = f"{what}: {name}" if name else what
    return f"{where}: {message}{shown}" + (f"; and {more} more" if more else "")


def unknown_name(name: str, what: str, known: Iterable[str]) -> str:
    """ "... is not a setting", with the nearest known name and the allowed ones."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{what}: {name!r} is not a setting{hint} allowed: {', '.join(known)}"
