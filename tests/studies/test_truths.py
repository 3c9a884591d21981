"""The truth that a study is judged by, on the table that ships and on the bundled one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nni_wiring.errors import BenchmarkError, ConfigError
from nni_wiring.runs.kept import kept_runs
from nni_wiring.studies.frame import StudyRun
from nni_wiring.studies.registry import study
from nni_wiring.studies.rewiring import lead, rewired
from nni_wiring.studies.running import run_study
from nni_wiring.studies.truths import in_table, truth_of
from nni_wiring.truth import TruthTable, load_table
from search_spaces.cell_graph import NB201, OPERATIONS

REPO = Path(__file__).resolve().parents[2]
CLUTTER = str(REPO / "docs" / "results" / "clutter" / "dsnas-s1.json.gz")
KEPT = str(REPO / "docs" / "results" / "reference" / "gdas-s1.json.gz")


def of(path: Path, **given: Any) -> Any:
    found = study("rewired-pairs")
    return truth_of(StudyRun(found, path, found.options(given), print))


def test_the_options_name_the_table_and_the_data_set(tmp_path: Path) -> None:
    assert of(tmp_path)[1:] == ("cifar10", "valid") and of(tmp_path).ends == (12, 200)
    assert of(tmp_path, dataset="imagenet16").dataset == "imagenet16"
    own = of(tmp_path, benchmark="clutter201")
    assert (own.table.name, own.dataset, own.split, own.ends) == (
        "clutter201",
        "clutter",
        "valid",
        (2, 6),
    )
    with pytest.raises(ConfigError, match="dataset: unknown data set 'cifar10' of clutter201"):
        of(tmp_path, benchmark="clutter201", dataset="cifar10")


def test_the_cube_is_the_table_cell_by_cell(tmp_path: Path) -> None:
    truth = of(tmp_path, benchmark="clutter201")
    table, cube = truth.table, truth.cube(3)
    values = table.values("clutter", "valid", 3)
    for index in range(0, len(table), 997):
        place = tuple(table.operations[index])
        assert cube[place] == pytest.approx(values[index])
    assert cube.shape == (len(OPERATIONS),) * len(NB201.edges)


def test_pairs_are_rewired_in_any_table(tmp_path: Path) -> None:
    question = study("rewired-pairs")
    options = question.options({"benchmark": "clutter201"})
    result = run_study(question, options, tmp_path / "pairs")
    table = load_table("clutter201")
    ends = {e: table.values("clutter", "valid", e).astype(float) for e in (2, 6)}
    pairs = rewired(table)
    found = lead(in_table(table, None), pairs)
    for k in range(0, len(pairs.wide), 101):
        arch = table.arch(int(pairs.wide[k]))
        one, two, three = (node.strip("|").split("|") for node in arch.split("+"))
        moved = two[0].split("~")[0]
        deep = f"|{one[0]}|+|none~0|{moved}~1|+|{'|'.join(three)}|"
        pair = table.index_of(arch), table.index_of(deep)
        for leads, epochs in ((found.short, 2), (found.full, 6)):
            wide, other = (ends[epochs][place] for place in pair)
            assert leads[k] == pytest.approx(wide - other)
    assert sum(row["pairs"] for row in result["rows"]) == len(pairs.wide) == 1280
    assert sum(row["full"] for row in result["rows"]) == pytest.approx(found.full.sum())
    assert [row[:2] for row in result["tables"][0]["rows"]] == [
        ["clutter", "2 epochs, points"],
        ["clutter", "6 epochs, points"],
        ["clutter", "T, percentiles"],
    ]
    assert result["tables"][0]["rows"][1][2] == pytest.approx(found.full.mean())
    assert result["verdicts"][0]["minimum"] == 1  # of one data set


@pytest.mark.parametrize("name", ["rewired-pairs", "topology-vs-truth"])
def test_cells_that_a_table_lacks_are_left_out(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a hole (`benchmark import --partial`), and with nothing at all."""
    question, table = study(name), load_table("clutter201")
    pairs = rewired(table)
    options = question.options({"benchmark": "clutter201"})
    whole = run_study(question, options, tmp_path / "whole")

    def holed(lost: Any) -> None:
        metrics = {}
        for key, metric in table.data.metrics.items():
            mean = metric.mean.copy()
            mean[lost] = np.nan
            metrics[key] = replace(metric, mean=mean)
        known = TruthTable("holed", replace(table.data, metrics=metrics))
        monkeypatch.setattr("nni_wiring.studies.truths.table_for", lambda *given: known)

    holed(pairs.wide[:3])
    result = run_study(question, options, tmp_path / "holed")
    assert [v["verdict"] for v in result["verdicts"]] == [v["verdict"] for v in whole["verdicts"]]
    if name == "rewired-pairs":
        assert sum(row["pairs"] for row in result["rows"]) == 1280 - 3
        found = lead(in_table(table, None), pairs)
        points = result["tables"][0]["rows"][1][2]
        assert points == pytest.approx(found.full[3:].mean())
    else:
        for row, other in zip(result["rows"], whole["rows"], strict=True):
            assert row["mean"] == pytest.approx(other["mean"], abs=0.3)
    holed(slice(None))
    with pytest.raises(BenchmarkError, match="^table 'holed' has no (two|connected) cells? o"):
        run_study(question, options, tmp_path / "nothing")


def test_searches_that_name_a_table_are_judged_by_it_unless_told_otherwise(tmp_path: Path) -> None:
    found = study("early-stop")

    def truth(*rows: str, **given: Any) -> str:
        options = found.options({"rows": [*rows], **given})
        return truth_of(StudyRun(found, tmp_path, options, print)).table.name

    assert truth(CLUTTER) == "clutter201"
    assert truth(CLUTTER, benchmark="bundled") == "bundled"
    assert truth(KEPT) == truth(KEPT, CLUTTER) == "bundled"  # these name none, or not all the same


def test_kept_searches_are_judged_by_the_table_that_is_named(tmp_path: Path) -> None:
    table, found = load_table("clutter201"), study("early-stop")
    options = found.options({"rows": [KEPT], "benchmark": "clutter201"})
    result = run_study(found, options, tmp_path / "stop")
    regret = table.regret("clutter", "valid")
    [end] = {row["at_the_end"] for row in result["rows"]}
    [kept] = kept_runs([KEPT])
    assert end == pytest.approx(float(regret[table.index_of(kept.arch or "")]))
