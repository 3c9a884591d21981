"""Selection by supernet ranking: the best of n sampled cells by the supernet's own accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

from pydantic import Field

from nni_wiring.selection.base import (
    Cells,
    Selected,
    Selection,
    SelectionContext,
    SelectionSettings,
)
from nni_wiring.supernet.evaluation import one_hot, supernet_accuracy


class EvaluationSettings(SelectionSettings):
    """batches: how many batches each cell is evaluated on, in order (AutoDL: one of 512 images;
    None: all of the search half). batch_statistics: how batch norm normalises.
    """

    batches: int | None = Field(default=None, ge=1)
    batch_statistics: bool = True


class SupernetRankingSettings(EvaluationSettings):
    """samples: how many cells are drawn."""

    samples: int = Field(default=100, ge=1)


class RankedCells(Selection):
    """A selection by the supernet's accuracy of single cells."""

    Settings = EvaluationSettings
    settings: EvaluationSettings

    def accuracy(self, context: SelectionContext, cells: Cells) -> float:
        """The supernet's accuracy of one cell, percent."""
        z = {g.name: one_hot(g, cells[g.name]) for g in context.module.groups}
        batches = islice(iter(context.evaluation), self.settings.batches)
        return supernet_accuracy(
            context.module.model, batches, z, batch_statistics=self.settings.batch_statistics
        )


class SupernetRanking(RankedCells):
    """The best of n cells, drawn as the strategy draws them, by the supernet's accuracy on the
    search half (Li & Talwalkar, UAI 2019; the 100 samples are AutoDL's).

    Equal cells are evaluated once; the first wins a tie.
    """

    name: ClassVar[str] = "supernet_ranking"
    summary: ClassVar[str] = "the best of n sampled cells by supernet accuracy"
    at_end: ClassVar[bool] = True
    Settings = SupernetRankingSettings
    settings: SupernetRankingSettings

    def select(self, context: SelectionContext) -> Selected:
        """Draw, evaluate, take the best; details: every cell with its accuracy in percent."""
        samples = self.settings.samples
        return self.best_of(context, (context.module.sample_cells() for _ in range(samples)))

    def best_of(self, context: SelectionContext, candidates: Iterable[Cells]) -> Selected:
        """The best of given cells, as ``select`` of those that it draws."""
        groups = context.module.groups
        found: dict[tuple[tuple[int, ...], ...], float] = {}
        for number, cells in enumerate(candidates):
            key = tuple(tuple(cells[group.name]) for group in groups)
            if key not in found:
                found[key] = self.accuracy(context, cells)
            context.progress(number + 1, self.settings.samples, "sampled cells")
        best = max(found, key=lambda key: found[key])
        trace = [
            {"operations": [list(row) for row in key], "supernet_accuracy": value}
            for key, value in found.items()
        ]
        details: dict[str, Any] = {"supernet_accuracy": found[best], "cells": trace}
        return Selected({g.name: list(row) for g, row in zip(groups, best, strict=True)}, details)
