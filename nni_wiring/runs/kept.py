"""Finished searches as studies read them again: kept rows (LABEL.json.gz) or runs' folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.gzipped import SUFFIX, read_gzipped
from nni_wiring.files.messages import first_line, shown
from nni_wiring.files.tolerant import as_count, as_text, dig
from nni_wiring.records import EpochRecord
from nni_wiring.runs.result import SearchResult
from nni_wiring.runs.store import RunFolder, runs_root


@dataclass(frozen=True)
class KeptRun:
    """A finished search and what was selected from its supernet afterwards.

    Attributes:
        label: of its file, or the run's id.
        config: the settings under the CLI's option names.
        records: one an epoch.
        result: the cell that the search derived, and how.
        selections: the cells that ``select`` found afterwards, by selection.
    """

    label: str
    config: Mapping[str, Any]
    records: tuple[EpochRecord, ...]
    result: SearchResult
    selections: Mapping[str, str]

    @classmethod
    def of(cls, folder: RunFolder) -> KeptRun:
        """The finished run of a folder.

        Raises:
            RunError: it is not finished, or a file of it is foreign.
        """
        if folder.status != "finished":
            raise RunError(f"run {folder.run_id} is {folder.status}; a finished one is expected")
        value = {"result": folder.result(), "selections": folder.selections()}
        return _kept(folder.run_id, folder.info, folder.epochs(), value)

    @property
    def arch(self) -> str | None:
        """The derived cell; None where its space has no such form."""
        return self.result.arch

    @property
    def method(self) -> str:
        """The strategy, with its level where that is not bi-level."""
        level = self.config.get("optimisation", "bi_level")
        strategy = str(self.config.get("strategy", "unknown"))
        return strategy if level == "bi_level" else f"{strategy}, {str(level).replace('_', '-')}"

    @property
    def seed(self) -> int | None:
        """The search's seed."""
        return as_count(self.config.get("seed"))


def kept_runs(paths: Iterable[Path | str]) -> list[KeptRun]:
    """The runs of all paths: folders of kept rows, single files of them, run folders or run ids.

    Raises:
        RunError: nothing there, or something else.
    """
    found: list[KeptRun] = []
    for given in paths:
        path = Path(given)
        if not path.exists() and (runs_root() / path.name).is_dir() and path.name == str(given):
            path = runs_root() / path.name
        found += _read(path)
    return found


def _read(path: Path) -> list[KeptRun]:
    if path.name.endswith(SUFFIX):
        return [_from_file(path)]
    if (path / "run.json").exists():
        return [KeptRun.of(RunFolder.open(path))]
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
    if not files:
        raise RunError(
            f"no kept rows at {shown(path)}: a folder of LABEL{SUFFIX}, one such file, "
            "a run's folder or its id is expected"
        )
    return [_from_file(file) for file in files]


def _from_file(path: Path) -> KeptRun:
    value = read_gzipped(path)
    run, epochs = value.get("run"), value.get("epochs")
    if not isinstance(run, dict) or not isinstance(epochs, list):
        raise RunError(f"{shown(path)} is not a kept search: `run` and `epochs` are expected")
    return _kept(path.name.removesuffix(SUFFIX), run, epochs, value)


def _kept(label: str, run: Any, epochs: list[Any], value: Mapping[str, Any]) -> KeptRun:
    try:
        records = tuple(EpochRecord.from_json(epoch) for epoch in epochs)
    except ValueError as error:
        raise RunError(f"kept search {shown(label)}: {first_line(error)}") from None
    selections, result = dig(value, "selections"), dig(value, "result")
    named = selections if isinstance(selections, dict) else {}
    archs = {name: as_text(dig(found, "arch")) for name, found in named.items()}
    config = dig(run, "config")
    return KeptRun(
        label=label,
        config=config if isinstance(config, dict) else {},
        records=records,
        result=SearchResult.from_json(result if isinstance(result, dict) else {}),
        selections={name: arch for name, arch in archs.items() if arch is not None},
    )
