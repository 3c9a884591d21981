"""The ends of trials and experiments, by NNI's events, the trials' own word and the logs.

NNI 3.0 stores USER_CANCELED for every process that a signal ended: one that `kill -9` ended, or the
kernel for want of memory, looks like one that a user cancelled. A user's cancel leaves the event
USER_TO_CANCEL, too; what was not asked for is a failure. The other way round a trial that NNI
interrupts ends with an exit code, which NNI takes for a failure; its run says "interrupted".
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from nni_wiring.errors import RunError
from nni_wiring.files.json_files import read_object
from nni_wiring.files.messages import printable

ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
KILLED = "it was killed, or its machine was lost"
# events that are no status by themselves
_EVENT_STATUS = {
    "USER_TO_CANCEL": "USER_CANCELED",
    "ADD_CUSTOMIZED": "WAITING",
    "ADD_RESUMED": "WAITING",
}
_NO_STATUS = ("ADD_HYPERPARAMETER", "IMPORT_DATA")
# an exception's own line, or one that NNI logged as an error: "[time] ERROR (place) ..."
_ERROR_LINE = re.compile(r"[A-Za-z_.]+(Error|Exception)\b|\[[^\]]*\] ERROR\b")
# NNI waits no longer; its process imports NNI and the tuner in that time
_SLOW_TUNER = " The machine may have been too busy: start it again."
_TAIL_BYTES = 64 * 1024
_LINE_LENGTH = 600


@dataclass
class TrialEvents:
    """One trial as the event table tells of it, taken in row by row.

    Attributes:
        number: NNI's sequence id, -1 before an event names it.
        last: the status by the last event, as NNI would show it.
        asked: whether a user cancelled it since it was started.
    """

    number: int = -1
    last: str = "UNKNOWN"
    asked: bool = False

    def add(self, event: object) -> None:
        """Take in the next event."""
        if event in _NO_STATUS:
            return
        self.asked = event == "USER_TO_CANCEL" or (self.asked and event != "ADD_RESUMED")
        self.last = _EVENT_STATUS.get(str(event), printable(str(event), 40))

    def status(self, own: object) -> str:
        """The status, in NNI's words, that the trial really has.

        Args:
            own: the status in the trial's run.json, None without.
        """
        if self.last not in ("FAILED", "USER_CANCELED"):
            return self.last
        return "USER_CANCELED" if self.asked or own == "interrupted" else "FAILED"

    def error(self, own: object, folder: Path) -> str | None:
        """One line that says why the trial in `folder` failed, None unless it did."""
        if self.status(own) != "FAILED":
            return None
        return KILLED if self.last == "USER_CANCELED" else error_line(folder)


def error_line(folder: Path) -> str:
    """The reason why the trial in `folder` failed: run.json's error, or stderr's last line."""
    try:
        info = read_object(folder / "run.json") or {}
    except RunError as error:
        return str(error)
    if isinstance(info.get("error"), str):
        return str(info["error"])
    lines = [line for line in _tail(folder / "trial.stderr") if line.strip()]
    # an indented line belongs to a traceback or a warning, whose message stands unindented
    plain = [line for line in lines if not line[0].isspace()] or lines
    if not plain:
        return "it ended without a message (killed?)"
    line = plain[-1].strip().removeprefix("error: ")[:_LINE_LENGTH]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def last_error_of_manager(folder: Path) -> str | None:
    """Last error line of the experiment's own logs (tuner first), None if there is none."""
    for name in ("dispatcher.log", "nnimanager.log"):
        lines = [line for line in _tail(folder / "log" / name) if line.strip()]
        plain = [line.strip() for line in lines if _ERROR_LINE.match(line)]
        told = [line for line in plain if "Already rejected with reason" not in line]  # said before
        if told:
            slow = _SLOW_TUNER if "Tuner did not connect in" in told[-1] else ""
            return f"{told[-1]}{slow}"
    return None


def _tail(path: Path) -> list[str]:
    """The last lines of a log file; none if it is missing or no plain file."""
    if path.is_symlink() or not path.is_file():
        return []
    with path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return stream.read(_TAIL_BYTES).decode("utf-8", errors="replace").splitlines()
