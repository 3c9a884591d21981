"""P3: with bi-level optimisation no edge is selected, because L - H differs between halves (S1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.runs.store import RunFolder
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.growing import STUDY as GROWING
from nni_wiring.studies.pattern_runs import Wired, searched_wiring
from nni_wiring.studies.statistics import FlipRule, SlopeRule, Verdict, interval
from nni_wiring.studies.subsets import subset_options

_LEVELS = ("single_level", "bi_level")
_HALVES = ("train", "search")

FAILURE = FlipRule(
    claim="bi-level failure (P3): bi-level optimisation ends with fewer selected edges than "
    "single-level",
    null="the level makes no difference to G(T): single minus bi is symmetric about 0",
    minimum=0.5,
    unit="edges",
    spread=0.7,
)
GAP = FlipRule(
    claim="L - H is larger on the search half than on the training half (mean over epochs)",
    null="the halves are alike: the difference is symmetric about 0",
    minimum=0.02,
    unit="nats",
    spread=0.03,
)
#: An odds ratio of 2 per standard deviation of the gap.
EXPLAINS = SlopeRule(
    claim="L - H on the search half explains it: the larger its mean over epochs, the more edges "
    "end at none",
    null="L - H is unrelated to the edges: permutations over the bi-level runs",
    minimum=0.69,
    unit="log odds ratio per standard deviation",
)


class Unit(NamedTuple):
    """One search of the study."""

    strategy: str
    level: str
    fraction: float
    seed: int
    wired: Wired

    def mean_gap(self, half: str) -> float:
        """L - H of a half, mean over epochs; NaN where it was not measured."""
        values = [v for v in getattr(self.wired, f"gap_{half}") if v is not None]
        return float(np.mean(values)) if values else float("nan")

    @property
    def crossing(self) -> int | None:
        """The first epoch in which L - H on the search half is below 0."""
        gaps = self.wired.gap_search
        return next((e for e, gap in enumerate(gaps) if gap is not None and gap < 0), None)


def measure(run: StudyRun) -> Findings:
    """The same strategies, seeds and shares of the training images at both levels."""
    for fraction in run["fractions"]:
        if not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
            raise ConfigError(f"fractions: {fraction!r:.60} is not a share in (0, 1]")
    units = [
        Unit(
            strategy,
            level,
            fraction,
            seed,
            _searched(run, strategy, level, part, seed),
        )
        for strategy in run["strategies"]
        for level in _LEVELS
        for part, fraction in enumerate(run["fractions"])
        for seed in run.seeds
    ]
    bi = [unit for unit in units if unit.level == "bi_level"]
    return Findings(
        [_summary(units), _table(units), _trajectories(bi)],
        _verdicts(units, run["strategies"]),
        _numbers(units),
        [_row(unit) for unit in units],
    )


def _searched(run: StudyRun, strategy: str, level: str, part: int, seed: int) -> Wired:
    label = f"{strategy}-{level}-part{part}-s{seed}"
    changes: dict[str, Any] = {"strategy": strategy, "optimisation": level, "seed": seed}

    def search() -> RunFolder:
        path = run.path / "data" / f"part{part}-s{seed}.npz"
        subset = subset_options(run.config(**changes), run["fractions"][part], path)
        return run.search(label, **changes, **subset)

    return searched_wiring(run, label, search)


def _row(unit: Unit) -> Row:
    wired = unit.wired
    return {
        "strategy": unit.strategy,
        "level": unit.level,
        "fraction": unit.fraction,
        "seed": unit.seed,
        "counts": wired.counts,
        "searched": wired.searched,
        "gap_train": wired.gap_train,
        "gap_search": wired.gap_search,
        "accuracy": wired.accuracy,
    }


def _numbers(units: Sequence[Unit]) -> dict[str, Any]:
    groups: dict[tuple[str, str, float], list[Wired]] = {}
    for unit in units:
        groups.setdefault((unit.strategy, unit.level, unit.fraction), []).append(unit.wired)
    return {
        "gaps": {
            f"{strategy}, bi-level, {_share(fraction)}, {half}": _mean(
                [getattr(wired, f"gap_{half}") for wired in runs]
            )
            for (strategy, level, fraction), runs in groups.items()
            if level == "bi_level"
            for half in _HALVES
        },
        "counts": {
            f"{strategy}, {level.replace('_', '-')}, {_share(fraction)}": np.mean(
                [wired.counts for wired in runs], axis=0
            ).tolist()
            for (strategy, level, fraction), runs in groups.items()
        },
    }


def _share(fraction: float) -> str:
    """`all images`, or `0.25 of the images`."""
    return "all images" if fraction == 1 else f"{fraction:g} of the images"


def _mean(series: list[list[float | None]]) -> list[float | None]:
    columns = zip(*series, strict=True)
    return [
        None if any(v is None for v in column) else float(np.mean([v or 0.0 for v in column]))
        for column in columns
    ]


def _summary(units: Sequence[Unit]) -> Table:
    groups: dict[tuple[str, str, float], list[Unit]] = {}
    for unit in units:
        groups.setdefault((unit.strategy, unit.level, unit.fraction), []).append(unit)
    rows: list[list[Any]] = []
    for key, own in groups.items():
        edges = interval([unit.wired.counts[-1] for unit in own])
        gaps = [interval([unit.mean_gap(half) for unit in own]).mean for half in _HALVES]
        accuracies = np.array([unit.wired.accuracy for unit in own], dtype=float)
        truth = interval(accuracies).mean
        empty = f"{sum(unit.wired.counts[-1] == 0 for unit in own)} of {len(own)}"
        rows.append([*key, *edges[:3], empty, *gaps, truth])
    return Table(
        "means over seeds: selected edges at the end with their 95 % interval, searches that end "
        "with none, L - H (nats) as the mean over epochs, true accuracy of the derived cells",
        [
            *("strategy", "optimisation", "share of images", "G(T)", "low", "high"),
            *("end with none", "L - H train", "L - H search", "true accuracy %"),
        ],
        rows,
    )


def _table(units: Sequence[Unit]) -> Table:
    rows: list[list[Any]] = [
        [
            *(unit.strategy, unit.level, unit.fraction, unit.seed),
            min(unit.wired.counts),
            unit.wired.counts[-1],
            unit.wired.gap_train[-1],
            unit.wired.gap_search[-1],
            unit.wired.accuracy,
        ]
        for unit in units
    ]
    columns = ["strategy", "optimisation", "share of images", "seed", "min G", "G(T)"]
    return Table(
        "selected edges at the end, and L - H of the last epoch (nats)",
        [*columns, "L - H train", "L - H search", "true accuracy %"],
        rows,
    )


def _trajectories(units: Sequence[Unit]) -> Table:
    rows: list[list[Any]] = [
        [
            *(unit.strategy, unit.fraction, unit.seed),
            unit.wired.gap_search[0],
            unit.mean_gap("search"),
            unit.wired.gap_search[-1],
            unit.crossing,
            unit.wired.searched - unit.wired.counts[-1],
        ]
        for unit in units
    ]
    return Table(
        "bi-level runs: L - H on the search half (nats) and the searched edges that end at none",
        [
            *("strategy", "share of images", "seed", "first epoch", "mean", "last epoch"),
            *("first epoch below 0", "edges at none"),
        ],
        rows,
    )


def _verdicts(units: Sequence[Unit], strategies: Sequence[str]) -> list[Verdict]:
    drops, gaps, slopes = {}, {}, {}
    for strategy in strategies:
        own = [unit for unit in units if unit.strategy == strategy]
        bi = [unit for unit in own if unit.level == "bi_level"]
        seeds = sorted({unit.seed for unit in own})
        drops[strategy] = [
            _mean_edges(own, seed, "single_level") - _mean_edges(own, seed, "bi_level")
            for seed in seeds
        ]
        gaps[strategy] = [
            float(np.mean([u.mean_gap("search") - u.mean_gap("train") for u in bi if u.seed == s]))
            for s in seeds
        ]
        none = [unit.wired.searched - unit.wired.counts[-1] for unit in bi]
        slopes[strategy] = (none, [unit.mean_gap("search") for unit in bi])
    bi = [unit for unit in units if unit.level == "bi_level"]
    empty = sum(unit.wired.counts[-1] == 0 for unit in bi)
    trials = bi[0].wired.searched
    return [
        *FAILURE.judge_all(drops, f"{empty} of {len(bi)} bi-level runs select nothing"),
        *GAP.judge_all(gaps),
        *EXPLAINS.judge_all(slopes, trials, "runs are seeds x shares of images"),
    ]


def _mean_edges(units: Sequence[Unit], seed: int, level: str) -> float:
    """G(T) of a seed, mean over the shares of images."""
    return float(
        np.mean([u.wired.counts[-1] for u in units if u.seed == seed and u.level == level])
    )


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """L - H on both halves, and G(t) at both levels."""
    return {
        "bilevel_gap": line_chart(numbers["gaps"], "L - H, mean over seeds", "nats"),
        "bilevel_edges": line_chart(
            numbers["counts"], "Edges selected, mean over seeds", "edges whose argmax is not none"
        ),
    }


STUDY = Study(
    name="bilevel-failure",
    title="the same strategy single-level and bi-level",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 8, "strategies": ["dsnas"], "fractions": [0.25, 1.0]},
    small={
        **GROWING.small,
        "space": "nasbench201_minimal",
        "epochs": 100,
        "max_steps": 15,
        "augment": False,
    },
    paper={
        **{key: value for key, value in GROWING.paper.items() if key != "split"},
        "fractions": [0.2, 1.0],
        "epochs": 50,
    },
    measure=measure,
    plot=plot,
    rules=(FAILURE, GAP, EXPLAINS),
    spaces=GROWING.spaces,
    sized=True,
    reference={"epochs": 100},
)
