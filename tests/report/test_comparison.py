"""Provenance: what a benchmark's number beside a search is worth, wherever the two meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats
from synthetic_runs import write_run

from nni_wiring.commands import main
from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.comparison import compare, comparison_picture, comparison_rows
from nni_wiring.report.html import write_overview
from nni_wiring.report.provenance import in_words, run_provenance
from nni_wiring.report.sections import findings, run_json
from nni_wiring.truth import NASBENCH201, load_table, published_rows


@pytest.mark.parametrize(
    ("config", "result", "dataset", "comparable", "words"),
    [
        ({"data": "cifar10"}, {}, "cifar10", True, ""),
        ({"data": "cifar100"}, {}, "cifar100", True, ""),
        ({"data": "imagenet16-120"}, {"truth_dataset": "imagenet16"}, "imagenet16", True, ""),
        ({"data": "digits"}, {}, "cifar10", False, "searched on digits"),
        ({"data": "npz:noise.npz"}, {}, "cifar10", False, "searched on npz:noise.npz"),
        ({"data": "npz:x"}, {"truth_dataset": "cifar100"}, "cifar100", False, "of CIFAR-100"),
        ({"data": "npz:x"}, {"data_note": "a lossy copy"}, "cifar10", False, "a lossy copy"),
        ({"data": "cifar10"}, {"truth_dataset": "cifar100"}, "cifar100", False, "of CIFAR-100"),
        ({"data": "cifar10", "dataset": "cifar100"}, {}, "cifar100", False, "of CIFAR-100"),
        ({"data": "cifar10", "dataset": {"a": 1}}, {"truth_dataset": 3}, "cifar10", True, ""),
        ({"data": "cifar10", "epochs": 6}, {}, "cifar10", False, "6 epochs instead of 50"),
        ({"data": "other"}, {}, "cifar10", False, "searched on other"),
        ({}, {}, "cifar10", False, "not known"),
    ],
)
def test_provenance_of_runs(
    config: dict[str, Any], result: dict[str, Any], dataset: str, comparable: bool, words: str
) -> None:
    found = run_provenance(config, result, NASBENCH201)
    assert (found.benchmark, found.dataset, found.comparable) == (
        "nasbench201", dataset, comparable,
    )  # fmt: skip
    assert words in found.note and bool(found.note) == bool(words)
    assert ("search not comparable" in in_words(found)) != comparable


def test_a_search_on_random_pixels_is_listed_below_the_published_rows(tmp_path: Path) -> None:
    """It is far better than the published SNAS, and yet it says nothing beside it."""
    table = load_table()
    best = table.arch(int(table.values("cifar10", "valid").argmax()))
    runs = [
        analyse_run(write_run(tmp_path / "own", "ssssss", data="cifar10", epochs=50), table),
        analyse_run(
            write_run(tmp_path / "noise", "cccccc", data="npz:noise.npz", result={"arch": best}),
            table,
        ),
    ]
    [one] = compare(runs)
    rows = comparison_rows(runs, one)
    assert [row.comparable for row in rows] == [True] * (len(rows) - 1) + [False]
    last = rows[-1]
    published = {row.method: row.mean for row in published_rows("cifar10") if row.split == "valid"}
    assert last.kind == "run" and last.mean > published["SNAS"]
    assert "search not comparable: searched on npz:noise.npz" in last.source
    picture = comparison_picture(runs, one)
    labels = [label.get_text() for label in picture.figure.axes[0].get_yticklabels()]
    assert labels[0].startswith("darts") and "(published)" in labels[-2]
    assert labels[-1].endswith("(search not comparable)")
    page = write_overview(runs, {}, tmp_path / "report").read_text()
    assert page.count('<tr class="apart">') == 1


def test_published_rows_are_pale_where_no_run_was_searched_as_they_were(tmp_path: Path) -> None:
    table = load_table()
    run = analyse_run(write_run(tmp_path / "digits", "cccccc", data="digits"), table)
    [one] = compare([run])
    published = [row for row in comparison_rows([run], one) if row.kind == "published"]
    assert published and not any(row.comparable for row in published)
    assert all(row.source.endswith("no run here was searched as it was") for row in published)
    axes = comparison_picture([run], one).figure.axes[0]
    colours = {label.get_text(): label.get_color() for label in axes.get_yticklabels()}
    assert {colours[f"{row.label} (published)"] for row in published} == {"#b4b4b4"}
    own = analyse_run(write_run(tmp_path / "own", "cccccc", data="cifar10", epochs=50), table)
    rows = comparison_rows([run, own], one)
    assert all(row.comparable for row in rows if row.kind == "published")
    axes = comparison_picture([run, own], one).figure.axes[0]
    labels = axes.get_yticklabels()
    assert "#b4b4b4" not in {label.get_color() for label in labels}


def test_a_mean_has_its_interval_and_its_null(tmp_path: Path) -> None:
    table = load_table()
    runs = [
        analyse_run(
            write_run(tmp_path / str(seed), row, seed=seed, data="cifar10", epochs=50), table
        )
        for seed, row in enumerate(("cccccc", "ssssss", "1c1c1c"))
    ]
    alone = write_run(tmp_path / "alone", "cccccc", strategy="gdas", data="cifar10", epochs=250)
    runs.append(analyse_run(alone, table))
    [one] = compare(runs)
    found = {row.label: row for row in comparison_rows(runs, one) if row.kind == "run"}
    darts, gdas = found["darts"], found["gdas"]
    values = [run.truth.at("cifar10", "valid").accuracy for run in runs if run.truth]
    low, high = stats.t.interval(0.95, 2, np.mean(values[:3]), stats.sem(values[:3]))
    assert (darts.low, darts.high) == (pytest.approx(low), pytest.approx(high))
    assert gdas.low is None and gdas.high is None
    every = table.values("cifar10", "valid")
    assert gdas.p_random == pytest.approx((every >= np.float32(values[3])).mean(), abs=1e-4)
    assert darts.p_random is not None and gdas.p_random is not None
    smaller, larger = sorted((darts.p_random, gdas.p_random))
    assert sorted((darts.p_random_holm, gdas.p_random_holm)) == [  # type: ignore[type-var]
        pytest.approx(2 * smaller), pytest.approx(max(2 * smaller, larger)),
    ]  # fmt: skip


def test_every_view_of_a_run_says_what_its_number_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "noise", "cccccc", data="npz:noise.npz")
    found = analyse_run(run, load_table())
    said = run_json(found, None)["provenance"]
    assert {name: said[name] for name in ("benchmark", "dataset", "data", "comparable")} == {
        "benchmark": "nasbench201",
        "dataset": "cifar10",
        "data": "npz:noise.npz",
        "comparable": False,
    }
    assert said["note"].startswith("searched on npz:noise.npz")
    assert "NAS-Bench-201; search not comparable: searched on" in dict(findings(found))["Truth"]
    own = analyse_run(
        write_run(tmp_path / "own", "cccccc", data="cifar10", epochs=50), load_table()
    )
    assert dict(findings(own))["Truth"].endswith("Source: NAS-Bench-201.")


def test_compare_prints_and_writes_it(tmp_path: Path) -> None:
    for name, data in (("a", "cifar10"), ("b", "digits")):
        write_run(tmp_path / name, "cccccc", data=data, epochs=50)
    arguments = ["compare", str(tmp_path / "a"), str(tmp_path / "b")]
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 0, answer.output
    lines = answer.output.splitlines()
    apart = next(place for place, line in enumerate(lines) if "search not comparable" in line)
    published = [place for place, line in enumerate(lines) if line.endswith("DrNAS table")]
    assert published and max(published) < apart
    [metric] = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)["metrics"]
    assert [row["comparable"] for row in metric["rows"] if row["kind"] == "run"] == [True, False]
