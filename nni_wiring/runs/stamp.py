"""A checkpoint's stamp: the run, options, records and content that it belongs to, so that pieces of
different runs are never put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.json_files import from_json, to_json
from nni_wiring.files.messages import shown
from nni_wiring.runs.store import RunFolder

#: The options that a run may go on under another value of: where it computes, where its data lie,
#: who else is told of its epochs.
FREE = frozenset({"device", "threads", "data_dir", "logger"})


@dataclass(frozen=True)
class Stamp:
    """A checkpoint's word on itself.

    Attributes:
        run_id: of its run.
        options: of its run, under their names, less :data:`FREE`. Not their hash: an option that a
            later version adds does not refuse it, and a refusal names the one that changed.
        records: SHA-256 of the epochs' records when it was written.
        parts: the number of values in each of its parts.
    """

    run_id: str
    options: Mapping[str, Any]
    records: str
    parts: Mapping[str, int]

    @classmethod
    def of(
        cls, folder: RunFolder, options: Mapping[str, Any], epochs: int, parts: Mapping[str, int]
    ) -> Stamp:
        """The stamp of a checkpoint that is written now, after so many epochs."""
        return cls(folder.run_id, _fixed(options), folder.records_hash(epochs), dict(parts))

    @classmethod
    def from_plain(cls, value: object) -> Stamp | None:
        """The stamp that :meth:`to_plain` made; None of None (before 0.2.0 there were none).

        Raises:
            ValueError: it is something else.
        """
        if value is None:
            return None
        kinds = {"run_id": str, "options": dict, "records": str, "parts": dict}
        if not isinstance(value, dict) or value.keys() != kinds.keys():
            raise ValueError("its stamp is not one")
        if not all(isinstance(value[name], kind) for name, kind in kinds.items()):
            raise ValueError("its stamp is not one")
        return cls(**value)

    def to_plain(self) -> dict[str, Any]:
        """The stamp as plain values."""
        return asdict(self)

    def check(self, folder: RunFolder, options: Mapping[str, Any], epochs: int) -> None:
        """Refuse the checkpoint of another run, of other options, or of other records.

        Args:
            folder: of the run that the checkpoint lies in.
            options: that the run is to go on with, under their names.
            epochs: that the checkpoint holds.

        Raises:
            RunError: one line, the piece that does not belong.
        """
        run = f"run {folder.run_id}"
        if self.run_id != folder.run_id:
            raise RunError(
                f"{run}: its checkpoint is that of run {shown(self.run_id)}; put its own one back"
            )
        now = _fixed(options)
        for name in sorted(self.options.keys() & now.keys(), key=str):
            if self.options[name] != now[name]:
                raise RunError(
                    f"{run}: its checkpoint was written with {shown(name)} "
                    f"{self.options[name]!r:.60}, run.json now says {now[name]!r:.60}; "
                    "put that back, or start a new run"
                )
        if self.records != folder.records_hash(epochs):
            raise RunError(
                f"{run}: the first {epochs} records of epochs.jsonl are not those that its "
                "checkpoint was written with"
            )


def values_in(content: object) -> int:
    """The number of values in a tree of dicts, lists and tuples; a tensor is one."""
    if isinstance(content, Mapping):
        return sum(map(values_in, content.values()))
    if isinstance(content, (list, tuple)):
        return sum(map(values_in, content))
    return 1


def _fixed(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that may not change, as JSON has them."""
    kept = from_json(to_json({name: options[name] for name in options if name not in FREE}))
    assert isinstance(kept, dict)
    return kept
