"""What TensorBoard shows beside the scalars: pictures, the benchmark table, reference curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from nni_wiring.figures import (
    Mark,
    cell_graph_figure,
    cost_heat_map_figure,
    truth_histogram_figure,
)
from nni_wiring.figures.series import cell_costs
from nni_wiring.records import EpochRecord
from nni_wiring.truth import TruthTable, references
from search_spaces.cell_graph import Wiring
from search_spaces.errors import SpaceError
from search_spaces.nni_api import TensorBoardLogger

#: At most this many epochs of a search get pictures (the last one always does).
PICTURES = 10
_NAMES = {"optimum": "optimum", "random": "random cell"}


class TensorBoardSink:
    """A monitor's sink: pictures of the derived cell, of the costs and of the cell's place, and the
    benchmark table.
    """

    def __init__(
        self, logger: TensorBoardLogger, table: TruthTable | None, dataset: str, epochs: int
    ) -> None:
        self._logger, self._table, self._dataset, self._epochs = logger, table, dataset, epochs
        self._every = max(1, epochs // PICTURES)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Write the pictures of an epoch's record."""
        epoch = int(record["epoch"])
        last = epoch + 1 >= self._epochs
        if epoch % self._every and not last:
            return
        writer = self._logger.experiment
        for tag, figure in self._pictures(record).items():
            writer.add_figure(tag, figure, epoch)
        if self._table is not None and last and record.get("truth"):
            text = benchmark_table(self._table, self._dataset, record["truth"])
            writer.add_text("benchmark", text, epoch)

    def _pictures(self, record: Mapping[str, Any]) -> dict[str, Figure]:
        pictures: dict[str, Figure] = {}
        costs = cell_costs(EpochRecord.from_json(record))
        if costs is not None:
            pictures["cost/cells"] = cost_heat_map_figure(costs, "Local cost, cells x edges")
        try:
            wiring = Wiring.from_arch(str(record.get("arch")))
        except SpaceError:
            return pictures
        z = record.get("z", {})
        weights = {edge: z.get(edge, {}).get(op, 0.0) for edge, op in wiring.chosen.items()}
        pictures["cell/derived"] = cell_graph_figure(wiring, weights, f"epoch {record['epoch']}")
        truth = record.get("truth")
        if self._table is not None and truth and self._table.has(self._dataset, "valid"):
            value = truth["accuracy"][self._dataset]["valid"]
            pictures["truth/histogram"] = truth_histogram_figure(
                self._table.values(self._dataset, "valid"),
                reference_marks(self._table, self._dataset, "valid")
                + [Mark("this cell", value, "run")],
                f"All 15,625 cells, {self._dataset} validation",
            )
        return pictures


def reference_marks(table: TruthTable, dataset: str, split: str) -> list[Mark]:
    """Optimum, mean random cell and published rows of one column, where they exist; percent."""
    return [
        Mark(_NAMES.get(kind, label), value, kind, std)
        for label, value, kind, std, _ in references.reference_marks(table, dataset, split)
    ]


def benchmark_table(table: TruthTable, dataset: str, truth: Mapping[str, Any]) -> str:
    """A Markdown table: this run, the optimum, the published rows and the mean random cell;
    percent.
    """
    columns: dict[str, dict[str, str]] = {}
    for split in ("valid", "test"):
        value = truth["accuracy"].get(dataset, {}).get(split)
        columns.setdefault("this run", {})[split] = "missing" if value is None else f"{value:.2f}"
        for mark in reference_marks(table, dataset, split):
            spread = "" if mark.std is None else f" ± {mark.std:.2f}"
            columns.setdefault(mark.label, {})[split] = f"{mark.value:.2f}{spread}"
    lines = [f"| {dataset} | validation, % | test, % |", "|---|---|---|"]
    for label, row in columns.items():
        lines.append(f"| {label} | {row.get('valid', 'missing')} | {row.get('test', 'missing')} |")
    return "\n".join(lines)


def write_references(folder: Path, dataset: str, epochs: int, table: TruthTable) -> list[Path]:
    """Write optimum, mean random cell and published rows as constant curves under ``reference/``.

    folder: the TensorBoard folder of a run. The curves span epochs 0 .. epochs - 1 and carry the
    run's own tags (``truth/<dataset>/<split>``), so that they are lines of the same charts. Curves
    that exist already are left as they are. Returns the folders of all curves.
    """
    curves: dict[str, dict[str, float]] = {}
    for split in ("valid", "test"):
        for mark in reference_marks(table, dataset, split):
            curves.setdefault(mark.label, {})[split] = mark.value
    folders = []
    for label, values in curves.items():
        name = "".join(c if c.isalnum() or c in "+-_." else "_" for c in label)
        target = folder / "reference" / name
        folders.append(target)
        if target.is_dir() and any(target.iterdir()):
            continue
        with SummaryWriter(str(target)) as writer:
            for epoch in sorted({0, max(epochs - 1, 0)}):
                for split, value in values.items():
                    writer.add_scalar(f"truth/{dataset}/{split}", value, epoch)
    return folders
