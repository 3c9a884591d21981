from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from nni_wiring.data import ImageData, load_data, split, training_split
from nni_wiring.errors import DataError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    path = tmp_path_factory.mktemp("split") / "own.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (142, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(142) % 10
    np.savez(
        path, train_x=pixels[:101], train_y=labels[:101], test_x=pixels[101:], test_y=labels[101:]
    )
    return load_data(f"npz:{path}")


def test_half_divides_the_training_images(data: ImageData) -> None:
    parts = split(data, "half", seed=4)
    train, search = set(parts.train_indices.tolist()), set(parts.search_indices.tolist())
    assert not parts.search_in_test
    assert (len(parts.train_indices), len(parts.search_indices)) == (50, 51)
    assert train.isdisjoint(search)
    assert train | search == set(range(101))


def test_full_takes_all_training_and_half_of_the_test_images(data: ImageData) -> None:
    parts = split(data, "full+xvalid", seed=4)
    assert parts.search_in_test
    assert parts.train_indices.tolist() == list(range(101))
    search = parts.search_indices.tolist()
    assert len(search) == len(set(search)) == 20
    assert set(search) < set(range(41))


@pytest.mark.parametrize("kind", ["half", "full+xvalid"])
def test_the_seed_decides(data: ImageData, kind: str) -> None:
    first, again, other = (split(data, kind, seed).search_indices.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_image_is_as_likely_in_either_half(data: ImageData) -> None:
    counts = np.zeros(101)
    for seed in range(400):
        counts[split(data, "half", seed).train_indices.numpy()] += 1
    expected = 400 * 50 / 101
    deviation = np.sqrt(400 * (50 / 101) * (51 / 101))
    assert np.abs(counts - expected).max() < 4.5 * deviation


def test_default_is_the_data_sets(data: ImageData) -> None:
    assert split(data).kind == "half"
    assert split(replace(data, default_split="full+xvalid")).kind == "full+xvalid"


def test_no_test_part(data: ImageData) -> None:
    bare = replace(data, test_images=None, test_labels=None)
    with pytest.raises(DataError, match=r"needs a test part.*allowed: half"):
        split(bare, "full+xvalid")


def test_unknown_kind(data: ImageData) -> None:
    with pytest.raises(DataError, match=r"unknown split 'third'; known: half, full\+xvalid"):
        split(data, "third")


def test_one_image_cannot_be_halved(data: ImageData) -> None:
    with pytest.raises(DataError, match="cannot be divided"):
        split(replace(data, images=data.images[:1], labels=data.labels[:1]), "half")


@pytest.fixture
def reserved(data: ImageData) -> ImageData:
    return replace(data, valid_images=15)


def test_the_valid_part_of_a_data_set_is_the_same_for_every_seed(reserved: ImageData) -> None:
    for seed in (1, 2):
        parts = training_split(reserved, "full+valid", seed)
        assert parts.search_in_test
        assert parts.train_indices.tolist() == list(range(101))
        assert parts.search_indices.tolist() == list(range(15))
    half = training_split(reserved, "half", 1)
    assert torch.equal(half.search_indices, split(reserved, "half", 1).search_indices)


def test_no_search_sees_a_held_out_image(reserved: ImageData) -> None:
    for kind in ("full+xvalid", "full+valid"):
        with pytest.raises(DataError, match=f"split {re.escape(kind)}.*half"):
            split(reserved, kind)
    assert not split(reserved).search_in_test


def test_a_data_set_without_a_valid_part_is_refused(data: ImageData) -> None:
    with pytest.raises(DataError, match="needs a valid part, npz:.* has none; allowed: half"):
        training_split(data, "full+valid")
