"""dL/dZ as the monitor reads it: against differences, products, the theory page's facts and NNI."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from one_shot import (
    EDGES,
    Batch,
    evaluator,
    explicit_costs,
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
from nni.mutable import label_scope
from nni.nas.hub.pytorch import NasBench201
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer

from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.monitor.local_cost import LocalCost, RunningCost
from nni_wiring.records import EpochRecord, Truth
from nni_wiring.strategies.darts import DARTS, FixedAlphaDARTS
from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.truth import load_table
from search_spaces.cell_graph import OPERATIONS, Wiring

STEPS = 3


@pytest.fixture(autouse=True)
def seeded(float64: None) -> None:
    torch.manual_seed(21)


def batches(seed: int, steps: int = STEPS) -> list[Batch]:
    return random_batches(steps, seed, images=5)


class SetAlphas(pl.Callback):
    """The same alphas, by label, in our supernet or NNI's."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        strategy = getattr(pl_module, "strategy", None)
        if strategy is not None:
            set_alphas(strategy.groups, seed=5)
            return
        start = torch.zeros(6, 5)
        start.copy_(torch.randn(6, 5, generator=torch.Generator().manual_seed(5)))
        rows = dict(zip((f"cell/{edge.replace('-', '_')}" for edge in EDGES), start, strict=True))
        with torch.no_grad():
            for layer in pl_module.supernet_modules():
                layer._arch_alpha.copy_(rows[str(layer.label)])


def still(
    strategy: Any,
    space: Any = None,
    *,
    train: list[Batch] | None = None,
    val: list[Batch] | None = None,
    monitor: WiringMonitor | None = None,
    epochs: int = 1,
) -> tuple[list[EpochRecord], Any, Any]:
    """A search in which nothing moves: records, supernet, Lightning module."""
    monitor = monitor or WiringMonitor()
    given = evaluator(
        train or batches(1),
        val or batches(2),
        epochs=epochs,
        callbacks=[SetAlphas(), monitor],
        lr=0.0,
        momentum=0.0,
        weight_decay=0.0,
    )
    model, module = search(strategy, space or tiny_space(), given)
    return monitor.records, model, module


def softmax_weights(strategy: Any) -> list[dict[str, dict[str, torch.Tensor]]]:
    (group,) = strategy.groups
    return [weight_table(group, torch.softmax(group.logits().detach(), -1))] * 3


def cost_tables(record: EpochRecord, phase: str, group: Any) -> list[dict[str, dict[str, Any]]]:
    """cost_cells of a record as {edge: {operation: value}} a cell."""
    return [
        {
            edge: {op: cell[row][group.operations.index(op)] for op in group.edge_operations[row]}
            for row, edge in enumerate(group.edges)
        }
        for cell in record.cost_cells[phase]
    ]


def flat(tables: Any) -> np.ndarray:
    return np.array([[list(row.values()) for row in t.values()] for t in tables], dtype=float)


# --- one step: the hook's value ---


@pytest.mark.parametrize("head", ["nasbench201", "bias_free"])
def test_cost_is_the_derivative_by_one_cells_z_and_the_explicit_product(head: str) -> None:
    train, val = batches(1, 1), batches(2, 1)
    strategy = DARTS(alpha_lr=0.0)
    (record,), model, _ = still(strategy, tiny_space(head=head), train=train, val=val)
    (group,) = strategy.groups
    weights = softmax_weights(strategy)
    step = 1e-7  # few ReLUs change sign
    for phase, (batch,) in (("weights", train), ("alpha", val)):
        found = cost_tables(record, phase, group)
        expected, _, _ = explicit_costs(model, weights, batch)
        np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-8, atol=1e-12)
        assert all(row["none"] == 0 for cell in found for row in cell.values())

        def loss(cell: int, edge: str, name: str, change: float, batch: Batch = batch) -> float:
            # only this cell's Z moves, that of the other cells stays
            changed = [copy.deepcopy(table) for table in weights]
            changed[cell][edge][name] = changed[cell][edge][name] + change
            logits = explicit_network(model, changed, batch[0])
            return nn.functional.cross_entropy(logits, batch[1]).item()

        for cell in range(3):
            for edge in ("0-1", "1-2", "2-3"):
                for name in group.operations:
                    rise = loss(cell, edge, name, step) - loss(cell, edge, name, -step)
                    value = found[cell][edge][name]
                    assert value == pytest.approx(rise / (2 * step), rel=1e-4, abs=1e-8)


