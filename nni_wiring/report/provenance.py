"""What a benchmark's number beside a search is worth: which benchmark, and what was searched on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nni_wiring.data.registry import find_source
from nni_wiring.errors import DataError
from nni_wiring.report.titles import DATASET_TITLES, benchmark_title
from nni_wiring.report.words import plain
from nni_wiring.truth import DATASETS

NOT_COMPARABLE = "search not comparable"


class Provenance(NamedTuple):
    """Where the numbers beside a search come from.

    Attributes:
        benchmark: name of the benchmark.
        dataset: the benchmark's data set whose accuracies are shown.
        data_searched: the data that the search ran on.
        comparable: whether the search ran on the benchmark's data, so that its result may stand
            among published ones.
        note: why it is not, or what else must be said; empty if nothing.
    """

    benchmark: str
    dataset: str
    data_searched: str
    comparable: bool
    note: str


def provenance_of(
    config: Mapping[str, Any], benchmark: str, dataset: str, data_note: str | None
) -> Provenance:
    """The provenance of a benchmark's numbers beside a run.

    Args:
        config: settings of the run.
        benchmark: the benchmark whose numbers are shown.
        dataset: its data set.
        data_note: what the run recorded about its data; None takes what the data set's source says.
    """
    data = str(config.get("data", "unknown"))
    try:
        source = find_source(data)
    except DataError:
        note = data_note or f"searched on {plain(data, 60)}, of which nothing is known"
        return Provenance(benchmark, dataset, data, False, note)
    note = source.note if data_note is None else data_note
    own = source.truth_dataset == dataset and not source.takes_path
    if not own and not note:
        title = DATASET_TITLES.get(dataset, dataset)
        note = f"searched on {plain(data, 60)}; the truth beside it is {title}'s"
    return Provenance(benchmark, dataset, data, own and not note, note)


def run_provenance(
    config: Mapping[str, Any], result: Mapping[str, Any], benchmark: str
) -> Provenance:
    """The provenance of a run's truth, from its settings and what it found when it read the data.

    The data set is the one that the result names, else the one that was asked for, else that of the
    data's source.
    """
    try:
        dataset = find_source(str(config.get("data", ""))).truth_dataset
    except DataError:
        dataset = DATASETS[0]
    note: str | None = None
    for facts in (config, result):  # what was found when the images were read wins
        named = [facts.get(key) for key in ("dataset", "truth_dataset")]
        dataset = next((name for name in reversed(named) if name in DATASETS), dataset)
        said = facts.get("data_note")
        note = plain(said) if isinstance(said, str) and said else note
    return provenance_of(config, benchmark, dataset, note)


def in_words(provenance: Provenance) -> str:
    """`NAS-Bench-201` or `NAS-Bench-201; search not comparable: ...`."""
    text = benchmark_title(provenance.benchmark)
    if not provenance.comparable:
        text += f"; {NOT_COMPARABLE}"
    return f"{text}: {provenance.note}" if provenance.note else text
