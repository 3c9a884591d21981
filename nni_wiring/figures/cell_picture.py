"""A cell drawn as a graph: colour = operation, line width = Z, dead edges grey and dashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from nni_wiring.figures.palette import INK, MUTED, Look, looks
from nni_wiring.figures.style import Margins, heading, new_figure
from search_spaces.cell_graph import NB201, CellGraph, Wiring

_RADIUS = 0.17
_THICKNESS = 11.0  # points of line width at Z = 1
# NAS-Bench-201 without crossing edges: the direct edge 0-3 arches over node 1.
_NB201_NODES = ((0.0, 0.0), (1.15, 0.64), (2.05, -0.64), (3.2, 0.0))
_NB201_BEND = {"0-3": -0.76}
# Other cells: distances of nodes, and how far an edge bends per layer that it passes over.
_LAYER, _ROW, _ZIGZAG, _ARCH = 1.7, 1.9, 0.28, 0.24
_LABEL = (0.95, 0.31)  # room for a label


class CellDrawing(NamedTuple):
    """The content of a :func:`cell_graph_figure`, as plain data.

    Attributes:
        nodes: (x, y) per node, and last that of the output where it concatenates several nodes.
        labels: text in each node.
        edges: one entry per edge of the graph.
        joins: the nodes that are concatenated into the output; empty if the output is a node.
    """

    nodes: tuple[tuple[float, float], ...]
    labels: tuple[str, ...]
    edges: tuple[DrawnEdge, ...]
    joins: tuple[int, ...] = ()


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
    nodes = _positions(graph)
    bends = _bends(graph, nodes)
    edges = []
    for name, (source, target), operation in zip(
        graph.edge_names, graph.edges, wiring.operations, strict=True
    ):
        weight = z.get(name) if z else None
        edges.append(DrawnEdge(source, target, operation, weight, live[name], bends[name]))
    joins = graph.outputs if graph.concatenates else ()
    return CellDrawing(nodes, _node_labels(graph), tuple(edges), joins)


def cell_graph_figure(
    wiring: Wiring, z: Mapping[str, float] | None = None, title: str = ""
) -> Figure:
    """The cell as a graph (arguments as in :func:`cell_drawing`), at least 6.4 x 4.3 inches."""
    drawing = cell_drawing(wiring, z)
    width, height = _size(drawing)
    figure = new_figure(width, height, Margins(0.1, 0.1, 0.3, 0.4))
    axes = figure.add_subplot()
    styles = looks(edge.operation for edge in drawing.edges)
    for edge, place in zip(drawing.edges, _label_places(drawing), strict=True):
        _draw_edge(axes, drawing, edge, styles[edge.operation], place)
    for node in drawing.joins:
        _draw_join(axes, drawing.nodes[node], drawing.nodes[-1])
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


def _size(drawing: CellDrawing) -> tuple[float, float]:
    """Inches: the cell of NAS-Bench-201 takes 6.4 x 4.3, larger ones more."""
    span = max(x for x, _ in drawing.nodes) - min(x for x, _ in drawing.nodes)
    return max(6.4, min(1.9 * span, 14.0)), 4.3 if len(drawing.edges) <= 6 else 5.6


def _draw_join(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = FancyArrowPatch(
        start, end, arrowstyle="-|>", mutation_scale=9, shrinkA=15, shrinkB=15, color=MUTED, lw=0.9
    )
    arrow.set_zorder(0)
    axes.add_patch(arrow)


def _draw_edge(
    axes: Axes, drawing: CellDrawing, edge: DrawnEdge, style: Look, label: tuple[float, float]
) -> None:
    start, end = (np.array(drawing.nodes[node]) for node in (edge.source, edge.target))
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
        *label,
        text,
        ha="center",
        va="center",
        fontsize=8.5,
        linespacing=1.1,
        color=INK if edge.live else MUTED,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": colour, "lw": 0.8},
        zorder=3,
    )


def _along(drawing: CellDrawing, edge: DrawnEdge, share: float = 0.5) -> tuple[float, float]:
    """Point on matplotlib's arc3: a quadratic Bezier curve with one control point."""
    start, end = (np.array(drawing.nodes[node]) for node in (edge.source, edge.target))
    way = end - start
    control = (start + end) / 2 + edge.bend * np.array([way[1], -way[0]])
    point = (1 - share) ** 2 * start + 2 * share * (1 - share) * control + share**2 * end
    return float(point[0]), float(point[1])


