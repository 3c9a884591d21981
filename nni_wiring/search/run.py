"""run_search: one search from a config into a run folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from nni_wiring.data import ImageData, Loaders, build_loaders, load_data, split
from nni_wiring.errors import ConfigError, RunError, WiringError
from nni_wiring.monitor.callback import Record, WiringMonitor
from nni_wiring.monitor.record import cell_record
from nni_wiring.monitor.tensorboard import TensorBoardSink, write_references
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.checkpoint import RunCheckpoint, finished_epochs, restore_trained
from nni_wiring.search.config import RunConfig
from nni_wiring.search.precision import set_precision
from nni_wiring.search.process import (
    BuildTurn,
    SearchStopped,
    cpu_threads,
    one_at_a_time,
    quiet,
    threads_of,
)
from nni_wiring.search.task import ClassificationTask
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.truth import TruthTable, load_table
from search_spaces.nni_api import Lightning, ModelSpace, TensorBoardLogger, Trainer, pl
from search_spaces.registry import build_space, space_entry

OnEpoch = Callable[[Record], None]


def run_search(
    config: RunConfig,
    folder: RunFolder,
    *,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
    probes: Sequence[pl.Callback] = (),
) -> dict[str, Any]:
    """Search, writing the run folder as it goes; return what ``result.json`` holds.

    resume: go on after the last whole epoch of ``folder``; the result is that of an uninterrupted
    run. on_epoch: called with every epoch's record. progress: show Lightning's progress bar.
    probes: further measurements, as callbacks of the trainer.
    Raises WiringError, one line; the folder's status then is "failed" (or "interrupted" on Ctrl-C,
    which is raised again as KeyboardInterrupt, and on SearchStopped). May run in several threads at
    once: all but the building of the supernets then goes on side by side.
    """
    if resume and folder.status == "finished":
        raise RunError(f"run {folder.run_id} is finished; nothing is left to do")
    try:
        with quiet(), cpu_threads(threads_of(config, folder)), BuildTurn() as turn:
            result = _search(config, folder, resume, on_epoch, progress, [*probes, turn])
    except (KeyboardInterrupt, SearchStopped):
        folder.set_status("interrupted", "stopped by the user")
        raise
    except WiringError as error:
        folder.set_status("failed", str(error))
        raise
    except Exception as error:
        line = next(iter(str(error).splitlines()), "")
        folder.set_status("failed", f"{type(error).__name__}: {line:.200}".rstrip(": "))
        raise
    folder.write_result(result)
    folder.set_status("finished")
    return result


def _search(
    config: RunConfig,
    folder: RunFolder,
    resume: bool,
    on_epoch: OnEpoch | None,
    progress: bool,
    probes: Sequence[pl.Callback],
) -> dict[str, Any]:
    done = _prepare_resume(folder) if resume else 0
    pl.seed_everything(config.seed, verbose=False)
    device = choose_device(config.device)
    data = load_data(config.data, config.data_dir)
    loaders = loaders_for(config, data, device)
    dataset = config.dataset or data.truth_dataset
    table = truth_for(config)
    space = space_for(config, loaders.num_classes)
    strategy = config.build_strategy()
    logger = _logger(folder, config, done)
    monitor = WiringMonitor(table, dataset=dataset, sinks=[folder.append_epoch])
    pictures = TensorBoardSink(logger, table, dataset, config.epochs)
    monitor.sinks.append(one_at_a_time(pictures))
    if on_epoch is not None:
        monitor.sinks.append(on_epoch)
    evaluator = _evaluator(config, loaders, logger, [monitor, *probes], folder, device, progress)
    if done:
        evaluator.fit_kwargs = {"ckpt_path": str(folder.checkpoint), "weights_only": True}
    model = strategy.mutate_model(space)
    searcher = strategy.mutate_evaluator(evaluator)
    strategy.evaluation_data, strategy.selection_folder = loaders.evaluation, folder.path
    strategy.selection_progress = _print_progress if progress else lambda done, total, what: None
    if done < config.epochs:
        _fit(searcher, model)
    elif folder.result() is not None:
        raise RunError(f"run {folder.run_id} has finished all {config.epochs} epochs already")
    else:  # it was stopped during its selection
        restore_trained(searcher.module, model, folder.checkpoint, config.epochs)
        strategy.select_at_end(searcher.module.to(device))
    if table is not None:
        write_references(folder.tensorboard, dataset, config.epochs, table)
    result = _result(config, folder, strategy, dataset, table) | {"data_note": data.note or None}
    _log_hyperparameters(logger, config, result)
    return result


def _prepare_resume(folder: RunFolder) -> int:
    """The number of whole epochs to keep; records written after the last checkpoint are dropped."""
    done = finished_epochs(folder.checkpoint) if folder.checkpoint.exists() else 0
    folder.keep_epochs(done)
    folder.set_status("running")
    return done


def choose_device(name: str) -> torch.device:
    """``auto``: CUDA where there is one. Raises ConfigError for CUDA where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda is not available on this machine; allowed: auto, cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def loaders_for(config: RunConfig, data: ImageData, device: torch.device) -> Loaders:
    """The loaders of the search, its data on the device."""
    return build_loaders(
        data,
        split(data, config.split, config.seed),
        config.batch_size,
        config.seed,
        device=device,
        augment=config.augment,
        cutout=config.cutout,
        max_steps=config.max_steps,
    )


