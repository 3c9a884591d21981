"""The known data sets: name, policy and loader of each (no torch import).

To add one: write ``load(source, name, root, download) -> ImageData`` in a file of its own (build
the result with ``images.image_data``) and ``register`` a `DataSource` that names it, or announce
the `DataSource` as an entry point ``nni_wiring.data``; a name that is taken already is a DataError.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from nni_wiring.data.source import DataSource
from nni_wiring.errors import DataError
from search_spaces.names import Registry, did_you_mean

if TYPE_CHECKING:
    from nni_wiring.data.images import ImageData


def _check(source: DataSource) -> None:
    if not isinstance(source, DataSource):
        raise DataError(f"data: {source!r:.60} is not a DataSource")


_SOURCES = Registry(
    "data",
    DataError,
    (
        DataSource(
            name="digits",
            summary="scikit-learn's 8x8 digits enlarged to 3x16x16, embedded: shows the machinery",
            truth_dataset="cifar10",
            default_split="half",
            flip=False,  # a mirrored 2 is no 2
            files="none: comes with scikit-learn",
            loader="nni_wiring.data.digits:load",
            note="searched on scikit-learn's digits; the truth beside it is CIFAR-10's",
        ),
        DataSource(
            name="clutter",
            summary="digits among fragments of others, 8,000 + 4,000 images of 3x16x16, made here",
            truth_dataset="cifar10",
            default_split="half",
            flip=False,
            files="none: computed from scikit-learn's digits and a seed",
            loader="nni_wiring.data.clutter:load",
            note="searched on clutter; the truth beside it is CIFAR-10's",
        ),
        DataSource(
            name="cifar10",
            summary="CIFAR-10, 50,000 + 10,000 images of 3x32x32",
            truth_dataset="cifar10",
            default_split="half",
            flip=True,
            files="ROOT/cifar-10-batches-py",
            loader="nni_wiring.data.cifar:load",
        ),
        DataSource(
            name="cifar100",
            summary="CIFAR-100, 50,000 + 10,000 images of 3x32x32",
            truth_dataset="cifar100",
            default_split="full+xvalid",
            flip=True,
            files="ROOT/cifar-100-python",
            loader="nni_wiring.data.cifar:load",
        ),
        DataSource(
            name="imagenet16-120",
            summary="ImageNet16-120, 151,700 + 6,000 images of 3x16x16",
            truth_dataset="imagenet16",
            default_split="full+xvalid",
            flip=True,
            files="ROOT/ImageNet16/train_data_batch_1 .. train_data_batch_10 and val_data",
            loader="nni_wiring.data.imagenet16:load",
        ),
        DataSource(
            name="npz:",
            summary="a .npz file with uint8 NHWC arrays, or with JPEG bytes and offsets",
            truth_dataset="cifar10",
            default_split="half",
            flip=True,
            files="PATH",
            loader="nni_wiring.data.npz:load",
        ),
    ),
    group="nni_wiring.data",
    check=_check,
)
register = _SOURCES.register


def data_sources() -> tuple[DataSource, ...]:
    """All data sets in the order of their registration."""
    return tuple(_SOURCES.values())


def data_names() -> list[str]:
    """The data sets' names as a user writes them, ``npz:PATH`` among them."""
    return [source.name + ("PATH" if source.takes_path else "") for source in data_sources()]


def find_source(name: str) -> DataSource:
    """The data set that ``name`` (``digits``, ``npz:PATH``, ...) stands for.

    Raises:
        DataError: No such data set, or the path after ``npz:`` is missing.
    """
    prefix, colon, path = name.partition(":")
    source = _SOURCES.get(prefix + colon)
    if source is None or (source.takes_path and not path):
        known = data_names()
        raise DataError(
            f"unknown data set {name!r}; known: {', '.join(known)}{did_you_mean(name, known)}"
        )
    return source


def load_data(
    name: str, root: Path | str = "data", download: bool = True, *, resize: int | None = None
) -> ImageData:
    """Read a data set into memory.

    Args:
        name: A registered name; ``npz:PATH`` takes a path relative to the working folder.
        root: Folder that holds the downloaded data sets.
        download: Whether files that are missing may be fetched (cifar10 and cifar100 only).
        resize: Side in pixels that the images are averaged to; None leaves them.

    Raises:
        DataError: Unknown name, missing files, or files that are not in the expected layout.
    """
    source = find_source(name)
    module, function = source.loader.split(":")
    data: ImageData = getattr(import_module(module), function)(
        source, name, Path(root).expanduser(), download
    )
    return data if resize is None else data.resized(resize)


@lru_cache(maxsize=1)
def held_data(name: str, root: Path | str, resize: int | None) -> ImageData:
    """As `load_data`, kept in memory until another is asked for: for many trainings in one process,
    during which the files do not change.
    """
    return load_data(name, root, resize=resize)