def test_skip_costs_differ_from_the_gradient_of_their_input() -> None:
    # Identity returns its input: a hook on outputs would see the input's whole gradient instead
    strategy = DARTS(alpha_lr=0.0)
    space = tiny_space(operations={"*": ["skip_connect"], "1-2": ["skip_connect", "none"]})
    (record,), model, _ = still(strategy, space, train=batches(1, 1), val=batches(2, 1))
    expected, _, _ = explicit_costs(model, softmax_weights(strategy), batches(2, 1)[0])
    found = cost_tables(record, "alpha", strategy.groups[0])
    for cell in range(3):
        for edge in EDGES:
            value = expected[cell][edge]["skip_connect"]
            assert found[cell][edge]["skip_connect"] == pytest.approx(value, rel=1e-9, abs=1e-13)


def test_fixed_alpha_is_watched_as_well() -> None:
    strategy = FixedAlphaDARTS()
    train = batches(1, 1)
    (record,), model, _ = still(strategy, train=train)
    expected, _, _ = explicit_costs(model, softmax_weights(strategy), train[0])
    assert set(record.cost) == {"weights"}
    found = cost_tables(record, "weights", strategy.groups[0])
    np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-8, atol=1e-12)


# --- several steps and epochs ---


class Changing:
    """Other batches every epoch."""

    def __init__(self, epochs: list[list[Batch]]) -> None:
        self.epochs, self.epoch = epochs, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.epochs[0])

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.epochs[self.epoch])


@pytest.mark.parametrize(
    ("strategy", "phase"),
    [
        (DARTS(alpha_lr=0.0), "alpha"),
        (DARTS(alpha_lr=0.0), "weights"),
        (DARTS(alpha_lr=0.0, optimisation="single_level"), "weights"),
    ],
)
def test_mean_and_variance_over_an_epoch(strategy: DARTS, phase: str) -> None:
    data = {"weights": [batches(s) for s in (1, 2)], "alpha": [batches(s) for s in (3, 4)]}
    monitor = WiringMonitor()
    given = evaluator([], [], epochs=2, callbacks=[SetAlphas(), monitor], lr=0.0, weight_decay=0.0)
    given.train_dataloaders = Changing(data["weights"])
    given.val_dataloaders = Changing(data["alpha"])
    model, _ = search(strategy, tiny_space(), given)
    weights = softmax_weights(strategy)
    single = strategy.settings.optimisation == "single_level"
    for epoch, record in enumerate(monitor.records):
        assert set(record.cost) == ({"weights"} if single else {"weights", "alpha"})
        steps = [flat(explicit_costs(model, weights, b)[0]) for b in data[phase][epoch]]
        values = np.stack(steps)  # (steps, cells, edges, operations)
        cost = record.cost[phase]
        for row, edge in enumerate(EDGES):
            for column, name in enumerate(OPERATIONS):
                every = values[:, :, row, column]
                assert cost.count[edge][name] == every.size == STEPS * 3
                assert cost.mean[edge][name] == pytest.approx(every.mean(), rel=1e-8, abs=1e-12)
                variance = cost.variance[edge][name]
                assert variance == pytest.approx(every.var(), rel=1e-6, abs=1e-14)
        cells = flat(cost_tables(record, phase, strategy.groups[0]))
        np.testing.assert_allclose(cells, values.mean(axis=0), rtol=1e-8, atol=1e-12)
        assert record.epoch == epoch and record.steps == STEPS


def test_running_cost_against_numpy_with_operations_that_do_not_always_run() -> None:
    draw = np.random.default_rng(4)
    values, ran = draw.normal(3, 2, (50, 2, 3, 4)), draw.random((50, 2, 3, 4)) < 0.3
    ran[:, 0, 0, 0] = False
    running = RunningCost()
    assert running.read() is None
    for value, mask in zip(values, ran, strict=True):
        running.add(torch.from_numpy(np.where(mask, value, 0.0)), mask)
    found = running.read()
    assert found is not None
    masked = np.ma.array(values, mask=~ran)
    np.testing.assert_allclose(found.mean, masked.mean(axis=0).filled(np.nan))
    np.testing.assert_allclose(found.variance, masked.var(axis=0).filled(np.nan), atol=1e-12)
    np.testing.assert_array_equal(found.steps, ran.sum(axis=0))
    pooled = found.over_cells()
    both = np.ma.concatenate([masked[:, 0], masked[:, 1]])
    np.testing.assert_allclose(pooled.mean, both.mean(axis=0).filled(np.nan))
    np.testing.assert_allclose(pooled.variance, both.var(axis=0).filled(np.nan), atol=1e-12)


