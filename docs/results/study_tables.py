"""Write the tables of kept studies, and of studies of kept searches, into the pages beside.

    python docs/results/study_tables.py --benchmark NAME    # an imported table, see below
    python docs/results/study_tables.py --check             # writes nothing; 1 where it would

NAME has the test accuracies and those of the 12-epoch trainings (`benchmark import`). Without it
only the studies are written that the bundled table can answer.
"""

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nni_wiring.files.gzipped import SUFFIX
from nni_wiring.studies.kept_studies import judged_again, read_study
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.sizes import reference_training

HERE = Path(__file__).parent


class Shown(NamedTuple):
    """A study's options, the tables that the page shows, and whether the bundled table answers."""

    options: dict[str, Any]
    tables: tuple[int, ...]
    bundled: bool


class Page(NamedTuple):
    """A page, the folder of its rows, its studies, and the table of all of them, if it has one."""

    file: str
    rows: str
    studies: dict[str, Shown]
    table: str | None = None

    def settings(self, name: str) -> dict[str, Any]:
        """The options that the command of a study names."""
        options, _, bundled = self.studies[name]
        table = self.table or (None if bundled else "NAME")
        return {**options, **({"benchmark": table} if table else {})}


REFERENCE = {
    "growing": Shown({"space": "nasbench201_minimal"}, (0, 1), bundled=True),
    "search-trajectories": Shown({}, (0,), bundled=True),
    "pattern-atlas": Shown({}, (0, 1, 2, 3), bundled=True),
    "early-stop": Shown({}, (0,), bundled=True),
    "published-order": Shown({}, (0,), bundled=False),
    "selected-speed": Shown({}, (0,), bundled=False),
    "selected-cells": Shown({}, (0,), bundled=True),
}
CLUTTER = {
    "search-trajectories": Shown({}, (0, 1, 2, 5), bundled=True),
    "pattern-atlas": Shown({}, (0, 1, 2, 3), bundled=True),
    "early-stop": Shown({}, (0,), bundled=True),
    "selected-speed": Shown({}, (0,), bundled=True),
    "selected-cells": Shown({}, (0,), bundled=True),
    "published-order": Shown({}, (0,), bundled=True),
}
PAGES = (
    Page("README.md", "reference", REFERENCE),
    Page("clutter.md", "clutter", CLUTTER, "clutter201"),
)

#: What n counts in the verdicts of a study that has no seeds, searches or methods.
UNITS = {"published-topology": "cells", "linear-cells": "blocks", "rewired-pairs": "clusters"}

#: The page of studies that keep what they measured, their folder, and by file the tables shown.
KEPT_PAGE, KEPT = "studies.md", "studies"
KEPT_TABLES = {
    "cost-at-initialisation-cifar": (1,),
    "unified-view-cifar": (0,),
    "controller-conditioning": (0,),
    "controller-conditioning-e12": (0,),
    "controller-conditioning-supernet": (0,),
    "controller-states": (0,),
    "controller-memory": (0,),
    "controller-memory-005": (0,),
    "enas-vs-random-clutter": (0, 1),
    "convergence-clutter": (0, 1, 2),
    "block-norms-clutter": (0, 1),
    "landscape-clutter": (1,),
    "width-cost-clutter": (0,),
    "cost-after-training-clutter": (0, 1),
    "cost-decomposition-clutter": (0,),
    "bilevel-failure-clutter": (0, 1),
    "growing-simplified-clutter": (0, 1),
    "cost-vs-truth-clutter": (0, 1),
    "strength-clutter": (0, 1),
    "skip-dominance-clutter": (1,),
    "failure-spaces-clutter": (1,),
    "sensitivity-clutter": (0,),
    "shuffling-clutter": (0,),
    "convergence-cifar": (0, 1, 2),
    "convergence-cifar60k": (0, 1, 2),
    "landscape-cifar": (1,),
    "enas-vs-random-cifar": (0, 1),
    "none-mechanism-clutter": (0,),
    "landscape-cifar60k": (1,),
    "enas-vs-random-cifar60k": (0, 1),
    "block-norms-cifar": (0, 1),
    "block-norms-cifar60k": (0, 1),
    "published-topology": (0, 1, 2, 3, 4),
    "linear-cells": (1,),
    "rewired-pairs-nb201": (0, 1),
    "rewired-pairs-clutter201": (0,),
    "topology-vs-truth-nb201": (0,),
    "random-wiring-clutter": (1, 2),
}


