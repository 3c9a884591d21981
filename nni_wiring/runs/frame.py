"""The records of a run as a pandas DataFrame: one row per epoch, one column per number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from nni_wiring.records import EdgeTable, EpochRecord, Truth

_BY_PART = ("loss", "accuracy", "entropy", "loss_minus_entropy", "gradient_norm")
_SCORES = {"accuracy": "", "rank": "rank_", "percentile": "percentile_", "regret": "regret_"}


def frame_of(records: Iterable[EpochRecord]) -> pd.DataFrame:
    """One row an epoch, indexed by ``epoch``; what an epoch lacks is missing (NaN) in its row.

    Columns: ``seconds``, ``steps``, ``arch``; ``loss/<part>`` and ``accuracy``, ``entropy``,
    ``loss_minus_entropy``, ``gradient_norm`` alike; ``alpha/<edge>/<operation>`` and ``z/...``;
    ``cost/<phase>/<edge>/<operation>`` (mean), ``cost_variance/...``; ``cell/<kind>/<edge>``, the
    operation of the derived cell; ``topology/<figure>``, ``topology_expected/<figure>``;
    ``truth/<data set>/<split>`` (the benchmark's metric) with ``truth/<data set>/rank_<split>``,
    ``percentile_<split>`` and ``regret_<split>``; ``truth_expected/...``; ``pattern/<name>`` and
    ``statistics/<name>/...``.
    """
    rows = [{"epoch": record.epoch, **dict(_columns(record))} for record in records]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame({"epoch": []}, dtype="int64")
    return frame.set_index("epoch")


def _columns(record: EpochRecord) -> Iterator[tuple[str, Any]]:
    yield from (("seconds", record.seconds), ("steps", record.steps), ("arch", record.arch))
    for name in _BY_PART:
        yield from _nested(name, getattr(record, name))
    yield from _table("alpha", record.alpha)
    yield from _table("z", record.z)
    for phase, moments in record.cost.items():
        yield from _table(f"cost/{phase}", moments.mean)
        yield from _table(f"cost_variance/{phase}", moments.variance)
    for kind, cell in record.cells.items():
        yield from _nested(f"cell/{kind}", cell.operations)
    yield from _nested("topology", record.topology)
    yield from _nested("topology_expected", record.topology_expected)
    yield from _truth("truth", record.truth)
    yield from _truth("truth_expected", record.truth_expected)
    yield from _nested("pattern", record.pattern)
    yield from _nested("statistics", record.statistics)


def _table(prefix: str, table: EdgeTable) -> Iterator[tuple[str, float | None]]:
    for edge, row in table.items():
        for operation, value in row.items():
            yield f"{prefix}/{edge}/{operation}", value


def _truth(prefix: str, truth: Truth | None) -> Iterator[tuple[str, float | int]]:
    for (dataset, split), score in ({} if truth is None else truth.scores).items():
        for name, before in _SCORES.items():
            value = getattr(score, name)
            if value is not None:
                yield f"{prefix}/{dataset}/{before}{split}", value


def _nested(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Numbers and texts of nested mappings by their path; lists are left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _nested(f"{prefix}/{name}", value)
        elif isinstance(value, (bool, int, float, str)):
            yield f"{prefix}/{name}", value
