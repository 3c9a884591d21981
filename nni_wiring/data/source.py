"""A data set as a user chooses it: its name, its policy, where its loader is (no torch import)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSource:
    """One data set as a user chooses it.

    Attributes:
        name: What the user writes; a name that ends in ``:`` is followed by a path.
        summary: One line for listings.
        truth_dataset: The NAS-Bench-201 data set (cifar10, cifar100, imagenet16) whose accuracies
            are shown beside a search on this one.
        default_split: ``half`` or ``full+xvalid``: what AutoDL-Projects uses on this data set
            (halves of the training set for CIFAR-10; all training images and half of the test
            images for CIFAR-100 and ImageNet16-120); ``half`` for data of other origin.
        flip: Whether a mirrored image keeps its class.
        files: Where the files are expected, for error messages and listings.
        loader: ``module:function``, imported when the data set is loaded.
        note: What has to be said beside results on this data set; empty if nothing.
    """

    name: str
    summary: str
    truth_dataset: str
    default_split: str
    flip: bool
    files: str
    loader: str
    note: str = ""

    @property
    def takes_path(self) -> bool:
        """True where the name is followed by a path."""
        return self.name.endswith(":")
