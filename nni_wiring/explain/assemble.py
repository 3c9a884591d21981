"""``explain``: one cell, or the cell of one run, edge by edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from nni_wiring.errors import BenchmarkError, RunError
from nni_wiring.explain.decisions import EdgeDecision, edge_decisions
from nni_wiring.explain.explanation import BestCell, EdgeExplanation, Explanation
from nni_wiring.explain.landscape import Cell, Landscape, landscape
from nni_wiring.explain.noise import truth_noise
from nni_wiring.explain.other_selections import other_selections
from nni_wiring.explain.repairs import best_repairs
from nni_wiring.explain.timeline import timeline
from nni_wiring.files.json_files import shown
from nni_wiring.records import EpochRecord
from nni_wiring.truth.table import Arch, TruthTable


@runtime_checkable
class Run(Protocol):
    """The part of a run that is read here; a RunFolder is one."""

    run_id: str

    @property
    def status(self) -> str:
        """The state of the run ("finished", "running", ...)."""

    @property
    def config(self) -> dict[str, Any]:
        """Its settings by name."""

    def records(self) -> list[EpochRecord]:
        """One record an epoch."""

    def result(self) -> dict[str, Any] | None:
        """The result that it ended with; None while it has no end."""

    def selections(self) -> Mapping[str, Mapping[str, Any]]:
        """The results of selections that were made on it afterwards, by their names."""


def explain(
    arch_or_run: Arch | Run,
    table: TruthTable | None,
    dataset: str | None = None,
    split: str | None = None,
) -> Explanation:
    """Explain a cell, or the cell that a run derived.

    Args:
        arch_or_run: an arch string, an index, operation indices, or a run's folder.
        table: the truth; None leaves a run's costs.
        dataset, split: the accuracy; by default the run's own data set where the table has it,
            else the table's first, and validation where the table has it.

    Raises:
        SpaceError, BenchmarkError: the cell is none, or its accuracy is missing.
        RunError: the run has no epoch yet, or its files are damaged.
    """
    if isinstance(arch_or_run, Run):
        return _explain_run(arch_or_run, table, dataset, split)
    if table is None:
        raise BenchmarkError("a cell without a run is explained by its truth, and there is none")
    land = landscape(table, *choose_metric(table, dataset, split))
    return _with_truth(land, land.cell(arch_or_run))


def choose_metric(
    table: TruthTable, dataset: str | None, split: str | None, likely: Sequence[object] = ()
) -> tuple[str, str]:
    """Data set and split to judge by: what is asked for, else what is likely and there.

    Args:
        table: the truth.
        dataset, split: what was asked for, None for any.
        likely: names to try before the table's first data set.

    Raises:
        BenchmarkError: the table has no accuracy at all.
    """
    keys = [(key.dataset, key.split) for key in table.metrics]
    present = [key for key in dict.fromkeys(keys) if table.has(*key)]
    if not present:
        raise BenchmarkError(f"table {table.name!r} has no accuracy to explain by")
    if dataset is None:
        names = [name for name, _ in present]
        dataset = str(next((name for name in likely if name in names), names[0]))
    if split is None:
        splits = [held for name, held in present if name == dataset]
        split = "valid" if "valid" in splits or not splits else splits[0]
    return dataset, split


def _explain_run(
    run: Run, table: TruthTable | None, dataset: str | None, split: str | None
) -> Explanation:
    records, result = run.records(), run.result() or {}
    if not records:
        raise RunError(f"run {shown(run.run_id)} has no epoch yet: there is nothing to explain")
    arch = result.get("arch")
    if not isinstance(arch, str) or not arch:
        arch = records[-1].arch
    decisions, notes = edge_decisions(records), _run_notes(run, records, arch)
    land, cell = None, None
    if table is not None:
        config = run.config
        likely = [result.get("truth_dataset"), *map(config.get, ("truth_dataset", "data"))]
        land = landscape(table, *choose_metric(table, dataset, split, likely))
        cell, missing = _cell_of_run(land, arch)
        notes += [missing] if missing else []
    if land is None or cell is None:
        edges = _edges_without_truth(records[-1], decisions)
        return Explanation(arch, edges, run.run_id, notes=tuple(notes))
    note = result.get("data_note")
    notes += [note] if isinstance(note, str) and note else []
    explained = _with_truth(land, cell, run.run_id, decisions, notes)
    return replace(
        explained,
        epochs=timeline(records, land),
        selections=other_selections(records, run.selections(), land),
    )


def _cell_of_run(land: Landscape, arch: str | None) -> tuple[Cell | None, str | None]:
    """The run's cell, or why there is no truth of it."""
    if arch is None:
        return None, "the run's cell has no arch: no benchmark holds its truth"
    cell = land.find(arch)
    if cell is None:
        return None, f"the run's cell is none of {land.space.benchmark}: it has no truth there"
    if land.accuracy(cell) is None:
        return None, f"table {land.table.name!r} lacks the run's cell: it has no truth there"
    return cell, None


