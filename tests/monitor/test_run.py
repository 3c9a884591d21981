"""Any one-shot program leaves a run folder that the commands understand, with truth or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from one_shot import Task, evaluator, random_batches, search, tiny_space
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas and pytorch_lightning)

# isort: split
import nni.nas.strategy as nni_strategies
import pytorch_lightning as pl
from nni.nas.hub.pytorch import NasBench201
from nni.nas.nn.pytorch import LayerChoice, ModelSpace

from nni_wiring.commands import main
from nni_wiring.errors import RunError
from nni_wiring.figures.series import cell_costs
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.records import EpochRecord, Truth
from nni_wiring.report.analysis import analyse_run
from nni_wiring.runs.store import RunFolder
from nni_wiring.strategies.darts import DARTS
from nni_wiring.truth import load_table
from search_spaces.cell_graph import Wiring
from search_spaces.genotypes import MINIMAL_GRAPH, parse_genotype
from search_spaces.operations import build_operation
from search_spaces.wiring_cell import WiringCell

EPOCHS = 2


class OwnSpace(ModelSpace):
    """A cell of S1's minimal graph in two places, and a lone LayerChoice."""

    def __init__(self) -> None:
        super().__init__()

        def build(name: str, edge: str) -> nn.Module:
            return build_operation(name, 4, affine=False, track_stats=False)

        def cell() -> WiringCell:
            names = ["none", "skip_connect", "nor_conv_1x1"]
            return WiringCell(MINIMAL_GRAPH, 4, label="body", operations={"*": names}, build=build)

        self.stem = nn.Conv2d(3, 4, 1)
        self.one, self.reduce, self.two = cell(), nn.Conv2d(8, 4, 1), cell()
        self.last = LayerChoice({"conv": nn.Conv2d(8, 8, 1), "skip": nn.Identity()}, label="last")
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        x = self.reduce(self.one(x, x))
        return self.head(self.last(self.two(x, x)).mean((2, 3)))


def run(
    strategy: Any, space: Any, folder: Path, *, task: Task | None = None, **options: Any
) -> tuple[RunFolder, WiringMonitor, Any]:
    """A search that leaves a run in ``folder``."""
    monitor = WiringMonitor(run=folder, **options)
    given = evaluator(
        random_batches(3, 1), random_batches(3, 2), epochs=EPOCHS, callbacks=[monitor], task=task
    )
    _, module = search(strategy, space, given)
    return RunFolder.open(folder), monitor, module


def events(folder: RunFolder) -> dict[str, list[str]]:
    return EventAccumulator(str(folder.tensorboard)).Reload().Tags()


