"""Files of tensors (checkpoints, selections under way): replaced whole, and read without trust."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from nni_wiring.errors import RunError, WiringError
from nni_wiring.files.atomic import replacing
from nni_wiring.files.messages import first_line, reason, shown
from nni_wiring.files.regular import regular_file


def replace_tensors(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` fill a file beside ``path``, then put it in the place of ``path`` in one step.

    Raises RunError where that fails (a full disk, say); ``path`` then is what it was.
    """
    try:
        with replacing(path) as temporary:
            save(temporary)
    except (OSError, RuntimeError) as error:  # torch's own writer raises the latter
        why = reason(error) if isinstance(error, OSError) else first_line(error)
        raise RunError(f"cannot write {shown(path)}: {why}") from None


@contextmanager
def tensors_of(path: Path) -> Iterator[Any]:
    """The object that torch.save wrote to ``path``, on the CPU, for a block that makes use of it.

    Tensors and plain values only; every record is compared with its check sum. Raises RunError,
    one line, for a damaged file, and for one whose content the block stumbles over.
    """
    try:
        with regular_file(path) as file:
            _check_sums(file)
        yield torch.load(path, map_location="cpu", weights_only=True)
    except WiringError:
        raise
    except Exception as error:  # noqa: BLE001  torch names a corrupt file by many exception types
        kind = (str(error).splitlines() or [type(error).__name__])[0][:120]
        if isinstance(error, pickle.UnpicklingError):  # torch's line advises to load it unsafely
            kind = "it holds more than tensors and plain values, or is cut off"
        raise RunError(f"{path.name} is corrupt or foreign: {kind}") from None


def _check_sums(file: BinaryIO) -> None:
    """torch.load reads past the check sums of the archive that torch.save wrote."""
    with zipfile.ZipFile(file) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the check sum of its record {damaged} is wrong")
