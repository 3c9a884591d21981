"""A finished supernet, and who draws the cells that are ranked on it: a controller, or chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from scipy.stats import kendalltau

from nni_wiring.search.reopen import OpenSearch
from nni_wiring.selection.base import SelectionContext
from nni_wiring.selection.supernet_ranking import SupernetRanking
from nni_wiring.strategies.enas import ENASSettings
from nni_wiring.strategies.engine.optimizers import alpha_adam
from nni_wiring.strategies.parts.controller import (
    Controller,
    Reinforce,
    split_cells,
    train_controller,
)
from nni_wiring.studies.controllers import (
    Cells,
    own_cells,
    policy,
    shape_of,
    uniform_cells,
    untrained,
)
from nni_wiring.studies.frame import Row
from nni_wiring.studies.policies import Floats
from nni_wiring.supernet.evaluation import one_hot, supernet_share


class Truths(NamedTuple):
    """True accuracies (percent) and percentiles of all cells, one axis an edge."""

    accuracy: Floats
    percentile: Floats

    def of(self, cell: Sequence[int]) -> Row:
        """The accuracy and percentile of one cell."""
        place = tuple(cell)
        return {
            "accuracy": float(self.accuracy[place]),
            "percentile": float(self.percentile[place]),
        }


class Ranked(NamedTuple):
    """The best of some cells by a supernet. accuracies: the supernet's, percent, of each cell."""

    best: tuple[int, ...]
    accuracies: list[float]


def controller_of(found: OpenSearch) -> Controller:
    """The controller of a finished search by ENAS, as its training left it."""
    return cast(Controller, found.module.groups[0].get_submodule("controller"))


def taught(found: OpenSearch, settings: ENASSettings, seed: int) -> Controller:
    """A new controller, trained on a finished supernet as ENAS trains its own on a growing one: as
    many updates, each reward on one batch of the search half; the weights do not move.
    """
    controller = untrained(seed).to(found.device)
    parameters = list(controller.parameters())
    adam = alpha_adam(parameters, settings)
    single_level = settings.optimisation == "single_level"
    loader = found.loaders.train if single_level else found.loaders.search
    reinforce = Reinforce(settings.entropy_weight, settings.baseline_decay)
    generator = torch.Generator().manual_seed(seed)
    groups = found.module.groups

    def step(loss: torch.Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.alpha_clip or math.inf)
        adam.step()

    for epoch in range(found.config.theta.epochs):
        loader.set_epoch(epoch)
        batches = chain.from_iterable(iter(lambda: iter(loader), None))

        def reward(cell: list[int], batches: Iterator[Any] = batches) -> torch.Tensor:
            cells = split_cells(cell, groups)
            z = {group.name: one_hot(group, cells[group.name]) for group in groups}
            return supernet_share(found.module.model, [next(batches)], z)

        train_controller(
            controller,
            reinforce,
            reward,
            step,
            generator,
            steps=settings.controller_steps,
            samples=settings.controller_samples,
        )
    return controller


def ranked(found: OpenSearch, cells: Cells, batches: int) -> Ranked:
    """Rank different cells on the first batches of the search half, the same for all.

    Args:
        found: the supernet.
        cells: (n, edges) operation indices.
        batches: how many.
    """
    groups = found.module.groups
    selection = SupernetRanking(samples=len(cells), batches=batches)
    context = SelectionContext(
        found.module, evaluation=found.loaders.evaluation, train=found.loaders.train
    )
    drawn = [split_cells(cell, groups) for cell in cells.tolist()]
    selected = selection.best_of(context, drawn)
    accuracies = [row["supernet_accuracy"] for row in selected.details["cells"]]
    best = [operation for group in groups for operation in selected.cells[group.name]]
    return Ranked(tuple(best), accuracies)


def arms(
    found: OpenSearch, controller: Controller, truths: Truths, seed: int, *, n: int, batches: int
) -> dict[str, Row]:
    """Both samplers on one supernet: n different cells of the controller's, and n uniform ones,
    which are the same for every supernet of a seed. tau: of the supernet, over the uniform ones.
    """
    p = policy(controller)
    flat = np.full_like(p, 1 / p.size)
    uniform = uniform_cells(n, seed)
    drawn = {"controller": (p, own_cells(p, n, seed)), "uniform": (flat, uniform)}
    rows: dict[str, Row] = {}
    for sampler, (q, cells) in drawn.items():
        result = ranked(found, cells, batches)
        true = truths.accuracy[tuple(cells.T)]
        rows[sampler] = {
            "cell": list(result.best),
            "supernet_accuracy": max(result.accuracies),
            **truths.of(result.best),
            "candidates": float(true.mean()),
            "candidates_percentile": float(truths.percentile[tuple(cells.T)].mean()),
            "tau": float(kendalltau(result.accuracies, true).statistic),
            **{name: shape_of(q, truths.accuracy)[name] for name in ("expectation", "entropy")},
        }
    return rows
