"""The style that all pictures share: quiet axes, whole epochs, one legend below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from nni_wiring.figures.palette import GRID, INK
from nni_wiring.figures.series import FloatArray

_HEADING: dict[str, Any] = {"fontsize": 11.5, "color": INK}
_POINTS = 72  # an inch
_LEGEND_SIZE = 9  # points
# inches: a legend's handle with the room around it and before the next, a row, its outer room
_HANDLE = (2.0 + 0.8 + 2.0) * _LEGEND_SIZE / _POINTS
_ROW = 1.7 * _LEGEND_SIZE / _POINTS
_OUTSIDE = 0.2


def marker(values: FloatArray) -> dict[str, Any]:
    """Dots while there are so few epochs that a line alone would be hard to see."""
    return {"marker": "o", "ms": 3.5} if len(values) <= 12 else {}


class Margins(NamedTuple):
    """Room around the axes, in inches."""

    left: float
    right: float
    bottom: float
    top: float


def new_figure(width: float, height: float, margins: Margins) -> Figure:
    """A figure of `width` x `height` inches with fixed margins.

    Fixed, because matplotlib's layout engines draw everything twice: TensorBoard gets three of
    these pictures in every epoch.
    """
    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(
        left=margins.left / width,
        right=1 - margins.right / width,
        bottom=margins.bottom / height,
        top=1 - margins.top / height,
    )
    return figure


def heading(figure: Figure, title: str) -> None:
    """Title of the whole figure, just below its upper edge."""
    figure.text(0.5, 1 - 0.1 / figure.get_figheight(), title, ha="center", va="top", **_HEADING)


def tidy(axes: Axes) -> None:
    """Pale grid behind the data, no frame on top and right."""
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#bdbdbd")


def whole_epochs(axes: Axes) -> None:
    """Ticks at whole epochs only."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))


def legend_below(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """One legend for the whole figure, under its axes; `handles` by label.

    It has as many columns as the figure is wide enough for, and the figure grows by its further
    rows, so that none lies on the axes.
    """
    if not handles:
        return
    columns = _columns(list(handles), figure.get_figwidth() - _OUTSIDE)
    _grow_below(figure, _ROW * (-(-len(handles) // columns) - 1))
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=_LEGEND_SIZE,
    )


def _columns(labels: Sequence[str], room: float) -> int:
    """The most columns, at most 6, whose labels fit into `room` inches; at least one."""
    font = FontProperties(size=_LEGEND_SIZE)
    widths = [TextPath((0, 0), label or " ", prop=font).get_extents().x1 for label in labels]
    for columns in range(min(len(labels), 6), 1, -1):
        # matplotlib fills the columns one after the other, the first ones with one more
        rows, longer = divmod(len(labels), columns)
        ends = [place * rows + min(place, longer) for place in range(columns + 1)]
        widest = [max(widths[start:end]) for start, end in pairwise(ends)]
        if sum(widest) / _POINTS + columns * _HANDLE <= room:
            return columns
    return 1


def _grow_below(figure: Figure, inches: float) -> None:
    """Make a figure higher at its bottom; axes and title stay as far from its top as before."""
    before = figure.get_figheight()
    after = before + inches
    figure.set_figheight(after)
    now = figure.subplotpars
    bottom, top = ((share * before + inches) / after for share in (now.bottom, now.top))
    figure.subplots_adjust(bottom=bottom, top=top)
    for text in figure.texts:
        text.set_y((text.get_position()[1] * before + inches) / after)
