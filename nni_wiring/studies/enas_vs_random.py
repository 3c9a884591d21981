"""Is ENAS better than random search with weight sharing, and is it the supernet or the sampler?
(S4)

Two supernets a seed, trained on the cells of ENAS' controller or on uniform ones; on each, cells of
a controller and uniform cells are ranked alike.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_ind_from_stats

from nni_wiring.errors import ConfigError
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.assemble import truth_for
from nni_wiring.search.reopen import reopen
from nni_wiring.strategies.enas import ENASSettings
from nni_wiring.studies.charts import operation_bars
from nni_wiring.studies.controllers import SMALL_SUPERNET
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.marginals import as_cube
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    EquivalenceRule,
    NotBetterRule,
    Verdict,
    holm,
    interval,
    paired_flip,
)
from nni_wiring.studies.supernet_samplers import Truths, arms, controller_of, taught
from nni_wiring.studies.truths import truth_of
from nni_wiring.truth.published import published_rows

_SUPERNETS = ("enas", "uniform")
_SAMPLERS = ("controller", "uniform")
_MEASURES = {
    "accuracy": "accuracy, %",
    "percentile": "percentile",
    "supernet_accuracy": "supernet's, %",
    "candidates": "its candidates' mean, %",
    "expectation": "E_p[valid], %",
    "entropy": "H, nats",
    "tau": "tau",
}
#: Seeds of a published row.
_PUBLISHED_SEEDS = 3
#: The weights' training, which the two methods' papers do not share: that of random sampling's.
_THETA = {"batch_size": 64, "lr": 0.025, "lr_min": 0.001, "weight_decay": 5e-4, "nesterov": True}

#: The spread with which eight seeds can show a difference to lie within the margin of one point.
NOT_BETTER = NotBetterRule(
    claim="ENAS is not significantly better than random search with weight sharing",
    null="the difference of the chosen cells' true accuracies is symmetric about 0 over seeds",
    minimum=5.0,
    unit="points",
    spread=0.8,
)
EQUAL = EquivalenceRule(
    claim="ENAS and random search with weight sharing choose equally good cells, within a point",
    null="the chosen cells' true accuracies differ by at least a point",
    minimum=1.0,
    unit="points",
    spread=0.8,
)


class Contrast(NamedTuple):
    """A difference between the four arms, as weights of (supernet, sampler) in their order."""

    name: str
    weights: tuple[float, float, float, float]


#: Arms: (enas, controller), (enas, uniform), (uniform, controller), (uniform, uniform).
CLAIM = Contrast("ENAS - random", (1, 0, 0, -1))
CONTRASTS = (
    CLAIM,
    Contrast("supernet: ENAS - uniform", (0.5, 0.5, -0.5, -0.5)),
    Contrast("sampler: controller - uniform", (0.5, -0.5, 0.5, -0.5)),
    Contrast("interaction", (1, -1, -1, 1)),
)


def measure(run: StudyRun) -> Findings:
    """Two searches a seed, four rankings, judged by the table of the option ``benchmark``."""
    truths, dataset = _truths(run)
    rows: list[Row] = []
    for seed in run.seeds:
        for supernet in _SUPERNETS:
            found = run.part(f"{supernet}-s{seed}", partial(_arms, run, supernet, truths, seed))
            rows += [
                {
                    **{"seed": seed, "supernet": supernet, "sampler": sampler},
                    # a part that was kept may have been judged by a table with fewer seeds
                    **{**found[sampler], **truths.of(found[sampler]["cell"])},
                }
                for sampler in _SAMPLERS
            ]
    return Findings(
        [_means(rows, dataset), _contrasts(rows), _published()],
        judged(rows),
        {"bars": _bars(rows)},
        rows,
    )


def _truths(run: StudyRun) -> tuple[Truths, str]:
    config = run.config()
    if config.space_settings.operations or truth_for(config) is None:
        raise ConfigError(f"study {run.study.name} takes the whole space nasbench201, with a truth")
    truth = truth_of(run)
    title = f"{truth.table.name}: {truth.dataset}, {truth.split}"
    return Truths(truth.cube(), as_cube(truth.table, truth.percentiles())), title


def _controlled(run: StudyRun) -> dict[str, Any]:
    """The options of the study's searches by ENAS."""
    steps, samples = run["controller_steps"], run["controller_samples"]
    return {"strategy": "enas", "controller_steps": steps, "controller_samples": samples}


def _search(run: StudyRun, supernet: str, seed: int) -> RunFolder:
    """A search whose own selection is none: the study ranks for itself."""
    changes = _controlled(run) if supernet == "enas" else {"strategy": "random_sampling"}
    own: dict[str, Any] = {"selection_settings": {"samples": 1, "batches": 1}, "seed": seed}
    return run.search(f"{supernet}-s{seed}", **changes, **own)


def _arms(run: StudyRun, supernet: str, truths: Truths, seed: int) -> dict[str, Row]:
    found = reopen(_search(run, supernet, seed))
    if supernet == "enas":
        controller = controller_of(found)
    else:
        settings = run.config(**_controlled(run)).method
        controller = taught(found, cast(ENASSettings, settings), seed)
    return arms(found, controller, truths, seed, n=run["candidates"], batches=run["batches"])


