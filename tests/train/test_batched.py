"""Cells on the kernels are what torch trains, step by step, and none disturbs another."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nni_wiring.data import ImageData
from nni_wiring.runs.store import RunFolder
from nni_wiring.train import batched
from nni_wiring.train.batched import train_cells
from nni_wiring.train.compact import library
from nni_wiring.train.compact.loop import compact_network
from nni_wiring.train.compact.network import CompactNetwork
from nni_wiring.train.compact.program import NotCompactError, program_of
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.loop import make_optimizer, train_step
from nni_wiring.train.network import FixedNetwork, fixed_network
from nni_wiring.train.parts import assemble_training
from nni_wiring.train.run import run_train
from search_spaces.nasbench201 import NasBench201Space

MIXED = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
DENSE = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|"
    "+|nor_conv_3x3~0|nor_conv_1x1~1|avg_pool_3x3~2|"
)
SKIPS = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|none~2|"
ZEROS = "|none~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|avg_pool_3x3~2|"
ARCHS = {
    "mixed": MIXED,
    "dense": DENSE,
    "disconnected": "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "dead convolution": "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "convolution of zeros": "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|none~2|",
    "zeros beside a path": ZEROS,
    "skips alone": SKIPS,
}
NETWORK = {"channels": 4, "cells": 1, "batch_size": 16}
ADAMW = {**NETWORK, "data": "clutter", "protocol": "clutter"}
SGD = {**NETWORK, "protocol": "tabulated", "clip": 0.5, "channels": 3, "cells": 2}
TINY = {**ADAMW, "data": "digits", "epochs": 2, "max_steps": 2, "split": "half"}


@pytest.fixture(autouse=True, scope="module")
def _kept_kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The kernels, compiled into a folder of the tests' own."""
    library.kernels.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNI_WIRING_CACHE", str(tmp_path_factory.mktemp("cache")))
        if library.kernels(torch.float64) is None:
            pytest.skip("no C compiler")
        yield
    library.kernels.cache_clear()


def both(config: TrainConfig) -> tuple[FixedNetwork, FixedNetwork, CompactNetwork]:
    """A float64 network, its copy, and the copy's function on the kernels."""
    torch.manual_seed(0)
    alone = fixed_network(config, 10, (3, 16, 16)).double()
    for module in alone.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    copied = copy.deepcopy(alone)
    return alone, copied, CompactNetwork(copied.network, (16, 16), config.theta.batch_size)


def batch(config: TrainConfig) -> tuple[Tensor, Tensor]:
    count = config.theta.batch_size
    return torch.randn(count, 3, 16, 16, dtype=torch.float64), torch.randint(10, (count,))


@pytest.mark.parametrize("arch", ARCHS.values(), ids=list(ARCHS))
@pytest.mark.parametrize("options", [ADAMW, SGD], ids=["adamw", "sgd"])
def test_a_cell_on_the_kernels_is_the_single_training_step_by_step(
    arch: str, options: dict[str, object]
) -> None:
    config = make_train_config({**options, "arch": arch})
    alone, copied, compact = both(config)
    optimizers = make_optimizer(alone, config), make_optimizer(compact, config)
    # a gradient that is zero but for rounding is divided by its own size
    tolerance = 1e-5 if config.regularisation.optimiser == "adamw" else 1e-9
    start = copy.deepcopy(copied)
    for _ in range(4):
        images, labels = batch(config)
        alone.train()
        expected, right, norm = train_step(
            alone, optimizers[0], (images, labels), config.regularisation
        )
        found = compact.train_step(images, labels)
        clip = config.regularisation.clip or math.inf
        found_norm = nn.utils.clip_grad_norm_([compact.weights], clip)
        optimizers[1].step()
        assert found == (pytest.approx(float(expected), abs=1e-10), int(right))
        torch.testing.assert_close(found_norm, norm, rtol=1e-9, atol=1e-12)
        compact.write_back()
        untouched = dict(start.network.named_parameters())
        ours = dict(copied.network.named_parameters())
        for name, parameter in alone.network.named_parameters():
            assert float((ours[name] - parameter).detach().abs().max()) <= tolerance, name
            assert parameter.grad is not None or torch.equal(ours[name], untouched[name])
    images = torch.randn(19, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(compact(images), alone.eval()(images), rtol=0, atol=1e-7)


def test_in_float64_the_steps_of_a_whole_training_lose_nothing() -> None:
    config = make_train_config({**ADAMW, "arch": DENSE})
    alone, copied, compact = both(config)
    optimizers = make_optimizer(alone, config), make_optimizer(compact, config)
    for _ in range(40):
        images, labels = batch(config)
        train_step(alone, optimizers[0], (images, labels), config.regularisation)
        compact.train_step(images, labels)
        optimizers[1].step()
    compact.write_back()
    theirs = alone.network.state_dict()
    for name, value in copied.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-5, msg=name)


