"""TensorBoard's event files, written at once, each event whole: a full disk is one clear error.

TensorBoard's own writer hands events to a thread, whose failure ends in a traceback on stderr and
surfaces in some later call, without a file's name; and it leaves half an event at the file's end,
after which TensorBoard reads no further.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from itertools import count
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.writer import FileWriter

from nni_wiring.errors import RunError
from nni_wiring.files.messages import reason, shown
from search_spaces.nni_api import TensorBoardLogger

_VERSION = "brain.Event:2"
_NUMBERS = count()


class EventFile:
    """A new event file, with the face of TensorBoard's ``EventFileWriter``.

    Raises:
        RunError: here, in ``add_event`` and in ``close``, where the file cannot be written; it then
            ends with the last whole event.
    """

    def __init__(self, folder: Path) -> None:
        stamp = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._path = folder / f"events.out.tfevents.{stamp}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._stream = FileIO(self._path, "x")
        except OSError as error:
            raise self._unwritten(error) from None
        self.add_event(Event(wall_time=time.time(), file_version=_VERSION))

    def get_logdir(self) -> str:
        """The folder."""
        return str(self._path.parent)

    def add_event(self, event: Event) -> None:
        """Append an event, all of it or nothing."""
        end = self._stream.tell()
        try:
            RecordWriter(self).write(event.SerializeToString())
        except OSError as error:
            with suppress(OSError):
                self._stream.truncate(end)
                self._stream.seek(end)
            raise self._unwritten(error) from None

    def write(self, record: bytes) -> None:
        """Write a record's bytes: an unbuffered stream may take only a part at once."""
        view = memoryview(record)
        while view:
            view = view[self._stream.write(view) :]

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close the file."""
        try:
            self._stream.close()
        except OSError as error:
            raise self._unwritten(error) from None

    def _unwritten(self, error: OSError) -> RunError:
        return RunError(f"cannot write {shown(self._path)}: {reason(error)}")


class _Events(FileWriter):
    def __init__(self, folder: Path) -> None:
        self.event_writer = EventFile(folder)  # in the place of the one with a thread


class EventWriter(SummaryWriter):
    """torch's ``SummaryWriter`` on an :class:`EventFile`.

    Args:
        log_dir: folder of the event files.
        purge_step: TensorBoard shall forget the events of earlier files from this step on.
    """

    def __init__(self, log_dir: str | Path, purge_step: int | None = None) -> None:
        super().__init__(str(log_dir), purge_step=purge_step)

    def _get_file_writer(self) -> FileWriter:
        """torch's hook: the writer, which is made again after a ``close``."""
        writer: FileWriter | None = self.file_writer
        if writer is None:
            writer = _Events(Path(self.log_dir))
            self.file_writer, self.all_writers = writer, {self.log_dir: writer}  # type: ignore[assignment]
            if self.purge_step is not None:
                start = SessionLog(status=SessionLog.START)
                writer.add_event(Event(session_log=start), self.purge_step)
                self.purge_step = None
        return writer


class RunLogger(TensorBoardLogger):
    """Lightning's logger on an :class:`EventWriter`, in the folder ``path/name``."""

    def __init__(self, path: Path, name: str, purge_step: int | None = None) -> None:
        super().__init__(path, name="", version=name, default_hp_metric=False)
        self._purge_step = purge_step

    @property
    def experiment(self) -> SummaryWriter:
        """The :class:`EventWriter`, made when it is first asked for."""
        if self._experiment is None:
            self._experiment = EventWriter(self.log_dir, self._purge_step)
        return self._experiment

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scalars; RunError as an event file raises it, which Lightning calls a wrong value."""
        try:
            super().log_metrics(metrics, step)
        except ValueError as error:
            if isinstance(error.__cause__, RunError):
                raise error.__cause__ from None
            raise

    def finalize(self, status: str) -> None:
        """End the file. Of a search that failed nothing more is saved: the disk may be full."""
        if status == "success":
            super().finalize(status)
        elif self._experiment is not None:
            self._experiment.close()
