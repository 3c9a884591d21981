"""Sharing cells against plain ones on DARTS' space, in float64: one function, other arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from cell_pairs import assert_same, cells, step
from one_shot import random_batches, set_alphas, tiny_space
from torch import nn

from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.fused.sharing_cell import SharingCell


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    yield
    torch.set_default_dtype(torch.float32)


def supernets(method: str, **options: Any) -> list[tuple[Any, Any]]:
    """(strategy, model) of ``supernet: plain`` and ``auto``, with one state_dict."""
    found: list[tuple[Any, Any]] = []
    for supernet in ("plain", "auto"):
        strategy = STRATEGIES[method](supernet=supernet)
        model = strategy.mutate_model(tiny_space(**{"name": "darts", "cells": 3, **options}))
        set_alphas(strategy.groups, seed=3)
        strategy.on_epoch_start(0, 4)
        found.append((strategy, model))
    (_, plain), (_, shared) = found
    for parameter in plain.parameters():
        if parameter.dim() == 1:  # scales and shifts other than 1 and 0
            nn.init.normal_(parameter, mean=0.5)
    shared.load_state_dict(plain.state_dict())
    assert all(isinstance(cell, SharingCell) for cell in cells(shared))
    assert not any(isinstance(cell, SharingCell) for cell in cells(plain))
    return found


def passes(found: list[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """One training pass of each, of the same draw and the same noise."""
    images, labels = random_batches(1, seed=5, images=4)[0]
    results = []
    for strategy, model in found:
        for group in strategy.groups:
            group.draw = strategy.draw(group, "weights", torch.Generator().manual_seed(1))
        torch.manual_seed(7)
        results.append(step(model, images, labels))
    return results


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("darts", {}),
        ("darts", {"affine": True}),
        ("darts", {"name": "darts_s4"}),  # noise
        ("gdas", {}),
        ("pc_darts", {}),
        ("pc_darts", {"affine": True}),
        ("pc_darts", {"name": "nasbench201", "cells": 1}),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_same_as_plain(name: str, options: dict[str, Any], compiled: bool) -> None:
    pairs = supernets(name, **options)
    for cell in cells(pairs[1][1]):
        cell.compiled = compiled  # type: ignore[attr-defined]
    expected, found = passes(pairs)
    assert any(gradient is not None for gradient in expected["gradients"].values())
    assert_same(found, expected)


def test_second_derivatives() -> None:
    images, labels = random_batches(1, seed=5, images=4)[0]
    results = []
    for strategy, model in supernets("darts"):
        for group in strategy.groups:
            group.draw = strategy.draw(group, "weights", torch.Generator().manual_seed(1))
        loss = nn.functional.cross_entropy(model(images), labels)
        alphas = [group.alpha for group in strategy.groups]
        first = torch.autograd.grad(loss, alphas, create_graph=True)
        ending = "0-2.sep_conv_3x3.1.weight"
        weights = [p for name, p in model.named_parameters() if name.endswith(ending)]
        assert weights
        norm = torch.stack([g.square().sum() for g in first]).sum()
        results.append(torch.autograd.grad(norm, weights))
    torch.testing.assert_close(results[1], results[0], rtol=1e-7, atol=1e-14)


def test_a_candidate_with_a_hook_is_run_as_a_module() -> None:
    ((strategy, model),) = supernets("darts")[1:]
    heard: list[torch.Tensor] = []
    cell: SupernetCell = cells(model)[0]
    cell.operation(0, strategy.groups[0].operations.index("sep_conv_3x3")).register_forward_hook(
        lambda module, given, output: heard.append(output)
    )
    passes([(strategy, model)])
    assert [tuple(output.shape[:2]) for output in heard] == [(4, 4)]
