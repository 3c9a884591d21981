"""Pictures of the truth: histogram of all cells, regret over epochs, strategies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nni_wiring.figures.palette import INK, MUTED, OPTIMUM, RUN, text
from nni_wiring.figures.series import FloatArray
from nni_wiring.figures.style import Margins, heading, marker, new_figure, tidy, whole_epochs

MarkKind = Literal["run", "optimum", "published", "random"]
_KINDS: dict[MarkKind, tuple[str, str, float]] = {  # colour, line style, width
    "run": (RUN, "-", 2.2),
    "optimum": (OPTIMUM, "-", 1.6),
    "published": (MUTED, "-", 1.0),
    "random": (INK, "--", 1.2),
}
_PALE = "#b4b4b4"  # a published row that no run is comparable with


class Mark(NamedTuple):
    """One accuracy (percent) to point out in a picture; `std` is a spread or None."""

    label: str
    value: float
    kind: MarkKind
    std: float | None = None


class Strip(NamedTuple):
    """The accuracies (percent) of the runs of one strategy; `comparable`: with published rows."""

    label: str
    values: tuple[float, ...]
    comparable: bool = True


def truth_histogram_figure(
    values: ArrayLike, marks: Sequence[Mark], title: str = "", unit: str = "true accuracy, %"
) -> Figure:
    """All true accuracies as a histogram (log counts), with `marks` as labelled lines.

    Args:
        values: (n,) accuracies in percent; NaN is left out.
        marks: run, optimum, published rows, mean random cell.
        title, unit: heading and x label.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    figure = new_figure(9.6, 4.3, Margins(0.75, 0.2, 0.55, 1.95))
    axes = figure.add_subplot()
    counts, bounds = np.histogram(array, bins=90)
    axes.stairs(counts, bounds, baseline=0.5, fill=True, color="#c3cfdd")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.6)
    axes.minorticks_off()
    axes.set_ylabel("cells (log scale)", fontsize=9)
    axes.set_xlabel(unit, fontsize=9)
    tidy(axes)
    axes.grid(axis="x", visible=False)
    ordered = sorted((mark for mark in marks if np.isfinite(mark.value)), key=lambda m: m.value)
    low = min([float(array.min()), *(m.value for m in ordered)]) if array.size else 0.0
    high = max([float(array.max()), *(m.value for m in ordered)]) if array.size else 100.0
    margin = 0.02 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    for mark in ordered:
        colour, line, width = _KINDS[mark.kind]
        order = 4 if mark.kind == "run" else 3
        axes.axvline(mark.value, color=colour, ls=line, lw=width, zorder=order)
    _spread_labels(axes, ordered)
    heading(figure, title)
    return figure


def regret_figure(
    epochs: ArrayLike,
    regrets: Mapping[str, FloatArray],
    random_regret: float | None = None,
    title: str = "",
) -> Figure:
    """Percent points that the cell derived in each epoch lies below the best cell.

    Args:
        epochs: (T,) epoch numbers.
        regrets: per line its label and values (T,).
        random_regret: the mean regret of a random cell, a dashed reference.
        title: heading.
    """
    figure = new_figure(9.6, 3.2, Margins(0.75, 0.2, 0.55, 0.45))
    axes = figure.add_subplot()
    styles = zip(regrets.items(), (RUN, "#0072b2", "#009e73", "#cc79a7", INK), strict=False)
    for (label, values), colour in styles:
        axes.plot(epochs, values, color=colour, lw=1.9, label=label, **marker(values))
    if random_regret is not None:
        axes.axhline(random_regret, color=INK, ls="--", lw=1.1, label="mean random cell")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("regret, % points", fontsize=9)
    axes.set_xlabel("epoch", fontsize=9)
    tidy(axes)
    whole_epochs(axes)
    axes.legend(frameon=False, fontsize=9, loc="best")
    heading(figure, title)
    return figure


