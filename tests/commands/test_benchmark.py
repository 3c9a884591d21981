from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nni_wiring.commands.benchmark import benchmark
from nni_wiring.errors import BenchmarkError, WiringError
from search_spaces.errors import SpaceError

CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(benchmark, arguments)


def answer(*arguments: str) -> object:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_query_by_arch_and_by_index() -> None:
    by_arch = answer("query", CELL)
    assert by_arch == answer("query", "6111")
    assert isinstance(by_arch, dict)
    assert set(by_arch) == {
        "arch",
        "index",
        "topology",
        "parameters",
        "accuracy",
        "rank",
        "percentile",
        "regret",
    }
    assert by_arch["accuracy"]["cifar10"] == {"valid": 91.6067, "test": None}


def test_query_prints_missing_as_missing() -> None:
    result = run("query", CELL)
    assert result.exit_code == 0
    assert "cifar10\ttest\tmissing" in result.output
    assert "cifar10\tvalid\t91.6067\t1\t100.0\t0.0" in result.output


def test_top() -> None:
    entries = answer("top", "--dataset", "imagenet16", "--count", "2")
    assert isinstance(entries, list)
    assert [entry["rank"] for entry in entries] == [1, 2]
    assert entries[0]["index"] == 10676 and set(entries[0]) == {"rank", "index", "arch", "accuracy"}
    assert run("top", "-k", "3").output.count("|+|") == 6


def test_stats() -> None:
    counts = answer("stats")
    assert isinstance(counts, dict)
    assert counts["cells"] == 15625 and counts["width_depth"]["1.5,3"] == 6400
    assert counts["best"]["cifar10"]["test"] is None
    assert "unique exact: 5260" in run("stats").output


def test_sources() -> None:
    rows = answer("sources")
    assert isinstance(rows, list)
    assert rows[0]["name"] == "bundled" and rows[0]["default"] is True
    assert "cifar10/valid@200" in run("sources").output


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("query", CELL.replace("~2", "~1")), SpaceError, "expected"),
        (("query", "99999"), BenchmarkError, "0..15624"),
        (("query", CELL, "--benchmark", "nowhere"), BenchmarkError, "no table 'nowhere'"),
        (("query", CELL, "--benchmark", "../../etc/passwd"), BenchmarkError, "table name"),
        (("top", "--split", "test"), BenchmarkError, "cifar10/test@200"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], error: type[Exception], text: str
) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, error)
    assert text in str(result.exception) and "\n" not in str(result.exception)


def test_wrong_usage_exits_with_2() -> None:
    assert run("top", "--dataset", "mnist").exit_code == 2
    assert run("query").exit_code == 2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_import_then_top(shared_data: Path, cache: Path) -> None:
    result = run("import", str(shared_data / "nb201_truth.csv.gz"))
    assert result.exit_code == 0 and "15,625 of 15,625 cells" in result.output
    entries = answer("top", "--dataset", "cifar10", "--split", "test")
    assert isinstance(entries, list)
    assert (entries[0]["accuracy"], entries[0]["index"]) == (94.3733, 6111)
    assert run("use", "bundled").exit_code == 0
    assert isinstance(run("top", "--split", "test").exception, BenchmarkError)
    row = answer("query", "6111", "--benchmark", "nb201_truth", "--epochs", "12")
    assert isinstance(row, dict)
    assert row["accuracy"]["cifar10"]["test"] > 80


def test_import_of_a_part(shared_data: Path, cache: Path) -> None:
    path = str(shared_data / "nb201_tiny3.pth")
    assert isinstance(run("import", path).exception, BenchmarkError)
    report = answer("import", path, "--partial", "--name", "three", "--no-default")
    assert isinstance(report, dict)
    assert (report["cells"], report["kind"], report["default"]) == (3, "official", False)
    row = answer("query", "284", "--benchmark", "three", "--seed", "888", "--epoch", "100")
    assert isinstance(row, dict)
    assert row["accuracy"]["cifar10"]["valid"] is not None
    assert row["accuracy"]["cifar100"]["valid"] is None


