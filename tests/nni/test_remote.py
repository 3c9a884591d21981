"""NNI's remote training service against a real SSH server on loopback, with a key of its own.

Needs Debian's openssh-server, which `.ci/run` installs; skipped without it, except in CI. By hand:
    apt-get install openssh-server && python -m pytest tests/nni/test_remote.py
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from nni_wiring.service.experiment import NniTrial, read_experiment
from nni_wiring.service.manifest import experiment_folder
from nni_wiring.truth import load_table

if TYPE_CHECKING:
    from conftest import NniRunner

REPO = Path(__file__).resolve().parents[2]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
SEEDS = [1, 2, 3]
#: The seed of the search that ends itself as `kill -9`, or the kernel for want of memory, would.
DYING = 3
SMALL = {"strategy": "darts", "epochs": 2, "max_steps": 2, "channels": 2, "cells": 1}
#: `nni_wiring.trial`, but for the one that is killed as soon as its first epoch is on disk.
TRIAL = f"""
import os, signal
from nni_wiring.runs.store import RunFolder
from nni_wiring.service.trial import main

append = RunFolder.append_epoch

def append_and_die(run, record):
    append(run, record)
    if run.config["seed"] == {DYING}:
        os.kill(os.getpid(), signal.SIGKILL)

RunFolder.append_epoch = append_and_die
main()
"""


class SshServer(NamedTuple):
    port: int
    key: Path
    home: Path


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    """sshd on loopback: own port, own host key, own client key, a home of its own."""
    if SSHD is None:
        # a CI run without it would say that all is well with what it did not try
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("no sshd (Debian: apt-get install openssh-server)")
    home = tmp_path / "remote-home"
    home.mkdir()
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    shared = f"NNI_WIRING_CACHE={os.environ['NNI_WIRING_CACHE']}"  # or the tables are built again
    config = tmp_path / "sshd_config"
    config.write_text(
        f"""ListenAddress 127.0.0.1
Port {port}
HostKey {tmp_path / "host"}
AuthorizedKeysFile {tmp_path / "client.pub"}
AuthenticationMethods publickey
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
SetEnv HOME={home} {shared} OMP_NUM_THREADS=1 PIP_NO_INDEX=1 PYTHONPATH={REPO}
"""
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's sshd separates privileges
    log = tmp_path / "sshd.log"
    with open(log, "w") as output:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=output)
    try:
        _wait_for_port(port, server, log)
        yield SshServer(port, tmp_path / "client", home)
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait_for_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(50):
        assert server.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"sshd does not listen: {log.read_text()}")


@pytest.mark.slow
@pytest.mark.timeout(600)  # NNI starts the other machine's Python seven times before a trial
def test_searches_run_over_ssh_and_are_read_back_and_one_that_is_killed_counts_as_failed(
    nni: NniRunner, ssh_server: SshServer, tmp_path: Path
) -> None:
    experiment_id = nni.create(write_config(tmp_path, ssh_server))

    watched = nni.cli("watch", experiment_id, "--stop")

    assert watched.returncode == 1, watched.stdout + watched.stderr
    assert f"{experiment_id}: 2 of 3 trials succeeded" in watched.stdout
    assert watched.stdout.count("finished  epoch 2/2  true accuracy") == 2
    assert "1 of 3 trials failed: trial " in watched.stderr.splitlines()[-1]
    folder = experiment_folder(experiment_id)
    assert folder is not None
    # the trials ran in the home of the SSH session, not in the manager's
    assert not list(folder.rglob("run.json"))
    fetch(ssh_server, f"{ssh_server.home}/nni-experiments/{experiment_id}/environments", folder)
    answer = nni.cli("analyze", experiment_id, "--json")
    (killed,) = read_experiment(folder).failed
    assert answer.returncode == 1
    cause = f"trial {killed.number} ({killed.trial_id}): it was killed, or its machine was lost"
    assert f"1 of 3 trials failed: {cause}" in answer.stderr and answer.stderr.count("\n") == 1
    analysed = {run["run_id"]: run for run in json.loads(answer.stdout)["runs"]}
    run = analysed.pop(killed.trial_id)
    assert (run["seed"], run["status"], run["epochs"]) == (DYING, "failed", 1)
    assert killed.final is None and killed.intermediate == ()
    others = {trial.trial_id: trial for trial in read_experiment(folder).trials if trial != killed}
    assert set(others) == set(analysed) and len(others) == 2
    for trial_id, trial in others.items():
        are_those_of_the_table(trial, analysed[trial_id])
    for command in ("watch", "analyze"):
        allowed = nni.cli(command, experiment_id, "--allow-failed")
        assert allowed.returncode == 0, allowed.stderr


def are_those_of_the_table(trial: NniTrial, run: dict[str, Any]) -> None:
    """The result that NNI has of a whole search is the true accuracy of the cell that it found."""
    assert (run["status"], run["epochs"]) == ("finished", 2)
    assert trial.parameters is not None and trial.parameters["seed"] == run["seed"]
    truth = load_table().query(run["arch"])["accuracy"]["cifar10"]["valid"]
    assert trial.final is not None and trial.final["default"] == pytest.approx(truth, abs=1e-4)


def write_config(tmp_path: Path, server: SshServer) -> Path:
    """The remote configuration with searches in place of look-ups, as its comment tells."""
    config = yaml.safe_load((REPO / "tuner_configs" / "remote.yml").read_text())
    local = yaml.safe_load((REPO / "tuner_configs" / "quickstart.yml").read_text())
    code = tmp_path / "code"
    code.mkdir()
    (code / "dying.py").write_text(TRIAL)  # NNI copies this folder, and starts trials in it
    choices = {**{name: [value] for name, value in SMALL.items()}, "seed": SEEDS}
    config |= {
        "nniManagerIp": "127.0.0.1",
        "maxTrialNumber": len(SEEDS),
        "trialCodeDirectory": str(code),
        "trialCommand": "python -m dying",
        "tuner": local["tuner"],
        "searchSpace": {n: {"_type": "choice", "_value": v} for n, v in choices.items()},
    }
    (machine,) = config["trainingService"]["machineList"]
    machine |= {
        "host": "127.0.0.1",
        "port": server.port,
        "user": getpass.getuser(),
        "sshKeyFile": str(server.key),
        "pythonPath": str(Path(sys.executable).parent),
    }
    path = tmp_path / "remote.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def fetch(server: SshServer, folder: str, target: Path) -> None:
    """Copy a folder of the machine behind SSH into `target`, as docs/nni.md tells."""
    hosts = f"UserKnownHostsFile={server.home / 'known_hosts'}"
    options = ("-o", "StrictHostKeyChecking=no", "-o", hosts, "-i", str(server.key))
    command = ("scp", "-q", "-r", *options, "-P", str(server.port))
    subprocess.run((*command, f"127.0.0.1:{folder}", str(target)), check=True, timeout=60)
