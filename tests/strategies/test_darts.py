"""DARTS against exact gradients, NNI's own DARTS, and training loops written out by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from one_shot import (
    Batch,
    evaluator,
    explicit_network,
    random_batches,
    search,
    set_alphas,
    tiny_space,
    weight_table,
)
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas and pytorch_lightning)

# isort: split
import nni.nas.strategy as nni_strategies
import pytorch_lightning as pl
from nni.nas.nn.pytorch import LayerChoice, ModelSpace

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.darts import DARTS, FixedAlphaDARTS
from nni_wiring.strategies.parts.unrolled import unrolled_gradient

TRAIN, SEARCH = random_batches(5, seed=11), random_batches(5, seed=12)
SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}


@pytest.fixture(autouse=True)
def seeded(float64: None) -> None:
    torch.manual_seed(7)


def double(batches: list[Batch]) -> list[Batch]:
    return [(images.double(), labels) for images, labels in batches]


class Hook(pl.Callback):
    """Calls a function at the start of every batch, and one at the end of every epoch."""

    def __init__(
        self, batch: Callable[..., None] | None = None, epoch: Callable[..., None] | None = None
    ) -> None:
        self.batch, self.epoch = batch, epoch

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.batch is not None:
            self.batch(pl_module, batch, batch_idx)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if self.epoch is not None:
            self.epoch(pl_module, trainer.current_epoch)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if "alpha" not in n}


def run(
    strategy: Any, *, space: Any = None, epochs: int = 1, hook: Hook | None = None, **sgd: Any
) -> tuple[Any, Any, Any]:
    """Search with alphas far from zero; returns supernet, module and the space as it was."""
    space = space or tiny_space()
    before = copy.deepcopy(space)
    given = evaluator(
        double(TRAIN),
        double(SEARCH),
        epochs=epochs,
        callbacks=[Start(), *([hook] if hook else [])],
        **{**SGD, **sgd},
    )
    model, module = search(strategy, space, given)
    return model, module, before


class Start(pl.Callback):
    """Sets alphas of our strategies before the first step."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        groups = getattr(getattr(pl_module, "strategy", None), "groups", None)
        if groups is not None and trainer.current_epoch == 0:
            set_alphas(groups, seed=2, scale=0.7)


def start_alpha(groups: Any) -> list[torch.Tensor]:
    groups = copy.deepcopy(groups)
    set_alphas(groups, seed=2, scale=0.7)
    return [group.alpha.detach().clone() for group in groups]


# --- the second order ---


class SmoothSpace(ModelSpace):
    """Two LayerChoices of smooth operations behind a batch norm with running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
        self.first = LayerChoice(self.candidates(), label="first")
        self.second = LayerChoice(self.candidates(), label="second")
        self.head = nn.Linear(5, 3)

    @staticmethod
    def candidates() -> list[nn.Module]:
        return [nn.Linear(5, 5), nn.Sequential(nn.Linear(5, 5), nn.Tanh()), nn.Identity()]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(self.stem(x))))


def smooth_loss(p: list[torch.Tensor], alphas: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The loss of SmoothSpace's supernet, written out; p: its weights in order."""
    x = batch[0] @ p[0].T + p[1]
    mean, variance = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
    x = (x - mean) / (variance + 1e-5).sqrt() * p[2] + p[3]
    for row in range(2):
        a, b, c, d = p[4 + 4 * row : 8 + 4 * row]
        z = alphas[row].exp() / alphas[row].exp().sum()
        x = z[0] * (x @ a.T + b) + z[1] * torch.tanh(x @ c.T + d) + z[2] * x
    return nn.functional.cross_entropy(x @ p[12].T + p[13], batch[1])


def vector_batches(seed: int, images: int = 7) -> list[Batch]:
    draw = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(images, 4, generator=draw), torch.randint(0, 3, (images,), generator=draw))
        for _ in range(3)
    ]