def test_a_table_of_another_benchmark(cache: Path, tmp_path: Path) -> None:
    lines = ["# benchmark: transnas101_micro", "arch,room_layout/valid,jigsaw/test"]
    lines += ["64-41414-1_02_333,0.5,90.5", "64-41414-3_33_333,0.25,91"]
    (tmp_path / "micro.csv").write_text("\n".join([*lines, ""]))
    result = run("import", str(tmp_path / "micro.csv"), "--partial")
    assert result.exit_code == 0, result.output
    assert "2 of 4,096 cells of TransNAS-Bench-101 micro" in result.output
    assert "default table of TransNAS-Bench-101 micro now\n" in result.output
    row = answer("query", "64-41414-3_33_333", "--benchmark", "transnas101_micro")
    assert isinstance(row, dict)
    assert (row["rank"]["room_layout"]["valid"], row["accuracy"]["jigsaw"]["test"]) == (1, 91.0)
    text = run("query", "64-41414-1_02_333", "--benchmark", "micro").output
    assert "room_layout\tvalid\t0.5\t2\t50.0\t0.25" in text and "value" in text
    entries = answer("top", "--dataset", "room_layout", "--benchmark", "micro")
    assert isinstance(entries, list)
    assert [entry["arch"] for entry in entries] == ["64-41414-3_33_333", "64-41414-1_02_333"]
    listed = answer("sources")
    assert isinstance(listed, list)
    found = {one["name"]: (one["benchmark"], one["default"]) for one in listed}
    assert found == {
        "bundled": ("nasbench201", True),
        "clutter201": ("clutter201", False),
        "micro": ("transnas101_micro", True),
    }
    assert isinstance(answer("query", "6111"), dict)
    wrong = run("top", "--dataset", "cifar10", "--benchmark", "micro")
    assert isinstance(wrong.exception, BenchmarkError)


def test_import_with_a_column_map(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(f"cell,score\n{CELL},91.5\n")
    columns = tmp_path / "columns.yml"
    columns.write_text("arch: cell\ncifar10/valid@200: score\n")
    arguments = ("import", str(tmp_path / "own.csv"), "--partial", "--columns", str(columns))
    assert run(*arguments).exit_code == 0
    assert run("query", "6111").output.count("91.5") == 1
    columns.write_text("- a list\n")
    assert isinstance(run(*arguments).exception, BenchmarkError)
    columns.write_text("a: [unclosed")
    assert isinstance(run(*arguments).exception, BenchmarkError)


def test_verify_finds_no_difference_in_real_records(shared_data: Path, cache: Path) -> None:
    report = answer("verify", str(shared_data / "nb201_tiny3_official_like.pth"))
    assert isinstance(report, dict)
    assert len(report["cells"]) == 3 and report["compared"] > 4000
    assert report["differences"] == [] == report["sizes"]
    one = run("verify", str(shared_data / "nb201_tiny3_legacy.pth"), "--cells", "1", "--seed", "4")
    assert one.exit_code == 0
    assert one.output.startswith("1 cells, ") and one.output.endswith(
        "0 differ from the official answers\n"
    )
    assert not (cache / "tables").exists()


def test_verify_tells_a_difference(
    shared_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One accuracy and all sizes of what the official class is given are changed."""
    nas_201_api = pytest.importorskip("nas_201_api")
    official = nas_201_api.NASBench201API

    def changed(content: dict, verbose: bool) -> object:
        api = official(content, verbose=verbose)
        result = next(iter(api.arch2infos_dict.values()))["200"].all_results["cifar100", 888]
        result.eval_acc1es["x-test@199"] += 0.5
        result.params += 1
        return api

    monkeypatch.setattr(nas_201_api, "NASBench201API", changed)
    result = run("verify", str(shared_data / "nb201_tiny3.pth"))
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert "2 differ from the official answers" in lines  # of the seed and of the mean
    assert "1 stored sizes are not the computed ones" in lines
    assert any("cifar100, 200 epochs, seed 888, epoch 199: test-accuracy is" in x for x in lines)


def test_verify_never_unpickles_the_file(
    shared_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("torch.load was called"))
    assert run("verify", str(shared_data / "nb201_tiny3.pth"), "--cells", "2").exit_code == 0


@pytest.mark.parametrize(
    ("name", "text"), [("nb201_truth.csv.gz", "not a .pth"), ("cut.pth", "cut.pth")]
)
def test_verify_of_something_else_is_one_line(
    shared_data: Path, tmp_path: Path, name: str, text: str
) -> None:
    path = shared_data / name
    if name == "cut.pth":
        path = tmp_path / name
        path.write_bytes((shared_data / "nb201_tiny3_legacy.pth").read_bytes()[:500_000])
    error = run("verify", str(path)).exception
    assert isinstance(error, WiringError)
    assert text in str(error) and "\n" not in str(error)
    assert run("verify", str(tmp_path / "nothing")).exit_code == 2
    assert run("verify", str(path), "--cells", "0").exit_code == 2
