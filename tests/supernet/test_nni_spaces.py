"""Which of NNI's model spaces our strategies take, and how they say no to the others."""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from one_shot import evaluator, random_batches, search
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
import nni.nas.hub.pytorch as hub
import nni.nas.strategy as nni_strategies
from nni.mutable import Categorical
from nni.nas.nn.pytorch import LayerChoice, ModelSpace, MutableModule, Repeat
from nni.nas.oneshot.pytorch.base_lightning import BaseSuperNetModule
from nni.nas.oneshot.pytorch.supermodule.differentiable import (
    DifferentiableMixedInput,
    DifferentiableMixedLayer,
)

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.strategies.darts import DARTS
from nni_wiring.strategies.gdas import GDAS
from nni_wiring.strategies.pc_darts import PCDarts
from nni_wiring.supernet.choice import ChoiceCell
from nni_wiring.supernet.edge_group import Draw
from search_spaces.cell_graph import NB201
from search_spaces.operations import Zero
from search_spaces.wiring_cell import WiringCell

Pair = namedtuple("Pair", ["sum", "difference"])


class Join(nn.Module):
    """Two inputs, one of them a keyword; a tuple, and a dict in it, out."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> Any:
        mixed = self.conv(x)
        return mixed + other, {"twice": 2 * mixed, "list": [other * mixed]}


class JoinSpace(ModelSpace):
    """A LayerChoice of two inputs and nested outputs, and a plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.join = LayerChoice([Join(1), Join(3)], label="join")
        self.last = LayerChoice({"conv": nn.Conv2d(4, 4, 1), "skip": nn.Identity()}, label="last")
        self.head = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        first, more = self.join(x, other=torch.relu(x))
        return self.head(self.last(first + more["twice"] * more["list"][0]).mean((2, 3)))


class StartAlike:
    """Alphas by label, the same in our supernet and in NNI's."""

    VALUES = {"join": [0.3, -0.4], "last": [-0.2, 0.5]}

    def ours(self, strategy: Any) -> None:
        with torch.no_grad():
            for group in strategy.groups:
                group.alpha.copy_(torch.tensor([self.VALUES[group.name]]))

    def theirs(self, model: nn.Module) -> None:
        with torch.no_grad():
            for layer in model.modules():
                if isinstance(layer, DifferentiableMixedLayer):
                    layer._arch_alpha.copy_(torch.tensor(self.VALUES[str(layer.label)]))


def test_several_inputs_and_nested_outputs_are_mixed_as_nni_mixes_them(float64: None) -> None:
    torch.manual_seed(1)
    space = JoinSpace()
    other, ours, theirs = copy.deepcopy(space), DARTS(), nni_strategies.DARTS()
    mine, nnis = ours.mutate_model(space), theirs.mutate_model(other)
    StartAlike().ours(ours)
    StartAlike().theirs(nnis)
    for group in ours.groups:
        group.draw = ours.draw(group, "weights", torch.Generator())
    images, labels = random_batches(1, seed=2)[0]
    outputs = [model(images) for model in (mine, nnis)]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-14)
    for output in outputs:
        nn.functional.cross_entropy(output, labels).backward()
    theirs_by_label = {
        str(m.label): m._arch_alpha.grad
        for m in nnis.modules()
        if isinstance(m, DifferentiableMixedLayer)
    }
    for group in ours.groups:
        torch.testing.assert_close(group.alpha.grad[0], theirs_by_label[group.name])


@pytest.mark.parametrize("strategy", [DARTS, GDAS])
def test_a_search_over_them_runs_and_freezes(strategy: Any) -> None:
    monitor = WiringMonitor()
    made = strategy()
    given = evaluator(random_batches(3, 1), random_batches(3, 2), callbacks=[monitor])
    model, module = search(made, JoinSpace(), given)
    sample = module.export()
    assert set(sample) == {"join", "last"} and sample["join"] in (0, 1)
    network = JoinSpace().freeze(sample)
    frozen = model.freeze(sample)
    weights = {n: v for n, v in frozen.state_dict().items() if not n.startswith("edge_groups")}
    network.load_state_dict(weights)  # the names are those of NNI's own frozen network
    images = random_batches(1, 4)[0][0]
    torch.testing.assert_close(network(images), frozen(images))
    record = monitor.records[-1]
    assert set(record.cost["weights"].mean) == {"join", "last"}
    assert record.cells["last"].operations == {"last": sample["last"]}


