"""One run explained: its facts, records, curves, cells and truth, which all sections take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nni_wiring.explain import Explanation
from nni_wiring.monitor.tab import ToldRun, explained
from nni_wiring.monitor.view import View
from nni_wiring.records import DerivedCell, EpochRecord, Score, Truth
from nni_wiring.report.cells import benchmark_wiring, final_arch, final_cells, wiring_of
from nni_wiring.report.curves import KindCurves, run_curves
from nni_wiring.report.facts import RunFacts, run_facts
from nni_wiring.report.provenance import Provenance, run_provenance
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import BENCHMARKS, NASBENCH201, Benchmark, TruthTable, table_for, table_of_run
from search_spaces.cell_graph import Wiring
from search_spaces.errors import SpaceError, WiringError
from search_spaces.registry import space_entry


@dataclass(frozen=True, eq=False)
class RunAnalysis:
    """One run explained.

    Attributes:
        facts: who and what the run is.
        records: of its epochs.
        kinds: the curves of every kind of cell.
        cells: the cells that it ended with, by kind; empty before the first epoch.
        arch: the text of that cell, where it has one.
        truth: the benchmark's word on it; None where no benchmark holds it.
        benchmark: of the truth; NAS-Bench-201 where there is none.
        provenance: what the truth says about the search.
        split: with the provenance's data set, the accuracy that stands for the run in a headline.
        table: the numbers of the benchmark; None if there are none.
        selections: the results of ``select`` on the run, by selection.
    """

    facts: RunFacts
    records: tuple[EpochRecord, ...]
    kinds: tuple[KindCurves, ...]
    cells: Mapping[str, DerivedCell]
    arch: str | None
    truth: Truth | None
    benchmark: Benchmark
    provenance: Provenance
    split: str
    table: TruthTable | None
    selections: Mapping[str, dict[str, Any]]

    @property
    def dataset(self) -> str:
        """The benchmark's data set whose accuracies stand for the run."""
        return self.provenance.dataset

    @property
    def score(self) -> Score:
        """The headline's accuracy (percent), rank, percentile and regret."""
        return Score() if self.truth is None else self.truth.at(self.dataset, self.split)

    @property
    def curves(self) -> KindCurves | None:
        """The curves of a run with one kind of cell."""
        return self.kinds[0] if len(self.kinds) == 1 else None

    @property
    def wiring(self) -> Wiring | None:
        """The derived cell of a run with one kind of cell."""
        return wiring_of(next(iter(self.cells.values()))) if len(self.cells) == 1 else None

    @property
    def chosen(self) -> Wiring | None:
        """The same of a search; None of a training, which was given its cell: nothing collapses."""
        return None if self.facts.trained else self.wiring

    @cached_property
    def explanation(self) -> Explanation | None:
        """The reasons for the run's cell, and the cost of each choice; None without an epoch, and
        for the files of a foreign run that cannot be explained.
        """
        facts = self.facts
        ending = None if self.arch is None else {"arch": self.arch}
        config, afterwards = dict(facts.config), self.selections
        run = ToldRun(facts.run_id, facts.status, config, self.records, ending, afterwards)
        try:
            return explained(run, View(self.table, self.dataset)) if self.records else None
        except WiringError:
            return None

    def curves_of(self, kind: str) -> KindCurves | None:
        """The curves of one kind of cell."""
        return next((curves for curves in self.kinds if curves.kind.name == kind), None)


def analyse_run(run: RunFolder, table: TruthTable | None) -> RunAnalysis:
    """Explain one run.

    Args:
        run: its folder; a run without epochs, or one that goes on, is fine.
        table: the truth; None leaves what the run itself recorded.

    Raises:
        RunError: the run's files are damaged.
    """
    records, result = tuple(run.records()), run.result() or {}
    arch = final_arch(records, result)
    benchmark = _benchmark(run.config, table, result, records)
    truth = _truth(arch, table, result, records, benchmark)
    provenance = run_provenance(run.config, result, benchmark)
    kinds = run_curves(records)
    return RunAnalysis(
        facts=run_facts(run),
        records=records,
        kinds=kinds,
        cells=final_cells(records, result, benchmark) or _strongest(kinds, arch),
        arch=arch,
        truth=truth,
        benchmark=benchmark,
        provenance=provenance,
        split=_headline_split(truth, benchmark, provenance.dataset),
        table=table,
        selections=run.selections(),
    )


def recorded_table(run: RunFolder) -> TruthTable | None:
    """The table of a run's space, else of the benchmark that its records name; None for neither.

    Raises:
        BenchmarkError: there is no such table.
    """
    table = table_of_run(run.config)
    if table is None:
        records = run.records()
        truth = records[-1].truth if records else None
        table = None if truth is None else table_for(truth.benchmark)
    return table


def _recorded(result: Mapping[str, Any], records: Sequence[EpochRecord]) -> Truth | None:
    return Truth.from_json(result.get("truth")) or (records[-1].truth if records else None)


def _benchmark(
    config: Mapping[str, Any],
    table: TruthTable | None,
    result: Mapping[str, Any],
    records: Sequence[EpochRecord],
) -> Benchmark:
    """The benchmark of the table, of the recorded truth or of the space; else NAS-Bench-201."""
    if table is not None:
        return table.benchmark
    recorded = _recorded(result, records)
    if recorded is not None and recorded.benchmark in BENCHMARKS:
        return BENCHMARKS[recorded.benchmark]
    try:
        name = space_entry(str(config.get("space"))).benchmark
    except SpaceError:  # a space of another package, or of a foreign run
        name = None
    return BENCHMARKS.get(name or "", NASBENCH201)


def _truth(
    arch: str | None,
    table: TruthTable | None,
    result: Mapping[str, Any],
    records: Sequence[EpochRecord],
    benchmark: Benchmark,
) -> Truth | None:
    """Truth of the cell from the table, else what the run recorded about it."""
    if arch is None or benchmark_wiring(arch, benchmark) is None:
        return None  # what is no cell of the benchmark has no truth there
    if table is not None:
        return table.truth(arch)
    recorded = _recorded(result, records)
    return recorded if recorded is not None and recorded.benchmark == benchmark.name else None


def _headline_split(truth: Truth | None, benchmark: Benchmark, dataset: str) -> str:
    """The first split, `valid`, unless only another one is known."""
    splits = list(benchmark.splits)
    known = [s for s in splits if truth and truth.at(dataset, s).accuracy is not None]
    return known[0] if known else splits[0]


def _strongest(kinds: Sequence[KindCurves], arch: str | None) -> dict[str, DerivedCell]:
    """The operations of the largest alpha, for runs that recorded no cell and spell none."""
    if arch is not None:
        return {}
    return {
        curves.kind.name: DerivedCell(curves.kind.name, curves.states[-1], curves.kind.graph)
        for curves in kinds
        if curves.states
    }
