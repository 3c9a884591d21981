"""The NAS-Bench-201 network against the published parameter counts, and under NNI's strategies."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from one_shot import Batches, random_batches, tiny_space

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
import nni.nas.strategy as nni_strategies
from nni.nas.evaluator.pytorch import Classification
from nni.nas.experiment import NasExperiment
from nni.nas.hub.pytorch import NasBench201
from nni.nas.space import model_context

from nni_wiring.strategies.darts import DARTS
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.errors import SpaceError
from search_spaces.nasbench201 import NasBench201Space

LABELS = [f"cell/{edge.replace('-', '_')}" for edge in NB201.edge_names]
#: theory page, section 7: parameters of the network around the cells, by number of classes
AROUND = {10: 73_306, 100: 79_156, 120: 80_456}


def random_samples(count: int, seed: int = 0) -> list[dict[str, str]]:
    draw = random.Random(seed)
    return [{label: draw.choice(OPERATIONS) for label in LABELS} for _ in range(count)]


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def count(sample: dict[str, str], name: str) -> int:
    return list(sample.values()).count(name)


@pytest.mark.parametrize("classes", AROUND)
def test_parameters_of_frozen_cells_follow_the_published_formula(classes: int) -> None:
    space = NasBench201Space(num_classes=classes, affine=True)
    for sample in random_samples(3, seed=classes):
        n3, n1 = count(sample, "nor_conv_3x3"), count(sample, "nor_conv_1x1")
        published = AROUND[classes] + 243_040 * n3 + 28_000 * n1
        assert size(space.freeze(sample)) == published
        with model_context(sample):
            assert size(NasBench201Space(num_classes=classes, affine=True)) == published


def test_affine_off_takes_two_numbers_a_channel_from_every_convolution() -> None:
    sample = random_samples(1, seed=5)[0]
    convolutions = count(sample, "nor_conv_3x3") + count(sample, "nor_conv_1x1")
    with_affine = size(NasBench201Space(affine=True).freeze(sample))
    without = size(NasBench201Space(affine=False).freeze(sample))
    assert with_affine - without == convolutions * 5 * 2 * (16 + 32 + 64)


def test_heads() -> None:
    sample = random_samples(1)[0]
    faithful = NasBench201Space(head="nasbench201").freeze(sample)
    bare = NasBench201Space(head="bias_free").freeze(sample)
    # batch norm of 64 channels (scale, shift) and ten biases fall away
    assert size(faithful) - size(bare) == 2 * 64 + 10
    # the head is linear in the mean over pixels: f(x) for a constant map is that map's product
    assert bare.classifier.bias is None
    features = torch.randn(2, 64, 1, 1)
    logits = bare.classifier(bare.pool(bare.lastact(features.expand(2, 64, 3, 3))).flatten(1))
    torch.testing.assert_close(logits, features.flatten(1) @ bare.classifier.weight.T)


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_shapes(side: int) -> None:
    space = tiny_space()
    sizes: list[tuple[int, ...]] = []
    for layer in space.layers:
        layer.register_forward_hook(lambda m, i, o: sizes.append(tuple(o.shape)))
    assert space(torch.randn(2, 3, side, side)).shape == (2, 3)
    assert sizes[0] == (2, 4, side, side)
    assert sizes[2] == (2, 8, side // 2, side // 2)
    assert sizes[4] == (2, 16, side // 4, side // 4)


@pytest.mark.parametrize("shape", [(2, 3, 15, 15), (2, 3, 6, 8), (2, 1, 8, 8)])
def test_images_that_do_not_fit_are_refused_in_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpaceError, match="images"):
        tiny_space()(torch.randn(shape))


def test_cells_and_channels() -> None:
    space = NasBench201Space(channels=6, cells=2)
    cells = [layer for layer in space.layers if hasattr(layer, "edges")]
    assert len(cells) == 6 and len(space.layers) == 8
    with pytest.raises(SpaceError, match="cells=0"):
        NasBench201Space(cells=0)
    with pytest.raises(SpaceError, match="head.*bias_free"):
        NasBench201Space(head="linear")  # type: ignore[arg-type]


def test_frozen_network_is_its_layers_in_order() -> None:
    sample = random_samples(1, seed=9)[0]
    network = tiny_space(affine=True, track_stats=True).freeze(sample).double().eval()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    x = network.stem(images)
    for number, layer in enumerate(network.layers):
        if number in (1, 3):  # the residual block, by its parts
            block = layer
            y = block.conv_b.op(block.conv_a.op(x))
            x = y + block.downsample[1](torch.nn.functional.avg_pool2d(x, 2))
            continue
        nodes = [x]
        for target in (1, 2, 3):
            nodes.append(sum(layer.edges[f"{s}-{target}"](nodes[s]) for s in range(target)))
        x = nodes[3]
    expected = network.classifier(network.lastact(x).mean(dim=(2, 3)))
    torch.testing.assert_close(network(images), expected)


# --- NNI's own strategies on our space, ours on NNI's ---


def experiment(space: Any, strategy: Any) -> dict[str, str]:
    evaluator = Classification(
        train_dataloaders=Batches(random_batches(2, seed=1)),
        val_dataloaders=Batches(random_batches(2, seed=2)),
        num_classes=3,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    run = NasExperiment(space, evaluator, strategy)
    run.run()
    (sample,) = run.export_top_models(formatter="dict")
    (network,) = run.export_top_models(formatter="instance")
    run.stop()  # NNI would do it at exit, when HOME is the real one again
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 3)
    assert not [name for name, _ in network.named_parameters() if "alpha" in name]
    return sample


@pytest.mark.parametrize("name", ["DARTS", "RandomOneShot", "GumbelDARTS"])
def test_nni_strategies_run_on_our_space(name: str) -> None:
    sample = experiment(tiny_space(), getattr(nni_strategies, name)())
    assert list(sample) == LABELS
    assert set(sample.values()) <= set(OPERATIONS)


def test_nni_darts_keeps_to_the_constraint() -> None:
    sample = experiment(tiny_space(name="nasbench201_minimal"), nni_strategies.DARTS())
    assert (sample["cell/0_3"], sample["cell/1_3"], sample["cell/2_3"]) == (
        "none",
        "skip_connect",
        "skip_connect",
    )


def test_our_darts_runs_on_our_space_in_nas_experiment() -> None:
    sample = experiment(tiny_space(), DARTS())
    assert list(sample) == LABELS and set(sample.values()) <= set(OPERATIONS)


def test_our_darts_runs_on_the_hub_space() -> None:
    sample = experiment(NasBench201(4, 1, 3), DARTS(order=2))
    names = {"none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3"}
    assert set(sample) == set(LABELS) and set(sample.values()) <= names
