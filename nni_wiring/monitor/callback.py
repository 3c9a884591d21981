"""WiringMonitor: the analysis hook, a Lightning callback for any NNI one-shot search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.hooks import RemovableHandle

from nni_wiring.errors import RunError
from nni_wiring.monitor.local_cost import LocalCost
from nni_wiring.monitor.patterns import argmax_operations
from nni_wiring.monitor.phase_statistics import labelled_batch
from nni_wiring.monitor.record import (
    cell_record,
    cost_cells_record,
    cost_record,
    edge_keys,
    pattern_record,
    spell,
    statistics_record,
)
from nni_wiring.monitor.recorder import StepRecorder
from nni_wiring.monitor.scalars import scalars
from nni_wiring.monitor.taps import Site, find_sites
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.truth.metrics import check_names
from nni_wiring.truth.table import TruthTable
from search_spaces.nni_api import pl

Record = dict[str, Any]
Sink = Callable[[Record], None]


class WiringMonitor(pl.Callback):
    """Watches a one-shot search and hands one record an epoch to its sinks.

    Works on every strategy of this project, and on NNI's own strategies whose supernet is made of
    ``DifferentiableMixedLayer`` (DARTS, GumbelDARTS): there it reads costs, alphas and the derived
    cell.

    truth: the table that the derived cell and the expectations are looked up in; None for none.
    dataset: whose truth is logged as scalars. sinks: called with the record (a plain dict; see
    ``record.py``) at the end of every epoch. ``records`` keeps the records of this process.
    Scalars go to all of the trainer's loggers, one dict an epoch, the epoch as their step.

    Costs are read by a tensor hook on each cell's Z, summed on the device and fetched once an
    epoch. All hooks are gone after the search, also when it fails.
    """

    def __init__(
        self,
        truth: TruthTable | None = None,
        dataset: str = "cifar10",
        sinks: Sequence[Sink] = (),
    ) -> None:
        check_names(dataset, "valid")
        self.truth, self.dataset = truth, dataset
        self.sinks = list(sinks)
        self.records: list[Record] = []
        self._history: list[dict[str, str]] = []
        self._sites: list[Site] = []
        self._handles: list[RemovableHandle] = []
        self._recorder: StepRecorder | None = None
        self._listening: list[Any] = []
        self._batch: Any = None
        self._data: Any = None  # of the forward pass now running
        self._started = 0.0

    # --- attaching ---

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Attach the hooks. Raises TypeError where the module is not a one-shot search over known
        cells, ConfigError where another monitor watches it; nothing is attached then.
        """
        model = getattr(pl_module, "model", None)
        sites = find_sites(model) if isinstance(model, torch.nn.Module) else []
        if not isinstance(model, torch.nn.Module) or not sites:
            raise TypeError(
                "WiringMonitor: no supernet cell and no DifferentiableMixedLayer in the model; "
                "it watches the strategies of nni_wiring, and nni.nas.strategy.DARTS or GumbelDARTS"
            )
        recorder = StepRecorder(sites)
        for site in sites:
            site.attach(recorder)
        self._sites, self._recorder = sites, recorder
        self._handles = [
            model.register_forward_pre_hook(lambda m, inputs: self._enter(pl_module, inputs)),
            model.register_forward_hook(lambda m, inputs, output: self._leave(output)),
        ]
        if isinstance(pl_module, SearchModule):
            pl_module.listeners.append(self._recorder)
            self._listening = pl_module.listeners

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the hooks: what a selection does after the last epoch is no part of the search."""
        self.remove()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Remove the hooks."""
        self.remove()

    def remove(self) -> None:
        """Take every hook off the supernet; safe to call at any time."""
        for handle in self._handles:
            handle.remove()
        for site in self._sites:
            site.detach()
        if self._recorder in self._listening:
            self._listening.remove(self._recorder)
        self._handles, self._sites, self._batch, self._data = [], [], None, None

    # --- during an epoch: nothing here waits for the device ---

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a new epoch's statistics."""
        self._started = time.perf_counter()
        if self._recorder is not None:
            self._recorder.reset()

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
        """Count the step."""
        if self._recorder is not None:
            self._recorder.end_step(getattr(pl_module, "gradient_norms", {}))
        self._batch = None

    def _enter(self, pl_module: pl.LightningModule, inputs: tuple[Any, ...]) -> None:
        if self._recorder is None:
            return
        if isinstance(pl_module, SearchModule):
            self._recorder.phase, self._data = pl_module.phase, pl_module.data
        elif self._batch is not None and inputs:
            self._recorder.phase, self._data = self._guess(inputs[0])

    def _guess(self, images: Any) -> tuple[str, Any]:
        """Phase and data of a forward pass of NNI's own strategies, told by the images it sees."""
        batch = self._batch if isinstance(self._batch, dict) else {"train": self._batch}
        search = labelled_batch(batch.get("val"))
        if search is not None and images is search[0]:
            return "alpha", search
        return "weights", batch.get("train")

    def _leave(self, output: Any) -> None:
        if self._recorder is None or self._recorder.phase is None:
            return
        phase, self._recorder.phase = self._recorder.phase, None
        data = labelled_batch(self._data)
        fits = isinstance(output, torch.Tensor) and output.dim() == 2
        if data is not None and fits and len(output) == len(data[1]):
            self._recorder.note_outputs(phase, output, data[1])

    # --- the end of an epoch ---

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the device once, make the record, hand it on."""
        if self._recorder is None or not self._recorder.steps:
            return
        record = self._record(trainer.current_epoch, pl_module)
        self.records.append(record)
        values = scalars(record, self.dataset)
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.current_epoch)
        for sink in self.sinks:
            sink(record)

    def _record(self, epoch: int, pl_module: pl.LightningModule) -> Record:
        assert self._recorder is not None
        groups = [costs.group for costs in self._recorder.costs.values()]
        record: Record = {
            "epoch": epoch,
            "seconds": time.perf_counter() - self._started,
            "steps": self._recorder.steps,
            "gradient_norm": self._recorder.gradient_norms(),
            **statistics_record(self._recorder.statistics()),
        }
        for costs in self._recorder.costs.values():
            alone = len(groups) == 1
            part = self._group_record(costs.group, costs.read(), pl_module, alone, epoch)
            _merge(record, part)
        if len(groups) == 1:
            self._history.append(argmax_operations(record["alpha"]))
            record["pattern"] = pattern_record(groups[0], self._history)
        return record

    def _group_record(
        self,
        group: EdgeGroup,
        costs: dict[str, LocalCost],
        pl_module: pl.LightningModule,
        alone: bool,
        epoch: int,
    ) -> Record:
        keys = edge_keys(group, alone)
        alpha = group.current_alpha().double().numpy()
        if not np.isfinite(alpha[group.mask.cpu().numpy()]).all():
            raise RunError(
                f"the search diverged: after epoch {epoch} alpha of {group.name!r} is not finite; "
                "a smaller learning rate or a gradient clip may help"
            )
        z, chosen = _reading(group, pl_module)
        return {
            "alpha": spell(group, keys, alpha),
            "z": spell(group, keys, z),
            "cost": cost_record(group, keys, costs),
            "cost_cells": cost_cells_record(costs) if alone else None,
            **(cell_record(group, chosen, z, self.truth) if alone else {}),
        }

    def state_dict(self) -> dict[str, Any]:
        """The argmax of every edge in the epochs so far: what patterns are measured on after a
        resume.
        """
        return {"history": [dict(state) for state in self._history]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history of an interrupted search up again."""
        self._history = [dict(state) for state in state_dict["history"]]


def _reading(group: EdgeGroup, pl_module: pl.LightningModule) -> tuple[np.ndarray, list[int]]:
    """p(alpha), (edges, operations), and the derived cell (a column of alpha for every edge)."""
    if isinstance(pl_module, SearchModule):
        strategy = pl_module.strategy
        probabilities = strategy.relaxation.probabilities(group)
        return probabilities.detach().cpu().double().numpy(), strategy.select(group)
    group.current_alpha()
    softmax = torch.softmax(group.logits().detach().double(), dim=-1).numpy()
    return softmax, softmax.argmax(axis=1).tolist()


def _merge(record: Record, part: Record) -> None:
    """Add a group's part; tables of several groups (told apart by their edge names) are joined."""
    for key, value in part.items():
        if key in record and isinstance(value, dict) and key in ("alpha", "z"):
            record[key].update(value)
        elif key == "cost" and key in record:
            for phase, moments in value.items():
                for name, table in moments.items():
                    record[key].setdefault(phase, {}).setdefault(name, {}).update(table)
        else:
            record[key] = value