def values(rows: list[Row], name: str) -> np.ndarray:
    """(seeds, 4) a measure of the arms, (supernet, sampler) in order."""
    order = [(supernet, sampler) for supernet in _SUPERNETS for sampler in _SAMPLERS]
    by_arm = {(row["seed"], row["supernet"], row["sampler"]): row[name] for row in rows}
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    found = [[by_arm[(seed, *arm)] for arm in order] for seed in seeds]
    return np.array(found, dtype=float)


def contrast(rows: list[Row], wanted: Contrast, name: str = "accuracy") -> np.ndarray:
    """(seeds,) of a contrast."""
    found: np.ndarray = values(rows, name) @ np.array(wanted.weights)
    return found


def judged(rows: list[Row]) -> list[Verdict]:
    """By ENAS minus random, seed by seed."""
    differences = contrast(rows, CLAIM)
    return [NOT_BETTER.judge(differences), EQUAL.judge(differences)]


def _means(rows: list[Row], dataset: str) -> Table:
    lines: list[list[Any]] = []
    columns = {name: values(rows, name) for name in _MEASURES}
    for place in range(len(_SUPERNETS) * len(_SAMPLERS)):
        supernet, sampler = divmod(place, len(_SAMPLERS))
        spread = interval(columns["accuracy"][:, place])
        means = [float(found[:, place].mean()) for found in columns.values()]
        arm = [_SUPERNETS[supernet], _SAMPLERS[sampler]]
        lines.append([*arm, means[0], spread.low, spread.high, *means[1:]])
    first, *others = _MEASURES.values()
    return Table(
        f"the chosen cells, means over seeds; truth: {dataset}; 95 % interval over seeds; tau of "
        "the supernet over the sampler's candidates",
        ["supernet", "sampler", first, "low", "high", *others],
        lines,
    )


def _contrasts(rows: list[Row]) -> Table:
    lines: list[list[Any]] = []
    for name in ("accuracy", "percentile"):
        found = {wanted.name: contrast(rows, wanted, name) for wanted in CONTRASTS}
        raw = [paired_flip(row, "two-sided") for row in found.values()]
        for (label, row), p, adjusted in zip(found.items(), raw, holm(raw), strict=True):
            ends = interval(row)[:3]
            lines.append([_MEASURES[name], label, *ends, p, float(adjusted)])
    return Table(
        "differences over seeds, 95 % interval; two-sided flip p, raw and by Holm per measure",
        ["of", "difference", "mean", "low", "high", "p", "p (Holm)"],
        lines,
    )


def welch(enas: tuple[float, float], random: tuple[float, float], n: int) -> tuple[float, float]:
    """(t, two-sided p) of two published rows, each (mean, standard deviation) of n seeds."""
    found = ttest_ind_from_stats(*enas, n, *random, n, equal_var=False)
    return float(found.statistic), float(found.pvalue)


def _published() -> Table:
    """The rows of the NAS-Bench-201 paper, whose ENAS trains on 25,000 images for 250 epochs."""
    known = {(row.method, row.dataset, row.split): row for row in published_rows()}
    lines: list[list[Any]] = []
    for (method, dataset, split), enas in known.items():
        random = known.get(("RSPS", dataset, split))
        if method != "ENAS" or random is None or enas.std is None or random.std is None:
            continue
        t, p = welch((enas.mean, enas.std), (random.mean, random.std), _PUBLISHED_SEEDS)
        lines.append([dataset, split, enas.mean, enas.std, random.mean, random.std, t, p])
    return Table(
        f"published rows of NAS-Bench-201 as a check ({_PUBLISHED_SEEDS} seeds each): Welch's t",
        ["data set", "split", "ENAS", "sd", "random sharing", "sd", "t", "p"],
        lines,
    )


def _bars(rows: list[Row]) -> dict[str, dict[str, list[float]]]:
    """{supernet: {sampler: (mean, low, high)}} of the chosen cell's percentile."""
    found = values(rows, "percentile").reshape(-1, len(_SUPERNETS), len(_SAMPLERS))
    return {
        f"supernet trained by {supernet}": {
            f"{sampler} cells": list(interval(found[:, net, place])[:3])
            for place, sampler in enumerate(_SAMPLERS)
        }
        for net, supernet in enumerate(("ENAS", "chance"))
    }


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The four arms."""
    title = "True percentile of the cell that is chosen"
    return {"enas_vs_random": operation_bars(numbers["bars"], title, "percentile")}


STUDY = Study(
    name="enas-vs-random",
    title="ENAS against random search with weight sharing: the supernet and the sampler apart",
    source="after Adam and Lorraine, arXiv 1904.00438; the 2 x 2 design is ours",
    own={
        "seeds": 8,
        "candidates": 100,
        "batches": 8,
        "controller_steps": 10,
        "controller_samples": 10,
    },
    small={**_THETA, **SMALL_SUPERNET, "space": "nasbench201"},
    paper={
        **_THETA,
        "epochs": 250,
        "space": "nasbench201",
        "supernet": "auto",
        "batches": 4,
        "controller_steps": 50,
        "controller_samples": 20,
    },
    measure=measure,
    plot=plot,
    rules=(NOT_BETTER, EQUAL),
    spaces=Spaces(names=("nasbench201",)),
    sized=True,
    reference={"controller_steps": 50, "controller_samples": 20},
)
