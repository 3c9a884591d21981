"""The derived cell of every kind, its topology, and the topology that p(alpha) expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from matplotlib.figure import Figure

from nni_wiring.figures import cell_graph_figure
from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.records import EpochRecord
from nni_wiring.supernet.derived import one_arch
from search_spaces.cell_graph import Wiring
from search_spaces.operations import canonical_operation

_TAGS = ("width", "depth", "conv_depth", "live_edges", "none_edges", "intermediate_alive")
_EXPECTED = ("width", "depth", "conv_depth", "disconnected")


class DerivedTopology(Statistic):
    """``cells``, ``arch``, ``topology`` and ``topology_expected``; the latter two of a space with
    one kind of cell, the others hold theirs in ``cells``.
    """

    name: ClassVar[str] = "topology"
    fields: ClassVar[tuple[str, ...]] = ("cells", "arch", "topology", "topology_expected")

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """See the base class."""
        cells = epoch.cells
        return {
            "cells": cells,
            "arch": one_arch(cells),
            "topology": next(iter(cells.values())).topology if epoch.only else {},
            "topology_expected": epoch.expected.topology,
        }

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """topology/<figure>, topology/<kind>/<figure> where there are several kinds."""
        found = {f"topology_expected/{n}": record.topology_expected.get(n) for n in _EXPECTED}
        for kind, cell in record.cells.items():
            place = "topology" if len(record.cells) == 1 else f"topology/{kind}"
            found |= {f"{place}/{name}": cell.topology.get(name) for name in _TAGS}
        return found

    def pictures(self, record: EpochRecord, view: View) -> Mapping[str, Figure]:
        """The derived cell of every kind that has a graph: edge width = p(alpha)."""
        found = {}
        for kind, cell in record.cells.items():
            if cell.graph is None:
                continue
            alone = len(record.cells) == 1
            tag, scope = ("cell/derived", "") if alone else (f"cell/{kind}", f"{kind}/")
            weights = {
                edge: record.z.get(scope + edge, {}).get(name) or 0.0
                for edge, name in cell.operations.items()
            }
            names = {edge: canonical_operation(name) for edge, name in cell.operations.items()}
            wiring = Wiring.from_edges(names, cell.graph)
            found[tag] = cell_graph_figure(wiring, weights, f"epoch {record.epoch}")
        return found
