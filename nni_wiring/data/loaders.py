"""Loaders over images that lie on the device: no worker, no copy, no random state of their own.

Order and augmentation of an epoch follow from (seed, epoch) alone: a search that is resumed at an
epoch sees the batches of the uninterrupted one, and the same on every device, since the random
numbers of an epoch are drawn on the CPU and copied at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nni_wiring.data.augment import Augmentation, Draws, crop_and_flip, crop_windows, cutout_keep
from nni_wiring.data.augment import draw as draw_augmentation
from nni_wiring.data.images import ImageData
from nni_wiring.data.splits import Split
from nni_wiring.errors import DataError

Batch = tuple[Tensor, Tensor]


class ResidentImages:
    """Images of one part of a data set on a device, as uint8; loaders share it.

    Args:
        images: uint8 (n, channels, height, width).
        labels: int64 (n,).
        mean: Per channel, of pixels scaled to 0 .. 1.
        std: Per channel, of pixels scaled to 0 .. 1.
        padding: Largest shift of a crop, in pixels.
        device: Where they lie and where batches are made.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        padding: int,
        device: torch.device | str,
    ) -> None:
        self.device = torch.device(device)
        self.windows = crop_windows(images.to(self.device), padding)
        self.labels = labels.to(self.device)
        self.padding = padding
        self._scale = 1 / (255 * torch.tensor(std, device=self.device)[:, None, None])
        self._shift = torch.tensor(mean, device=self.device)[:, None, None] * 255 * self._scale

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.windows.shape[-2:]
        return height, width

    def plain(self, indices: Tensor) -> Batch:
        """Images without augmentation, normalised float32 (batch, channels, height, width)."""
        centre = self.windows[:, :, self.padding, self.padding]
        return self._normalise(centre[indices]), self.labels[indices]

    def augmented(self, indices: Tensor, draws: Draws, cutout: int) -> Batch:
        """Images cropped, flipped, normalised, and blanked to the mean where cutout falls."""
        images = self._normalise(crop_and_flip(self.windows, indices, draws))
        if cutout:
            images.mul_(cutout_keep(draws, cutout, *self.size).to(images.dtype))
        return images, self.labels[indices]

    def _normalise(self, images: Tensor) -> Tensor:
        return images.to(torch.float32).mul_(self._scale).sub_(self._shift)


class BatchLoader:
    """Batches of (images float32, labels int64), both on the device of the images.

    A plain iterable with a length; fit for Lightning's CombinedLoader. An iteration depends on
    (seed, epoch, how often the loader was iterated in this epoch): `set_epoch` starts an epoch
    anew, and a loader that is cycled within an epoch, or used without `set_epoch`, is shuffled anew
    each time.

    Args:
        images: The resident images.
        indices: int64 (n,), rows of ``images``.
        batch_size: Images a batch.
        seed: Not negative; loaders with different seeds are independent.
        augmentation: What is drawn for each image; None for none.
        shuffle: Shuffle each epoch and drop the last incomplete batch; otherwise the order of
            ``indices``, to the last image.
        max_steps: At most so many batches an iteration; None for all.

    Raises:
        DataError: The batch size is not in 1 .. n (shuffled loaders) or below 1.
    """

    def __init__(
        self,
        images: ResidentImages,
        indices: Tensor,
        batch_size: int,
        seed: int | tuple[int, ...] = 0,
        augmentation: Augmentation | None = None,
        *,
        shuffle: bool = False,
        max_steps: int | None = None,
    ) -> None:
        if batch_size < 1 or (shuffle and batch_size > len(indices)):
            raise DataError(f"batch size {batch_size}; allowed are 1 .. {len(indices)}, the images")
        if max_steps is not None and max_steps < 1:
            raise DataError(f"max_steps {max_steps}; at least 1 step an epoch is needed")
        self.batch_size = batch_size
        self._images = images
        self._indices = indices.to("cpu")
        self._seed = seed if isinstance(seed, tuple) else (seed,)
        self._augmentation = augmentation
        self._shuffle = shuffle
        full, rest = divmod(len(indices), batch_size)
        steps = full if shuffle else full + bool(rest)
        self._steps = steps if max_steps is None else min(steps, max_steps)
        self._epoch = 0
        self._iterations = 0

    def __len__(self) -> int:
        return self._steps

    def set_epoch(self, epoch: int) -> None:
        """Start epoch ``epoch`` (0, 1, ...): the next iteration is its first."""
        self._epoch = epoch
        self._iterations = 0

    def __iter__(self) -> Iterator[Batch]:
        # runs at the first batch, so that an iterator that is made and dropped counts for nothing
        generator = self._generator()
        self._iterations += 1
        device = self._images.device
        order = self._indices
        if self._shuffle:
            order = order[torch.randperm(len(order), generator=generator)]
        draws = None
        if self._augmentation is not None:
            draws = draw_augmentation(
                self._augmentation, len(order), *self._images.size, generator
            ).to(device)
        order = order.to(device)
        for step in range(self._steps):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            if draws is None or self._augmentation is None:
                yield self._images.plain(order[part])
            else:
                yield self._images.augmented(
                    order[part], draws.rows(part), self._augmentation.cutout
                )

    def _generator(self) -> torch.Generator:
        key = np.random.SeedSequence([*self._seed, self._epoch, self._iterations])
        return torch.Generator().manual_seed(int(key.generate_state(1, np.uint64)[0]))