def comparison_figure(
    strips: Sequence[Strip], marks: Sequence[Mark], title: str = "", unit: str = "true accuracy, %"
) -> Figure:
    """Runs by strategy as points with mean and spread, above published rows; lines for the rest.

    Strips that are not comparable with the published rows stand hollow below them, behind a gap;
    where no strip is comparable, the published rows are pale.
    """
    published = sorted((m for m in marks if m.kind == "published"), key=lambda m: -m.value)
    beside = [strip for strip in strips if strip.comparable]
    apart = [strip for strip in strips if not strip.comparable]
    labels = [text(strip.label, 60) for strip in beside]
    labels += [f"{text(mark.label)} (published)" for mark in published]
    labels += [f"{text(strip.label, 60)}\n(search not comparable)" for strip in apart]
    first_apart = len(beside) + len(published) + 0.6
    below = [first_apart + 1.2 * place for place in range(len(apart))]
    places = [*range(len(beside) + len(published)), *below]
    rows = max(places, default=0) + 1
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    margins = Margins(0.4 + 0.075 * longest, 0.25, 0.6, 0.72)
    figure = new_figure(9.6, 1.5 + 0.3 * max(rows, 3), margins)
    axes = figure.add_subplot()
    for place, strip in zip(places, beside, strict=False):
        _strip(axes, place, strip)
    for place, mark in enumerate(published, start=len(beside)):
        _mean_bar(axes, place, mark.value, mark.std, "#5b5b5b" if beside else _PALE)
    for place, strip in zip(below, apart, strict=True):
        _strip(axes, place, strip)
    if apart and len(places) > len(apart):
        axes.axhline(first_apart - 0.8, color=MUTED, lw=0.8, ls=(0, (1, 3)))
    for mark in marks:
        if mark.kind in ("optimum", "random"):
            colour, line, width = _KINDS[mark.kind]
            axes.axvline(mark.value, color=colour, ls=line, lw=width, label=mark.label, zorder=1)
    axes.set_yticks(places, labels, fontsize=9)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlabel(f"{unit} (bars: mean ± one standard deviation)", fontsize=9)
    tidy(axes)
    for place in range(len(published)) if not beside else ():
        axes.get_yticklabels()[place].set_color(_PALE)
    axes.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    heading(figure, title)
    return figure


def _strip(axes: Axes, place: float, strip: Strip) -> None:
    """The runs of one strategy as dots, hollow if they are not comparable, and their mean."""
    values = np.array(strip.values, dtype=np.float64)
    jitter = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(1)
    face = RUN if strip.comparable else "none"
    axes.scatter(
        values, place + jitter, s=26, alpha=0.75, facecolors=face, edgecolors=RUN, lw=0.9, zorder=3
    )
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    _mean_bar(axes, place, float(values.mean()), spread, RUN, hollow=not strip.comparable)


def _mean_bar(
    axes: Axes, place: float, mean: float, std: float | None, colour: str, hollow: bool = False
) -> None:
    edge, face = (colour, "white") if hollow else ("white", colour)
    axes.errorbar(
        mean,
        place,
        xerr=std,
        fmt="D",
        ms=5.5,
        color=colour,
        mec=edge,
        mfc=face,
        mew=0.8,
        capsize=3,
        zorder=4,
    )


def _spread_labels(axes: Axes, marks: Sequence[Mark]) -> None:
    """Write the marks' names above the axes, pushed apart where their lines are close."""
    low, high = axes.get_xlim()
    width = 0.024  # of the axes, for one line of upright text
    places: list[float] = []
    for mark in marks:
        place = (mark.value - low) / (high - low)
        places.append(max(place, places[-1] + width) if places else place)
    overflow = 1.0
    for index in reversed(range(len(places))):
        places[index] = min(places[index], overflow)
        overflow = places[index] - width
    for mark, place in zip(marks, places, strict=True):
        colour = _KINDS[mark.kind][0]
        axes.annotate(
            f"{text(mark.label)}  {mark.value:.2f}",
            xy=((mark.value - low) / (high - low), 1.0),
            xytext=(place, 1.1),
            xycoords="axes fraction",
            textcoords="axes fraction",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=8,
            fontweight="bold" if mark.kind == "run" else "normal",
            color=colour if mark.kind != "published" else "#5b5b5b",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "relpos": (0.5, 0.0)}
            | {"shrinkA": 0, "shrinkB": 0},
            annotation_clip=False,
        )
