"""Official tables of any length: the memory that their import takes must not grow with them.

python tests/support/large_tables.py 1200 15625    write, import and measure, one after the other
"""

from __future__ import annotations

import argparse
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

import numpy as np

from tests.truth.test_hostile_files import record, trial

#: Name, argument and place of an operation of a pickle.
Op = tuple[str, Any, int]
#: So many items of a dict are put into it at a time by pickle.
_BATCH = 1000
_SEEDS = (777, 888, 999)


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


def official_table(archs: Sequence[str], cells: int, epochs: int = 200) -> dict[str, Any]:
    """The content of an official file with records of the first cells."""
    infos = {}
    for index in range(cells):
        results = {("cifar10-valid", seed): training(epochs) for seed in _SEEDS}
        less = {("cifar10-valid", 777): training(12)}
        infos[index] = {
            "less": record(arch_index=index, arch_str=archs[index], all_results=less),
            "full": record(arch_index=index, arch_str=archs[index], all_results=results),
        }
    return {
        "meta_archs": list(archs),
        "arch2infos": infos,
        "evaluated_indexes": set(range(cells)),
    }


def pickled_in_pieces(archs: Sequence[str], epochs: int = 200) -> Iterator[bytes]:
    """The pickle of ``official_table`` of all of these cells, which never is in memory.

    Two cells are pickled. The second one's bytes serve all that follow, with other numbers of the
    cell, of its text and of its own entries in the pickle's memo; what it reads back from the
    first, such as the names of fields, the others read back from there, too.

    Args:
        archs: more than 256, or the numbers of the memo have another form.
        epochs: of the long trainings.
    """
    table = official_table(archs, 2, epochs)
    table["evaluated_indexes"] = set(range(len(archs)))
    code = pickle.dumps(table, 2)
    ops = [(op.name, arg, place) for op, arg, place in pickletools.genops(code)]
    begin = next(n for n, op in enumerate(ops) if op[1] == "arch2infos")
    start, first, second, end = _cells(ops, begin)
    own = 1 + max(arg for name, arg, _ in ops[:second] if name.endswith("PUT"))
    entries = 1 + max(arg for name, arg, _ in ops[:end] if name.endswith("PUT")) - own
    cell = _Pieces(code, ops[second : end + 1], own)
    cell.mark_numbers(ops, second)
    yield code[: ops[start][2]]
    for number, _ in enumerate(archs):
        yield b"(" if number % _BATCH == 0 else b""
        if number == 0:
            yield code[ops[first][2] : ops[second][2]]
        else:
            yield cell.shifted((number - 1) * entries, number)
        yield b"u" if number % _BATCH == _BATCH - 1 or number == len(archs) - 1 else b""
    yield _Pieces(code, [*ops[end + 1 :], ("", None, len(code))], own).shifted(
        (len(archs) - 2) * entries, 0
    )


def _cells(ops: Sequence[Op], begin: int) -> tuple[int, int, int, int]:
    """The places among the operations of the MARK before two cells, of both cells' keys, and of the
    SETITEMS behind them.
    """
    start = next(n for n in range(begin, len(ops)) if ops[n][0] == "MARK")
    depth, keys = 0, [start + 1]
    for n in range(start + 1, len(ops)):
        name = ops[n][0]
        depth += name == "MARK"
        if name in ("SETITEMS", "APPENDS", "TUPLE"):
            depth -= 1
            if depth < 0:
                return start, keys[0], keys[1], n
            if depth == 0 and name == "SETITEMS" and len(keys) == 1:
                keys.append(n + 1)
    raise AssertionError("a pickle without two cells")


class _Pieces:
    """Operations of a pickle that can be written again with other numbers."""

    def __init__(self, code: bytes, ops: Sequence[Op], own: int) -> None:
        self._base = ops[0][2]
        self._code = np.frombuffer(code[self._base : ops[-1][2]], np.uint8)
        moved = [
            place + 1 - self._base
            for name, arg, place in ops
            if name.startswith("LONG_BIN") and arg >= own
        ]
        self._moved = np.array(moved, np.int64)[:, None] + np.arange(4)
        self._numbers = self._code[self._moved].view("<u4").ravel()
        #: (from, to, code before a number, the number of cell 0) of what depends on the cell.
        self._own: list[tuple[int, int, bytes, int]] = []

    def mark_numbers(self, ops: Sequence[Op], second: int) -> None:
        """Find cell 1's number and the entry of its text in the memo."""
        texts = next(n for n, op in enumerate(ops) if op[0] == "EMPTY_LIST")
        first = next(int(op[1]) for op in ops[texts + 2 :] if op[0].endswith("PUT"))
        name = next(int(ops[n + 1][1]) for n, op in enumerate(ops) if op[1] == "arch_index")
        for n, (kind, arg, place) in enumerate(ops[second:-1], start=second):
            after = ops[n - 1][0].endswith("GET") and ops[n - 1][1] == name
            if place >= self._base + len(self._code):
                return
            span = place - self._base, ops[n + 1][2] - self._base
            if n == second or after:
                self._own.append((*span, b"J", 0))
            elif kind.endswith("GET") and arg == first + 1:
                self._own.append((*span, b"j", first))

    def shifted(self, by: int, cell: int) -> bytes:
        """The code with own entries of the memo moved on, for that cell."""
        code = self._code.copy()
        code[self._moved] = (self._numbers + by).astype("<u4").view(np.uint8).reshape(-1, 4)
        parts, done = [], 0
        for start, end, before, number in self._own:
            parts += [code[done:start].tobytes(), before, struct.pack("<I", number + cell)]
            done = end
        return b"".join([*parts, code[done:].tobytes()])


def write_official(path: Path, archs: Sequence[str], epochs: int = 200) -> None:
    """A file as ``torch.save`` makes it, with all of these cells."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
        archive.open("a/data.pkl", "w", force_zip64=True) as file,
    ):
        for piece in pickled_in_pieces(archs, epochs):
            file.write(piece)


# In a process of its own, since the peak is that of all that a process ever did.
_IMPORT = """
import resource, sys, time
from pathlib import Path
from nni_wiring.truth.importer import import_table

import_table(Path(sys.argv[1]), "large", partial=True, make_default=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, round(time.process_time()))
"""


def main() -> None:
    """Print a row per number of cells: size of the file, peak of the process, CPU seconds."""
    from nni_wiring.truth import load_table

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="+", type=int, help="from 257 to 15625")
    table = load_table("bundled")
    print("| cells | file, MB | peak, MB | CPU seconds |\n|---|---|---|---|", flush=True)
    for cells in parser.parse_args().cells:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "large.pth"
            write_official(path, [table.arch(index) for index in range(cells)])
            environment = os.environ | {"NNI_WIRING_CACHE": str(Path(place) / "cache")}
            command = [sys.executable, "-c", _IMPORT, str(path)]
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            peak, seconds = done.stdout.split()
            size = path.stat().st_size // 10**6
        print(f"| {cells:,} | {size:,} | {int(peak)} | {int(seconds)} |", flush=True)


if __name__ == "__main__":
    main()
