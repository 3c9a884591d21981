"""Small files in torchvision's layout; their MD5 sums replace the official ones."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from nni_wiring.data import load_data, split
from nni_wiring.errors import DataError
from search_spaces.torchvision_guard import ensure_torchvision

ensure_torchvision()
from torchvision import datasets  # noqa: E402

CLASSES = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
PER_FILE = 6


def _write(name: str, root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write random images; returns NCHW pixels and labels by part."""
    data_class, rng, parts = CLASSES[name], np.random.default_rng(7), {}
    folder = root / data_class.base_folder
    folder.mkdir(parents=True)
    key = "labels" if name == "cifar10" else "fine_labels"
    for part, files in (("train", data_class.train_list), ("test", data_class.test_list)):
        pixels = rng.integers(0, 256, (len(files), PER_FILE, 3072), dtype=np.uint8)
        labels = rng.integers(0, 10 if name == "cifar10" else 100, (len(files), PER_FILE))
        for (file, _), data, own in zip(files, pixels, labels, strict=True):
            entry = {"data": data, key: own.tolist(), "filenames": [], "batch_label": ""}
            (folder / file).write_bytes(pickle.dumps(entry, protocol=2))
        parts[part] = (pixels.reshape(-1, 3, 32, 32), labels.reshape(-1))
    meta = {data_class.meta["key"]: [str(label) for label in range(100)]}
    (folder / data_class.meta["filename"]).write_bytes(pickle.dumps(meta, protocol=2))
    return parts


def _accept(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the files as they are now the ones that torchvision's integrity check expects."""
    data_class = CLASSES[name]
    folder = root / data_class.base_folder

    def checksum(file: str) -> str:
        return hashlib.md5((folder / file).read_bytes()).hexdigest()

    for attribute in ("train_list", "test_list"):
        files = [[file, checksum(file)] for file, _ in getattr(data_class, attribute)]
        monkeypatch.setattr(data_class, attribute, files)
    meta = {**data_class.meta, "md5": checksum(data_class.meta["filename"])}
    monkeypatch.setattr(data_class, "meta", meta)


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_reads_torchvisions_layout(
    name: str, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _write(name, tmp_path)
    _accept(name, tmp_path, monkeypatch)
    data = load_data(name, tmp_path, download=False)
    assert data.test_images is not None and data.test_labels is not None
    assert (data.images.numpy() == parts["train"][0]).all()
    assert (data.labels.numpy() == parts["train"][1]).all()
    assert (data.test_images.numpy() == parts["test"][0]).all()
    assert (data.test_labels.numpy() == parts["test"][1]).all()
    assert (data.num_classes, data.truth_dataset, data.padding) == (classes, name, 4)
    assert data.labels.dtype == torch.int64
    assert split(data).kind == ("half" if name == "cifar10" else "full+xvalid")


def test_a_changed_file_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write("cifar10", tmp_path)
    _accept("cifar10", tmp_path, monkeypatch)

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "owned",))

    target = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    target.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(DataError, match="changed files; expected .*cifar-10-batches-py"):
        load_data("cifar10", tmp_path)
    assert not (tmp_path / "owned").exists()


def test_missing_and_no_download_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cifar100: missing; expected .*cifar-100-python"):
        load_data("cifar100", tmp_path, download=False)
    assert list(tmp_path.iterdir()) == []


def test_missing_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(self: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(datasets.CIFAR10, "download", no_network)
    with pytest.raises(DataError) as caught:
        load_data("cifar10", tmp_path / "new")
    message = str(caught.value)
    assert str(tmp_path / "new" / "cifar-10-batches-py") in message
    assert "Name or service not known" in message and "\n" not in message
    assert not (tmp_path / "new").exists() or list((tmp_path / "new").iterdir()) == []


def test_a_download_is_moved_into_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive and half-written folders stay out of the root folder."""
    elsewhere = tmp_path / "elsewhere"
    parts = _write("cifar10", elsewhere)
    _accept("cifar10", elsewhere, monkeypatch)

    def fetch(self: datasets.CIFAR10) -> None:
        _write("cifar10", Path(self.root))

    monkeypatch.setattr(datasets.CIFAR10, "download", fetch)
    data = load_data("cifar10", tmp_path / "root")
    assert (data.images.numpy() == parts["train"][0]).all()
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["cifar-10-batches-py"]
