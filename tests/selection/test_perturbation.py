"""Perturbation on hand-made supernets whose answer is known, and against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from one_shot import evaluator, random_batches, search, tiny_space
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.nn.pytorch import LayerChoice, ModelSpace

from nni_wiring.errors import RunError
from nni_wiring.selection.base import Selected, SelectionContext
from nni_wiring.selection.decision_plan import decision_epochs
from nni_wiring.selection.perturbation import Perturbation
from nni_wiring.strategies.darts import DARTS, FixedAlphaDARTS
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.evaluation import one_hot, supernet_accuracy
from nni_wiring.supernet.variants import supernet_accuracies
from search_spaces.genotypes import parse_genotype
from search_spaces.operations import Zero
from search_spaces.registry import build_space

CLASSES = 4


class Roll(nn.Module):
    """Shifts the class that the input encodes; ``by=0`` is the right answer. Trainable gain."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.by, self.gain = by, nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * x.roll(self.by, dims=1)


class Toy(ModelSpace):
    """The sum of its edges, each a choice of its own."""

    def __init__(self, *edges: dict[str, nn.Module]) -> None:
        super().__init__()
        self.choices = nn.ModuleList(
            LayerChoice(edge, label=f"edge{number}") for number, edge in enumerate(edges)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(choice(x) for choice in self.choices)


class Task(LightningModule):
    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self.model(batch[0]), batch[1])


