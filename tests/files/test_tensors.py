"""Checkpoints out of proportion are refused before torch reads them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import torch

from nni_wiring.errors import RunError
from nni_wiring.files.tensors import tensors_of
from tests.files.test_unpickler import nested_tuple


def archive(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", pickled)
        file.writestr("a/byteorder", b"little")
        file.writestr("a/version", b"3\n")
    return path


def test_what_torch_saves_is_read(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 2)).sum().backward()
    optimiser.step()
    value = {
        "state_dict": network.state_dict(),
        "optimizer": optimiser.state_dict(),
        "random": torch.get_rng_state(),
        "size": torch.Size([2, 3]),
        ("cell", 3): [None, True],
    }
    torch.save(value, tmp_path / "a.pt")
    with tensors_of(tmp_path / "a.pt") as read:
        assert list(read) == list(value)
        assert torch.equal(read["state_dict"]["0.weight"], network[0].weight)


def test_compressed_records_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(100_000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as stored,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in stored.infolist():
            packed.writestr(member.filename, stored.read(member))
    with (
        pytest.raises(RunError, match=r"b\.pt is corrupt or foreign: .*compressed"),
        tensors_of(tmp_path / "b.pt"),
    ):
        pass


@pytest.mark.parametrize(
    ("pickled", "expected"),
    [
        (b"\x80\x02}" + nested_tuple(34) + b"Ns.", "more than tensors and plain values"),
        (b"\x80\x02(" + b"}" * 100_000 + b"l.", "more than tensors and plain values"),
        (b"\x80\x02]r\xff\xff\xff\xff.", "memo index"),
    ],
)
def test_pickles_out_of_proportion(pickled: bytes, expected: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt", pickled)
    with pytest.raises(RunError, match=expected), tensors_of(path):
        pass


def test_a_pipe_in_the_place_of_a_checkpoint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pt")
    with pytest.raises(RunError, match="not a regular file"), tensors_of(tmp_path / "a.pt"):
        pass
