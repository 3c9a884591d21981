"""The experiments for NNI: a copy is one that NNI takes, and runs beside itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from nni.experiment.config import ExperimentConfig

from nni_wiring.commands.configs import configs
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.service.configs import config_summaries, write_config

FOLDER = Path(__file__).resolve().parents[2] / "tuner_configs"
EXPERIMENTS = sorted({path.stem for path in FOLDER.glob("*.yml")} - {"algorithms"})


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_nni_takes_a_copy_and_runs_its_trials_beside_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id_ed25519").touch()  # NNI asks whether remote.yml's is there
    path = write_config(name, tmp_path)
    before = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    assert yaml.safe_load(path.read_text()) == {**before, "trialCodeDirectory": "."}
    config = ExperimentConfig.load(path).canonical_copy()  # paths absolute, from the file's folder
    assert Path(str(config.trial_code_directory)).resolve() == tmp_path.resolve()
    assert "tuner_configs" not in path.read_text() and "cli.py" not in path.read_text()


def test_every_file_has_a_summary() -> None:
    known = config_summaries()
    assert sorted(known) == sorted([*EXPERIMENTS, "algorithms"])
    first = (FOLDER / "evolution.yml").read_text().splitlines()[0]
    assert f"# {known['evolution']}" == first and all(known.values())


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = write_config("train", tmp_path)
    path.write_text("mine")
    with pytest.raises(RunError, match="train.yml exists already"):
        write_config("train", tmp_path)
    assert path.read_text() == "mine"
    with pytest.raises(RunError, match="no such folder"):
        write_config("train", tmp_path / "nowhere")


def test_a_mistyped_name_is_answered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown config .quikstart.*did you mean quickstart"):
        write_config("quikstart", tmp_path)
    with pytest.raises(ConfigError, match="unknown config"):
        write_config("../setup", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_how_to_start_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(configs, ["bayes", "--to", str(tmp_path)])
    assert done.exit_code == 0 and (tmp_path / "bayes.yml").is_file()
    assert f"nnictl create --config {tmp_path / 'bayes.yml'} --port 8080" in done.output
    listed = CliRunner().invoke(configs, [])
    assert all(name in listed.output for name in EXPERIMENTS)
