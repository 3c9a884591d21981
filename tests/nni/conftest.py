"""Real experiments of NNI, in a home of their own, whose managers are always stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nni_wiring.service.experiment import read_experiment
from nni_wiring.service.manager import stop_manager
from nni_wiring.service.manifest import experiment_folder, read_manifest

REPO = Path(__file__).resolve().parents[2]


class NniRunner:
    """Runs `nnictl` and this project's command line as a user would, from another folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        scripts = Path(sys.executable).parent
        self.environment = os.environ | {
            "HOME": str(home),
            "NNI_CONFIG_DIR": str(home / "nni-config"),
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPO),
        }

    def call(self, *command: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; stdout and stderr as text."""
        return subprocess.run(
            command,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python cli.py ...`."""
        return self.call(sys.executable, str(REPO / "cli.py"), *arguments)

    def create(self, config: Path) -> str:
        """`nnictl create --config`; returns the id of the experiment.

        nnictl gives its manager three seconds to come up, too few for a busy machine.
        """
        for _ in range(4):
            known, port = set(read_manifest()), str(free_port())
            answer = self.call("nnictl", "create", "--config", str(config), "--port", port)
            if answer.returncode == 0:
                (experiment_id,) = set(read_manifest()) - known
                return experiment_id
        raise AssertionError(answer.stdout + answer.stderr)

    def resume(self, experiment_id: str) -> subprocess.CompletedProcess[str]:
        """`nnictl resume`, on another port; tried again like :meth:`create`."""
        for _ in range(4):
            port = str(free_port())
            answer = self.call("nnictl", "resume", experiment_id, "--port", port)
            if answer.returncode == 0:
                break
        return answer


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def nni(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NniRunner]:
    home = tmp_path_factory.mktemp("nni-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        runner = NniRunner(home)
        yield runner
        for experiment_id in read_manifest():
            folder = experiment_folder(experiment_id)
            if folder is not None:
                stop_manager(read_experiment(folder))
