"""Write the table of all methods at the reference size into docs/strategies.md, from the kept rows.

    python docs/results/method_table.py            # rewrites the table between its marks
    python docs/results/method_table.py --check    # writes nothing; exit code 1 where it would

A method is a strategy, its level and a selection; only searches of the whole space count.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from reference_table import joined, rewrite, rows

from nni_wiring.studies.statistics import interval
from nni_wiring.truth import load_table

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin methods -->", "<!-- end methods -->"
#: The folder of rows -> the data set that its searches are judged on.
DATA = {"reference": "cifar10", "clutter": "clutter"}
OURS = load_table("clutter201")
COLUMNS = (
    "strategy, level",
    "selection",
    *("CIFAR-10, true %", "ranks"),
    *("clutter, true %", "[95 %]", "ranks, median", "seeds"),
)


class Ended(NamedTuple):
    """A search's cell: true validation accuracy, percent, and its rank of 15,625."""

    accuracy: float
    rank: int


def ends(data: str, search: dict[str, Any]) -> dict[tuple[str, str, str], Ended]:
    """(strategy, level, selection) -> its cell, of a search and what was selected afterwards."""
    config, result = search["run"]["config"], search["result"]
    method = config["strategy"], config["optimisation"].replace("_", "-")
    found = {result["selection"]: result}
    found |= search["selections"]
    return {
        (*method, name): ended(data, one["arch"], one["truth"])
        for name, one in found.items()
        if one["truth"]
    }


def ended(data: str, arch: str, told: dict[str, Any]) -> Ended:
    """By the table of today where it is ours and grows, else as the search was told."""
    if data == "clutter":
        now = OURS.truth(arch).at(data, "valid")
        return Ended(now.accuracy, now.rank)
    return Ended(told["accuracy"][data]["valid"], told["rank"][data]["valid"])


def by_method(folder: str) -> dict[tuple[str, str, str], list[Ended]]:
    """The cells of every method, seed by seed."""
    found = defaultdict(list)
    for search in rows(HERE / folder):
        if search["run"]["config"]["space"] == "nasbench201":
            for method, end in ends(DATA[folder], search).items():
                found[method].append(end)
    return found


def table() -> str:
    """Return the table in Markdown, the best on CIFAR-10 first."""
    cifar, clutter = (by_method(folder) for folder in DATA)
    best = sorted(cifar, key=lambda method: -np.mean([end.accuracy for end in cifar[method]]))
    lines = [joined(*COLUMNS), "|---" * len(COLUMNS) + "|"]
    for method in [*best, *sorted(clutter.keys() - cifar.keys())]:
        strategy, level, selection = method
        lines.append(
            joined(f"`{strategy}`, {level}", selection, *few(cifar[method]), *many(clutter[method]))
        )
    return "\n".join(lines)


def few(found: list[Ended]) -> tuple[str, str]:
    """Every seed by itself."""
    if not found:
        return "-", "-"
    return (
        " / ".join(f"{end.accuracy:.2f}" for end in found),
        " / ".join(f"{end.rank:,}" for end in found),
    )


def many(found: list[Ended]) -> tuple[str, str, str, str]:
    """Mean, interval, median rank and number of seeds."""
    if not found:
        return "-", "-", "-", "-"
    spread = interval([end.accuracy for end in found])
    rank = np.median([end.rank for end in found])
    ends_of = f"[{spread.low:.2f}, {spread.high:.2f}]"
    return f"{spread.mean:.2f}", ends_of, f"{rank:,.0f}", str(len(found))


if __name__ == "__main__":
    rewrite(HERE.parent / "strategies.md", BEGIN, table(), END)
