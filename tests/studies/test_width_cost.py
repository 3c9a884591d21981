"""The two edges that width-cost compares, against identities of the cells, and its arithmetic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.errors import ConfigError
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import OpenSearch, open_search
from nni_wiring.studies.probes import cost_samples, sample_costs
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.width_cost import PLACES, edge_costs
from nni_wiring.supernet.cell import SupernetCell

TINY = {
    "data": "digits",
    "head": "bias_free",
    "channels": 4,
    "cells": 1,
    "batch_size": 8,
    "max_steps": 1,
    "supernet": "plain",
}


def opened(space: str, condition: str) -> tuple[OpenSearch, list[Any]]:
    """The softmax mixture of a condition in float64, alpha equal everywhere, and one batch."""
    operations = PLACES[space].operations(condition)
    config = {**TINY, "strategy": "darts", "space": space, "operations": operations}
    found = open_search(make_config(config))
    found.module.double()
    with torch.no_grad():
        found.strategy.groups[0].alpha.zero_()
    images, labels = next(iter(found.loaders.train))
    return found, [(images.double(), labels)]


@pytest.mark.parametrize("space", PLACES)
def test_behind_a_skip_the_intermediate_edge_is_a_parallel_input_edge(space: str) -> None:
    """With equal weights on both edges all their costs are equal; behind a convolution not."""
    place = PLACES[space]
    differences = {}
    for condition in ("skip", "convolution"):
        found, batch = opened(space, condition)
        for cell in [m for m in found.module.model.modules() if isinstance(m, SupernetCell)]:
            edges = cell.edges
            assert isinstance(edges, nn.ModuleDict)
            edges[place.inner].load_state_dict(edges[place.input].state_dict())
        [costs] = cost_samples(found.module, batch, 1)["cell"]
        [group] = found.strategy.groups
        columns = [k for k, name in enumerate(group.operations) if name != "none"]
        one, other = (costs[:, group.edges.index(e)] for e in (place.input, place.inner))
        differences[condition] = np.nanmax(np.abs(one - other)[:, columns])
        assert np.nanmax(np.abs(other)) > 1e-4  # alive
    assert differences["skip"] == pytest.approx(0.0, abs=1e-12)
    assert differences["convolution"] > 1e-4


def test_in_s1s_own_cell_the_two_edges_share_l_minus_h() -> None:
    """Both end in the output node, alone: their Z-weighted costs add up to L - H."""
    found, batch = opened("nasbench201", "convolution")
    [group] = found.strategy.groups
    z = torch.softmax(group.logits().detach(), dim=-1).double().numpy()
    [costs] = cost_samples(found.module, batch, 1)["cell"]
    weighted = np.nansum(np.where(z > 0, z * costs[-1], 0), axis=1)
    both = sum(weighted[group.edges.index(edge)] for edge in ("0-3", "1-3"))
    one = sample_costs(found.module, batch[0])
    assert both == pytest.approx(float((one.loss - one.entropy).mean()), abs=1e-10)
    for edge in PLACES["nasbench201"].deleted:
        assert weighted[group.edges.index(edge)] == 0


def test_the_cost_of_an_edge_is_that_of_its_operations_but_none() -> None:
    def epoch(inner: float, outer: float) -> dict[str, dict[str, float | None]]:
        return {
            "0-2": {"none": 9.0, "skip_connect": outer, "nor_conv_3x3": None},
            "1-2": {"none": 9.0, "skip_connect": inner, "nor_conv_3x3": inner + 2.0},
            "0-3": {"skip_connect": 50.0},
        }

    epochs = [epoch(0.0, 7.0), epoch(1.0, 1.0), epoch(2.0, -1.0)]
    costs = edge_costs(PLACES["simplified"], epochs)
    assert costs.input == [7.0, 1.0, -1.0]
    assert costs.inner == [1.0, 2.0, 3.0]
    assert costs.difference == pytest.approx((1.0 + 4.0) / 2)  # the later epochs


def test_the_study_reads_its_searches(tmp_path: Path) -> None:
    """The printed difference from the runs' own records; deleted edges are none; alpha is frozen
    where every operation is drawn alike.
    """
    found = study("width-cost")
    small = {**TINY, "epochs": 2, "max_steps": 4, "seeds": 1, "spaces": ["nasbench201"]}
    result = run_study(found, found.options(small), tmp_path)
    by_condition = {row["0-1"]: row for row in result["rows"]}
    for condition, fixed in (("convolution", "nor_conv_3x3"), ("skip", "skip_connect")):
        folder = tmp_path / "runs" / f"nasbench201-{condition}-s1"
        records = [json.loads(line) for line in (folder / "epochs.jsonl").open()]
        means = {}
        for edge in ("0-3", "1-3"):
            row = records[1]["cost"]["weights"]["mean"][edge]
            ran = [v for name, v in row.items() if name != "none" and v is not None]
            means[edge] = sum(ran) / len(ran)
        expected = means["1-3"] - means["0-3"]
        assert by_condition[condition]["difference"] == pytest.approx(expected, rel=1e-9)
        operations = json.loads((folder / "run.json").read_text())["config"]["operations"]
        assert operations == {"0-1": [fixed], **{e: ["none"] for e in ("0-2", "1-2", "2-3")}}
        for record in records:
            values = {v for row in record["alpha"].values() for v in row.values()}
            assert values == {0.0}


def test_a_space_without_a_place_is_refused() -> None:
    found = study("width-cost")
    with pytest.raises(ConfigError, match="spaces=darts: .*; allowed: nasbench201, nasbench201_m"):
        found.options({**TINY, "spaces": ["simplified", "darts"]})
