"""What a benchmark says of itself, against the papers' counts and hand-written cells."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import BENCHMARKS, NASBENCH201, Benchmark, Dataset, Protocol, table_for
from nni_wiring.truth.benchmarks import benchmark
from nni_wiring.truth.importer import import_table
from search_spaces.cell_codec import CODECS
from search_spaces.cell_codes import BarCodec
from search_spaces.cell_graph import NB201, all_topology
from search_spaces.errors import SpaceError
from search_spaces.registry import SPACES, SpaceEntry

MICRO = BENCHMARKS["transnas101_micro"]
#: string, operation index per edge 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 (the README of its authors)
HAND_WRITTEN = {
    "64-41414-1_02_333": (1, 0, 2, 3, 3, 3),
    "64-41414-0_00_000": (0, 0, 0, 0, 0, 0),
    "64-41414-3_21_012": (3, 2, 1, 0, 1, 2),
    "64-41414-3_33_333": (3, 3, 3, 3, 3, 3),
}


def test_names_and_sizes() -> None:
    assert {name: one.cells for name, one in BENCHMARKS.items()} == {
        "nasbench201": 15_625,
        "transnas101_micro": 4_096,
    }
    assert benchmark("nasbench201") is NASBENCH201
    with pytest.raises(BenchmarkError, match="'nb301' is not known.*nasbench201"):
        benchmark("nb301")


@pytest.mark.parametrize("one", BENCHMARKS.values(), ids=lambda one: one.name)
def test_codec_numbers_and_spells_every_cell_once(one: Benchmark) -> None:
    codec = one.codec
    every = list(product(range(len(one.operations)), repeat=len(one.graph.edges)))
    assert len(every) == one.cells == len(set(codec.archs))
    np.testing.assert_array_equal(codec.cells, every)
    np.testing.assert_array_equal(codec.code(every), np.arange(one.cells))
    for code in range(0, one.cells, 37):
        assert codec.parse(codec.archs[code]) == every[code]
        assert codec.spell(every[code]) == codec.archs[code]
        assert codec.code_of_arch[codec.archs[code]] == code
    assert sorted(one.order().tolist()) == list(range(one.cells))
    assert CODECS[one.name] is codec


@pytest.mark.parametrize(("arch", "ops"), HAND_WRITTEN.items())
def test_transnas_strings(arch: str, ops: tuple[int, ...]) -> None:
    assert MICRO.codec.parse(arch) == MICRO.codec.parse(f" {arch.split('-')[2]}\n") == ops
    assert MICRO.codec.spell(ops) == arch


@pytest.mark.parametrize(
    ("arch", "named"),
    [
        ("", "not an arch string"),
        ("64-41414-1_02_334", "operation '4' on edge 2-3 is not known; allowed: 0 none"),
        ("64-41414-x_02_333", "operation 'x' on edge 0-1"),
        ("64-41414-1_02", "1, 2 and 3 digits; expected 64-41414-A_BC_DEF"),
        ("64-2311-basic", "1, 2 and 3 digits"),
        ("32-41414-1_02_333", "1, 2 and 3 digits"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "1, 2 and 3 digits"),
        ("1_0\n_333", "1, 2 and 3 digits|operation"),
        ("\N{SUPERSCRIPT TWO}_00_000", "operation '.' on edge 0-1"),
        ("9" * 1_000_000, "1, 2 and 3 digits"),
    ],
)
def test_other_strings_are_no_transnas_cells(arch: str, named: str) -> None:
    with pytest.raises(SpaceError, match=named) as caught:
        MICRO.codec.parse(arch)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_topology_of_the_part_without_pooling_by_counting() -> None:
    """The 4,096 cells are those of NAS-Bench-201 without the pool, whose counts are known."""
    whole = all_topology()
    part = (NASBENCH201.codec.cells != NASBENCH201.operations.index("avg_pool_3x3")).all(axis=1)
    assert part.sum() == MICRO.cells
    for name, column in MICRO.topology._asdict().items():
        np.testing.assert_array_equal(column, getattr(whole, name)[part])
    # a cell is disconnected iff all four paths are cut: inclusion and exclusion by hand
    cut = sum(
        ops[3] == 0
        and (ops[0] == 0 or ops[4] == 0)
        and (ops[1] == 0 or ops[5] == 0)
        and (ops[0] == 0 or ops[2] == 0 or ops[5] == 0)
        for ops in product(range(4), repeat=6)
    )
    assert (~MICRO.topology.connected).sum() == cut


def test_data_sets_measures_and_published_rows() -> None:
    assert NASBENCH201.dataset_titles == {
        "cifar10": "CIFAR-10",
        "cifar100": "CIFAR-100",
        "imagenet16": "ImageNet16-120",
    }
    assert NASBENCH201.column_title("imagenet16", "valid") == "ImageNet16-120 validation"
    assert NASBENCH201.dataset("cifar10").protocol.images == {"valid": 25_000, "test": 50_000}
    assert NASBENCH201.measure("cifar10").label == "accuracy %"
    assert len(NASBENCH201.published_rows()) == 62
    better = {one.name: one.measure.higher_is_better for one in MICRO.datasets}
    assert better == {
        "class_scene": True,
        "class_object": True,
        "room_layout": False,
        "jigsaw": True,
        "segmentsemantic": True,
        "normal": True,
        "autoencoder": True,
    }
    epochs = [MICRO.full_epochs(name) for name in MICRO.dataset_names]
    assert epochs == [25, 25, 25, 10, 30, 30, 30]
    assert MICRO.published_rows() == []
    with pytest.raises(BenchmarkError, match="'mnist' of NAS-Bench-201; allowed: cifar10"):
        NASBENCH201.check("mnist", "valid")
    with pytest.raises(BenchmarkError, match="'train' of NAS-Bench-201; allowed: valid, test"):
        NASBENCH201.check("cifar10", "train")


@pytest.mark.parametrize("name", [n for n, s in SPACES.items() if s.benchmark is not None])
def test_a_space_that_names_a_benchmark_has_its_graph_and_operations(name: str) -> None:
    entry = SPACES[name]
    assert entry.benchmark is not None
    named = BENCHMARKS[entry.benchmark]
    assert entry.graph == named.graph and set(entry.candidates) == set(named.operations)


def test_whose_data_set_is_shown() -> None:
    assert NASBENCH201.shown_dataset(None, "cifar100") == "cifar100"
    assert NASBENCH201.shown_dataset("imagenet16", "cifar100") == "imagenet16"
    assert MICRO.shown_dataset(None, "cifar10") == "class_scene"
    with pytest.raises(BenchmarkError, match="'cifar10' of TransNAS-Bench-101 micro"):
        MICRO.shown_dataset("cifar10", "cifar10")


def test_a_training_is_held_against_the_protocol() -> None:
    protocol = NASBENCH201.dataset("cifar10").protocol
    tabulated = {"channels": 16, "cells": 5, "epochs": 200, "batch_size": 256, "lr": 0.1}
    assert protocol.differences(tabulated) == {}
    changed = {**tabulated, "lr": 0.025, "epochs": 12, "nesterov": False}
    assert protocol.differences(changed) == {
        "epochs": (12, 200),
        "lr": (0.025, 0.1),
        "nesterov": (False, True),
    }


def test_a_benchmark_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/benchmark.md shows it: 2**6 cells, one data set."""
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    codec = CODECS.register(BarCodec("mine", NB201, ("none", "nor_conv_3x3"), "|op~0|+..."))
    protocol = Protocol({"valid": 1000}, epochs=(30,), channels=8, cells=1, optimiser="SGD, lr .1")
    own = Benchmark("My cells", codec, (Dataset("mine", "My images", protocol),))
    BENCHMARKS.register(own)
    try:
        cells = ["".join(ops) for ops in product("01", repeat=6)]
        rows = [f"{cell},{cell.count('1') / 2}" for cell in reversed(cells)]
        lines = ["# benchmark: mine", "ops,mine/valid", *rows, ""]
        (tmp_path / "own.csv").write_text("\n".join(lines))
        import_table(tmp_path / "own.csv", "own")
        space = SpaceEntry("mine", "", NB201, candidates=codec.operations, benchmark="mine")
        table = table_for(space.truth_benchmark())
        assert table is not None and table.benchmark is own and len(table) == 64
        best = table.optimum("mine", "valid")
        assert best.accuracy == 3.0 and best.arch.count("nor_conv_3x3") == 6
        assert table.expectation(np.full((6, 2), 0.5), "mine", "valid") == pytest.approx(1.5)
        assert space.truth_benchmark({"*": ["skip_connect"]}) is None
    finally:
        del BENCHMARKS["mine"], CODECS["mine"]


def test_columns_of_alpha_in_the_benchmark_s_order() -> None:
    p = np.array([[0.1, 0.6, 0.3]] * len(NB201.edges))
    found = MICRO.in_order(("nor_conv_3x3", "none", "skip_connect"), p)
    np.testing.assert_allclose(found, [[0.6, 0.3, 0.0, 0.1]] * 6)
    with pytest.raises(SpaceError, match="'avg_pool_3x3' is none of transnas101_micro"):
        MICRO.in_order(("none", "avg_pool_3x3"), p[:, :2])
