"""The folder of one run: run.json, epochs.jsonl, result.json, tensorboard/, checkpoint.pt, report/.

Format 1. `run.json` and `result.json` are replaced atomically, `epochs.jsonl` holds one JSON object
a line, appended and flushed, so that a run that dies at any moment (kill -9, full disk) leaves a
folder that can be read and resumed.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import append_line, replace_file
from nni_wiring.files.json_files import (
    from_json,
    read_lines,
    read_object,
    to_json,
    write_json,
)
from nni_wiring.files.messages import reason, shown
from nni_wiring.files.tolerant import as_count, as_text
from nni_wiring.records import EpochRecord
from nni_wiring.runs import environment
from nni_wiring.runs.info import FORMAT, ID_FIELDS, STATUSES, checked
from nni_wiring.runs.result import SearchResult

if TYPE_CHECKING:
    import pandas


def runs_root() -> Path:
    """Folder that holds the runs of this user: ``$NNI_WIRING_RUNS``, else ``./runs``."""
    return Path(os.environ.get("NNI_WIRING_RUNS") or "runs")


def new_run_id(strategy: str, seed: int | None) -> str:
    """A fresh run id such as ``darts-s1-20260131-142530-9f3c`` (time in UTC); without the seed
    where it is not known.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", strategy).strip("_") or "run"
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    seeded = name[:40] if seed is None else f"{name[:40]}-s{seed}"
    return f"{seeded}-{stamp}-{secrets.token_hex(2)}"


def own_part(run_id: str) -> str:
    """The part that tells a run from others: of an id of :func:`new_run_id` the last letters,
    else the whole.
    """
    made = re.fullmatch(r".+-\d{8}-\d{6}-([0-9a-f]{4})", run_id)
    return made[1] if made else run_id


