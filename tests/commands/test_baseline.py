from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nni_wiring.commands.baseline import baseline
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.runs.store import RunFolder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(baseline, ["--benchmark", "bundled", *arguments])


def test_table_picture_and_tensorboard_agree(tmp_path: Path) -> None:
    result = run(
        *("--method", "evolution", "--budget", "60", "--repeats", "5", "--out", str(tmp_path)),
        "--json",
    )
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output, parse_constant=lambda name: pytest.fail(name))
    (row,) = answer["methods"]
    assert (answer["split"], answer["signal_epochs"], answer["optimum"]) == ("valid", 200, 91.6067)
    assert row["evaluations"] == 60 and row["curve"][-1]["at"] == 60
    assert row["curve"][-1]["median"] == row["regret"]["median"]
    assert Path(answer["picture"]).read_bytes().startswith(b"\x89PNG")
    curves = {}
    for name in ("lower", "median", "upper"):
        events = EventAccumulator(str(tmp_path / "tensorboard" / f"evolution-{name}"))
        events.Reload()
        (tag,) = events.Tags()["tensors"]
        assert tag == "baseline/cifar10/valid_regret"
        curves[name] = events.Tensors(tag)[-1]
    assert curves["median"].step == 60
    assert curves["median"].tensor_proto.float_val[0] == pytest.approx(
        row["regret"]["median"], abs=1e-4
    )


def test_a_one_shot_run_stands_in_the_same_picture(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "darts-1", {"strategy": "darts"})
    folder.append_epoch({"epoch": 0, "seconds": 12.5})
    folder.append_epoch({"epoch": 1, "seconds": 7.5})
    folder.write_result({"run_id": "darts-1", "truth": {"regret": {"cifar10": {"valid": 3.25}}}})
    arguments = ("--budget", "5000s", "--repeats", "2", "--out", str(tmp_path / "out"))
    result = run(*arguments, "--run", str(tmp_path / "run"))
    assert result.exit_code == 0, result.output
    assert "run darts-1: regret 3.2500 after 20 s" in result.output
    assert (tmp_path / "out" / "tensorboard" / "run-darts-1").is_dir()
    assert isinstance(run(*arguments, "--run", "nowhere").exception, RunError)
    missing = run(*arguments, "--run", str(tmp_path / "run"), "--dataset", "cifar100")
    assert isinstance(missing.exception, RunError)


def test_bad_usage() -> None:
    assert run("--method", "magic").exit_code == 2
    assert run("--repeats", "0").exit_code == 2
    assert isinstance(run("--budget", "long").exception, ConfigError)
