"""What a number of a benchmark says about a search: its origin, and whether the two compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from nni_wiring.truth.benchmark import Benchmark
from search_spaces.errors import SpaceError
from search_spaces.registry import space_entry

#: Options as a sentence has them; {} is the value.
_SPOKEN = {
    "channels": "{} channels",
    "cells": "{} cells a stage",
    "epochs": "{} epochs",
    "head": "the head {}",
}
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Provenance:
    """Where a number comes from, beside the search that it is shown with.

    Attributes:
        benchmark: name of the benchmark that the number is of.
        dataset: its data set.
        data: the data that was searched; "" where it is not known.
        comparable: whether the search was run on that data set's images, in the network, the
            space and for the epochs of the published searches.
        note: one plain sentence that says what differs; "" where nothing does.
    """

    benchmark: str
    dataset: str
    data: str
    comparable: bool
    note: str = ""


def provenance_of(
    config: Mapping[str, Any], benchmark: Benchmark, dataset: str, data_note: str = ""
) -> Provenance:
    """Hold a search's settings against the benchmark.

    Args:
        config: of the run, under its option names; what it lacks is not known and, but for the
            data, not held against it.
        benchmark: whose numbers are shown.
        dataset: the benchmark's data set whose numbers are shown.
        data_note: what the data says of itself ("searched on a lossy JPEG copy of the images").

    Raises:
        BenchmarkError: the benchmark has no such data set.
    """
    data = _printable(config.get("data"))
    parts = []
    if data_note or data not in benchmark.dataset(dataset).data:
        parts.append(_data_part(data, benchmark, dataset, data_note))
    differences = _protocol_part(config, benchmark)
    if differences:
        subject = "search " if not parts else ""
        parts.append(f"{subject}not comparable with the published rows: {differences}")
    return Provenance(benchmark.name, dataset, data, not parts, "; ".join(parts))


def _data_part(data: str, benchmark: Benchmark, dataset: str, note: str) -> str:
    own = benchmark.dataset(dataset)
    name = own.measure.name.removeprefix("top-1 ")
    are = "accuracies are those" if name == "accuracy" else f"values of {name} are those"
    whose = f"the {are} of {own.title} networks of {benchmark.title}"
    if not data:
        return f"the searched data is not known; {whose}"
    # A note such as "searched on a copy; the truth is another's" repeats what stands here.
    first = _printable(note.partition(";")[0], 200)
    if not first or data == "digits":
        return f"searched on {data}; {whose}"
    detail = first.removeprefix("searched on ")
    return f"searched on {detail} ({data}); {whose}"


def _protocol_part(config: Mapping[str, Any], benchmark: Benchmark) -> str:
    """What differs from the published searches, as "8 channels, 6 epochs instead of 16, 50"."""
    if benchmark.search is None:
        return "it has none" if benchmark.published else ""
    differences = benchmark.search.differences(config)
    parts = []
    if differences:
        own = ", ".join(_spoken(option, value) for option, (value, _) in differences.items())
        published = ", ".join(str(value) for _, value in differences.values())
        parts.append(f"{own} instead of {published}")
    if config.get("max_steps"):
        parts.append(f"{config['max_steps']} steps an epoch at most")
    restriction = _restriction(config, benchmark)
    return "; ".join([*parts, restriction] if restriction else parts)


def _restriction(config: Mapping[str, Any], benchmark: Benchmark) -> str:
    """Whether the search could choose among all cells of the benchmark; "" if so."""
    if not isinstance(config.get("space"), str):
        return ""
    try:
        entry = space_entry(config["space"])
        allowed = entry.operations(config.get("operations")).values()
    except (SpaceError, TypeError, AttributeError):
        return ""
    if all(set(names) == set(benchmark.operations) for names in allowed):
        return ""
    return f"only a part of the cells was searched ({_printable(entry.name)})"


def _spoken(option: str, value: object) -> str:
    text = _SPOKEN.get(option, option + " {}").format(_printable(value))
    return text.replace(" cells a", " cell a") if value == 1 else text


def _printable(value: object, most: int = _LONGEST_NAME) -> str:
    """A setting as one short line; a path is reduced to its file's name."""
    text = "" if value is None else str(value)
    prefix, colon, path = text.partition(":")
    if colon:
        text = f"{prefix}:{PurePath(path).name}"
    return "".join(c if c.isprintable() else "?" for c in text)[:most]
