"""Selection by supernet evolution: the best cell that an evolution finds by supernet accuracy."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import torch
from pydantic import Field

from nni_wiring.selection.base import Cells, Selected, SelectionContext
from nni_wiring.selection.evolution import Cell, Evolution, Scheme
from nni_wiring.selection.supernet_ranking import EvaluationSettings, RankedCells
from nni_wiring.supernet.edge_group import EdgeGroup


class SupernetEvolutionSettings(EvaluationSettings):
    """population, generations: cells a generation, and how many, the first, drawn one included.
    parents: the best so far, which children come of. mutation: probability that an edge of a
    mutated child draws its operation anew.
    """

    population: int = Field(default=50, ge=1)
    generations: int = Field(default=20, ge=1)
    parents: int = Field(default=10, ge=1)
    mutation: float = Field(default=0.1, ge=0, le=1)


class SupernetEvolution(RankedCells):
    """The best cell of an evolution by the supernet's accuracy on the search half (single path
    one-shot: Guo et al., ECCV 2020, algorithm 1, with its population 50, 20 generations, 10 parents
    and mutation .1).

    The first generation is uniform over the operations that the edges allow, not over p(alpha). No
    cell is evaluated twice: population x generations cells in all, or the whole space if that is
    smaller. The paper recomputes batch norm's statistics for every cell; here each batch has its
    own unless ``batch_statistics`` is off.
    """

    name: ClassVar[str] = "supernet_evolution"
    summary: ClassVar[str] = "the best cell of an evolution by supernet accuracy (SPOS)"
    at_end: ClassVar[bool] = True
    Settings = SupernetEvolutionSettings
    settings: SupernetEvolutionSettings

    def select(self, context: SelectionContext) -> Selected:
        """Evolve; details: every cell with its accuracy in percent, in order of evaluation."""
        groups = list(context.module.groups)
        choices = [allowed for group in groups for allowed in group.allowed]
        s = self.settings
        scheme = Scheme(s.population, s.generations, s.parents, s.mutation)
        seed = int(torch.randint(2**62, (1,), generator=context.module.generator))
        evolution = Evolution(
            choices,
            lambda cell: self.accuracy(context, by_group(groups, cell)),
            scheme,
            random.Random(seed),
        )
        for number in evolution.run():
            context.progress(number, scheme.budget(choices), "cells of the evolution")
        trace = [
            {"operations": list(by_group(groups, cell).values()), "supernet_accuracy": value}
            for cell, value in evolution.found.items()
        ]
        best = evolution.best()
        details: dict[str, Any] = {"supernet_accuracy": evolution.found[best], "cells": trace}
        return Selected(by_group(groups, best), details)


def by_group(groups: list[EdgeGroup], cell: Cell) -> Cells:
    """The operations of every group's edges out of those of all groups."""
    operations = iter(cell)
    return {group.name: [next(operations) for _ in group.edges] for group in groups}
