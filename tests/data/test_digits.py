from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from nni_wiring.data import build_loaders, load_data, split


def test_pixels_are_scikit_learns_enlarged() -> None:
    data = load_data("digits")
    assert data.images.shape == (1500, 3, 16, 16)
    assert data.images.dtype == torch.uint8
    assert data.test_images is not None and data.test_labels is not None
    images = torch.cat([data.images, data.test_images]).numpy()
    source = load_digits()
    expected = np.stack([np.kron(image, np.ones((2, 2))) for image in source.images]) * 255 / 16
    for channel in range(3):
        assert np.abs(images[:, channel] - expected).max() <= 0.5
    labels = torch.cat([data.labels, data.test_labels]).numpy()
    assert (labels == source.target).all()


def test_digits_are_never_mirrored() -> None:
    data = load_data("digits")
    assert not data.flip
    loaders = build_loaders(data, split(data), batch_size=50, seed=3)
    originals = {image.numpy().tobytes() for image in _padded(data.images)}
    scale, shift = 255 * torch.tensor(data.std), 255 * torch.tensor(data.mean)
    seen = 0
    for images, _ in loaders.train:
        pixels = (images * scale[:, None, None] + shift[:, None, None]).round().to(torch.uint8)
        seen += sum(image.numpy().tobytes() in originals for image in pixels)
    assert seen == 750  # every augmented image is a shifted original


def _padded(images: torch.Tensor) -> torch.Tensor:
    """All 25 shifts by up to two pixels, by slicing."""
    wide = torch.zeros(len(images), 3, 20, 20, dtype=torch.uint8)
    wide[:, :, 2:18, 2:18] = images
    shifts = [wide[:, :, top : top + 16, left : left + 16] for top in range(5) for left in range(5)]
    return torch.cat(shifts).contiguous()


def test_the_output_can_say_whose_truth_it_shows() -> None:
    data = load_data("digits")
    assert data.truth_dataset == "cifar10"
    assert "CIFAR-10" in data.note
