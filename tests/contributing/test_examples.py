"""CONTRIBUTING's nine examples: each is registered, used, and compared with numbers by hand."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tiny_runs
import torch
from PIL import Image
from synthetic_runs import write_run
from tiny_search import CELLS, STEPS, TinySearch

from nni_wiring.data.registry import _SOURCES, load_data
from nni_wiring.errors import BenchmarkError, DataError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.monitor.statistics import STATISTICS
from nni_wiring.records import EpochRecord
from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.sections import SECTIONS, findings, run_json
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.selection.registry import SELECTIONS, selection_class
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.parts.declaration import Parts
from nni_wiring.strategies.registry import STRATEGIES, strategy_class
from nni_wiring.studies.registry import STUDIES, study
from nni_wiring.studies.running import run_study
from nni_wiring.supernet.edge_group import EdgeGroup
from nni_wiring.supernet.relaxations import RELAXATIONS, relaxation_class
from nni_wiring.truth import load_table
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.catalogue import forget
from nni_wiring.truth.importer import import_table
from search_spaces.cell_codec import CODECS
from search_spaces.errors import SpaceError
from search_spaces.registry import SPACES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REGISTRIES: tuple[MutableMapping[str, Any], ...] = (
    *(STRATEGIES, RELAXATIONS, SPACES, BENCHMARKS, CODECS),
    *(_SOURCES, STATISTICS, SELECTIONS, STUDIES, SECTIONS),
)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports an example; what it registered is known while the test runs."""
    known = [set(registry) for registry in REGISTRIES]
    monkeypatch.syspath_prepend(EXAMPLES)
    names: list[str] = []

    def load(name: str) -> ModuleType:
        names.append(name)
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    yield load
    for registry, before in zip(REGISTRIES, known, strict=True):
        for name in set(registry) - before:
            del registry[name]
    for name in names:
        sys.modules.pop(name, None)


def group_of(*edges: tuple[float, ...]) -> EdgeGroup:
    """Edges of the operations none, a, b with these alphas."""
    names = [f"0-{target}" for target in range(1, len(edges) + 1)]
    group = EdgeGroup("cell", names, names, [("none", "a", "b")] * len(edges))
    group.alpha.data.copy_(torch.tensor(edges))
    return group


def test_strategy(load: Callable[[str], ModuleType]) -> None:
    load("custom_strategy")
    search = TinySearch(strategy_class("partial_gdas")(), epochs=1).run()
    for phase in ("weights", "alpha"):
        for counts in search.counts(phase).values():  # one operation per edge, cell and step
            assert sum(counts.values()) == STEPS * CELLS


def test_relaxation(load: Callable[[str], ModuleType]) -> None:
    load("custom_relaxation")
    sparsemax = relaxation_class("sparsemax")()
    group = group_of((1.0, 0.5, -1.0), (0.0, 0.0, 0.0), (5.0, 0.0, 0.0))
    z, active, _ = sparsemax.draw(group, "alpha", torch.Generator())
    # (1 + .5 - 1) / 2 = .25 is subtracted on the first edge
    expected = torch.tensor([[0.75, 0.25, 0.0], [1 / 3] * 3, [1.0, 0.0, 0.0]])
    torch.testing.assert_close(z.detach(), expected)
    assert active == group.allowed
    (z[0, 0] * 2 + z[2, 0]).backward()
    # Martins & Astudillo, eq. 9: the Jacobian is diag(s) - s s' / |S| with S the support
    torch.testing.assert_close(group.alpha.grad[0], torch.tensor([1.0, -1.0, 0.0]))
    torch.testing.assert_close(group.alpha.grad[2], torch.zeros(3))


def test_relaxation_in_a_search(load: Callable[[str], ModuleType]) -> None:
    load("custom_relaxation")

    class SparseDARTS(WiringStrategy):
        name = "sparse_darts"

        def declare(self) -> Parts:
            return Parts(relaxation_class("sparsemax")())

    search = TinySearch(SparseDARTS(), epochs=2).run()
    record = search.monitor.records[-1]
    for edge, row in record.z.items():
        alpha = np.array(list(record.alpha[edge].values()))
        z = np.array(list(row.values()))
        assert z.sum() == pytest.approx(1, rel=1e-5)
        shift = (alpha - z)[z > 0]  # all weights that are not zero are alpha less one number
        np.testing.assert_allclose(shift, shift[0], atol=1e-6)
        assert (alpha[z == 0] <= shift[0] + 1e-6).all()


