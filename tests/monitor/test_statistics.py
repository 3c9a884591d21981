"""A statistic of one's own, in any monitor and in every search, and what statistics owe to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from one_shot import evaluator, random_batches, search, set_alphas, tiny_space
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import run

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas and pytorch_lightning)

# isort: split
import nni.nas.strategy as nni_strategies
import pytorch_lightning as pl

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.monitor.epoch import Epoch, View
from nni_wiring.monitor.notes import Step, StepNotes
from nni_wiring.monitor.statistics import STATISTICS, Statistic, all_statistics
from nni_wiring.monitor.taps import Site
from nni_wiring.records import EpochRecord
from nni_wiring.strategies.darts import DARTS
from nni_wiring.strategies.random_sampling import RandomSampling
from search_spaces.cell_graph import Wiring

BATCHES = random_batches(3, seed=1), random_batches(3, seed=2)


class AlphaEntropy(Statistic):
    """H(p(alpha)) per edge, nats: how undecided the edges are."""

    name = "alpha_entropy"

    def read(self, epoch: Epoch) -> dict[str, float]:
        """{edge: entropy}."""
        found = {}
        for reading in epoch.readings.values():
            p = np.maximum(reading.probabilities, 1e-300)
            entropy = -(p * np.log(p)).sum(axis=1)
            found |= dict(zip(reading.keys, entropy.tolist(), strict=True))
        return found

    def tags(self, record: EpochRecord, view: View) -> Mapping[str, float | None]:
        """alpha_entropy/<edge>."""
        values = record.statistics[self.name]
        return {f"{self.name}/{edge}": value for edge, value in values.items()}


def entropies(z: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    return {e: -sum(p * math.log(p) for p in row.values() if p) for e, row in z.items()}


class SetAlphas(pl.Callback):
    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        strategy = getattr(pl_module, "strategy", None)
        if strategy is not None:
            set_alphas(strategy.groups, seed=5)


@pytest.mark.parametrize("strategy", [DARTS, nni_strategies.DARTS])
def test_a_statistic_of_one_monitor_lands_in_its_records(strategy: Any) -> None:
    monitor = WiringMonitor(statistics=[AlphaEntropy()])
    given = evaluator(*BATCHES, epochs=2, callbacks=[SetAlphas(), monitor])
    search(strategy(), tiny_space(), given)
    for record in monitor.records:
        found = record.statistics["alpha_entropy"]
        assert found == pytest.approx(entropies(record.z))
        assert all(0 < value <= math.log(5) + 1e-9 for value in found.values())
        assert EpochRecord.from_json(record.to_json()) == record


def test_a_registered_statistic_is_part_of_every_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STATISTICS, AlphaEntropy.name, AlphaEntropy)
    folder = run(tmp_path / "run", epochs=2)
    events = EventAccumulator(str(folder.tensorboard), size_guidance={"scalars": 0}).Reload()
    for record in folder.records():
        expected = entropies(record.z)
        assert record.statistics["alpha_entropy"] == pytest.approx(expected)
        for edge, value in expected.items():
            points = {e.step: e.value for e in events.Scalars(f"alpha_entropy/{edge}")}
            assert points[record.epoch] == pytest.approx(value, rel=1e-5)


def test_two_statistics_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="statistic: the name 'alpha_entropy' is taken"):
        WiringMonitor(statistics=[AlphaEntropy(), AlphaEntropy()])


def test_every_field_of_a_record_that_is_measured_has_one_statistic() -> None:
    fields = [name for statistic in all_statistics() for name in statistic.fields]
    own = {"epoch", "seconds", "steps", "statistics"}
    assert len(fields) == len(set(fields))
    assert set(fields) | own == set(EpochRecord.__dataclass_fields__)


class Steps(Statistic):
    """Counts, in a state of its own."""

    name = "steps_seen"

    def __init__(self) -> None:
        self.total, self.now, self.places = 0, 0, 0
        self.norms: list[float] = []

    def start(self, sites: Sequence[Site]) -> None:
        self.places = len(sites)

    def reset(self) -> None:
        self.now = 0

    def observe(self, step: Step) -> None:
        self.now += 1
        self.total += 1
        assert set(step.passes) == set(step.costs) == {"weights", "alpha"}
        assert [output.phase for output in step.outputs].count("alpha") == 1
        assert set(step.gradient_norms) == {"weights", "alpha"}
        assert all(len(sites) == self.places for sites in step.passes.values())

    def read(self, epoch: Epoch) -> list[int]:
        assert len(epoch.loaders) == 2
        return [self.now, self.total]

    def state(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.total = state["total"]


def test_a_statistic_sees_every_step_and_keeps_its_state() -> None:
    monitor = WiringMonitor(statistics=[Steps()])
    search(DARTS(), tiny_space(), evaluator(*BATCHES, epochs=2, callbacks=[monitor]))
    assert [record.statistics["steps_seen"] for record in monitor.records] == [[3, 3], [3, 6]]
    again, steps = monitor.state_dict(), Steps()
    WiringMonitor(statistics=[steps]).load_state_dict(again)
    assert steps.total == 6


def test_the_state_that_version_0_1_0_wrote_is_taken_up() -> None:
    past = [dict.fromkeys(("0-1", "0-2", "1-2", "0-3", "1-3", "2-3"), "none")] * 4
    monitor = WiringMonitor()
    monitor.load_state_dict({"history": past})
    search(DARTS(), tiny_space(), evaluator(*BATCHES, callbacks=[SetAlphas(), monitor]))
    pattern = monitor.records[0].pattern
    selected = sum(max(r, key=r.__getitem__) != "none" for r in monitor.records[0].alpha.values())
    assert pattern["growing_index"] == pattern["selected_edges"] == selected > 0
    assert set(pattern["recovery_epochs"].values()) <= {4, None}


def test_notes_that_are_taken_and_put_back_are_the_same_step() -> None:
    [site, other] = [Site(None, number, None) for number in (0, 1)]  # type: ignore[arg-type]
    ran = np.ones(2, dtype=bool)
    notes = StepNotes()
    notes.note_pass("alpha", site, torch.ones(2), ran)
    notes.note_outputs("alpha", torch.ones(1, 3), torch.zeros(1, dtype=torch.long))
    first = notes.take_notes()
    assert not notes.take_notes().passes
    notes.note_pass("alpha", other, torch.zeros(2), ran)
    notes.note_cost("weights", other, torch.full((2,), 2.0), ran)
    notes.put_notes(first)
    both = notes.take_notes()
    assert set(both.passes["alpha"]) == {site, other} and set(both.costs) == {"weights"}
    assert [output.phase for output in both.outputs] == ["alpha"]


@pytest.mark.parametrize("strategy", [DARTS, nni_strategies.DARTS])
def test_the_cell_of_every_selection_is_the_largest_z_among_what_it_allows(strategy: Any) -> None:
    monitor = WiringMonitor()
    given = evaluator(*BATCHES, epochs=2, callbacks=[SetAlphas(), monitor])
    search(strategy(), tiny_space(), given)
    for record in monitor.records:
        chosen = {
            name: Wiring.from_arch(arch).operations
            for name, arch in record.statistics["selections"].items()
        }
        z = {edge: {op: p or 0.0 for op, p in row.items()} for edge, row in record.z.items()}
        some = {edge: {op: p for op, p in row.items() if op != "none"} for edge, row in z.items()}
        expected = {"magnitude": z, "magnitude_without_none": some}
        assert chosen == {
            name: tuple(max(row, key=row.__getitem__) for row in table.values())
            for name, table in expected.items()
        }
        assert record.statistics["selections"]["magnitude"] == record.arch


def test_a_selection_that_a_method_refuses_is_not_read() -> None:
    monitor = WiringMonitor()
    search(RandomSampling(), tiny_space(), evaluator(*BATCHES, epochs=1, callbacks=[monitor]))
    assert "selections" not in monitor.records[0].statistics
