"""The logger beside TensorBoard's: told everything, and of no influence on the run."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import (
    TINY,
    checkpoint,
    differences,
    epochs_without_time,
    new_run,
    run,
    without_pictures,
)

from nni_wiring.commands import main
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.search import loggers
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.search.start import search
from nni_wiring.train.config import make_train_config
from nni_wiring.train.run import run_train
from search_spaces.nni_api import Logger

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Any:
    """They take most of the time, and no logger but TensorBoard's is shown them."""
    with without_pictures():
        yield


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> RunFolder:
    return run(tmp_path_factory.mktemp("silent") / "run")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> RunFolder:
    return run(tmp_path_factory.mktemp("told") / "run", logger="csv")


def rows_of(folder: RunFolder) -> list[dict[str, float]]:
    """The rows of metrics.csv, each without its empty cells."""
    with (folder.path / "csv" / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: float(text) for name, text in row.items() if text} for row in rows]


def written(line: dict[str, Any]) -> dict[str, float]:
    """An epoch's numbers in epochs.jsonl that have a tag of the same name."""
    found = {f"loss/{part}": value for part, value in line["loss"].items()}
    found |= {f"entropy/{part}": value for part, value in line["entropy"].items()}
    found |= {f"topology/{name}": value for name, value in line["topology"].items()}
    for edge, row in line["alpha"].items():
        found |= {f"alpha/{edge}/{operation}": value for operation, value in row.items()}
    for edge, row in line["cost"]["alpha"]["mean"].items():
        found |= {f"cost/{edge}/{name}": v for name, v in row.items() if name != "none"}
    return found


def same_as_records(folder: RunFolder) -> None:
    rows, lines = rows_of(folder), folder.epochs()
    assert [row["step"] for row in rows] == [line["epoch"] for line in lines] == [0, 1, 2]
    for row, line in zip(rows, lines, strict=True):
        expected = written(line)
        assert len(expected) > 60
        assert {name: row[name] for name in expected.keys() & row.keys()} == {
            name: value for name, value in expected.items() if name in row
        }
        absent = expected.keys() - row.keys()
        assert {name.partition("/")[0] for name in absent} <= {"topology"}  # figures without a tag


def test_the_csv_file_holds_the_numbers_of_epochs_jsonl(told: RunFolder) -> None:
    same_as_records(told)


def test_the_csv_file_has_all_that_tensorboard_has(told: RunFolder) -> None:
    events = EventAccumulator(str(told.tensorboard), {"scalars": 0})
    events.Reload()
    shown = {
        (event.step, tag): event.value
        for tag in events.Tags()["scalars"]
        if not tag.startswith("hparams/")
        for event in events.Scalars(tag)
    }
    rows = {
        (int(row["step"]), tag): value
        for row in rows_of(told)
        for tag, value in row.items()
        if tag != "step"
    }
    assert len(shown) > 200 and rows == pytest.approx(shown, rel=1e-6)  # events are float32


def test_a_logger_changes_neither_run_nor_checkpoint(silent: RunFolder, told: RunFolder) -> None:
    assert not (silent.path / "csv").exists()
    assert epochs_without_time(silent) == epochs_without_time(told)
    assert differences(checkpoint(silent), checkpoint(told)) == []
    results = [folder.result() for folder in (silent, told)]
    assert [result["config"].pop("logger") for result in results if result] == ["none", "csv"]
    assert results[0] == results[1]


def change_options(folder: RunFolder, change: Any) -> RunFolder:
    info = json.loads((folder.path / "run.json").read_text())
    change(info["config"])
    (folder.path / "run.json").write_text(json.dumps(info))
    return RunFolder.open(folder.path)


def stopped(path: Path, **options: Any) -> RunFolder:
    """A search that ended between the second epoch's record and its checkpoint."""
    folder = new_run(path, **options)

    def stop(record: EpochRecord) -> None:
        if record.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_search(make_config(folder.config), folder, on_epoch=stop)
    return folder


RESUMES: dict[str, tuple[dict[str, Any], Any]] = {
    "made before the option": ({}, lambda options: options.pop("logger")),
    "none, then csv": ({}, lambda options: options.update(logger="csv")),
    "csv, then csv": ({"logger": "csv"}, lambda options: None),
}


