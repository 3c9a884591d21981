"""Per-epoch curves in a file of their own, opened only when a curve is asked for.

The file is a run of float32 values followed by an uncompressed .npz that says where each curve
lies; so that importing a whole table appends and never holds them in memory.
"""

from __future__ import annotations

import io
import zipfile
from array import array
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import told
from nni_wiring.files.regular import regular_file
from nni_wiring.truth.archive import BROKEN, read_array
from nni_wiring.truth.metrics import Floats


class CurveKey(NamedTuple):
    """Names as the benchmark's authors have them.

    Attributes:
        run: the training: cifar10-valid, cifar10, cifar100 or ImageNet16-120.
        images: what was measured: train, x-valid, x-test or ori-test.
        quantity: accuracy (percent) or loss.
        epochs: length of the training.
    """

    run: str
    images: str
    quantity: str
    epochs: int


class CurveWriter:
    """Appends curves to an open file; ``finish`` writes the index behind them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._keys: dict[CurveKey, int] = {}
        self._columns = {name: array("q") for name in _COLUMNS}
        self._written = 0

    def add(self, index: int, key: CurveKey, seed: int, values: ArrayLike) -> None:
        """Append one curve: values (epochs,), NaN where the source has none."""
        curve = np.asarray(values, dtype="<f4")
        self._file.write(curve.tobytes())
        row = (index, self._keys.setdefault(key, len(self._keys)), seed, self._written, len(curve))
        for name, number in zip(_COLUMNS, row, strict=True):
            self._columns[name].append(number)
        self._written += len(curve)

    def finish(self) -> int:
        """Write the index; returns the number of curves."""
        with zipfile.ZipFile(self._file, "a", zipfile.ZIP_STORED) as archive:
            arrays = {name: np.array(values) for name, values in self._columns.items()}
            arrays["keys"] = np.array(["|".join(map(str, key)) for key in self._keys] or [""])
            for name, content in arrays.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, content, allow_pickle=False)
                archive.writestr(f"{name}.npy", buffer.getvalue())
        return len(self._columns["cell"])


_COLUMNS = ("cell", "key", "seed", "offset", "length")


class CurveFile:
    """Curves of one table, read where they lie."""

    def __init__(self, path: Path) -> None:
        try:
            with regular_file(path) as file, zipfile.ZipFile(file) as archive:
                columns = [read_array(archive, name) for name in _COLUMNS]
                names = read_array(archive, "keys")
                end = min((m.header_offset for m in archive.infolist()), default=0)
            self._cell, self._key, self._seed, self._offset, self._length = columns
            shapes = {column.shape for column in columns}
            if len(shapes) != 1 or ((self._offset + self._length) * 4 > end).any():
                raise BenchmarkError("its index points outside")
            self.keys = [_parse(str(name)) for name in names if name]
            values = np.memmap(path, dtype="<f4", mode="r", shape=(end // 4,)) if end else None
        except BROKEN as error:
            raise BenchmarkError(f"{path}: not a readable curve file ({told(error)})") from error
        self._values = values
        self._found: tuple[int, dict[tuple[int, int], tuple[int, int]]] = (-1, {})

    def get(self, index: int, key: CurveKey, seed: int | None = None) -> Floats:
        """(epochs,) float32 values of one cell; the mean over its seeds if ``seed`` is None.

        NaN stands where the source recorded nothing. BenchmarkError if there is no such curve.
        """
        rows = self._rows(index)
        number = self.keys.index(key) if key in self.keys else -1
        rows = rows[self._key[rows] == number]
        if seed is not None:
            rows = rows[self._seed[rows] == seed]
        if not len(rows) or self._values is None:
            which = "" if seed is None else f", seed {seed}"
            raise BenchmarkError(
                f"no curve of cell {index} for {'/'.join(map(str, key))}{which} in this table"
            )
        curves = [self._values[self._offset[r] :][: self._length[r]] for r in rows]
        return np.stack(curves).astype(np.float64).mean(axis=0).astype(np.float32)

    def seeds(self, index: int, key: CurveKey) -> list[int]:
        """Seeds that the cell has for this curve."""
        number = self._numbers.get(key)
        return sorted(seed for own, seed in self._places(index) if own == number)

    def points(self, index: int, key: CurveKey, epoch: int) -> dict[int, float]:
        """{seed: value after ``epoch`` (from 0)} of one cell, for the seeds that have one.

        Reads no more than these values; of the cell that was asked for last, nothing is looked up.
        """
        number = self._numbers.get(key)
        found = {}
        for (own, seed), (offset, length) in self._places(index).items():
            if own == number and 0 <= epoch < length:
                value = float(self._floats[offset + epoch])
                if value == value:
                    found[seed] = value
        return dict(sorted(found.items()))

    def _places(self, index: int) -> dict[tuple[int, int], tuple[int, int]]:
        """{(number of the key, seed): (offset, length)} of a cell's curves."""
        if self._found[0] != index:
            rows = self._rows(index)
            columns = (self._key, self._seed, self._offset, self._length)
            entries = zip(*(column[rows].tolist() for column in columns), strict=True)
            self._found = index, {(k, seed): (start, size) for k, seed, start, size in entries}
        return self._found[1]

    def _rows(self, index: int) -> NDArray[np.int64]:
        order, cells = self._by_cell
        start, end = np.searchsorted(cells, (index, index + 1))
        return order[start:end]

    @cached_property
    def _by_cell(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the index sorted by cell, and their cells."""
        order = np.argsort(self._cell, kind="stable")
        return order, self._cell[order]

    @cached_property
    def _floats(self) -> Floats:
        """The values as a plain view: a memmap takes longer to index."""
        return np.zeros(0, np.float32) if self._values is None else np.asarray(self._values)

    @cached_property
    def _numbers(self) -> dict[CurveKey, int]:
        return {key: number for number, key in enumerate(self.keys)}


def _parse(text: str) -> CurveKey:
    run, images, quantity, epochs = text.split("|")
    return CurveKey(run, images, quantity, int(epochs))