def batches(count: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    labels = torch.arange(2 * CLASSES).remainder(CLASSES)
    return [(nn.functional.one_hot(labels, CLASSES).float(), labels)] * count


def search_of(space: ModelSpace, strategy: DARTS) -> SearchModule:
    torch.manual_seed(0)
    model = strategy.mutate_model(space)
    module = strategy.configure_oneshot_module(Task())
    module.set_model(model)
    return module


def run(module: SearchModule, folder: Path | None = None, **settings: Any) -> Selected:
    context = SelectionContext(
        module, evaluation=batches(), train=batches(), search=batches(), folder=folder
    )
    return Perturbation(**settings).select(context)


def chosen(module: SearchModule, selected: Selected) -> list[str]:
    return [g.operations[selected.cells[g.name][0]] for g in module.strategy.groups]


@pytest.mark.parametrize("order", [("right", "wrong", "none"), ("none", "wrong", "right")])
def test_the_operation_that_is_needed_wins_whatever_alpha_says(order: tuple[str, ...]) -> None:
    makers = {"right": lambda: Roll(0), "wrong": lambda: Roll(1), "none": Zero}
    module = search_of(Toy({name: makers[name]() for name in order}), FixedAlphaDARTS())
    [group] = module.strategy.groups
    with torch.no_grad():  # magnitude would take none; the answer is right as it is
        group.alpha[0, group.operations.index("none")] = 1.0
        group.alpha[0, group.operations.index("right")] = 0.5
    selected = run(module, tune_epochs=0)
    assert chosen(module, selected) == ["right"]
    [entry] = selected.details["trace"]
    assert entry["masked"] == {"right": 0.0, "wrong": 100.0, "none": 100.0}
    assert entry["accuracy"] == 100.0


def test_none_is_masked_too_and_costs_nothing() -> None:
    module = search_of(Toy({"none": Zero(), "right": Roll(0)}), FixedAlphaDARTS())
    selected = run(module, tune_epochs=0)
    # without "right" all logits are equal: the first class is predicted, a quarter is correct
    assert selected.details["trace"][0]["masked"] == {"none": 100.0, "right": 25.0}
    assert chosen(module, selected) == ["right"]


def test_the_first_of_equals_wins() -> None:
    module = search_of(Toy({"b": Roll(0), "none": Zero(), "a": Roll(0)}), FixedAlphaDARTS())
    selected = run(module, tune_epochs=0)
    assert set(selected.details["trace"][0]["masked"].values()) == {100.0}
    assert chosen(module, selected) == ["b"]


def test_masked_weights_are_not_renormalised() -> None:
    """Edge 0: z = (.6 right, .4 wrong). Edge 1: one wrong operation of weight 1 always."""
    module = search_of(
        Toy({"right": Roll(0), "none": Zero()}, {"wrong": Roll(1)}), FixedAlphaDARTS()
    )
    first = module.strategy.groups[0]
    with torch.no_grad():
        first.alpha[0] = torch.tensor([10.0, 0.0])
    # right has .99995: below wrong's 1, and masking none must not lift it to 1 (then a tie)
    selected = run(module, tune_epochs=0)
    assert selected.details["trace"][0]["masked"] == {"right": 0.0, "none": 0.0}


def test_earlier_decisions_hold_when_later_edges_are_decided() -> None:
    """Both edges can carry the answer alone; after the first is decided, none is left for it."""
    module = search_of(
        Toy({"none": Zero(), "wrong": Roll(1)}, {"right": Roll(0), "none": Zero()}),
        FixedAlphaDARTS(alpha_init=0.0),
    )
    selected = run(module, tune_epochs=0)
    trace = {entry["group"]: entry for entry in selected.details["trace"]}
    # edge0 at z = 1/2 wrong, edge1 at 1/2 right; whoever comes second meets a one-hot neighbour
    second = selected.details["trace"][1]
    assert second["accuracy"] in (0.0, 100.0)
    assert trace["edge1"]["chosen"] == "right"


def test_alpha_mode_trains_alpha_of_open_edges_only() -> None:
    def make() -> SearchModule:
        return search_of(
            Toy({"right": Roll(0), "wrong": Roll(1)}, {"right": Roll(0), "wrong": Roll(1)}),
            DARTS(alpha_lr=0.1, alpha_weight_decay=0.0),
        )

    module = make()
    before = [group.alpha.detach().clone() for group in module.strategy.groups]
    selected = run(module, tune_epochs=4)
    first, second = (step["group"] for step in selected.details["order"])
    moved = {
        group.name: not torch.equal(group.alpha, old)
        for group, old in zip(module.strategy.groups, before, strict=True)
    }
    assert moved == {first: False, second: True}

    frozen = make()
    old = [group.alpha.detach().clone() for group in frozen.strategy.groups]
    gains = [p.detach().clone() for p in frozen.weight_parameters()]
    run(frozen, tune_epochs=4, train_alpha=False)
    assert all(torch.equal(g.alpha, o) for g, o in zip(frozen.strategy.groups, old, strict=True))
    assert any(
        not torch.equal(p, o) for p, o in zip(frozen.weight_parameters(), gains, strict=True)
    )


def test_the_authors_schedule() -> None:
    assert decision_epochs(6, 25) == [0, 5, 10, 15, 20, 24]
    assert decision_epochs(18, 171) == [*range(0, 161, 10), 170]
    assert decision_epochs(6, 0) == [0] * 6
    assert decision_epochs(6, 3) == [0, 0, 1, 1, 2, 2]
    assert decision_epochs(0, 5) == []


def nasbench201(**options: Any) -> tuple[SearchModule, list[tuple[torch.Tensor, torch.Tensor]]]:
    strategy = options.pop("strategy", None) or DARTS(
        alpha_init=0.5, supernet=options.pop("supernet", "plain")
    )
    options = {"num_classes": 4, "channels": 4, "cells": 1, **options}
    name = options.pop("space", "nasbench201")
    torch.manual_seed(0)  # else the first network of a process is another than the next ones
    module = search_of(build_space(name, **options), strategy)
    generator = torch.Generator().manual_seed(5)
    data = [
        (
            torch.randn(12, 3, 8, 8, generator=generator),
            torch.randint(0, 4, (12,), generator=generator),
        )
        for _ in range(2)
    ]
    return module, data


@pytest.mark.parametrize("supernet", ["plain", "fused"])
def test_one_pass_over_variants_counts_what_one_by_one_counts(supernet: str) -> None:
    module, data = nasbench201(supernet=supernet)
    [group] = module.strategy.groups
    p = torch.softmax(group.logits().detach(), dim=-1)
    variants = [{group.name: p}]
    for edge in range(6):
        for k in range(5):
            masked = p.clone()
            masked[edge, k] = 0
            variants.append({group.name: masked})
    counts, images = supernet_accuracies(module.model, data, variants)
    alone = [supernet_accuracy(module.model, data, z) for z in variants]
    assert [100 * count / images for count in counts] == pytest.approx(alone)
    assert len(set(counts)) > 1
    assert group.draw is None
    [cell, *_] = [m for m in module.model.modules() if isinstance(m, SupernetCell)]
    assert "operation" not in vars(cell)
    assert not cell._forward_pre_hooks


def test_a_nasbench201_selection_by_its_definition() -> None:
    """No tuning: every decision recomputed from scratch, one supernet accuracy at a time."""
    module, data = nasbench201()
    [group] = module.strategy.groups
    context = SelectionContext(module, evaluation=data, train=data, search=data)
    selected = Perturbation(tune_epochs=0, seed=3).select(context)
    z = torch.softmax(group.logits().detach(), dim=-1)
    for step in selected.details["order"]:
        remaining = []
        for k in range(5):
            masked = z.clone()
            masked[step["place"], k] = 0
            remaining.append(supernet_accuracy(module.model, data, {group.name: masked}))
        best = remaining.index(min(remaining))
        assert selected.cells[group.name][step["place"]] == best
        z[step["place"]] = torch.eye(5)[best]
    assert sorted(step["place"] for step in selected.details["order"]) == list(range(6))


@pytest.mark.parametrize("name", ["darts", "fair_darts", "pc_darts", "snas"])
def test_the_supernet_is_evaluated_as_its_method_trains_it(name: str) -> None:
    """The unmasked accuracy, and one with an operation masked, counted in training mode under the
    method's own Z (sigmoids in FairDARTS) and edge weights (PC-DARTS), all far from their start.
    """
    settings = {"partial_channels": 2} if name == "pc_darts" else {}
    module, data = nasbench201(strategy=STRATEGIES[name](**settings))
    [group] = module.groups
    with torch.no_grad():
        for parameter in group.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(4))
    logits = group.alpha.detach()
    z = torch.sigmoid(logits) if name == "fair_darts" else torch.softmax(logits, dim=-1)

    def accuracy(z: torch.Tensor) -> float:
        draw = module.strategy.draw(group, "alpha", torch.Generator())
        group.draw = draw._replace(z=z, active=group.allowed)
        module.train()
        with torch.no_grad():
            right = sum(int((module.model(x).argmax(-1) == y).sum()) for x, y in data)
        group.draw = None
        return 100 * right / sum(len(y) for _, y in data)

    context = SelectionContext(module, evaluation=data, train=data, search=data)
    entry = Perturbation(tune_epochs=0).select(context).details["trace"][0]
    assert entry["accuracy"] == pytest.approx(accuracy(z))
    edge = group.edges.index(entry["edge"])
    for operation, left in entry["masked"].items():
        masked = z.clone()
        masked[edge, group.operations.index(operation)] = 0
        assert left == pytest.approx(accuracy(masked))