def kept_text() -> str:
    """The page of kept studies with each study's tables between its marks."""
    text = (HERE / KEPT_PAGE).read_text()
    for label, tables in KEPT_TABLES.items():
        path = HERE / KEPT / f"{label}{SUFFIX}"
        kept = read_study(path)
        with tempfile.TemporaryDirectory() as folder:
            result = judged_again(kept, Path(folder) / "study")
        words = f"python cli.py study {kept.study} --from docs/results/{KEPT}/{path.name}"
        text = marked(text, label, markdown(result, tables, words))
    return text


def marked(text: str, name: str, body: str) -> str:
    """Put the body between the marks of a name."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{body}\n{end}", text)


def measured(page: Page, name: str, benchmark: str, folder: Path) -> dict[str, Any]:
    """Run a study on all kept searches of a page; its pictures are in the folder."""
    found = study(name)
    given = {"rows": [str(HERE / page.rows)], "benchmark": benchmark}
    options = found.options({**given, **page.studies[name].options})
    return run_study(found, options, folder)


def shown(cell: object) -> str:
    """Write a number with two decimals, two digits of a small one, a missing one as a dash."""
    if cell is None or cell != cell:
        return "-"
    if isinstance(cell, float) and cell != int(cell):
        return f"{cell:.2g}" if abs(cell) < 0.1 else f"{cell:.2f}"
    return f"{cell:g}" if isinstance(cell, float) else str(cell)


def table_lines(table: dict[str, Any]) -> list[str]:
    """Write a table with its title above it."""
    rows = [table["columns"], *([shown(cell) for cell in row] for row in table["rows"])]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---" * len(table["columns"]) + "|")
    return [f"({table['title']})", "", *lines, ""]


def markdown(result: dict[str, Any], tables: Sequence[int], words: str) -> str:
    """Write some of a study's tables and its verdicts, and the command that gives them."""
    lines: list[str] = []
    for place in tables:
        if place < len(result["tables"]):
            lines += table_lines(result["tables"][place])
    small = any("no verdict: small" in v["evidence"] for v in result["verdicts"])
    found = study(result["study"])
    trained = found.sized or found.reference_size is reference_training
    judged = "Verdicts at the reference size" if trained else "Verdicts"
    size = "No verdict: small" if small else judged
    if not result["verdicts"]:
        return "\n".join([*lines, f"No claim is judged. By `{words}`."])
    units = UNITS.get(found.name, "seeds, searches or methods")
    lines += [f"{size}, n {units}, by", f"`{words}`:", ""]
    for v in result["verdicts"]:
        p = "-" if v["p"] is None else f"{v['p']:.2g}"
        numbers = f"n = {v['n']}, p = {p}; null: {v['null']}"
        outcome = "no verdict: small" if small else v["verdict"]
        lines.append(f"- {v['claim']}: **{outcome}** ({numbers})")
    return "\n".join(lines)


def command(page: Page, name: str) -> str:
    """The command that measures the study on the kept searches anew."""
    settings = "".join(f" --set {key}={value}" for key, value in page.settings(name).items())
    return f"python cli.py study {name} --from docs/results/{page.rows}{settings}"


def written(page: Page, benchmark: str | None) -> str:
    """The page with each table between its marks."""
    text = (HERE / page.file).read_text()
    for name, one in page.studies.items():
        table = page.table or ("bundled" if one.bundled else benchmark)
        if table is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            result = measured(page, name, table, Path(folder) / "study")
        body = markdown(result, one.tables, command(page, name))
        text = marked(text, name, body)
    return text


def main() -> None:
    """Put each table between its marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmark")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    texts = {HERE / page.file: written(page, given.benchmark) for page in PAGES}
    texts[HERE / KEPT_PAGE] = kept_text()
    if given.check:
        raise SystemExit(int(any(text != file.read_text() for file, text in texts.items())))
    for file, text in texts.items():
        file.write_text(text)


if __name__ == "__main__":
    main()
