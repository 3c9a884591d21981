"""run_search: one search from a config into a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.monitor.event_file import RunLogger
from nni_wiring.monitor.scalars import scalars
from nni_wiring.monitor.statistics import Statistic
from nni_wiring.monitor.tab import TabSink
from nni_wiring.monitor.tensorboard import TensorBoardSink, write_references
from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord
from nni_wiring.runs.result import SearchResult
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.assemble import Assembly, assemble
from nni_wiring.search.checkpoint import RunCheckpoint, restore_trained, search_epochs
from nni_wiring.search.config import RunConfig
from nni_wiring.search.describe import describe
from nni_wiring.search.kept import resume_point
from nni_wiring.search.loggers import second_logger, tell
from nni_wiring.search.precision import set_precision
from nni_wiring.search.process import (
    BuildTurn,
    cpu_threads,
    one_at_a_time,
    quiet,
    threads_of,
)
from nni_wiring.search.whole_run import whole_run
from nni_wiring.selection.base import Progress, Selected
from nni_wiring.truth.provenance import in_words
from search_spaces.nni_api import Lightning, Logger, Trainer, pl

OnEpoch = Callable[[EpochRecord], None]


def run_search(
    config: RunConfig,
    folder: RunFolder,
    *,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
    on_selection: Progress = lambda done, total, what: None,
    probes: Sequence[pl.Callback] = (),
    statistics: Sequence[Statistic] = (),
) -> SearchResult:
    """Search, writing the run folder as it goes; return what ``result.json`` holds.

    resume: go on after the last whole epoch of ``folder``; the result is that of an uninterrupted
    run. on_epoch: called with every epoch's record. on_selection: called with
    done, total and the thing done, by a selection that takes long.
    probes: further callbacks of the trainer. statistics: measured beside the registered ones.
    Raises WiringError, one line; the folder's status then is "failed" (or "interrupted" on Ctrl-C,
    which is raised again as KeyboardInterrupt, and on SearchStopped). Raises OwnedError, and leaves
    the folder as it is, while another process writes it. May run in several threads at once: all
    but the building of the supernets then goes on side by side.
    """

    def work() -> SearchResult:
        threads = threads_of(config.run.threads, folder)
        with quiet(), cpu_threads(threads), BuildTurn() as turn:
            callbacks = [*probes, turn]
            done = _prepare_resume(folder, config) if resume else 0
            # before the search seeds its generators: what another package draws moves none of them
            with second_logger(config.run.logger, folder, config.flat()) as others:
                return _search(
                    config, folder, done, others, on_epoch, on_selection, callbacks, statistics
                )

    return whole_run(folder, work, resume=resume)


def _search(
    config: RunConfig,
    folder: RunFolder,
    done: int,
    others: Sequence[Logger],
    on_epoch: OnEpoch | None,
    on_selection: Progress,
    probes: Sequence[pl.Callback],
    statistics: Sequence[Statistic],
) -> SearchResult:
    """Assemble, fit or restore, finish."""
    parts = assemble(config)
    folder.note(truth_dataset=parts.dataset)
    logger = _logger(folder, config.flat(), done)
    provenance = parts.provenance
    if provenance is not None:
        logger.experiment.add_text("provenance", f"Truth: {in_words(provenance)}.", 0)
    monitor = WiringMonitor(parts.table, parts.dataset, [folder.append_epoch], statistics)
    epochs, measured = config.theta.epochs, monitor.statistics
    pictures = TensorBoardSink(logger, parts.table, parts.dataset, epochs, measured)
    monitor.sinks.append(one_at_a_time(pictures))
    view = View(parts.table, parts.dataset)
    for record in folder.records() if others else []:
        tell(others, scalars(record, measured, view), record.epoch)
    tab = TabSink(logger.experiment, view, folder.run_id, config.flat())
    monitor.sinks.append(tab)
    if on_epoch is not None:
        monitor.sinks.append(on_epoch)
    monitor.sinks.append(lambda record: monitor.records.clear())  # they are in the run's folder
    callbacks = [monitor, *probes, RunCheckpoint(folder, config.flat())]
    trainer = _trainer(parts, [logger, *others], callbacks)
    _fit_or_restore(parts, folder, trainer, done, on_selection)
    return _finish(parts, folder, logger, tab)


def _prepare_resume(folder: RunFolder, config: RunConfig) -> int:
    """The number of whole epochs to keep; records written after the last checkpoint are dropped."""
    done = resume_point(folder, config.flat(), search_epochs)
    folder.set_status("running")
    return done


def _logger(folder: RunFolder, options: Mapping[str, Any], done: int) -> RunLogger:
    logger = RunLogger(folder.path, folder.tensorboard.name, done or None)
    rows = [f"| {name} | {value} |" for name, value in options.items()]
    logger.experiment.add_text("config", "\n".join(["| option | value |", "|---|---|", *rows]), 0)
    return logger


def _trainer(parts: Assembly, loggers: list[Logger], callbacks: list[pl.Callback]) -> pl.Trainer:
    if hasattr(torch.utils, "deterministic"):  # torch 2.2
        # deterministic mode would fill every new tensor, to show reads of memory never written
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    cuda = parts.device.type == "cuda"
    return Trainer(
        max_epochs=parts.config.theta.epochs,
        accelerator="gpu" if cuda else "cpu",
        devices=1,
        precision=set_precision(parts.config.run.precision, parts.device),
        logger=loggers,
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        deterministic="warn" if cuda else None,
        log_every_n_steps=max(1, parts.loaders.steps),
        num_sanity_val_steps=0,
    )


def _fit_or_restore(
    parts: Assembly, folder: RunFolder, trainer: pl.Trainer, done: int, on_selection: Progress
) -> None:
    """Train from epoch ``done`` on and select; only select where all epochs are done."""
    strategy, loaders, epochs = parts.strategy, parts.loaders, parts.config.theta.epochs
    evaluator = Lightning(
        parts.task, trainer, train_dataloaders=loaders.train, val_dataloaders=loaders.search
    )
    if done:
        evaluator.fit_kwargs = {"ckpt_path": str(folder.checkpoint), "weights_only": True}
    model = strategy.mutate_model(parts.space)
    searcher = strategy.mutate_evaluator(evaluator)
    strategy.evaluation_data, strategy.selection_folder = loaders.evaluation, folder.path
    strategy.selection_progress = on_selection
    if done < epochs:
        _fit(searcher, model)
    else:  # it was stopped during its selection, or before its status said "finished"
        restore_trained(searcher.module, model, folder.checkpoint, epochs)
        strategy.select_at_end(searcher.module.to(parts.device))


def _fit(searcher: Lightning, model: Any) -> None:
    try:
        searcher.evaluate(model)
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None


def _finish(parts: Assembly, folder: RunFolder, logger: RunLogger, tab: TabSink) -> SearchResult:
    """Describe the selected cells, and end the logs."""
    config, strategy = parts.config, parts.strategy
    if parts.table is not None:
        write_references(folder.tensorboard, parts.dataset, config.theta.epochs, parts.table)
    details = None if strategy.selected is None else strategy.selected.details
    chosen = {group.name: strategy.chosen(group) for group in strategy.groups}
    read = describe(parts, folder.run_id, strategy.selection.name, Selected(chosen, details or {}))
    result = SearchResult(
        **vars(read),
        config=config.flat(),
        default=folder.records()[-1].headline(parts.dataset, read.truth),
        selection_details=details,
        data_note=parts.data.note or None,
    )
    known = {} if result.default is None else {"hparams/true_valid_accuracy": result.default}
    logger.log_hyperparams(config.flat(), known)
    tab.finish(folder.records(), result.to_json())
    logger.finalize("success")
    return result
