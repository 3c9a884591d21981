"""The tab WIRING of TensorBoard: what it is told of a run, of each epoch, and at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nni_wiring.errors import BenchmarkError
from nni_wiring.explain import Explanation, Run, explain
from nni_wiring.explain.assemble import choose_metric
from nni_wiring.explain.cost_gap import PHASES
from nni_wiring.explain.landscape import landscape
from nni_wiring.explain.other_selections import other_selections
from nni_wiring.figures.palette import looks
from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord
from nni_wiring.tab.summary import EPOCH, EXPLANATION, RUN, json_summary
from nni_wiring.truth import TruthTable
from nni_wiring.truth.references import reference_marks
from search_spaces.errors import WiringError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter  # a second to import

#: Of :data:`RUN`, for pages that read event files of another version.
FORMAT = 1

_ABOUT = ("strategy", "seed", "space", "data", "epochs")  # settings that the tab names
_BINS = 80
_MOST_SETTING = 60  # characters
_MACHINE = ("device", "threads", "data_dir", "logger")  # settings that change no result


@dataclass
class ToldRun:
    """A run as ``explain`` takes it, before its folder says the same."""

    run_id: str
    status: str
    config: dict[str, Any]
    epochs: Sequence[EpochRecord]
    ending: dict[str, Any] | None = None
    afterwards: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def records(self) -> list[EpochRecord]:
        """One record an epoch."""
        return list(self.epochs)

    def result(self) -> dict[str, Any] | None:
        """The result, None while there is no end."""
        return self.ending

    def selections(self) -> dict[str, dict[str, Any]]:
        """The results of ``select`` on it, by selection."""
        return dict(self.afterwards)


class TabSink:
    """A monitor's sink: a summary of every epoch, before the first of them one of the run.

    It takes finished records only, so nothing in it waits for a device.

    Args:
        writer: of the run's event file; a second one would hide the first one's file.
        view: the truth, and whose.
        run_id, config: of the run.
    """

    def __init__(
        self, writer: SummaryWriter, view: View, run_id: str, config: Mapping[str, Any]
    ) -> None:
        self._writer, self._view = writer, view
        self._run_id, self._config = run_id, dict(config)
        self._started = False

    def __call__(self, record: EpochRecord) -> None:
        """Write an epoch, and have it on disk for whoever looks on."""
        if not self._started:
            about = run_summary(self._run_id, self._config, record, self._view)
            self._write(RUN, about, record.epoch)
            self._started = True
        self._write(EPOCH, epoch_summary(record, self._view), record.epoch)
        self._writer.flush()

    def finish(self, records: Sequence[EpochRecord], result: Mapping[str, Any]) -> None:
        """Write why the search ended with its cell. Nothing without epochs."""
        if not records:
            return
        run = ToldRun(self._run_id, "finished", self._config, records, dict(result))
        summary = explanation_summary(explained(run, self._view))
        self._write(EXPLANATION, summary, records[-1].epoch)
        self._writer.flush()

    def _write(self, tag: str, value: Mapping[str, Any], step: int) -> None:
        # add_tensor would name no plugin
        self._writer._get_file_writer().add_summary(json_summary(tag, value), step)


def run_summary(
    run_id: str, config: Mapping[str, Any], record: EpochRecord, view: View
) -> dict[str, Any]:
    """The run: its settings, the look of its operations, the references of its truth.

    record: any of its epochs; names the edges and operations.
    """
    names = dict.fromkeys(name for row in record.alpha.values() for name in row)
    found: dict[str, Any] = {
        "format": FORMAT,
        "run_id": run_id,
        **{name: config.get(name) for name in _ABOUT},
        "settings": _told_settings(config),
        "edges": list(record.alpha),
        "operations": {
            name: {"colour": look.colour, "line": look.line, "label": look.label}
            for name, look in looks(names).items()
        },
        "truth": None,
    }
    metric = _metric(view)
    if view.table is not None and metric is not None:
        found["truth"] = _truth_summary(view.table, *metric)
    return found


def _told_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """The other settings as text, by which the page tells runs of one strategy and seed apart."""
    others = {name: value for name, value in config.items() if name not in (*_ABOUT, *_MACHINE)}
    plain = {name: value for name, value in others.items() if isinstance(value, str | int | float)}
    return {name: str(value)[:_MOST_SETTING] for name, value in sorted(plain.items())}


def epoch_summary(record: EpochRecord, view: View) -> dict[str, Any]:
    """One epoch in the record's own words, and the reasons for the accuracy of its cell.

    ``cost`` is the mean of dL/dZ in the step that moves alpha, else in the weight step; ``chosen``
    names edges as ``alpha`` does; ``truth`` is that of the view's data set, by split; ``why`` holds
    shares of the regret, other choices and repairs (None without truth); ``selections`` the cells
    that other selections read off the same supernet, where they differ.
    """
    phase = next((one for one in PHASES if one in record.cost), None)
    metric = _metric(view)
    reasons = _reasons(record, view.table, *metric) if metric else None
    others = _selections(record, view, *metric) if metric and reasons else {}
    dataset = metric[0] if metric else view.dataset
    scores = record.truth.scores if record.truth else {}
    return {
        "epoch": record.epoch,
        "arch": record.arch,
        "chosen": chosen_operations(record, reasons),
        "alpha": record.alpha,
        "z": record.z,
        "cost": record.cost[phase].mean if phase else {},
        "cost_phase": phase,
        "truth": {split: score._asdict() for (d, split), score in scores.items() if d == dataset},
        "loss": dict(record.loss),
        "why": None if reasons is None else _why(reasons),
        "selections": others,
    }


def explained(run: Run, view: View) -> Explanation:
    """The explanation of a run; without truth where the table lacks what it needs.

    Raises:
        RunError: the run has no epoch.
    """
    metric = _metric(view)
    try:
        return explain(run, view.table if metric else None, *(metric or ()))
    except BenchmarkError:  # a table that lacks what a run needs leaves the costs to tell of
        return explain(run, None)


def explanation_summary(found: Explanation) -> dict[str, Any]:
    """The explanation of a finished run, but for what the summaries of its epochs hold."""
    own = ("epochs", "selections")
    return {name: value for name, value in found.to_json().items() if name not in own}


def chosen_operations(record: EpochRecord, reasons: Explanation | None = None) -> dict[str, str]:
    """The derived cells' operations, their edges named as in the record's alphas.

    reasons: of the same cell, for records that hold it as text alone.
    """
    found = {}
    for kind, cell in record.cells.items():
        for edge, name in cell.operations.items():
            found[edge if edge in record.alpha else f"{kind}/{edge}"] = name
    if not found and reasons is not None:
        return {edge.edge: edge.operation for edge in reasons.edges if edge.operation}
    return found


def _metric(view: View) -> tuple[str, str] | None:
    """The accuracy to judge by: the view's data set where the table has it; None without any."""
    if view.table is None:
        return None
    try:
        return choose_metric(view.table, None, None, [view.dataset])
    except BenchmarkError:
        return None


