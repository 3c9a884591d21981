"""The rank of the intermediate edge: by hand, and of a search's own alphas."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.studies.none_mechanism import LAST, rank_behind, weaknesses
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study

ALPHA = {
    "0-1": {"none": 0.5, "skip_connect": 0.7, "nor_conv_3x3": -0.9},
    "0-2": {"none": 0.1, "skip_connect": 0.0, "nor_conv_3x3": 0.3},
    "1-2": {"none": 0.4, "skip_connect": 0.2, "nor_conv_3x3": 0.1},
}


def test_an_edge_is_weak_by_none_s_margin_or_by_its_largest_score() -> None:
    margins = weaknesses("with none", ALPHA)
    assert margins == pytest.approx({"0-1": -0.2, "0-2": -0.2, "1-2": 0.2})
    scores = weaknesses("without none", ALPHA)
    assert scores == pytest.approx({"0-1": -0.9, "0-2": -0.3, "1-2": -0.2})
    assert rank_behind(margins) == rank_behind(scores) == 1


def test_ranks_of_exchangeable_edges_are_symmetric_about_the_middle() -> None:
    edges = ("0-1", "0-2", "1-2")
    ranks = [
        rank_behind(dict(zip(edges, values, strict=True))) for values in permutations((1, 2, 3))
    ]
    assert sorted(ranks) == [-1, -1, 0, 0, 1, 1]
    assert rank_behind(dict.fromkeys(edges, 0.5)) == 0
    g = np.random.default_rng(0)
    drawn = [[rank_behind(dict(zip(edges, row, strict=True))) for row in g.random((8, 3))]
             for _ in range(300)]  # fmt: skip
    assert sum(LAST.judge(seeds).verdict == "holds" for seeds in drawn) <= 24  # 5 % of 300, p = .01
    assert LAST.judge([1.0] * 8).verdict == "holds"


@pytest.mark.slow
def test_a_small_run_reads_the_ends_of_its_searches_and_gives_no_verdict(tmp_path: Path) -> None:
    found = study("none-mechanism")
    tiny = {"seeds": 1, "epochs": 2, "max_steps": 2, "channels": 2}
    result = run_study(found, found.options(tiny), tmp_path / "study")
    assert [row["arm"] for row in result["rows"]] == ["with none", "without none"]
    for row, name in zip(result["rows"], ("dsnas-s1", "dnw-s1"), strict=True):
        lines = (tmp_path / "study" / "runs" / name / "epochs.jsonl").read_text().splitlines()
        alpha = json.loads(lines[-1])["alpha"]
        numbers = {edge: list(filter(None, of.values())) for edge, of in alpha.items()}
        if name == "dnw-s1":
            expected = {edge: -max(map(abs, of)) for edge, of in numbers.items()}
        else:
            expected = {
                edge: of["none"] - max(v for op, v in of.items() if op != "none")
                for edge, of in alpha.items()
            }
        assert row["weakness"] == pytest.approx(expected)
        assert row["rank"] == rank_behind(expected)
    assert {one["verdict"] for one in result["verdicts"]} == {"cannot be said"}
    assert all("no verdict: small" in one["evidence"] for one in result["verdicts"])
