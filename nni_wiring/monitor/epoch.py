"""The end of an epoch, as statistics read it: alphas, p(alpha) and the derived cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from nni_wiring.monitor.view import View as View
from nni_wiring.records import DerivedCell, EdgeTable
from nni_wiring.selection.genotype import darts_genotype, strongest_pairs
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.supernet.derived import Expectations, derive_cells, expectations
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth import TruthTable
from search_spaces.genotypes import Pairs
from search_spaces.nni_api import pl


class Reading(NamedTuple):
    """One edge group at the end of an epoch.

    Attributes:
        group: the edges that share a table of alphas.
        keys: the names of its edges in a record's tables: "0-1"; "normal/0-1" where a space has
            several kinds of cell; the label of a LayerChoice outside any cell.
        alpha, probabilities: alpha and p(alpha), (edges, operations), float64.
        chosen: the derived cell, a column of alpha for every edge.
    """

    group: EdgeGroup
    keys: tuple[str, ...]
    alpha: np.ndarray
    probabilities: np.ndarray
    chosen: list[int]

    def table(self, values: np.ndarray, keys: Sequence[str] | None = None) -> EdgeTable:
        """(edges, operations) values as {edge: {operation: value}}, allowed entries only; NaN is
        None.
        """
        return {
            key: {self.group.operations[k]: plain(row[k]) for k in allowed}
            for key, row, allowed in zip(keys or self.keys, values, self.group.allowed, strict=True)
        }


def plain(value: Any) -> float | None:
    """A number as Python's own, of the same kind; None for NaN."""
    number: float = value.item()
    return None if number != number else number


@dataclass(frozen=True)
class Epoch:
    """The end of an epoch.

    Attributes:
        number: from 0. steps: search steps in it.
        readings: by kind of cell (edge group).
        module, trainer: the search.
        table: the truth, None without.
    """

    number: int
    steps: int
    readings: Mapping[str, Reading]
    module: pl.LightningModule
    trainer: pl.Trainer
    table: TruthTable | None

    @property
    def loaders(self) -> Sequence[Any]:
        """Of the training data, and where alpha is trained on it, of the search half."""
        combined: Any = getattr(self.trainer.fit_loop, "_combined_loader")  # noqa: B009
        found: Sequence[Any] = combined.flattened
        return found

    @property
    def only(self) -> Reading | None:
        """The reading of the only kind of cell; None where there are several."""
        return next(iter(self.readings.values())) if len(self.readings) == 1 else None

    @cached_property
    def genotype(self) -> str | None:
        """The genotype that the method, or else DARTS, derives now; None for other spaces."""
        if isinstance(self.module, SearchModule):
            return self.module.strategy.genotype()
        groups = [reading.group for reading in self.readings.values()]
        return darts_genotype(groups, self._strongest_pairs)

    def _strongest_pairs(self, group: EdgeGroup) -> Pairs:
        return strongest_pairs(group, torch.from_numpy(self.readings[group.name].probabilities))

    @cached_property
    def cells(self) -> dict[str, DerivedCell]:
        """The derived cell of every kind."""
        groups = [reading.group for reading in self.readings.values()]
        chosen = {kind: reading.chosen for kind, reading in self.readings.items()}
        return derive_cells(groups, chosen, self.table, self.genotype)

    @cached_property
    def expected(self) -> Expectations:
        """The cell's topology expected under p(alpha); empty where there are several kinds."""
        if self.only is None:
            return Expectations({}, None)
        return expectations(self.only.group, self.only.probabilities, self.table)


def read_groups(groups: Sequence[EdgeGroup], module: pl.LightningModule) -> dict[str, Reading]:
    """Read every group, by its name: the strategy's own p(alpha) and cell where the search is one
    of this project, else the softmax of alpha and its argmax.
    """
    alone = len(groups) == 1
    return {group.name: _read(group, module, alone) for group in groups}


def _read(group: EdgeGroup, module: pl.LightningModule, alone: bool) -> Reading:
    alpha = group.current_alpha().double().numpy()
    strategy = module.strategy if isinstance(module, SearchModule) else None
    if strategy is not None and any(group is own for own in strategy.groups):
        p = strategy.relaxation.probabilities(group).detach().cpu().double().numpy()
        chosen = strategy.select(group)
    else:
        p = torch.softmax(group.logits().detach().cpu().double(), dim=-1).numpy()
        chosen = p.argmax(axis=1).tolist()
    return Reading(group, edge_keys(group, alone), alpha, p, chosen)


def edge_keys(group: EdgeGroup, alone: bool) -> tuple[str, ...]:
    """See ``Reading.keys``; alone: whether the space has no other group."""
    if alone:
        return group.edges
    if group.labels == (group.name,):
        return (group.name,)
    return tuple(f"{group.name}/{edge}" for edge in group.edges)
