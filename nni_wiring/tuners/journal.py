"""A tuner's questions and answers on disk, so that `nnictl resume` continues where it stopped.

NNI gives a tuner a folder and calls ``load_checkpoint`` on resume, but never asks it to save. A
sampler's state follows from its seed and the sequence of calls, so the calls are what is kept:
one JSON line each, appended and flushed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import append_line, replace_file
from nni_wiring.files.json_files import from_json, read_file
from nni_wiring.tuners.samplers import Cell

_LIMIT = 64 << 20  # bytes; a call takes 40


class Event(NamedTuple):
    """One call: ``value`` is None for an ask."""

    cell: Cell
    value: float | None


class Journal:
    """The file of one experiment's calls."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "wiring-tuner.jsonl"

    def append(self, event: Event) -> None:
        """Add one call; RunError if it cannot be written."""
        append_line(self.path, _text(event))

    def read(self) -> list[Event]:
        """All calls up to the first damaged line, which a kill may have left at the end."""
        try:
            lines = (read_file(self.path, _LIMIT) or b"").decode().splitlines()
        except (RunError, UnicodeDecodeError):
            return []
        events = []
        for line in lines:
            event = _parse(line)
            if event is None:
                break
            events.append(event)
        return events

    def repair(self, events: list[Event]) -> None:
        """Drop what stands behind the last good line, so that appending starts on a fresh one."""
        replace_file(self.path, "".join(f"{_text(event)}\n" for event in events).encode())


def _text(event: Event) -> str:
    return json.dumps({"cell": event.cell, "value": event.value}, allow_nan=False)


def _parse(line: str) -> Event | None:
    try:
        raw: Any = from_json(line)
        cell = tuple(int(operation) for operation in raw["cell"])
        value = None if raw["value"] is None else float(raw["value"])
    except (ValueError, LookupError, TypeError, OverflowError):
        return None
    return None if value is not None and not math.isfinite(value) else Event(cell, value)
