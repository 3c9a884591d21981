"""Gains of blocks against dense Jacobians, and what the study makes of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from study_runs import silent_run
from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.studies.block_norms import STUDY, block_rows, by_pair, judged
from nni_wiring.studies.frame import Row, StudyRun
from nni_wiring.studies.gains import convolution_blocks, frozen, gain
from nni_wiring.studies.running import run_study
from nni_wiring.studies.sizes import REFERENCE_TRAINING_CLUTTER
from nni_wiring.studies.standing import before_and_after, untrained
from nni_wiring.studies.trainings import PAIRS, training_config
from search_spaces.operations import ReLUConvBN

TINY: dict[str, Any] = {
    "data": "digits",
    "channels": 4,
    "cells": 1,
    "batch_size": 8,
    "epochs": 1,
    "max_steps": 2,
    "pairs": 1,
    "images": 32,
    "products": 2,
}


def study_run(path: Path, **changes: Any) -> StudyRun:
    return silent_run(STUDY, path, **{**TINY, **changes})


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def a_block(side: int, kernel: int, seed: int = 0) -> tuple[ReLUConvBN, torch.Tensor]:
    """In float64, with a scale and a shift, and images whose statistics are not 0 and 1."""
    torch.manual_seed(seed)
    block = ReLUConvBN(2, 3, kernel).double()
    norm = block.op[2]
    with torch.no_grad():
        norm.weight.uniform_(0.2, 2.0)
        norm.bias.normal_()
    return block, 3 * torch.randn(5, 2, side, side, dtype=torch.double) + 1


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_largest_gain_is_the_spectral_norm_of_the_jacobian(kernel: int) -> None:
    block, images = a_block(4, kernel)
    function = frozen(block, images)
    found = gain(function, images, 3000, generator())
    for place, image in enumerate(images):
        jacobian = torch.autograd.functional.jacobian(lambda x: function(x[None])[0], image)
        dense = jacobian.reshape(3 * 4 * 4, 2 * 4 * 4)
        exact = float(torch.linalg.matrix_norm(dense, 2))
        assert float(found.largest[place]) == pytest.approx(exact, rel=1e-4)
        assert float(found.typical[place]) <= exact


def test_few_products_stay_below_and_more_come_nearer() -> None:
    block, images = a_block(6, 3)
    function = frozen(block, images)
    few, some, many = (gain(function, images, n, generator()).largest for n in (1, 5, 500))
    assert bool((few < some).all()) and bool((some <= many * (1 + 1e-12)).all())


def test_a_frozen_block_differs_from_the_block_by_its_shift_alone() -> None:
    block, images = a_block(5, 3)
    whole, part = block.train()(images), frozen(block, images)(images)
    shift = (whole - part).detach()
    assert torch.allclose(shift, shift.mean(dim=(0, 2, 3), keepdim=True), atol=1e-10)
    alone = frozen(block, images)(images[:1])
    assert torch.allclose(alone, part[:1], atol=1e-12)  # each image alone


def test_a_scaled_kernel_has_the_gain_of_before_and_a_scaled_norm_a_scaled_one() -> None:
    block, images = a_block(4, 3)
    block.op[2].eps = 0.0
    before = gain(frozen(block, images), images, 20, generator()).largest
    with torch.no_grad():
        block.op[1].weight.mul_(10)
    assert torch.allclose(gain(frozen(block, images), images, 20, generator()).largest, before)
    with torch.no_grad():
        block.op[2].weight.mul_(3)
    after = gain(frozen(block, images), images, 20, generator()).largest
    assert torch.allclose(after, 3 * before)


def test_the_typical_gain_is_the_root_mean_square_of_a_linear_map() -> None:
    """|J v|^2 / |v|^2 of many Gaussian v has the mean |J|_F^2 / inputs, to 2 % at 4,000 v."""
    torch.manual_seed(3)
    matrix = torch.randn(6, 10, dtype=torch.double)
    images = torch.zeros(4000, 10, dtype=torch.double)
    found = gain(lambda x: x @ matrix.T, images, 1, generator()).typical
    expected = float(matrix.square().sum()) / 10
    assert float(found.square().mean()) == pytest.approx(expected, rel=0.02)


def test_a_map_to_zero_has_gains_of_zero() -> None:
    found = gain(lambda x: 0 * x, torch.ones(3, 2), 4, generator())
    assert found.largest.tolist() == found.typical.tolist() == [0.0] * 3


def test_every_convolution_on_an_edge_is_found_with_what_it_reads(tmp_path: Path) -> None:
    run = study_run(tmp_path)
    pair = PAIRS[0]  # convolutions on 0-1, 0-3 and 1-3, and the moved one
    for arch, moved in ((pair.wide, "0-2"), (pair.deep, "1-2")):
        config = training_config(run, arch=arch, seed=1, protocol="short")
        stand = untrained(config, 32)
        before = [value.clone() for value in stand.network.state_dict().values()]
        found = convolution_blocks(stand)
        edges = sorted(["0-1", "0-3", "1-3", moved])
        assert [(row.layer, row.edge) for row in found] == [
            (layer, edge) for layer in range(3) for edge in sorted(edges, key=_order)
        ]
        assert all(
            torch.equal(a, b)
            for a, b in zip(before, stand.network.state_dict().values(), strict=True)
        )
        assert not any(m._forward_pre_hooks for m in stand.network.modules())
        stem = stand.network.stem
        assert isinstance(stem, nn.Module)
        first = stem.train()(stand.images[0])
        assert torch.allclose(found[0].images, first, atol=1e-5)


def _order(edge: str) -> tuple[str, str]:
    return edge[2], edge[0]


def rows_of(values: dict[int, float], state: str = "end") -> list[Row]:
    return [
        {"pair": pair, "cell": cell, "state": state, "seed": 1, "largest": value, "kernel": 3}
        for pair, value in values.items()
        for cell in ("wide", "deep")
    ]


def test_a_pair_s_value_is_the_mean_logarithm_of_its_blocks() -> None:
    rows = [*rows_of({1: 2.0}), *rows_of({1: 8.0}), *rows_of({1: 100.0}, "start")]
    assert by_pair(rows, "largest", state="end") == {1: pytest.approx(math.log(4))}
    assert by_pair(rows, "largest", state="start", cell="deep") == {1: pytest.approx(math.log(100))}
    rows[0]["largest"] = None  # a map to 0, or not finite
    assert math.isnan(by_pair(rows, "largest", state="end")[1])


@pytest.mark.parametrize(
    ("middle", "changes", "expected"),
    [
        (2.0, {**REFERENCE_TRAINING_CLUTTER, "max_steps": None}, "holds"),
        (0.5, {**REFERENCE_TRAINING_CLUTTER, "max_steps": None}, "does not hold"),
        (1.1, {**REFERENCE_TRAINING_CLUTTER, "max_steps": None}, "holds in part"),
        (2.0, {}, "cannot be said"),
    ],
)
def test_the_verdict_is_on_the_trained_blocks(
    tmp_path: Path, middle: float, changes: dict[str, Any], expected: str
) -> None:
    g = np.random.default_rng(0)
    values = {pair: middle * math.exp(0.02 * g.normal()) for pair in range(1, 7)}
    rows = [*rows_of(values), *rows_of(dict.fromkeys(values, 1 / middle), "start")]
    [verdict] = judged(study_run(tmp_path, **changes), rows)
    assert verdict.verdict == expected
    assert verdict.effect == pytest.approx(np.log(list(values.values())).mean())


def test_a_tiny_study_repeats_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = study_run(tmp_path).options
    whole = run_study(STUDY, options, tmp_path / "whole")
    assert len(whole["rows"]) == 2 * 2 * 12  # cells, states, convolutions
    assert all(row["largest"] > row["typical"] > 0 for row in whole["rows"])
    assert whole["verdicts"][0]["verdict"] == "cannot be said"
    from nni_wiring.studies import block_norms

    real, calls = block_rows, []

    def stopping(*given: Any) -> list[Row]:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(block_norms, "block_rows", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_study(STUDY, options, tmp_path / "cut")
    again = run_study(STUDY, options, tmp_path / "cut")
    assert len(calls) == 3 + 2  # two of the four were kept
    assert again["rows"] == whole["rows"] and again["tables"] == whole["tables"]


def test_the_end_is_the_trained_network_and_the_start_another(tmp_path: Path) -> None:
    run = study_run(tmp_path)
    stands = before_and_after(run, "pair1-wide-s1", PAIRS[0].wide, 1)
    start, end = (stands[name]() for name in ("start", "end"))
    assert all(torch.equal(a, b) for a, b in zip(start.images, end.images, strict=True))
    first, last = (next(stand.network.parameters()) for stand in (start, end))
    assert not torch.equal(first, last)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"products": 0}, "products=0 must be at least 1"),
        ({"seeds": 0}, "seeds=0 must be at least 1"),
        ({"pairs": 9}, "pairs=9; allowed: 1 to 8"),
        ({"images": 33}, "images=33 must be a multiple of 32"),
    ],
)
def test_bad_options_are_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        STUDY.measure(study_run(tmp_path, **changes))
