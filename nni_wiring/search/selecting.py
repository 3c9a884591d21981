"""Run a selection on the supernet of a finished search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.json_files import write_json
from nni_wiring.monitor.record import cell_record
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.reopen import OpenSearch, reopen
from nni_wiring.selection.base import Cells, Progress, Selected, Selection, SelectionContext
from nni_wiring.selection.registry import selection_class

Result = dict[str, Any]


def select_again(
    folder: RunFolder,
    method: str,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = lambda done, total, what: None,
) -> Result:
    """Select a cell from the trained supernet of ``folder``; also written to its
    ``selections/<method>/result.json``.

    Raises ConfigError for an unknown method or setting, RunError for a run without a checkpoint.
    """
    selection = selection_class(method)(**dict(settings or {}))
    found = reopen(folder)
    place = folder.path / "selections" / method
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot create {place.name} in the run's folder: {error}") from None
    selected = _select(found, selection, place, progress)
    result = describe(found, selected.cells) | {
        "run_id": folder.run_id,
        "selection": method,
        "settings": selection.settings.model_dump(),
        "truth_dataset": found.dataset,
        "details": selected.details,
    }
    if result["arch"] is None:
        result["arch"] = selected.details.get("genotype") or found.strategy.genotype()
    write_json(place / "result.json", result)
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


def describe(found: OpenSearch, cells: Cells) -> Result:
    """arch, topology and truth of selected cells; for several kinds of cell their operations."""
    groups = found.strategy.groups
    operations = {
        group.name: {
            edge: group.operations[k]
            for edge, k in zip(group.edges, cells[group.name], strict=True)
        }
        for group in groups
    }
    if len(groups) != 1:
        return {"arch": None, "truth": None, "operations": operations}
    p = found.strategy.relaxation.probabilities(groups[0]).detach().cpu().double().numpy()
    record = cell_record(groups[0], cells[groups[0].name], p, found.truth)
    kept = {key: record.get(key) for key in ("arch", "topology", "truth")}
    return {**kept, "operations": operations}
