"""Studies without their searches: what one measured, in a small file from which its tables and
verdicts come again without training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.gzipped import read_gzipped, write_gzipped
from nni_wiring.files.json_files import read_object
from nni_wiring.files.messages import shown
from nni_wiring.runs import environment
from nni_wiring.studies.frame import PARTS, Options, Study
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study


@dataclass(frozen=True)
class KeptStudy:
    """A study's name, all its options, and what it measured by part."""

    study: str
    options: Options
    parts: Mapping[str, Any]


def keep_study(found: Study, options: Options, folder: Path, target: Path) -> None:
    """Write what a finished study measured in ``folder`` to the file ``target``.

    Raises:
        RunError: the study measures in no parts, so that its searches are needed.
    """
    files = sorted((folder / PARTS).glob("*.json"))
    if not files:
        raise RunError(
            f"study {found.name} has no parts in {shown(folder)}: there is nothing to keep"
        )
    values = [read_object(file) or {} for file in files]
    parts = {file.stem: part["value"] for file, part in zip(files, values, strict=True)}
    made: dict[str, Any] = {
        "versions": environment.versions(),
        "git_commit": environment.git_commit(),
    }
    tables = sorted({part["of"] for part in values if "of" in part})
    if tables:
        made["tables"] = tables
    write_gzipped(target, {"study": found.name, "options": options, "parts": parts, **made})


def judged_again(kept: KeptStudy, folder: Path) -> dict[str, Any]:
    """The results that `run_study` gives, written to ``folder``, with nothing measured."""
    found = study(kept.study)
    return run_study(found, found.checked(kept.options), folder, parts=kept.parts)


def holds_study(path: Path) -> bool:
    """True for a file that is a kept study's, and no kept search's."""
    try:
        return path.is_file() and "parts" in read_gzipped(path)
    except RunError:
        return False


def read_study(path: Path) -> KeptStudy:
    """The study in a file that `keep_study` wrote.

    Raises:
        RunError: one line; no such file, or something else in it.
    """
    value = read_gzipped(path)
    name, options, parts = (value.get(key) for key in ("study", "options", "parts"))
    if not (isinstance(name, str) and isinstance(options, dict) and isinstance(parts, dict)):
        raise RunError(
            f"{shown(path)} is not a kept study: `study`, `options` and `parts` are expected"
        )
    return KeptStudy(name, options, parts)
