"""`tensorboard`: what it shows, and that only this machine can reach it."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from board import get, opened, write_tab
from click.testing import CliRunner
from synthetic_runs import write_run

from nni_wiring.commands import main
from nni_wiring.commands.tensorboard import (
    _launch,
    link_runs,
    run_name,
    write_hparams,
    write_provenance,
    write_tabs,
)
from nni_wiring.errors import RunError
from nni_wiring.explain import explain
from nni_wiring.monitor.hparams import METRIC, varying
from nni_wiring.monitor.view import View
from nni_wiring.runs.store import RunFolder
from nni_wiring.tab.summary import PLUGIN
from nni_wiring.truth import load_table


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with one curve and reference curves beside it, written by torch's own writer."""
    from torch.utils.tensorboard import SummaryWriter

    config = {"strategy": "darts", "seed": 3, "data": "digits", "epochs": 2}
    run = RunFolder.create(tmp_path / "run", "run-1", config)
    for folder in (run.tensorboard, run.tensorboard / "reference" / "optimum"):
        with SummaryWriter(str(folder)) as writer:
            writer.add_scalar("truth/cifar10/valid", 80.0, 0)
    return run


def test_a_runs_own_logs_are_linked_once_and_its_references_left_out(
    run: RunFolder, tmp_path: Path
) -> None:
    logdir = tmp_path / "logdir"
    logdir.mkdir()

    for _ in range(2):
        assert link_runs(logdir, [run]) == [run]

    (name,) = [entry.name for entry in logdir.iterdir()]
    assert name == "darts-s3-run-1"
    (link,) = (logdir / name).iterdir()
    assert link.samefile(next(run.tensorboard.glob("events.*")))


def test_a_run_without_logs(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", "run-1", {})

    result = CliRunner().invoke(main, ["tensorboard", str(run.path)])

    assert result.exit_code == 1
    assert "no TensorBoard logs (yet)" in result.stderr


def test_it_serves_the_runs_on_the_loopback_address_only(run: RunFolder, tmp_path: Path) -> None:
    logdir = tmp_path / "logdir"
    logdir.mkdir()
    link_runs(logdir, [run])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    address = _launch(logdir, port)

    assert address.rstrip("/") == f"http://127.0.0.1:{port}"
    listening = [
        entry.laddr.ip
        for entry in psutil.Process().net_connections("inet")
        if entry.status == psutil.CONN_LISTEN and entry.laddr.port == port
    ]
    assert listening == ["127.0.0.1"]
    assert _answer(f"{address}data/runs") == ["darts-s3-run-1"]
    plugins = _answer(f"{address}data/plugins_listing")
    assert plugins["wiring"]["tab_name"] == "Wiring" and "scalars" in plugins


def _answer(address: str, seconds: float = 30.0) -> Any:  # noqa: ANN401
    """The server's JSON once it is not empty: it reads the logs after it has started."""
    end = time.monotonic() + seconds
    while True:
        with urllib.request.urlopen(address, timeout=10) as answer:
            value = json.load(answer)
        if value or time.monotonic() > end:
            return value
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("run_id", "name"),
    [
        ("darts-s3-20260131-142530-9f3c", "darts-s3-9f3c"),
        ("uHMbn", "darts-s3-uHMbn"),  # a trial of NNI
        ("darts-s3-20260131-mine", "darts-s3-darts-s3-20260131-mine"),
    ],
)
def test_run_names_are_short(run_id: str, name: str, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", run_id, {"strategy": "darts", "seed": 3})
    assert run_name(run) == name


def test_hparams_shows_what_differs_the_usual_settings_first(tmp_path: Path) -> None:
    """As TensorBoard's own server answers, beside runs that name all their settings."""
    from torch.utils.tensorboard import SummaryWriter

    logdir = tmp_path / "logdir"
    logdir.mkdir()
    common = {"epochs": 2, "device": "cpu"}
    configs = [
        common | {"augment": False, "strategy": "darts", "seed": 1, "order": 1, "alpha_lr": 0.1},
        common | {"augment": True, "strategy": "gdas", "seed": 2, "alpha_lr": 0.1},
    ]
    for config in configs:
        with SummaryWriter(str(logdir / str(config["strategy"]))) as writer:
            writer.add_hparams(config, {METRIC: 80.0}, run_name=".")
    runs = [
        RunFolder.create(tmp_path / f"run{place}", f"r{place}", config)
        for place, config in enumerate(configs)
    ]
    write_hparams(logdir, runs[:1])  # nothing differs: nothing is dropped
    assert not list(logdir.glob("events.*"))
    write_hparams(logdir, runs)

    address = _launch(logdir, None)
    request = urllib.request.Request(
        f"{address}data/plugin/hparams/experiment",
        data=json.dumps({"experimentName": ""}).encode(),
        headers={"Content-Type": "application/json"},
    )
    end = time.monotonic() + 30
    names: list[str] = []
    while time.monotonic() < end and names[:1] != ["order"]:
        with urllib.request.urlopen(request, timeout=10) as answer:
            names = [info["name"] for info in json.load(answer).get("hparamInfos", [])]
        time.sleep(0.2)
    assert names == ["order", "seed", "strategy", "augment"]
    assert list(varying(configs)) == ["strategy", "seed", "order", "augment"]


def test_what_a_truth_is_worth_is_said_beside_its_run(run: RunFolder, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run.append_epoch({"epoch": 0, "truth": {"accuracy": {"cifar10": {"valid": 80.0}}}})
    bare = RunFolder.create(tmp_path / "bare", "bare", {"data": "digits"})
    bare.append_epoch({"epoch": 0})
    logdir = tmp_path / "logdir"
    write_provenance(logdir, [run, bare])
    events = EventAccumulator(str(logdir / "darts-s3-run-1" / "provenance")).Reload()
    [event] = events.Tensors("provenance/text_summary")
    said = event.tensor_proto.string_val[0].decode()
    assert said.startswith("Truth: NAS-Bench-201; search not comparable: searched on digits")
    assert [folder.name for folder in logdir.iterdir()] == ["darts-s3-run-1"]


def test_a_run_of_an_earlier_version_gets_the_tab_too(run: RunFolder, tmp_path: Path) -> None:
    told = write_run(tmp_path / "told", "cccccc")
    write_tab(told, View(None, ""))
    old = write_run(tmp_path / "old", "cccccc ssssss")
    logdir = tmp_path / "logdir"
    write_tabs(logdir, [run, told, old])  # the first has no epoch
    with opened(logdir) as tab:
        assert list(get(tab, "/runs")) == ["darts-s1-old/wiring"]
        found = get(tab, "/run", name="darts-s1-old/wiring")
    assert [one["arch"] for one in found["epochs"]] == [r["arch"] for r in old.epochs()]
    expected = explain(old, load_table())
    assert found["explanation"]["regret"] == pytest.approx(expected.regret, rel=1e-5)


def test_the_printed_address_opens_the_tab(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(seconds: float) -> None:
        raise RunError("ended")

    module = "nni_wiring.commands.tensorboard"
    monkeypatch.setattr(f"{module}._launch", lambda logdir, port: "http://127.0.0.1:6006/")
    monkeypatch.setattr(f"{module}.time.sleep", ended)
    answer = CliRunner().invoke(main, ["tensorboard", str(run.path)])
    assert f"TensorBoard at http://127.0.0.1:6006/#{PLUGIN}  (Ctrl-C" in answer.stdout
