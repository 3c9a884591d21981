"""Row: one finished training of a build, and the file that keeps them, a JSON line each."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_wiring.building.plan import Unit
from nni_wiring.errors import RunError
from nni_wiring.files.atomic import append_line
from nni_wiring.files.json_files import MAX_LINES_BYTES, from_json, read_file, to_json
from nni_wiring.files.messages import shown
from nni_wiring.files.tolerant import as_count, as_number

ROWS = "rows.jsonl"


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        arch, seed: the cell and its seed.
        accuracy: percent, by epochs done and part of the held-out images ("valid", "test").
        diverged: the epoch (from 1) in which the training diverged; None where it did not.
        cpu: seconds of CPU time, of training and evaluation.
        images: how many the training saw in an epoch.
    """

    arch: str
    seed: int
    accuracy: Mapping[int, Mapping[str, float]]
    diverged: int | None
    cpu: float
    images: int

    def to_json(self) -> dict[str, Any]:
        """The row's object; :func:`read_rows` reads it."""
        accuracy = {str(epochs): dict(parts) for epochs, parts in self.accuracy.items()}
        return vars(self) | {"accuracy": accuracy}

    @classmethod
    def from_json(cls, value: object) -> Row:
        """Read the object; ValueError for anything else."""
        if not isinstance(value, dict) or not isinstance(value.get("accuracy"), dict):
            raise ValueError
        accuracy = {
            int(epochs): {str(part): _percent(number) for part, number in parts.items()}
            for epochs, parts in value["accuracy"].items()
        }
        seed, images = as_count(value.get("seed")), as_count(value.get("images"))
        diverged, cpu = as_count(value.get("diverged")), as_number(value.get("cpu"))
        if seed is None or images is None or cpu is None or cpu < 0:
            raise ValueError
        return cls(str(value["arch"]), seed, accuracy, diverged, cpu, images)


def _percent(value: object) -> float:
    number = as_number(value)
    if number is None or not 0 <= number <= 100:
        raise ValueError
    return number


def append_row(path: Path, code: int, row: Row) -> None:
    """Add a training to the file, all of its line or nothing; RunError where the disk is full."""
    append_line(path, to_json({"code": code, **row.to_json()}))


def packed_rows(path: Path) -> Path:
    """The path of the compressed rows, which count if the plain file is not there."""
    return path.with_name(f"{path.name}.gz")


def rows_content(path: Path) -> bytes:
    """The file's lines, from its compressed copy where it is not there; empty without both.

    Raises:
        RunError: the compressed copy is damaged, or unpacks to far more than it should.
    """
    content = read_file(path, MAX_LINES_BYTES)
    packed = None if content is not None else read_file(packed_rows(path), MAX_LINES_BYTES)
    if packed is None:
        return content or b""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            unpacked = file.read(MAX_LINES_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{shown(packed_rows(path))} cannot be unpacked ({error})") from None
    if len(unpacked) > MAX_LINES_BYTES:
        raise RunError(f"{shown(packed_rows(path))} unpacks to more than {MAX_LINES_BYTES} bytes")
    return unpacked


def read_rows(path: Path) -> dict[Unit, Row]:
    """The trainings in the file, by cell and seed; a last line that was cut off is left out, and
    of a training that is there twice the first stays.

    Raises:
        RunError: the file holds something else; file and line are named.
    """
    content = rows_content(path)
    complete, _, _cut_off = content.rpartition(b"\n")
    rows: dict[Unit, Row] = {}
    for number, line in enumerate(complete.split(b"\n") if complete else [], start=1):
        try:
            value = from_json(line)
            row = Row.from_json(value)
            code = as_count(value.get("code"))  # type: ignore[attr-defined]
            if code is None:
                raise ValueError
        except (ValueError, KeyError, AttributeError):
            raise RunError(f"{shown(path)} line {number} is not a training's row") from None
        rows.setdefault(Unit(code, row.seed), row)
    return rows