def _label_places(drawing: CellDrawing) -> list[tuple[float, float]]:
    """The place of each edge's label: half way, or where along the edge it hides no other."""
    found: list[tuple[float, float]] = []

    def room(place: tuple[float, float]) -> float:
        """Distance to the nearest label or node, 1 where they just touch."""
        near = [max(abs(place[0] - x) / _LABEL[0], abs(place[1] - y) / _LABEL[1]) for x, y in found]
        nodes = [np.hypot(place[0] - x, place[1] - y) / 0.4 for x, y in drawing.nodes]
        return min([*near, *nodes])

    for edge in drawing.edges:
        places = [_along(drawing, edge, share) for share in (0.5, 0.42, 0.58, 0.34, 0.66, 0.26)]
        found.append(next((place for place in places if room(place) >= 1), max(places, key=room)))
    return found


def _positions(graph: CellGraph) -> tuple[tuple[float, float], ...]:
    """Nodes from left to right by the longest path that leads to them, those of a layer apart."""
    if graph == NB201:
        return _NB201_NODES
    laid = nx.DiGraph()
    laid.add_nodes_from(range(graph.nodes), layer=0)
    laid.add_edges_from(graph.edges)
    if graph.concatenates:
        laid.add_edges_from((node, graph.nodes) for node in graph.outputs)
    for node in sorted(laid):
        before = [laid.nodes[source]["layer"] for source in laid.predecessors(node)]
        laid.nodes[node]["layer"] = max(before, default=-1) + 1
    places = nx.multipartite_layout(laid, subset_key="layer", scale=1.0)
    layers = [laid.nodes[node]["layer"] for node in sorted(laid)]
    found = []
    for node in sorted(laid):
        layer = layers[node]
        mates = [other for other in sorted(laid) if layers[other] == layer]
        row = sorted(mates, key=lambda other: float(places[other][1])).index(node)
        height = _ROW * ((len(mates) - 1) / 2 - row)
        if len(mates) == 1 and node not in graph.inputs and node != graph.nodes:
            height = _ZIGZAG if layer % 2 else -_ZIGZAG  # on a line, edges would hide each other
        found.append((_LAYER * layer, height))
    return tuple(found)


def _bends(graph: CellGraph, nodes: Sequence[tuple[float, float]]) -> dict[str, float]:
    """The height of every edge's arch: edges over a layer, and the second of a pair of edges
    between the same nodes, go around.
    """
    if graph == NB201:
        return {name: _NB201_BEND.get(name, 0.0) for name in graph.edge_names}
    bends = {}
    for place, (name, (source, target)) in enumerate(
        zip(graph.edge_names, graph.edges, strict=True)
    ):
        over = round((nodes[target][0] - nodes[source][0]) / _LAYER) - 1
        height = nodes[source][1] + nodes[target][1]
        side = -1 if height > 0 or (height == 0 and source % 2) else 1
        twin = graph.edges[:place].count((source, target))
        bends[name] = side * min(_ARCH * over**0.5, 0.8) - 0.35 * twin
    return bends


def _node_labels(graph: CellGraph) -> tuple[str, ...]:
    labels = [str(node) for node in range(graph.nodes)]
    for node in graph.inputs:
        labels[node] += "\nin"
    if graph.concatenates:
        return (*labels, "out")
    for node in graph.outputs:
        labels[node] += "\nout"
    return tuple(labels)


def _frame(axes: Axes, drawing: CellDrawing) -> None:
    """Limits that hold all nodes and the labels of the arches, same scale on both axes."""
    points = [*drawing.nodes, *(_along(drawing, edge) for edge in drawing.edges)]
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    axes.set_xlim(low[0] - 0.3, high[0] + 0.3)
    axes.set_ylim(low[1] - 0.25, high[1] + 0.2)
    axes.set_aspect("equal")
    axes.set_axis_off()