class Gives(nn.Module):
    def __init__(self, make: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        return self.make(x)


def mixed(*makers: Callable[[torch.Tensor], Any], active: tuple[int, ...] = (0, 1)) -> Any:
    """What a choice between functions gives for x = 1, with Z = 0.25 and 0.75."""

    class Space(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.choice = LayerChoice([Gives(make) for make in makers], label="choice")

    strategy = DARTS()
    cell = strategy.mutate_model(Space()).choice
    assert isinstance(cell, ChoiceCell)
    cell.group.draw = Draw(torch.tensor([[0.25, 0.75]]), (active,))
    return cell(torch.ones(1))


def test_forms_of_outputs() -> None:
    found = mixed(lambda x: Pair(x, None), lambda x: Pair(3 * x, None))
    assert isinstance(found, Pair) and found == Pair(torch.tensor([2.5]), None)
    assert mixed(lambda x: [x, 4.0], lambda x: [x, 0.0]) == [torch.ones(1), 1.0]
    assert mixed(lambda x: {"a": x}, lambda x: {"a": -x}) == {"a": torch.tensor([-0.5])}
    # a dropped choice: zeros of the form that its candidates give
    assert mixed(lambda x: (x, x), lambda x: (x, x), active=()) == (torch.zeros(1),) * 2


@pytest.mark.parametrize(
    "other", [lambda x: (x,), lambda x: {"b": x}, lambda x: "text", lambda x: [x, x]]
)
def test_outputs_of_two_forms_are_refused_in_one_line(other: Any) -> None:
    with pytest.raises(ConfigError, match="'choice'.*cannot be summed; allowed: tensors") as caught:
        mixed(lambda x: (x, x), other)
    assert "\n" not in str(caught.value)


def test_none_of_a_choice_is_not_computed_and_gives_zeros_alone() -> None:
    class Space(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.choice = LayerChoice({"none": Zero(), "skip": nn.Identity()}, label="choice")

    strategy = DARTS()
    cell = strategy.mutate_model(Space()).choice
    x = torch.randn(2, 3, 4, 4)
    for z, active, expected in (
        ([0.4, 0.6], (0, 1), 0.6 * x),
        ([1.0, 0.0], (0,), torch.zeros_like(x)),
    ):
        cell.group.draw = Draw(torch.tensor([z]), (active,))
        torch.testing.assert_close(cell(x), expected)


def test_partial_channels_of_a_lone_choice_are_refused() -> None:
    with pytest.raises(ConfigError, match="pc_darts.*'join' is outside any cell") as caught:
        PCDarts().mutate_model(JoinSpace())
    assert "\n" not in str(caught.value)


# --- users' hooks ---


class Scale(MutableModule):
    """A choice of one's own: x times one of three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = Categorical([0.5, 1.0, 2.0], label="factor")
        self.add_mutable(self.factor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor.default()

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        factor = self.factor.freeze(sample)
        return Gives(lambda x: factor * x)


class MixedScale(BaseSuperNetModule):
    """Its supernet, written as NNI's documentation asks for."""

    def __init__(self, alpha: nn.Parameter, values: list[float], softmax: nn.Module) -> None:
        super().__init__()
        self._arch_alpha, self.values, self.softmax = alpha, values, softmax

    def arch_parameters(self) -> Any:
        yield self._arch_alpha

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (self.softmax(self._arch_alpha) * torch.tensor(self.values)).sum()

    def export(self, memo: dict[str, Any]) -> dict[str, Any]:
        return {"factor": self.values[int(self._arch_alpha.argmax())]}

    def export_probs(self, memo: dict[str, Any]) -> dict[str, Any]:
        return {
            "factor": dict(zip(self.values, self.softmax(self._arch_alpha).tolist(), strict=True))
        }

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: Any, kwargs: Any) -> Any:
        if isinstance(module, Scale):
            return cls(memo["factor"], list(module.factor.values), kwargs["softmax"])
        return None


class ScaleSpace(ModelSpace):
    """A cell, a lone choice and the choice of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.cell = WiringCell(NB201, 4, label="cell", operations={"*": ["skip_connect", "none"]})
        self.scale = Scale()
        self.last = LayerChoice({"conv": nn.Conv2d(4, 4, 1), "skip": nn.Identity()}, label="last")
        self.head = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.last(self.scale(self.cell(self.stem(images)))).mean((2, 3)))


def test_a_hook_s_alpha_is_an_architecture_parameter() -> None:
    strategy = DARTS(mutation_hooks=[MixedScale.mutate], alpha_lr=0.1)
    model = strategy.mutate_model(ScaleSpace())
    alpha = model.scale._arch_alpha
    start = alpha.detach().clone()
    assert any(parameter is alpha for parameter in strategy.hooked)
    given = evaluator(random_batches(3, 1), random_batches(3, 2))
    searcher = strategy.mutate_evaluator(given)
    searcher.evaluate(model)
    module = searcher.module
    assert not torch.equal(alpha, start)
    assert all(parameter is not alpha for parameter in module.weight_parameters())
    sample = module.export()
    assert sample["factor"] == [0.5, 1.0, 2.0][int(alpha.argmax())]
    assert set(sample) == {
        "factor",
        "last",
        *(f"cell/{e.replace('-', '_')}" for e in NB201.edge_names),
    }
    assert set(module.export_probs()["factor"]) == {0.5, 1.0, 2.0}
    ScaleSpace().freeze(sample)  # complete


def test_a_hook_s_alpha_gets_the_loss_s_gradient(float64: None) -> None:
    strategy = DARTS(mutation_hooks=[MixedScale.mutate])
    model = strategy.mutate_model(ScaleSpace())
    given = evaluator([], [])
    module: Any = strategy.configure_oneshot_module(given.module)
    module.set_model(model)
    images, labels = random_batches(1, 3)[0]
    alpha = model.scale._arch_alpha

    def loss() -> torch.Tensor:
        return module.loss("alpha", (images, labels), 0, record=False)

    strategy.parts.alpha.gradient(module, {"val": (images, labels)}, 0)
    for place in range(3):
        ends = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                alpha[place] += step
                ends.append(float(loss()))
                alpha[place] -= step
        slope = (ends[0] - ends[1]) / 2e-6
        assert float(alpha.grad[place]) == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_nni_s_own_hooks_take_a_choice_in_our_place_but_not_out_of_a_cell() -> None:
    hooks = [DifferentiableMixedLayer.mutate, MixedScale.mutate]
    strategy = DARTS(mutation_hooks=hooks)
    monitor = WiringMonitor()
    given = evaluator(random_batches(3, 1), random_batches(3, 2), callbacks=[monitor])
    model, module = search(strategy, ScaleSpace(), given)
    assert isinstance(model.last, DifferentiableMixedLayer)
    assert [group.name for group in strategy.groups] == ["cell"]
    assert set(module.export()) >= {"last", "factor", "cell/0_1"}
    record = monitor.records[-1]
    assert set(record.cells) == {"cell", "last"}  # both are watched
    assert record.cost["alpha"].count["last"] == {"conv": 3, "skip": 3}
    assert record.cost["alpha"].count["cell/0-1"]["skip_connect"] == 3


# --- what we do not take ---


class RepeatSpace(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = Repeat(lambda i: nn.Identity(), (1, 3), label="depth")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


class RootSpace(ModelSpace):
    """A choice that belongs to no module but the space."""

    def __init__(self) -> None:
        super().__init__()
        self.add_mutable(Categorical([1, 2], label="times"))
        self.last = LayerChoice([nn.Identity(), nn.ReLU()], label="last")


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (RepeatSpace, "module 'blocks' of type Repeat"),
        (RootSpace, "the model space itself of type RootSpace"),
        (ScaleSpace, "module 'scale' of type Scale"),
        (lambda: hub.DARTS(width=4, num_cells=3, dataset="cifar"), "of type InputChoice"),
        (lambda: hub.ENAS(width=4, num_cells=3), "of type Cell"),
        (lambda: hub.NasBench101(num_stacks=1, num_modules_per_stack=1), "of type NasBench101Cell"),
        (hub.MobileNetV3Space, "module 'stem.0' of type MutableConv2d"),
        (hub.AutoFormer, "module 'patch_embed' of type MutableConv2d"),
    ],
)
def test_other_choices_are_refused_in_one_line_that_names_the_module(
    make: Callable[[], ModelSpace], place: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        DARTS().mutate_model(make())
    line = str(caught.value)
    assert place in line and "\n" not in line
    assert "allowed: WiringCell, NNI's NasBench201Cell, LayerChoice" in line


def test_the_hub_s_input_choices_run_with_nni_s_hook() -> None:
    class Inputs(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            from nni.nas.nn.pytorch import InputChoice

            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
            self.pick = InputChoice(2, n_chosen=1, label="pick")
            self.last = LayerChoice([nn.Identity(), nn.ReLU()], label="last")
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.last(self.pick([self.a(x), self.b(x)])).mean((2, 3)))

    strategy = DARTS(mutation_hooks=[DifferentiableMixedInput.mutate], order=2)
    given = evaluator(random_batches(2, 1), random_batches(2, 2))
    _, module = search(strategy, Inputs(), given)
    sample = module.export()
    assert set(sample) == {"pick", "last"}
    Inputs().freeze(sample)