def test_space(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    load("custom_space")
    record = search_triangle(tmp_path / "run", knots=3)
    assert list(record.alpha) == ["0-1", "0-2", "1-2"]
    assert SPACES["triangle"].cells() == 27
    assert np.shape(record.cost_cells["alpha"]) == (3, 3, 3)  # knots, edges, operations
    assert record.truth is None
    (cell,) = record.cells.values()
    assert list(cell.operations) == list(record.alpha)


def search_triangle(path: Path, **options: Any) -> EpochRecord:
    """The last record of a tiny search of the example's space."""
    small = {"epochs": 2, "max_steps": 3, "batch_size": 8, "width": 2}
    config = make_config({**small, "space": "triangle", **options})
    folder = RunFolder.create(path, path.name, config.flat())
    run_search(config, folder)
    return folder.records()[-1]


def test_benchmark(
    load: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    example = load("custom_benchmark")
    # the accuracy of a cell: 10 + 30 per convolution + 5 per skip connection
    archs = [a + b + c for a in "nsc" for b in "nsc" for c in "nsc"]
    value = {arch: 10 + 30 * arch.count("c") + 5 * arch.count("s") for arch in archs}
    lines = [f"{arch},{value[arch]}" for arch in reversed(archs)]
    source = tmp_path / "triangle.csv"
    source.write_text("\n".join(["# benchmark: triangle27", "arch,top1", *lines, ""]))
    forget()
    try:
        import_table(source, "mine", columns={"arch": "arch", "blobs/test": "top1"})
        table = load_table("triangle27")
        assert table.benchmark is example.TRIANGLE27 and len(table) == 27
        truth = table.truth("csn").at("blobs", "test")
        assert (truth.accuracy, truth.rank) == (45.0, 11)  # 100, 3 x 75, 3 x 70, 3 x 50 lie above
        third = np.full((3, 3), 1 / 3)
        assert table.expectation(third, "blobs", "test") == pytest.approx(10 + 3 * (30 + 5) / 3)
        with pytest.raises(SpaceError, match="3 letters of n, s, c"):
            table.index_of("nsx")
        load("custom_space")
        SPACES["triangle"] = replace(SPACES["triangle"], benchmark="triangle27")
        record = search_triangle(tmp_path / "run")
        chosen = [max(row, key=row.__getitem__) for row in record.alpha.values()]
        arch = "".join({"none": "n", "skip_connect": "s", "nor_conv_3x3": "c"}[k] for k in chosen)
        assert record.truth is not None
        assert record.truth.at("blobs", "test").accuracy == value[arch]
        with pytest.raises(BenchmarkError, match="'cifar10' of Triangle-27; allowed: blobs"):
            WiringMonitor(table, "cifar10")
    finally:
        forget()


def test_data_set(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    load("custom_data")
    for own, level in (("cats", 51), ("dogs", 204)):
        (tmp_path / own).mkdir()
        for number in range(8):
            Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(
                tmp_path / own / f"{number}.png"
            )
    data = load_data(f"folder:{tmp_path}")
    assert data.labels.tolist() == [0] * 8 + [1] * 8
    assert data.images.shape == (16, 3, 8, 8) and data.images[:, 0, 0, 0].tolist() == (
        [51] * 8 + [204] * 8
    )
    assert data.mean == pytest.approx([0.5] * 3)  # (51 + 204) / 2 of 255
    assert data.std == pytest.approx([0.3] * 3)
    assert data.num_classes == 2
    folder = tiny_runs.run(tmp_path / "run", data=f"folder:{tmp_path}", epochs=1, batch_size=4)
    assert folder.status == "finished"
    with pytest.raises(DataError, match="all images of one size"):
        load_data(f"folder:{tmp_path / 'nothing'}")


def test_statistic(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    load("custom_statistic")
    first, *others = tiny_runs.run(tmp_path / "run", epochs=3).records()
    assert first.statistics.get("alpha_movement") is None
    before = first
    for record in others:
        for edge, row in record.alpha.items():
            step = np.array(list(row.values())) - list(before.alpha[edge].values())
            length = record.statistics["alpha_movement"][edge]
            assert length == pytest.approx(np.sqrt((step**2).sum())) and length > 0
        before = record
    again = STATISTICS["alpha_movement"]()
    again.load_state(json.loads(json.dumps({"before": before.alpha})))
    assert again.state() == {"before": before.alpha}


def test_selection(load: Callable[[str], ModuleType]) -> None:
    load("custom_selection")
    p = torch.tensor([[0.5, 0.1, 0.4], [0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
    group = group_of(*p.tolist())
    kind = selection_class("clear_none")
    assert kind().read(group, p) == [2, 0, 1]  # .5 leads by .1 only, .7 by .5
    assert kind(margin=0.05).read(group, p) == [0, 0, 1]
    assert kind(margin=0.6).read(group, p) == [2, 1, 1]


def test_study(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    load("custom_study")
    found = study("skip-share")
    small = {"data": "digits", "batch_size": 8, "epochs": 1, "max_steps": 2}
    result = run_study(found, found.options(small), tmp_path / "study")
    shares = []
    for seed in (1, 2):
        arch = RunFolder.open(tmp_path / "study" / "runs" / f"s{seed}").result()["arch"]
        shares.append(arch.count("skip_connect") / 6)
    assert result["tables"][0]["rows"] == [[1, shares[0]], [2, shares[1]]]
    (verdict,) = result["verdicts"]
    assert (verdict["verdict"] == "holds") == (sum(shares) / 2 > 0.2)
    assert result["pictures"] == ["skip_share.png"]


def test_report_section(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    load("custom_section")
    run = write_run(tmp_path / "run", "cccccc sscccc")
    # alpha is .51 for one of five operations, else 0
    margin = (np.exp(0.51) - 1) / (np.exp(0.51) + 4)
    analysis = analyse_run(run, None)
    said = run_json(analysis, None)["margin"]
    assert said == pytest.approx(dict.fromkeys(("0-1", "0-2", "1-2", "0-3", "1-3", "2-3"), margin))
    assert dict(findings(analysis))["Margin"].endswith(f": {margin:.3f}.")
    empty = analyse_run(RunFolder.create(tmp_path / "empty", "empty", {}), None)
    assert run_json(empty, None)["margin"] is None
