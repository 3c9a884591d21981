"""A made-up table of TransNAS-Bench-101 micro: written, imported and asked, by hand counts."""

from __future__ import annotations

import gzip
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import (
    BENCHMARKS,
    TruthTable,
    default_name,
    load_table,
    set_default,
    stats,
    table_for,
    table_of_run,
)
from nni_wiring.truth.catalogue import table_path
from nni_wiring.truth.importer import import_table
from nni_wiring.tuners.simulate import Budget, make_task, run_baseline
from search_spaces.cell_graph import NB201, Wiring
from search_spaces.errors import SpaceError
from search_spaces.registry import space_entry

MICRO = "transnas101_micro"
OPS = list(product(range(4), repeat=6))
ARCHS = [f"64-41414-{a}_{b}{c}_{d}{e}{f}" for a, b, c, d, e, f in OPS]
GENERATOR = np.random.default_rng(0)
ACCURACY = GENERATOR.permutation(4096) / 50  # percent, all different
LOSS = GENERATOR.permutation(4096) / 1e4
HEADER = "arch,class_scene/valid,room_layout/valid@25,train_25/class_scene"


def rows(order: np.ndarray) -> str:
    lines = [f"{ARCHS[i]},{ACCURACY[i]},{LOSS[i]},{i + 1}" for i in order.tolist()]
    return "\n".join([HEADER, *lines, ""])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("micro") / "micro.csv"
    path.write_text(f"# benchmark: {MICRO}\n" + rows(GENERATOR.permutation(4096)))
    return path


@pytest.fixture
def table(source: Path, cache: Path) -> TruthTable:
    report = import_table(source, "micro")
    assert (report.benchmark, report.cells, report.version) == (MICRO, 4096, "own columns")
    assert report.metrics == ["class_scene/valid@25", "room_layout/valid@25"]
    return load_table("micro")


def test_values_stand_at_their_cells_whatever_the_order_of_rows(table: TruthTable) -> None:
    assert table.benchmark is BENCHMARKS[MICRO] and len(table) == 4096
    np.testing.assert_allclose(table.values("class_scene", "valid"), ACCURACY, rtol=1e-6)
    np.testing.assert_allclose(table.values("room_layout", "valid"), LOSS, rtol=1e-6)
    np.testing.assert_allclose(table.seconds("class_scene"), np.arange(1, 4097), rtol=1e-6)
    number = OPS.index((1, 0, 2, 3, 3, 3))
    wiring = Wiring(NB201, tuple(BENCHMARKS[MICRO].operations[k] for k in OPS[number]))
    for cell in ("64-41414-1_02_333", " 1_02_333", number, str(number), OPS[number], wiring):
        assert table.index_of(cell) == number
    assert table.arch(number) == "64-41414-1_02_333"


def test_a_loss_is_better_where_it_is_smaller(table: TruthTable) -> None:
    best = int(LOSS.argmin())
    assert table.optimum("room_layout", "valid").index == best
    np.testing.assert_array_equal(table.rank("room_layout", "valid"), LOSS.argsort().argsort() + 1)
    regret = table.regret("room_layout", "valid")
    np.testing.assert_allclose(regret, LOSS - LOSS.min(), atol=1e-6)
    assert table.percentile("room_layout", "valid")[best] == 100.0
    assert table.kendall_tau(-LOSS, "room_layout", "valid") == pytest.approx(1.0)
    top = [entry.index for entry in table.top(5, "room_layout", "valid")]
    assert top == np.argsort(LOSS)[:5].tolist()
    assert table.optimum("class_scene", "valid").index == ACCURACY.argmax()


def test_truth_and_query_agree_and_name_what_is_missing(table: TruthTable) -> None:
    truth, answer = table.truth("64-41414-1_02_333"), table.query("64-41414-1_02_333")
    assert truth.benchmark == MICRO and truth.index == answer["index"]
    assert answer["arch"] == "64-41414-1_02_333" and answer["parameters"] == {}
    assert set(truth.scores) == {
        (d, s) for d in BENCHMARKS[MICRO].dataset_names for s in ("valid", "test")
    }
    loss = float(np.float32(LOSS[truth.index or 0]))
    assert truth.at("room_layout", "valid").accuracy == pytest.approx(loss, abs=1e-6)
    assert answer["accuracy"]["room_layout"] == {
        "valid": truth.at("room_layout", "valid").accuracy,
        "test": None,
    }
    assert answer["accuracy"]["normal"] == {"valid": None, "test": None}
    with pytest.raises(BenchmarkError, match="no SSIM normal/valid@30.*class_scene/valid@25"):
        table.values("normal", "valid")
    with pytest.raises(BenchmarkError, match="'cifar10' of TransNAS-Bench-101 micro"):
        table.has("cifar10", "valid")


