from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import (
    DATASETS,
    TruthTable,
    default_name,
    load_table,
    set_default,
    stats,
    table_names,
)
from nni_wiring.truth.catalogue import table_path
from nni_wiring.truth.importer import detect, import_table

RUNS = {"cifar10": "cifar10valid", "cifar100": "cifar100", "imagenet16": "imagenet16"}


@pytest.fixture(scope="module")
def v11(shared_data: Path) -> TruthTable:
    import_table(shared_data / "nb201_truth.csv.gz", "v11", make_default=False)
    return load_table("v11")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_best_cells_of_the_merged_table(v11: TruthTable) -> None:
    best = stats(v11)["best"]
    expected = {
        ("cifar10", "valid"): (91.6067, 6111),
        ("cifar10", "test"): (94.3733, 6111),
        ("cifar100", "valid"): (73.4933, 9930),
        ("cifar100", "test"): (73.5133, 9930),
        ("imagenet16", "valid"): (46.7333, 10676),
        ("imagenet16", "test"): (47.3111, 857),
    }
    for (dataset, split), (accuracy, index) in expected.items():
        assert best[dataset][split]["index"] == index
        assert best[dataset][split]["accuracy"] == pytest.approx(accuracy, abs=1e-4)


def test_kendall_taus_of_the_merged_table(v11: TruthTable) -> None:
    # The known figures were taken with other handling of ties; tau-b itself is tested by pairs.
    for dataset, tau in (("cifar10", 0.8908), ("cifar100", 0.9324), ("imagenet16", 0.9376)):
        valid = v11.values(dataset, "valid")
        assert v11.kendall_tau(valid, dataset, "test") == pytest.approx(tau, abs=1e-3)
    early = v11.values("cifar10", "valid", epochs=12)
    assert v11.kendall_tau(early, "cifar10", "test") == pytest.approx(0.5942, abs=1e-3)
    sizes = [v11.query(index)["parameters"]["cifar10"] for index in range(len(v11))]
    assert v11.kendall_tau(sizes, "cifar10", "test") == pytest.approx(0.5774, abs=1e-3)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_value_of_the_merged_table(
    v11: TruthTable, truth: pd.DataFrame, dataset: str
) -> None:
    run = RUNS[dataset]
    for split, epochs, column in (
        ("valid", 200, f"v11_{run}_val200"),
        ("test", 200, f"v11_{dataset}_test200"),
        ("valid", 12, f"e12_{run}_val"),
        ("test", 12, f"e12_{dataset}_test"),
    ):
        np.testing.assert_allclose(v11.values(dataset, split, epochs), truth[column], rtol=1e-6)
    np.testing.assert_allclose(v11.seconds(dataset, 200), truth[f"train_s200_{run}"], rtol=1e-6)


