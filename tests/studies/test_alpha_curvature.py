"""The Hessian in alpha against autograd's own second derivatives, and that measuring only looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.reopen import open_search
from nni_wiring.search.run import run_search
from nni_wiring.studies.alpha_curvature import AlphaEigenvalue, alpha_eigenvalue

TINY = {"data": "digits", "channels": 4, "cells": 1, "batch_size": 8, "epochs": 2, "max_steps": 3}


@pytest.mark.parametrize("strategy", ["darts", "snas"])
def test_the_eigenvalue_is_that_of_the_whole_hessian(strategy: str) -> None:
    """30 alphas: the matrix by double backward passes of the plain cell, SNAS' draw held."""
    given = {**TINY, "strategy": strategy, "supernet": "plain", "alpha_init": 0.5}
    found = open_search(make_config(given))
    batch = next(iter(found.loaders.train))
    module = found.module.double()
    batch = batch[0].double(), batch[1]
    measured = alpha_eigenvalue(module, batch, products=30)
    [group] = found.strategy.groups
    module.train()
    loss = module.loss("alpha", batch, 0, record=False)
    [gradient] = torch.autograd.grad(loss, [group.alpha], create_graph=True)
    rows = [
        torch.autograd.grad(value, group.alpha, retain_graph=True)[0].flatten()
        for value in gradient.flatten()
    ]
    values = np.linalg.eigvalsh(torch.stack(rows).numpy())
    assert measured == pytest.approx(values[-1], rel=1e-6)
    assert values[-1] > 2 * np.median(abs(values))  # it stands out


@pytest.mark.parametrize("supernet", ["plain", "fused"])
def test_a_search_that_is_measured_goes_as_one_that_is_not(supernet: str, tmp_path: Path) -> None:
    config = make_config({**TINY, "strategy": "darts", "supernet": supernet})
    folders = [RunFolder.create(tmp_path / name, name, config.flat()) for name in ("a", "b")]
    run_search(config, folders[0])
    run_search(config, folders[1], statistics=[AlphaEigenvalue()])
    plain, measured = (folder.records() for folder in folders)
    for one, two in zip(plain, measured, strict=True):
        assert one.alpha == two.alpha and one.loss == two.loss
        assert "alpha_eigenvalue" not in one.statistics
        assert np.isfinite(two.statistics["alpha_eigenvalue"])


def test_cells_of_either_kind_measure_the_same() -> None:
    values = []
    for supernet in ("plain", "fused"):
        found = open_search(make_config({**TINY, "strategy": "darts", "supernet": supernet}))
        values.append(alpha_eigenvalue(found.module, next(iter(found.loaders.train))))
    assert values[0] == pytest.approx(values[1], rel=1e-4)
