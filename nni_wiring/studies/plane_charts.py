"""Pictures of a loss on planes: as surfaces and as contours, one panel a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.figures.palette import INK
from nni_wiring.figures.style import Margins, heading, new_figure

#: (a, b) -> loss, a along the rows.
Surfaces = Mapping[str, Sequence[Sequence[float | None]]]

_LEVELS = 14
_TITLE = "Loss on filter-normalised planes"


def surface_panels(surfaces: Surfaces, ticks: Sequence[float], columns: int) -> Figure:
    """Each surface in three dimensions, all in one scale; None is a hole."""
    figure, panels = _panels(surfaces, columns, 2.6, {"projection": "3d"})
    a, b = np.meshgrid(ticks, ticks, indexing="ij")
    grids = {name: _grid(values) for name, values in surfaces.items()}
    low, high = _extent(grids)
    for axes, (name, grid) in zip(panels, grids.items(), strict=True):
        axes.plot_surface(a, b, grid, cmap="viridis", vmin=low, vmax=high, lw=0)
        axes.set_zlim(low, high)
        _label(axes, name)
    heading(figure, f"{_TITLE} (nats)")
    return figure


def contour_panels(surfaces: Surfaces, ticks: Sequence[float], columns: int) -> Figure:
    """Level lines with a colour bar, all panels in one scale; a cross marks the network itself."""
    figure, panels = _panels(surfaces, columns, 2.3, {})
    grids = {name: _grid(values) for name, values in surfaces.items()}
    levels = np.linspace(*_extent(grids), _LEVELS)
    drawn: Any = None
    for axes, (name, grid) in zip(panels, grids.items(), strict=True):
        drawn = axes.contourf(ticks, ticks, grid.T, levels=levels, cmap="viridis")
        axes.contour(ticks, ticks, grid.T, levels=levels, colors="white", linewidths=0.4)
        axes.plot(0, 0, "x", color="#d55e00", ms=6)
        axes.set_aspect("equal")
        _label(axes, name)
    bar = figure.colorbar(drawn, ax=panels, fraction=0.03, pad=0.02, format="%.2f")
    bar.ax.tick_params(labelsize=7, colors=INK)
    heading(figure, f"{_TITLE} (nats)")
    return figure


def _label(axes: Any, name: str) -> None:
    axes.set_title(name, fontsize=9, color=INK)
    axes.tick_params(labelsize=7, colors=INK)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])


def _extent(grids: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Ends of a scale for all known values; never a single point."""
    values = np.concatenate([grid[np.isfinite(grid)] for grid in grids.values()])
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return low, high if high > low else low + 1


def _panels(
    surfaces: Surfaces, columns: int, side: float, options: dict[str, Any]
) -> tuple[Figure, list[Any]]:
    rows = -(-len(surfaces) // columns)
    width = max(side * columns + 0.9, 4.2)
    figure = new_figure(width, side * rows + 0.5, Margins(0.4, 0.55, 0.3, 0.6))
    figure.subplots_adjust(wspace=0.2, hspace=0.28)
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw=options).ravel()
    for axes in grid[len(surfaces) :]:
        axes.set_axis_off()
    return figure, list(grid[: len(surfaces)])


def _grid(values: Sequence[Sequence[float | None]]) -> np.ndarray:
    return np.array([[np.nan if v is None else v for v in row] for row in values], dtype=float)
