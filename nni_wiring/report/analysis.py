"""What one run did, as plain data: derived cell, truth, topology, patterns, costs, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nni_wiring.data.registry import find_source
from nni_wiring.errors import DataError
from nni_wiring.figures import series
from nni_wiring.figures.series import EdgeSeries, Record, dig
from nni_wiring.files.json_files import finite
from nni_wiring.monitor.patterns import Patterns, patterns
from nni_wiring.report.curves import Curves, run_curves, text_or_none, wiring_of
from nni_wiring.report.verdict import NullRow, collapse, null_rows
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import DATASETS, SPLITS, TruthTable
from search_spaces.cell_graph import Wiring

_MOST_TEXT = 200


@dataclass(frozen=True)
class RunAnalysis:
    """One run explained.

    Attributes:
        run_id, strategy, space, data, seed, status, error: of the run; text is printable.
        epochs: number of epochs that are recorded; planned: number asked for, None if unknown.
        config, versions: settings and package versions, as printable text.
        created: ISO time, None if unknown.
        arch: arch string of the cell derived last, None before the first epoch.
        wiring: the same cell, None if it is no NAS-Bench-201 cell.
        truth: as `benchmark query`, None where there is none.
        dataset, split: the accuracy that stands for the run in a headline.
        topology: figures of the cell; null: the same against a random cell.
        patterns: None before the first epoch.
        collapse: "skip", "none" or None.
        cost: edge -> operation -> mean of the last epoch.
        chosen_z: edge -> Z of the cell's operation in the last epoch.
        curves: for the figures.
        notes: what has to be said beside the figures.
        folder, report: where the run lies, and where its report goes by default.
        tensorboard: where its event files are, None if there are none.
    """

    run_id: str
    strategy: str
    space: str
    data: str
    seed: int | None
    status: str
    error: str | None
    epochs: int
    planned: int | None
    config: dict[str, str]
    versions: dict[str, str]
    created: str | None
    arch: str | None
    wiring: Wiring | None
    truth: dict[str, Any] | None
    dataset: str
    split: str
    topology: dict[str, Any] | None
    null: tuple[NullRow, ...]
    patterns: Patterns | None
    collapse: str | None
    cost: dict[str, dict[str, float | None]]
    chosen_z: dict[str, float]
    curves: Curves
    notes: tuple[str, ...]
    folder: Path
    report: Path
    tensorboard: Path | None

    def accuracy(self, figure: str = "accuracy") -> float | None:
        """The headline's accuracy (percent), or its `rank`, `percentile` or `regret`."""
        value = series.number(dig(self.truth, figure, self.dataset, self.split))
        return None if np.isnan(value) else value


def plain(value: object, limit: int = _MOST_TEXT) -> str:
    """`value` as one printable line of at most `limit` characters (run folders may be foreign)."""
    text = value if isinstance(value, str) else str(value)
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def analyse_run(run: RunFolder, table: TruthTable | None) -> RunAnalysis:
    """Explain one run.

    Args:
        run: its folder; a run without epochs, or one that goes on, is fine.
        table: the truth; None leaves what the run itself recorded.

    Raises:
        RunError: the run's files are damaged.
    """
    records, result, config = run.epochs(), run.result() or {}, run.config
    arch = text_or_none(result.get("arch")) or _last_arch(records, "arch")
    wiring = wiring_of(arch)
    dataset, note = _truth_dataset(config, result)
    curves = run_curves(records, table, dataset)
    truth = _truth(arch if wiring else None, table, result, records)
    found = patterns(curves.states) if curves.states else None
    seed, planned = config.get("seed"), config.get("epochs")
    return RunAnalysis(
        run_id=plain(run.run_id),
        strategy=plain(config.get("strategy", "unknown"), 60),
        space=plain(config.get("space", "unknown"), 60),
        data=plain(config.get("data", "unknown")),
        seed=seed if isinstance(seed, int) else None,
        status=run.status,
        error=plain(run.info["error"], 500) if run.info.get("error") else None,
        epochs=len(records),
        planned=planned if isinstance(planned, int) else None,
        config={plain(key, 60): plain(value) for key, value in sorted(config.items())},
        versions={plain(k, 60): plain(v, 60) for k, v in run.info.get("versions", {}).items()},
        created=plain(run.info["created"], 40) if run.info.get("created") else None,
        arch=plain(arch) if arch else None,
        wiring=wiring,
        truth=truth,
        dataset=dataset,
        split=_headline_split(truth, dataset),
        topology=dict(wiring.topology()._asdict()) if wiring else None,
        null=null_rows(wiring) if wiring else (),
        patterns=found,
        collapse=collapse(wiring) if wiring else None,
        cost=_last_costs(curves.cost),
        chosen_z=_chosen_z(wiring, curves.z),
        curves=curves,
        notes=_notes(run, records, note, arch, wiring, truth, table, found),
        folder=run.path,
        report=run.report,
        tensorboard=run.tensorboard if run.tensorboard.is_dir() else None,
    )