def test_an_operation_that_never_ran_has_no_cost_in_any_cell() -> None:
    nothing = np.full((2, 1, 1), np.nan)
    pooled = LocalCost(nothing, nothing, np.zeros((2, 1, 1), dtype=np.int64)).over_cells()
    assert np.isnan(pooled.mean).all() and (pooled.steps == 0).all()


def test_losses_and_entropies_are_told_apart_by_data() -> None:
    train, val = batches(1), batches(2)
    strategy = DARTS(alpha_lr=0.0, order=2)
    (record,), model, _ = still(strategy, train=train, val=val)
    assert record.cost["alpha"].count["0-1"]["none"] == 3 * STEPS
    # order 2: alpha's recorded pass runs at the unrolled weights, which here are the same (lr 0)
    for part, data in (("train", train), ("search", val)):
        logits = torch.cat([explicit_network(model, softmax_weights(strategy), b[0]) for b in data])
        labels = torch.cat([b[1] for b in data])
        p = torch.softmax(logits, -1)
        entropy = -(p * p.log()).sum(-1).mean().item()
        loss = nn.functional.cross_entropy(logits, labels).item()
        hits = (logits.argmax(-1) == labels).double().mean().item()
        assert record.loss[part] == pytest.approx(loss, rel=1e-5)
        assert record.entropy[part] == pytest.approx(entropy, rel=1e-5)
        assert record.loss_minus_entropy[part] == pytest.approx(loss - entropy, abs=1e-6)
        assert record.accuracy[part] == pytest.approx(100 * hits)


# --- the theory page's facts (section 1) ---


def facts(head: str = "bias_free", **options: Any) -> tuple[Any, ...]:
    """Recorded costs, weights, gradients, nodes and the logits of one alpha step."""
    val = batches(2, 1)
    strategy = DARTS(alpha_lr=0.0)
    (record,), model, _ = still(
        strategy, tiny_space(head=head, **options), train=batches(1, 1), val=val
    )
    weights = softmax_weights(strategy)
    _, gradients, nodes = explicit_costs(model, weights, val[0])
    logits = explicit_network(model, weights, val[0][0])
    found = cost_tables(record, "alpha", strategy.groups[0])
    return record, found, weights[0], gradients, nodes, logits, val[0][1]


def edge_cost(costs: dict[str, Any], weights: dict[str, Any], edge: str) -> float:
    return sum(float(weights[edge][name]) * value for name, value in costs[edge].items())


def test_fact_1_costs_into_the_output_sum_to_loss_minus_entropy() -> None:
    record, found, weights, _, _, logits, labels = facts()
    p = torch.softmax(logits, -1)
    expected = nn.functional.cross_entropy(logits, labels) + (p * p.log()).sum(-1).mean()
    total = sum(edge_cost(found[2], weights, edge) for edge in ("0-3", "1-3", "2-3"))
    assert abs(expected.item()) > 1e-3
    assert total == pytest.approx(expected.item(), rel=1e-9)
    assert record.loss_minus_entropy["search"] == pytest.approx(total, abs=1e-6)


def test_fact_2_costs_into_a_node_sum_to_the_product_with_its_gradient() -> None:
    _, found, weights, gradients, nodes, _, _ = facts(head="nasbench201")
    for cell, node in product(range(3), (1, 2, 3)):
        into = [edge for edge in EDGES if edge.endswith(str(node))]
        total = sum(edge_cost(found[cell], weights, edge) for edge in into)
        expected = (gradients[cell][node - 1] * nodes[cell][node - 1]).sum().item()
        assert total == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_fact_3_batch_norm_blocks_cost() -> None:
    # 1-2 and 1-3 are convolutions: nothing reaches the edge 0-1
    convolutions = {"1-2": ["nor_conv_3x3", "nor_conv_1x1"], "1-3": ["nor_conv_1x1"]}
    _, found, weights, *_ = facts(operations=convolutions)
    _, open_, weights_open, *_ = facts(operations={**convolutions, "1-3": ["skip_connect"]})
    for cell in range(3):
        size = max(abs(value) for value in found[cell]["0-1"].values())
        assert abs(edge_cost(found[cell], weights, "0-1")) < 2e-3 * size  # up to batch norm's eps
        size = max(abs(value) for value in open_[cell]["0-1"].values())
        assert abs(edge_cost(open_[cell], weights_open, "0-1")) > 2e-2 * size


