"""nnictl's list of a user's experiments: where each lies, which port and process serve it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from nni_wiring.errors import RunError
from nni_wiring.files.json_files import read_object
from nni_wiring.files.messages import shown

NNI_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def manifest_path() -> Path:
    """The file in which nnictl lists this user's experiments."""
    return Path.home() / "nni-experiments" / ".experiment"


def read_manifest() -> dict[str, dict[str, Any]]:
    """nnictl's list of experiments, id -> entry; empty if there is none.

    Raises:
        RunError: the list stays unreadable for a second.
    """
    for attempt in range(5):
        try:
            entries = read_object(manifest_path()) or {}
            break
        except RunError:
            # NNI rewrites the file in place, so a reader may meet half of it
            if attempt == 4:
                raise
            time.sleep(0.25)
    return {
        key: value
        for key, value in entries.items()
        if isinstance(value, dict) and NNI_ID.fullmatch(key)
    }


def experiment_folder(experiment_id: str) -> Path | None:
    """Folder of the experiment, None if nnictl's list does not know it or the folder is gone."""
    return _folder_of(experiment_id, read_manifest())


def _folder_of(experiment_id: str, entries: Mapping[str, Mapping[str, Any]]) -> Path | None:
    entry = entries.get(experiment_id)
    if entry is None or not isinstance(entry.get("logDir"), str):
        return None
    folder = Path(entry["logDir"]) / experiment_id
    return folder if (folder / "db").is_dir() else None


def latest_experiment() -> str | None:
    """Id of the experiment that started last and whose folder still exists, or None."""
    entries = read_manifest()
    by_start = sorted(entries, key=lambda key: as_integer(entries[key].get("startTime")) or 0)
    for experiment_id in reversed(by_start):
        if _folder_of(experiment_id, entries) is not None:
            return experiment_id
    return None


def experiment_of_trial(trial_id: str) -> Path | None:
    """Folder of the experiment that ran `trial_id`, None if no listed one did."""
    if not NNI_ID.fullmatch(trial_id):
        return None
    entries = read_manifest()
    for experiment_id in entries:
        folder = _folder_of(experiment_id, entries)
        if folder is not None and trial_folder(folder, trial_id).is_dir():
            return folder
    return None


def trial_folder(folder: Path, trial_id: str) -> Path:
    """Folder of a trial; where several environments have one, the first by name.

    Raises:
        RunError: a link leads there.
    """
    found = sorted(folder.glob(f"environments/*/trials/{trial_id}"))
    inside = [path for path in found if _inside(path, folder)]
    if found and not inside:
        raise RunError(f"{shown(found[0])} is a link, which a trial's folder may not be")
    return inside[0] if inside else folder / "environments" / "local-env" / "trials" / trial_id


def _inside(path: Path, folder: Path) -> bool:
    """True where no link leads from `path` out of `folder`, which is where reports are written."""
    return path.resolve() == folder.resolve() / path.relative_to(folder)


def as_integer(value: object) -> int | None:
    """`value` as an int if it is one or spells one, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        return None
    return whole if abs(whole) < 2**63 else None


def process_lives(pid: int) -> bool:
    """True if a process with this id exists and is more than a zombie's entry."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    except psutil.AccessDenied:
        return True