def test_an_interrupted_selection_goes_on_to_the_same_cell(tmp_path: Path) -> None:
    whole_module, data = nasbench201()
    whole = Perturbation(tune_epochs=3).select(
        SelectionContext(whole_module, data, data, data, folder=None)
    )

    class Stop(Exception):
        pass

    def stop_late(done: int, total: int, what: str) -> None:
        if done == 4:
            raise Stop

    module, _ = nasbench201()
    with pytest.raises(Stop):
        Perturbation(tune_epochs=3).select(
            SelectionContext(module, data, data, data, progress=stop_late, folder=tmp_path)
        )
    assert not module.groups[0].decisions and not module.tuning
    damaged, kept = tmp_path / "damaged", tmp_path / "perturbation.pt"
    damaged.mkdir()
    (damaged / kept.name).write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(RunError, match="^perturbation.pt is corrupt or foreign: [^\n]*$"):
        Perturbation(tune_epochs=3).select(
            SelectionContext(nasbench201()[0], data, data, data, folder=damaged)
        )
    again, _ = nasbench201()
    resumed = Perturbation(tune_epochs=3).select(
        SelectionContext(again, data, data, data, folder=tmp_path)
    )
    assert resumed == whole
    for one, other in zip(whole_module.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_topology_step_masks_each_edge_alone() -> None:
    """All operations decided, then node by node: accuracies with one edge gone and all others of
    the node kept, counted from scratch; the two lowest stay, the first of equals.
    """
    module, data = nasbench201(space="darts_s2", cells=3)
    groups = {group.name: group for group in module.groups}
    context = SelectionContext(module, evaluation=data, train=data, search=data)
    selected = Perturbation(tune_epochs=0).select(context)
    genotype = parse_genotype(selected.details["genotype"])
    assert len(genotype.normal) == len(genotype.reduce) == 8
    assert {op for op, _ in genotype.normal} <= {"skip_connect", "sep_conv_3x3"}
    steps = [entry for entry in selected.details["trace"] if "dropped" in entry]
    assert sorted(entry["node"] for entry in steps) == [3, 3, 4, 4, 5, 5]

    z = {name: one_hot(group, selected.cells[name]) for name, group in groups.items()}
    for entry in steps:
        group = groups[entry["group"]]
        into = [edge for edge in group.edges if edge.endswith(f"-{entry['node']}")]
        assert list(entry["masked"]) == into
        for edge, accuracy in entry["masked"].items():
            without = {**z, group.name: z[group.name].clone()}
            without[group.name][group.edges.index(edge)] = 0
            assert accuracy == pytest.approx(supernet_accuracy(module.model, data, without))
        kept = sorted(sorted(into, key=entry["masked"].__getitem__)[:2])
        assert entry["dropped"] == [edge for edge in into if edge not in kept]
        for edge in entry["dropped"]:
            z[group.name][group.edges.index(edge)] = 0


class Shifting:
    """Batches that depend on the epoch that was set."""

    def __init__(self, data: Any) -> None:
        self.data, self.epochs = data, []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __iter__(self) -> Any:
        shift = self.epochs[-1] % 7
        return iter([(x.roll(shift, dims=-1), y) for x, y in self.data])


def test_augmented_evaluation_sees_the_search_loader_s_images_anew() -> None:
    module, data = nasbench201()
    [group] = module.groups
    search, poison = Shifting(data), [(torch.zeros(1), torch.zeros(1))]
    context = SelectionContext(module, evaluation=poison, train=data, search=search)
    selected = Perturbation(tune_epochs=0, augmented=True).select(context)
    assert len(search.epochs) == len(set(search.epochs)) == 6
    entry, shift = selected.details["trace"][0], search.epochs[0] % 7
    moved = [(x.roll(shift, dims=-1), y) for x, y in data]
    p = torch.softmax(group.logits().detach(), dim=-1)
    assert entry["accuracy"] == supernet_accuracy(module.model, moved, {group.name: p})


@pytest.mark.parametrize("keep", [True, False])
def test_alpha_s_moments_are_kept_where_asked_for(keep: bool) -> None:
    """At the end of a search the first tuning step of alpha is Adam's with the moments of the
    search, or with none.
    """
    strategy = DARTS(
        selection="perturbation",
        selection_settings={"tune_epochs": 6, "max_steps": 1, "keep_moments": keep},
    )
    batches = random_batches(4, 0)
    counts: list[int] = []
    step = SearchModule.search_step

    def watched(module: SearchModule, *args: Any, **options: Any) -> None:
        step(module, *args, **options)
        if module.tuning:
            counts.extend(int(s["step"]) for s in module.tuning[True].state.values())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchModule, "search_step", watched)
        search(strategy, tiny_space(), evaluator(batches[:2], batches[2:], epochs=2))
    assert counts[0] == (5 if keep else 1)  # two epochs of two steps, and one of tuning
    assert counts == list(range(counts[0], counts[0] + len(counts)))


def test_moments_of_a_search_that_left_none_are_asked_for_in_vain() -> None:
    module, data = nasbench201()
    context = SelectionContext(module, evaluation=data, train=data, search=data)
    with pytest.raises(RunError, match="no moments"):
        Perturbation(tune_epochs=0, keep_moments=True).select(context)


def test_darts_derives_two_edges_a_node_and_never_none() -> None:
    module, _ = nasbench201(space="darts_s3", cells=3)
    for group in module.strategy.groups:
        with torch.no_grad():
            group.alpha.zero_()
            group.alpha[:, group.operations.index("none")] = 5.0
            # 1-5 and 3-5 are the strongest into node 5, by the operations beside none
            group.alpha[group.edges.index("1-5"), group.operations.index("sep_conv_3x3")] = 2.0
            group.alpha[group.edges.index("3-5"), group.operations.index("skip_connect")] = 3.0
    text = module.strategy.genotype()
    assert text is not None
    assert parse_genotype(text).normal[-2:] == (("sep_conv_3x3", 1), ("skip_connect", 3))
    assert "none" not in text
    other, _ = nasbench201()
    assert other.strategy.genotype() is None