@pytest.mark.parametrize("case", RESUMES)
def test_a_run_goes_on_with_another_logger(case: str, silent: RunFolder, tmp_path: Path) -> None:
    before, change = RESUMES[case]
    folder = change_options(stopped(tmp_path / "run", **before), change)
    run_search(make_config(folder.config), folder, resume=True)
    assert folder.status == "finished"
    assert epochs_without_time(folder) == epochs_without_time(silent)
    assert differences(checkpoint(folder), checkpoint(silent)) == []
    if case == "made before the option":
        assert not (folder.path / "csv").exists()
    else:
        same_as_records(folder)


@pytest.mark.parametrize("logger", ["wandb", "mlflow"])
def test_a_missing_package_is_one_line_and_leaves_no_run(
    logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    monkeypatch.setitem(sys.modules, logger, None)
    option = f"logger={logger}"
    commands = (["search"], ["search", "--seeds", "1,2"], ["train", ARCH])
    for command in commands:
        done = CliRunner().invoke(main, [*command, "--epochs", "1", "--set", option])
        if command[0] == "train":
            done = CliRunner().invoke(main, [*command, "--set", "epochs=1", "--set", option])
        lines = done.output.strip().splitlines()
        assert done.exit_code == 1 and len(lines) == 1
        for word in (f"the package {logger}", "none, csv, wandb, mlflow"):
            assert word in lines[0]
    with pytest.raises(ConfigError, match=f"the package {logger}"):
        search(logger=logger, epochs=1)
    assert not (tmp_path / "runs").exists()


def test_another_logger_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"logger.*'none', 'csv', 'wandb' or 'mlflow'"):
        make_config({"logger": "comet"})


def test_a_csv_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run", logger="csv")
    (folder.path / "csv").write_text("in the way")
    with pytest.raises(RunError, match=r"^cannot write .*csv: .+$"):
        run_search(make_config(folder.config), folder)
    assert RunFolder.open(folder.path).status == "failed"


class Remembering(Logger):
    """A logger of Lightning's that keeps what it is told."""

    name, version = "remembering", 0

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int | None] = []
        self.ends: list[str] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.steps.append(step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """It is told none."""


def test_a_logger_of_another_package_is_ended_as_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Remembering()
    monkeypatch.setitem(sys.modules, "wandb", pytest)  # any module: it is there
    made = {"wandb": lambda folder, options: (logger, logger.ends.append)}
    monkeypatch.setattr(loggers, "_MAKERS", made)
    folder = stopped(tmp_path / "run", logger="wandb")
    assert (logger.steps, logger.ends) == ([0, 1], ["failed"])
    run_search(make_config(folder.config), folder, resume=True)
    # the first epoch, which the checkpoint holds, is told again
    assert (logger.steps, logger.ends) == ([0, 1, 0, 1, 2], ["failed", "success"])


def test_a_training_tells_all_of_its_epochs_again_when_it_goes_on(tmp_path: Path) -> None:
    def trained(path: Path, stop: int | None, **options: Any) -> RunFolder:
        config = make_train_config({"arch": ARCH, **TINY, **options})
        folder = RunFolder.create(path, "run", config.flat())

        def told_epoch(record: EpochRecord) -> None:
            if record.epoch == stop:
                raise KeyboardInterrupt

        try:
            run_train(config, folder, on_epoch=told_epoch)
        except KeyboardInterrupt:
            folder = change_options(folder, lambda kept: kept.update(logger="csv"))
            run_train(make_train_config(folder.config), folder, resume=True)
        return folder

    whole, resumed = trained(tmp_path / "a", None), trained(tmp_path / "b", 1)
    assert not (whole.path / "csv").exists()
    assert epochs_without_time(whole) == epochs_without_time(resumed)
    assert differences(checkpoint(whole), checkpoint(resumed)) == []
    for row, line in zip(rows_of(resumed), resumed.epochs(), strict=True):
        expected: dict[str, float] = {"step": line["epoch"]}
        for name in ("loss", "accuracy", "gradient_norm"):
            expected |= {f"{name}/{part}": value for part, value in line[name].items()}
        assert row == expected and len(row) >= 6
