"""Write the table of the reference searches into README.md, from the rows kept beside it.

    python docs/results/reference_table.py            # rewrites the table between its marks
    python docs/results/reference_table.py --check    # writes nothing; exit code 1 where it would

Needs the standard library only. Accuracies are NAS-Bench-201's, CIFAR-10 validation, in percent.
"""

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin reference table -->", "<!-- end reference table -->"
COLUMNS = ("label", "its cell", "%, rank", "best passed by, %", "by perturbation, %, rank")
SHORT = {
    "none": "-",
    "skip_connect": "s",
    "nor_conv_1x1": "1",
    "nor_conv_3x3": "3",
    "avg_pool_3x3": "p",
}


def rows(folder: Path = HERE / "reference") -> list[dict[str, Any]]:
    """Read the kept searches, ordered by label."""
    return [
        json.loads(gzip.decompress(path.read_bytes())) for path in sorted(folder.glob("*.json.gz"))
    ]


def cell(arch: str) -> str:
    """Shorten an official arch string to one letter per edge: 0-1, 0-2 1-2, 0-3 1-3 2-3."""
    nodes = [node.strip("|").split("|") for node in arch.split("+")]
    return " ".join("".join(SHORT[edge.split("~")[0]] for edge in node) for node in nodes)


def judged(truth: dict[str, Any] | None) -> str:
    """Say accuracy and rank, or a dash where the cell has no truth."""
    if not truth:
        return "-"
    return f"{truth['accuracy']['cifar10']['valid']:.2f} ({truth['rank']['cifar10']['valid']:,})"


def joined(*cells: str) -> str:
    """Write the cells of one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def line(row: dict[str, Any]) -> str:
    """Write one search as a line of the table."""
    passed = [
        epoch["truth"]["accuracy"]["cifar10"]["valid"]
        for epoch in row["epochs"]
        if epoch.get("truth") and epoch.get("arch")
    ]
    # a method that selects after its search has cells only by that selection: none was passed by
    best = f"{max(passed):.2f}" if row["result"]["selection"] == "magnitude" and passed else "-"
    perturbed = row["selections"].get("perturbation")
    again = judged(perturbed["truth"]) if perturbed else "-"
    result = row["result"]
    return joined(row["label"], cell(result["arch"]), judged(result["truth"]), best, again)


def table() -> str:
    """Return the table in Markdown, without its marks."""
    return "\n".join([joined(*COLUMNS), "|---|---|---|---|---|", *map(line, rows())])


def rewrite(page: Path, begin: str, body: str, end: str) -> None:
    """Put the body between the marks of a page, or check it: the whole command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    before, rest = page.read_text().split(begin)
    text = f"{before}{begin}\n{body}\n{end}{rest.split(end)[1]}"
    if check:
        raise SystemExit(int(text != page.read_text()))
    page.write_text(text)


if __name__ == "__main__":
    rewrite(HERE / "README.md", BEGIN, table(), END)
