"""Rewards that a controller is trained with, written out for all cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nni_wiring.errors import ConfigError
from nni_wiring.search.reopen import reopen
from nni_wiring.strategies.parts.controller import split_cells
from nni_wiring.studies.frame import StudyRun
from nni_wiring.studies.marginals import as_cube
from nni_wiring.studies.policies import Floats
from nni_wiring.studies.truths import table_mark, truth_of
from nni_wiring.supernet.evaluation import one_hot, supernet_accuracy
from nni_wiring.truth import TruthTable

#: By name: accuracies (percent) after 200 and after 12 epochs, and those of a supernet.
REWARDS = ("truth", "e12", "supernet")
_SHORT = 12


def check_rewards(run: StudyRun) -> None:
    """Raises ConfigError for unknown rewards."""
    names = run["rewards"]
    if not names or len(set(names)) < len(names) or not set(names) <= set(REWARDS):
        raise ConfigError(f"rewards={names}: allowed, each once: {', '.join(REWARDS)}")


def reward_cube(run: StudyRun, name: str) -> Floats:
    """One of the REWARDS of all cells, percent, one axis of 5 operations per edge.

    Raises ConfigError where the table has not what the reward asks for.
    """
    truth = truth_of(run)
    if name == "truth":
        return truth.cube()
    if name == "e12":
        if not truth.has(_SHORT):
            raise ConfigError(
                f"rewards: table {truth.table.name} has no accuracies after {_SHORT} epochs; name "
                "another by benchmark=NAME, or leave e12 out"
            )
        return truth.cube(_SHORT)
    table = truth.table
    return as_cube(table, run.part("supernet", lambda: supernet_accuracies(run, table)))


def reward_mark(run: StudyRun, name: str) -> Callable[[], str] | None:
    """The mark of the table that one of the REWARDS is read from; None for a supernet's."""
    return None if name == "supernet" else partial(table_mark, run)


def supernet_accuracies(run: StudyRun, table: TruthTable) -> list[float]:
    """Accuracies of all cells, in the table's order, in a supernet that was trained on uniformly
    drawn cells (seed 1), on the same images of the search half.
    """
    own: dict[str, Any] = {"selection_settings": {"samples": 1, "batches": 1}, "seed": 1}
    found = reopen(run.search("supernet", strategy="random_sampling", **own))
    groups = found.module.groups
    batches = []
    for batch in found.loaders.evaluation:
        batches.append(batch)
        if len(batches) == run["batches"]:
            break
    accuracies = []
    for cell in table.operations.tolist():
        cells = split_cells(cell, groups)
        z = {group.name: one_hot(group, cells[group.name]) for group in groups}
        accuracies.append(supernet_accuracy(found.module.model, batches, z))
    return accuracies
