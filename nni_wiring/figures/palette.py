"""One colour, line style and short label per operation, the same in every picture.

The colours are those of Okabe and Ito (2008), which stay apart under the common forms of colour
blindness; line styles carry the same information once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Look(NamedTuple):
    """An operation's look in pictures: hex colour, matplotlib line style, label of few letters."""

    colour: str
    line: str
    label: str


_LOOKS = {
    "none": Look("#6e6e6e", ":", "none"),
    "skip_connect": Look("#e69f00", "-", "skip"),
    "nor_conv_1x1": Look("#56b4e9", "-", "conv 1×1"),
    "nor_conv_3x3": Look("#0072b2", "-", "conv 3×3"),
    "avg_pool_3x3": Look("#cc79a7", "--", "avg pool 3×3"),
    "max_pool_3x3": Look("#d55e00", "--", "max pool 3×3"),
    "sep_conv_3x3": Look("#0072b2", "--", "sep conv 3×3"),
    "sep_conv_5x5": Look("#004c78", "--", "sep conv 5×5"),
    "dil_conv_3x3": Look("#009e73", ":", "dil conv 3×3"),
    "dil_conv_5x5": Look("#00573f", ":", "dil conv 5×5"),
    "noise": Look("#d55e00", "-.", "noise"),
}
_SPARE = (
    "#009e73", "#d55e00", "#f0e442", "#000000", "#8c564b", "#7f3c8d", "#4c9be8", "#9c9c00",
)  # fmt: skip

INK = "#222222"  # text and axes
MUTED = "#8a8a8a"  # references and dead edges
GRID = "#e4e4e4"
RUN = "#d55e00"  # this run, wherever it stands among others
OPTIMUM = "#009e73"  # the best cell of the table


def look(operation: str) -> Look:
    """Colour, line style and label of `operation`; an unknown one gets a fixed spare colour."""
    known = _LOOKS.get(operation)
    if known is not None:
        return known
    return Look(_SPARE[_place(operation)], "-.", text(operation.replace("_", " "), 24))


def looks(operations: Iterable[str]) -> dict[str, Look]:
    """The look of each of several operations of one picture.

    Unknown ones get different spare colours, as long as there are any.
    """
    found = {name: look(name) for name in operations}
    taken: set[str] = set()
    for name in sorted(found.keys() - _LOOKS.keys()):
        turns = (_SPARE[(_place(name) + step) % len(_SPARE)] for step in range(len(_SPARE)))
        colour = next((one for one in turns if one not in taken), found[name].colour)
        taken.add(colour)
        found[name] = found[name]._replace(colour=colour)
    return found


def _place(operation: str) -> int:
    """The spare colour that an unknown operation prefers."""
    return sum(operation.encode(errors="replace")) % len(_SPARE)


def text(name: str, limit: int = 40) -> str:
    """`name` as matplotlib can write it: one short line, its dollar signs no formulas."""
    clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    cut = clean if len(clean) <= limit else f"{clean[: limit - 3]}..."
    return cut.replace("$", r"\$")
