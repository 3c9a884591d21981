"""Shared by the studies of kept searches: the option ``rows``, and one value a seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from nni_wiring.errors import ConfigError
from nni_wiring.records import EpochRecord
from nni_wiring.runs.kept import KeptRun, kept_runs
from nni_wiring.studies.frame import StudyRun
from nni_wiring.truth import NASBENCH201

#: The option by which such a study is told what to read; ``--from`` of the command sets it.
ROWS = "rows"

EDGES = NASBENCH201.codec.graph.edge_names
OPERATIONS = NASBENCH201.codec.operations


def read_rows(run: StudyRun, keep: Callable[[KeptRun], bool]) -> list[KeptRun]:
    """The searches that the study was told to read and that it can use.

    Raises:
        ConfigError: none was given, or none is of use.
    """
    if not run[ROWS]:
        raise ConfigError(
            f"study {run.study.name} reads finished searches: name them by --from PATH "
            "(kept rows such as docs/results/reference, a run's folder or its id)"
        )
    found = [kept for kept in kept_runs(run[ROWS]) if keep(kept)]
    if not found:
        raise ConfigError(f"none of the searches in {', '.join(run[ROWS])} fits {run.study.name}")
    run.reads([kept.config for kept in found])
    return found


def in_whole_space(kept: KeptRun) -> bool:
    """True for a search among all cells of NAS-Bench-201."""
    return kept.config.get("space") == NASBENCH201.name and not kept.config.get("operations")


def derives_by_magnitude(kept: KeptRun) -> bool:
    """True for a search of the whole space whose every epoch has a cell read off p(alpha)."""
    return (
        in_whole_space(kept)
        and kept.result.selection == "magnitude"
        and all(record.arch and record.z for record in kept.records)
        and bool(kept.records)
    )


def probabilities(record: EpochRecord) -> NDArray[np.float64]:
    """(edges, operations) p(alpha) of a record of the whole space."""
    return np.array([[record.z[edge][name] for name in OPERATIONS] for edge in EDGES], dtype=float)


def by_method(kept: Iterable[KeptRun]) -> dict[str, list[KeptRun]]:
    """The searches of every method."""
    found: dict[str, list[KeptRun]] = defaultdict(list)
    for one in kept:
        found[one.method].append(one)
    return dict(found)
