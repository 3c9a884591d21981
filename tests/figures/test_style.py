"""The one legend below a picture: matplotlib's own measures of what was drawn."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nni_wiring.figures.style import Margins, heading, legend_below, new_figure
from nni_wiring.studies.charts import line_chart

LABELS = {
    "six halves": [
        f"{half}, {part}" for half in ("train", "search") for part in ("a", "wrong", "x")
    ],
    "knobs": ["base (DSNAS, single-level)", "weights frozen", "uniform sampling, alpha frozen"] * 3,
    "one long": ["dsnas: alpha against the expected gradient, mean over all cells"],
    "long and short": [
        "a",
        "the longest of all labels that this picture has, by far",
        "b",
        "c",
        "d",
    ],
    "many": [f"operation {k}" for k in range(20)],
    "two": ["wide", "deep"],
}


def chart(labels: list[str]) -> Figure:
    lines = {f"{label}{'.' * k}": [0.0, float(k)] for k, label in enumerate(labels)}
    return line_chart(lines, "a title", "nats")


def drawn(figure: Figure) -> FigureCanvasAgg:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas


@pytest.mark.parametrize("name", LABELS)
def test_the_legend_is_whole_and_below_the_axes(name: str) -> None:
    figure = chart(LABELS[name])
    renderer = drawn(figure).get_renderer()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == len(LABELS[name])
    box = legend.get_window_extent(renderer)
    (axes,) = figure.axes
    around = axes.get_tightbbox(renderer)
    assert around is not None
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width
    assert box.y1 <= around.y0
    for text in legend.get_texts():
        assert text.get_window_extent(renderer).x1 <= box.x1


def test_a_legend_of_one_row_leaves_the_figure_alone() -> None:
    assert tuple(chart(["wide", "deep"]).get_size_inches()) == (6.4, 3.6)


def test_further_rows_leave_axes_and_title_as_they_are() -> None:
    boxes = []
    for labels in (["a"], [f"a rather long label, number {k}" for k in range(9)]):
        figure = new_figure(6, 3, Margins(0.5, 0.25, 0.75, 0.5))
        axes = figure.subplots()
        heading(figure, "title")
        legend_below(figure, {label: axes.plot([1, 2])[0] for label in labels})
        drawn(figure)
        height = figure.get_figheight()
        box = axes.get_position()
        (title,) = figure.texts
        from_top = (height * (1 - box.y1), height * (1 - title.get_position()[1]))
        boxes.append((*from_top, box.height * height, box.x0, box.x1))
    assert height > 3.3
    assert boxes[0] == pytest.approx(boxes[1])
    assert boxes[0][:2] == pytest.approx((0.5, 0.1))
