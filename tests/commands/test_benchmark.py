from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from nni_wiring.commands.benchmark import benchmark
from nni_wiring.errors import BenchmarkError
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
