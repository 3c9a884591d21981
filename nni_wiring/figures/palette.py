"""One colour, line style and short label per operation, the same in every picture.

The colours are those of Okabe and Ito (2008), which stay apart under the common forms of colour
blindness; line styles carry the same information once more.
"""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """How an operation is drawn: hex colour, matplotlib line style, label of few letters."""

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
    "noise": Look("#d55e00", "-.", "noise"),
}
_SPARE = ("#009e73", "#d55e00", "#f0e442", "#000000")

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
    place = sum(operation.encode()) % len(_SPARE)
    return Look(_SPARE[place], "-.", operation.replace("_", " ")[:24])


def edge_label(name: str, arrow: str = "<-") -> str:
    """`0-2` as the papers write it, `2<-0`; a name of another form is returned as it is."""
    source, dash, target = name.partition("-")
    return f"{target}{arrow}{source}" if dash and source and target else name
