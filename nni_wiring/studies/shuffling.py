"""Table 1: how much accuracy shuffling the layers or edges of a trained network costs (S2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import WRITTEN_OUT, OpenSearch, reopen
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Study, StudyRun, Table
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import FlipRule, Verdict, interval
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.variants import supernet_accuracies
from search_spaces.cell_graph import NB201

_NONE, _SKIP, _CONV = ["none"], ["skip_connect"], ["nor_conv_3x3"]
#: A cell of one operation an edge is no fused cell, and has no compiled kernels.
_ALONE = {"compile": False}

#: Networks: the supernet, and single cells that stand for the paper's two kinds of network.
NETWORKS: dict[str, dict[str, Any]] = {
    # three convolutions in a row, no way around them
    "plain chain (as VGG)": {
        "operations": {"*": _NONE, "0-1": _CONV, "1-2": _CONV, "2-3": _CONV},
        **_ALONE,
    },
    # two convolutions beside a skip
    "residual cell (as ResNet)": {
        "operations": {"*": _NONE, "0-1": _CONV, "1-3": _CONV, "0-3": _SKIP},
        **_ALONE,
    },
    "supernet": {},
}
_KINDS = ("layers", "edges")
_PLAIN, _RESIDUAL, _SUPERNET = NETWORKS
#: A network that has learnt less than this has nothing to lose, and is no unit.
_LEARNT = 5.0  # points above chance

LESS = FlipRule(
    claim="a supernet keeps more of its accuracy above chance than a plain network",
    null="the kind of network makes no difference to what is kept: symmetric about 0",
    minimum=20.0,
    unit="points of the share kept",
    spread=25.0,
    family=2,
)
RESIDUAL = FlipRule(
    claim="a residual network keeps more of its accuracy above chance than a plain one",
    null=LESS.null,
    minimum=20.0,
    unit="points of the share kept",
    spread=25.0,
    family=2,
)


def measure(run: StudyRun) -> Findings:
    """Train each network alike, then shuffle; accuracy on the search half, batch statistics."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, (name, changes) in enumerate(NETWORKS.items()):
        for seed in run.seeds:
            label = f"network{number}-s{seed}"
            part = run.part(label, _measuring(run, label, {**changes, "seed": seed}))
            found.setdefault(name, []).append(part)
    kept = {
        (name, kind): [kept_share(part, kind) for part in parts]
        for name, parts in found.items()
        for kind in _KINDS
    }
    return Findings(
        [_table(found, kept, run)],
        _verdicts(kept),
        {"bars": {f"{name}: {kind}": interval(v).mean for (name, kind), v in kept.items()}},
        [
            {"network": name, "seed": seed, **part}
            for name, parts in found.items()
            for seed, part in zip(run.seeds, parts, strict=True)
        ],
    )


def kept_share(part: dict[str, Any], kind: str) -> float:
    """Percent of the accuracy above chance that is left after shuffling, mean over shuffles; NaN
    for a network that has learnt nothing.
    """
    above = part["whole"] - part["chance"]
    if above < _LEARNT:
        return float("nan")
    return 100.0 * (float(np.mean(part[kind])) - part["chance"]) / above


def _table(
    found: dict[str, list[dict[str, Any]]],
    kept: dict[tuple[str, str], list[float]],
    run: StudyRun,
) -> Table:
    rows: list[list[Any]] = []
    for name, parts in found.items():
        for kind in _KINDS:
            share = interval(kept[name, kind])
            accuracies = [float(np.mean([p["whole"] for p in parts]))]
            accuracies.append(float(np.mean([np.mean(p[kind]) for p in parts])))
            rows.append([name, kind, parts[0]["orders"][kind], *accuracies, *share])
    return Table(
        f"mean over seeds and {run['shuffles']} shuffles; orders: what a shuffle of a stage (or "
        "cell) is drawn from; kept: share of the accuracy above chance that is left, percent, with "
        f"its 95 % interval over the seeds whose network learnt {_LEARNT:g} points or more",
        [
            *("network", "shuffled", "orders", "accuracy %", "after %"),
            *("kept", "low", "high", "seeds"),
        ],
        rows,
    )


