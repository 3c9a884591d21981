"""Local costs: moments of dL/dZ per edge and operation, by phase (S1; theory page, section 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure

from nni_wiring.figures import cost_heat_map_figure
from nni_wiring.figures.kinds import cell_kinds
from nni_wiring.figures.series import cell_costs
from nni_wiring.monitor.epoch import Epoch, Reading, View, plain
from nni_wiring.monitor.local_cost import LocalCost, RunningCost
from nni_wiring.monitor.notes import Noted, Step
from nni_wiring.monitor.statistics.base import Statistic
from nni_wiring.monitor.taps import Site
from nni_wiring.records import CostMoments, EdgeTable, EpochRecord
from nni_wiring.supernet.edge_group import EdgeGroup


class Costs(Statistic):
    """``cost``: moments pooled over cells and steps; ``cost_cells``: the mean of every cell.

    ``cost_cells`` goes by phase, by ``<kind>/<phase>`` where there are several kinds of cell. The
    joint phase is told as weights.
    """

    name: ClassVar[str] = "costs"
    fields: ClassVar[tuple[str, ...]] = ("cost", "cost_cells")

    def start(self, sites: Sequence[Site]) -> None:
        """See the base class."""
        groups = {site.group.name: site.group for site in sites}
        self._groups = {
            kind: GroupCosts(group, [site for site in sites if site.group is group])
            for kind, group in groups.items()
        }

    def reset(self) -> None:
        """See the base class."""
        for group in self._groups.values():
            group.reset()

    def observe(self, step: Step) -> None:
        """One stack and two additions per group and phase."""
        for group in self._groups.values():
            group.observe(step)

    def read(self, epoch: Epoch) -> dict[str, Any]:
        """The one read of the device."""
        moments: dict[str, CostMoments] = {}
        cells: dict[str, list[Any]] = {}
        for kind, reading in epoch.readings.items():
            for phase, cost in self._groups[kind].read().items():
                told = "weights" if phase == "joint" else phase
                known = moments.setdefault(told, CostMoments({}, {}, {}))
                _join(known, _moments(reading, cost))
                key = told if epoch.only else f"{kind}/{told}"
                cells[key] = [[[plain(x) for x in row] for row in cell] for cell in cost.mean]
        return {"cost": moments, "cost_cells": cells}

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """cost/<edge>/<operation>, in every epoch; the cost of none is zero by definition."""
        phase = record.cost.get("alpha") or record.cost.get("weights")
        rows = phase.mean if phase else {}
        return {
            f"cost/{edge}/{operation}": value
            for edge, row in rows.items()
            for operation, value in row.items()
            if operation != "none"
        }

    def pictures(self, record: EpochRecord, view: View) -> Mapping[str, Figure]:
        """A heat map, cells x edges, of every kind of cell."""
        found, kinds = {}, cell_kinds([record])
        for kind in kinds:
            costs = cell_costs(record, kind)
            if costs is not None:
                alone = len(kinds) == 1
                of = "" if alone else f" of {kind.name}"
                tag = "cost/cells" if alone else f"cost/cells/{kind.name}"
                found[tag] = cost_heat_map_figure(costs, f"Local cost{of}, cells x edges")
        return found


def _moments(reading: Reading, cost: LocalCost) -> CostMoments:
    pooled = cost.over_cells()
    return CostMoments(
        mean=reading.table(pooled.mean),
        variance=reading.table(pooled.variance),
        count=reading.table(pooled.steps),
    )


def _join(target: CostMoments, part: CostMoments) -> None:
    """Groups are told apart by the names of their edges."""
    pairs: list[tuple[EdgeTable, EdgeTable]] = [
        (target.mean, part.mean),
        (target.variance, part.variance),
        (target.count, part.count),
    ]
    for own, more in pairs:
        own.update(more)


class GroupCosts:
    """The costs of one edge group: running sums by phase, (cells, edges, operations)."""

    def __init__(self, group: EdgeGroup, sites: Sequence[Site]) -> None:
        self._group = group
        self._sites = sorted(sites, key=lambda site: (site.cell, site.edge or 0))
        self._by_layer = any(site.edge is not None for site in sites)
        self._running: dict[str, RunningCost] = {}

    def reset(self) -> None:
        """Start a new epoch."""
        self._running = {}

    def observe(self, step: Step) -> None:
        """Count the phases in which all sites ran.

        A site that no gradient came back to was cut off from the loss (a sampled cell without a
        live path): what ran there cost nothing, and counts as such.
        """
        for phase, passes in step.passes.items():
            if all(site in passes for site in self._sites):
                costs = step.costs.get(phase, {})
                found = [costs[s] if s in costs else _zero(passes[s]) for s in self._sites]
                gradients, ran = self._by_edge(found) if self._by_layer else _stacked(found)
                self._running.setdefault(phase, RunningCost()).add(gradients, ran)

    def read(self) -> dict[str, LocalCost]:
        """{phase: moments} of the epoch so far."""
        found = {phase: running.read() for phase, running in self._running.items()}
        return {phase: cost for phase, cost in found.items() if cost is not None}

    def _by_edge(self, found: Sequence[Noted]) -> tuple[torch.Tensor, np.ndarray]:
        """Stack the sites of single edges, whose columns are the edge's own."""
        edges, operations = self._group.mask.shape
        rows = []
        for site, (gradient, ran) in zip(self._sites, found, strict=True):
            columns = list(self._group.allowed[site.edge or 0])
            row = gradient
            if columns != list(range(operations)):
                row = gradient.new_zeros(operations)
                row[columns] = gradient
            ran_row = np.zeros(operations, dtype=bool)
            ran_row[columns] = ran
            rows.append(Noted(row, ran_row))
        gradients, ran = _stacked(rows)
        shape = (-1, edges, operations)
        return gradients.reshape(shape), ran.reshape(shape)


def _zero(passed: Noted) -> Noted:
    return Noted(torch.zeros_like(passed.values), passed.ran)


def _stacked(found: Sequence[Noted]) -> tuple[torch.Tensor, np.ndarray]:
    return torch.stack([noted.values for noted in found]), np.stack([noted.ran for noted in found])
