"""The worth of a benchmark's number beside a search: its benchmark, and the data searched on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni_wiring.data.registry import find_source
from nni_wiring.errors import DataError
from nni_wiring.report.words import plain
from nni_wiring.truth import Benchmark
from nni_wiring.truth.provenance import Provenance, in_words, provenance_of

__all__ = ["Provenance", "in_words", "run_provenance"]


def run_provenance(
    config: Mapping[str, Any], result: Mapping[str, Any], benchmark: Benchmark
) -> Provenance:
    """The provenance of a run's truth, from its settings and what it found when it read the data.

    The data set is the one that the result names, else the one that was asked for, else that of the
    data's source.
    """
    usual, note = "", ""
    try:
        source = find_source(str(config.get("data", "")))
        usual, note = source.truth_dataset, source.note
    except DataError:
        pass  # settings of a foreign run
    dataset = benchmark.shown_dataset(None, usual)
    for facts in (config, result):  # what was found when the images were read wins
        for key in ("dataset", "truth_dataset"):
            named = facts.get(key)
            dataset = str(named) if named in benchmark.dataset_names else dataset
        said = facts.get("data_note")
        note = plain(said) if isinstance(said, str) and said else note
    return provenance_of(config, benchmark, dataset, note)
