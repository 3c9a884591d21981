"""The house's docstrings as griffe reads them: roles as code, one name an item.

Called by mkdocstrings (``extensions`` in mkdocs.yml).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
_SECTION = re.compile(r"( *)(?:Args|Attributes):$")
_SHARED = re.compile(r"( +)(\*{0,2}\w+(?:, \*{0,2}\w+)+): (.+)")


class HouseStyle(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Leave the names of roles in backticks, and give names that share a text one each."""
        if obj.docstring is not None:
            obj.docstring.value = one_name_an_item(_ROLE.sub(r"`\1`", obj.docstring.value))


def one_name_an_item(docstring: str) -> str:
    """``a, b: text`` in Args and Attributes as two items of the same text."""
    return "\n".join(line for block in _blocks(docstring.split("\n")) for line in block)


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Lines that stay together; an item of several names is repeated for each."""
    section, place = None, 0
    while place < len(lines):
        end = place + 1
        opened = _SECTION.fullmatch(lines[place])
        if opened:
            section = len(opened[1])
        elif lines[place].strip() and section is not None and _indent(lines[place]) <= section:
            section = None
        shared = None if section is None else _SHARED.fullmatch(lines[place])
        if shared is None:
            yield lines[place:end]
        else:
            while end < len(lines) and _indent(lines[end]) > len(shared[1]):
                end += 1
            for name in shared[2].split(", "):
                yield [f"{shared[1]}{name}: {shared[3]}", *lines[place + 1 : end]]
        place = end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
