"""The critical-difference diagram of methods' mean ranks (Demsar, JMLR 2006, figure 1)."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from nni_wiring.figures.palette import INK, MUTED, RUN, text
from nni_wiring.figures.style import Margins, heading, new_figure


def not_apart(ranks: Mapping[str, float], critical: float) -> list[tuple[str, ...]]:
    """The largest groups of methods whose mean ranks span no more than the critical difference.

    Args:
        ranks: method -> mean rank.
        critical: two ranks further apart differ.

    Returns:
        Groups of two or more, each by rising rank; none lies within another.
    """
    order = sorted(ranks, key=lambda name: ranks[name])
    groups: list[tuple[str, ...]] = []
    reached = 0
    for start, first in enumerate(order):
        end = sum(ranks[name] - ranks[first] <= critical + 1e-12 for name in order)
        if end > max(reached, start + 1):
            groups.append(tuple(order[start:end]))
            reached = end
    return groups


def critical_difference_figure(
    ranks: Mapping[str, float], critical: float, title: str = ""
) -> Figure:
    """Methods on an axis of mean ranks, best on the left; bars join those that are not apart.

    Args:
        ranks: method -> mean rank, 1 for the best.
        critical: two ranks further apart differ; drawn as a scale above the axis.
        title: heading.
    """
    order = sorted(ranks, key=lambda name: ranks[name])
    groups = not_apart(ranks, critical)
    rows = (len(order) + 1) // 2
    first_row = 0.6 + 0.3 * len(groups)
    below = first_row + 0.55 * rows
    figure = new_figure(9.6, 1.5 + 0.42 * (below + 1.0), Margins(2.6, 2.6, 0.15, 0.5))
    axes = figure.add_subplot()
    axes.set_xlim(1, len(order))
    axes.set_ylim(below, -1.4)
    axes.axis("off")
    axes.plot([1, len(order)], [0, 0], color=INK, lw=1.2, clip_on=False)
    for tick in range(1, len(order) + 1):
        axes.plot([tick, tick], [0, -0.14], color=INK, lw=1.2, clip_on=False)
        axes.text(tick, -0.2, str(tick), ha="center", va="bottom", fontsize=9, color=INK)
    for place, name in enumerate(order):
        left = place < rows
        row = first_row + 0.55 * (place if left else len(order) - 1 - place)
        side = 1 if left else len(order)
        rank = ranks[name]
        axes.plot([rank, rank, side], [0, row, row], color=MUTED, lw=0.9, clip_on=False)
        axes.plot(rank, 0, "o", color=RUN, ms=5, clip_on=False, zorder=4)
        said = text(f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}", 40)
        gap = -6 if left else 6
        axes.annotate(
            said, (side, row), (gap, 0), textcoords="offset points", fontsize=9, color=INK,
            ha="right" if left else "left", va="center", annotation_clip=False,
        )  # fmt: skip
    for place, group in enumerate(groups):
        height = 0.3 + 0.3 * place
        ends = [ranks[group[0]] - 0.02, ranks[group[-1]] + 0.02]
        axes.plot(ends, [height] * 2, color=INK, lw=4, solid_capstyle="butt", clip_on=False)
    _scale(figure, critical)
    heading(figure, title)
    return figure


def _scale(figure: Figure, critical: float) -> None:
    """The critical difference as a bar above the axis, from rank 1 on."""
    [axes] = figure.axes
    axes.plot([1, 1 + critical], [-0.95] * 2, color=INK, lw=1.2, marker="|", ms=7, clip_on=False)
    axes.text(
        1 + critical / 2, -1.05, f"CD = {critical:.2f}", ha="center", va="bottom", fontsize=9,
        color=INK,
    )  # fmt: skip
