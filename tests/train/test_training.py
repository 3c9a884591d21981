"""The protocols, the schedule, and which images a training sees and is judged by."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from nni_wiring.errors import ConfigError, WiringError
from nni_wiring.runs.store import RunFolder
from nni_wiring.train.config import make_train_config
from nni_wiring.train.loop import learning_rate, make_optimizer, train_step
from nni_wiring.train.network import AuxiliaryHead, DropPath, fixed_network
from nni_wiring.train.parts import assemble_training
from nni_wiring.train.run import run_train
from nni_wiring.truth import table_for

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
FORM = "Genotype(normal={0}, normal_concat=[2, 3, 4, 5], reduce={0}, reduce_concat=[2, 3, 4, 5])"
GENOTYPE = FORM.format([("skip_connect", 0), ("sep_conv_3x3", 1)] * 4)
TINY = {"arch": ARCH, "channels": 4, "cells": 1, "epochs": 3, "max_steps": 2, "batch_size": 8}

CLUTTER = {"arch": ARCH, "data": "clutter", "protocol": "clutter", "batch_size": 50}


def test_the_learning_rate_is_the_cosine_of_the_papers() -> None:
    config = make_train_config({"arch": ARCH, "protocol": "tabulated"})
    assert config.theta.epochs == 200 and config.theta.batch_size == 256
    for epoch, step in ((0, 0), (50, 0), (99, 97), (199, 97)):
        expected = 0.05 * (1 + math.cos(math.pi * (epoch + step / 98) / 200))
        assert learning_rate(config, epoch, step, 98) == pytest.approx(expected, abs=1e-15)


def test_darts_moves_its_learning_rate_once_an_epoch() -> None:
    config = make_train_config({"arch": GENOTYPE, "space": "darts", "protocol": "darts"})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.025)
    torchs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)  # as DARTS' train.py
    for epoch in range(3):
        assert learning_rate(config, epoch, 7, 9) == pytest.approx(torchs.get_last_lr()[0])
        optimizer.step()
        torchs.step()


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_one_cycle_is_torchs(epochs: int) -> None:
    steps = 7
    options = {"arch": ARCH, "protocol": "clutter", "epochs": epochs, "lr_min": 2e-5}
    config = make_train_config(options)
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.01, epochs=epochs, steps_per_epoch=steps, final_div_factor=0.01 / 25 / 2e-5
    )
    for epoch in range(epochs):
        for step in range(steps):
            found = learning_rate(config, epoch, step, steps)
            assert found == pytest.approx(torchs.get_last_lr()[0], rel=1e-12)
            optimizer.step()
            if (epoch, step) != (epochs - 1, steps - 1):
                torchs.step()


def test_adamw_on_the_one_cycle_trains_as_torchs_own_loop_does() -> None:
    class Plain(nn.Sequential):
        def auxiliary_logits(self) -> None:
            return None

    generator = torch.Generator().manual_seed(0)
    batches = [
        (torch.randn(6, 5, generator=generator), torch.randint(0, 3, (6,), generator=generator))
        for _ in range(8)
    ]
    config = make_train_config(
        {"arch": ARCH, "protocol": "clutter", "epochs": 2, "momentum": 0.8, "weight_decay": 0.3}
    )
    ours, theirs = Plain(nn.Linear(5, 3)), nn.Linear(5, 3)
    theirs.load_state_dict(ours[0].state_dict())
    optimizer = make_optimizer(ours, config)
    reference = torch.optim.AdamW(theirs.parameters(), 0.01, betas=(0.8, 0.999), weight_decay=0.3)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        reference, 0.01, total_steps=8, cycle_momentum=False, final_div_factor=1e12
    )
    for index, (x, labels) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, *divmod(index, 4), 4)
        train_step(ours, optimizer, (x, labels), config.regularisation)  # type: ignore[arg-type]
        reference.zero_grad()
        nn.functional.cross_entropy(theirs(x), labels).backward()
        reference.step()
        if index < 7:
            torchs.step()
    torch.testing.assert_close(ours[0].state_dict(), theirs.state_dict(), rtol=1e-6, atol=1e-9)


def test_clutter_is_trained_on_all_images_and_judged_by_one_valid_and_one_test_part() -> None:
    parts = [assemble_training(make_train_config({**CLUTTER, "seed": seed})) for seed in (1, 2)]
    data = parts[0].data
    assert data.test_images is not None and data.test_labels is not None
    assert len(parts[0].loaders.train) * 50 == len(data.images) == 8000
    mean, std = (torch.tensor(v)[:, None, None] for v in (data.mean, data.std))
    halves = {"valid": slice(0, 2000), "test": slice(2000, 4000)}
    for made in parts:  # the same images for every seed
        for name, rows in halves.items():
            images, labels = (torch.cat(t) for t in zip(*made.held_out[name], strict=True))
            assert torch.equal(labels, data.test_labels[rows])
            expected = (data.test_images[rows].float() / 255 - mean) / std
            torch.testing.assert_close(images, expected)


def test_where_half_of_the_training_images_judge_clutters_valid_part_stays_untouched() -> None:
    parts = assemble_training(make_train_config({**CLUTTER, "split": "half"}))
    assert parts.data.test_labels is not None
    labels = torch.cat([labels for _, labels in parts.held_out["test"]])
    assert torch.equal(labels, parts.data.test_labels[2000:])
    assert sum(len(batch[1]) for batch in parts.held_out["valid"]) == 4000


def test_every_number_of_a_protocol_is_a_setting() -> None:
    config = make_train_config({**TINY, "protocol": "darts", "auxiliary": 0, "clip": None})
    assert (config.theta.epochs, config.regularisation.clip) == (3, None)
    assert config.regularisation.drop_path == 0.2
    assert make_train_config(config.flat()) == config


def test_accuracy_is_kept_at_the_given_epochs_and_at_the_last(tmp_path: Path) -> None:
    config = make_train_config({**TINY, "eval_epochs": [1]})
    folder = RunFolder.create(tmp_path / "r", "r", config.flat())
    result = run_train(config, folder)
    assert list(result.accuracy_at) == [1, 3]
    for record in folder.records():
        held_out = {"valid", "test"} & set(record.accuracy)
        assert held_out == (set() if record.epoch == 1 else {"valid", "test"})
        assert not record.alpha and record.cells["cell"].arch == ARCH
    assert result.default == result.accuracy["test"] == result.accuracy_at[3]["test"]
    table = table_for("nasbench201")
    assert table is not None and result.truth == table.truth(ARCH)
    assert RunFolder.open(folder.path).info["kind"] == "train"


def test_the_test_images_are_counted_by_hand(tmp_path: Path) -> None:
    config = make_train_config(TINY)
    parts = assemble_training(config)
    assert parts.data.test_images is not None
    test = parts.held_out["test"]
    labels = torch.cat([labels for _, labels in test])
    assert torch.equal(labels, parts.data.test_labels)  # all 297, each once, in order
    assert sum(len(batch[1]) for batch in parts.held_out["valid"]) == len(parts.data.images) // 2


def test_no_image_is_in_two_parts_where_the_search_half_is_of_the_test_images() -> None:
    parts = assemble_training(make_train_config({**TINY, "split": "full+xvalid"}))
    seen = [torch.cat([x for x, _ in parts.held_out[part]]) for part in ("valid", "test")]
    assert parts.data.test_images is not None
    assert sum(map(len, seen)) == len(parts.data.test_images)
    found = sorted(tuple(x.flatten().tolist()) for images in seen for x in images)
    scaled = parts.data.test_images.float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (parts.data.mean, parts.data.std))
    expected = sorted(tuple(x.flatten().tolist()) for x in (scaled - mean) / std)
    torch.testing.assert_close(torch.tensor(found)[:, :9], torch.tensor(expected)[:, :9])


def test_the_darts_protocol_trains_on_all_training_images() -> None:
    options = {**TINY, "protocol": "darts", "auxiliary": 0, "cutout": 8, "max_steps": None}
    parts = assemble_training(make_train_config({**options, "batch_size": 50}))
    assert len(parts.loaders.train) * 50 == len(parts.data.images) == 1500


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, drop = nn.ReLU(), DropPath()
    layer.register_forward_hook(drop)
    drop.probability = 0.25
    y = layer(torch.ones(4000, 2, 3, 3)).flatten(1)
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert sorted(set(y[:, 0].tolist())) == pytest.approx([0, 4 / 3])
    assert float((y[:, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.equal(layer.eval()(torch.ones(5, 2, 3, 3)), torch.ones(5, 2, 3, 3))


def test_the_auxiliary_head_stands_behind_the_second_reduction() -> None:
    options = {"arch": GENOTYPE, "space": "darts", "protocol": "darts", "channels": 4, "cells": 6}
    network = fixed_network(make_train_config(options), 10, (3, 32, 32))
    head = network.auxiliary
    assert isinstance(head, AuxiliaryHead)
    seen: list[torch.Size] = []
    head.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    network(torch.randn(2, 3, 32, 32))
    logits = network.auxiliary_logits()
    assert logits is not None and logits.shape == (2, 10)
    assert seen == [torch.Size((2, 4 * 4 * 4, 8, 8))]  # 4 C channels, four nodes concatenated
    network.eval()(torch.randn(2, 3, 32, 32))
    assert network.auxiliary_logits() is None


def test_bfloat16_trains_float32_weights(tmp_path: Path) -> None:
    trained = {}
    for precision in ("float32", "bf16"):
        config = make_train_config({**TINY, "epochs": 1, "precision": precision})
        folder = RunFolder.create(tmp_path / precision, precision, config.flat())
        run_train(config, folder)
        trained[precision] = torch.load(folder.checkpoint, weights_only=True)["network"]
    one, other = (trained[name]["network.stem.0.weight"] for name in ("float32", "bf16"))
    assert other.dtype == torch.float32 and not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=0, atol=0.05)


def test_a_training_that_diverges_is_no_accuracy(tmp_path: Path) -> None:
    config = make_train_config({**TINY, "lr": 1e30, "nesterov": False})
    folder = RunFolder.create(tmp_path / "r", "r", config.flat())
    with pytest.raises(WiringError, match="diverged in epoch 1"):
        run_train(config, folder)
    assert (folder.status, folder.epochs(), folder.result()) == ("failed", [], None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "nasbench201_s2"}, "'none' on edge 0-2 is not in space nasbench201_s2"),
        ({"arch": GENOTYPE}, "space nasbench201 has no normal and reduction cells"),
        ({"space": "darts"}, r"no cell of space darts; expected Genotype"),
        ({"arch": "0-1=none;0-9=none"}, "edge '0-9' is unknown"),
        ({"arch": "0-1=none"}, "edge '0-2' is missing"),
        ({"protocol": "long"}, "protocol: 'long' is not known; allowed: tabulated, darts, short"),
        ({"strategy": "darts"}, "'strategy' is not a setting"),
        ({"operations": {"*": ["none"]}}, "'operations' is not a setting"),
        ({"eval_epochs": [0]}, "epochs are counted from 1"),
        ({"lr_min": 1.0}, "must not be above lr"),
    ],
)
def test_bad_settings_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(WiringError, match=message) as caught:
        make_train_config({**TINY, **options})
    assert "\n" not in str(caught.value)


def test_a_head_without_a_place_is_refused() -> None:
    config = make_train_config({**TINY, "protocol": "darts"})
    with pytest.raises(ConfigError, match="space nasbench201 has no reduction cells"):
        fixed_network(config, 10, (3, 32, 32))
    darts = make_train_config({"arch": GENOTYPE, "space": "darts", "protocol": "darts"})
    with pytest.raises(ConfigError, match="takes images of 32x32, the data are 16x16"):
        fixed_network(darts, 10, (3, 16, 16))
