"""The origin of a benchmark's number, and whether it compares with the run beside it: a search, or
the training of a given cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from nni_wiring.truth.benchmark import Benchmark, Dataset
from nni_wiring.truth.benchmarks import BENCHMARKS
from search_spaces.errors import SpaceError
from search_spaces.registry import space_entry

#: Options as a sentence has them; {} is the value.
_SPOKEN = {
    "channels": "{} channels",
    "cells": "{} cells per stage",
    "epochs": "{} epochs",
    "head": "the head {}",
    "batch_size": "batches of {}",
    "lr": "lr {}",
    "weight_decay": "weight decay {}",
}
_NETWORK = ("channels", "cells", "head")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Provenance:
    """The origin of a number, beside the search that it is shown with.

    Attributes:
        benchmark: name of the benchmark that the number is of.
        dataset: its data set.
        data: the data of the run; "" where it is not known.
        comparable: whether a search was run on that data set's images, in the network, the
            space and for the epochs of the published searches; whether a cell was trained on them
            as the benchmark trains its own.
        note: one plain sentence that says what differs; "" where nothing does.
        trained: whether the run trained a given cell.
    """

    benchmark: str
    dataset: str
    data: str
    comparable: bool
    note: str = ""
    trained: bool = False

    @property
    def warning(self) -> str:
        """The words for a number that does not compare."""
        return f"{'training' if self.trained else 'search'} not comparable"


def in_words(provenance: Provenance) -> str:
    """`NAS-Bench-201` or `NAS-Bench-201; search not comparable: ...`."""
    text = BENCHMARKS.lookup(provenance.benchmark).title
    if provenance.comparable:
        return text
    return f"{text}; {provenance.warning}: {provenance.note}"


def provenance_of(
    config: Mapping[str, Any], benchmark: Benchmark, dataset: str, data_note: str = ""
) -> Provenance:
    """Hold a run's settings against the benchmark.

    Args:
        config: of the run, under its option names; what it lacks is not known and, but for the
            data, not held against it. One with ``arch`` is a training of that cell.
        benchmark: whose numbers are shown.
        dataset: the benchmark's data set whose numbers are shown.
        data_note: what the data says of itself ("searched on a lossy JPEG copy of the images").

    Raises:
        BenchmarkError: the benchmark has no such data set.
    """
    own = benchmark.dataset(dataset)
    data, trained = _printable(config.get("data")), config.get("arch") is not None
    parts = []
    if config.get("data") not in own.data:
        parts.append(_data_part(data, benchmark, own, data_note, trained))
    if trained:
        departures = _departures(own.protocol.differences(config))
        subject = "another training than the benchmark's"
    elif benchmark.search is None:
        differences = own.protocol.differences(config)
        network = {name: pair for name, pair in differences.items() if name in _NETWORK}
        departures, subject = _departures(network), "another network than the benchmark's"
    else:
        departures = _departures(benchmark.search.differences(config))
        subject = f"{'' if parts else 'search '}not comparable with the published rows"
    shortcuts = _shortcuts(config, benchmark)
    if benchmark.search is None and not trained and not departures:
        parts += shortcuts
    else:
        departures += shortcuts
    if departures:
        parts.append(f"{subject}: {', '.join(departures)}")
    return Provenance(benchmark.name, dataset, data, not parts, "; ".join(parts), trained)


def _data_part(data: str, benchmark: Benchmark, own: Dataset, note: str, trained: bool) -> str:
    name = own.measure.name.removeprefix("top-1 ")
    are = "accuracies are those" if name == "accuracy" else f"values of {name} are those"
    whose = f"the {are} of {own.title} networks of {benchmark.title}"
    done = "trained" if trained else "searched"
    if not data:
        return f"the {done} data is not known; {whose}"
    # A note such as "searched on a copy; the truth is another's" repeats what stands here.
    first = _printable(note.partition(";")[0], 200)
    if not first or data == "digits":
        return f"{done} on {data}; {whose}"
    detail = first.removeprefix("searched on ")
    return f"{done} on {detail} ({data}); {whose}"


def _departures(differences: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """``["8 channels, 6 epochs instead of 16, 50"]``, or nothing."""
    if not differences:
        return []
    own = ", ".join(_spoken(option, value) for option, (value, _) in differences.items())
    published = ", ".join(str(value) for _, value in differences.values())
    return [f"{own} instead of {published}"]


def _shortcuts(config: Mapping[str, Any], benchmark: Benchmark) -> list[str]:
    """Capped epochs and a restricted space, where the config says so."""
    steps, restriction = config.get("max_steps"), _restriction(config, benchmark)
    capped = [f"at most {_printable(steps)} steps per epoch"] if steps else []
    side = config.get("resize")
    capped += [f"images averaged to {_printable(side)} x {_printable(side)} pixels"] if side else []
    return [*capped, restriction] if restriction else capped


def _restriction(config: Mapping[str, Any], benchmark: Benchmark) -> str:
    """A sentence on the cells of the benchmark that the search could not choose; "" if none."""
    if not isinstance(config.get("space"), str) or config.get("arch") is not None:
        return ""
    try:
        entry = space_entry(config["space"])
        if entry.name == benchmark.space and config.get("operations") is None:
            return ""
        allowed = entry.operations(config.get("operations")).values()
    except (SpaceError, TypeError, AttributeError):
        return ""
    if all(set(names) == set(benchmark.operations) for names in allowed):
        return ""
    return f"only a part of the cells was searched ({_printable(entry.name)})"


def _spoken(option: str, value: object) -> str:
    text = _SPOKEN.get(option, option + " {}").format(_printable(value))
    return text.replace(" cells per", " cell per") if value == 1 else text


def _printable(value: object, most: int = _LONGEST_NAME) -> str:
    """A setting as one short line; a path is reduced to its file's name."""
    text = "" if value is None else str(value)
    prefix, colon, path = text.partition(":")
    if colon:
        text = f"{prefix}:{PurePath(path).name}"
    return "".join(c if c.isprintable() else "?" for c in text)[:most]
