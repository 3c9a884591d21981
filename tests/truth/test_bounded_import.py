"""Imports whose memory does not grow with the file, and Parquet files that would fill it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import load_table
from nni_wiring.truth.importer import import_table
from tests.truth.test_hostile_files import record, trial, zipped


def training(epochs: int) -> dict[str, Any]:
    """A training as the official writer makes it: one key a set of images and epoch, in three
    dicts, so that every key is read back twice from the pickle's memo.
    """
    curve = {epoch: 10.0 + epoch / 8 for epoch in range(epochs)}
    accuracies, losses, times = {}, {}, {}
    for epoch in range(epochs):
        for images in ("x-valid", "ori-test"):
            key = f"{images}@{epoch}"
            accuracies[key], losses[key], times[key] = 20.0 + epoch / 8, 1.0, 0.5
    return trial(
        epochs=epochs,
        train_acc1es=dict(curve),
        train_losses=dict(curve),
        train_times=dict(curve),
        eval_acc1es=accuracies,
        eval_losses=losses,
        eval_times=times,
    )


def official_file(path: Path, cells: int) -> None:
    """Write an official table of the first cells."""
    archs = [load_table("bundled").arch(index) for index in range(cells)]
    infos = {}
    for index, arch in enumerate(archs):
        results = {("cifar10-valid", seed): training(200) for seed in (777, 888, 999)}
        less = {("cifar10-valid", 777): training(12)}
        infos[index] = {
            "less": record(arch_index=index, arch_str=arch, all_results=less),
            "full": record(arch_index=index, arch_str=arch, all_results=results),
        }
    table = {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": set(range(cells))}
    path.write_bytes(zipped(pickle.dumps(table, 2)))


# In a process of its own: tracemalloc counts what every thread of this one allocates.
_PEAKS = """
import sys, tracemalloc
from pathlib import Path
from nni_wiring.files import pickles
from nni_wiring.truth.sources import piecewise
from nni_wiring.truth.sources.containers import mapped, saved_object

pickles.MEMO_WINDOW = piecewise.MEMO_WINDOW = int(sys.argv[1])
for name in [*sys.argv[2:3], *sys.argv[2:]]:  # the first one twice: its first time imports
    tracemalloc.start()
    with mapped(Path(name)) as content:
        span = saved_object(Path(name), content)
        piecewise.read_records(Path(name), content, span, lambda _: None, lambda done, total: None)
    print(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
"""


def peaks(*paths: Path, window: int) -> list[int]:
    """Bytes of Python objects that reading all records of each file takes at most."""
    command = [sys.executable, "-c", _PEAKS, str(window), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()][1:]


def test_the_memory_of_an_import_does_not_grow_with_the_file(tmp_path: Path) -> None:
    window = 2000
    official_file(tmp_path / "small.pth", 6)
    official_file(tmp_path / "large.pth", 12)
    # the keys in the memo, so that both files are longer than the window
    assert window * 3 < 6 * 3 * 400
    small, large = peaks(tmp_path / "small.pth", tmp_path / "large.pth", window=window)
    assert large - small < small / 50


def test_the_window_loses_nothing(tmp_path: Path) -> None:
    load_table("bundled")
    official_file(tmp_path / "a.pth", 16)
    import_table(tmp_path / "a.pth", "window", partial=True, make_default=False)
    table = load_table("window")
    assert table.values("cifar10", "valid", 200)[:16].tolist() == [20.0 + 199 / 8] * 16
    assert table.curve(15, "cifar10", "valid", 200)[5] == 20.0 + 5 / 8


def parquet(path: Path, **columns: Any) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_parquet_file_of_hundreds_of_bytes_that_means_gigabytes(tmp_path: Path) -> None:
    text = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * 15_000, pyarrow.int32()), pyarrow.array(["x" * 500_000])
    )
    table = pyarrow.table({"arch": text, "cifar10/valid@200": [1.0] * 15_000})
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 2_000
    with pytest.raises(BenchmarkError, match=r"a\.parquet: not a readable parquet file \("):
        import_table(path, "hostile", partial=True, make_default=False)


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"a"])
def test_a_parquet_column_that_holds_no_texts(value: object, tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", arch=[value], **{"cifar10/valid@200": [1.0]})
    with pytest.raises(BenchmarkError, match="column 'arch' holds .*expected texts or numbers"):
        import_table(path, "hostile", partial=True, make_default=False)


def test_parquet_columns_of_one_name(tmp_path: Path) -> None:
    columns = pyarrow.table([["a"], ["b"], [1.0]], names=["arch", "arch", "cifar10/valid@200"])
    pyarrow.parquet.write_table(columns, tmp_path / "a.parquet")
    with pytest.raises(BenchmarkError, match="stands twice in its header"):
        import_table(tmp_path / "a.parquet", "hostile", partial=True, make_default=False)
