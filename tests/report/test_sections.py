"""Sections: runs that no benchmark knows, runs of 0.1.0, and a section that somebody adds."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import kinds_of_runs
import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.figure import Figure

from nni_wiring.commands import main
from nni_wiring.report.analysis import RunAnalysis, analyse_run
from nni_wiring.report.html import write_report
from nni_wiring.report.sections import (
    SECTIONS,
    Finding,
    Picture,
    Section,
    Table,
    findings,
    register,
    run_json,
    run_sections,
)
from nni_wiring.report.sections.alphas import Alphas
from nni_wiring.report.sections.cells import Cells
from nni_wiring.report.sections.notes import notes_of
from nni_wiring.report.sections.patterns import PatternsSection
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import load_table
from search_spaces.genotypes import MINIMAL_GRAPH

OLD_RUN = Path(__file__).resolve().parents[1] / "support" / "run_of_0_1_0"


def analyze(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["analyze", *map(str, arguments)])


def darts_run(folder: Path, with_cells: bool = True) -> RunFolder:
    records = [kinds_of_runs.two_kinds(epoch, with_cells) for epoch in range(3)]
    return kinds_of_runs.write(folder, records, "darts")


def lone_run(folder: Path) -> RunFolder:
    records = [kinds_of_runs.lone_choice(epoch) for epoch in range(3)]
    return kinds_of_runs.write(folder, records, "mine")


def pictures(run: RunAnalysis) -> dict[str, Figure]:
    return {p.name: p.figure for section in run_sections(run) for p in section.pictures()}


# --- two kinds of DARTS-type cell ---


def test_both_kinds_have_graph_timeline_alphas_and_costs(tmp_path: Path) -> None:
    found = pictures(analyse_run(darts_run(tmp_path / "r1"), load_table()))
    names = ("cell", "wiring_timeline", "alphas", "costs", "cost_heat_map")
    assert set(found) == {f"{name}_{place}" for name in names for place in (1, 2)}
    # the timeline: number of edges that are not none, see HISTORY
    for place, counts in ((1, [5, 0, 4]), (2, [5, 4, 3])):
        _, count = found[f"wiring_timeline_{place}"].axes
        assert list(count.lines[0].get_ydata()) == counts
    # alphas: 1 + epoch where the operation was chosen, else 0
    first = found["alphas_1"].axes[0]
    assert first.get_title() == "0-2 input"
    drawn = [line.get_ydata() for line in first.lines]
    np.testing.assert_array_equal(drawn, [[0.0, 2.0, 0.0], [0.0] * 3, [0.0] * 3, [1.0, 0.0, 3.0]])
    assert [axes.get_title() for axes in found["alphas_2"].axes[4:5]] == ["2-3 intermediate"]
    # cells: -k / 10 for operation k of four, weighted with the softmax of one 3 and three zeros
    [image] = found["cost_heat_map_1"].axes[0].get_images()
    strong, weak = np.exp(3) / (np.exp(3) + 3), 1 / (np.exp(3) + 3)
    chosen = np.array([3, 1, 0, 3, 3])  # cs.cc
    expected = -(chosen * strong + (6 - chosen) * weak) / 10
    np.testing.assert_allclose(image.get_array(), [expected])


def test_topology_of_both_kinds_by_hand(tmp_path: Path) -> None:
    run = analyse_run(darts_run(tmp_path / "r1"), load_table())
    said = run_json(run, None)
    # normal cs.cc: 0-2 conv, 1-2 skip, 1-3 conv, 2-3 conv; node 3 is half fed by an input
    # reduce m.m.m: 0-2, 0-3, 2-3 max pools; node 2 is fed by an input alone
    expected: dict[str, dict[str, Any]] = {
        "normal": {"width": 1.5, "depth": 3, "conv_depth": 2, "live_edges": 4, "none_edges": 1},
        "reduce": {"width": 1.5, "depth": 3, "conv_depth": 0, "live_edges": 3, "none_edges": 2},
    }
    for kind, figures in expected.items():
        cell = said["cells"][kind]
        assert {name: cell["topology"][name] for name in figures} == figures
    assert said["cells"]["normal"]["operations"] == kinds_of_runs.cell_of("cs.cc")
    assert said["cells"]["normal"]["graph"]["edges"] == [list(e) for e in MINIMAL_GRAPH.edges]
    spoken = dict(findings(run))
    assert spoken["Topology, normal"] == "Width 1.5 c, depth 3, conv depth 2, 4 live edges."
    assert spoken["Collapse, reduce"].startswith("Collapsed to pooling: 3 of 3 live edges are")
    assert "15,625" not in " ".join(spoken.values())


def test_patterns_of_both_kinds(tmp_path: Path) -> None:
    run = analyse_run(darts_run(tmp_path / "r1"), None)
    said, spoken = run_json(run, None)["patterns"], dict(findings(run))
    assert said["growing_index"] is None  # of no single kind
    assert said["kinds"]["normal"]["growing_index"] == 4
    assert said["kinds"]["normal"]["recovery_epochs"] == {
        "0-2": 2, "1-2": 2, "0-3": None, "1-3": 2, "2-3": 2,
    }  # fmt: skip
    assert said["kinds"]["reduce"]["growing_index"] == 0
    assert spoken["Growing (P1), normal"] == (
        "All five edges fell to none by epoch 1, then 4 were added back (growing index 4); "
        "0-3 never recovered."
    )
    assert (
        "0-3 is none in the end; an edge of a random cell is none in 1 of 4"
        in (spoken["Width preference (P2), normal"])
    )
    assert "positive on no edge of five" in spoken["Local cost, normal"]
    assert "positive on all five edges" in spoken["Local cost, reduce"]


def test_a_run_without_a_benchmark_says_so(tmp_path: Path) -> None:
    run = analyse_run(darts_run(tmp_path / "r1"), load_table())
    said = run_json(run, None)
    assert said["truth"] is None and said["provenance"] is None and said["topology"] is None
    assert notes_of(run) == [
        "no benchmark with a table holds the derived cell: it has no truth here"
    ]
    assert set(said["cost"]) == {
        f"{kind}/{edge}" for kind in ("normal", "reduce") for edge in MINIMAL_GRAPH.edge_names
    }


def test_records_without_cells_show_the_largest_alphas(tmp_path: Path) -> None:
    run = analyse_run(darts_run(tmp_path / "r1", with_cells=False), load_table())
    assert {kind: dict(cell.operations) for kind, cell in run.cells.items()} == {
        "normal": kinds_of_runs.cell_of("cs.cc"),
        "reduce": kinds_of_runs.cell_of("m.m.m"),
    }
    assert "the run recorded no cell: shown are the operations of the largest alphas" in (
        notes_of(run)
    )
    assert {"wiring_timeline_1", "alphas_2"} <= set(pictures(run))


def test_a_genotype_is_drawn(tmp_path: Path) -> None:
    pairs = [("sep_conv_3x3", 0), ("skip_connect", 1), ("max_pool_3x3", 0), ("sep_conv_3x3", 2)]
    arch = f"Genotype(normal={pairs}, normal_concat=[2, 3], reduce={pairs}, reduce_concat=[2, 3])"
    run = darts_run(tmp_path / "r1")
    run.write_result({"arch": arch})
    found = analyse_run(run, load_table())
    assert dict(found.cells["normal"].operations) == {
        "0-2": "sep_conv_3x3", "1-2": "skip_connect", "0-3": "max_pool_3x3", "2-3": "sep_conv_3x3",
    }  # fmt: skip
    cells = Cells.of(found)
    assert cells is not None and cells.lines() == [Finding("derived cell", arch)]
    # Z of the operations that the genotype kept: softmax of alpha 3 against three zeros, and of a 0
    strong = np.exp(3) / (np.exp(3) + 3)
    assert cells.z["normal"]["0-2"] == pytest.approx(strong)
    assert cells.z["normal"]["0-3"] == pytest.approx((1 - strong) / 3)
    assert len(cells.pictures()) == 2


# --- a lone LayerChoice ---


def test_a_lone_choice_has_timeline_alphas_and_costs(tmp_path: Path) -> None:
    run = analyse_run(lone_run(tmp_path / "r1"), load_table())
    found = pictures(run)
    assert set(found) == {"wiring_timeline", "alphas", "costs", "cost_heat_map"}
    assert [axes.get_title() for axes in found["alphas"].axes] == ["layer"]
    drawn = [list(line.get_ydata()) for line in found["alphas"].axes[0].lines]
    assert drawn == [[0.0, 1.0, 2.0], [0.5] * 3]
    [image] = found["cost_heat_map"].axes[0].get_images()
    conv, pool = np.exp(2), np.exp(0.5)
    np.testing.assert_allclose(image.get_array(), [[(pool - conv) / (pool + conv)]])
    said = run_json(run, None)
    assert said["arch"] == "layer=conv"
    assert said["cells"]["layer"]["operations"] == {"layer": "conv"}
    assert said["topology"] is None and said["cells"]["layer"]["graph"] is None
    [table] = Cells.of(run).tables()  # type: ignore[union-attr]
    assert table.rows == [["layer", "conv"]]


@pytest.mark.parametrize("write", [darts_run, lone_run])
def test_analyze_of_a_run_without_a_benchmark(write: Any, tmp_path: Path) -> None:
    run = write(tmp_path / "r1")
    answer = analyze(run.path)
    assert answer.exit_code == 0, answer.output
    assert "derived cell" in answer.output and "report: " in answer.output
    [said] = json.loads(analyze(run.path, "--json").stdout)["runs"]
    page = Path(said["report"]).read_text()
    assert page.count("<img") == len(list(Path(said["report"]).parent.glob("*.png"))) >= 4
    assert "<h2>Truth</h2>" not in page


# --- runs of an earlier version ---


def test_a_run_of_0_1_0_is_analysed(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(OLD_RUN, folder)
    result = json.loads((folder / "result.json").read_text())
    last = json.loads((folder / "epochs.jsonl").read_text().splitlines()[-1])
    answer = analyze(folder)
    assert answer.exit_code == 0, answer.output
    assert f"derived cell: {result['arch']}" in answer.output
    assert "note: searched on digits; the accuracies are those of CIFAR-10" in answer.output
    assert "3 of 3 epochs, finished" in answer.output
    [said] = json.loads(analyze(folder, "--json").stdout)["runs"]
    assert said["truth"]["accuracy"] == result["truth"]["accuracy"]
    assert said["topology"] == result["topology"]
    assert said["cost"] == last["cost"]["alpha"]["mean"]
    for name in ("growing_index", "recovery_epochs", "selected_edges"):
        assert said["patterns"][name] == last["pattern"][name]
    files = {path.stem for path in Path(said["report"]).parent.glob("*.png")}
    assert files == {
        "alphas", "cell", "cost_heat_map", "costs", "regret", "truth_histogram", "wiring_timeline",
    }  # fmt: skip


# --- a section that is added ---


@dataclass(frozen=True)
class GradientNorms(Section):
    """Mean gradient norms of the last epoch, by what they are the gradients of."""

    name: ClassVar[str] = "gradients"
    title: ClassVar[str] = "Gradient norms"
    empty: ClassVar[dict[str, Any]] = {"gradient_norm": None}

    norms: dict[str, float]

    @classmethod
    def of(cls, run: RunAnalysis) -> GradientNorms | None:
        norms = dict(run.records[-1].gradient_norm) if run.records else {}
        return cls(norms) if norms else None

    def findings(self) -> list[Finding]:
        said = ", ".join(f"{part} {norm:.3f}" for part, norm in self.norms.items())
        return [Finding("Gradient norm", f"{said} (mean over the last epoch, before clipping).")]

    def tables(self) -> list[Table]:
        rows = [[part, f"{norm:.3f}"] for part, norm in self.norms.items()]
        return [Table("gradient norms", ["part", "norm"], rows)]

    def pictures(self) -> list[Picture]:
        figure = Figure(figsize=(4, 3))
        figure.add_subplot().bar(list(self.norms), list(self.norms.values()))
        return [Picture("gradients", "Gradient norms of the last epoch.", figure)]

    def json(self) -> dict[str, Any]:
        return {"gradient_norm": self.norms}


def test_a_section_is_one_class_and_one_registration(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(OLD_RUN, folder)
    try:
        register(GradientNorms)
        answer = analyze(folder)
        [said] = json.loads(analyze(folder, "--json").stdout)["runs"]
        [none] = json.loads(analyze(lone_run(tmp_path / "r1").path, "--json").stdout)["runs"]
    finally:
        SECTIONS.pop("gradients", None)
    expected = json.loads((folder / "epochs.jsonl").read_text().splitlines()[-1])["gradient_norm"]
    assert f"Gradient norm: weights {expected['weights']:.3f}, alpha" in answer.output
    assert f"alpha\t{expected['alpha']:.3f}" in answer.output
    assert said["gradient_norm"] == expected and none["gradient_norm"] is None
    page = (folder / "report" / "index.html").read_text()
    assert "<h2>Gradient norms</h2>" in page and "(gradients.png)" in page


def test_every_section_keeps_its_json_keys(tmp_path: Path) -> None:
    """What a section says of a run has the keys that it promises for runs it has no word on."""
    folder = tmp_path / "old"
    shutil.copytree(OLD_RUN, folder)
    run = analyse_run(RunFolder.open(folder), load_table())
    empty = analyse_run(RunFolder.create(tmp_path / "empty", "empty", {}), None)
    for section in SECTIONS.values():
        found = section.of(run)
        if found is not None and section.empty:
            assert set(found.json()) == set(section.empty)
    assert set(run_json(run, None)) == set(run_json(empty, None))
    for section in (Alphas, PatternsSection):
        assert section.of(empty) is None


def test_foreign_names_are_shown_and_run_nothing(tmp_path: Path) -> None:
    bad = "<script>$\\frac{</script>"
    run = RunFolder.create(tmp_path / "r1", "r1", {})
    row = {bad: 1.0, "b": 0.0}
    cell = {"kind": bad, "operations": {bad: bad}}
    run.append_epoch(
        {"epoch": 0, "alpha": {bad: row, f"{bad}/0-1": row}, "cells": {bad: cell}, "arch": None}
    )
    page = write_report(analyse_run(RunFolder.open(run.path), load_table()), tmp_path / "out")
    assert "<script>" not in page.read_text() and "&lt;script&gt;" in page.read_text()


# --- decisions that are ties ---


@pytest.mark.parametrize(("cost", "ties"), [(-0.001, 6), (-0.5, 0)])
def test_ties_are_said_in_the_findings_and_in_json(cost: float, ties: int, tmp_path: Path) -> None:
    """40 costs of variance 0.1 an operation: their difference has a standard error of 0.05."""
    edges = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")

    def table(skip: float, none: float) -> dict[str, dict[str, float]]:
        return {edge: {"none": none, "skip_connect": skip} for edge in edges}

    run = RunFolder.create(tmp_path / "r", "r", {"data": "digits"})
    for epoch in range(3):
        moments = {"mean": table(cost, 0.0), "variance": table(0.1, 0.1), "count": table(40, 40)}
        run.append_epoch(
            {
                "epoch": epoch,
                "alpha": table(0.01 * (epoch + 1), 0.0),
                "z": table(0.2025, 0.2002),
                "cost": {"alpha": moments},
            }
        )
    run.set_status("finished")
    analysis = analyse_run(run, None)
    told = {finding.topic: finding.text for finding in findings(analysis)}
    assert ("Ties" in told) == (ties == 6)
    assert told.get("Ties", "6 of 6 decisions").startswith("6 of 6 decisions")
    own = [told[f"{edge} skip_connect"] for edge in edges]
    assert sum(text.startswith("A tie, ") for text in own) == ties
    assert all("Z 0.2025 against 0.2002" in text for text in own)
    verdicts = [one["verdict"] for one in run_json(analysis, None)["decisions"].values()]
    assert verdicts.count("tie") == ties and len(verdicts) == 6
