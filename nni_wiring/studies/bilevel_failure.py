"""P3: with bi-level optimisation no edge is selected, because L - H differs between halves (S1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Holds, Study, StudyRun, Table, Verdict, graded
from nni_wiring.studies.growing import STUDY as GROWING
from nni_wiring.studies.pattern_runs import Wired, read_wired

_LEVELS = ("single_level", "bi_level")


def measure(run: StudyRun) -> Findings:
    """The same strategies and seeds at both levels."""
    found: dict[tuple[str, str], list[Wired]] = {}
    for strategy in run["strategies"]:
        for level in _LEVELS:
            for seed in run.seeds:
                folder = run.search(
                    f"{strategy}-{level}-s{seed}", strategy=strategy, optimisation=level, seed=seed
                )
                found.setdefault((strategy, level), []).append(read_wired(folder))
    return Findings(
        [_table(found)],
        [_failure(found), _gap(found)],
        {
            "gaps": {
                f"{strategy}, bi-level, {half}": _mean(
                    [getattr(w, f"gap_{half}") for w in found[strategy, "bi_level"]]
                )
                for strategy in run["strategies"]
                for half in ("train", "search")
            },
            "counts": {
                f"{strategy}, {level.replace('_', '-')}": np.mean(
                    [w.counts for w in runs], axis=0
                ).tolist()
                for (strategy, level), runs in found.items()
            },
        },
    )


def _mean(series: list[list[float | None]]) -> list[float | None]:
    columns = zip(*series, strict=True)
    return [
        None if any(v is None for v in column) else float(np.mean([v or 0.0 for v in column]))
        for column in columns
    ]


def _table(found: dict[tuple[str, str], list[Wired]]) -> Table:
    rows: list[list[Any]] = []
    for (strategy, level), runs in found.items():
        for seed, w in enumerate(runs, start=1):
            rows.append(
                [
                    strategy,
                    level,
                    seed,
                    min(w.counts),
                    w.counts[-1],
                    w.gap_train[-1],
                    w.gap_search[-1],
                    w.accuracy,
                ]
            )
    columns = ["strategy", "optimisation", "seed", "min G", "G(T)"]
    return Table(
        "selected edges at the end, and L - H of the last epoch (nats)",
        [*columns, "L - H train", "L - H search", "true accuracy %"],
        rows,
    )


def _failure(found: dict[tuple[str, str], list[Wired]]) -> Verdict:
    final = {
        level: [w.counts[-1] for (_, at), runs in found.items() if at == level for w in runs]
        for level in _LEVELS
    }
    single, bi = (float(np.mean(final[level])) for level in _LEVELS)
    failed = sum(count == 0 for count in final["bi_level"])
    verdict: Holds = "does not hold"
    if failed == len(final["bi_level"]):
        verdict = "holds"
    elif failed or bi < single:
        verdict = "holds in part"
    return Verdict(
        "bi-level failure (P3): with bi-level optimisation no edge is selected at the end",
        verdict,
        f"{failed} of {len(final['bi_level'])} bi-level runs select nothing; "
        f"mean G(T) {bi:.2f} bi-level, {single:.2f} single-level",
    )


def _gap(found: dict[tuple[str, str], list[Wired]]) -> Verdict:
    pairs = [
        (w.gap_train[-1], w.gap_search[-1])
        for (_, level), runs in found.items()
        if level == "bi_level"
        for w in runs
    ]
    known = [(train, search) for train, search in pairs if train is not None and search is not None]
    larger = sum(search > train for train, search in known)
    positive = sum(search > 0 for _, search in known)
    verdict: Holds = "cannot be said"
    if known:
        verdict = graded(larger / len(known), full=1.0)
        if verdict == "holds" and positive < len(known):
            verdict = "holds in part"
    return Verdict(
        "what alpha descends on explains it: L - H on the search half stays positive, above that "
        "on the training half",
        verdict,
        f"above it in {larger}, positive in {positive} of {len(known)} bi-level runs",
    )


def draw(numbers: dict[str, Any]) -> dict[str, Figure]:
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
    own={"seeds": 2, "strategies": ["dsnas", "darts"]},
    reduced={**GROWING.reduced},
    paper={
        **{key: value for key, value in GROWING.paper.items() if key != "split"},
        "epochs": 50,
    },
    measure=measure,
    draw=draw,
)