def printed(command: str, folder: RunFolder) -> str:
    """What a command says of the folder; it ends well."""
    done = CliRunner().invoke(main, [command, str(folder.path)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("strategy", [nni_strategies.DARTS, DARTS])
def test_an_own_space_without_truth_leaves_a_whole_run(strategy: Any, tmp_path: Path) -> None:
    pl.seed_everything(3, verbose=False)
    folder, monitor, module = run(strategy(), OwnSpace(), tmp_path / "run")
    assert folder.status == "finished"
    assert folder.config["space"] == "OwnSpace" and folder.config["epochs"] == EPOCHS
    assert folder.config["strategy"].lower() == "darts" and folder.config["seed"] == 3
    records = folder.records()
    assert [record.epoch for record in records] == list(range(EPOCHS))
    # all but seconds, written and read, is what the monitor saw
    assert records == [EpochRecord.from_json(record.to_json()) for record in monitor.records]
    for record in records:
        body, last = record.cells["body"], record.cells["last"]
        chosen = {
            edge: max(row, key=lambda name: row[name] or 0.0)
            for edge, row in ((e, record.z[f"body/{e}"]) for e in MINIMAL_GRAPH.edge_names)
        }
        assert body.operations == chosen and body.graph == MINIMAL_GRAPH
        assert body.topology == Wiring.from_edges(chosen, MINIMAL_GRAPH).topology()._asdict()
        assert last.graph is None and set(record.alpha["last"]) == {"conv", "skip"}
        assert record.truth is None and record.arch is None
        assert set(record.cost["alpha"].mean) == set(record.z) == set(record.alpha)
        assert np.shape(record.cost_cells["body/alpha"]) == (2, 5, 3)
        edges = sum(name != "none" for name in chosen.values())
        assert record.pattern["body"]["selected_edges"] == edges
        assert set(record.pattern) == {"body"}
    result = folder.result()
    assert result is not None and result["truth"] is None and result["run_id"] == folder.run_id
    exported = module.export()
    for edge, name in result["cells"]["body"]["operations"].items():
        assert exported[f"body/{edge.replace('-', '_')}"] == name
    assert result["default"] == records[-1].accuracy["search"]
    tags = events(folder)
    assert {"topology/body/width", "pattern/body/growing_index", "loss/search"} <= set(
        tags["scalars"]
    )
    assert {"cell/body", "cost/cells/body"} <= set(tags["images"])
    analyse_run(folder, None)
    assert "OwnSpace" in printed("analyze", folder)


def test_nni_s_darts_on_the_hub_s_space_has_its_truth(tmp_path: Path) -> None:
    table = load_table()
    folder, monitor, module = run(
        nni_strategies.DARTS(), NasBench201(4, 1, 3), tmp_path / "run", truth=table
    )
    record, result = folder.records()[-1], folder.result()
    assert record.arch is not None and result is not None
    assert record.truth == Truth.from_json(table.query(record.arch))
    exported = {f"{k[5]}-{k[7]}": v for k, v in module.export().items()}
    assert record.cells["cell"].operations == exported
    assert result["arch"] == record.arch
    assert result["default"] == table.query(record.arch)["accuracy"]["cifar10"]["valid"]
    scalars = events(folder)["scalars"]
    assert {"truth/cifar10/valid", "truth_expected/cifar10/valid"} <= set(scalars)
    assert (folder.tensorboard / "reference").is_dir()
    found = analyse_run(folder, table)
    assert found.arch == record.arch and found.score.accuracy == result["default"]
    assert record.arch in printed("analyze", folder)
    assert f"Darts\t1\t{result['default']:.2f}" in printed("compare", folder)
    from nni_wiring.commands.tensorboard import link_runs, write_all_references

    logdir = tmp_path / "logs"
    logdir.mkdir()
    assert link_runs(logdir, [folder]) == [folder]
    write_all_references(logdir, [folder])
    assert (logdir / "reference").is_dir()


def test_a_selection_at_the_end_is_the_result(tmp_path: Path) -> None:
    strategy = DARTS(selection="perturbation", supernet="plain")
    folder, _, module = run(strategy, tiny_space(), tmp_path / "run", truth=load_table())
    result = folder.result()
    assert result is not None and result["selection"] == "perturbation"
    [group] = strategy.groups
    names = [group.operations[k] for k in strategy.chosen(group)]
    assert Wiring.from_arch(result["arch"]).operations == tuple(names)
    assert result["truth"] == Truth.from_json(load_table().query(result["arch"])).to_json()  # type: ignore[union-attr]
    assert folder.config["strategy"] == "darts" and folder.config["selection"] == "perturbation"


def test_darts_space_keeps_genotype_topology_and_patterns_of_both_kinds(tmp_path: Path) -> None:
    space = tiny_space(name="darts_s2", cells=3, channels=4)
    folder, _, _ = run(DARTS(), space, tmp_path / "run")
    record, result = folder.records()[-1], folder.result()
    assert result is not None and record.arch == result["arch"]
    genotype = parse_genotype(record.arch or "")
    for kind in ("normal", "reduce"):
        wiring = genotype.wiring(kind)
        assert record.cells[kind].operations == wiring.chosen
        assert record.cells[kind].topology == wiring.topology()._asdict()
        assert record.pattern[kind]["selected_edges"] == 14  # the space has no none
    assert {"cell/normal", "cost/cells/reduce"} <= set(events(folder)["images"])
    assert folder.config["space"] in printed("analyze", folder)


def test_costs_of_the_heat_map_are_those_of_the_table() -> None:
    names = {"*": ["skip_connect", "none"], "0-3": ["nor_conv_1x1", "skip_connect"]}
    monitor = WiringMonitor()
    given = evaluator(random_batches(3, 1), random_batches(3, 2), callbacks=[monitor])
    search(DARTS(), tiny_space(operations=names), given)
    [record] = monitor.records
    found = cell_costs(record)
    assert found is not None and found.phase == "alpha"
    mean = record.cost["alpha"].mean  # pooled over cells, which all ran in every step
    for column, edge in enumerate(found.edges):
        expected = sum((record.z[edge][op] or 0.0) * (mean[edge][op] or 0.0) for op in mean[edge])
        assert found.values[:, column].mean() == pytest.approx(expected, rel=1e-5, abs=1e-9)


class Trouble(pl.Callback):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: Any) -> None:
        if trainer.current_epoch == 1:
            raise self.error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValueError("broken\nbadly"), "failed", "ValueError: broken"),
        (KeyboardInterrupt(), "interrupted", "stopped by the user"),
    ],
)
def test_a_search_that_ends_early_says_how(
    error: BaseException, status: str, words: str, tmp_path: Path
) -> None:
    monitor = WiringMonitor(run=tmp_path / "run")
    given = evaluator(
        random_batches(2, 1), random_batches(2, 2), epochs=3, callbacks=[monitor, Trouble(error)]
    )
    with pytest.raises((ValueError, SystemExit, KeyboardInterrupt)):
        search(nni_strategies.DARTS(), OwnSpace(), given)
    folder = RunFolder.open(tmp_path / "run")
    assert (folder.status, folder.info["error"]) == (status, words)
    assert len(folder.records()) == 1 and folder.result() is None
    analyse_run(folder, None)


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path: Path) -> None:
    folder, _, _ = run(DARTS(), tiny_space(), tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="already holds a run"):
        run(DARTS(), tiny_space(), tmp_path / "run")
    after = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    assert after == before


def test_proxyless_leaves_alphas_and_cells(tmp_path: Path) -> None:
    folder, _, _ = run(nni_strategies.Proxyless(), NasBench201(4, 1, 3), tmp_path / "run")
    record = folder.records()[-1]
    assert record.cost == {} and record.arch is not None
    assert sum(value or 0.0 for value in record.z["0-1"].values()) == pytest.approx(1)
