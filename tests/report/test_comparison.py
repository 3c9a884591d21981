"""Provenance: what a benchmark's number beside a search is worth, wherever the two meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
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