def test_the_gradient_is_that_of_finite_differences() -> None:
    config = make_train_config({**ADAMW, "arch": DENSE})
    _, _, compact = both(config)
    images, labels = batch(config)
    compact.train_step(images, labels)
    gradient = compact.weights.grad
    assert gradient is not None
    gradient = gradient.clone()
    direction = torch.randn_like(gradient)
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            compact.weights.add_(direction, alpha=sign * 1e-6)
        losses.append(compact.train_step(images, labels)[0])
        with torch.no_grad():
            compact.weights.add_(direction, alpha=-sign * 1e-6)
    slope = (losses[0] - losses[1]) / 2e-6
    assert slope == pytest.approx(float(gradient @ direction), rel=1e-4)


def test_the_first_steps_of_a_row_are_a_runs_and_so_are_its_images(tmp_path: Path) -> None:
    options = {**TINY, "epochs": 1, "lr": 1e-4}
    rows = train_cells(options, [MIXED, ARCHS["disconnected"]], [1, 2])
    assert [(row.arch, row.seed) for row in rows] == [
        (arch, seed) for arch in (MIXED, ARCHS["disconnected"]) for seed in (1, 2)
    ]
    for row in rows:
        config = make_train_config({**options, "arch": row.arch, "seed": row.seed})
        folder = RunFolder.create(tmp_path / f"{len(row.arch)}{row.seed}", "r", config.flat())
        result = run_train(config, folder)
        assert row.compact and row.error is None and row.seconds > 0
        assert row.accuracy == pytest.approx(result.accuracy, abs=0.1)
        assert row.loss_at[1] == pytest.approx(folder.records()[-1].loss, abs=1e-4)


def test_where_the_kernels_are_not_wanted_a_row_is_a_run_bit_for_bit(tmp_path: Path) -> None:
    row = train_cells(TINY, [MIXED], [3], compact=False)[0]
    config = make_train_config({**TINY, "arch": MIXED, "seed": 3})
    result = run_train(config, RunFolder.create(tmp_path / "r", "r", config.flat()))
    assert not row.compact and row.accuracy_at == result.accuracy_at


def test_a_cell_that_diverges_says_so_and_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assemble = batched.assemble_training

    def spoilt(config: TrainConfig, data: ImageData | None = None) -> object:
        parts = assemble(config, data)
        if config.training.arch == DENSE:
            with torch.no_grad():
                cast(NasBench201Space, parts.network.network).classifier.weight.fill_(math.inf)
        return parts

    clean = train_cells(TINY, [MIXED, SKIPS], [1])
    monkeypatch.setattr(batched, "assemble_training", spoilt)
    first, broken, last = train_cells(TINY, [MIXED, DENSE, SKIPS], [1])
    assert [first.accuracy_at, last.accuracy_at] == [row.accuracy_at for row in clean]
    assert broken.error is not None and "diverged in epoch 1" in broken.error
    assert not broken.accuracy_at and not broken.accuracy and broken.diverged == 1


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 24},
        {"channels": 64},
        {"drop_path": 0.1},
        {"precision": "bf16"},
        {"track_stats": False},
    ],
)
def test_what_the_kernels_do_not_do_is_left_to_torch(options: dict[str, object]) -> None:
    parts = assemble_training(make_train_config({**TINY, "arch": MIXED, **options}))
    with pytest.raises(NotCompactError) as caught:
        compact_network(parts)
    assert "\n" not in str(caught.value)


def test_a_training_that_the_kernels_refuse_has_its_row_all_the_same() -> None:
    row = train_cells({**TINY, "batch_size": 24, "epochs": 1}, [MIXED], [1])[0]
    assert not row.compact and set(row.accuracy) == {"train", "valid", "test"}


def test_without_a_compiler_torch_trains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", str(tmp_path / "no-compiler"))
    library.kernels.cache_clear()
    try:
        row = train_cells({**TINY, "epochs": 1}, [MIXED], [1])[0]
    finally:
        library.kernels.cache_clear()
    assert not row.compact and row.accuracy
    assert "no working C compiler" in caplog.text


def test_a_mistake_in_the_last_cell_is_found_before_the_first_trains() -> None:
    seen: list[object] = []
    with pytest.raises(Exception, match="avg_pool_9x9"):
        bad = MIXED.replace("avg_pool_3x3", "avg_pool_9x9")
        train_cells(TINY, [MIXED, bad], [1], on_row=seen.append)
    assert not seen


def test_a_program_holds_no_instruction_that_the_logits_do_not_need() -> None:
    config = make_train_config({**ADAMW, "arch": ARCHS["disconnected"]})
    network = cast(NasBench201Space, fixed_network(config, 10, (3, 16, 16)).network)
    program = program_of(network, (16, 16))
    classifier = sum(p.numel() for p in network.classifier.parameters())
    norm = sum(p.numel() for p in network.lastact.parameters())
    assert sum(p.numel() for p in program.weights.values()) == classifier + norm
    assert np.count_nonzero(program.rows[:, 0] == 0) == 0  # no convolution is left
