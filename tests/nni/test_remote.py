"""NNI's remote training service against a real SSH server on loopback, with a key of its own.

Needs Debian's openssh-server; skipped without it. By hand:
    apt-get install openssh-server && python -m pytest tests/nni/test_remote.py
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from nni_wiring.service.experiment import read_experiment
from nni_wiring.service.manifest import experiment_folder
from nni_wiring.truth import load_table

if TYPE_CHECKING:
    from conftest import NniRunner

REPO = Path(__file__).resolve().parents[2]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
TRIALS = 4


class SshServer(NamedTuple):
    port: int
    key: Path
    home: Path


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    """sshd on loopback: own port, own host key, own client key, a home of its own."""
    if SSHD is None:
        pytest.skip("no sshd (Debian: apt-get install openssh-server)")
    home = tmp_path / "remote-home"
    home.mkdir()
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
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
SetEnv HOME={home} NNI_WIRING_CACHE={home}/cache OMP_NUM_THREADS=1 PIP_NO_INDEX=1
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
def test_trials_run_over_ssh_and_report_back(
    nni: NniRunner, ssh_server: SshServer, tmp_path: Path
) -> None:
    assert nni.cli("register").returncode == 0
    config = yaml.safe_load((REPO / "tuner_configs" / "remote.yml").read_text())
    code = tmp_path / "code"
    code.mkdir()
    (code / "note.txt").write_text("NNI copies this folder, and refuses an empty one\n")
    config |= {
        "nniManagerIp": "127.0.0.1",
        "maxTrialNumber": TRIALS,
        "trialCodeDirectory": str(code),
    }
    (machine,) = config["trainingService"]["machineList"]
    machine |= {
        "host": "127.0.0.1",
        "port": ssh_server.port,
        "user": getpass.getuser(),
        "sshKeyFile": str(ssh_server.key),
        "pythonPath": str(Path(sys.executable).parent),
    }
    (tmp_path / "remote.yml").write_text(yaml.safe_dump(config))
    experiment = nni.create(tmp_path / "remote.yml")
    folder = experiment_folder(experiment)
    assert folder is not None
    finals = _wait_for_finals(folder)
    nni.call("nnictl", "stop", experiment)
    table = load_table("bundled")
    for final in finals:
        truth = table.query(final["arch"])
        assert final["default"] == truth["accuracy"]["cifar10"]["valid"]
    # the trials ran in the home of the SSH session, not in the manager's
    assert list((ssh_server.home / "nni-experiments").rglob("trial.stdout"))
    assert not list(folder.rglob("trial.stdout"))


def _wait_for_finals(folder: Path) -> list[dict]:
    end = time.monotonic() + 200
    while True:
        trials = read_experiment(folder).trials
        finals = [trial.final for trial in trials if trial.final is not None]
        if len(finals) >= TRIALS:
            return finals
        log = (folder / "log" / "nnimanager.log").read_text()
        assert time.monotonic() < end and "Experiment stopped" not in log, log[-3000:]
        time.sleep(1)
