"""Shell completion of names: strategies, spaces, runs, studies, tables; none imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from nni_wiring.commands import names
from nni_wiring.errors import WiringError

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def completes(known: Callable[[], Iterable[str]]) -> Complete:
    """The ``shell_complete`` of a parameter whose values are names.

    known: gives them. What it cannot read (a damaged list of NNI's) completes to nothing, since a
    shell has no place for an error.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            return [name for name in known() if name.startswith(incomplete)]
        except (WiringError, OSError):
            return []

    return complete


def _runs_or_experiments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Runs; NNI's experiments only behind a first letter, since there may be a thousand."""
    known = names.run_or_experiment_names if incomplete else names.run_names
    return completes(known)(ctx, param, incomplete)


strategy = completes(names.strategy_names)
selection = completes(names.selection_names)
space = completes(names.space_names)
protocol = completes(names.protocol_names)
data = completes(names.data_names)
study = completes(names.study_names)
table = completes(names.table_names)
dataset = completes(names.dataset_names)
split = completes(names.split_names)
run = completes(names.run_names)
experiment = completes(names.experiment_names)
run_or_experiment: Complete = _runs_or_experiments
