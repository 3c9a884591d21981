"""Random crop, flip and cutout of whole batches, one draw per image, on the images' device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """The random choices that are drawn for an image.

    Attributes:
        flip: Mirror half of the images.
        padding: Pixels of zeros on each side, of which a window of the image's size is cut.
        cutout: Side of the square that is blanked, in pixels; 0 for none.
    """

    flip: bool
    padding: int
    cutout: int = 0


class Draws(NamedTuple):
    """The random numbers of n images, each int64 (n,) but ``flip``.

    ``top`` and ``left`` place the crop in the padded image (0 .. 2 padding), ``row`` and ``column``
    the centre of the cutout in the crop; ``flip`` is uint8, 255 to mirror and 0 not to.
    """

    top: Tensor
    left: Tensor
    flip: Tensor
    row: Tensor
    column: Tensor

    def to(self, device: torch.device) -> Draws:
        """Copy to another device."""
        return Draws(*(values.to(device) for values in self))

    def rows(self, part: slice) -> Draws:
        """The draws of some of the images (views)."""
        return Draws(*(values[part] for values in self))


def draw(
    augmentation: Augmentation, count: int, height: int, width: int, generator: torch.Generator
) -> Draws:
    """Draw for ``count`` images, on the generator's device."""

    def integers(high: int) -> Tensor:
        return torch.randint(high, (count,), generator=generator, device=generator.device)

    positions = 2 * augmentation.padding + 1
    top, left, flip = integers(positions), integers(positions), integers(2)
    mask = (flip * (255 if augmentation.flip else 0)).to(torch.uint8)
    return Draws(top, left, mask, integers(height), integers(width))


def crop_windows(images: Tensor, padding: int) -> Tensor:
    """All crops of zero-padded images, as a view of the padded copy.

    Args:
        images: uint8 (n, channels, height, width).
        padding: Zeros on each side, in pixels; black in the images' own scale, as torchvision
            pads before it normalises.

    Returns:
        (n, channels, 2 padding + 1, 2 padding + 1, height, width), indexed by top and left.
    """
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    return padded.unfold(2, height, 1).unfold(3, width, 1)


def crop_and_flip(windows: Tensor, indices: Tensor, draws: Draws) -> Tensor:
    """Cut one window of each image and mirror it where ``draws.flip`` says so.

    Args:
        windows: Of `crop_windows`.
        indices: int64 (batch,), rows of ``windows``.
        draws: Of the batch.

    Returns:
        uint8 (batch, channels, height, width).
    """
    images = windows[indices, :, draws.top, draws.left]
    mirrored = images.flip(3)
    # a select without a branch: torch.where with a broadcast mask takes ten times as long on CPU
    return mirrored.bitwise_xor_(images).bitwise_and_(draws.flip[:, None, None, None]) ^ images


def cutout_keep(draws: Draws, length: int, height: int, width: int) -> Tensor:
    """A mask of the pixels that stay: bool (batch, 1, height, width).

    The square of side ``length`` around the drawn centre is blanked, cut off at the border
    (DeVries & Taylor, 2017).
    """
    return ~(
        _inside(draws.row, length, height)[:, None, :, None]
        & _inside(draws.column, length, width)[:, None, None, :]
    )


def _inside(centre: Tensor, length: int, size: int) -> Tensor:
    distance = torch.arange(size, device=centre.device) - (centre[:, None] - length // 2)
    return (distance >= 0) & (distance < length)
