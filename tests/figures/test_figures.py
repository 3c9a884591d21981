"""Figures show the data they are given; the shapes are read back from matplotlib."""

from __future__ import annotations

import colorsys
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch

from nni_wiring import figures
from nni_wiring.figures.palette import look, looks, text
from nni_wiring.figures.series import CellCosts, EdgeSeries
from nni_wiring.report.html import png
from search_spaces.cell_graph import NB201, OPERATIONS, CellGraph, Wiring
from search_spaces.genotypes import DARTS_GRAPH, MINIMAL_GRAPH

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|none~2|"


def test_cell_drawing_marks_dead_edges_and_bends_only_the_direct_edge() -> None:
    drawing = figures.cell_drawing(Wiring.from_arch(ARCH), {"0-3": 0.7})
    assert [edge.live for edge in drawing.edges] == [False, False, False, True, False, False]
    assert [edge.weight for edge in drawing.edges] == [None, None, None, 0.7, None, None]
    assert [edge.bend != 0 for edge in drawing.edges] == [False] * 3 + [True] + [False] * 2
    assert drawing.labels == ("0\nin", "1", "2", "3\nout")


def test_cell_graph_colour_width_and_dashes() -> None:
    z = dict(zip(NB201.edge_names, (0.1, 0.9, 0.5, 0.2, 0.3, 0.4), strict=True))
    wiring = Wiring(NB201, ("nor_conv_3x3",) * 2 + ("none",) + ("skip_connect",) * 3)
    [axes] = figures.cell_graph_figure(wiring, z, "title").axes
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    colours = [to_hex(arrow.get_edgecolor()) for arrow in arrows]
    assert colours[:2] == [look("nor_conv_3x3").colour] * 2
    assert colours[3:] == [look("skip_connect").colour] * 3
    widths = [arrow.get_linewidth() for arrow in arrows]
    assert widths[1] > widths[5] > widths[4] > widths[3] > widths[0]
    assert [arrow.get_linestyle() != "-" for arrow in arrows] == [False, False, True] + [False] * 3
    assert "none" in " ".join(text.get_text() for text in axes.texts)


def test_cell_graph_of_another_space() -> None:
    graph = CellGraph((0, 1), 4, ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), (2, 3))
    operations = ("sep_conv_3x3", "none", "skip_connect", "max_pool_3x3", "dil_conv_5x5")
    figure = figures.cell_graph_figure(Wiring(graph, operations))
    assert png(figure).startswith(b"\x89PNG")


def test_edge_series_draws_every_operation_of_every_edge() -> None:
    rng = np.random.default_rng(0)
    values = {e: {o: rng.normal(size=5) for o in OPERATIONS} for e in NB201.edge_names}
    reference = {e: np.arange(5.0) for e in NB201.edge_names}
    series = EdgeSeries(np.arange(5), values, NB201)
    figure = figures.edge_series_figure(series, "t", "u", reference, "mean")
    assert [axes.get_title().split()[0] for axes in figure.axes] == list(NB201.edge_names)
    assert [axes.get_title().split()[1] for axes in figure.axes] == list(NB201.edge_roles)
    for axes, edge in zip(figure.axes, NB201.edge_names, strict=True):
        drawn = [line.get_ydata() for line in axes.lines]
        expected = [*values[edge].values(), reference[edge]]
        np.testing.assert_array_equal(drawn, expected)


def test_timeline_counts_selected_edges() -> None:
    states = [dict.fromkeys(NB201.edge_names, "none") for _ in range(3)]
    states[1] = states[1] | {"0-1": "nor_conv_3x3", "1-2": "skip_connect"}
    strip, count = figures.wiring_timeline_figure(states).axes
    [line] = count.lines
    assert list(line.get_ydata()) == [0, 2, 0]
    [image] = strip.get_images()
    assert np.asarray(image.get_array()).shape == (6, 3)


def test_heat_map_is_centred_on_zero_and_leaves_gaps() -> None:
    values = np.array([[0.0, 1.0, -3.0, np.nan, 0.5, 0.1]] * 2)
    figure = figures.cost_heat_map_figure(CellCosts("alpha", NB201.edge_names, values), "t")
    [image] = [child for child in figure.axes[0].get_children() if isinstance(child, AxesImage)]
    assert image.get_clim() == (-3.0, 3.0)
    masked = np.ma.getmaskarray(image.get_array())
    assert masked.sum() == 2 and masked[:, 3].all()


def test_histogram_counts_every_cell_and_marks_each_value() -> None:
    values = np.concatenate([np.full(10, 10.0), np.linspace(80, 91, 90), [np.nan]])
    marks = [
        figures.Mark("this run", 88.0, "run"),
        figures.Mark("best cell", 91.0, "optimum"),
        figures.Mark("A", 40.0, "published", 1.0),
        figures.Mark("missing", float("nan"), "published"),
    ]
    [axes] = figures.truth_histogram_figure(values, marks).axes
    [stairs] = axes.patches
    assert stairs.get_data().values.sum() == 100
    assert sorted(line.get_xdata()[0] for line in axes.lines) == [40.0, 88.0, 91.0]
    labels = [text.get_text() for text in axes.texts]
    assert labels == ["A  40.00", "this run  88.00", "best cell  91.00"]
    low, high = axes.get_xlim()
    assert low < 10 and high > 91


