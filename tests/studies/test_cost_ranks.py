"""The ranks of costs at initialisation, recomputed by scipy and cell by cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.studies.cost_ranks import STUDY, additive, baselines, drawn_cells, renaming_p
from nni_wiring.studies.marginals import accuracy_cube, mean_marginals
from nni_wiring.studies.running import run_study
from nni_wiring.truth import load_table

TINY = {"data": "digits", "batch_size": 16, "seeds": 2, "batches": 40, "drawn": 4, "images": 16}


def test_a_cells_score_is_minus_the_sum_of_its_costs() -> None:
    costs = np.random.default_rng(0).normal(size=(6, 5))
    cells = load_table().operations[:300]
    expected = [-sum(costs[edge, op] for edge, op in enumerate(cell)) for cell in cells]
    assert additive(costs, cells) == pytest.approx(expected)


def test_no_other_naming_fits_the_truths_own_marginals_better() -> None:
    table = load_table()
    truth = table.values("cifar10", "valid").astype(float)
    costs = -mean_marginals(accuracy_cube(table, "cifar10", "valid"))
    assert renaming_p(costs, table, truth) == pytest.approx(1 / 24)
    swapped = costs[:, [0, 3, 4, 1, 2]]  # skip as conv 3x3, conv 1x1 as pool
    assert renaming_p(swapped, table, truth) > 1 / 24


def test_the_baselines_are_in_the_order_of_the_benchmarks_own_figures() -> None:
    table = load_table()
    assert table.benchmark.parameters is not None
    own = table.benchmark.parameters(table.operations, "cifar10")
    assert stats.spearmanr(baselines(table)["parameters"], own)[0] == pytest.approx(1.0)
    truth = table.values("cifar10", "valid").astype(float)
    # studies.md 1.3 gives .71 and .64 over connected cells of v1.1
    for name, published in (("parameters", 0.71), ("conv depth", 0.64)):
        live = drawn_cells(table, len(table))
        assert stats.spearmanr(baselines(table)[name][live], truth[live])[0] == pytest.approx(
            published, abs=0.015
        )
    assert len(live) == 15284  # enumerated
    some = drawn_cells(table, 50)
    assert set(some) <= set(live) and len(set(some)) == 50 and (np.diff(some) > 0).all()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("study")
    return folder, run_study(STUDY, STUDY.options(TINY), folder)


@pytest.mark.slow
def test_its_rows_are_scipys(result: tuple[Path, dict[str, Any]]) -> None:
    folder, found = result
    table = load_table()
    truth = table.values("cifar10", "valid").astype(float)
    size = stats.rankdata(baselines(table)["parameters"])
    part = json.loads((folder / "parts" / "scores-s2.json").read_text())["value"]
    assert set(part) == {"cost", "cost, affine", "cost, no batch norm", "NASWOT", "SynFlow"}
    assert len(part["NASWOT"]) == len(part["SynFlow"]) == 4
    for score in ("cost", "cost, affine", "cost, no batch norm"):
        costs = np.array(part[score])
        assert costs.shape == (6, 5) and (costs[:, 0] == 0).all()  # none adds nothing
        [row] = [
            r
            for r in found["rows"]
            if (r["score"], r["seed"]) == (score, 2) and "all" in r["cells"]
        ]
        values = np.array([-costs[range(6), cell].sum() for cell in table.operations])
        assert row["rho"] == pytest.approx(stats.spearmanr(values, truth)[0])
        ranks = [stats.rankdata(values), stats.rankdata(truth)]
        left = [r - np.polyval(np.polyfit(size, r, 1), size) for r in ranks]
        assert row["given parameters"] == pytest.approx(np.corrcoef(*left)[0, 1])
    assert part["cost"] != part["cost, no batch norm"]
    assert {row["seed"] for row in found["rows"]} == {1, 2, None}
    assert found["verdicts"] == [] and found["pictures"] == ["cost_ranks.png"]


@pytest.mark.slow
def test_it_repeats_and_goes_on(result: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, found = result
    (tmp_path / "parts").mkdir()
    kept = "parts/scores-s1.json"
    (tmp_path / kept).write_bytes((folder / kept).read_bytes())
    again = run_study(STUDY, STUDY.options(TINY), tmp_path)
    assert again["rows"] == found["rows"] and again["tables"] == found["tables"]


@pytest.mark.slow
def test_bad_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="an operation was never drawn in 1 batches"):
        run_study(STUDY, STUDY.options({**TINY, "batches": 1}), tmp_path / "a")
    with pytest.raises(ConfigError, match="space=darts: .*; allowed: nasbench201$"):
        STUDY.options({**TINY, "space": "darts"})
