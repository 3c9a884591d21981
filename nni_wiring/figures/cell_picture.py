"""A cell drawn as a graph: colour = operation, line width = Z, dead edges grey and dashed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from nni_wiring.figures.palette import INK, MUTED, look
from nni_wiring.figures.style import Margins, heading, new_figure
from search_spaces.cell_graph import NB201, CellGraph, Wiring

_RADIUS = 0.17
_THICKNESS = 11.0  # points of line width at Z = 1
# NAS-Bench-201 without crossing edges: the direct edge 3<-0 arches over node 1.
_NB201_NODES = ((0.0, 0.0), (1.15, 0.64), (2.05, -0.64), (3.2, 0.0))
_NB201_BEND = {"0-3": -0.76}


class CellDrawing(NamedTuple):
    """What :func:`cell_graph_figure` draws, as plain data.

    Attributes:
        nodes: (x, y) per node.
        labels: text in each node.
        edges: one entry per edge of the graph.
    """

    nodes: tuple[tuple[float, float], ...]
    labels: tuple[str, ...]
    edges: tuple[DrawnEdge, ...]


class DrawnEdge(NamedTuple):
    """One edge of a :class:`CellDrawing`; `weight`: Z (0..1) or None, `bend`: matplotlib's rad."""

    source: int
    target: int
    operation: str
    weight: float | None
    live: bool
    bend: float


def cell_drawing(wiring: Wiring, z: Mapping[str, float] | None = None) -> CellDrawing:
    """Lay `wiring` out.

    Args:
        wiring: the cell.
        z: per edge name the weight Z (0..1) of the operation that was chosen there.
    """
    graph, live = wiring.graph, wiring.live()
    edges = []
    for name, (source, target), operation in zip(
        graph.edge_names, graph.edges, wiring.operations, strict=True
    ):
        weight = z.get(name) if z else None
        edges.append(DrawnEdge(source, target, operation, weight, live[name], _bend(graph, name)))
    return CellDrawing(_positions(graph), _node_labels(graph), tuple(edges))


def cell_graph_figure(
    wiring: Wiring, z: Mapping[str, float] | None = None, title: str = ""
) -> Figure:
    """The cell as a graph (arguments as in :func:`cell_drawing`), 6.4 x 4.3 inches."""
    drawing = cell_drawing(wiring, z)
    figure = new_figure(6.4, 4.3, Margins(0.1, 0.1, 0.3, 0.4))
    axes = figure.add_subplot()
    for edge in drawing.edges:
        _draw_edge(axes, drawing, edge)
    for position, label in zip(drawing.nodes, drawing.labels, strict=True):
        axes.add_patch(
            Circle(position, _RADIUS, facecolor="white", edgecolor=INK, lw=1.6, zorder=4)
        )
        axes.text(*position, label, ha="center", va="center", color=INK, fontsize=10, zorder=5)
    _frame(axes, drawing)
    heading(figure, title)
    key = "dashed: not on a path to the output"
    key = f"line width: Z of the chosen operation; {key}" if z else key
    figure.text(0.5, 0.02, key, fontsize=8, color=MUTED, ha="center", va="bottom")
    return figure


def _draw_edge(axes: Axes, drawing: CellDrawing, edge: DrawnEdge) -> None:
    start, end = (np.array(drawing.nodes[node]) for node in (edge.source, edge.target))
    style = look(edge.operation)
    colour = style.colour if edge.live else "#b9b9b9"
    width = 2.5 if edge.weight is None else 0.8 + _THICKNESS * min(max(edge.weight, 0.0), 1.0)
    arrow = FancyArrowPatch(
        tuple(start),
        tuple(end),
        connectionstyle=f"arc3,rad={edge.bend}",
        arrowstyle="-|>",
        mutation_scale=9 + 1.6 * width if edge.live else 11,
        shrinkA=15,
        shrinkB=15,
        linewidth=width if edge.live else 1.3,
        linestyle="-" if edge.live else (0, (4, 3)),
        color=colour,
        joinstyle="miter",
        zorder=2 if edge.live else 1,
    )
    axes.add_patch(arrow)
    text = style.label if edge.live or edge.operation == "none" else f"{style.label}, dead"
    if edge.weight is not None:
        text += f"\nZ {edge.weight:.2f}"
    axes.text(
        *_middle(start, end, edge.bend),
        text,
        ha="center",
        va="center",
        fontsize=8.5,
        linespacing=1.1,
        color=INK if edge.live else MUTED,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colour, "lw": 0.8},
        zorder=3,
    )


def _middle(start: np.ndarray, end: np.ndarray, bend: float) -> tuple[float, float]:
    """Point half way along matplotlib's arc3: a quadratic Bezier curve with one control point."""
    along = end - start
    control = (start + end) / 2 + bend * np.array([along[1], -along[0]])
    point = (start + 2 * control + end) / 4
    return float(point[0]), float(point[1])


def _positions(graph: CellGraph) -> tuple[tuple[float, float], ...]:
    if graph == NB201:
        return _NB201_NODES
    return tuple((1.3 * node, 0.0) for node in range(graph.nodes))


def _bend(graph: CellGraph, name: str) -> float:
    """How far an edge arches: other graphs stand on one line, so longer edges arch higher."""
    if graph == NB201:
        return _NB201_BEND.get(name, 0.0)
    source, target = graph.edges[graph.edge_index(name)]
    side = 1 if (source + target) % 2 else -1
    return 0.0 if target - source == 1 and name[-1].isdigit() else side * 0.55


def _node_labels(graph: CellGraph) -> tuple[str, ...]:
    labels = [str(node) for node in range(graph.nodes)]
    for node in graph.inputs:
        labels[node] += "\nin"
    for node in graph.outputs:
        labels[node] += "\nout"
    return tuple(labels)


def _frame(axes: Axes, drawing: CellDrawing) -> None:
    """Limits that hold all nodes and the labels of the arches, same scale on both axes."""
    points = list(drawing.nodes)
    for edge in drawing.edges:
        start, end = (np.array(drawing.nodes[node]) for node in (edge.source, edge.target))
        points.append(_middle(start, end, edge.bend))
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    axes.set_xlim(low[0] - 0.3, high[0] + 0.3)
    axes.set_ylim(low[1] - 0.25, high[1] + 0.2)
    axes.set_aspect("equal")
    axes.set_axis_off()
