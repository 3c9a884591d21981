"""A tuner's journal that was damaged: read up to the damage, never an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nni_wiring.tuners.journal import Event, Journal

GOOD = '{"cell": [0, 1], "value": null}\n'


@pytest.mark.parametrize(
    "bad",
    [
        '{"cell": ' + "[" * 100_000,
        '{"cell": [1e999], "value": 1}',
        '{"cell": [0], "value": 1' + "0" * 400 + "}",
        "[]",
        '{"cell": 5, "value": 1}',
    ],
)
def test_calls_before_the_damage_are_kept(bad: str, tmp_path: Path) -> None:
    (tmp_path / "wiring-tuner.jsonl").write_text(GOOD + bad + "\n" + GOOD)
    assert Journal(tmp_path).read() == [Event((0, 1), None)]


def test_a_pipe_holds_no_calls(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "wiring-tuner.jsonl")
    assert Journal(tmp_path).read() == []
