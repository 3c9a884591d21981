"""Against torchvision's functions, image by image, with the same draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from nni_wiring.data.augment import (
    Augmentation,
    Draws,
    crop_and_flip,
    crop_windows,
    cutout_keep,
    draw,
)
from nni_wiring.data.loaders import ResidentImages
from search_spaces.torchvision_guard import ensure_torchvision

ensure_torchvision()
from torchvision.transforms import functional  # noqa: E402

SIGNIFICANCE = 1e-3  # of each test, at fixed seeds


def _draws(count: int, padding: int, height: int, width: int, flip: bool = True) -> Draws:
    generator = torch.Generator().manual_seed(11)
    return draw(Augmentation(flip, padding), count, height, width, generator)


def _torchvision(image: torch.Tensor, padding: int, draws: Draws, row: int) -> torch.Tensor:
    height, width = image.shape[1:]
    padded = functional.pad(image, [padding])
    cut = functional.crop(padded, int(draws.top[row]), int(draws.left[row]), height, width)
    return functional.hflip(cut) if draws.flip[row] else cut


@pytest.mark.parametrize(("shape", "padding"), [((32, 32), 4), ((16, 16), 2), ((16, 24), 3)])
def test_crop_and_flip_equal_torchvision(shape: tuple[int, int], padding: int) -> None:
    images = torch.randint(0, 256, (90, 3, *shape), dtype=torch.uint8)
    indices = torch.randperm(90)[:70]
    draws = _draws(70, padding, *shape)
    assert 0 < int((draws.flip > 0).sum()) < 70
    batch = crop_and_flip(crop_windows(images, padding), indices, draws)
    for row, index in enumerate(indices.tolist()):
        assert torch.equal(batch[row], _torchvision(images[index], padding, draws, row))


def test_normalisation_equals_torchvision() -> None:
    """Padding is black before the normalisation, as in the usual transform list."""
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    resident = ResidentImages(images, torch.arange(40), mean, std, 4, "cpu")
    draws = _draws(40, 4, 32, 32)
    batch, labels = resident.augmented(torch.arange(40), draws, cutout=0)
    plain, _ = resident.plain(torch.arange(40))
    assert batch.dtype == torch.float32 and labels.tolist() == list(range(40))
    for row in range(40):
        for image, ours in (
            (_torchvision(images[row], 4, draws, row), batch[row]),
            (images[row], plain[row]),
        ):
            expected = functional.normalize(image.float() / 255, list(mean), list(std))
            torch.testing.assert_close(ours, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("length", [1, 5, 8])
def test_cutout_blanks_a_square_to_the_mean(length: int) -> None:
    images = torch.randint(1, 256, (60, 3, 16, 24), dtype=torch.uint8)
    resident = ResidentImages(images, torch.zeros(60).long(), (0.0,) * 3, (1.0,) * 3, 2, "cpu")
    draws = _draws(60, 2, 16, 24)._replace(
        top=torch.full((60,), 2), left=torch.full((60,), 2), flip=torch.zeros(60, dtype=torch.uint8)
    )
    batch, _ = resident.augmented(torch.arange(60), draws, cutout=length)
    for row in range(60):
        expected = images[row].clone()
        top, left = int(draws.row[row]) - length // 2, int(draws.column[row]) - length // 2
        for y in range(top, top + length):
            for x in range(left, left + length):
                if 0 <= y < 16 and 0 <= x < 24:
                    expected[:, y, x] = 0
        torch.testing.assert_close(batch[row], expected / 255)
    keep = cutout_keep(draws, length, 16, 24)
    assert keep.shape == (60, 1, 16, 24) and keep.dtype == torch.bool


def test_draws_are_uniform_and_independent() -> None:
    draws = _draws(40_000, 4, 32, 32)
    for values, positions in (
        (draws.top, 9),
        (draws.left, 9),
        (draws.row, 32),
        (draws.column, 32),
        (draws.top * 9 + draws.left, 81),
        ((draws.flip > 0) * 9 + draws.left, 18),
        (draws.top[:-1] * 9 + draws.top[1:], 81),  # neighbours in a batch
    ):
        counts = np.bincount(values.numpy(), minlength=positions)
        assert len(counts) == positions
        assert chisquare(counts).pvalue > SIGNIFICANCE


def test_no_flip_where_it_is_not_allowed() -> None:
    assert int(_draws(1000, 2, 16, 16, flip=False).flip.max()) == 0


def test_real_pixels(shared_data: Path) -> None:
    with np.load(shared_data / "cifar10_lossless_5k.npz") as raw:
        pixels = torch.from_numpy(raw["train_x"][:64]).permute(0, 3, 1, 2).contiguous()
    draws = _draws(64, 4, 32, 32)
    batch = crop_and_flip(crop_windows(pixels, 4), torch.arange(64), draws)
    expected = torch.stack([_torchvision(pixels[row], 4, draws, row) for row in range(64)])
    assert torch.equal(batch, expected)
