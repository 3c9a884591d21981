from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pytorch_lightning.utilities import CombinedLoader
from scipy.stats import chisquare
from torch import Tensor

from nni_wiring.data import BatchLoader, ImageData, Loaders, build_loaders, split
from nni_wiring.errors import DataError

SIDE, PADDING = 16, 2
COUNT, TEST_COUNT = 300, 60


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Images that tell where a pixel came from: channels are number, row and column, all + 1.

    Mean 0 and deviation 1/255: normalised pixels are the numbers themselves. The label is the
    image's number; test images are numbered on from the training images.
    """
    numbers = torch.arange(COUNT + TEST_COUNT)
    images = torch.zeros(len(numbers), 3, SIDE, SIDE, dtype=torch.uint8)
    images[:, 0] = (numbers % 255 + 1)[:, None, None]
    images[:, 1] = torch.arange(1, SIDE + 1)[:, None]
    images[:, 2] = torch.arange(1, SIDE + 1)
    return ImageData(
        name="coded",
        images=images[:COUNT],
        labels=numbers[:COUNT],
        test_images=images[COUNT:],
        test_labels=numbers[COUNT:],
        num_classes=len(numbers),
        mean=(0.0,) * 3,
        std=(1 / 255,) * 3,
        truth_dataset="cifar10",
        default_split="half",
        flip=True,
    )


def _loaders(data: ImageData, kind: str = "half", batch_size: int = 32, **options: int) -> Loaders:
    return build_loaders(data, split(data, kind, seed=0), batch_size, **{"seed": 1, **options})


def _epoch(loader: BatchLoader, epoch: int | None = None) -> list[tuple[Tensor, Tensor]]:
    if epoch is not None:
        loader.set_epoch(epoch)
    return list(loader)


def _equal(first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(ours, theirs)
        for pair in zip(first, second, strict=True)
        for ours, theirs in zip(*pair, strict=True)
    )


def _labels(batches: list[tuple[Tensor, Tensor]]) -> list[int]:
    return torch.cat([labels for _, labels in batches]).tolist()


def test_each_image_at_most_once_and_the_last_batch_dropped(data: ImageData) -> None:
    parts = split(data, "half", seed=0)
    loaders = _loaders(data)
    for loader, part in (
        (loaders.train, parts.train_indices),
        (loaders.search, parts.search_indices),
    ):
        batches = _epoch(loader)
        assert len(batches) == len(loader) == 150 // 32
        labels = _labels(batches)
        assert len(labels) == len(set(labels)) == 4 * 32
        assert set(labels) <= set(part.tolist())
        assert labels != sorted(labels)


def test_batches_are_float_images_with_their_labels(data: ImageData) -> None:
    for images, labels in _loaders(data).train:
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert images.shape == (32, 3, SIDE, SIDE)
        assert torch.equal(images[:, 0].amax((1, 2)).round().long(), labels % 255 + 1)


def test_evaluation_sees_all_search_images_in_order_and_unchanged(data: ImageData) -> None:
    loaders = _loaders(data)
    batches = _epoch(loaders.evaluation)
    expected = split(data, "half", seed=0).search_indices
    assert len(loaders.evaluation) == len(batches) == 5
    assert _labels(batches) == expected.tolist()
    images = torch.cat([images for images, _ in batches])
    torch.testing.assert_close(images, data.images[expected].float(), rtol=1e-6, atol=1e-4)
    assert _equal(batches, _epoch(loaders.evaluation, 7))


def test_full_searches_on_test_images_only(data: ImageData) -> None:
    loaders = _loaders(data, "full+xvalid", batch_size=10)
    assert set(_labels(_epoch(loaders.train))) == set(range(COUNT))
    search = set(_labels(_epoch(loaders.search)))
    assert len(search) == TEST_COUNT // 2
    assert search == set(_labels(_epoch(loaders.evaluation)))
    assert min(search) >= COUNT


def test_an_epoch_depends_on_seed_and_epoch_only(data: ImageData) -> None:
    first, second = _loaders(data), _loaders(data)
    uninterrupted = [_epoch(first.train, epoch) for epoch in range(4)]
    torch.manual_seed(99)
    _epoch(second.search)
    assert _equal(uninterrupted[3], _epoch(second.train, 3))
    assert _equal(uninterrupted[1], _epoch(second.train, 1))
    assert not _equal(uninterrupted[1], uninterrupted[3])
    assert not _equal(uninterrupted[1], _epoch(_loaders(data, seed=2).train, 1))


def test_train_and_search_draw_different_numbers(data: ImageData) -> None:
    both = replace(split(data), train_indices=torch.arange(150), search_indices=torch.arange(150))
    loaders = build_loaders(data, both, 32, seed=1)
    assert _labels(_epoch(loaders.train)) != _labels(_epoch(loaders.search))


def test_without_set_epoch_every_pass_differs_and_repeats_exactly(data: ImageData) -> None:
    first, second = _loaders(data).train, _loaders(data).train
    passes = [_epoch(first) for _ in range(3)]
    assert all(_equal(seen, _epoch(second)) for seen in passes)
    assert not _equal(passes[0], passes[1]) and not _equal(passes[1], passes[2])
    assert _equal(passes[0], _epoch(first, 0))


def test_an_epoch_broken_off_is_run_again_alike(data: ImageData) -> None:
    loader = _loaders(data).train
    whole = _epoch(loader, 2)
    loader.set_epoch(2)
    next(iter(loader))
    assert _equal(whole, _epoch(loader, 2))


def test_an_unused_iterator_counts_for_nothing(data: ImageData) -> None:
    loader = _loaders(data).train
    whole = _epoch(loader, 5)
    loader.set_epoch(5)
    iter(loader)
    assert _equal(whole, _epoch(loader))


def test_the_global_random_states_are_left_alone(data: ImageData) -> None:
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    _epoch(_loaders(data, cutout=4).train)
    assert torch.equal(torch_before, torch.get_rng_state())
    assert (numpy_before == np.random.get_state()[1]).all()


def test_max_steps_caps_an_epoch_but_not_the_evaluation(data: ImageData) -> None:
    capped, whole = _loaders(data, max_steps=3), _loaders(data)
    assert len(capped.train) == len(_epoch(capped.train)) == len(capped.search) == 3
    assert _equal(_epoch(capped.train, 1), _epoch(whole.train, 1)[:3])
    assert len(capped.evaluation) == 5
    assert len(_loaders(data, max_steps=1000).train) == 4


def test_offsets_and_flips_are_uniform_over_images(data: ImageData) -> None:
    """Read off the pixels: where the centre of each emitted image came from."""
    loader = _loaders(data, batch_size=50).train
    rows, lefts, flips = [], [], []
    for epoch in range(40):
        for images, _ in _epoch(loader, epoch):
            centre = images[:, :, 8, 7:9].round().long()  # rows, columns 7 and 8 of the crop
            flip = centre[:, 2, 0] > centre[:, 2, 1]
            left_column = torch.where(flip, centre[:, 2, 1], centre[:, 2, 0]) - 1
            rows.append(centre[:, 1, 0] - 1 - 8 + PADDING)
            lefts.append(left_column - 7 + PADDING)
            flips.append(flip)
    top, left, flip = (torch.cat(values).long() for values in (rows, lefts, flips))
    assert len(top) == 40 * 150
    for values, kinds in ((top, 5), (left, 5), (flip, 2), (top * 10 + left * 2 + flip, 50)):
        counts = np.bincount(values.numpy(), minlength=kinds)
        assert len(counts) == kinds and chisquare(counts).pvalue > 1e-3


def test_order_is_uniform(data: ImageData) -> None:
    loader = _loaders(data, batch_size=50).train
    part = split(data, "half", seed=0).train_indices.tolist()
    firsts = [part.index(int(_epoch(loader, epoch)[0][1][0])) for epoch in range(600)]
    counts = np.bincount(np.array(firsts) // 15, minlength=10)
    assert chisquare(counts).pvalue > 1e-3


def test_without_augmentation_images_are_only_shuffled(data: ImageData) -> None:
    loader = _loaders(data, augment=False).train
    batches = _epoch(loader)
    labels = _labels(batches)
    assert labels != sorted(labels)
    images = torch.cat([images for images, _ in batches])
    torch.testing.assert_close(images, data.images[labels].float(), rtol=1e-6, atol=1e-4)


def test_cutout_blanks_pixels(data: ImageData) -> None:
    for images, _ in _loaders(data, cutout=6).train:
        blank = (images == 0).all(1).sum((1, 2))
        assert int(blank.min()) >= 9  # a centre in a corner leaves 3x3 of the square


@pytest.mark.parametrize(("mode", "steps"), [("max_size_cycle", 30), ("min_size", 3)])
def test_lightnings_combined_loader(data: ImageData, mode: str, steps: int) -> None:
    """Cycling the shorter loader shuffles it anew, and alike in a second run."""

    def run() -> list[dict[str, tuple[Tensor, Tensor]]]:
        loaders = _loaders(data, "full+xvalid", batch_size=10)
        combined = CombinedLoader({"train": loaders.train, "val": loaders.search}, mode)
        combined.flattened[0].set_epoch(1)
        combined.flattened[1].set_epoch(1)
        return [batch for batch, _, _ in combined]

    first, second = run(), run()
    assert len(first) == steps
    for name in ("train", "val"):
        assert _equal([batch[name] for batch in first], [batch[name] for batch in second])
    if mode == "max_size_cycle":
        cycles = [_labels([batch["val"] for batch in first[start : start + 3]]) for start in (0, 3)]
        assert sorted(cycles[0]) == sorted(cycles[1])
        assert cycles[0] != cycles[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"batch size 0; allowed are 1 \.\. 150"),
        ({"batch_size": 151}, r"batch size 151; allowed are 1 \.\. 150"),
        ({"max_steps": 0}, "max_steps 0; at least 1"),
        ({"cutout": 16}, r"cutout 16; allowed are 0 \.\. 15"),
        ({"cutout": -1}, "cutout -1"),
        ({"cutout": 4, "augment": False}, "only 0 without augmentation"),
    ],
)
def test_bad_options(data: ImageData, options: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        _loaders(data, **options)


def test_split_of_another_data_set(data: ImageData) -> None:
    parts = split(data, "full+xvalid")
    with pytest.raises(DataError, match="needs a test part"):
        build_loaders(replace(data, test_images=None, test_labels=None), parts, 10, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_batches_equal_cpu_batches_without_a_host_synchronisation(data: ImageData) -> None:
    on_cpu = _epoch(_loaders(data, cutout=4).train, 3)
    loader = build_loaders(data, split(data, "half", seed=0), 32, 1, device="cuda", cutout=4).train
    loader.set_epoch(3)
    iterator = iter(loader)
    on_gpu = [next(iterator)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu += list(iterator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (images, labels), (expected, expected_labels) in zip(on_gpu, on_cpu, strict=True):
        assert images.is_cuda and torch.equal(labels.cpu(), expected_labels)
        torch.testing.assert_close(images.cpu(), expected, rtol=1e-6, atol=1e-5)