def _with_truth(
    land: Landscape,
    cell: Cell,
    run_id: str | None = None,
    decisions: Mapping[str, EdgeDecision] | None = None,
    notes: Sequence[str] = (),
) -> Explanation:
    accuracy, index, arch = land.accuracy(cell), land.index(cell), land.arch(cell)
    if accuracy is None:
        metric = f"{land.dataset} {land.split}"
        raise BenchmarkError(f"table {land.table.name!r} has no accuracy {metric} of cell {index}")
    best = land.nearest_best(cell)
    best_cell = BestCell(land.arch(best.cell), land.index(best.cell), best.accuracy, best.ties)
    shares = land.attribute(cell, best.cell)
    names = land.space.operations
    edges = tuple(
        EdgeExplanation(
            edge=edge,
            operation=names[cell[place]],
            best_operation=names[best.cell[place]],
            shapley=None if shares is None else shares[place],
            choices=land.choices(cell, place),
            decision=(decisions or {}).get(edge),
        )
        for place, edge in enumerate(land.space.edges)
    )
    return Explanation(
        arch=arch,
        edges=edges,
        run_id=run_id,
        benchmark=land.space.benchmark,
        table=land.table.name,
        dataset=land.dataset,
        split=land.split,
        index=index,
        accuracy=accuracy,
        regret=land.regret(accuracy),
        noise=truth_noise(land, index),
        best=best_cell,
        repairs=best_repairs(land, cell),
        notes=(*notes, *_truth_notes(best_cell, shares)),
    )


def _edges_without_truth(
    last: EpochRecord, decisions: Mapping[str, EdgeDecision]
) -> tuple[EdgeExplanation, ...]:
    """The edges that have alphas; their operations as far as the record tells the cells."""
    chosen: dict[str, str] = {}
    for kind, cell in last.cells.items():
        chosen |= cell.operations
        chosen |= {f"{kind}/{edge}": name for edge, name in cell.operations.items()}
    return tuple(
        EdgeExplanation(edge, chosen.get(edge), decision=decision)
        for edge, decision in decisions.items()
    )


def _run_notes(run: Run, records: Sequence[EpochRecord], arch: str | None) -> list[str]:
    notes = []
    if run.status != "finished":
        notes.append(f"the run is {run.status}: this is its cell so far")
    if arch != records[-1].arch and records[-1].arch is not None:
        notes.append("the selection after the search took another cell than the last epoch's")
    return notes


def _truth_notes(best: BestCell, shares: tuple[float, ...] | None) -> list[str]:
    notes = []
    if best.ties > 1:
        notes.append(f"{best.ties} cells tie for best: the one with the fewest changes is taken")
    if shares is None:
        notes.append("the table lacks a cell between this one and the best: no attribution")
    return notes
