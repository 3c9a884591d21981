"""A run that was killed and resumed is the run that was not, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from owners import contents, held_elsewhere
from tiny_runs import (
    checkpoint,
    config_of,
    differences,
    epochs_without_time,
    new_run,
    resume,
    resume_elsewhere,
    run,
    run_killed,
)

from nni_wiring.commands import main
from nni_wiring.errors import RunError
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import reopen
from nni_wiring.search.run import run_search

SUPPORT = Path(__file__).resolve().parents[1] / "support"

#: options, and forward passes per step (train, search; order 2: train, search, train, train, train)
VARIANTS: list[tuple[dict[str, Any], int]] = [
    ({"track_stats": True, "affine": True}, 2),
    ({"order": 2, "clip": None}, 5),
    ({"optimisation": "single_level", "cutout": 4}, 1),
    ({"space": "nasbench201_s4", "warmup_epochs": 1}, 2),  # noise: torch's own generator
]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time, and nothing of the search depends on them."""
    monkeypatch.setattr(TensorBoardSink, "_pictures", lambda self, record: {})


def same(a: RunFolder, b: RunFolder) -> None:
    assert epochs_without_time(a) == epochs_without_time(b)
    one, other = checkpoint(a), checkpoint(b)
    assert differences(one["state_dict"], other["state_dict"]) == []
    for part in ("alphas", "optimizer_states", "lr_schedulers", "draws"):
        assert differences(one[part], other[part], part) == []
    left, right = a.result(), b.result()
    assert left is not None and right is not None
    assert {**left, "run_id": ""} == {**right, "run_id": ""}


@pytest.mark.parametrize(("options", "passes"), VARIANTS, ids=lambda v: str(v)[:40])
def test_killed_in_an_epoch_and_resumed_elsewhere(
    options: dict[str, Any], passes: int, tmp_path: Path
) -> None:
    whole = run(tmp_path / "whole", **options)
    assert len(epochs_without_time(whole)) == 3 and whole.status == "finished"
    # three steps per epoch: dies in the second step of the second epoch
    in_epoch_2 = 3 * (1 if options.get("warmup_epochs") else passes) + passes
    killed = run_killed(tmp_path / "killed", in_epoch_2, **options)
    assert killed.status == "running" and len(killed.epochs()) == 1
    resumed = resume_elsewhere(killed.path)
    assert resumed.status == "finished"
    same(whole, resumed)


def test_resumed_in_a_fresh_interpreter(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", seed=4)
    killed = run_killed(tmp_path / "killed", 3 * 2 + 3, seed=4)
    program = f"import tiny_runs; tiny_runs.resume({str(killed.path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{SUPPORT}:{SUPPORT.parents[1]}", **_environment()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    same(whole, RunFolder.open(killed.path))


def _environment() -> dict[str, str]:
    import os

    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def test_killed_before_the_first_checkpoint_starts_over(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", epochs=2)
    killed = run_killed(tmp_path / "killed", 3, epochs=2)
    assert not killed.checkpoint.exists() and killed.epochs() == []
    same(whole, resume_elsewhere(killed.path))


def test_a_run_that_is_being_written_is_refused_and_a_dead_ones_is_resumed(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", epochs=2)
    killed = run_killed(tmp_path / "killed", 3 * 2 + 1, epochs=2)
    with held_elsewhere(killed.path) as owner:
        before = contents(killed.path)
        done = CliRunner().invoke(main, ["search", "--resume", str(killed.path)])
        assert done.exit_code == 1
        (error,) = [line for line in done.output.splitlines() if line.startswith("error: ")]
        assert f"process {owner.pid} " in error
        assert contents(killed.path) == before
        owner.kill()
        owner.wait()
        same(whole, resume_elsewhere(killed.path))


def test_a_record_without_its_checkpoint_is_run_again(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    killed = run_killed(tmp_path / "killed", 3 * 2 + 1)
    killed.append_epoch({"epoch": 1, "note": "written, but the checkpoint was not"})
    (killed.path / ".checkpoint.pt.partial").write_bytes(b"half a file")
    with (killed.path / "epochs.jsonl").open("a") as file:
        file.write('{"epoch": 2, "cut o')
    same(whole, resume_elsewhere(killed.path))


def test_killed_between_the_last_epoch_and_the_result(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    cut = run(tmp_path / "cut")
    (cut.path / "result.json").unlink()
    cut.set_status("running")
    same(whole, resume_elsewhere(cut.path))


def test_killed_between_the_result_and_the_status(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    cut = run(tmp_path / "cut")
    cut.set_status("running")
    same(whole, resume_elsewhere(cut.path))


@pytest.mark.parametrize("selection", ["magnitude", "supernet_ranking"])
def test_killed_between_a_stop_rule_and_the_result(selection: str, tmp_path: Path) -> None:
    """The rule ended the search after two of its five epochs: nothing is left to train."""
    options = {"strategy": "darts_plus", "epochs": 5, "selection": selection}
    options |= {"max_skips": None, "stable_epochs": 1, "alpha_lr": 0.0, "alpha_weight_decay": 0.0}
    if selection == "supernet_ranking":
        options["selection_settings"] = {"samples": 3}
    whole = run(tmp_path / "whole", **options)
    assert len(whole.epochs()) == 2
    cut = run(tmp_path / "cut", **options)
    (cut.path / "result.json").unlink()
    cut.set_status("running")
    same(whole, resume_elsewhere(cut.path))


def test_a_search_that_is_opened_again_stands_where_its_schedule_stood(tmp_path: Path) -> None:
    """GDAS' temperature falls linearly from tau_start to tau_end over the epochs of the config."""
    options = {"strategy": "gdas", "epochs": 3, "tau_start": 9.0, "tau_end": 1.0}
    killed = run_killed(tmp_path / "killed", 2 * 3 * 2 + 1, **options)
    assert len(killed.epochs()) == 2
    assert reopen(killed).strategy.relaxation.temperature == pytest.approx(5.0)


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one", epochs=2), run(tmp_path / "two", epochs=2)
    same(one, two)
    other = run(tmp_path / "other", epochs=2, seed=2)
    assert epochs_without_time(one) != epochs_without_time(other)


def test_a_finished_run_refuses_and_stays_finished(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", epochs=1)
    result, records = folder.result(), folder.epochs()
    with pytest.raises(RunError, match="run is finished"):
        resume(str(folder.path))
    again = RunFolder.open(folder.path)
    assert (again.status, again.info["error"]) == ("finished", None)
    assert again.result() == result and again.epochs() == records


def test_ctrl_c_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    folder = new_run(tmp_path / "run")

    def interrupt(record: EpochRecord) -> None:
        if record.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_search(config_of(), folder, on_epoch=interrupt)
    assert RunFolder.open(folder.path).status == "interrupted"
    same(whole, resume_elsewhere(folder.path))


def test_a_checkpoint_of_another_network_is_refused_in_one_line(tmp_path: Path) -> None:
    killed = run_killed(tmp_path / "killed", 3 * 2 + 1)
    for options in ({"channels": 6}, {"space": "nasbench201_s2"}, {"order": 2, "cells": 2}):
        with pytest.raises(RunError) as caught:
            run_search(make_config({**killed.config, **options}), killed, resume=True)
        assert "\n" not in str(caught.value) and "checkpoint" in str(caught.value)
    assert RunFolder.open(killed.path).status == "failed"