def test_expected_truth_is_the_sum_over_all_cells(table: TruthTable) -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(4), size=6)
    weights = np.array([np.prod([p[edge, op] for edge, op in enumerate(ops)]) for ops in OPS])
    truth = table.expected_truth(p)
    assert truth.index is None and truth.benchmark == MICRO
    for dataset, values in (("class_scene", ACCURACY), ("room_layout", LOSS)):
        expected = float((weights * values.astype(np.float32)).sum())
        assert truth.at(dataset, "valid").accuracy == pytest.approx(expected, rel=1e-9)
        assert table.expectation(p, dataset, "valid") == truth.at(dataset, "valid").accuracy
    assert truth.at("jigsaw", "valid").accuracy is None
    with pytest.raises(SpaceError, match=r"expected shape \(6, 4\)"):
        table.expected_truth(np.full((6, 5), 0.2))


def test_cells_of_the_other_benchmark_are_refused(table: TruthTable) -> None:
    first = load_table("bundled")
    with pytest.raises(SpaceError, match="1, 2 and 3 digits"):
        table.query(first.arch(0))
    with pytest.raises(SpaceError, match="expected"):
        first.query(ARCHS[0])
    pool = Wiring(NB201, ("avg_pool_3x3",) * 6)
    assert first.truth(pool).index == first.index_of([4] * 6)
    with pytest.raises(SpaceError, match="'avg_pool_3x3' is none of transnas101_micro"):
        table.truth(pool)


def test_counts(table: TruthTable) -> None:
    counts = stats(table)
    assert counts["cells"] == 4096 and sum(counts["width_depth"].values()) == 4096
    assert counts["non_none_edges"]["6"] == 3**6
    assert counts["best"]["room_layout"]["valid"]["index"] == LOSS.argmin()
    # fewer cells and one operation less: fewer classes than the 6,466 and 5,260 of all
    assert counts["unique_exact"] < counts["unique_published"] < 4096


def test_a_baseline_seeks_the_small_loss(table: TruthTable) -> None:
    with pytest.raises(BenchmarkError, match="no training times for room_layout"):
        make_task(table, "room_layout")
    task = make_task(table, "class_scene")
    assert (task.signal_epochs, task.split, len(task.choices[0])) == (25, "valid", 4)
    one = run_baseline("random", task, Budget(4000, "evaluations"), 3, 0)
    assert task.best == pytest.approx(ACCURACY.max(), rel=1e-6)
    assert one.summary()["mean"] > np.quantile(ACCURACY, 0.99)


def test_parquet_with_metadata_and_a_column_map(cache: Path, tmp_path: Path) -> None:
    content = pa.table(
        {
            "cell": ["".join(map(str, ops)) for ops in OPS],
            "ssim1": -0.1 + ACCURACY / 100,
            "ssim2": 0.1 + ACCURACY / 100,
        }
    )
    path = tmp_path / "micro.parquet"
    parquet.write_table(content.replace_schema_metadata({"benchmark": MICRO}), path)
    columns = {"ops": "cell", "normal/test": ["ssim1", "ssim2"]}
    report = import_table(path, "p", columns=columns, make_default=False)
    assert report.metrics == ["normal/test@30"]
    np.testing.assert_allclose(load_table("p").values("normal", "test"), ACCURACY / 100, atol=1e-6)
    parquet.write_table(content, path)
    with pytest.raises(BenchmarkError, match="'normal/test' is unknown.*NAS-Bench-201: cifar10"):
        import_table(path, "p", columns=columns)


