"""One run of a study in its folder: measured, written, drawn."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.json_files import read_object, to_json, write_json
from nni_wiring.runs.store import runs_root
from nni_wiring.studies.frame import Findings, Options, Study, StudyRun, Table

_STEM = re.compile(r"[\w-]+")
#: What values of another form than the study's own end in.
_FOREIGN = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


def study_folder(study: Study, options: Options, *, kept: bool = False) -> Path:
    """The folder in which a study with these options keeps its runs, unless told otherwise.

    kept: of a kept study, which has no runs and does not touch those of its like.
    """
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]
    return runs_root() / f"{'kept-' if kept else ''}study-{study.name}-{digest}"


def run_study(
    study: Study,
    options: Options,
    path: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    on_epoch: Callable[[str], None] = lambda text: None,
    parts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure, write ``study.json`` and the pictures, and return what ``study.json`` holds.

    say, on_epoch: called with a line when a search, training or part begins, and after every epoch.
    parts: of a kept study, of these options: nothing is measured.
    A study that was interrupted goes on where it stopped. Raises RunError where ``path`` holds a
    study of other options.
    """
    import torch

    from nni_wiring.search.process import cpu_threads

    path = path or study_folder(study, options)
    path.mkdir(parents=True, exist_ok=True)
    asked = json.loads(to_json({"study": study.name, "options": options}))
    known = read_object(path / "options.json")
    if known is not None and not _same(study, known, asked):
        raise RunError(f"{path.name} holds a study of other options; choose another --out")
    write_json(path / "options.json", asked)
    started = time.perf_counter()
    run = StudyRun(study, path, options, say, on_epoch, parts)
    threads = run.config().flat()["threads"] or torch.get_num_threads()
    with cpu_threads(threads):
        measured = _measured if parts is None else _of_parts
        findings, pictures = measured(run)
    result = {
        **asked,
        "title": study.title,
        "source": study.source,
        "tables": [table._asdict() for table in findings.tables],
        "verdicts": [verdict._asdict() for verdict in run.judged(findings.verdicts)],
        "numbers": findings.numbers,
        "rows": findings.rows,
        "rules": [asdict(rule) for rule in study.rules],
        "seeds": run.seeds,
        "threads": threads,
        "pictures": pictures,
        "folder": str(path),
        "seconds": time.perf_counter() - started,
    }
    write_json(path / "study.json", result)
    return json.loads(to_json(result))


def _measured(run: StudyRun) -> tuple[Findings, list[str]]:
    """The findings, and the names of the pictures that were written."""
    findings = run.study.measure(run)
    return findings, _plot(run.study, findings, run.path)


def _of_parts(run: StudyRun) -> tuple[Findings, list[str]]:
    """The same of a kept study, whose parts may come from anywhere."""
    try:
        findings, pictures = _measured(run)
        if not all(map(_well_formed, findings.tables)):
            raise ValueError("a table of another form")
        return findings, pictures
    except _FOREIGN as error:
        raise RunError(
            f"the kept study is not what {run.study.name} measures: {type(error).__name__}"
        ) from None


def _well_formed(table: Table) -> bool:
    cell = (str, int, float, type(None))
    return all(
        len(row) == len(table.columns) and all(isinstance(item, cell) for item in row)
        for row in table.rows
    )


def _same(study: Study, known: Options, asked: Options) -> bool:
    """True where ``options.json`` holds what is asked for."""
    options = known.get("options")
    if known.get("study") != study.name or not isinstance(options, dict):
        return False
    try:
        return study.meaning(options) == study.meaning(asked["options"])
    except ConfigError:
        return False


def _plot(study: Study, findings: Findings, path: Path) -> list[str]:
    pictures = []
    for stem, figure in study.plot(json.loads(to_json(findings.numbers))).items():
        name = f"{stem}.png"
        if not _STEM.fullmatch(stem):  # of a kept study: it may name data sets
            raise ValueError("a picture of another name")
        replace_file(
            path / name,
            lambda stream, f=figure: f.savefig(stream, format="png", dpi=80),  # type: ignore[misc]
        )
        pictures.append(name)
    return pictures