def space_for(config: RunConfig, num_classes: int) -> ModelSpace:
    """The model space of the search, not yet a supernet."""
    return build_space(
        config.space,
        operations=config.operations,
        num_classes=num_classes,
        channels=config.channels,
        cells=config.cells,
        head=config.head,
        affine=config.affine,
        track_stats=config.track_stats,
    )


def truth_for(config: RunConfig) -> TruthTable | None:
    """The truth table of the search, or None where its space holds cells that no table knows."""
    if not space_entry(config.space).tabulated(config.operations):
        return None
    return load_table(config.benchmark)


def _logger(folder: RunFolder, config: RunConfig, done: int) -> TensorBoardLogger:
    logger = TensorBoardLogger(
        folder.path,
        name="",
        version=folder.tensorboard.name,
        default_hp_metric=False,
        purge_step=done or None,
    )
    logger.experiment.add_text("config", _as_table(config.flat()), 0)
    return logger


def _as_table(values: dict[str, Any]) -> str:
    rows = [f"| {name} | {value} |" for name, value in values.items()]
    return "\n".join(["| option | value |", "|---|---|", *rows])


def _evaluator(
    config: RunConfig,
    loaders: Loaders,
    logger: TensorBoardLogger,
    callbacks: Sequence[pl.Callback],
    folder: RunFolder,
    device: torch.device,
    progress: bool,
) -> Lightning:
    steps = max(len(loaders.train), len(loaders.search))
    if hasattr(torch.utils, "deterministic"):  # torch 2.2
        # deterministic mode would fill every new tensor, to show reads of memory never written
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    trainer = Trainer(
        max_epochs=config.epochs,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=set_precision(config.precision, device),
        logger=logger,
        callbacks=[*callbacks, RunCheckpoint(folder.checkpoint)],
        enable_progress_bar=progress,
        enable_model_summary=False,
        deterministic="warn" if device.type == "cuda" else None,
        log_every_n_steps=max(1, steps),
        num_sanity_val_steps=0,
    )
    task = ClassificationTask(config, steps)
    return Lightning(task, trainer, train_dataloaders=loaders.train, val_dataloaders=loaders.search)


def _fit(searcher: Lightning, model: Any) -> None:
    try:
        searcher.evaluate(model)
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None


def _result(
    config: RunConfig,
    folder: RunFolder,
    strategy: WiringStrategy,
    dataset: str,
    table: TruthTable | None,
) -> dict[str, Any]:
    last = folder.epochs()[-1]
    found = {**last, **selected_cell(strategy, table)}
    result = {
        "run_id": folder.run_id,
        "arch": found.get("arch"),
        "selection": strategy.selection.name,
        "truth": found.get("truth"),
        "topology": found.get("topology"),
        "config": config.flat(),
        "truth_dataset": dataset,
        "default": headline(found, dataset),
    }
    if strategy.selected is not None:
        result["selection_details"] = strategy.selected.details
    return result


def selected_cell(strategy: WiringStrategy, table: TruthTable | None) -> dict[str, Any]:
    """The strategy's selected cell with its topology and truth, as a record has them; of DARTS'
    normal and reduction cells the genotype; empty for other spaces of several kinds of cell.
    """
    if len(strategy.groups) != 1:
        details = {} if strategy.selected is None else strategy.selected.details
        genotype = details.get("genotype") or strategy.genotype()
        return {} if genotype is None else {"arch": genotype}
    group = strategy.groups[0]
    p = strategy.relaxation.probabilities(group).detach().cpu().double().numpy()
    return cell_record(group, strategy.chosen(group), p, table)


def _log_hyperparameters(
    logger: TensorBoardLogger, config: RunConfig, result: dict[str, Any]
) -> None:
    metrics = {"hparams/true_valid_accuracy": result["default"]}
    logger.log_hyperparams(config.flat(), metrics)
    logger.finalize("success")


def _print_progress(done: int, total: int, what: str) -> None:
    print(f"\r{what}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr)


def headline(record: Record, dataset: str) -> float | None:
    """The number that NNI shows: the derived cell's true validation accuracy in percent.

    Where the space has no truth: the supernet's accuracy on the search half, then on the training
    half.
    """
    truth = record.get("truth")
    if truth is not None:
        return truth["accuracy"][dataset]["valid"]
    accuracy = record.get("accuracy", {})
    return accuracy.get("search", accuracy.get("train"))