def test_fact_4_the_faithful_head_makes_the_last_cells_costs_vanish() -> None:
    def total(head: str) -> tuple[float, float]:
        _, found, weights, *_ = facts(head=head)
        edges = ("0-3", "1-3", "2-3")
        size = max(abs(v) for edge in edges for v in found[2][edge].values())
        return sum(edge_cost(found[2], weights, edge) for edge in edges), size

    blocked, size = total("nasbench201")
    assert abs(blocked) < 1e-3 * size
    passed, size = total("bias_free")
    assert abs(passed) > 1e-2 * size


# --- NNI's own strategies ---


def test_nni_darts_shows_the_same_costs_alphas_and_cell() -> None:
    space = tiny_space()
    theirs = copy.deepcopy(space)
    ours, _, _ = still(DARTS(alpha_lr=0.0), space)
    nnis, _, _ = still(nni_strategies.DARTS(arc_learning_rate=0.0), theirs)
    (mine,), (other,) = ours, nnis
    assert mine.arch == other.arch
    for phase, name in product(("weights", "alpha"), ("mean", "variance", "count")):
        for edge, op in product(EDGES, OPERATIONS):
            value = getattr(other.cost[phase], name)[edge][op]
            expected = getattr(mine.cost[phase], name)[edge][op]
            assert value == pytest.approx(expected, rel=1e-8, abs=1e-13)
    for edge, op in product(EDGES, OPERATIONS):
        assert other.alpha[edge][op] == pytest.approx(mine.alpha[edge][op], rel=1e-12)
        assert other.z[edge][op] == pytest.approx(mine.z[edge][op], rel=1e-12)
    for part in ("train", "search"):
        assert other.loss[part] == pytest.approx(mine.loss[part], rel=1e-6)
    np.testing.assert_allclose(
        np.array(other.cost_cells["alpha"]), np.array(mine.cost_cells["alpha"]), atol=1e-13
    )


@pytest.mark.parametrize("name", ["DARTS", "GumbelDARTS"])
def test_nni_strategies_on_the_hub_space_are_watched(name: str) -> None:
    monitor = WiringMonitor(truth=load_table())
    given = evaluator(batches(1), batches(2), epochs=2, callbacks=[monitor])
    search(getattr(nni_strategies, name)(), NasBench201(4, 1, 3), given)
    record = monitor.records[-1]
    chosen = {e: max(row, key=row.__getitem__) for e, row in record.alpha.items()}
    names = [
        {"conv_1x1": "nor_conv_1x1", "conv_3x3": "nor_conv_3x3"}.get(v, v)
        for v in (chosen[e] for e in EDGES)
    ]
    assert Wiring.from_arch(record.arch).operations == tuple(names)
    assert record.truth == Truth.from_json(load_table().query(record.arch))
    assert record.cost["alpha"].count["0-1"]["conv_3x3"] == 3 * STEPS


def test_random_one_shot_is_refused_in_words() -> None:
    given = evaluator(batches(1), batches(2), callbacks=[WiringMonitor()])
    with pytest.raises(TypeError, match="WiringMonitor.*GumbelDARTS"):
        search(nni_strategies.RandomOneShot(), tiny_space(), given)


