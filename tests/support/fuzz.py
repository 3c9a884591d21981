"""Changed files for every reader: each is read, or refused in one printable line, within bounds.

Hypothesis draws the edits of small valid files (``mutations``); the readers stand in
``fuzz_readers``. A reader's inputs are read by one forked child, under a limit of memory and CPU
seconds for each of them; the first input that breaks the rule is made as small as it can be.

    python tests/support/fuzz.py                          100 inputs a reader
    python tests/support/fuzz.py "kept rows" --minutes 5  of one, with other seeds until then
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from fuzz_readers import READERS, Reader
from hypothesis import HealthCheck, Phase, given, seed, settings
from mutations import Edit, edits

from nni_wiring.errors import WiringError

SECONDS = 10  # CPU, for one input
MEMORY = 1 << 30  # resident bytes that one input may add
_ADDRESSES = 4 << 30  # beyond what the process has: nothing ever asks the machine for more
_LONGEST_LINE = 2000
_DAMAGED = (zipfile.BadZipFile, zlib.error)
_FORK = multiprocessing.get_context("fork")


@dataclass
class Outcome:
    """What a reader made of its inputs.

    Attributes:
        tried, refused: numbers of inputs.
        seconds: CPU seconds of the slowest.
        memory: the most resident bytes that one added.
        fault: of the first input that broke the rule, with the edits that make it; None if none.
    """

    tried: int = 0
    refused: int = 0
    seconds: float = 0.0
    memory: int = 0
    fault: str | None = None


def edited(name: str, content: bytes, edit: Edit) -> bytes:
    """The content of the file `name`, changed; packed again if that is what is inside."""
    if edit.inside:
        try:
            if content[:2] == b"PK":
                return _edited_member(content, edit)
            if name.endswith(".gz"):
                return gzip.compress(edit.apply(gzip.decompress(content)), 1)
            if name.endswith("bz2"):
                return bz2.compress(edit.apply(bz2.decompress(content)))
        except (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, *_DAMAGED):
            pass  # an earlier edit broke the packing
    return edit.apply(content)


def _edited_member(content: bytes, edit: Edit) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        chosen = members[edit.length % len(members)] if members else None
        with zipfile.ZipFile(written, "w") as target:
            for member in members:
                body = archive.read(member)
                target.writestr(member.filename, edit.apply(body) if member is chosen else body)
    return written.getvalue()


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) << 10
    raise AssertionError(field)


class _Session:
    """The child's side: reads one input after the other and keeps count in a file."""

    def __init__(self, reader: Reader, folder: Path, note: Path) -> None:
        self.reader, self.folder, self.note = reader, folder, note
        self.valid, self.outcome = folder / "valid", Outcome()
        self.valid.mkdir()
        reader.make(self.valid)
        self.files = sorted(path for path in self.valid.rglob("*") if path.is_file())
        self.contents = [path.read_bytes() for path in self.files]
        reader.read(self.valid)  # what is not changed is read without a complaint

    def tell(self, fault: str | None) -> None:
        self.outcome.fault = fault
        self.note.write_text(json.dumps(vars(self.outcome)))

    def place(self, changes: list[Edit]) -> Path:
        """A folder with the changed files."""
        contents = list(self.contents)
        for edit in changes:
            at = edit.file % len(contents)
            contents[at] = edited(self.files[at].name, contents[at], edit)[: 10 << 20]
        place = self.folder / "changed"
        shutil.rmtree(place, ignore_errors=True)
        for path, content in zip(self.files, contents, strict=True):
            target = place / path.relative_to(self.valid)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return place

    def read(self, changes: list[Edit]) -> None:
        place = self.place(changes)
        self.tell(f"the process ended (memory, or {SECONDS} s) at {changes}")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before, start = _resident("VmRSS"), time.process_time()
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + SECONDS + 1, hard))
        self.outcome.tried += 1
        try:
            self.reader.read(place)
        except WiringError as error:
            self.outcome.refused += 1
            line = str(error)
            assert line.isprintable() and len(line) <= _LONGEST_LINE, f"not one line: {line!r:.300}"
        grown = _resident("VmHWM") - before
        self.outcome.seconds = max(self.outcome.seconds, time.process_time() - start)
        self.outcome.memory = max(self.outcome.memory, grown)
        assert grown <= MEMORY, f"it takes {grown >> 20} MB"


def fuzz(reader: Reader, folder: Path, inputs: int, seed_: int) -> Outcome:
    """Read `inputs` changed files; the same ones for the same seed."""
    note = folder / "outcome.json"
    process = _FORK.Process(target=lambda: _child(reader, folder, note, inputs, seed_))
    process.start()
    process.join(60 + 4 * inputs)
    if process.exitcode is None:
        process.kill()
        process.join()
    return Outcome(**json.loads(note.read_text()))


def _child(reader: Reader, folder: Path, note: Path, inputs: int, seed_: int) -> None:
    os.environ |= {"NNI_WIRING_CACHE": f"{folder}/cache", "NNI_WIRING_RUNS": f"{folder}/runs"}
    os.environ["HOME"] = str(folder)
    session = None
    note.write_text(json.dumps(vars(Outcome(fault="the valid files are not read"))))
    try:
        session = _Session(reader, folder, note)
        room = _resident("VmSize") + _ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stderr = io.StringIO()
        _tried(session.read, inputs, seed_)()
        session.tell(None)
    except BaseException as error:  # noqa: BLE001  whatever it is, it is a find
        where = traceback.format_tb(error.__traceback__)[-6:]
        fault = "".join([*where, *traceback.format_exception_only(error)])[:6000]
        outcome = session.outcome if session else Outcome()
        outcome.fault = fault
        note.write_text(json.dumps(vars(outcome)))
    os._exit(0)


def _tried(read: Callable[[list[Edit]], None], inputs: int, seed_: int) -> Callable[[], None]:
    rules = settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    return rules(seed(seed_)(given(edits)(lambda changes: read(changes))))


def _main() -> int:
    names = [reader.name for reader in READERS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("reader", nargs="?", choices=names)
    parser.add_argument("--inputs", type=int, default=100, help="of a reader and seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="CPU, for all readers together")
    given_ = parser.parse_args()
    chosen = [reader for reader in READERS if given_.reader in (None, reader.name)]
    faults = 0
    for reader in chosen:
        total, round_ = Outcome(), 0
        end = _used() + given_.minutes * 60 / len(chosen)
        while total.fault is None and (round_ == 0 or _used() < end):
            with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
                count = max(1, int(given_.inputs * reader.share))
                one = fuzz(reader, Path(folder), count, given_.seed + round_)
            total.tried, total.refused = total.tried + one.tried, total.refused + one.refused
            total.seconds = max(total.seconds, one.seconds)
            total.memory, total.fault = max(total.memory, one.memory), one.fault
            round_ += 1
        faults += total.fault is not None
        print(
            f"{reader.name}: {total.tried} inputs, {total.refused} refused, at most "
            f"{total.seconds:.2f} s and {total.memory >> 20} MB each, "
            f"{'FAULT' if total.fault else 'no fault'}",
            flush=True,
        )
        if total.fault:
            print(total.fault, flush=True)
    return int(faults > 0)


def _used() -> float:
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


if __name__ == "__main__":
    sys.exit(_main())
