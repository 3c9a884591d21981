"""The manager process of a running NNI experiment: what it says of itself, and stopping it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.service.experiment import NniExperiment
from nni_wiring.service.manifest import process_lives

_STOP_SECONDS = 120


def manager_status(experiment: NniExperiment) -> str:
    """The manager's status now (RUNNING, DONE, ERROR, ...), else the last one in nnictl's list.

    A manager that died without a word gives STOPPED.
    """
    if not experiment.managed:
        return experiment.status if experiment.status in ("DONE", "ERROR") else "STOPPED"
    answer = _get(experiment, "check-status")
    return str(answer["status"]) if "status" in answer else experiment.status


def web_address(experiment: NniExperiment) -> str:
    """The address of the web UI, as seen from this machine."""
    prefix = experiment.url_prefix.strip("/")
    return f"http://127.0.0.1:{experiment.port}" + (f"/{prefix}" if prefix else "")


def stop_manager(experiment: NniExperiment) -> None:
    """Stop the experiment with `nnictl stop` and wait until its manager is gone.

    Raises:
        RunError: it lives on, with what nnictl said.
    """
    if experiment.pid is None or not experiment.managed:
        return
    command = [sys.executable, "-m", "nni.tools.nnictl.nnictl", "stop", experiment.experiment_id]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_STOP_SECONDS)
        said = (answer.stdout + answer.stderr).strip()
    except subprocess.TimeoutExpired:
        said = f"nnictl stop took more than {_STOP_SECONDS} s"
    for _ in range(50):
        if not process_lives(experiment.pid):
            return
        time.sleep(0.1)
    last = said.splitlines()[-1] if said else "nnictl said nothing"
    raise RunError(
        f"the manager of NNI experiment {experiment.experiment_id} (process {experiment.pid}) "
        f"does not stop: {last}"
    )


def _get(experiment: NniExperiment, name: str) -> dict[str, Any]:
    """Answer of the manager's REST server, {} while it does not answer."""
    address = f"{web_address(experiment)}/api/v1/nni/{name}"
    # no proxy: the address is this machine's own
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=10) as answer:
            value = json.load(answer)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
