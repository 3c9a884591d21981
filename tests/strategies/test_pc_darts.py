"""PC-DARTS: K = 1 is DARTS; K > 1 against the construction written out; edge normalisation."""

from __future__ import annotations

import pytest
import torch
from one_shot import Task, evaluator, random_batches, search, set_alphas, tiny_space
from torch.nn import functional

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.darts import DARTS
from nni_wiring.strategies.pc_darts import PCDarts
from nni_wiring.supernet.edge_group import Draw
from nni_wiring.supernet.edge_weights import edge_weights
from nni_wiring.supernet.partial_cell import PartialCell, shuffle_channels

pytestmark = pytest.mark.usefixtures("float64")


def outputs_and_gradients(
    strategy: PCDarts | DARTS, state: dict[str, torch.Tensor] | None
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Logits, alpha's gradient, the weights' gradients and the state_dict on one batch."""
    torch.manual_seed(0)
    model = strategy.mutate_model(tiny_space())
    if state is not None:
        model.load_state_dict(state)
    set_alphas(strategy.groups, 3)
    (group,) = strategy.groups
    group.draw = strategy.draw(group, "joint", torch.Generator())
    ((images, labels),) = random_batches(1, 5)
    logits = model(images)
    functional.cross_entropy(logits, labels).backward()
    weights = {n: p.grad for n, p in model.named_parameters() if "alpha" not in n}
    return logits.detach(), group.alpha.grad, weights, model.state_dict()


def test_k_of_one_is_darts() -> None:
    """Same weights, outputs and gradients: the two cells are written apart."""
    logits, alpha, weights, state = outputs_and_gradients(DARTS(supernet="plain"), None)
    pc = PCDarts(partial_channels=1, edge_normalisation=False)
    theirs = outputs_and_gradients(pc, state)
    torch.testing.assert_close(theirs[0], logits)
    torch.testing.assert_close(theirs[1], alpha)
    assert theirs[2].keys() == weights.keys()
    for name, gradient in weights.items():
        torch.testing.assert_close(theirs[2][name], gradient)


def test_k_of_one_searches_as_darts() -> None:
    """Whole searches: the same alphas after two epochs."""

    def alphas(strategy: PCDarts | DARTS) -> torch.Tensor:
        torch.manual_seed(1)
        batches = random_batches(6, 2)
        search(strategy, tiny_space(), evaluator(batches[:3], batches[3:], epochs=2))
        return strategy.groups[0].alpha.detach()

    darts = DARTS(update_order="alpha_first", supernet="plain")
    pc = PCDarts(partial_channels=1, edge_normalisation=False, warmup_share=0)
    torch.testing.assert_close(alphas(pc), alphas(darts))


def test_an_edge_on_part_of_its_channels() -> None:
    """shuffle(concat(sum_k Z_k O_k(first 1/K), the rest)), with operations of 1/K of the channels
    that are built here from the first rows of the weights.
    """
    divisor = 2
    strategy = PCDarts(partial_channels=divisor, edge_normalisation=False)
    model = strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    set_alphas(strategy.groups, 4)
    draw = strategy.draw(group, "weights", torch.Generator())
    cell = next(m for m in model.modules() if isinstance(m, PartialCell))
    x = torch.randn(5, 4, 6, 6)
    z = draw.z.detach()[1]
    seen, rest = x[:, :2], x[:, 2:]

    def convolution(name: str, kernel: int) -> torch.Tensor:
        weight = cell.edges["0-2"][name].op[1].weight[:2, :2]
        out = functional.conv2d(functional.relu(seen), weight, padding=kernel // 2)
        return functional.batch_norm(out, None, None, training=True)

    mixed = (
        z[1] * seen
        + z[2] * convolution("nor_conv_1x1", 1)
        + z[3] * convolution("nor_conv_3x3", 3)
        + z[4] * functional.avg_pool2d(seen, 3, 1, 1, count_include_pad=False)
    )
    # interleaved: 0, 1 | 2, 3 -> 0, 2, 1, 3
    whole = torch.cat([mixed, rest], dim=1)[:, [0, 2, 1, 3]]
    found = cell.edge_output(1, x, draw.z[1].unbind(), draw)
    torch.testing.assert_close(found, whole)


def test_a_zero_edge_still_passes_the_other_channels() -> None:
    strategy = PCDarts(partial_channels=2, edge_normalisation=False)
    model = strategy.mutate_model(tiny_space())
    cell = next(m for m in model.modules() if isinstance(m, PartialCell))
    z = torch.zeros(6, 5)
    z[:, 0] = 1
    draw = Draw(z, ((0,),) * 6)
    x = torch.randn(2, 4, 3, 3)
    found = cell.edge_output(0, x, z[0].unbind(), draw)
    torch.testing.assert_close(found[:, 1::2], x[:, 2:])
    assert not found[:, ::2].any()


def test_shuffle_is_the_transpose_of_groups() -> None:
    x = torch.arange(12.0).view(1, 12, 1, 1)
    assert shuffle_channels(x, 4).flatten().tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]


def test_edges_into_a_node_share_one() -> None:
    """softmax of beta node by node, by hand: edges 0-1 | 0-2, 1-2 | 0-3, 1-3, 2-3."""
    strategy = PCDarts()
    strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    beta = torch.tensor([0.3, -1.0, 2.0, 0.5, 0.1, -0.7])
    with torch.no_grad():
        group.beta.copy_(beta)
    expected = torch.cat([beta[i:j].softmax(0) for i, j in ((0, 1), (1, 3), (3, 6))])
    found = edge_weights(group)
    torch.testing.assert_close(found, expected)
    module = strategy.configure_oneshot_module(Task())
    adam = module.configure_architecture_optimizers()
    assert [id(p) for p in adam.param_groups[0]["params"]] == [id(group.alpha), id(group.beta)]


def test_beta_weights_the_whole_edge_and_learns() -> None:
    torch.manual_seed(2)
    strategy = PCDarts(partial_channels=2, warmup_share=0)
    batches = random_batches(4, 3)
    model, _ = search(strategy, tiny_space(), evaluator(batches[:2], batches[2:]))
    cell = next(m for m in model.modules() if isinstance(m, PartialCell))
    (group,) = strategy.groups
    draw = strategy.draw(group, "weights", torch.Generator())
    x = torch.randn(5, 4, 6, 6)
    plain = cell.edge_output(3, x, draw.z[3].unbind(), draw._replace(edge_weights=None))
    weighted = cell.edge_output(3, x, draw.z[3].unbind(), draw)
    torch.testing.assert_close(weighted, edge_weights(group)[3] * plain)
    assert group.beta.grad[3:].abs().sum() > 0


def test_channels_that_cannot_be_split() -> None:
    strategy = PCDarts(partial_channels=3)
    with pytest.raises(ConfigError, match="4 channels cannot be split by 3"):
        search(strategy, tiny_space(), evaluator(random_batches(1, 0), random_batches(1, 1)))


@pytest.mark.parametrize(("epochs", "first"), [(50, 15), (2, 1), (1, 0)])
def test_warm_up(epochs: int, first: int) -> None:
    """The paper's 15 of 50 epochs, scaled."""
    strategy = PCDarts()
    strategy.on_epoch_start(0, epochs)
    moves = [strategy.parts.alpha_moves_in(epoch) for epoch in range(epochs)]
    assert moves == [epoch >= first for epoch in range(epochs)]
