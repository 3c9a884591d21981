"""An NNI experiment with failed trials ends a command with an error, unless that is allowed."""

from __future__ import annotations

import click

from nni_wiring.errors import RunError
from nni_wiring.service.experiment import NniExperiment

#: ``--allow-failed`` of the commands that judge whole experiments.
allow_failed_option = click.option(
    "--allow-failed", is_flag=True, help="Exit with 0 although trials of the experiment failed."
)


def refuse_failed(*experiments: NniExperiment) -> None:
    """Refuse experiments of which trials failed, each with their count and the first cause.

    Raises:
        RunError: at least one trial failed.
    """
    lines = [_line(experiment) for experiment in experiments if experiment.failed]
    if lines:
        raise RunError(f"{'; '.join(lines)} (--allow-failed accepts this)")


def _line(experiment: NniExperiment) -> str:
    first = experiment.failed[0]
    return (
        f"NNI experiment {experiment.experiment_id}: {len(experiment.failed)} of "
        f"{len(experiment.trials)} trials failed: trial {first.number} ({first.trial_id}): "
        f"{first.error}"
    )
