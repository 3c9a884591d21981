"""search: one search from flat options, in a run folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni_wiring.runs.store import RunFolder, new_run_id, runs_root
from nni_wiring.search.config import make_config
from nni_wiring.search.loggers import check_logger
from nni_wiring.search.run import OnEpoch, run_search


def search(
    folder: Path | str | None = None, *, on_epoch: OnEpoch | None = None, **options: Any
) -> RunFolder:
    """Search once and return the run, whose ``result()`` holds the cell.

    Args:
        folder: of the run; None: a new one under ``./runs`` or ``$NNI_WIRING_RUNS``.
        on_epoch: called with every epoch's record.
        **options: as ``search --set`` takes them: strategy, space, data, epochs, seed, ...

    Raises:
        WiringError: a bad option, or what else a user can cause, in one line.
    """
    config = make_config(options)
    check_logger(config.run.logger)
    run_id = new_run_id(config.run.strategy, config.run.seed)
    run = RunFolder.create(folder or runs_root() / run_id, run_id, config.flat())
    run_search(config, run, on_epoch=on_epoch)
    return run
