"""The style that all pictures share: quiet axes, whole epochs, one legend below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nni_wiring.figures.palette import GRID, INK
from nni_wiring.figures.series import FloatArray

_HEADING: dict[str, Any] = {"fontsize": 11.5, "color": INK}


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
    """One legend for the whole figure, under its axes; `handles` by label."""
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="lower center",
            ncols=min(len(handles), 6),
            frameon=False,
            fontsize=9,
        )
