"""RunWriter: the run folder of a search that runs in somebody's own program."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nni_wiring.monitor.event_file import RunLogger
from nni_wiring.monitor.references import write_references
from nni_wiring.monitor.statistics import Statistic
from nni_wiring.monitor.tab import TabSink
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.monitor.view import View
from nni_wiring.records import DerivedCell, EpochRecord
from nni_wiring.runs.result import SearchResult
from nni_wiring.runs.store import RunFolder, new_run_id
from nni_wiring.selection.base import Selected
from nni_wiring.selection.describe import read_off, selected_cells
from nni_wiring.strategies.engine.search_module import SearchModule
from search_spaces.nni_api import pl


class RunWriter:
    """Writes what ``search`` writes, but for the checkpoint: the folder is one that ``analyze``,
    ``compare`` and ``tensorboard`` understand.

    What the program does not tell (its data, often its seed) is not in the config.
    """

    def __init__(self, path: Path, view: View) -> None:
        self._path, self._view = path, view
        self._folder: RunFolder | None = None

    def start(
        self, trainer: pl.Trainer, module: pl.LightningModule, statistics: Sequence[Statistic]
    ) -> None:
        """Make the folder. Raises RunError where there is a run already."""
        config = known_config(trainer, module)
        if self._view.table is not None:
            config |= {"dataset": self._view.dataset, "benchmark": self._view.table.name}
        run_id = new_run_id(config["strategy"], config.get("seed"))
        self._folder = RunFolder.create(self._path, run_id, config)
        self._logger = RunLogger(self._path, self._folder.tensorboard.name)
        epochs = trainer.max_epochs or 0
        self._pictures = TensorBoardSink(self._logger, *self._view, epochs, statistics)
        self._tab = TabSink(self._logger.experiment, self._view, run_id, config)

    def epoch(self, record: EpochRecord, values: Mapping[str, float]) -> None:
        """Write an epoch's record, scalars and pictures."""
        if self._folder is None:
            return
        self._folder.append_epoch(record)
        self._logger.log_metrics(dict(values), step=record.epoch)
        self._pictures(record)
        self._tab(record)

    def finish(self, module: pl.LightningModule, records: Sequence[EpochRecord]) -> None:
        """Write the result: the cell that the search hands over, which a selection at its end may
        have found.
        """
        if self._folder is None:
            return
        if records:
            result = self._result(module, records[-1])
            self._folder.write_result(result)
            self._tab.finish(records, result.to_json())
        if self._view.table is not None and records:
            tensorboard, epochs = self._folder.tensorboard, records[-1].epoch + 1
            write_references(tensorboard, self._view.dataset, epochs, self._view.table)
        self._end("finished")

    def fail(self, error: BaseException) -> None:
        """The search ended early."""
        if isinstance(error, KeyboardInterrupt):
            self._end("interrupted", "stopped by the user")
        else:
            line = next(iter(str(error).splitlines()), "")
            self._end("failed", f"{type(error).__name__}: {line:.200}".rstrip(": "))

    def _end(self, status: str, error: str | None = None) -> None:
        if self._folder is not None and self._folder.status == "running":
            self._logger.finalize("success" if error is None else "failed")
            self._folder.set_status(status, error)

    def _result(self, module: pl.LightningModule, last: EpochRecord) -> SearchResult:
        assert self._folder is not None
        cells = handed_over(module, self._view) or last.cells
        read = read_off(cells, self._folder.run_id, _selection(module), self._view.dataset)
        return SearchResult(
            **vars(read),
            config=self._folder.config,
            default=last.headline(self._view.dataset, read.truth),
        )


def known_config(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
    """The options that a search tells of itself, under the names of ``search``'s options."""
    config: dict[str, Any] = {
        "strategy": type(module).__name__.removesuffix("LightningModule"),
        "space": type(module.model).__name__,
        "epochs": trainer.max_epochs,
    }
    if isinstance(module, SearchModule):
        strategy = module.strategy
        config |= {"strategy": strategy.name} | strategy.settings.model_dump(mode="json")
    seed = os.environ.get("PL_GLOBAL_SEED", "")  # where Lightning's seed_everything keeps it
    if seed.isdecimal():
        config["seed"] = int(seed)
    return config


def handed_over(module: pl.LightningModule, view: View) -> dict[str, DerivedCell]:
    """The cells that a search of this project exports; of NNI's own, whose export is the argmax of
    alpha, or drawn, none.
    """
    if not isinstance(module, SearchModule):
        return {}
    strategy = module.strategy
    details = {} if strategy.selected is None else strategy.selected.details
    chosen = Selected({group.name: strategy.chosen(group) for group in strategy.groups}, details)
    return selected_cells(strategy.groups, chosen, view.table, strategy.genotype())


def _selection(module: pl.LightningModule) -> str:
    return module.strategy.selection.name if isinstance(module, SearchModule) else "magnitude"
