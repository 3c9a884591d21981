"""Files of tensors (checkpoints, selections under way): replaced whole, and read without trust."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from nni_wiring.errors import RunError, UnsafePickleError, WiringError
from nni_wiring.files.atomic import keep_as, replacing
from nni_wiring.files.messages import brief, first_line, reason, shown
from nni_wiring.files.pickles import scan_pickle
from nni_wiring.files.regular import regular_file
from nni_wiring.files.unpickler import BoundedUnpickler


def replace_tensors(
    path: Path, save: Callable[[Path], object], *, before: Path | None = None
) -> None:
    """Let ``save`` fill a file beside ``path``, then put it in the place of ``path`` in one step.

    before: where the file that ``path`` was stays, if it is to stay.
    Raises RunError where that fails (a full disk, say); ``path`` then is what it was.
    """
    try:
        with replacing(path) as temporary:
            save(temporary)
            if before is not None and path.exists():
                keep_as(path, before)
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
            _check_archive(file)
        yield torch.load(path, map_location="cpu", weights_only=True)
    except WiringError:
        raise
    except Exception as error:  # noqa: BLE001  torch names a corrupt file by many exception types
        kind = (str(error).splitlines() or [type(error).__name__])[0][:120]
        if isinstance(error, pickle.UnpicklingError):  # torch's line advises to load it unsafely
            kind = "it holds more than tensors and plain values, or is cut off"
        raise RunError(f"{path.name} is corrupt or foreign: {kind}") from None


def _check_archive(file: BinaryIO) -> None:
    """Compare an archive with what torch.save writes, before torch.load believes it.

    torch.load reads past check sums, unpacks whatever is packed, and hashes any key of a dict.
    """
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("its records are compressed, which torch.save never does")
        if sum(member.file_size for member in members) > size:
            raise ValueError("its records are longer than the file")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the check sum of its record {brief(damaged)} is wrong")
        for member in members:
            if member.filename.endswith("/data.pkl"):
                _Rehearsal(archive.read(member)).load()


class _Inert:
    """Stands for every object that a checkpoint's pickle makes."""

    def __init__(self, *_: object) -> None:
        pass


class _Rehearsal(BoundedUnpickler):
    """Goes through a checkpoint's pickle within bounds, making nothing but plain containers."""

    def __init__(self, data: bytes) -> None:
        try:
            scan_pickle(data, name="data.pkl")
        except UnsafePickleError as error:
            raise ValueError(str(error)) from None
        super().__init__(io.BytesIO(data), len(data))

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        return {"OrderedDict": dict, "set": set}.get(name, _Inert)

    def persistent_load(self, pid: object) -> None:
        """A tensor's bytes, which are a record of their own."""

    def _load_build(self) -> None:
        self.stack.pop()  # an OrderedDict has attributes, too: _metadata of a state_dict

    dispatch = {**BoundedUnpickler.dispatch, pickle.BUILD[0]: _load_build}