def test_second_order_is_the_exact_gradient_of_the_unrolled_loss() -> None:
    compared: list[int] = []

    def compare(module: Any, batch: Any, batch_idx: int) -> None:
        alphas = module.arch_parameters()
        optimizer = module.theta_optimizer()
        theta = list(optimizer.param_groups[0]["params"])
        p = [w.detach().clone() for w in theta]
        start = torch.stack([alpha.detach().flatten() for alpha in alphas])
        velocity = [optimizer.state[w].get("momentum_buffer") for w in theta]
        if batch_idx == 2:
            assert all(v is not None and v.abs().max() > 0 for v in velocity)

        def unrolled_loss(a: torch.Tensor) -> torch.Tensor:
            inner = [w.clone().requires_grad_() for w in p]
            gradients = torch.autograd.grad(smooth_loss(inner, a, batch["train"]), inner)
            moved = [
                w - lr * (g + 1e-3 * w + (0.9 * v if v is not None else 0))
                for w, g, v in zip(p, gradients, velocity, strict=True)
            ]
            return smooth_loss(moved, a, batch["val"]).detach()

        lr, step = 0.4, 1e-5
        expected, first_order = torch.zeros_like(start), torch.zeros_like(start)
        for entry in range(start.numel()):
            change = torch.zeros(start.numel())
            change[entry] = step
            change = change.view_as(start)
            difference = unrolled_loss(start + change) - unrolled_loss(start - change)
            expected.view(-1)[entry] = difference / (2 * step)
            plain = smooth_loss(p, start + change, batch["val"]) - smooth_loss(
                p, start - change, batch["val"]
            )
            first_order.view(-1)[entry] = plain.detach() / (2 * step)

        state = {name: value.clone() for name, value in module.state_dict().items()}
        unrolled_gradient(module, batch, batch_idx)
        found = torch.stack([alpha.grad.flatten() for alpha in alphas])
        error = (found - expected).norm() / expected.norm()
        assert error < 1e-5
        # the test would see it if the second-order term were missing
        assert (found - first_order).norm() / expected.norm() > 0.05
        for name, value in module.state_dict().items():
            assert torch.equal(value, state[name]), name
        compared.append(batch_idx)

    torch.manual_seed(3)
    given = evaluator(
        vector_batches(1),
        vector_batches(2),
        callbacks=[Start(), Hook(compare)],
        **{**SGD, "lr": 0.4},
    )
    search(DARTS(order=2), SmoothSpace(), given)
    assert compared == [0, 1, 2]


def test_second_order_of_fused_cells_is_that_of_plain_ones() -> None:
    found: dict[str, list[torch.Tensor]] = {}

    def note(module: Any, batch: Any, batch_idx: int) -> None:
        unrolled_gradient(module, batch, batch_idx)
        name = module.strategy.settings.supernet
        found[name] = [alpha.grad.clone() for alpha in module.arch_parameters()]
        assert all(weight.requires_grad for weight in module.weight_parameters())
        assert all(weight.grad is None for weight in module.weight_parameters())

    for supernet in ("plain", "fused"):
        torch.manual_seed(5)
        given = evaluator(
            random_batches(1, 1), random_batches(1, 2), callbacks=[Start(), Hook(note)]
        )
        search(DARTS(order=2, alpha_init=0.3, supernet=supernet), tiny_space(), given)
    [plain], [fused] = found["plain"], found["fused"]
    torch.testing.assert_close(fused, plain, rtol=1e-7, atol=1e-10)


def test_second_order_leaves_running_statistics_to_the_weight_steps() -> None:
    counts: list[int] = []
    given = evaluator(
        vector_batches(1),
        vector_batches(2),
        callbacks=[Hook(lambda m, b, i: counts.append(int(m.model.stem[1].num_batches_tracked)))],
    )
    model, _ = search(DARTS(order=2), SmoothSpace(), given)
    assert counts == [0, 1, 2] and int(model.stem[1].num_batches_tracked) == 3


def test_second_order_without_any_gradient_moves_nothing() -> None:
    strategy = DARTS(order=2, alpha_weight_decay=0.0)
    run(strategy, space=tiny_space(head="bias_free", operations={"*": ["none"]}))
    (start,) = start_alpha(strategy.groups)
    assert torch.equal(strategy.groups[0].alpha.detach(), start)


# --- first order ---


