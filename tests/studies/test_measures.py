"""What the studies compute from a search, against formulas and hand-made cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.data import load_data
from nni_wiring.search.config import make_config, shown_dataset
from nni_wiring.search.reopen import open_search
from nni_wiring.studies.cost_vs_truth import none_ranks
from nni_wiring.studies.failure_spaces import chance_empty, over_spaces
from nni_wiring.studies.operation_costs import claimed_share
from nni_wiring.studies.pattern_runs import inner_edge_last, mean_cost, none_margins, width_margin
from nni_wiring.studies.skip_distances import distances, exact_share
from nni_wiring.studies.strength import undecided
from nni_wiring.studies.subsets import subset_options
from search_spaces.cell_graph import NB201
from search_spaces.registry import space_entry


def test_the_margin_of_none_and_of_width() -> None:
    alpha = {
        "0-1": {"none": 1.0, "skip_connect": 0.5, "nor_conv_3x3": 0.2},
        "0-2": {"none": 0.0, "skip_connect": 0.5, "nor_conv_3x3": 0.7},
        "1-2": {"none": 2.0, "skip_connect": 0.5, "nor_conv_3x3": 0.2},
        "0-3": {"none": 0.0},
        "1-3": {"skip_connect": 0.0},
        "2-3": {"none": 9.0, "skip_connect": 0.0},
    }
    margins = none_margins(alpha)
    expected = {"0-1": 0.5, "0-2": -0.7, "1-2": 1.5, "2-3": 9.0}
    assert margins == pytest.approx(expected)
    assert width_margin(margins, NB201) == pytest.approx(1.5 - (0.5 - 0.7) / 2)
    assert inner_edge_last(margins, NB201) is True
    minimal = space_entry("minimal").graph  # input edges 0-2, 1-2, 0-3, 1-3; intermediate 2-3
    margins = {"0-2": 1.0, "1-2": 0.0, "0-3": 2.0, "1-3": 1.0, "2-3": 0.5}
    assert width_margin(margins, minimal) == pytest.approx(0.5 - 1.0)
    assert inner_edge_last(margins, minimal) is False
    assert np.isnan(width_margin({"0-1": 1.0}, NB201))
    assert inner_edge_last({"0-1": 1.0}, NB201) is None


def test_mean_cost_leaves_none_and_what_never_ran_out() -> None:
    table = {
        "0-2": {"none": 0.0, "skip_connect": 1.0, "nor_conv_3x3": 3.0, "avg_pool_3x3": None},
        "1-2": {"none": 0.0, "skip_connect": -2.0},
    }
    assert mean_cost(table) == pytest.approx(2 / 3)
    assert mean_cost(table, ["0-2"]) == 2.0
    assert np.isnan(mean_cost({"0-2": {"none": 0.0, "skip_connect": None}}))


def test_shares_of_signs_count_a_blocked_cost_half() -> None:
    table = np.array([[1.0, -1.0], [0.0, -3.0], [np.nan, 2.0], [2.0, np.nan]])
    assert claimed_share(table, 1) == pytest.approx([2.5 / 3, 1 / 3])
    assert claimed_share(table, -1) == pytest.approx([0.5 / 3, 2 / 3])


def test_the_rank_of_none() -> None:
    scores = np.array([[0.0, 1.0, -1.0, 2.0, -3.0], [5.0, 1, 2, 3, 4], [0, 0, 0, 1, -1]])
    assert none_ranks(scores) == pytest.approx([3.0, 1.0, 3.0])  # of two ties one counts
    assert np.isnan(none_ranks(np.array([np.nan, 1.0, 2.0, 3.0, 4.0])))


def test_chance_of_an_empty_edge() -> None:
    assert chance_empty("nasbench201_s2") == 50.0
    assert chance_empty("nasbench201") == pytest.approx(60.0)  # none, skip, pooling of five
    assert chance_empty("darts_s3") == 50.0  # none is in no genotype: skip or sep_conv
    assert chance_empty("darts") == pytest.approx(300 / 7)


def test_the_failure_spaces_are_judged_together_a_value_a_seed() -> None:
    """All of them count, also where magnitude did not fail; one without a truth has no value."""
    gains = {"s2": [30.0, 0.0, -2.0], "s4": [float("nan")] * 3, "s10": [0.0, 0.0, 4.0]}
    assert over_spaces(gains) == [15.0, 0.0, 1.0]


def test_undecided_edges() -> None:
    # 400 images at 50 %: two standard errors of a difference are at most 7.1 points
    values = np.array([[50.0, 42.0, 10.0], [50.0, 44.0, 10.0], [50.0, 50.0, 50.0]])
    assert undecided(values, 50.0, 400) == 2
    assert undecided(np.zeros((4, 5)), 0.0, 8) == 4  # five equal accuracies decide nothing


def test_the_exact_share_minimises_the_variance() -> None:
    """Against a grid of mixtures of standardised feature maps."""
    g = torch.Generator().manual_seed(0)
    target, x, o = (torch.randn((6, 3, 5, 5), generator=g, dtype=torch.double) for _ in range(3))
    x, o = 4.0 * (x + target) + 7.0, 0.1 * (o + 0.5 * target + 0.3 * x) - 2.0
    found = distances(x, o, target)
    scaled = []
    for value in (x, o, target):
        channels = [value[:, c] for c in range(3)]
        scaled.append(torch.stack([(v - v.mean()) / v.std(unbiased=False) for v in channels], 1))
    x0, o0, m = scaled
    assert found.skip == pytest.approx(float((x0 - m).var(unbiased=False)), rel=1e-9)
    assert found.conv == pytest.approx(float((o0 - m).var(unbiased=False)), rel=1e-9)
    grid = np.linspace(-1, 2, 3001)
    spread = [float((w * o0 + (1 - w) * x0 - m).var(unbiased=False)) for w in grid]
    w = exact_share(*found)
    assert grid[np.argmin(spread)] == pytest.approx(w, abs=1e-3)
    assert exact_share(found.skip, found.conv, 0.0) == pytest.approx(
        found.skip / (found.skip + found.conv)
    )
    assert distances(10 * x + 1, o, target) == pytest.approx(found)
    assert np.isnan(exact_share(1.0, 1.0, 1.0))
    constant = distances(torch.ones_like(x), o, target)
    assert constant.skip == pytest.approx(1.0)  # a constant channel has no variance to scale


def test_a_part_of_the_data(tmp_path: Path) -> None:
    config = make_config({"data": "digits", "seed": 3})
    whole = load_data("digits", "data")
    assert subset_options(config, 1.0, tmp_path / "all.npz") == {}
    path = tmp_path / "deep" / "part.npz"
    options = subset_options(config, 0.25, path)
    part = load_data(options["data"], "data")
    assert len(part.images) == round(len(whole.images) / 4)
    rows = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(whole.images, whole.labels, strict=True)
    }
    kept = [rows[image.numpy().tobytes()] for image in part.images]
    assert kept == part.labels.tolist()  # images of the whole, with their labels
    assert torch.equal(part.test_images, whole.test_images)
    assert options["dataset"] == whole.truth_dataset
    assert options["split"] == whole.default_split
    other = subset_options(make_config({"data": "digits", "seed": 4}), 0.25, tmp_path / "o.npz")
    assert not torch.equal(load_data(other["data"], "data").images, part.images)
    make_config({**options, "seed": 3})


def test_a_part_of_the_data_keeps_the_truth_of_the_whole(tmp_path: Path) -> None:
    """(of a table of another data set: the part is a file, which names none)"""
    given = {"data": "clutter", "benchmark": "clutter201", "seed": 1}
    part = subset_options(make_config(given), 0.05, tmp_path / "part.npz")
    assert part["dataset"] == "clutter"
    assert shown_dataset(make_config({**given, **part})) == "clutter"


def test_an_inner_edge_of_an_empty_cell_costs_nothing() -> None:
    """Why width-cost fixes 0-1: with 0-1 none all operations of 1-2 see zeros and cost nothing;
    with 0-1 = skip 1-2 reads what 0-2 reads, and equal weights have equal costs.
    """
    from nni_wiring.studies.probes import cost_samples

    common = {"strategy": "darts", "space": "nasbench201_minimal", "head": "bias_free",
              "channels": 4, "cells": 1, "batch_size": 8, "max_steps": 1,
              "supernet": "plain"}  # fmt: skip
    for fixed in ("none", "skip_connect"):
        found = open_search(make_config({**common, "operations": {"0-1": [fixed]}}))
        module = found.module.double()
        [group] = found.strategy.groups
        with torch.no_grad():
            group.alpha.zero_()
            for cell in [m for m in module.model.modules() if hasattr(m, "edges")]:
                if isinstance(cell.edges, nn.ModuleDict):
                    cell.edges["1-2"].load_state_dict(cell.edges["0-2"].state_dict())
        batch = next(iter(found.loaders.train))
        costs = cost_samples(module, [(batch[0].double(), batch[1])], 1)["cell"][0]
        inner, outer = (NB201.edge_index(edge) for edge in ("1-2", "0-2"))
        real = [k for k, name in enumerate(group.operations) if name != "none"]
        if fixed == "none":
            assert np.abs(costs[:, inner][:, real]).max() == pytest.approx(0.0, abs=1e-12)
            assert np.abs(costs[:, outer][:, real]).max() > 1e-6
        else:
            assert costs[:, inner] == pytest.approx(costs[:, outer], abs=1e-12)
