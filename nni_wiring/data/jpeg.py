"""Many small JPEG files in one array of bytes -> one array of pixels."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from nni_wiring.data.images import CHANNELS, MAX_BYTES
from nni_wiring.errors import DataError
from nni_wiring.files.messages import told

_CHUNK = 512  # images a task: long enough to hide the thread pool, short enough for a bar
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def decode(name: str, jpeg: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Decode image i from ``jpeg[offsets[i]:offsets[i + 1]]``, all of one size.

    Args:
        name: Starts every error message.
        jpeg: uint8 (bytes,).
        offsets: Integers (n + 1,), from 0 to the number of bytes, ascending.

    Returns:
        uint8 (n, height, width, 3).

    Raises:
        DataError: Wrong arrays, an image that is cut off, no JPEG or of another size than the
            first one, or more than ``MAX_BYTES`` of pixels. Sizes are checked before an image is
            decoded.
    """
    _check(name, jpeg, offsets)
    count = len(offsets) - 1
    width, height = _open(name, jpeg, offsets, 0).size
    total = count * width * height * CHANNELS
    if total > MAX_BYTES:
        raise DataError(
            f"{name}: {count} images of {height}x{width} pixels are {total} bytes;"
            f" at most {MAX_BYTES} are read"
        )
    pixels = np.empty((count, height, width, CHANNELS), np.uint8)

    console = Console(stderr=True)
    with (
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,  # Pillow decodes without the GIL
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("decoding JPEG images", total=count)
        decode_chunk = partial(_decode_chunk, name, jpeg, offsets, pixels)
        for done in pool.map(decode_chunk, range(0, count, _CHUNK)):
            progress.advance(task, done)
    return pixels


def _decode_chunk(
    name: str, jpeg: np.ndarray, offsets: np.ndarray, pixels: np.ndarray, start: int
) -> int:
    """Fill ``pixels`` from row ``start``; returns the number of images decoded."""
    count, height, width, _ = pixels.shape
    stop = min(start + _CHUNK, count)
    for index in range(start, stop):
        image = _open(name, jpeg, offsets, index)
        if image.size != (width, height):
            raise DataError(
                f"{name}: image {index} has {image.height}x{image.width} pixels,"
                f" image 0 {height}x{width}; they must be equal"
            )
        try:
            pixels[index] = np.asarray(image.convert("RGB"))
        except _UNREADABLE as error:
            raise DataError(f"{name}: image {index} cannot be decoded ({told(error)})") from error
    return stop - start


def _check(name: str, jpeg: np.ndarray, offsets: np.ndarray) -> None:
    if jpeg.dtype != np.uint8 or jpeg.ndim != 1:
        raise DataError(f"{name}: jpeg is {jpeg.dtype} {jpeg.shape}; expected uint8 (bytes,)")
    if not np.issubdtype(offsets.dtype, np.integer) or offsets.ndim != 1 or len(offsets) < 2:
        raise DataError(
            f"{name}: offsets are {offsets.dtype} {offsets.shape}; expected integers (n + 1,)"
        )
    ends = [int(offsets[0]), int(offsets[-1])]
    if ends != [0, len(jpeg)] or not (offsets[1:] > offsets[:-1]).all():
        raise DataError(
            f"{name}: offsets run from {ends[0]} to {ends[1]};"
            f" expected an ascending run from 0 to {len(jpeg)}, the number of bytes"
        )


def _open(name: str, jpeg: np.ndarray, offsets: np.ndarray, index: int) -> Image.Image:
    """Read the header of one image; the pixels are not decoded yet."""
    data = jpeg[offsets[index] : offsets[index + 1]].tobytes()
    try:
        return Image.open(io.BytesIO(data), formats=["JPEG"])
    except _UNREADABLE as error:
        raise DataError(f"{name}: image {index} is no readable JPEG file") from error
