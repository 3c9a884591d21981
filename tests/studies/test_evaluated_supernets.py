"""Studies that judge a supernet judge the one that was trained: logits of training mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import OpenSearch, open_search
from nni_wiring.studies.shuffling import evaluated_accuracy
from nni_wiring.studies.skip_dominance import measured
from nni_wiring.studies.strength import strengths

TINY = {"data": "digits", "channels": 4, "cells": 1, "batch_size": 8, "supernet": "plain"}
#: Methods whose supernet is not the softmax mixture of its cells: sigmoids, weights of whole
#: edges, k ones a cell; one that has decided two edges.
METHODS = ("fair_darts", "pc_darts", "dnw", "sgas")
STUDIES: dict[str, Callable[[OpenSearch], Any]] = {
    "strength": lambda found: strengths(found, {"batches": 1, "tune_steps": 0, "tune_lr": 0.1}),
    "shuffling": lambda found: evaluated_accuracy(found, 1),
    "skip-dominance": lambda found: measured(found.module, [found.loaders.evaluation]),
}


def trained(strategy: str) -> OpenSearch:
    """A supernet in float64 whose architecture parameters are far from their start."""
    found = open_search(make_config({**TINY, "strategy": strategy}))
    found.module.double()
    found.strategy.on_epoch_start(0, 1)
    torch.manual_seed(1)
    [group] = found.strategy.groups
    with torch.no_grad():
        for parameter in group.parameters(recurse=False):
            parameter.normal_(std=2.0)
    if strategy == "sgas":
        group.decisions.chosen = {1: 0, 4: 3}
    images, labels = next(iter(found.loaders.evaluation))
    batches: Any = [(images.double(), labels)]
    return replace(found, loaders=replace(found.loaders, evaluation=batches))


def training_logits(found: OpenSearch) -> torch.Tensor:
    [group] = found.strategy.groups
    group.draw = found.strategy.draw(group, "weights", torch.Generator())
    model = found.module.model.train()
    images, _ = next(iter(found.loaders.evaluation))
    with torch.no_grad():
        return model(images)


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("strategy", METHODS)
def test_the_supernet_that_is_judged_is_the_trained_one(strategy: str, study: str) -> None:
    found = trained(strategy)
    expected = training_logits(found)
    seen: list[torch.Tensor] = []
    handle = found.module.model.register_forward_hook(lambda m, x, logits: seen.append(logits))
    STUDIES[study](found)
    handle.remove()
    torch.testing.assert_close(seen[0], expected, rtol=1e-12, atol=1e-12)


def test_a_convolution_on_some_channels_is_compared_with_those_of_the_cell() -> None:
    """PC-DARTS: where one convolution alone enters the output node, the cell's output is that
    convolution's, so that nothing but rounding lies between them; all other edges are none.
    """
    found = trained("pc_darts")
    [group] = found.strategy.groups
    none, conv = (group.operations.index(name) for name in ("none", "nor_conv_3x3"))
    group.decisions.chosen = dict.fromkeys(range(6), none)
    last = group.edges.index("0-3")
    group.decisions.chosen[last] = conv
    distance = measured(found.module, [found.loaders.evaluation])["var_conv"]
    assert distance[last] == pytest.approx(0.0, abs=1e-12)
    assert min(value for edge, value in enumerate(distance) if edge != last) > 0.1
