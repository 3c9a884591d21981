"""The last two checkpoints of a run: read, checked against the run's other pieces, gone back to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.messages import reason, shown
from nni_wiring.files.tensors import replace_tensors, tensors_of
from nni_wiring.runs.stamp import Stamp, values_in
from nni_wiring.runs.store import RunFolder

#: The number of epochs in a checkpoint's content; any exception where that is foreign.
EpochsIn = Callable[[Any], int]
STAMP = "stamp"


@dataclass(frozen=True)
class Kept:
    """A checkpoint that was read whole.

    Attributes:
        path: its file.
        epochs: that it holds.
        stamp: None in those of 0.1.0.
        parts: the number of values in each of its parts.
    """

    path: Path
    epochs: int
    stamp: Stamp | None
    parts: Mapping[str, int]

    def check(self, folder: RunFolder, options: Mapping[str, Any]) -> None:
        """Raise RunError, one line, where it does not belong to the run, or lacks a piece."""
        if self.stamp is None:
            return
        self.stamp.check(folder, options, self.epochs)
        for name, count in self.stamp.parts.items():
            found = self.parts.get(name, 0)
            if found != count:
                raise RunError(
                    f"checkpoint {self.path.name} lacks values of its {shown(str(name))}: "
                    f"{found} of {count!r:.20}"
                )


def parts_of(content: Mapping[str, Any]) -> dict[str, int]:
    """The number of values in each part of a checkpoint, its stamp left out."""
    return {name: values_in(part) for name, part in content.items() if name != STAMP}


def keep_checkpoint(folder: RunFolder, save: Callable[[Path], object]) -> None:
    """Let ``save`` write the run's checkpoint; the one before stays beside it.

    Raises RunError where that fails (a full disk, say); the checkpoint then is what it was.
    """
    replace_tensors(folder.checkpoint, save, before=folder.earlier_checkpoint)


def read_kept(path: Path, epochs_in: EpochsIn) -> Kept:
    """The checkpoint at ``path``; RunError if it is missing, damaged or foreign."""
    if not path.exists():
        raise RunError(f"checkpoint {path.name}: there is none; the run cannot be resumed")
    with tensors_of(path) as content:
        epochs = epochs_in(content)
        return Kept(path, epochs, Stamp.from_plain(content.get(STAMP)), parts_of(content))


def newest_kept(folder: RunFolder, epochs_in: EpochsIn) -> Kept | None:
    """The last checkpoint of a run, the one before where the last cannot be read; None where there
    is neither.

    Raises RunError where there are some, and none of them can be read.
    """
    last, earlier = folder.checkpoint, folder.earlier_checkpoint
    if not last.exists():
        return read_kept(earlier, epochs_in) if earlier.exists() else None
    try:
        return read_kept(last, epochs_in)
    except RunError:
        try:
            return read_kept(earlier, epochs_in)
        except RunError:
            pass
        raise


def kept_epochs(folder: RunFolder, epochs_in: EpochsIn) -> int:
    """The number of epochs that a run which is resumed does not take again."""
    kept = newest_kept(folder, epochs_in)
    return 0 if kept is None else kept.epochs


def resume_point(folder: RunFolder, options: Mapping[str, Any], epochs_in: EpochsIn) -> int:
    """The number of whole epochs after which a run goes on; what it wrote since is dropped.

    Its checkpoint then is the one to go on from, and its records are those of these epochs. All is
    checked before anything is written.

    Args:
        folder: of the run.
        options: that it goes on with.
        epochs_in: counts the epochs in a checkpoint of its kind.

    Raises:
        RunError: no checkpoint can be read, or run.json, checkpoint and records are not of one run.
    """
    kept = newest_kept(folder, epochs_in)
    records = [record["epoch"] for record in folder.epochs()]
    if kept is None:
        # an epoch's record precedes its checkpoint, and no second one follows without it
        if len(records) > 1:
            raise RunError(
                f"run {folder.run_id} has the records of {len(records)} epochs, but no checkpoint "
                "to go on from"
            )
        done = 0
    else:
        done = kept.epochs
        if records[:done] != list(range(done)):
            raise RunError(
                f"run {folder.run_id}: epochs.jsonl lacks records of the {done} epochs that "
                "its checkpoint holds"
            )
        kept.check(folder, options)
        _put_in_place(kept.path, folder.checkpoint)
    folder.keep_epochs(done)
    return done


def _put_in_place(kept: Path, last: Path) -> None:
    if kept == last:
        return
    try:
        os.replace(kept, last)
    except OSError as error:
        raise RunError(f"cannot write {shown(last)}: {reason(error)}") from None
