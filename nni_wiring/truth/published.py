"""Published accuracies on NAS-Bench-201: mean and standard deviation, in percent."""

from __future__ import annotations

from typing import NamedTuple

from nni_wiring.truth.metrics import DATASETS, check_names

_NB201 = "NB201 v1.1 table"
_DRNAS_IDARTS = "DrNAS / iDARTS tables"
_PT = "DARTS-PT submission text"

# method -> source and, in the order of DATASETS, valid then test as (mean, standard deviation).
_Row = tuple[float, float | None]
_TABLE: dict[str, tuple[str, tuple[_Row | None, ...]]] = {
    "RSPS": (
        _NB201,
        ((80.42, 3.58), (84.07, 3.61), (52.12, 5.55), (52.31, 5.77), (27.22, 3.24), (26.28, 3.09)),
    ),
    "DARTS": (
        _NB201,
        ((39.77, 0.0), (54.30, 0.0), (15.03, 0.0), (15.61, 0.0), (16.43, 0.0), (16.32, 0.0)),
    ),
    "GDAS": (
        _NB201,
        ((89.89, 0.08), (93.61, 0.09), (71.34, 0.04), (70.70, 0.30), (41.59, 1.33), (41.71, 0.98)),
    ),
    "SETN": (
        _NB201,
        ((84.04, 0.28), (87.64, 0.0), (58.86, 0.06), (59.05, 0.24), (33.06, 0.02), (32.52, 0.21)),
    ),
    "ENAS": (
        _NB201,
        ((37.51, 3.19), (53.89, 0.58), (13.37, 2.35), (13.96, 2.33), (15.06, 1.95), (14.84, 2.10)),
    ),
    "SNAS": (
        _DRNAS_IDARTS,
        ((90.10, 1.04), (92.77, 0.83), (69.69, 2.39), (69.34, 1.98), (42.84, 1.79), (43.16, 2.64)),
    ),
    "DSNAS": (
        _DRNAS_IDARTS,
        (
            (89.66, 0.29),
            (93.08, 0.13),
            (30.87, 16.40),
            (31.01, 16.38),
            (40.61, 0.09),
            (41.07, 0.09),
        ),
    ),
    "PC-DARTS": (
        _DRNAS_IDARTS,
        ((89.96, 0.15), (93.41, 0.30), (67.12, 0.39), (67.48, 0.89), (40.83, 0.08), (41.31, 0.22)),
    ),
    "DrNAS": (
        "DrNAS table",
        ((91.55, 0.0), (94.36, 0.0), (73.49, 0.0), (73.51, 0.0), (46.37, 0.0), (46.34, 0.0)),
    ),
    "DARTS+PT": (_PT, (None, (88.11, None))),
    "DARTS+PT (fix-alpha)": (_PT, (None, (93.80, None))),
    "ResNet": (
        "NB201 table",
        (
            (90.83, None),
            (93.97, None),
            (70.42, None),
            (70.86, None),
            (44.53, None),
            (43.63, None),
        ),
    ),
}


class PublishedRow(NamedTuple):
    """One published figure; ``std`` is None where the source gives none."""

    method: str
    dataset: str
    split: str
    mean: float
    std: float | None
    source: str


def published_rows(dataset: str | None = None) -> list[PublishedRow]:
    """The published rows of one data set, or all of them; BenchmarkError for an unknown name."""
    if dataset is not None:
        check_names(dataset, "test")
    columns = [(name, split) for name in DATASETS for split in ("valid", "test")]
    return [
        PublishedRow(method, *column, *figures, source)
        for method, (source, row) in _TABLE.items()
        for column, figures in zip(columns, row, strict=False)
        if figures is not None and dataset in (None, column[0])
    ]