@dataclass(frozen=True)
class Loaders:
    """The loaders of a search.

    Attributes:
        train: Batches for the weights.
        search: Batches for alpha, augmented like the training images (AutoDL).
        evaluation: All images of the search part, in order, without augmentation.
        num_classes: Number of classes.
        image_shape: (channels, height, width).
    """

    train: BatchLoader
    search: BatchLoader
    evaluation: BatchLoader
    num_classes: int
    image_shape: tuple[int, int, int]

    @property
    def steps(self) -> int:
        """Steps of an epoch: the shorter of train and search is cycled."""
        return max(len(self.train), len(self.search))


def build_loaders(
    data: ImageData,
    split: Split,
    batch_size: int,
    seed: int,
    device: torch.device | str = "cpu",
    augment: bool = True,
    cutout: int = 0,
    max_steps: int | None = None,
) -> Loaders:
    """Put a split data set on a device and make its three loaders.

    Args:
        data: The data set.
        split: Its rows, from `split`.
        batch_size: Images a batch, of all three loaders.
        seed: Not negative; of order and augmentation.
        device: Where the images lie.
        augment: Random crop and, where the data set allows it, flip.
        cutout: Side of the blanked square in pixels; 0 for none; needs ``augment``.
        max_steps: At most so many batches per epoch of train and search; evaluation is not capped.

    Raises:
        DataError: A batch larger than a part, or cutout without augmentation or out of range.
    """
    policy = _policy(data, augment, cutout)
    train = _resident(data, data.images, data.labels, device)
    search = train
    if split.search_in_test:
        if data.test_images is None or data.test_labels is None:
            raise DataError(f"the split needs a test part, {data.name} has none")
        search = _resident(data, data.test_images, data.test_labels, device)

    def shuffled(images: ResidentImages, indices: Tensor, stream: int) -> BatchLoader:
        key = (seed, stream)
        return BatchLoader(
            images, indices, batch_size, key, policy, shuffle=True, max_steps=max_steps
        )

    return Loaders(
        train=shuffled(train, split.train_indices, stream=0),
        search=shuffled(search, split.search_indices, stream=1),
        evaluation=BatchLoader(search, split.search_indices, batch_size),
        num_classes=data.num_classes,
        image_shape=data.image_shape,
    )


def _policy(data: ImageData, augment: bool, cutout: int) -> Augmentation | None:
    largest = min(data.image_shape[1:]) - 1
    if not 0 <= cutout <= largest or (cutout and not augment):
        raise DataError(
            f"cutout {cutout}; allowed are 0 .. {largest}, and only 0 without augmentation"
        )
    return Augmentation(data.flip, data.padding, cutout) if augment else None


def _resident(
    data: ImageData, images: Tensor, labels: Tensor, device: torch.device | str
) -> ResidentImages:
    return ResidentImages(images, labels, data.mean, data.std, data.padding, device)