def test_first_order_equals_nni_darts() -> None:
    space = tiny_space()
    theirs = copy.deepcopy(space)
    mine = DARTS(update_order="alpha_first", clip=None)
    model, module, _ = run(mine, space=space)

    class SetAlphas(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            (start,) = start_alpha(mine.groups)
            rows = dict(zip(mine.groups[0].labels, start, strict=True))
            with torch.no_grad():
                for layer in pl_module.supernet_modules():
                    layer._arch_alpha.copy_(rows[str(layer.label)])

    given = evaluator(double(TRAIN), double(SEARCH), callbacks=[SetAlphas()], **SGD)
    their_model, their_module = search(nni_strategies.DARTS(), theirs, given)
    table = {str(m.label): m._arch_alpha for m in their_module.supernet_modules()}
    (group,) = mine.groups
    (start,) = start_alpha(mine.groups)
    for row, label in enumerate(group.labels):
        torch.testing.assert_close(group.alpha[row], table[label], rtol=1e-9, atol=1e-12)
    assert (group.alpha - start).abs().min() > 0
    assert (group.alpha - start).abs().max() > 9e-4  # at least three Adam steps of 3e-4 one way
    assert module.export() == {str(label): op for label, op in their_module.export().items()}
    ours, other = weights_of(model), weights_of(their_model)
    assert set(ours) == set(other)
    for name, value in ours.items():
        torch.testing.assert_close(value, other[name], rtol=1e-8, atol=1e-10)


def manual_loop(
    space: Any, group: Any, order: str, *, clip: float | None, alpha_lr: float = 3e-4
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """DARTS, first order, on the explicit network: alpha and weights after the five batches."""
    (start,) = start_alpha([group])
    alpha = start.clone().requires_grad_()
    weights = list(space.parameters())
    theta = torch.optim.SGD(weights, **SGD)
    adam = torch.optim.Adam([alpha], lr=alpha_lr, betas=(0.5, 0.999), weight_decay=1e-3)

    def loss(batch: Batch) -> torch.Tensor:
        z = alpha.masked_fill(~group.mask, -torch.inf).softmax(-1)
        logits = explicit_network(space, [weight_table(group, z)] * 3, batch[0])
        return nn.functional.cross_entropy(logits, batch[1])

    def step(kind: str, batch: Batch) -> None:
        inputs = {"weights": weights, "alpha": [alpha], "both": [*weights, alpha]}[kind]
        for tensor, gradient in zip(
            inputs, torch.autograd.grad(loss(batch), inputs, allow_unused=True), strict=True
        ):
            tensor.grad = gradient
        if kind != "alpha":
            if clip is not None:
                norm = torch.cat([w.grad.flatten() for w in weights if w.grad is not None]).norm()
                for w in weights:
                    if w.grad is not None and norm > clip:
                        w.grad = w.grad * clip / (norm + 1e-6)
            theta.step()
        if kind != "weights":
            adam.step()

    for train, val in zip(double(TRAIN), double(SEARCH), strict=True):
        if order == "single_level":
            step("both", train)
            continue
        kinds = [("weights", train), ("alpha", val)]
        for kind, batch in kinds if order == "weights_first" else reversed(kinds):
            step(kind, batch)
    return alpha.detach(), {n: p.detach() for n, p in space.named_parameters()}


@pytest.mark.parametrize("order", ["weights_first", "alpha_first", "single_level"])
@pytest.mark.parametrize("clip", [None, 0.2])
def test_update_orders_follow_the_loop_written_out(order: str, clip: float | None) -> None:
    settings: dict[str, Any] = {"update_order": order}
    if order == "single_level":
        settings = {"optimisation": "single_level"}
    strategy = DARTS(clip=clip, **settings)
    model, _, space = run(strategy)
    (group,) = strategy.groups
    alpha, weights = manual_loop(space, group, order, clip=clip)
    torch.testing.assert_close(group.alpha.detach(), alpha, rtol=1e-9, atol=1e-12)
    for name, value in weights_of(model).items():
        torch.testing.assert_close(value, weights[name], rtol=1e-7, atol=1e-9)


def test_the_orders_differ() -> None:
    found = {}
    for order in ("weights_first", "alpha_first"):
        torch.manual_seed(7)
        strategy = DARTS(update_order=order)
        run(strategy)
        found[order] = strategy.groups[0].alpha.detach().clone()
    assert (found["weights_first"] - found["alpha_first"]).abs().max() > 1e-6


def test_constrained_edges_search_too() -> None:
    space = tiny_space(name="nasbench201_minimal")
    strategy = DARTS(update_order="weights_first", clip=None)
    _, module, before = run(strategy, space=space)
    (group,) = strategy.groups
    alpha, _ = manual_loop(before, group, "weights_first", clip=None)
    mask = group.mask
    torch.testing.assert_close(group.alpha.detach()[mask], alpha[mask], rtol=1e-9, atol=1e-12)
    cell = module.export()
    fixed = [cell[f"cell/{edge}"] for edge in ("0_3", "1_3", "2_3")]
    assert fixed == ["none", "skip_connect", "skip_connect"]


# --- who moves what, and when ---


def test_fixed_alpha_stays_bitwise_and_the_weights_follow_the_loop() -> None:
    strategy = FixedAlphaDARTS(clip=None)
    model, module, space = run(strategy)
    (group,) = strategy.groups
    (start,) = start_alpha(strategy.groups)
    assert torch.equal(group.alpha.detach(), start)
    alpha, weights = manual_loop(space, group, "weights_first", clip=None, alpha_lr=0.0)
    assert torch.equal(alpha, start)
    for name, value in weights_of(model).items():
        torch.testing.assert_close(value, weights[name], rtol=1e-7, atol=1e-9)


def test_the_weight_optimiser_holds_all_weights_and_no_alpha() -> None:
    def check(module: Any, batch: Any, batch_idx: int) -> None:
        theta = {id(p) for g in module.theta_optimizer().param_groups for p in g["params"]}
        alphas = {id(group.alpha) for group in module.strategy.groups}
        everything = {id(p) for p in module.parameters()}
        assert theta == everything - alphas
        if module.strategy.moves_alpha:
            groups = module.alpha_optimizer().param_groups
            assert [id(p) for g in groups for p in g["params"]] == [
                id(group.alpha) for group in module.strategy.groups
            ]

    for strategy in (DARTS(), FixedAlphaDARTS(), DARTS(optimisation="single_level")):
        run(strategy, hook=Hook(check))


def test_rows_of_alpha_are_spelt_by_label() -> None:
    strategy = DARTS()
    strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    assert group.labels == ("cell/0_1", "cell/0_2", "cell/1_2", "cell/0_3", "cell/1_3", "cell/2_3")
    assert {type(label) for label in group.labels} == {str}
    table = torch.arange(30.0).reshape(6, 5)
    spelt = group.by_label(table)
    assert spelt["cell/1_2"][group.operations[3]] == 13.0
    assert [value for row in spelt.values() for value in row.values()] == table.flatten().tolist()


def test_warm_up_trains_weights_only() -> None:
    alphas: list[torch.Tensor] = []
    weights: list[dict[str, torch.Tensor]] = []

    def note(module: Any, epoch: int) -> None:
        alphas.append(module.strategy.groups[0].alpha.detach().clone())
        weights.append(weights_of(module.model))

    strategy = DARTS(warmup_epochs=2)
    _, _, space = run(strategy, epochs=3, hook=Hook(epoch=note))
    (start,) = start_alpha(strategy.groups)
    assert torch.equal(alphas[0], start) and torch.equal(alphas[1], start)
    assert not torch.equal(alphas[2], start)
    stem = dict(space.named_parameters())["stem.0.weight"]
    assert not torch.equal(weights[0]["stem.0.weight"], stem)


def test_clip_bounds_the_step() -> None:
    strategy = DARTS(clip=1e-3, alpha_clip=1e-4)
    norms: list[float] = []
    given = evaluator(double(TRAIN)[:1], double(SEARCH)[:1], lr=1.0, momentum=0.0, weight_decay=0.0)
    space = tiny_space()
    before = weights_of(space)
    model, module = search(strategy, space, given)
    after = weights_of(model)
    moved = torch.cat([(after[name] - before[name]).flatten() for name in after]).norm()
    assert moved <= 1e-3 * (1 + 1e-6)
    norms = [float(module.gradient_norms[kind]) for kind in ("weights", "alpha")]
    assert norms[0] > 1e-3  # as it was before clipping
    assert strategy.groups[0].alpha.grad.norm() <= 1e-4 * (1 + 1e-6)


def test_lists_of_layer_choices_search_and_export_their_names() -> None:
    given = evaluator(vector_batches(1), vector_batches(2), epochs=2)
    strategy = DARTS(alpha_lr=0.1)
    _, module = search(strategy, SmoothSpace(), given)
    assert [group.name for group in strategy.groups] == ["first", "second"]
    cell = module.export()
    for group in strategy.groups:
        assert group.operations == ("0", "1", "2")
        assert cell[group.name] == int(group.alpha.argmax())  # NNI names list candidates 0, 1, ..
    frozen = module.model.freeze(cell)
    assert frozen(torch.randn(2, 4)).shape == (2, 3)


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"order": 3}, ["order", "1 or 2"]),
        ({"ordr": 2}, ["'ordr'", "did you mean 'order'"]),
        ({"alpha_lr": -1}, ["alpha_lr", "-1"]),
        ({"alpha_betas": (0.5, 1.5)}, ["alpha_betas", "1.5"]),
        ({"update_order": "alpha"}, ["update_order", "alpha_first"]),
        ({"order": 2, "optimisation": "single_level"}, ["order 2", "bi_level"]),
        ({"warmup_epochs": 0.5}, ["warmup_epochs"]),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        DARTS(**settings)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_defaults_are_those_of_the_benchmark_paper() -> None:
    settings, theta = DARTS().settings, DARTS.theta
    assert (theta.epochs, theta.batch_size, theta.lr, theta.lr_min) == (50, 64, 0.025, 0.001)
    assert (theta.momentum, theta.weight_decay, theta.nesterov) == (0.9, 5e-4, True)
    assert (settings.alpha_lr, settings.alpha_betas) == (3e-4, (0.5, 0.999))
    assert (settings.alpha_weight_decay, settings.alpha_init, settings.clip) == (1e-3, 1e-3, 5.0)
    assert settings.update_order == "weights_first"  # AutoDL
    assert DARTS(order=2).settings.update_order == "alpha_first"
    assert DARTS(order=2, update_order="weights_first").settings.update_order == "weights_first"
