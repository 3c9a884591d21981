"""CIFAR-10 and CIFAR-100 through torchvision."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nni_wiring.data.images import ImageData, Labelled, image_data
from nni_wiring.data.source import DataSource
from nni_wiring.errors import DataError

CONNECT_SECONDS = 20.0


class _Facts(NamedTuple):
    torchvision_class: str
    folder: str
    classes: int
    mean: tuple[float, ...]  # of pixels 0 .. 255, as AutoDL-Projects normalises
    std: tuple[float, ...]


_FACTS = {
    "cifar10": _Facts(
        "CIFAR10", "cifar-10-batches-py", 10, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
    ),
    "cifar100": _Facts(
        "CIFAR100", "cifar-100-python", 100, (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)
    ),
}


def load(source: DataSource, name: str, root: Path, download: bool) -> ImageData:
    """Read the unpacked Python version below ``root``; fetch it if it is missing and allowed."""
    facts = _FACTS[name]
    data_class = _torchvision_class(name, facts)
    if not (root / facts.folder).is_dir():
        if not download:
            raise DataError(f"{name}: missing; {_expected(root, facts)}")
        _download(name, data_class, root, facts)
    try:
        # torchvision unpickles only files whose MD5 sum is the one that it lists
        parts = [data_class(str(root), train=train) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise DataError(f"{name}: incomplete or changed files; {_expected(root, facts)}") from error
    train, test = (Labelled(part.data, np.asarray(part.targets)) for part in parts)
    mean, std = (tuple(value / 255 for value in values) for values in (facts.mean, facts.std))
    return image_data(source, name, train, test, facts.classes, (mean, std))


def _torchvision_class(name: str, facts: _Facts) -> Any:
    from search_spaces.torchvision_guard import ensure_torchvision

    ensure_torchvision()
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        raise DataError(f"{name}: torchvision cannot be imported ({error})") from error
    return getattr(datasets, facts.torchvision_class)


def _expected(root: Path, facts: _Facts) -> str:
    return f"expected the unpacked Python version in {(root / facts.folder).absolute()}"


def _download(name: str, data_class: Any, root: Path, facts: _Facts) -> None:
    """Fetch into a folder of its own and move the result: trials that start together, or a
    download that breaks off, leave no half-written data set."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
            with _connect_timeout():
                data_class(folder, train=True, download=True)
            target = root / facts.folder
            if not target.is_dir():
                shutil.move(Path(folder) / facts.folder, target)
    except (RuntimeError, OSError) as error:  # URLError is an OSError
        line = str(error).partition("\n")[0]
        raise DataError(
            f"{name}: missing and cannot be fetched ({line}); {_expected(root, facts)}"
        ) from error


@contextmanager
def _connect_timeout() -> Iterator[None]:
    """Give up on a network that swallows packets."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
