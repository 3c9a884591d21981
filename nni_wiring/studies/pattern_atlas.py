"""S1's patterns, expected topology and truth of every method at both levels, against three nulls.

From kept searches, or from small ones of the study's own, whose verdicts are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.runs.kept import KeptRun
from nni_wiring.strategies.registry import STRATEGIES, strategy_class
from nni_wiring.studies import pattern_nulls as nulls
from nni_wiring.studies.charts import heat_panels
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import ROWS, read_rows
from nni_wiring.studies.pattern_nulls import MEASURES, NULLS, Trajectory
from nni_wiring.studies.sizes import REFERENCE, smallness, withheld
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import FlipRule, ShareRule, Verdict, known
from nni_wiring.studies.truths import StudyTruth, truth_of
from nni_wiring.truth import NASBENCH201
from search_spaces.errors import WiringError
from search_spaces.registry import space_entry

LEVELS = ("single_level", "bi_level")
_COLUMNS = {
    "fall": "P1 fall",
    "return": "P1 return",
    "margin": "P2 margin",
    "selected": "P3 edges",
    "width": "E width",
    "depth": "E depth",
    "conv_depth": "E conv depth",
    "disconnected": "P disconnected",
    "valid": "E valid %",
}
#: Colours of the picture end here, in standard deviations of a null.
_LIMIT = 5.0

FALLS = ShareRule(
    claim="P1, first half: all searched edges drop to none",
    null="the share of Gaussian walks that do the same",
    minimum=0.3,
    unit="of the searches",
    family=26,
    least=5,
)
RETURNS = ShareRule(
    claim="P1: the searched edges drop to none, and some are added again",
    null="the larger share, of Gaussian walks or of the search's own steps shuffled over the edges",
    minimum=0.3,
    unit="of the searches",
    family=26,
    least=5,
)
WIDTH = FlipRule(
    claim="P2: the intermediate edge ends further from being selected than the input edges",
    null="edges are exchangeable: the margin is symmetric about 0 over seeds",
    minimum=0.75,
    unit="standard deviations over the orders of the edges",
    spread=1.0,
    family=26,
    least=6,
)
FAILURE = FlipRule(
    claim="P3: bi-level optimisation ends with fewer selected edges than single-level",
    null="the level makes no difference to G(T): single minus bi is symmetric about 0",
    minimum=0.5,
    unit="edges",
    spread=0.7,
    family=12,
    least=6,
)


class Standing(NamedTuple):
    """Of a strategy at a level: why it has no patterns, or None."""

    strategy: str
    level: str
    refused: str | None


def standings(strategies: Iterable[str]) -> list[Standing]:
    """Every strategy at both levels."""
    return [Standing(s, level, _refusal(s, level)) for s in strategies for level in LEVELS]


def _refusal(strategy: str, level: str) -> str | None:
    found = strategy_class(strategy)
    try:
        made = found(optimisation=level)
    except ConfigError:
        return f"not applicable: no {level.replace('_', '-')} form"
    return None if made.moves_alpha else "not applicable: alpha does not move"


def measure(run: StudyRun) -> Findings:
    """Kept searches, small ones of the study's own, or both."""
    truth = truth_of(run)
    places = standings(run["strategies"] or STRATEGIES)
    cells = nulls.figures(truth)
    rows = [_row(kept, truth, cells) for kept in _searches(run, places)]
    columns = list(_COLUMNS.values())
    labels = list(dict.fromkeys(row["label"] for row in rows))
    grey = [f"{p.strategy}, {p.level.replace('_', '-')}: n/a" for p in places if p.refused]
    z = {
        null: [[_mean_z(rows, label, null, name) for name in MEASURES] for label in labels]
        + [[None] * len(MEASURES) for _ in grey]
        for null in NULLS
    }
    seeds = {label: len(_of(rows, label)) for label in labels}
    named = [f"{label} ({seeds[label]})" for label in labels]
    return Findings(
        [
            _values(rows, labels),
            *(_z_table(null, labels, z[null]) for null in NULLS),
            _absent(places, rows),
        ],
        verdicts(rows),
        {"rows": [*named, *grey], "columns": columns, "z": z},
        rows,
    )


