"""WiringMonitor: the analysis hook, a Lightning callback for any NNI one-shot search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.epoch import Epoch, View, read_groups
from nni_wiring.monitor.notes import StepNotes, labelled_batch
from nni_wiring.monitor.run import RunWriter
from nni_wiring.monitor.scalars import scalars
from nni_wiring.monitor.statistics import Statistic, all_statistics
from nni_wiring.monitor.taps import Site, find_sites
from nni_wiring.records import EpochRecord
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.truth.table import TruthTable
from search_spaces.nni_api import pl

Sink = Callable[[EpochRecord], None]


class WiringMonitor(pl.Callback):
    """Watches a one-shot search and hands one record per epoch to its sinks.

    Works on every strategy of this project, and on NNI's own strategies whose supernet is made of
    ``DifferentiableMixedLayer`` (DARTS, GumbelDARTS): there it reads costs, alphas and the derived
    cell. Of Proxyless, which weights nothing, it reads alphas and cell only.

    ``records`` keeps the records of this process. The scalars of all statistics go to all of the
    trainer's loggers, one dict per epoch, the epoch as their step.

    Costs are read by a tensor hook on each cell's Z, summed on the device and fetched once an
    epoch. All hooks are gone after the search, also when it fails.

    Args:
        truth: the table that the derived cell and the expectations are looked up in; None for none.
        dataset: whose truth is logged as scalars.
        sinks: called with the record at the end of every epoch.
        statistics: measured beside the registered ones; their values land in
            ``EpochRecord.statistics``.
        run: a new folder to leave a run in that ``analyze``, ``compare`` and ``tensorboard``
            understand.

    Raises:
        BenchmarkError: the table's benchmark does not have the data set.
    """

    def __init__(
        self,
        truth: TruthTable | None = None,
        dataset: str = "cifar10",
        sinks: Sequence[Sink] = (),
        statistics: Sequence[Statistic] = (),
        run: str | Path | None = None,
    ) -> None:
        if truth is not None:
            truth.benchmark.dataset(dataset)  # its own data sets, whichever benchmark it is
        self.truth, self.dataset = truth, dataset
        self.sinks = list(sinks)
        self.statistics = all_statistics(statistics)
        self.records: list[EpochRecord] = []
        self._run = None if run is None else RunWriter(Path(run), View(truth, dataset))
        self._sites: list[Site] = []
        self._handles: list[RemovableHandle] = []
        self._notes: StepNotes | None = None
        self._steps = 0
        self._listening: list[Any] = []
        self._batch: Any = None
        self._data: Any = None  # of the forward pass now running
        self._started = 0.0

    # --- attaching ---

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attach the hooks. Raises TypeError where the module is not a one-shot search over known
        cells, ConfigError where another monitor watches it, or where it runs on several processes,
        of which this one would record its own shard alone; nothing is attached then.
        """
        if trainer.world_size > 1:
            raise ConfigError(
                f"WiringMonitor: got {trainer.world_size} processes, each of which would record "
                "the costs of its own part of the data; allowed: 1"
            )
        model = getattr(pl_module, "model", None)
        sites = find_sites(model) if isinstance(model, torch.nn.Module) else []
        if not isinstance(model, torch.nn.Module) or not sites:
            raise TypeError(
                "WiringMonitor: no supernet cell and no DifferentiableMixedLayer in the model; "
                "it watches the strategies of nni_wiring, and nni.nas.strategy.DARTS or GumbelDARTS"
            )
        notes = StepNotes()
        for site in sites:
            site.attach(notes)
        self._sites, self._notes = sites, notes
        self._handles = [
            model.register_forward_pre_hook(lambda m, inputs: self._enter(pl_module, inputs)),
            model.register_forward_hook(lambda m, inputs, output: self._leave(output)),
        ]
        if isinstance(pl_module, SearchModule):
            pl_module.listeners.append(notes)
            self._listening = pl_module.listeners
        for statistic in self.statistics:
            statistic.start(sites)
        if self._run is not None and trainer.is_global_zero:
            self._run.start(trainer, pl_module, self.statistics)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the hooks: what a selection does after the last epoch is no part of the search."""
        self.remove()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Remove the hooks; the run says how it ended."""
        self.remove()
        if self._run is not None:
            self._run.fail(exception)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The search is over, and so is a selection at its end: finish the run."""
        if self._run is not None:
            self._run.finish(pl_module, self.records)

    def remove(self) -> None:
        """Take every hook off the supernet; safe to call at any time."""
        for handle in self._handles:
            handle.remove()
        for site in self._sites:
            site.detach()
        if self._notes in self._listening:
            self._listening.remove(self._notes)
        self._handles, self._sites, self._batch, self._data = [], [], None, None

    # --- during an epoch: nothing here waits for the device ---

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a new epoch's statistics."""
        self._started = time.perf_counter()
        if self._notes is not None:
            self._notes.take_notes()
        self._steps = 0
        for statistic in self.statistics:
            statistic.reset()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember the batch: forward passes are told apart by the data that they see."""
        self._batch = batch

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Show the step to the statistics."""
        self._batch = None
        if self._notes is None:
            return
        self._steps += 1
        step = self._notes.take_notes()
        step.gradient_norms = getattr(pl_module, "gradient_norms", {})
        for statistic in self.statistics:
            statistic.observe(step)

    def _enter(self, pl_module: pl.LightningModule, inputs: tuple[Any, ...]) -> None:
        if self._notes is None:
            return
        if isinstance(pl_module, SearchModule):
            self._notes.phase, self._data = pl_module.phase, pl_module.data
        elif self._batch is not None and inputs:
            self._notes.phase, self._data = self._guess(inputs[0])

    def _guess(self, images: Any) -> tuple[str, Any]:
        """Phase and data of a forward pass of NNI's own strategies, told by the images it sees."""
        batch = self._batch if isinstance(self._batch, dict) else {"train": self._batch}
        search = labelled_batch(batch.get("val"))
        if search is not None and images is search[0]:
            return "alpha", search
        return "weights", batch.get("train")

    def _leave(self, output: Any) -> None:
        if self._notes is None or self._notes.phase is None:
            return
        phase, self._notes.phase = self._notes.phase, None
        data = labelled_batch(self._data)
        fits = isinstance(output, torch.Tensor) and output.dim() == 2
        if data is not None and fits and len(output) == len(data[1]):
            self._notes.note_outputs(phase, output, data[1])

    # --- the end of an epoch ---

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the device once, make the record, hand it on."""
        if self._notes is None or not self._steps:
            return
        record = self._record(trainer, pl_module)
        self.records.append(record)
        values = scalars(record, self.statistics, View(self.truth, self.dataset))
        for logger in trainer.loggers:
            logger.log_metrics(values, step=record.epoch)
        for sink in self.sinks:
            sink(record)
        if self._run is not None:
            self._run.epoch(record, values)

    def _record(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> EpochRecord:
        seconds = time.perf_counter() - self._started
        groups = {site.group.name: site.group for site in self._sites}
        epoch = Epoch(
            number=trainer.current_epoch,
            steps=self._steps,
            readings=read_groups(list(groups.values()), pl_module),
            module=pl_module,
            trainer=trainer,
            table=self.truth,
        )
        fields: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for statistic in self.statistics:
            value = statistic.read(epoch)
            if statistic.fields:
                fields |= {name: value[name] for name in statistic.fields}
            elif value is not None:
                values[statistic.name] = value
        return EpochRecord(
            epoch=epoch.number, seconds=seconds, steps=self._steps, statistics=values, **fields
        )

    def state_dict(self) -> dict[str, Any]:
        """The memory of the statistics across epochs, by their names."""
        states = {statistic.name: statistic.state() for statistic in self.statistics}
        return {"statistics": {name: state for name, state in states.items() if state}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up an interrupted search again; also one that version 0.1.0 wrote."""
        states = state_dict.get("statistics", {})
        if "history" in state_dict:  # 0.1.0
            states = {"patterns": {"": state_dict["history"]}}
        for statistic in self.statistics:
            if statistic.name in states:
                statistic.load_state(states[statistic.name])
