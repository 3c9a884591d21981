"""References of a run: optimum, mean random cell and published rows of its benchmark."""

from __future__ import annotations

from pathlib import Path

from nni_wiring.figures import Mark
from nni_wiring.records import Truth
from nni_wiring.truth import TruthTable, references

#: Names of the curves of reference runs.
_NAMES = {"optimum": "optimum", "random": "random cell"}


def reference_marks(table: TruthTable, dataset: str, split: str) -> list[Mark]:
    """Optimum, mean random cell and published rows of one column, where they exist; percent."""
    return [
        Mark(_NAMES.get(kind, label), value, kind, std)
        for label, value, kind, std, _ in references.reference_marks(table, dataset, split)
    ]


def benchmark_table(table: TruthTable, dataset: str, truth: Truth) -> str:
    """A Markdown table: this run, the optimum, the published rows and the mean random cell;
    percent.
    """
    columns: dict[str, dict[str, str]] = {}
    for split in ("valid", "test"):
        value = truth.at(dataset, split).accuracy
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
    from nni_wiring.monitor.event_file import EventWriter  # a second to import

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
        with EventWriter(target) as writer:
            for epoch in sorted({0, max(epochs - 1, 0)}):
                for split, value in values.items():
                    writer.add_scalar(f"truth/{dataset}/{split}", value, epoch)
    return folders