def test_histogram_labels_do_not_overlap() -> None:
    marks = [figures.Mark(str(k), 90 + k / 100, "published") for k in range(12)]
    [axes] = figures.truth_histogram_figure(np.linspace(10, 91, 50), marks).axes
    places = [text.get_position()[0] for text in axes.texts]
    assert min(np.diff(places)) > 0.02 and min(places) >= 0 and max(places) <= 1


def test_comparison_and_regret_show_references() -> None:
    marks = [figures.Mark("best", 91.6, "optimum"), figures.Mark("P", 80.0, "published", 2.0)]
    strips = [figures.Strip("darts", (70.0, 80.0)), figures.Strip("random", (60.0,))]
    [axes] = figures.comparison_figure(strips, marks).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["darts", "random", "P (published)"]
    regret = {"CIFAR-10 validation": np.array([5.0, np.nan, 1.0])}
    [axes] = figures.regret_figure([0, 1, 2], regret, 7.5).axes
    assert axes.lines[1].get_ydata()[0] == 7.5


def test_operations_can_be_told_apart() -> None:
    looks = [look(name) for name in OPERATIONS]
    assert len({one.colour for one in looks}) == len({one.label for one in looks}) == 5
    # brightness differs too, so that a grey print still tells the two convolutions apart
    bright = {n: colorsys.rgb_to_hls(*to_rgb(look(n).colour))[1] for n in OPERATIONS}
    assert abs(bright["nor_conv_1x1"] - bright["nor_conv_3x3"]) > 0.15
    assert look("my_new_op") == look("my_new_op")


@pytest.mark.parametrize(
    ("name", "label"),
    [("0-2", "0-2"), ("$x$", r"\$x\$"), ("a\nb", "a�b"), ("x" * 50, "x" * 37 + "...")],
)
def test_names_are_written_as_they_are_on_one_short_line(name: str, label: str) -> None:
    assert text(name) == label


def test_figures_need_no_window_system() -> None:
    """pyplot keeps figures alive and may ask for a display: it must not be imported at all."""
    code = "import sys, nni_wiring.figures; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_any_graph_is_laid_out_from_left_to_right() -> None:
    """Every edge leads to the right, no node hides another, and no label another or a node."""
    genotype = [(f"sep_conv_{k}", s) for k, s in enumerate((0, 1, 0, 1, 1, 0, 0, 2))]
    for wiring in (
        Wiring(DARTS_GRAPH, ("sep_conv_3x3",) * 14),
        Wiring(MINIMAL_GRAPH, ("skip_connect",) * 5),
        Wiring.from_genotype(genotype, [2, 3, 4, 5]),
        Wiring.from_genotype([("a", 0), ("b", 0)], [2], inputs=2),  # twice the same edge
    ):
        drawing = figures.cell_drawing(wiring)
        graph = wiring.graph
        assert len(set(drawing.nodes)) == len(drawing.nodes) == graph.nodes + graph.concatenates
        assert all(drawing.nodes[e.source][0] < drawing.nodes[e.target][0] for e in drawing.edges)
        assert len({(e.source, e.target, e.bend) for e in drawing.edges}) == len(graph.edges)
        figure = figures.cell_graph_figure(wiring)
        figure.draw_without_rendering()
        boxes = [t.get_window_extent() for t in figure.axes[0].texts[: len(graph.edges)]]
        overlaps = [a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assert sum(overlaps) <= 1


def test_a_concatenation_is_drawn_as_an_output_of_its_own() -> None:
    drawing = figures.cell_drawing(Wiring(MINIMAL_GRAPH, ("skip_connect",) * 5))
    assert drawing.joins == (2, 3) and drawing.labels == ("0\nin", "1\nin", "2", "3", "out")
    [axes] = figures.cell_graph_figure(Wiring(MINIMAL_GRAPH, ("skip_connect",) * 5)).axes
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == 5 + 2


def test_searches_that_are_not_comparable_stand_apart() -> None:
    marks = [figures.Mark("P", 80.0, "published", 2.0), figures.Mark("best", 91.6, "optimum")]
    strips = [
        figures.Strip("noise", (90.0, 90.5), comparable=False),
        figures.Strip("darts", (70.0,)),
    ]
    [axes] = figures.comparison_figure(strips, marks).axes
    labels = [t.get_text() for t in axes.get_yticklabels()]
    assert labels == ["darts", "P (published)", "noise\n(search not comparable)"]
    beside, apart = (dots for dots in axes.collections if isinstance(dots, PathCollection))
    assert len(beside.get_facecolor()) == 1 and len(apart.get_facecolor()) == 0
    places = axes.get_yticks()
    assert places[2] - places[1] > places[1] - places[0]


def test_unknown_operations_of_one_picture_differ() -> None:
    names = ["pool", "conv", *(f"op{k}" for k in range(6)), "skip_connect"]
    found = looks(names)
    assert len({one.colour for one in found.values()}) == len(names)
    assert found["skip_connect"] == look("skip_connect")
    assert found == looks(reversed(names))
    assert len(looks(str(k) for k in range(100))) == 100  # more than there are colours
