"""Selected afterwards against the search's own cell: the rows against the real table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.errors import ConfigError
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.selected_cells import gains
from nni_wiring.truth import load_table

KEPT = Path(__file__).parents[2] / "docs" / "results" / "reference"


def test_gains_are_differences_of_the_tables_accuracies(tmp_path: Path) -> None:
    found, table = study("selected-cells"), load_table("bundled")
    options = found.options({"rows": [str(KEPT)], "benchmark": "bundled"})
    result = run_study(found, options, tmp_path / "study")
    accuracy = table.values("cifar10", "valid")
    expected = {}
    for path in KEPT.glob("*.json.gz"):
        kept = json.loads(gzip.decompress(path.read_bytes()))
        for name, selected in kept["selections"].items():
            cells = [table.index_of(one["arch"]) for one in (kept["result"], selected)]
            expected[kept["label"], name] = float(np.subtract(*accuracy[cells[::-1]]))
    assert len(expected) >= 2
    got = {(row["label"], row["arm"].split(", ")[-1]): row["gain"] for row in result["rows"]}
    assert got == pytest.approx(expected)
    [arm] = result["tables"][0]["rows"]
    assert arm[4] == pytest.approx(np.mean([*expected.values()]))
    assert result["verdicts"][0]["verdict"] == "cannot be said"  # two seeds


def test_searches_of_one_seed_count_once() -> None:
    rows = [
        {"arm": "a", "seed": seed, "gain": gain} for seed, gain in ((1, 1.0), (1, 3.0), (2, 5.0))
    ]
    assert gains(rows) == {"a": [2.0, 5.0]}


def test_searches_without_a_second_selection_are_refused(tmp_path: Path) -> None:
    found = study("selected-cells")
    options = found.options({"rows": [str(KEPT / "gdas-s1.json.gz")]})
    with pytest.raises(ConfigError, match="none of the searches"):
        run_study(found, options, tmp_path / "study")