class PlainSpace(ModelSpace):
    """LayerChoices outside any cell; two of them carry the same edge name in other scopes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        with label_scope("a"):
            self.a = LayerChoice({"conv": nn.Conv2d(4, 4, 1), "skip": nn.Identity()}, label="0_1")
        with label_scope("b"):
            self.b = LayerChoice({"conv": nn.Conv2d(4, 4, 1), "skip": nn.Identity()}, label="0_1")
        self.c = LayerChoice([nn.Conv2d(4, 4, 3, padding=1), nn.Identity()], label="last")
        self.head = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.c(self.b(self.a(self.stem(images)))).mean((2, 3)))


@pytest.mark.parametrize("strategy", [DARTS, nni_strategies.DARTS])
def test_plain_layer_choices_are_watched_each_for_itself(strategy: Any) -> None:
    monitor = WiringMonitor(truth=load_table())
    given = evaluator(batches(1), batches(2), epochs=2, callbacks=[monitor])
    search(strategy(), PlainSpace(), given)
    record = monitor.records[-1]
    shapes = [sorted(row) for row in record.alpha.values()]
    assert sorted(shapes) == [["0", "1"], ["conv", "skip"], ["conv", "skip"]]
    assert len(record.cost["alpha"].mean) == 3
    assert set(record.cost["weights"].mean) == set(record.alpha) == set(record.z)
    counts = record.cost["alpha"].count.values()
    assert {count for row in counts for count in row.values()} == {STEPS}
    assert record.truth is None


# --- hooks ---


def hooks_of(model: nn.Module) -> list[Any]:
    found: list[Any] = []
    for module in model.modules():
        found += [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        found += [*module._backward_hooks.values(), *module._backward_pre_hooks.values()]
        if isinstance(module, SupernetCell) and module.tap is not None:
            found.append(module.tap)
        if isinstance(module, DifferentiableMixedLayer):
            found += [] if isinstance(module._softmax, nn.Softmax) else [module._softmax]
    for parameter in model.parameters():
        found += list((parameter._backward_hooks or {}).values())
    return found


class Trouble(pl.Callback):
    """Raises in the middle of the second epoch; sees whether there were hooks until then."""

    def __init__(self, error: BaseException | None) -> None:
        self.error, self.seen = error, 0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
        self.seen += bool(hooks_of(pl_module.model))
        if trainer.current_epoch == 1 and self.error is not None:
            raise self.error


@pytest.mark.parametrize("strategy", [DARTS, nni_strategies.DARTS])
@pytest.mark.parametrize("error", [None, ValueError("broken"), KeyboardInterrupt()])
def test_hooks_are_gone_after_the_search(strategy: Any, error: BaseException | None) -> None:
    trouble, monitor = Trouble(error), WiringMonitor()
    given = evaluator(batches(1), batches(2), epochs=3, callbacks=[monitor, trouble])
    made = strategy()
    model = made.mutate_model(tiny_space())
    before = len(hooks_of(model))
    searcher = made.mutate_evaluator(given)
    if error is None:
        searcher.evaluate(model)
    else:
        with pytest.raises((ValueError, SystemExit, KeyboardInterrupt)):
            searcher.evaluate(model)
    assert trouble.seen > 0 and len(hooks_of(model)) == before == 0
    assert len(monitor.records) == (3 if error is None else 1)


# --- expectations under p(alpha) ---


def test_expectations_are_those_of_all_cells_one_by_one() -> None:
    table = load_table()
    strategy = DARTS(alpha_lr=0.0)
    (record,), _, _ = still(strategy, monitor=WiringMonitor(truth=table))
    z = [[record.z[edge][op] for op in OPERATIONS] for edge in EDGES]
    assert np.allclose(np.sum(z, axis=1), 1)
    truth = {
        (ds, split): table.values(ds, split)
        for ds in ("cifar10", "cifar100", "imagenet16")
        for split in ("valid", "test")
        if table.has(ds, split)
    }
    official = np.empty(5**6, dtype=int)
    official[table.codes] = np.arange(5**6)
    accuracy = dict.fromkeys(truth, 0.0)
    depth = width = dead = 0.0
    for code, cell in enumerate(product(range(5), repeat=6)):
        p = np.prod([z[row][k] for row, k in enumerate(cell)])
        for key, values in truth.items():
            accuracy[key] += p * float(values[official[code]])
        if code % 5:  # 2-3 is none: topology of a fifth of the cells by the slow way is enough
            continue
        found = Wiring.from_indices(cell).topology()
        depth, width, dead = (
            depth + p * found.depth,
            width + p * found.width,
            dead + p * (not found.connected),
        )
    for (ds, split), value in accuracy.items():
        assert record.truth_expected.at(ds, split).accuracy == pytest.approx(value, rel=1e-6)
    # the same sums under p(alpha) given that 2-3 is none
    from nni_wiring.supernet.derived import expected_topology
    from search_spaces.cell_codes import NASBENCH201

    given = np.array(z)
    given[5] = [1, 0, 0, 0, 0]
    expected = expected_topology(NASBENCH201, given)
    share = z[5][0]
    assert expected["depth"] == pytest.approx(depth / share)
    assert expected["width"] == pytest.approx(width / share)
    assert expected["disconnected"] == pytest.approx(dead / share)
    for name in ("depth", "width", "disconnected"):
        assert record.topology_expected[name] == pytest.approx(
            expected_topology(NASBENCH201, np.array(z))[name]
        )


def test_a_search_that_diverges_ends_in_one_line() -> None:
    from nni_wiring.errors import RunError

    given = evaluator(batches(1), batches(2), callbacks=[WiringMonitor()], lr=float("inf"))
    with pytest.raises(RunError, match="epoch 0 alpha"):
        search(DARTS(), tiny_space(), given)
