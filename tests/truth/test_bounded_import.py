"""Imports whose memory does not grow with the file, and Parquet files that would fill it."""

from __future__ import annotations

import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from large_tables import official_table, pickled_in_pieces

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import load_table
from nni_wiring.truth.importer import import_table
from tests.truth.test_hostile_files import zipped


def official_file(path: Path, cells: int) -> None:
    """Write an official table of the first cells."""
    archs = [load_table("bundled").arch(index) for index in range(cells)]
    path.write_bytes(zipped(pickle.dumps(official_table(archs, cells), 2)))


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


def test_a_large_file_is_what_pickle_would_write() -> None:
    archs = [f"|{'x' * (number % 5)}{number}|" for number in range(1100)]
    pieces = b"".join(pickled_in_pieces(archs, 12))
    assert pickle.loads(pieces) == official_table(archs, len(archs), 12)  # noqa: S301
    whole = pickle.dumps(official_table(archs, len(archs), 12), 2)
    assert memo_of(pieces) == pytest.approx(memo_of(whole), rel=0.01)


def memo_of(code: bytes) -> tuple[int, int]:
    """Numbers of items that are put into a pickle's memo, and read back from it."""
    names = [op.name for op, _, _ in pickletools.genops(code)]
    return sum(n.endswith("PUT") for n in names), sum(n.endswith("GET") for n in names)


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
