"""Statistic: one thing that a monitor measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from matplotlib.figure import Figure

from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.notes import Step
from nni_wiring.monitor.taps import Site
from nni_wiring.records import EpochRecord


class Statistic:
    """One thing that a monitor measures: a class in a file of its own, any method left out.

    Every epoch: ``reset``, ``observe`` for each step, ``read``. What is read lands in the epoch's
    record; ``tags`` and ``pictures`` are made from records alone, so they are also those of a run
    that is read back.

    Attributes:
        name: what registries, records and messages call it.
        fields: the fields of ``EpochRecord`` that ``read`` gives; empty for a statistic whose value
            lands in ``EpochRecord.statistics`` under its name.
    """

    name: ClassVar[str]
    fields: ClassVar[tuple[str, ...]] = ()

    def start(self, sites: Sequence[Site]) -> None:
        """A search begins; sites: what of its supernet is watched."""

    def reset(self) -> None:
        """A new epoch begins."""

    def observe(self, step: Step) -> None:
        """A step is over. Keep what is needed on the device: nothing here may wait for it (no
        ``.item()``, no ``.cpu()``). A replayed step hands over the same tensors again with new
        values, so what is kept must be a result or a copy, not they themselves.
        """

    def read(self, epoch: Epoch) -> Any:
        """The epoch's value, plain values that JSON knows; None for nothing. With ``fields``: a
        mapping from them to values.
        """
        return None

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """TensorBoard's scalars of a record, by tag; None is left out."""
        return {}

    def pictures(self, record: EpochRecord, view: View) -> Mapping[str, Figure]:
        """TensorBoard's pictures of a record, by tag."""
        return {}

    def state(self) -> dict[str, Any]:
        """The values that must outlive an interruption, plain ones."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` gave."""