def _searches(run: StudyRun, places: Sequence[Standing]) -> list[KeptRun]:
    """Those given, and the study's own: all where none was given, the absent ones if asked for."""
    wanted = {(p.strategy, p.level) for p in places if p.refused is None}
    given = read_rows(run, lambda kept: _fits(kept, wanted)) if run[ROWS] else []
    if given and not run["missing"]:
        return given
    there = {_place(kept) for kept in given}
    absent = [(p.strategy, p.level) for p in places if (p.strategy, p.level) in wanted - there]
    own = [
        run.search(
            f"{strategy}-{level}-s{seed}",
            strategy=strategy,
            optimisation=level,
            seed=seed,
            **run["changes"].get(strategy, {}),
        )
        for strategy, level in absent
        for seed in run.seeds
    ]
    return [*given, *map(KeptRun.of, own)]


def _place(kept: KeptRun) -> tuple[str, str]:
    level = kept.config.get("optimisation", "bi_level")
    return str(kept.config.get("strategy")), str(level)


def _fits(kept: KeptRun, wanted: set[tuple[str, str]]) -> bool:
    """True for a search by magnitudes that move, in NAS-Bench-201's cell with none in it."""
    try:
        entry = space_entry(str(kept.config.get("space")))
    except WiringError:
        return False
    whole = entry.benchmark == NASBENCH201.name and all(record.z for record in kept.records)
    return whole and bool(kept.records) and _place(kept) in wanted


def _row(kept: KeptRun, truth: StudyTruth, cells: nulls.Floats) -> Row:
    strategy, level = _place(kept)
    space = str(kept.config["space"])
    allowed = space_entry(space).operations(kept.config.get("operations"))
    one = Trajectory.of(kept.records, allowed)
    values = nulls.values_of(one, cells)
    found = {
        "uniform": nulls.uniform(one, cells),
        "exchanged edges": nulls.exchanged_edges(one, cells),
        "shuffled steps": nulls.shuffled_steps(one, cells),
    }
    score = truth.table.truth(kept.arch).at(truth.dataset, truth.split) if kept.arch else None
    small = smallness(kept.config)
    size = ", small" if small else ""
    narrow = "" if space == NASBENCH201.name else f", {space.removeprefix('nasbench201_')}"
    return {
        "search": kept.label,
        "label": f"{strategy}, {level.replace('_', '-')}{narrow}{size}",
        "strategy": strategy,
        "level": level,
        "space": space,
        "small": small is not None,
        "seed": kept.seed,
        "values": values,
        "nulls": found,
        "z": {
            null: {name: nulls.standardised(values[name], found[null][name]) for name in MEASURES}
            for null in NULLS
        },
        "cell": kept.arch,
        "accuracy": None if score is None else score.accuracy,
        "rank": None if score is None else score.rank,
    }


def _of(rows: Sequence[Row], label: str) -> list[Row]:
    """The rows of a label, one a seed: the first."""
    found: dict[Any, Row] = {}
    for row in rows:
        if row["label"] == label:
            found.setdefault(row["seed"], row)
    return list(found.values())


def _mean_z(rows: Sequence[Row], label: str, null: str, name: str) -> float | None:
    return _mean([row["z"][null][name] for row in _of(rows, label)])


def _mean(values: Sequence[float | None]) -> float | None:
    there = known([np.nan if value is None else value for value in values])
    return float(there.mean()) if len(there) else None


def _values(rows: Sequence[Row], labels: Sequence[str]) -> Table:
    lines: list[list[Any]] = []
    for label in labels:
        own = _of(rows, label)
        means = [_mean([row["values"][name] for row in own]) for name in MEASURES]
        ends = [_mean([row[name] for row in own]) for name in ("accuracy", "rank")]
        lines.append([label, len(own), *means, *ends])
    return Table(
        "means over seeds: shares that fall and return, P2 margin in log odds, edges selected at "
        "the end, expectations under p(alpha) at the last epoch, the derived cell's truth",
        ["method", "seeds", *_COLUMNS.values(), "cell %", "rank"],
        lines,
    )


def _z_table(null: str, labels: Sequence[str], z: Sequence[Sequence[float | None]]) -> Table:
    lines: list[list[Any]] = [[label, *row] for label, row in zip(labels, z, strict=False)]
    return Table(
        f"z against {null}, means over seeds; a dash where the null says nothing",
        ["method", *_COLUMNS.values()],
        lines,
    )


