"""The null of random cells, against enumeration."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from synthetic_runs import write_run

from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.comparison import compare, comparison_rows
from nni_wiring.report.null import DRAWS, random_cells_p, searched_all_cells
from nni_wiring.truth import load_table

CELLS = [10.0, 20.0, 20.0, 40.0, 70.0, float("nan")]


@pytest.mark.parametrize("runs", [1, 2, 3])
@pytest.mark.parametrize("mean", [10.0, 20.0, 40.0, 55.0])
def test_p_is_that_of_all_draws(runs: int, mean: float) -> None:
    every = [np.mean(draw) for draw in itertools.product(CELLS[:5], repeat=runs)]
    exact = float((np.array(every) >= mean - 1e-9).mean())
    error = 0 if runs == 1 else 4 * (exact * (1 - exact) / DRAWS) ** 0.5 + 1 / DRAWS
    assert random_cells_p(mean, runs, CELLS) == pytest.approx(exact, abs=error + 1e-12)


def test_a_search_among_a_part_of_the_cells_has_no_such_null(tmp_path: Path) -> None:
    run = write_run(tmp_path / "part", "cccccc")
    whole = analyse_run(run, load_table())
    assert searched_all_cells(whole)
    kept = dict(run.epochs()[0])
    kept["alpha"] = kept["alpha"] | {"0-1": {"none": 0.0, "nor_conv_3x3": 0.5}}
    part = write_run(tmp_path / "less")
    part.append_epoch(kept)
    less = analyse_run(part, load_table())
    assert not searched_all_cells(less)
    [one] = compare([less])
    [row] = [row for row in comparison_rows([less], one) if row.kind == "run"]
    assert row.p_random is None and row.p_random_holm is None
