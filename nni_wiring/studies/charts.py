"""The kinds of chart that the studies draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.figures.palette import INK, looks
from nni_wiring.figures.style import (
    Margins,
    heading,
    legend_below,
    new_figure,
    tidy,
    whole_epochs,
)

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def line_chart(
    lines: Mapping[str, Sequence[float | None]], title: str, unit: str, xlabel: str = "epoch"
) -> Figure:
    """One line a label over 0, 1, ...; None is a gap."""
    figure = new_figure(6.4, 3.6, Margins(0.75, 0.15, 0.85, 0.45))
    axes = figure.subplots()
    shown: dict[str, Any] = {}
    for place, (label, values) in enumerate(lines.items()):
        y = np.array([np.nan if v is None else v for v in values], dtype=float)
        [shown[label]] = axes.plot(
            range(len(y)),
            y,
            color=_COLOURS[place % len(_COLOURS)],
            ls=("-", "--", ":")[place // len(_COLOURS) % 3],
            marker="o",
            ms=3,
            lw=1.6,
        )
    axes.axhline(0, color=INK, lw=0.6)
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(unit, fontsize=9)
    tidy(axes)
    heading(figure, title)
    legend_below(figure, shown)
    return figure


def curve_panels(
    panels: Mapping[str, Mapping[str, Sequence[float]]], title: str, unit: str, xlabel: str
) -> Figure:
    """One panel a name, all in one scale: one line a label over 1, 2, ..."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(2.9 * columns, 0.9 + 2.0 * rows, Margins(0.65, 0.1, 0.8, 0.7))
    figure.subplots_adjust(wspace=0.1, hspace=0.4)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    shown: dict[str, Any] = {}
    for axes, (name, curves) in zip(grid, panels.items(), strict=False):
        for place, (label, values) in enumerate(curves.items()):
            x = range(1, len(values) + 1)
            [shown[label]] = axes.plot(x, values, color=_COLOURS[place], lw=1.6)
        axes.set_title(name, fontsize=9.5, color=INK)
        axes.set_xlabel(xlabel, fontsize=9)
        whole_epochs(axes)
        tidy(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for place in range(0, len(panels), columns):
        grid[place].set_ylabel(unit, fontsize=9)
    heading(figure, title)
    legend_below(figure, shown)
    return figure


def operation_bars(
    panels: Mapping[str, Mapping[str, Sequence[float | None]]], title: str, unit: str
) -> Figure:
    """One panel a name: mean and interval ``(mean, low, high)`` of every operation."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(3.1 * columns, 0.8 + 2.1 * rows, Margins(0.75, 0.1, 0.75, 0.7))
    figure.subplots_adjust(wspace=0.1, hspace=0.35)
    grid = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).ravel()
    shown: dict[str, Any] = {}
    styles = looks(operation for bars in panels.values() for operation in bars)
    for axes, (name, bars) in zip(grid, panels.items(), strict=False):
        for place, (operation, values) in enumerate(bars.items()):
            mean, low, high = (np.nan if v is None else v for v in values)
            style = styles[operation]
            bar = axes.bar(place, mean, color=style.colour, width=0.75)
            axes.plot([place, place], [low, high], color=INK, lw=1.1)
            shown[style.label] = bar
        axes.axhline(0, color=INK, lw=0.8)
        axes.set_title(name, fontsize=9.5, color=INK)
        axes.set_xticks([])
        tidy(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for place in range(0, len(panels), columns):
        grid[place].set_ylabel(unit, fontsize=9)
    heading(figure, title)
    legend_below(figure, shown)
    return figure


def label_bars(bars: Mapping[str, float | None], title: str, unit: str) -> Figure:
    """One horizontal bar a label."""
    figure = new_figure(6.4, 0.95 + 0.32 * len(bars), Margins(2.3, 0.3, 0.5, 0.45))
    axes = figure.subplots()
    names = list(bars)
    values = [np.nan if bars[name] is None else float(bars[name] or 0) for name in names]
    axes.barh(range(len(names)), values, color=_COLOURS[0], height=0.65)
    axes.set_yticks(range(len(names)), names, fontsize=8.5)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_xlabel(unit, fontsize=9)
    tidy(axes)
    heading(figure, title)
    return figure


def level_bars(
    panels: Mapping[str, Mapping[str, float]],
    marked: Mapping[str, Mapping[str, float]],
    title: str,
    xlabel: str,
    unit: str,
) -> Figure:
    """One panel a name: a bar at every level (its number as text), dashed lines at marked ones."""
    figure = new_figure(3.4 * len(panels), 3.2, Margins(0.75, 0.15, 0.6, 0.7))
    for axes, (name, bars) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        axes.bar([float(level) for level in bars], list(bars.values()), 0.35, color=_COLOURS[5])
        placed: dict[float, list[str]] = {}
        for label, level in marked.get(name, {}).items():
            placed.setdefault(level, []).append(label)
        for level, labels in placed.items():
            axes.axvline(level, color=_COLOURS[1], lw=1.2, ls="--")
            height = 0.97 * axes.get_ylim()[1]
            text = ", ".join(labels)
            axes.text(level, height, text, rotation=90, ha="right", va="top", fontsize=8)
        axes.set_title(name, fontsize=9.5, color=INK)
        axes.set_xlabel(xlabel, fontsize=9)
        axes.set_ylabel(unit, fontsize=9)
        tidy(axes)
    heading(figure, title)
    return figure


def outline_panels(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    ends: Sequence[float],
    title: str,
    xlabel: str,
    unit: str,
) -> Figure:
    """One panel a name: histograms laid over each other, a label each, as outlines.

    ends: the bins' ends, one more than a histogram has counts.
    """
    figure = new_figure(3.1 * len(panels), 3.2, Margins(0.75, 0.15, 0.85, 0.7))
    shown: dict[str, Any] = {}
    for axes, (name, counts) in zip(
        figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels.items(), strict=True
    ):
        for place, (label, heights) in enumerate(counts.items()):
            shown[label] = axes.stairs(heights, ends, color=_COLOURS[place], lw=1.6)
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_title(name, fontsize=9.5, color=INK)
        axes.set_xlabel(xlabel, fontsize=9)
        tidy(axes)
    figure.axes[0].set_ylabel(unit, fontsize=9)
    heading(figure, title)
    legend_below(figure, shown)
    return figure


def scatter_panels(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float | None]]]], title: str, xlabel: str
) -> Figure:
    """One panel a name, which is its y axis: points ``[xs, ys]`` of every label."""
    figure = new_figure(3.6 * len(panels), 3.4, Margins(0.75, 0.15, 0.85, 0.45))
    figure.subplots_adjust(wspace=0.3)
    shown: dict[str, Any] = {}
    for axes, (name, groups) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for place, (label, points) in enumerate(groups.items()):
            x, y = ([np.nan if v is None else v for v in values] for values in points)
            marker = "osD^v<>"[place % 7]
            shown[label] = axes.scatter(x, y, 26, color=_COLOURS[place], marker=marker)
        axes.set_xlabel(xlabel, fontsize=9)
        axes.set_ylabel(name, fontsize=9)
        tidy(axes)
    heading(figure, title)
    legend_below(figure, shown)
    return figure


def heat_panels(
    panels: Mapping[str, Sequence[Sequence[float | None]]],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    unit: str,
    limit: float,
) -> Figure:
    """One panel a name: a colour and a number a row and column, grey where there is none; colours
    end at +-limit.
    """
    height = 1.95 + 0.24 * len(rows)
    width = 3.3 + 3.7 * len(panels)
    figure = new_figure(width, height, Margins(2.5, 0.8, 1.2, 0.6))
    figure.subplots_adjust(wspace=0.05)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (name, lines) in zip(grid, panels.items(), strict=True):
        z = np.array([[np.nan if v is None else v for v in line] for line in lines], dtype=float)
        axes.set_facecolor("#d9d9d9")
        image = axes.imshow(z, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        for (row, column), value in np.ndenumerate(z):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.7 * limit else INK
                axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=7,
                          color=colour)  # fmt: skip
        axes.set_xticks(range(len(columns)), columns, fontsize=8, rotation=45, ha="right")
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        axes.tick_params(length=0)
        axes.set_title(name, fontsize=9.5, color=INK)
    ends = grid[-1].get_position()
    place = figure.add_axes((1 - 0.7 / width, ends.y0, 0.12 / width, ends.height))
    figure.colorbar(image, cax=place).set_label(unit, fontsize=8.5)
    heading(figure, title)
    return figure