@pytest.mark.parametrize("dataset", DATASETS)
def test_bundled_and_the_nats_columns_agree(shared_data: Path, dataset: str) -> None:
    source = shared_data / "nb201_truth.csv.gz"
    import_table(source, "nats-columns", version="nats", make_default=False)
    ours, bundled = load_table("nats-columns"), load_table("bundled")
    np.testing.assert_array_equal(ours.codes, bundled.codes)
    for mine, theirs in (
        (ours.values(dataset, "valid"), bundled.values(dataset, "valid")),
        (ours.metric(dataset, "valid").trials, bundled.metric(dataset, "valid").trials),
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert not ours.has(dataset, "test")


def test_row_order_does_not_matter(v11: TruthTable, truth: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = truth.sample(frac=1.0, random_state=0)
    shuffled.to_parquet(tmp_path / "shuffled.parquet")
    shuffled.to_csv(tmp_path / "shuffled.csv", index=False)
    for file in ("shuffled.parquet", "shuffled.csv"):
        import_table(tmp_path / file, "shuffled", make_default=False)
        np.testing.assert_array_equal(
            load_table("shuffled").values("cifar10", "test"), v11.values("cifar10", "test")
        )


def test_an_own_column_map(truth: pd.DataFrame, tmp_path: Path) -> None:
    small = truth.head(40)[["ops", "v11_cifar100_val200", "train_s200_cifar100"]]
    small.to_csv(tmp_path / "own.csv.gz", index=False)
    columns = {
        "ops": "ops",
        "cifar100/valid@200": "v11_cifar100_val200",
        "train_200/cifar100": "train_s200_cifar100",
    }
    report = import_table(
        tmp_path / "own.csv.gz", "own", columns=columns, partial=True, make_default=False
    )
    table = load_table("own")
    assert (report.cells, report.version) == (40, "own columns")
    assert table.values("cifar100", "valid")[7] == pytest.approx(truth.v11_cifar100_val200[7])
    answer = table.query(41)
    assert answer["accuracy"]["cifar100"]["valid"] is None
    assert answer["rank"]["cifar100"]["valid"] is None
    assert len(table.top(100, "cifar100", "valid")) == 40


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"cifar10/valid@200": "a"}, "'arch' or 'ops'"),
        ({"arch": "a", "ops": "b", "cifar10/valid@200": "a"}, "'arch' or 'ops'"),
        ({"arch": "a", "cifar10/train@200": "a"}, "'cifar10/train@200' is unknown"),
        ({"arch": "a"}, "names no accuracy"),
        ({"arch": "a", "cifar10/valid@200": []}, "expected a column name"),
        ({"arch": "a", "cifar10/valid@200": [3]}, "expected a column name"),
    ],
)
def test_a_wrong_column_map_is_named(columns: dict, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(BenchmarkError, match=expected):
        import_table(tmp_path / "a.csv", "own", columns=columns)


def test_versions_are_never_mixed(shared_data: Path) -> None:
    with pytest.raises(BenchmarkError, match="'v10'.*v11, nats"):
        import_table(shared_data / "nb201_truth.csv.gz", "x", version="v10")


def test_detection_is_by_content(shared_data: Path, tmp_path: Path) -> None:
    names = {
        "nb201_truth.csv.gz": "delimited",
        "nb201_tiny3.pth": "official",
        "nb201_tiny3_legacy.pth": "official",
        "NATS-tss-v1_0-3ffb9-simple": "nats",
    }
    for name, kind in names.items():
        assert detect(shared_data / name) == kind
    plain = tmp_path / "table"
    plain.write_bytes(gzip.decompress((shared_data / "nb201_truth.csv.gz").read_bytes())[:1000])
    assert detect(plain) == "delimited"


def test_the_imported_table_becomes_the_default_and_can_be_left(
    shared_data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_name() == "bundled"
    report = import_table(shared_data / "nb201_truth.csv.gz", "mine")
    assert report.default and default_name() == "mine"
    assert table_names() == ["bundled", "clutter201", "mine"]
    assert load_table().optimum("cifar10", "test").accuracy == 94.3733
    monkeypatch.setenv("NNI_WIRING_BENCHMARK", "bundled")
    assert load_table().name == "bundled"
    monkeypatch.delenv("NNI_WIRING_BENCHMARK")
    set_default("bundled")
    assert default_name() == "bundled"
    set_default("mine")
    table_path("mine").unlink()
    assert default_name() == "bundled"


def test_a_damaged_table_file_is_one_line(shared_data: Path, cache: Path) -> None:
    import_table(shared_data / "nb201_truth.csv.gz", "mine")
    content = table_path("mine").read_bytes()
    for damaged in (b"", content[:1000], content[:5000] + b"\0" + content[5001:]):
        table_path("mine").write_bytes(damaged)
        load_table.__globals__["_load"].cache_clear()
        with pytest.raises(BenchmarkError, match="mine.npz: not a readable table file"):
            load_table("mine")


@pytest.mark.parametrize("name", ["bundled", "", "../x", "a/b", ".hidden", "x" * 65])
def test_a_name_that_cannot_be_a_table(shared_data: Path, name: str) -> None:
    with pytest.raises(BenchmarkError, match="table name"):
        import_table(shared_data / "nb201_truth.csv.gz", name)


def test_an_unwritable_cache_is_one_line(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BenchmarkError, match="cannot be written"):
        import_table(shared_data / "nb201_truth.csv.gz", "mine")
