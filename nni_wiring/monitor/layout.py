"""The layout of TensorBoard's custom scalars: the truth first, then one chart per edge."""

from __future__ import annotations

import re
from typing import Any

from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord
from nni_wiring.truth import SPLITS

#: Category -> chart -> kind of chart and the tags of its lines, as torch's writer takes it.
Layout = dict[str, dict[str, list[Any]]]


def scalar_layout(record: EpochRecord, view: View) -> Layout:
    """The charts of a search, told by its first record.

    The truth of the derived cell stands beside what p(alpha) expects; then alpha, then the local
    cost, a chart per edge with its operations as lines.
    """
    layout: Layout = {}
    truth = _truth_charts(record, view)
    if truth:
        layout["truth"] = truth
    layout["alpha"] = {edge: _lines(f"alpha/{edge}/") for edge in record.alpha}
    phase = record.cost.get("alpha") or record.cost.get("weights")
    if phase:
        layout["local cost"] = {edge: _lines(f"cost/{edge}/") for edge in phase.mean}
    return layout


def _truth_charts(record: EpochRecord, view: View) -> dict[str, list[Any]]:
    dataset = view.dataset
    if record.truth is None:
        return {}
    charts: dict[str, list[Any]] = {}
    for split in SPLITS:
        if record.truth.at(dataset, split).accuracy is not None:
            tags = [f"truth/{dataset}/{split}", f"truth_expected/{dataset}/{split}"]
            charts[f"{dataset} {split}"] = _chart([f"^{re.escape(tag)}$" for tag in tags])
    for name in ("regret", "percentile") if charts else ():
        charts[f"{dataset} {name}"] = _chart([f"^{re.escape(f'truth/{dataset}/{name}')}$"])
    return charts


def _lines(prefix: str) -> list[Any]:
    """The chart of all tags under ``prefix``."""
    return _chart([f"^{re.escape(prefix)}[^/]+$"])


def _chart(tags: list[str]) -> list[Any]:
    return ["Multiline", tags]
