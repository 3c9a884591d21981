"""Pictures per edge: alphas and costs over epochs, the wiring timeline, the cost heat map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from nni_wiring.figures.palette import INK, Look, looks, text
from nni_wiring.figures.series import CellCosts, EdgeSeries, FloatArray
from nni_wiring.figures.style import (
    Margins,
    heading,
    legend_below,
    marker,
    new_figure,
    tidy,
    whole_epochs,
)
from search_spaces.cell_graph import CellGraph


def edge_series_figure(
    series: EdgeSeries,
    title: str,
    unit: str,
    reference: Mapping[str, FloatArray] | None = None,
    reference_label: str = "",
) -> Figure:
    """One small chart per edge, one line per operation over epochs (alphas, costs).

    Args:
        series: what to draw.
        title, unit: heading, and the label of the y axes.
        reference: per edge a further line (T,) that the operations are read against.
        reference_label: its name in the legend.
    """
    edges = tuple(series.values)
    columns = min(3, len(edges))
    rows = -(-len(edges) // columns)
    figure = new_figure(9.6, 1.15 + 2.2 * rows, Margins(0.75, 0.15, 0.85, 0.62))
    figure.subplots_adjust(wspace=0.07, hspace=0.24)
    grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    shown: dict[str, Artist] = {}
    styles = looks(name for row in series.values.values() for name in row)
    for axes, edge in zip(grid, edges, strict=False):
        lines = (reference or {}).get(edge)
        shown |= _lines(axes, series.epochs, series.values[edge], styles)
        if lines is not None:
            [line] = axes.plot(series.epochs, lines, ls=(0, (2, 1.5)), lw=1.3, color=INK)
            shown[reference_label] = line
        axes.set_title(_edge_text(edge, series.graph), fontsize=9.5, color=INK)
    for axes in grid[len(edges) :]:
        axes.set_axis_off()
    for place in range(0, len(edges), columns):
        grid[place].set_ylabel(unit, fontsize=9)
    for axes in grid[len(edges) - columns : len(edges)]:
        axes.set_xlabel("epoch", fontsize=9)
    heading(figure, title)
    legend_below(figure, shown)
    return figure


def wiring_timeline_figure(
    states: Sequence[Mapping[str, str]],
    graph: CellGraph | None = None,
    title: str = "",
    operations: Iterable[str] = (),
) -> Figure:
    """The operation of the largest alpha on every edge over epochs, and how many are selected.

    Args:
        states: per epoch, edge name -> operation; the edges of the first epoch are shown.
        graph: tells the roles of the edges; None where it is not known.
        title: heading.
        operations: all that could have been chosen, so that colours are those of other pictures.
    """
    edges = tuple(states[0])
    names = list(dict.fromkeys(state[edge] for edge in edges for state in states))
    styles = looks([*operations, *names])
    colours = {name: _strip_colour(name, styles) for name in names}
    labels = [_edge_text(edge, graph) for edge in edges]
    left = max(1.45, 0.35 + 0.075 * max(map(len, labels)))
    height = 2.6 + 0.2 * max(len(edges), 6)
    figure = new_figure(9.6, height, Margins(left, 0.2, 0.85, 0.42))
    figure.subplots_adjust(hspace=0.08)
    strip, count = figure.subplots(2, 1, sharex=True, height_ratios=[max(len(edges), 6) / 2, 1.3])
    codes = np.array([[names.index(state[edge]) for state in states] for edge in edges])
    _draw_strip(strip, codes, list(colours.values()), labels)
    _draw_count(count, [sum(state[edge] != "none" for edge in edges) for state in states], edges)
    heading(figure, title)
    legend_below(figure, {styles[n].label: Patch(facecolor=colours[n]) for n in names})
    return figure


def cost_heat_map_figure(costs: CellCosts, title: str = "") -> Figure:
    """Z-weighted local cost, cells (rows, first cell on top) x edges; white is zero."""
    cells, edges = costs.values.shape
    height = 1.0 + 0.2 * max(cells, 8)
    width = max(6.4, 2.2 + 0.7 * edges)
    figure = new_figure(width, height, Margins(0.65, 0.3, 0.55, 0.4))
    axes = figure.add_subplot()
    finite = np.abs(costs.values[np.isfinite(costs.values)])
    limit = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    image = axes.imshow(
        np.ma.masked_invalid(costs.values),
        cmap="PuOr_r",
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_facecolor("#d9d9d9")  # shows through where nothing was measured
    labels = [_edge_text(edge, costs.graph, "\n") for edge in costs.edges]
    axes.set_xticks(range(edges), labels, fontsize=8.5)
    step = max(1, -(-cells // 20))
    axes.set_yticks(range(0, cells, step))
    axes.tick_params(axis="y", labelsize=8.5)
    axes.set_ylabel("cell, from the input on", fontsize=9)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, pad=0.03, fraction=0.06)
    bar.set_label("edge cost  Σₖ Zᵏ ∂L/∂Zᵏ  (loss)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    heading(figure, title)
    return figure


def _lines(
    axes: Axes, epochs: ArrayLike, rows: Mapping[str, FloatArray], styles: Mapping[str, Look]
) -> dict[str, Artist]:
    """One line per operation; returns them by label."""
    shown: dict[str, Artist] = {}
    for name, values in rows.items():
        style = styles[name]
        [line] = axes.plot(epochs, values, style.line, color=style.colour, lw=1.8, **marker(values))
        shown[style.label] = line
    tidy(axes)
    whole_epochs(axes)
    return shown


def _draw_strip(
    axes: Axes, codes: np.ndarray, colours: Sequence[str], labels: Sequence[str]
) -> None:
    """A row per edge, a column per epoch, in the colour that `codes` (edges, epochs) picks."""
    edges, epochs = codes.shape
    axes.imshow(
        codes,
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap(list(colours)),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
        extent=(-0.5, epochs - 0.5, edges - 0.5, -0.5),
    )
    axes.set_yticks(range(edges), labels, fontsize=9)
    axes.set_yticks(np.arange(edges - 1) + 0.5, minor=True)
    axes.grid(which="minor", axis="y", color="white", lw=2.5)
    axes.tick_params(which="both", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_count(axes: Axes, selected: Sequence[int], edges: Sequence[str]) -> None:
    """Number of selected edges per epoch."""
    axes.step(np.arange(len(selected)), selected, where="mid", color=INK, lw=1.8)
    axes.set_ylim(-0.4, len(edges) + 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    axes.set_ylabel("selected\nedges", fontsize=9)
    axes.set_xlabel("epoch", fontsize=9)
    tidy(axes)
    whole_epochs(axes)
    axes.set_xlim(-0.5, len(selected) - 0.5)


def _edge_text(edge: str, graph: CellGraph | None, between: str = " ") -> str:
    """`0-1 input`, or the name alone where the graph is not known."""
    role = "" if graph is None else graph.roles.get(edge, "")
    return f"{text(edge, 24)}{between}{role}".strip()


def _strip_colour(name: str, styles: Mapping[str, Look]) -> str:
    """None is drawn pale in a strip, so that what was selected stands out."""
    return "#dddddd" if name == "none" else styles[name].colour
