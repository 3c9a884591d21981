from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from nni.tools.package_utils.config_manager import get_algo_meta

from nni_wiring.commands.register import register
from nni_wiring.service.nni_tuners import TUNERS

NAMES = [tuner.__name__ for tuner in TUNERS]


def run(*arguments: str) -> dict:
    result = CliRunner().invoke(register, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_registering_twice_changes_nothing_and_removing_undoes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_CONFIG_DIR", str(tmp_path))
    assert run() == {"tuners": NAMES, "changed": NAMES, "registered": True}
    written = (tmp_path / "registered_algorithms.yml").read_text()
    assert run()["changed"] == []
    assert (tmp_path / "registered_algorithms.yml").read_text() == written
    meta = get_algo_meta("WiringBayes")
    assert meta is not None and meta.class_name == "nni_wiring.service.nni_tuners.WiringBayes"
    assert run("--remove")["changed"] == NAMES and get_algo_meta("WiringBayes") is None
    assert run("--remove")["changed"] == []
    assert "WiringRandom: registered\n" in CliRunner().invoke(register).output