def _measuring(run: StudyRun, label: str, changes: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    def measured() -> dict[str, Any]:
        found = opened(run.search(label, **changes))
        model = found.module.model
        order = np.random.default_rng(found.config.seed)
        whole = evaluated_accuracy(found, run["batches"])
        values: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        for _ in range(run["shuffles"]):
            with shuffled_layers(model, order):
                values["layers"].append(evaluated_accuracy(found, run["batches"]))
            with shuffled_edges(model, order):
                values["edges"].append(evaluated_accuracy(found, run["batches"]))
        chance = 100.0 / found.loaders.num_classes
        return {"whole": whole, "chance": chance, "orders": distinct_orders(model), **values}

    return measured


def opened(folder: RunFolder) -> OpenSearch:
    """The trained supernet with cells that look up their edges in every pass: fused ones have
    planned which module runs, and would not see a shuffle.
    """
    return reopen(folder, WRITTEN_OUT)


def distinct_orders(model: nn.Module) -> dict[str, int]:
    """The number of orders, beside the present one, of a stage's cells and of a cell's edges."""
    cells = [module for module in model.modules() if isinstance(module, SupernetCell)]
    stage = max(len(places) for places in _stages(list(cast(nn.ModuleList, model.layers))))
    alike = Counter(names for names in cells[0].group.edge_operations if names != ("none",))
    edges = math.prod(math.factorial(count) for count in alike.values())
    return {"layers": math.factorial(stage) - 1, "edges": edges - 1}


def evaluated_accuracy(found: OpenSearch, batches: int) -> float:
    """Percent, of the supernet as its method evaluates it."""
    z = {group.name: found.module.evaluated(group) for group in found.module.groups}
    data = islice(iter(found.loaders.evaluation), batches)
    [count], images = supernet_accuracies(found.module.model, data, [z])
    return 100.0 * count / images


def _moved(count: int, order: np.random.Generator) -> list[int]:
    """A random permutation that is not the identity (where there is one)."""
    while True:
        places = order.permutation(count).tolist()
        if count < 2 or places != list(range(count)):
            return places


def _stages(layers: Sequence[nn.Module]) -> list[list[int]]:
    """Places of the cells that follow one another, stage by stage."""
    stages: list[list[int]] = [[]]
    for place, layer in enumerate(layers):
        if isinstance(layer, SupernetCell):
            stages[-1].append(place)
        elif stages[-1]:
            stages.append([])
    return [stage for stage in stages if stage]


@contextmanager
def shuffled_layers(model: nn.Module, order: np.random.Generator) -> Iterator[None]:
    """Permute the cells within every stage of a NAS-Bench-201 network; put them back at the end."""
    layers = model.layers
    assert isinstance(layers, nn.ModuleList)
    before = list(layers)
    try:
        for stage in _stages(before):
            for target, source in zip(stage, _moved(len(stage), order), strict=True):
                layers[target] = before[stage[source]]
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


def _verdicts(kept: dict[tuple[str, str], list[float]]) -> list[Verdict]:
    verdicts = []
    for rule, network in ((LESS, _SUPERNET), (RESIDUAL, _RESIDUAL)):
        values = {
            f"{kind} shuffled": [
                mine - plain
                for mine, plain in zip(kept[network, kind], kept[_PLAIN, kind], strict=True)
            ]
            for kind in _KINDS
        }
        verdicts += rule.judge_all(values)
    return verdicts


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The accuracy that is left after shuffling."""
    title = "Accuracy above chance that is left after shuffling"
    return {"shuffling": label_bars(numbers["bars"], title, "percent")}


STUDY = Study(
    name="shuffling",
    title="Table 1: shuffled layers and edges",
    source="Wang et al., ICLR 2021, arXiv 2108.04392",
    own={"seeds": 8, "shuffles": 3, "batches": 32},
    small={
        "strategy": "darts_fixed_alpha",
        "space": "nasbench201",
        "optimisation": "single_level",
        "channels": 4,
        "cells": 4,
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
        "seeds": 8,
        "shuffles": 10,
        "batches": 400,
    },
    measure=measure,
    plot=plot,
    rules=(LESS, RESIDUAL),
    spaces=Spaces(graph=NB201, candidates=("none", "skip_connect", "nor_conv_3x3")),
    sized=True,
    reference={"cells": 4},
)
