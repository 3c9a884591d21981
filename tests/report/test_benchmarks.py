"""A run is judged by its own space's benchmark: a made-up table of TransNAS-Bench-101 micro."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from synthetic_runs import write_run

from nni_wiring.commands import main
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth.importer import import_table

MICRO = "transnas101_micro"
ARCHS = [f"64-41414-{a}_{b}{c}_{d}{e}{f}" for a, b, c, d, e, f in product(range(4), repeat=6)]
#: Edges 0-1 skip, 0-2 none, 1-2 conv 1x1, 0-3 and 1-3 and 2-3 conv 3x3.
ARCH = "64-41414-1_02_333"
#: Cell number k has accuracy k / 50 percent, so its rank is 4,096 - k.
NUMBER = ARCHS.index(ARCH)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = write_run(tmp_path / "r1", space=MICRO, data="digits")
    folder.append_epoch({"epoch": 0, "arch": ARCH})
    return folder


def import_micro(folder: Path) -> None:
    path = folder / "micro.csv"
    rows = "".join(f"{arch},{number / 50}\n" for number, arch in enumerate(ARCHS))
    path.write_text(f"# benchmark: {MICRO}\narch,class_scene/valid\n{rows}")
    import_table(path, "micro")


def call(command: str, run: RunFolder) -> dict[str, Any]:
    answer = CliRunner().invoke(main, [command, str(run.path), "--json"])
    assert answer.exit_code == 0, answer.output
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_a_run_beside_the_table_of_its_own_benchmark(run: RunFolder, tmp_path: Path) -> None:
    import_micro(tmp_path)
    [said] = call("analyze", run)["runs"]
    assert said["truth"]["index"] == NUMBER
    assert said["truth"]["accuracy"]["class_scene"]["valid"] == pytest.approx(NUMBER / 50)
    assert said["truth"]["rank"]["class_scene"] == {"valid": 4096 - NUMBER, "test": None}
    assert "cifar10" not in said["truth"]["accuracy"]
    assert said["provenance"]["benchmark"] == MICRO and not said["provenance"]["comparable"]
    assert said["cells"]["cell"]["operations"] == {
        "0-1": "skip_connect", "0-2": "none", "1-2": "nor_conv_1x1",
        "0-3": "nor_conv_3x3", "1-3": "nor_conv_3x3", "2-3": "nor_conv_3x3",
    }  # fmt: skip
    page = Path(said["report"]).read_text()
    assert "rank of 4,096" in page and "scene classification validation" in page
    assert "the share of all 4,096 cells" in page and "15,625" not in page
    for word in ("CIFAR", "NAS-Bench-201", "DrNAS"):
        assert word not in page


def test_without_a_table_it_is_not_shown_another_benchmarks_truth(run: RunFolder) -> None:
    [said] = call("analyze", run)["runs"]
    assert said["truth"] is None and said["provenance"] is None
    assert said["notes"][-1] == (
        "no benchmark with a table holds the derived cell: it has no truth here"
    )
    assert said["topology"]["width"] == 1.0  # node 1 is fed by the input, node 2 by node 1 alone


def test_comparison_takes_the_references_of_the_same_benchmark(
    run: RunFolder, tmp_path: Path
) -> None:
    import_micro(tmp_path)
    [metric] = call("compare", run)["metrics"]
    assert (metric["dataset"], metric["split"]) == ("class_scene", "valid")
    by_label = {row["label"]: row["mean"] for row in metric["rows"]}
    assert by_label.pop("best cell") == pytest.approx(4095 / 50)
    assert by_label.pop("mean random cell") == pytest.approx(4095 / 100)
    assert list(by_label.values()) == [pytest.approx(NUMBER / 50)]


def test_regret_and_a_smaller_is_better_measure(tmp_path: Path) -> None:
    path = tmp_path / "loss.csv"
    rows = "".join(f"{arch},{number / 1e4}\n" for number, arch in enumerate(ARCHS))
    path.write_text(f"# benchmark: {MICRO}\narch,room_layout/valid\n{rows}")
    import_table(path, "loss")
    run = write_run(tmp_path / "r1", space=MICRO, data="digits", dataset="room_layout")
    run.append_epoch({"epoch": 0, "arch": ARCH})
    answer = CliRunner().invoke(main, ["analyze", str(run.path)])
    assert answer.exit_code == 0, answer.output
    said = f"{NUMBER / 1e4:.2f} on room layout validation: rank {NUMBER + 1:,} of 4,096"
    assert said in answer.output
    assert "L2 loss" in answer.output
