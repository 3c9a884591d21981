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

HERE = Path(__file__).parent
BEGIN, END = "<!-- begin methods -->", "<!-- end methods -->"
#: The folder of rows -> the data set that its searches are judged on.
DATA = {"reference": "cifar10", "clutter": "clutter"}
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
    found = {result["selection"]: result["truth"]}
    found |= {name: again["truth"] for name, again in search["selections"].items()}
    return {
        (*method, name): Ended(truth["accuracy"][data]["valid"], truth["rank"][data]["valid"])
        for name, truth in found.items()
        if truth
    }


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
