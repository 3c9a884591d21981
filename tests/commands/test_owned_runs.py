"""Commands that write a run, on one that another process writes: one line, and nothing touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from owners import contents, held_elsewhere

from nni_wiring.commands import main
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.train.config import make_train_config

ARCH = "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"


@pytest.mark.parametrize("command", ["search --resume", "train --resume", "select"])
def test_a_run_of_another_process_stays_as_it_is(command: str, tmp_path: Path) -> None:
    train = command.startswith("train")
    config = make_train_config({"arch": ARCH, "epochs": 1}) if train else make_config({"epochs": 1})
    run = RunFolder.create(tmp_path / "r1", "r1", config.flat())
    if train:
        run.note(kind="train")
    with held_elsewhere(run.path) as owner:
        before = contents(run.path)
        done = CliRunner().invoke(main, [*command.split(), str(run.path)])
        assert contents(run.path) == before
    assert done.exit_code == 1
    (error,) = [line for line in done.output.splitlines() if not line.startswith("run ")]
    assert error.startswith("error: run r1 is being written by process ")
    assert f"process {owner.pid} " in error