def _absent(places: Sequence[Standing], rows: Sequence[Row]) -> Table:
    there = {(row["strategy"], row["level"]) for row in rows}
    lines: list[list[Any]] = [
        [p.strategy, p.level.replace("_", "-"), p.refused or "no search"]
        for p in places
        if p.refused or (p.strategy, p.level) not in there
    ]
    return Table("not in the atlas", ["strategy", "level", "why"], lines)


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """By the rules, a label each; of small searches none."""
    large = [row for row in rows if not row["small"]]
    small = [row for row in rows if row["small"]]
    why = f"fewer than {REFERENCE['channels']} channels, {REFERENCE['epochs']} epochs, or cut ones"
    return [
        *(_judged(large) if large else []),
        *(withheld(_judged(small), why) if small else []),
    ]


def _judged(rows: Sequence[Row]) -> list[Verdict]:
    by_label = {row["label"]: _of(rows, row["label"]) for row in rows}
    falls = {label: _count(own, "fall") for label, own in by_label.items()}
    returns = {label: _count(own, "return") for label, own in by_label.items()}
    walks = {label: _null_share(own, "fall", NULLS[:1]) for label, own in by_label.items()}
    larger = {label: _null_share(own, "return", NULLS) for label, own in by_label.items()}
    margins = {
        label: [_number(row["z"]["exchanged edges"]["margin"]) for row in own]
        for label, own in by_label.items()
    }
    pairs = _level_differences(by_label)
    return [
        *FALLS.judge_all(falls, walks),
        *RETURNS.judge_all(returns, larger),
        *WIDTH.judge_all(margins),
        *(FAILURE.judge_all(pairs) if pairs else []),
    ]


def _count(own: Sequence[Row], name: str) -> tuple[int, int]:
    return sum(row["values"][name] == 1 for row in own), len(own)


def _null_share(own: Sequence[Row], name: str, chosen: Sequence[str]) -> float:
    """The largest of the nulls' shares, each the mean over searches."""
    shares = [[row["nulls"][null][name] for row in own] for null in chosen]
    return max(float(np.mean([s[0] for s in one])) for one in shares if None not in one)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _level_differences(by_label: dict[str, list[Row]]) -> dict[str, list[float]]:
    """G(T) of single-level minus bi-level, by seed, of every strategy and space with both."""
    ends: dict[tuple[str, str], dict[str, dict[Any, float]]] = {}
    for own in by_label.values():
        for row in own:
            levels = ends.setdefault((row["strategy"], row["space"]), {})
            levels.setdefault(row["level"], {})[row["seed"]] = row["values"]["selected"]
    found: dict[str, list[float]] = {}
    for (strategy, space), levels in ends.items():
        single, bi = (levels.get(level, {}) for level in LEVELS)
        both = [seed for seed in single if seed in bi]
        if both:
            found[f"{strategy}, {space}"] = [single[seed] - bi[seed] for seed in both]
    return found


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """z of every measure, a panel a null."""
    panels = {f"against {null}": numbers["z"][null] for null in NULLS}
    title = "The patterns of every method (number of seeds)"
    rows, columns = numbers["rows"], numbers["columns"]
    return {"pattern_atlas": heat_panels(panels, rows, columns, title, "z", _LIMIT)}


STUDY = Study(
    name="pattern-atlas",
    title="S1's patterns, expected topology and truth of every method against three nulls",
    source="after Xie et al., AISTATS 2021, arXiv 2009.01272; the atlas is ours",
    own={
        ROWS: [],
        "missing": False,
        "seeds": 12,
        "strategies": [],
        "changes": {"enas": {"controller_steps": 10, "controller_samples": 10}},
    },
    small={
        "data": "clutter",
        "space": "nasbench201_minimal",
        "head": "bias_free",
        "supernet": "auto",
        "seeds": 2,
        "channels": 4,
        "cells": 1,
        "batch_size": 16,
        "epochs": 20,
        "max_steps": 20,
        "alpha_lr": 0.01,
    },
    paper={
        "space": "nasbench201_minimal",
        "head": "bias_free",
        "supernet": "auto",
        "changes": {},
        "epochs": 100,
    },
    measure=measure,
    plot=plot,
    rules=(FALLS, RETURNS, WIDTH, FAILURE),
    spaces=Spaces(benchmark=NASBENCH201.name, some_edge=("none",)),
)
