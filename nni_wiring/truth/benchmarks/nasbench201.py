"""NAS-Bench-201 (Dong & Yang, ICLR 2020): 15,625 cells, three data sets, one protocol."""

from __future__ import annotations

from nni_wiring.truth.benchmark import (
    SPLIT_TITLES,
    Benchmark,
    Dataset,
    Protocol,
    PublishedRow,
    SearchProtocol,
)
from nni_wiring.truth.formulas import parameters
from search_spaces import cell_codes

_EPOCHS = (12, 200)
_SETTINGS = {
    "batch_size": 256,
    "lr": 0.1,
    "lr_min": 0.0,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "nesterov": True,
    "head": "nasbench201",
}


def _protocol(valid: int, test: int) -> Protocol:
    return Protocol(
        images={"valid": valid, "test": test},
        epochs=_EPOCHS,
        channels=16,
        cells=5,
        optimiser="SGD, Nesterov momentum .9, lr .1 -> 0 cosine, weight decay 5e-4, batch 256",
        settings=_SETTINGS,
    )


_DATASETS = (
    Dataset("cifar10", "CIFAR-10", _protocol(25_000, 50_000), data=("cifar10",)),
    Dataset("cifar100", "CIFAR-100", _protocol(50_000, 50_000), data=("cifar100",)),
    Dataset("imagenet16", "ImageNet16-120", _protocol(151_700, 151_700), data=("imagenet16-120",)),
)

#: The searched network is the tabulated one; lengths are those of the rows' sources.
_SEARCH = SearchProtocol(
    settings={"channels": 16, "cells": 5, "head": "nasbench201"},
    epochs={
        "gdas": 250,
        "random_sampling": 250,
        "enas": 250,
        "drnas": 100,
        "pc_darts": 100,
        "snas": 100,
        "dsnas": 100,
    },
    default_epochs=50,
)

_NB201 = "NB201 v1.1 table"
_DRNAS_IDARTS = "DrNAS / iDARTS tables"
_PT = "DARTS-PT submission text"
_COLUMNS = tuple((dataset.name, split) for dataset in _DATASETS for split in SPLIT_TITLES)

# method -> source and, in the order of _COLUMNS, (mean, standard deviation).
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

_CURVES = {
    ("cifar10", "valid"): ("cifar10-valid", "x-valid"),
    ("cifar10", "test"): ("cifar10", "ori-test"),
    ("cifar100", "valid"): ("cifar100", "x-valid"),
    ("cifar100", "test"): ("cifar100", "x-test"),
    ("imagenet16", "valid"): ("ImageNet16-120", "x-valid"),
    ("imagenet16", "test"): ("ImageNet16-120", "x-test"),
}


NASBENCH201 = Benchmark(
    title="NAS-Bench-201",
    codec=cell_codes.NASBENCH201,
    datasets=_DATASETS,
    search=_SEARCH,
    published=tuple(
        PublishedRow(method, *column, *figures, source)
        for method, (source, row) in _TABLE.items()
        for column, figures in zip(_COLUMNS, row, strict=False)
        if figures is not None
    ),
    parameters=parameters,
    curves=_CURVES,
    official_codes="nni_wiring.truth.sources.bundled:official_codes",
    bundled="bundled",
)
