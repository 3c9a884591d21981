"""The conformance suite: what every strategy on the frame must do. A third party's strategy can
inherit it::

    from nni_wiring.testing.conformance import StrategyConformance

    class TestMine(StrategyConformance):
        strategy = Mine                      # a WiringStrategy
        settings = {"samples": 2}            # what makes it small and quick

Run it with pytest (``pip install "nni-wiring[test]"``). It takes a few seconds on one core: nets of
four channels, two steps per epoch, two epochs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.supernet.cell import SupernetCell, is_zero
from nni_wiring.supernet.evaluation import one_hot, supernet_accuracy
from nni_wiring.supernet.variants import supernet_accuracies
from nni_wiring.testing.searches import (
    Finished,
    hooks_of,
    hub_space,
    our_space,
    random_loader,
    run_experiment,
    tensorboard_tags,
)
from search_spaces.cell_graph import NB201, parse_arch

EPOCHS = 2
TINY = {"channels": 4, "cells": 1, "epochs": EPOCHS, "max_steps": 2, "batch_size": 8, "seed": 5}

#: Prefixes of the TensorBoard tags that every search on a tabulated space logs.
TAGS = (
    "truth/cifar10/valid",
    "truth/cifar10/regret",
    "truth/cifar10/percentile",
    "truth_expected/cifar10/valid",
    "alpha/0-1/",
    "cost/",
    "topology/width",
    "topology/depth",
    "topology/conv_depth",
    "topology/live_edges",
    "topology/none_edges",
    "topology/intermediate_alive",
    "topology_expected/width",
    "pattern/growing_index",
    "loss/train",
    "entropy/train",
)


class Interrupted(Exception):
    """The error that the suite stops a search with."""


class StrategyConformance:
    """Inherit, name the strategy, run with pytest. See the module."""

    strategy: ClassVar[type[WiringStrategy]]
    settings: ClassVar[dict[str, Any]] = {}

    # --- searches that the tests share ---

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _prepared(cls) -> Iterator[None]:
        """Know the strategy by its name while its tests run; draw no pictures, which are most of a
        tiny search's time and do not depend on the strategy.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TensorBoardSink, "_pictures", lambda *arguments: {})
            patch.setitem(STRATEGIES, cls.strategy.name, cls.strategy)
            yield

    @classmethod
    def _search(cls, folder: Path, stop_after: int | None = None) -> RunFolder:
        config = make_config({**TINY, **cls.settings, "strategy": cls.strategy.name})
        run = RunFolder.create(folder / "run", "run", config.flat())

        def stop(record: EpochRecord) -> None:
            # the epoch's checkpoint is written after its record, so stop in the next epoch
            if stop_after is not None and record.epoch > stop_after:
                raise Interrupted

        if stop_after is None:
            run_search(config, run)
        else:
            with pytest.raises(Interrupted):
                run_search(config, run, on_epoch=stop)
            run_search(config, run, resume=True)
        return run

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
        """An uninterrupted search in a run folder."""
        return cls._search(tmp_path_factory.mktemp("whole"))

    @pytest.fixture(scope="class")
    @classmethod
    def resumed(cls, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
        """The same search, interrupted in its second epoch and resumed."""
        return cls._search(tmp_path_factory.mktemp("resumed"), stop_after=0)

    @pytest.fixture(scope="class")
    @classmethod
    def experiment(cls) -> Finished:
        """A search on our NAS-Bench-201 inside NasExperiment."""
        return run_experiment(cls.strategy(**cls.settings), our_space())

    # --- the tests ---

    def test_is_described(self) -> None:
        """A name, a paper (or a word on where it comes from), a docstring."""
        assert self.strategy.name not in ("", "abstract")
        assert self.strategy.paper
        assert (self.strategy.__doc__ or "").strip()
        assert issubclass(self.strategy, WiringStrategy)

    def test_search_finds_a_valid_cell(self, whole: RunFolder) -> None:
        """A finished run, an arch that the benchmark can read, its own truth."""
        result = whole.search_result()
        assert result is not None and whole.info["status"] == "finished"
        assert result.arch is not None and len(parse_arch(result.arch)) == len(NB201.edges)
        assert result.true_accuracy() is not None and result.true_accuracy() == result.default
        assert result.selection == self.strategy(**self.settings).selection.name

    def test_records_are_complete(self, whole: RunFolder) -> None:
        """Every epoch: alphas, p(alpha) with rows that sum to 1, costs, topology, truth."""
        records = whole.epochs()
        assert 1 <= len(records) <= EPOCHS
        for record in records:
            assert set(record["alpha"]) == set(record["z"]) == set(NB201.edge_names)
            for row in record["z"].values():
                assert sum(row.values()) == pytest.approx(1, abs=1e-5)
            assert record["cost"] and record["topology"] and record["truth"]
            assert record["loss"]["train"] > 0

    def test_logs_the_contract_s_tags(self, whole: RunFolder) -> None:
        """TensorBoard's tags (costs are logged in odd epochs, so from two epochs on)."""
        tags = tensorboard_tags(whole.tensorboard)
        epochs = len(whole.epochs())
        missing = [
            tag
            for tag in TAGS
            if not any(found.startswith(tag) for found in tags)
            and not (tag == "cost/" and epochs < 2)
        ]
        assert not missing

    def test_same_seed_same_search(self, whole: RunFolder, resumed: RunFolder) -> None:
        """Two searches with one seed begin alike."""
        assert _comparable(whole.epochs()[:1]) == _comparable(resumed.epochs()[:1])

    def test_resumes_bit_for_bit(self, whole: RunFolder, resumed: RunFolder) -> None:
        """Interrupted and resumed, or not: the same records and the same result."""
        assert _comparable(whole.epochs()) == _comparable(resumed.epochs())
        assert whole.result() == resumed.result()

    def test_checkpoint_is_plain(self, whole: RunFolder) -> None:
        """The checkpoint holds tensors and plain values only."""
        assert torch.load(whole.checkpoint, map_location="cpu", weights_only=True)

    def test_runs_inside_nas_experiment(self, experiment: Finished) -> None:
        """Exports one operation per edge, and a network that runs and has no alpha left."""
        labels = {f"cell/{edge.replace('-', '_')}" for edge in NB201.edge_names}
        assert set(experiment.sample) == labels
        assert experiment.network(torch.randn(2, 3, 8, 8)).shape == (2, 3)
        assert not [n for n, _ in experiment.network.named_parameters() if "edge_groups" in n]
        chosen = {
            label: choice
            for group in experiment.strategy.groups
            for label, choice in group.sample(experiment.strategy.chosen(group)).items()
        }
        assert experiment.sample == chosen

    def test_runs_on_the_hub_s_space(self) -> None:
        """The same on NNI's own NAS-Bench-201."""
        finished = run_experiment(self.strategy(**self.settings), hub_space())
        assert set(finished.sample.values()) <= {
            "none",
            "skip_connect",
            "conv_1x1",
            "conv_3x3",
            "avg_pool_3x3",
        }
        assert finished.network(torch.randn(2, 3, 8, 8)).shape == (2, 3)

    @pytest.mark.parametrize("level", ["single_level", "bi_level"])
    def test_either_level_runs_or_says_why_not(self, level: str) -> None:
        """``optimisation`` is one of both, or refused with a reason that names it."""
        try:
            strategy = self.strategy(**{**self.settings, "optimisation": level})
        except ConfigError as error:
            assert level in str(error) or "level" in str(error)
            assert len(str(error)) > 60, "the error does not say why"
            return
        if level != self.strategy(**self.settings).settings.optimisation:  # else ``experiment``
            run_experiment(strategy, our_space())

    def test_leaves_no_hook_behind(self, experiment: Finished) -> None:
        """Neither hooks nor a monitor's taps stay on the supernet."""
        assert not hooks_of(experiment.module.model)

    def test_evaluates_without_gradients(self, experiment: Finished) -> None:
        """Work between epochs and selections run under no_grad; evaluating a cell leaves weights,
        statistics and gradients alone.
        """
        assert not any(experiment.gradient_modes)
        module = experiment.module
        before = {key: value.clone() for key, value in module.state_dict().items()}
        module.zero_grad()
        z = {g.name: one_hot(g, experiment.strategy.chosen(g)) for g in experiment.strategy.groups}
        accuracy = supernet_accuracy(module.model, random_loader(), z)
        assert 0 <= accuracy <= 100
        assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
        assert all(parameter.grad is None for parameter in module.parameters())

    def test_is_evaluated_as_it_was_trained(self) -> None:
        """Under the Z of a draw, evaluation gives the logits of training mode, in float64: nothing
        that the method learns beside alpha is left out. Where nothing is drawn, Z is alpha's own.
        """
        strategy = self.strategy(**self.settings)
        torch.manual_seed(0)
        model = strategy.mutate_model(our_space()).double()
        strategy.on_epoch_start(0, EPOCHS)
        with torch.no_grad():
            for group in strategy.groups:
                for parameter in group.parameters(recurse=False):
                    parameter.normal_()
        images, labels = torch.randn(8, 3, 8, 8, dtype=torch.float64), torch.zeros(8).long()
        draws = {g.name: strategy.draw(g, "weights", torch.Generator()) for g in strategy.groups}
        z = {name: draw.z for name, draw in draws.items()}
        for group in strategy.groups:
            group.draw = draws[group.name]
        seen: list[torch.Tensor] = []
        handle = model.register_forward_hook(lambda m, inputs, logits: seen.append(logits))
        model.train()
        model(images)
        supernet_accuracy(model, [(images, labels)], z)
        supernet_accuracies(model, [(images, labels)], [z])
        handle.remove()
        trained, *evaluated = seen
        for logits in evaluated:
            torch.testing.assert_close(logits, trained.detach(), rtol=1e-12, atol=1e-12)
        if strategy.relaxation.deterministic:
            for group in strategy.groups:
                assert torch.equal(strategy.evaluated(group), draws[group.name].z.detach())

    def test_runs_only_the_active_operations(self) -> None:
        """Operations outside a draw are not run and weigh nothing; ``none`` is never run beside
        others.
        """
        strategy = self.strategy(**{**self.settings, "supernet": "plain"})
        model = strategy.mutate_model(our_space())
        strategy.on_epoch_start(0, EPOCHS)
        cell = next(m for m in model.modules() if isinstance(m, SupernetCell))
        ran: set[tuple[int, int]] = set()
        for edge, allowed in enumerate(cell.group.allowed):
            for k in allowed:
                cell.operation(edge, k).register_forward_hook(
                    lambda m, i, o, key=(edge, k): ran.add(key)
                )
        for phase in ("weights", "joint"):
            ran.clear()
            for group in strategy.groups:
                group.draw = strategy.draw(group, phase, torch.Generator().manual_seed(1))
            draw = cell.group.draw
            assert draw is not None
            model(torch.randn(4, 3, 8, 8))
            active = {(edge, k) for edge, row in enumerate(draw.active) for k in row}
            zeros = {key for key in active if is_zero(cell.operation(*key))}
            assert ran - zeros == active - zeros
            outside = draw.z.detach().clone()
            for edge, k in active:
                outside[edge, k] = 0
            assert not outside.any()

    @pytest.mark.parametrize(
        "bad",
        [
            {"no_such_setting": 1},
            {"optimisation": "tri_level"},
            {"selection": "by_magic"},
            {"alpha_lr": -1.0},
            {"warmup_epochs": "soon"},
        ],
    )
    def test_rejects_bad_settings(self, bad: dict[str, Any]) -> None:
        """One line that names the setting."""
        with pytest.raises(ConfigError) as caught:
            self.strategy(**{**self.settings, **bad})
        line = str(caught.value)
        assert "\n" not in line
        assert next(iter(bad)) in line or str(next(iter(bad.values()))) in line

    def test_settings_survive_json(self) -> None:
        """The settings that a run folder stores make the same strategy again."""
        settings = self.strategy(**self.settings).settings
        stored = json.loads(json.dumps(settings.model_dump(mode="json")))
        assert self.strategy(**stored).settings == settings


def _comparable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]
