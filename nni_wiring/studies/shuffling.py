"""Table 1: how much accuracy shuffling the layers or edges of a trained network costs (S2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import OpenSearch, reopen
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.variants import supernet_accuracies

_NONE, _SKIP, _CONV = ["none"], ["skip_connect"], ["nor_conv_3x3"]

#: Networks: the supernet, and single cells that stand for the paper's two kinds of network.
NETWORKS: dict[str, dict[str, Any]] = {
    # three convolutions in a row, no way around them
    "plain chain (as VGG)": {"operations": {"*": _NONE, "0-1": _CONV, "1-2": _CONV, "2-3": _CONV}},
    # two convolutions beside a skip
    "residual cell (as ResNet)": {
        "operations": {"*": _NONE, "0-1": _CONV, "1-3": _CONV, "0-3": _SKIP}
    },
    "supernet": {},
}
_KINDS = ("layers", "edges")


def measure(run: StudyRun) -> Findings:
    """Train each network alike, then shuffle; accuracy on the search half, batch statistics."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, (name, changes) in enumerate(NETWORKS.items()):
        for seed in run.seeds:
            folder = run.search(f"network{number}-s{seed}", **changes, seed=seed)
            part = run.part(f"network{number}-s{seed}", _measuring(folder, run))
            found.setdefault(name, []).append(part)
    means = {
        name: {key: float(np.mean([p[key] for p in parts])) for key in ("whole", *_KINDS)}
        for name, parts in found.items()
    }
    rows = [
        [name, m["whole"], m["layers"], m["edges"], *(_kept(m, kind) for kind in _KINDS)]
        for name, m in means.items()
    ]
    columns = ["network", "accuracy %", "layers shuffled %", "edges shuffled %"]
    return Findings(
        [
            Table(
                f"mean over {run['seeds']} seed(s) and {run['shuffles']} shuffles; kept: share of "
                "the accuracy above chance that is left, percent",
                [*columns, "kept, layers", "kept, edges"],
                rows,
            )
        ],
        [_verdict(means, kind) for kind in _KINDS],
        {
            "bars": {
                f"{name}: {kind}": _kept(m, kind) for name, m in means.items() for kind in _KINDS
            }
        },
    )


def _kept(means: dict[str, float], kind: str) -> float:
    above = means["whole"] - 10.0
    return 100.0 * (means[kind] - 10.0) / above if above > 0 else float("nan")


def _measuring(folder: RunFolder, run: StudyRun) -> Any:
    def measured() -> dict[str, float]:
        found = reopen(folder)
        order = np.random.default_rng(found.config.seed)
        whole = _accuracy(found, run["batches"])
        values: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        for _ in range(run["shuffles"]):
            with shuffled_layers(found.module.model, order):
                values["layers"].append(_accuracy(found, run["batches"]))
            with shuffled_edges(found.module.model, order):
                values["edges"].append(_accuracy(found, run["batches"]))
        return {"whole": whole, **{kind: float(np.mean(v)) for kind, v in values.items()}}

    return measured


def _accuracy(found: OpenSearch, batches: int) -> float:
    [group] = found.strategy.groups
    p = torch.softmax(group.logits().detach(), dim=-1)
    data = islice(iter(found.loaders.evaluation), batches)
    [count], images = supernet_accuracies(found.module.model, data, [{group.name: p}])
    return 100.0 * count / images


def _moved(count: int, order: np.random.Generator) -> list[int]:
    """A random permutation that is not the identity (where there is one)."""
    while True:
        places = order.permutation(count).tolist()
        if count < 2 or places != list(range(count)):
            return places


@contextmanager
def shuffled_layers(model: nn.Module, order: np.random.Generator) -> Iterator[None]:
    """Permute the cells within every stage of a NAS-Bench-201 network; put them back at the end."""
    layers = model.layers
    assert isinstance(layers, nn.ModuleList)
    before = list(layers)
    stage: list[int] = []
    try:
        for place, layer in enumerate([*before, None]):
            if isinstance(layer, SupernetCell):
                stage.append(place)
                continue
            for target, source in zip(stage, _moved(len(stage), order), strict=True):
                layers[target] = before[stage[source]]
            stage = []
        yield
    finally:
        for place, layer in enumerate(before):
            layers[place] = layer


@contextmanager
def shuffled_edges(model: nn.Module, order: np.random.Generator) -> Iterator[None]:
    """Permute the weights of a cell's edges among those that allow the same operations, none only
    apart; put them back at the end.
    """
    cells = [module for module in model.modules() if isinstance(module, SupernetCell)]
    before = [dict(cell.edges.items()) for cell in cells]
    try:
        for cell, edges in zip(cells, before, strict=True):
            alike: dict[tuple[str, ...], list[str]] = {}
            for name, operations in zip(edges, cell.group.edge_operations, strict=True):
                alike.setdefault(operations, []).append(name)
            for names in alike.values():
                for target, source in zip(names, _moved(len(names), order), strict=True):
                    cell.edges[target] = edges[names[source]]
        yield
    finally:
        for cell, edges in zip(cells, before, strict=True):
            for name, choice in edges.items():
                cell.edges[name] = choice


def _verdict(means: dict[str, dict[str, float]], kind: str) -> Verdict:
    plain, residual, supernet = (_kept(means[name], kind) for name in NETWORKS)
    verdict: Holds = "cannot be said"
    if not np.isnan([plain, residual, supernet]).any():
        order = supernet > plain and residual > plain
        verdict = (
            "holds" if order and supernet > 50 else "holds in part" if order else "does not hold"
        )
    return Verdict(
        f"shuffled {kind} hurt a supernet, like a residual network, far less than a plain one",
        verdict,
        f"share of the accuracy above chance kept: plain {plain:.0f} %, residual {residual:.0f} %, "
        f"supernet {supernet:.0f} %",
    )


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
    """What is left after shuffling."""
    title = "Accuracy above chance that is left after shuffling"
    return {"shuffling": label_bars(numbers["bars"], title, "percent")}


STUDY = Study(
    name="shuffling",
    title="Table 1: shuffled layers and edges",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={"seeds": 1, "shuffles": 3, "batches": 32},
    reduced={
        "strategy": "darts_fixed_alpha",
        "space": "nasbench201",
        "optimisation": "single_level",
        "channels": 4,
        "cells": 2,
        "batch_size": 32,
        "epochs": 8,
        "max_steps": 30,
    },
    paper={
        "strategy": "darts_fixed_alpha",
        "space": "nasbench201",
        "optimisation": "single_level",
        "epochs": 100,
        "batch_size": 64,
        "weight_decay": 3e-4,
        "track_stats": True,
        "seeds": 3,
        "shuffles": 10,
        "batches": 400,
    },
    measure=measure,
    draw=draw,
)
