"""Accuracy along a continuous setting, against enumeration and scipy."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats
from synthetic_runs import write_run

from nni_wiring.commands import main
from nni_wiring.report.analysis import RunAnalysis, analyse_run
from nni_wiring.report.axes import axes_of, trend_p
from nni_wiring.report.variants import strategy_labels, varied
from nni_wiring.truth import load_table

ROWS = ("cccccc", "1c1c1c", "ssssss", "cccscc", "aaaaaa", "ccsacc")


def analysed(folder: Path, row: str, **config: object) -> RunAnalysis:
    return analyse_run(write_run(folder, row, **config), load_table())


@pytest.mark.parametrize(
    ("values", "groups", "axes"),
    [
        ((1, 2), True, False),  # few whole numbers: variants
        ((1, 2, 3, 4, 5), False, True),  # many: a tuned number
        ((0.1, 0.2), False, True),
        ((1, 0.5), False, True),
        (("a", "b", "c", "d", "e"), True, False),  # names, however many
        ((None, 3), True, False),
        ((True, False), True, False),
        ((3, 3), False, False),
    ],
)
def test_what_makes_a_group(
    values: tuple[object, ...], groups: bool, axes: bool, tmp_path: Path
) -> None:
    runs = [analysed(tmp_path / str(k), "cccccc", option=v) for k, v in enumerate(values)]
    assert varied(runs, "darts") == (("option",) * groups, ("option",) * axes)
    assert len(set(strategy_labels(runs))) == (len(set(values)) if groups else 1)


def test_p_is_that_of_all_permutations() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 3.0, 2.0, 2.0, 6.0, 5.0]
    rho = stats.spearmanr(x, y).statistic
    every = [stats.spearmanr(order, y).statistic for order in itertools.permutations(x)]
    exact = float((np.abs(every) >= abs(rho) - 1e-12).mean())
    error = 4 * (exact * (1 - exact) / 20_000) ** 0.5
    assert trend_p(x, y, [0] * 6) == pytest.approx(exact, abs=error)


def test_within_seeds_two_values_are_flipped() -> None:
    """Five seeds, all of them better at the larger value: two of 2^5 flips are as extreme."""
    x, seeds = [0.1, 0.2] * 5, [seed for seed in range(5) for _ in range(2)]
    y = [value for seed in range(5) for value in (seed, seed + 10.0)]
    exact = 2 / 2**5
    assert trend_p(x, y, seeds) == pytest.approx(exact, abs=4 * (exact / 20_000) ** 0.5)
    assert np.isnan(trend_p(x, [3.0] * 10, seeds))


def test_runs_along_a_setting(tmp_path: Path) -> None:
    runs = [
        analysed(tmp_path / str(place), row, alpha_lr=lr, seed=seed)
        for place, (row, (lr, seed)) in enumerate(
            zip(ROWS, itertools.product((0.001, 0.003, 0.01), (1, 2)), strict=True)
        )
    ]
    runs.append(analysed(tmp_path / "failed", "cccccc", alpha_lr=9.0, seed=1, status="failed"))
    [axis] = axes_of(runs, "cifar10", "valid")
    accuracies = [r.truth.at("cifar10", "valid").accuracy for r in runs[:6] if r.truth]
    assert (axis.method, axis.setting, axis.within_seeds) == ("darts", "alpha_lr", True)
    assert [(one.value, one.runs) for one in axis.levels] == [(0.001, 2), (0.003, 2), (0.01, 2)]
    assert axis.levels[0].mean == pytest.approx(np.mean(accuracies[:2]))
    values = np.repeat([0.001, 0.003, 0.01], 2)
    assert axis.rho == pytest.approx(stats.spearmanr(values, accuracies).statistic)
    names = [str(run.facts.folder) for run in runs]
    told = json.loads(CliRunner().invoke(main, ["compare", *names, "--json"]).stdout)
    [metric] = told["metrics"]
    assert [level["runs"] for level in metric["axes"][0]["levels"]] == [2, 2, 2]
    assert [row["runs"] for row in metric["rows"] if row["kind"] == "run"] == [6]