def _reasons(
    record: EpochRecord, table: TruthTable | None, dataset: str, split: str
) -> Explanation | None:
    """The explanation of an epoch's cell; None where the table lacks it."""
    if record.arch is None:
        return None
    try:
        return explain(record.arch, table, dataset, split)
    except WiringError:
        return None


def _why(found: Explanation) -> dict[str, Any]:
    return {
        "edges": {
            edge.edge: {
                "best": edge.best_operation,
                "share": edge.shapley,
                "choices": dict(edge.choices),
            }
            for edge in found.edges
        },
        "repairs": [
            {"changes": dict(one.changes), "accuracy": one.accuracy, "gain": one.gain}
            for one in found.repairs
        ],
    }


def _selections(
    record: EpochRecord, view: View, dataset: str, split: str
) -> dict[str, dict[str, Any]]:
    """Cells of other selections, and what they gain against the epoch's own; by selection."""
    if view.table is None:
        return {}
    land = landscape(view.table, dataset, split)
    score = record.truth.at(dataset, split).accuracy if record.truth else None
    return {
        cell.selection: {
            "arch": cell.arch,
            "accuracy": cell.accuracy,
            "gain": None if score is None or cell.accuracy is None else cell.accuracy - score,
        }
        for cell in other_selections([record], {}, land)
        if cell.arch != record.arch
    }


def _truth_summary(table: TruthTable, dataset: str, split: str) -> dict[str, Any]:
    """The truth's names, and by split its references and the histogram of all cells."""
    splits = {}
    for name in dict.fromkeys((split, *(key.split for key in table.metrics))):
        if not table.has(dataset, name):
            continue
        values = np.asarray(table.values(dataset, name), dtype=np.float64)
        values = values[np.isfinite(values)]
        counts, edges = np.histogram(values, bins=_BINS)
        splits[name] = {
            "references": [
                {"label": mark.label, "value": mark.value, "kind": mark.kind, "std": mark.std}
                for mark in reference_marks(table, dataset, name)
            ],
            "histogram": {
                "low": float(edges[0]),
                "high": float(edges[-1]),
                "counts": counts.tolist(),
            },
            "cells": len(values),
        }
    title = table.benchmark.title
    return {"benchmark": title, "table": table.name, "dataset": dataset, "split": split} | {
        "splits": splits
    }