class RunFolder:
    """One run on disk. Make it with :meth:`create` or :meth:`open`.

    Attributes:
        path: the folder.
        run_id: letters, digits, ``.``, ``_`` and ``-`` only.
        info: content of `run.json`.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info
        self.run_id: str = info["run_id"]

    def __repr__(self) -> str:
        return f"RunFolder({self.run_id!r}, status={self.status!r}, path={str(self.path)!r})"

    @classmethod
    def create(
        cls, path: Path | str, run_id: str, config: dict[str, Any], **ids: str | int | None
    ) -> RunFolder:
        """Start a run in `path` (made if missing; other files in it are left alone).

        Args:
            path: folder of the run.
            run_id: see :func:`new_run_id`; under NNI the trial id.
            config: settings of the run under the CLI's option names, flat.
            **ids: `experiment_id`, `trial_id` (str) and `parameter_id` (int) of NNI.

        Raises:
            RunError: a run is there already, the run id cannot be a file name, or the folder
                cannot be written.
        """
        path = Path(path)
        unknown = sorted(set(ids) - set(ID_FIELDS))
        if unknown:
            raise TypeError(f"unknown ids {unknown}, allowed: {sorted(ID_FIELDS)}")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot create the run folder {shown(path)}: {reason(error)}") from None
        if (path / "run.json").exists() or (path / "epochs.jsonl").exists():
            raise RunError(f"{shown(path)} already holds a run; resume it or choose another folder")
        info: dict[str, Any] = {
            "run_id": run_id,
            "format": FORMAT,
            "status": "running",
            "error": None,
            "config": dict(config),
            "versions": environment.versions(),
            "git_commit": environment.git_commit(),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        } | {name: ids.get(name) for name in ID_FIELDS}
        run = cls(path, checked(info, path / "run.json"))
        write_json(run.path / "run.json", run.info)
        return run

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open the run in the folder `path`.

        Raises:
            RunError: no run there, or `run.json` is empty, truncated, foreign or of another format.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"no run folder at {shown(path)}")
        info = read_object(path / "run.json")
        if info is None:
            raise RunError(f"{shown(path)} holds no run: run.json is missing")
        return cls(path, checked(info, path / "run.json"))

    @property
    def status(self) -> str:
        """One of :data:`STATUSES`; a run that was killed still says ``running``."""
        return str(self.info["status"])

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the run under the CLI's option names."""
        config: dict[str, Any] = self.info["config"]
        return config

    @property
    def truth_dataset(self) -> str | None:
        """The data set whose truth is shown; None before the data were read (and in older runs)."""
        return as_text(self.info.get("truth_dataset"))

    @property
    def tensorboard(self) -> Path:
        """Folder of the TensorBoard event files."""
        return self._inside("tensorboard")

    @property
    def checkpoint(self) -> Path:
        """File that a resume needs; see :mod:`nni_wiring.search.checkpoint`."""
        return self._inside("checkpoint.pt")

    @property
    def earlier_checkpoint(self) -> Path:
        """The checkpoint before the last, for when the last one cannot be read."""
        return self._inside("checkpoint.earlier.pt")

    @property
    def report(self) -> Path:
        """Folder of the pages and pictures that `analyze` writes."""
        return self._inside("report")

    def append_epoch(self, record: EpochRecord | Mapping[str, Any]) -> None:
        """Append one epoch's record to `epochs.jsonl` and flush it (NaN and infinities as null).

        Raises:
            RunError: the record has no epoch number, or it cannot be written (earlier records
                stay readable).
        """
        value = record.to_json() if isinstance(record, EpochRecord) else dict(record)
        epoch = value.get("epoch")
        if as_count(epoch) is None:
            raise RunError(f"run {self.run_id}: epoch {epoch!r} is not a number from 0")
        append_line(self.path / "epochs.jsonl", to_json(value))

    def epochs(self) -> list[dict[str, Any]]:
        """The records of all epochs, in order; a last line that was cut off is left out.

        Raises:
            RunError: `epochs.jsonl` holds something else than records of rising epochs.
        """
        path = self.path / "epochs.jsonl"
        records: list[dict[str, Any]] = []
        for number, line in enumerate(read_lines(path), start=1):
            try:
                record = from_json(line)
            except ValueError:
                raise RunError(f"{shown(path)} line {number} is not JSON") from None
            if not isinstance(record, dict) or as_count(record.get("epoch")) is None:
                raise RunError(f"{shown(path)} line {number} is not an epoch's record")
            if records and record["epoch"] <= records[-1]["epoch"]:
                raise RunError(f"{shown(path)} line {number}: epochs do not rise")
            records.append(record)
        return records

    def records(self) -> list[EpochRecord]:
        """The records of all epochs, typed; see :meth:`epochs`."""
        return [EpochRecord.from_json(value) for value in self.epochs()]

    def to_frame(self) -> pandas.DataFrame:
        """One row an epoch; see :func:`nni_wiring.runs.frame.frame_of`."""
        from nni_wiring.runs.frame import frame_of

        return frame_of(self.records())

    def keep_epochs(self, count: int) -> None:
        """Drop the records of epochs >= `count`, atomically (a resume runs these epochs again).

        Raises:
            RunError: the records cannot be read or written; they are then as before.
        """
        kept = sum(record["epoch"] < count for record in self.epochs())
        replace_file(self.path / "epochs.jsonl", b"".join(self._first_lines(kept)))

    def records_hash(self, count: int) -> str:
        """SHA-256, in hexadecimal, of the first `count` lines of `epochs.jsonl`.

        Raises:
            RunError: `epochs.jsonl` cannot be read.
        """
        digest = hashlib.sha256()
        for line in self._first_lines(count):
            digest.update(line)  # not all at once: it is asked for after every epoch
        return digest.hexdigest()

    def _first_lines(self, count: int) -> Iterator[bytes]:
        return islice(read_lines(self.path / "epochs.jsonl"), count)

    def set_status(self, status: str, error: str | None = None) -> None:
        """Record how the run stands; `error` (its first line is kept) goes with ``failed``.

        Raises:
            RunError: `run.json` cannot be replaced.
        """
        if status not in STATUSES:
            raise ValueError(f"unknown status {status!r}, allowed: {', '.join(STATUSES)}")
        line = error.strip().split("\n", 1)[0] if error else None
        self._replace_info({"status": status, "error": line})

    def note(self, **facts: Any) -> None:
        """Add to `run.json` what the search found out about itself; see `truth_dataset`.

        Raises:
            RunError: `run.json` cannot be replaced.
        """
        if any(self.info.get(name) != value for name, value in facts.items()):
            self._replace_info(facts)

    def _replace_info(self, facts: Mapping[str, Any]) -> None:
        """`info` is what `run.json` holds, also where that cannot be written."""
        info = self.info | dict(facts)
        write_json(self.path / "run.json", info)
        self.info = info

    def write_result(self, result: SearchResult | Mapping[str, Any]) -> None:
        """Replace `result.json`.

        Raises:
            RunError: it cannot be written.
        """
        value = result.to_json() if isinstance(result, SearchResult) else result
        write_json(self.path / "result.json", value)

    def result(self) -> dict[str, Any] | None:
        """Content of `result.json`, None while the run has none.

        Raises:
            RunError: the file is empty, truncated or foreign.
        """
        return read_object(self.path / "result.json")

    def selections(self) -> dict[str, dict[str, Any]]:
        """The results of ``select`` on this run, by the names of the selections.

        Raises:
            RunError: a file is foreign.
        """
        places = sorted(self._inside("selections").glob("*/result.json"))
        values = {place.parent.name: read_object(place) for place in places}
        return {name: value for name, value in values.items() if value is not None}

    def search_result(self) -> SearchResult | None:
        """Content of `result.json`, typed; see :meth:`result`."""
        value = self.result()
        return None if value is None else SearchResult.from_json(value)

    def _inside(self, name: str) -> Path:
        """Path of an entry of the folder, refused when a link would lead elsewhere."""
        entry = self.path / name
        if entry.is_symlink():
            raise RunError(f"{shown(entry)} is a link, which a run's folder may not hold")
        return entry
