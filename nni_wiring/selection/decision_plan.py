"""Perturbation's decisions, their order and epochs (DARTS-PT's code; theory page, section 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch

from nni_wiring.supernet.edge_group import EdgeGroup
from search_spaces.genotypes import DARTS_GRAPH


class Step(NamedTuple):
    """One decision: the operation of an edge (a row of alpha), or the edges into a node."""

    group: str
    kind: str
    place: int


def decision_epochs(rounds: int, tune_epochs: int) -> list[int]:
    """The tuning epoch that each round of decisions comes before.

    As in the authors' code: at equal intervals from epoch 0, the last one before the last epoch
    (0, 5, 10, 15, 20 and 24 for six rounds in 25 epochs). With fewer epochs than rounds they are
    spread evenly.
    """
    if rounds <= 1 or tune_epochs < rounds:
        return [index * tune_epochs // max(rounds, 1) for index in range(rounds)]
    interval = tune_epochs // (rounds - 1)
    return [*(index * interval for index in range(rounds - 1)), tune_epochs - 1]


def plan(groups: list[EdgeGroup], generator: torch.Generator) -> list[list[Step]]:
    """Rounds of decisions: open edges in random order, then, in DARTS cells, nodes in random order.

    Each kind of cell decides one edge a round (as normal and reduction cells do in the authors'
    code); all choices outside known cells together decide one.
    """
    lone = [group for group in groups if group.graph is None and len(group.allowed[0]) > 1]
    order = torch.randperm(len(lone), generator=generator).tolist()
    queues = [[Step(lone[place].name, "operation", 0) for place in order]]
    for group in groups:
        if group.graph is None:
            continue
        edges = [edge for edge, row in enumerate(group.allowed) if len(row) > 1]
        queue = [Step(group.name, "operation", edge) for edge in _shuffled(edges, generator)]
        if group.graph == DARTS_GRAPH:
            nodes = [
                n for n in DARTS_GRAPH.intermediate_nodes if len(DARTS_GRAPH.edges_into(n)) > 2
            ]
            queue += [Step(group.name, "topology", node) for node in _shuffled(nodes, generator)]
        queues.append(queue)
    rounds = max((len(queue) for queue in queues), default=0)
    return [[queue[r] for queue in queues if r < len(queue)] for r in range(rounds)]


def _shuffled(items: list[int], generator: torch.Generator) -> list[int]:
    return [items[place] for place in torch.randperm(len(items), generator=generator).tolist()]