def _last_arch(records: Sequence[Record], key: str) -> str | None:
    return text_or_none(records[-1].get(key)) if records else None


def _truth_dataset(config: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[str, str]:
    """The data set whose truth stands beside the run, and what has to be said about it."""
    note = ""
    try:
        source = find_source(str(config.get("data", "")))
        dataset, note = source.truth_dataset, source.note
    except DataError:
        dataset = DATASETS[0]
    for source_of_facts in (config, result):  # what was found when the images were read wins
        if source_of_facts.get("truth_dataset") in DATASETS:
            dataset = str(source_of_facts["truth_dataset"])
        note = plain(text_or_none(source_of_facts.get("data_note")) or note)
    return dataset, note


def _truth(
    arch: str | None,
    table: TruthTable | None,
    result: Mapping[str, Any],
    records: Sequence[Record],
) -> dict[str, Any] | None:
    """Truth of the cell from the table, else what the run recorded about it."""
    if arch is None:
        return None
    if table is not None:
        return table.query(arch)
    recorded = result.get("truth") or (records[-1].get("truth") if records else None)
    plain_numbers = finite(recorded)  # a foreign file may spell infinities, which JSON has not
    return plain_numbers if isinstance(plain_numbers, dict) else None


def _headline_split(truth: Mapping[str, Any] | None, dataset: str) -> str:
    """`valid` unless only the test accuracy is known."""
    known = [s for s in SPLITS if not np.isnan(series.number(dig(truth, "accuracy", dataset, s)))]
    return known[0] if known else SPLITS[0]


def _last_costs(cost: EdgeSeries) -> dict[str, dict[str, float | None]]:
    return {
        edge: {name: _finite(values[-1]) for name, values in operations.items()}
        for edge, operations in cost.values.items()
        if operations
    }


def _chosen_z(wiring: Wiring | None, z: EdgeSeries) -> dict[str, float]:
    """Z of the cell's operation on every edge in the last epoch, where it is known."""
    found = {}
    for edge, operation in wiring.chosen.items() if wiring else ():
        values = z.values.get(edge, {}).get(operation)
        if values is not None and np.isfinite(values[-1]):
            found[edge] = float(values[-1])
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _notes(
    run: RunFolder,
    records: Sequence[Record],
    data_note: str,
    arch: str | None,
    wiring: Wiring | None,
    truth: Mapping[str, Any] | None,
    table: TruthTable | None,
    found: Patterns | None,
) -> tuple[str, ...]:
    """Everything that must be said beside the figures of this run."""
    notes = []
    if run.status == "running":
        notes.append(
            f"the run goes on (or was killed): epochs recorded so far: {len(records)}"
            if records
            else "the run has no epoch yet"
        )
    elif not records:
        notes.append(f"the run {run.status} before its first epoch: there is nothing to analyse")
    if data_note and truth:
        notes.append(data_note)
    if arch and not wiring:
        notes.append("the derived cell is no NAS-Bench-201 cell: it has no truth here")
    if wiring and table is None:
        notes.append("no truth table: the truth is what the run recorded")
    if found and len(found.counts) < len(records):
        notes.append(f"alphas are recorded for the leading epochs only: {len(found.counts)}")
    return tuple(notes)