def test_compressed_text_with_windows_lines_is_read(cache: Path, tmp_path: Path) -> None:
    text = f"#benchmark:{MICRO} \r\n" + rows(np.arange(10)).replace("\n", "\r\n")
    (tmp_path / "part.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    import_table(tmp_path / "part.csv.gz", "part", partial=True)
    table = load_table("part")
    np.testing.assert_allclose(table.values("class_scene", "valid")[:10], ACCURACY[:10], rtol=1e-6)
    assert np.isnan(table.values("class_scene", "valid")[10:]).all()
    assert table.expected_truth(np.full((6, 4), 0.25)).at("class_scene", "valid").accuracy is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# benchmark: nb301\narch,a\n", "'nb301' is not known; allowed: nasbench201, trans"),
        (f"# benchmark: {MICRO}\narch,cifar10/valid\n", "no column names a metric, such as class_"),
        (f"# benchmark: {MICRO}\n{HEADER}\n4_00_000,1,1,1\n", "row 1.*operation '4' on edge 0-1"),
        (f"# benchmark: {MICRO}\n{HEADER}\n1_02_333,101,1,1\n", "101, allowed: 0..100"),
        (f"# benchmark: {MICRO}\n{HEADER}\n1_02_333,1,-1,1\n", "L2 loss room_layout/valid@25 of"),
        (f"# benchmark: {MICRO}\n{HEADER}\n1_02_333,1,1\n", "line 3 has 3 fields"),
        (f"# benchmark: {MICRO}\n{HEADER}\n1_02_333,1,,1\n", "no value in column 'room_layout"),
        (
            f"# benchmark: {MICRO}\n{HEADER}\n1_02_333,1,1,1\n64-41414-1_02_333,1,1,1\n",
            "1 cells stand in it more than once",
        ),
        (f"# benchmark: {MICRO}\n{HEADER}\n" + "1_02_333,1,1,1\n" * 4097, "more than 4096 rows"),
    ],
)
def test_a_wrong_file_is_one_line(text: str, expected: str, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(BenchmarkError, match=expected) as caught:
        import_table(tmp_path / "bad.csv", "bad", partial=True)
    assert "\n" not in str(caught.value) and "bad.csv" in str(caught.value)
    assert not table_path("bad").exists()


def test_no_table_is_bundled_and_the_line_says_how_to_get_one(cache: Path) -> None:
    with pytest.raises(BenchmarkError, match="has no table yet; import a .csv.*benchmark import"):
        load_table(MICRO)
    assert default_name(MICRO) is None and table_for(MICRO) is None


def test_defaults_are_kept_per_benchmark(
    table: TruthTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (default_name(), default_name(MICRO)) == ("bundled", "micro")
    assert load_table().name == "bundled" and load_table(MICRO).name == "micro"
    assert load_table("nasbench201").name == "bundled"
    monkeypatch.setenv("NNI_WIRING_BENCHMARK", "micro")
    assert load_table().name == "micro"
    assert (default_name(), default_name(MICRO)) == ("bundled", "micro")
    monkeypatch.delenv("NNI_WIRING_BENCHMARK")
    set_default("micro")
    assert default_name() == "bundled"


def test_several_tables_need_a_choice(source: Path, cache: Path) -> None:
    import_table(source, "one", make_default=False)
    assert default_name(MICRO) == "one"
    import_table(source, "two", make_default=False)
    with pytest.raises(BenchmarkError, match="choose one of one, two"):
        load_table(MICRO)
    set_default("two")
    assert load_table(MICRO).name == "two"


def test_a_search_of_the_space_is_shown_no_truth_of_the_other_benchmark(
    source: Path, cache: Path
) -> None:
    from nni_wiring.search.assemble import truth_for
    from nni_wiring.search.config import make_config

    config = make_config({"space": MICRO, "data": "digits"})
    assert truth_for(config) is None
    import_table(source, "micro", make_default=False)
    found = truth_for(config)
    assert found is not None and found.benchmark is BENCHMARKS[MICRO]
    with pytest.raises(BenchmarkError, match="'bundled' is of NAS-Bench-201"):
        truth_for(make_config({"space": MICRO, "data": "digits", "benchmark": "bundled"}))


def test_the_table_of_a_run_by_its_settings(table: TruthTable) -> None:
    assert table_of_run({"space": MICRO}) is table
    first = table_of_run({"space": "nasbench201", "benchmark": "bundled", "operations": None})
    assert first is load_table("bundled")
    assert table_of_run({"space": MICRO, "operations": {"*": ["noise", "none"]}}) is None
    for settings in ({}, {"space": "darts"}, {"space": "unknown"}, {"space": 3}):
        assert table_of_run(settings) is None
    for constraint in (3, [1], "x", {"0-1": 3}, {"9-9": ["none"]}):
        assert table_of_run({"space": MICRO, "operations": constraint}) is None
    with pytest.raises(BenchmarkError, match="'bundled' is of NAS-Bench-201"):
        table_of_run({"space": MICRO, "benchmark": "bundled"})


def test_whose_truth(table: TruthTable) -> None:
    """A space of NAS-Bench-201's graph with these four operations has no truth of NAS-Bench-201."""
    micro, first = space_entry(MICRO), space_entry("nasbench201")
    assert (micro.cells(), micro.graph) == (4096, first.graph)
    assert table_for(micro.truth_benchmark()) is table
    found = table_for(first.truth_benchmark())
    assert found is not None and found.name == "bundled"
    with pytest.raises(BenchmarkError, match="'bundled' is of NAS-Bench-201, .* TransNAS-Bench"):
        table_for(micro.truth_benchmark(), "bundled")
    with pytest.raises(BenchmarkError, match="'micro' is of TransNAS-Bench-101 micro"):
        table_for(first.truth_benchmark(), "micro")
    with pytest.raises(BenchmarkError, match="no table 'nowhere'"):
        table_for(MICRO, "nowhere")
    assert table_for(None) is table_for(None, "bundled") is None
    table_path("micro").unlink()
    load_table.__globals__["_load"].cache_clear()
    assert table_for(micro.truth_benchmark()) is None
