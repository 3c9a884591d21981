"""Run a selection on the supernet of a finished search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import sweep
from nni_wiring.files.json_files import write_json
from nni_wiring.runs.ownership import owned
from nni_wiring.runs.result import SelectionResult
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.describe import describe
from nni_wiring.search.reopen import OpenSearch, reopen
from nni_wiring.selection.base import Progress, Selected, Selection, SelectionContext
from nni_wiring.selection.registry import selection_class
from nni_wiring.supernet.derived import chosen_operations


def select_again(
    folder: RunFolder,
    method: str,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = lambda done, total, what: None,
) -> SelectionResult:
    """Select a cell from the trained supernet of ``folder``; also written to its
    ``selections/<method>/result.json``.

    Raises ConfigError for an unknown method or setting, RunError for a run without a checkpoint,
    OwnedError while another process writes the run.
    """
    selection = selection_class(method)(**dict(settings or {}))
    with owned(folder):
        return _select_and_keep(folder, method, selection, progress)


def _select_and_keep(
    folder: RunFolder, method: str, selection: Selection, progress: Progress
) -> SelectionResult:
    found = reopen(folder)
    place = folder.path / "selections" / method
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot create {place.name} in the run's folder: {error}") from None
    sweep(place)
    selected = _select(found, selection, place, progress)
    result = SelectionResult(
        **vars(describe(found, folder.run_id, method, selected)),
        operations={
            group.name: chosen_operations(group, selected.cells[group.name])
            for group in found.strategy.groups
        },
        settings=selection.settings.model_dump(),
        details=selected.details,
    )
    write_json(place / "result.json", result.to_json())
    return result


def _select(found: OpenSearch, selection: Selection, place: Path, progress: Progress) -> Selected:
    if not selection.at_end:
        probabilities = found.strategy.relaxation.probabilities
        groups = found.strategy.groups
        return Selected(
            {group.name: selection.read(group, probabilities(group)) for group in groups}
        )
    context = SelectionContext(
        found.module,
        evaluation=found.loaders.evaluation,
        train=found.loaders.train,
        search=found.loaders.search,
        progress=progress,
        folder=place,
    )
    return selection.select(context)
