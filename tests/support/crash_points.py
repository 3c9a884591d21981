"""Kill a process at every write of an operation; what is left must go on to the same end.

A point is one call that changes what a later process finds: fsync, replace, rename, link, unlink,
mkdir, and half a line of an append. An operation is done once to the end, and its points are
counted; then, for each of them, it is begun again by a process that SIGKILL ends just before that
call, done again by another one, and compared bit for bit with the first.

    python tests/support/crash_points.py                      every point of every operation
    python tests/support/crash_points.py search --sample 5    five of one, chosen by --seed
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from nni_wiring.files import atomic

_RANDOM = re.compile(r"[0-9]+-[0-9a-f]{8}\.|(?<=\.import-).*")
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Operation:
    """One thing that a user does, and does again when it was killed.

    Attributes:
        name: of the operation.
        act: do it in a folder, or go on with it.
        state: what it leaves in the folder, to be compared.
        prepare: what is in the folder before.
        after_kill: raises AssertionError where what a kill left cannot be used as it is.
    """

    name: str
    act: Callable[[Path], object]
    state: Callable[[Path], dict[str, Any]]
    prepare: Callable[[Path], object] = lambda folder: None
    after_kill: Callable[[Path], object] = lambda folder: None


class _Points:
    """Counts the writes of this process below a folder; ends it just before one of them."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self.folder, self.last = str(folder), last
        self.seen: list[str] = []

    def reach(self, what: str, path: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if not path.startswith(self.folder):
            return
        if len(self.seen) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append(f"{what} {_RANDOM.sub('', path.removeprefix(self.folder))}")

    def _before(self, what: str, path_of: Callable[..., str]) -> Any:
        call = getattr(os, what)

        def counted(*arguments: Any, **given: Any) -> Any:
            path = path_of(*arguments)
            if what != "unlink" or os.path.lexists(path):
                self.reach(what, path)
            return call(*arguments, **given)

        return mock.patch.object(os, what, counted)

    def _halves(self) -> Any:
        whole = atomic._write_all

        def write(stream: Any, content: bytes) -> None:
            middle = len(content) // 2
            whole(stream, content[:middle])
            self.reach("append half a line to", _name_of(stream.fileno()))
            whole(stream, content[middle:])

        return mock.patch.object(atomic, "_write_all", write)

    @contextmanager
    def counted(self) -> Iterator[None]:
        with (
            self._before("fsync", _name_of),
            self._before("replace", lambda source, target: os.path.abspath(target)),
            self._before("rename", lambda source, target: os.path.abspath(target)),
            self._before("link", lambda source, target: os.path.abspath(target)),
            self._before("unlink", os.path.abspath),
            self._before("mkdir", lambda path, *mode: os.path.abspath(path)),
            self._halves(),
        ):
            yield


def _name_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _done(operation: Operation, folder: Path, last: int | None, report: Path) -> int | None:
    """Do an operation in a child; its exit code. Its points or its traceback are in `report`."""

    def child() -> None:
        points = _Points(folder, last)
        try:
            with points.counted():
                operation.act(folder)
        except BaseException:  # noqa: BLE001  it is reported by the parent
            report.write_text(traceback.format_exc())
            os._exit(1)
        report.write_text("\n".join(points.seen))
        sys.stdout.flush()
        os._exit(0)

    process = _FORK.Process(target=child)
    process.start()
    process.join(300)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"{operation.name} hangs")
    return process.exitcode


class Attack:
    """An operation with its uninterrupted end, and attempts on it, below a folder."""

    def __init__(self, operation: Operation, folder: Path) -> None:
        self.operation, self.folder = operation, folder
        self.report = folder / "report"
        (folder / "before").mkdir(parents=True)
        operation.prepare(folder / "before")
        whole = self._fresh("whole")
        code = _done(operation, whole, None, self.report)
        assert code == 0, self.report.read_text()
        self.points = self.report.read_text().split("\n")
        self.expected = operation.state(whole)

    def _fresh(self, name: str) -> Path:
        """A copy of what is there before, always under the same name of its own."""
        folder = self.folder / name / "run"
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(self.folder / "before", folder, symlinks=True)
        return folder

    def survived(self, *points: int) -> str:
        """Kill at each of these points, one attempt after the other, and do it again to the end.

        Returns "" where the end is that of the uninterrupted one, else what is wrong.
        """
        folder = self._fresh("killed")
        for point in points:
            code = _done(self.operation, folder, point, self.report)
            if code == 1:
                return self.report.read_text()
            if code == -signal.SIGKILL:
                try:
                    self.operation.after_kill(folder)
                except Exception:  # noqa: BLE001  it is reported, and the other points are tried
                    return traceback.format_exc()
        if _done(self.operation, folder, None, self.report) != 0:
            return self.report.read_text()
        try:
            found = self.operation.state(folder)
        except Exception:  # noqa: BLE001  it cannot be read: not survived
            return traceback.format_exc()
        differing = [k for k in {*found, *self.expected} if found.get(k) != self.expected.get(k)]
        return f"differs in {', '.join(sorted(differing))}" if differing else ""

    def sample(self, count: int, seed: int) -> list[tuple[int, ...]]:
        """Points spread over the operation, each attempt with one or two kills."""
        draw, total = random.Random(f"{seed} {self.operation.name}"), len(self.points)
        chosen = sorted(draw.sample(range(total), min(count, total)))
        return [
            (point,) if number % 2 else (point, draw.randrange(total))
            for number, point in enumerate(chosen)
        ]


def main(arguments: list[str] | None = None) -> int:
    """Attack; print a row per operation and a line per point that was not survived."""
    import argparse

    from crash_operations import OPERATIONS, prepare_process

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("operations", nargs="*", help=f"of {', '.join(OPERATIONS)}; default: all")
    parser.add_argument("--sample", type=int, help="attempts an operation, half of them two kills")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    lost = 0
    print("| operation | points | attempts | survived |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as place, prepare_process(Path(place) / "cache"):
        for name in given.operations or OPERATIONS:
            attack = Attack(OPERATIONS[name], Path(place) / name)
            attempts = (
                [(point,) for point in range(len(attack.points))]
                if given.sample is None
                else attack.sample(given.sample, given.seed)
            )
            wrong = {points: found for points in attempts if (found := attack.survived(*points))}
            survived = len(attempts) - len(wrong)
            print(f"| {name} | {len(attack.points)} | {len(attempts)} | {survived} |", flush=True)
            for points, found in wrong.items():
                where = ", then before ".join(attack.points[point] for point in points)
                print(f"killed before {where}: {found.strip().splitlines()[-1]}", file=sys.stderr)
            lost += len(wrong)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
