"""Does a trained controller condition on its past? Exactly: its policy is written out (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import mannwhitneyu

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.parts.controller import Controller
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.controller_rewards import check_rewards, reward_cube, reward_mark
from nni_wiring.studies.controllers import (
    ENAS,
    SMALL_SUPERNET,
    Recipe,
    factorised,
    policy,
    train,
    untrained,
)
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.policies import (
    Floats,
    Frontier,
    entropy,
    independent_frontier,
    reference,
    total_correlation,
)
from nni_wiring.studies.sizes import smallness, withheld
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import (
    EquivalenceRule,
    FlipRule,
    Verdict,
    holm,
    interval,
    paired_flip,
)

#: The reward of every cell by its name; see `reward_cube`.
Cube = Callable[[str], Floats]

UNCONDITIONED = EquivalenceRule(
    claim="a trained controller does not condition on its past choices",
    null="its total correlation is at least a tenth of that of the best policy of its entropy",
    minimum=0.1,
    unit="of the best policy's total correlation",
    spread=0.05,
    family=2,
)
PAYS = FlipRule(
    claim="the controller expects another reward than one softmax an edge after as many updates",
    null="the difference between the two is symmetric about 0 over seeds",
    minimum=0.15,
    unit="points of expected reward",
    spread=0.2,
    family=2,
    sides="two-sided",
)

#: Stages of a controller's training at which its policy is read, beside the untrained one.
STAGES = 4
_SAMPLERS: dict[str, Callable[[int], Controller]] = {"lstm": untrained, "factorised": factorised}


class Arm(NamedTuple):
    """A sampler, the reward it is trained with, and its learning rate."""

    sampler: str
    reward: str
    rate: float

    @property
    def setting(self) -> str:
        """Its reward and learning rate."""
        return f"{self.reward}, lr {self.rate:g}"


def reading(p: Floats, values: Floats) -> Row:
    """E[value], entropy, total correlation and that of the best policy of this entropy."""
    nats = entropy(p)
    best = reference(values, nats)
    return {
        "expectation": float((p * values).sum()),
        "entropy": nats,
        "correlation": total_correlation(p),
        "best_expectation": best.expectation,
        "best_correlation": best.total_correlation,
    }


def trained(
    values: Floats,
    seed: int,
    steps: int,
    learning_rate: float,
    start: Callable[[int], Controller] = untrained,
) -> list[Row]:
    """ENAS' controller, rewarded with the values (percent / 100), read untrained and at STAGES."""
    rows = [{"seed": seed, "steps": 0, **reading(policy(start(seed)), values)}]
    stages = train(values, seed, Recipe(steps, learning_rate), STAGES, start)
    for stage, controller in enumerate(stages, start=1):
        done = stage * (steps // STAGES)
        rows.append({"seed": seed, "steps": done, **reading(policy(controller), values)})
    return rows


def measure(run: StudyRun) -> Findings:
    """Exact but for the cells that are drawn in training; a network only for its reward."""
    check_rewards(run)
    rates = [run["learning_rate"], *run["other_rates"]]
    if len(set(rates)) < len(rates) or not all(
        isinstance(rate, float) and rate > 0 for rate in rates
    ):
        raise ConfigError(f"other_rates={run['other_rates']}: numbers above 0, each rate once")
    cube = cache(partial(reward_cube, run))
    # of all rewards before a controller is trained by any, a table's before a supernet's is trained
    costly_last = sorted(run["rewards"], key=lambda name: name == "supernet")
    found = {name: _frontier(run, name, cube) for name in costly_last}
    frontiers = {name: found[name] for name in run["rewards"]}
    rows: list[Row] = []
    for reward, frontier in frontiers.items():
        for rate in rates:
            for sampler in _SAMPLERS:
                rows += _arm(run, Arm(sampler, reward, rate), cube, frontier)
    last = rows[-1]["steps"]
    ends = _by_arm([row for row in rows if row["steps"] == last])
    starts = _by_arm([row for row in rows if row["steps"] == 0])
    courses = _courses(rows)
    return Findings(
        [courses, _ends(ends, starts), _differences(ends), _frontiers(frontiers)],
        _judged(ends, smallness(run.config().flat())),
        {"lines": _lines(courses)},
        rows,
    )


def _frontier(run: StudyRun, reward: str, cube: Cube) -> Frontier:
    asked = reward_mark(run, reward)
    found = run.part(f"frontier-{reward}", lambda: [*independent_frontier(cube(reward))], asked)
    return Frontier(*map(np.array, found))


def _arm(run: StudyRun, arm: Arm, cube: Cube, frontier: Frontier) -> list[Row]:
    def measured(seed: int) -> list[Row]:
        start = _SAMPLERS[arm.sampler]
        return trained(cube(arm.reward), seed, run["steps"], arm.rate, start)

    rows: list[Row] = []
    for seed in run.seeds:
        label = f"{arm.sampler}-{arm.reward}-{arm.rate:g}-s{seed}"
        found = run.part(label, partial(measured, seed), reward_mark(run, arm.reward))
        rows += [
            {**arm._asdict(), **row, "independent_expectation": frontier.at(row["entropy"])}
            for row in found
        ]
    return rows


def _by_arm(rows: Sequence[Row]) -> dict[Arm, list[Row]]:
    found: dict[Arm, list[Row]] = {}
    for row in rows:
        found.setdefault(Arm(row["sampler"], row["reward"], row["rate"]), []).append(row)
    return found


def _ratios(rows: Sequence[Row]) -> list[float]:
    return [row["correlation"] / row["best_correlation"] for row in rows]


def _difference(ends: dict[Arm, list[Row]], arm: Arm) -> list[float]:
    control = ends[arm._replace(sampler="factorised")]
    return [
        own["expectation"] - other["expectation"]
        for own, other in zip(ends[arm], control, strict=True)
    ]


def _judged(ends: dict[Arm, list[Row]], small: str | None) -> list[Verdict]:
    """small: in which way the supernet is whose accuracies may be the reward."""
    arms = [arm for arm in ends if arm.sampler == "lstm"]
    note = "equal updates are not equal entropies: see the frontier of independent edges"
    judged = (
        UNCONDITIONED.judge_all({arm.setting: _ratios(ends[arm]) for arm in arms}),
        PAYS.judge_all({arm.setting: _difference(ends, arm) for arm in arms}, note),
    )
    return [
        one
        for verdicts in judged
        for arm, verdict in zip(arms, verdicts, strict=True)
        for one in withheld([verdict], small if arm.reward == "supernet" else None)
    ]


_NAMES = ("expectation", "entropy", "correlation", "best_expectation", "best_correlation")
_MEANS = (*_NAMES, "independent_expectation")
_TITLES = ("E[reward], %", "H, nats", "TC, nats", "best E, %", "best TC", "independent E, %")


def _courses(rows: Sequence[Row]) -> Table:
    lines = []
    for arm, own in _by_arm(rows).items():
        for done in dict.fromkeys(row["steps"] for row in own):
            now = [row for row in own if row["steps"] == done]
            means = [float(np.mean([row[name] for row in now])) for name in _MEANS]
            lines.append([*arm, done, *means])
    return Table(
        "policies, mean over seeds; best: p ~ exp(reward / T) of equal entropy; independent: the "
        "best independent edges of equal entropy",
        ["sampler", "reward", "lr", "updates", *_TITLES],
        lines,
    )


def _ends(ends: dict[Arm, list[Row]], starts: dict[Arm, list[Row]]) -> Table:
    lines: list[list[Any]] = []
    for arm, rows in ends.items():
        after, before = ([r["correlation"] for r in group] for group in (rows, starts[arm]))
        raised = mannwhitneyu(after, before, alternative="greater").pvalue
        lines.append([*arm, *interval(_ratios(rows)), max(after), max(before), float(raised)])
    adjusted = holm([line[-1] for line in lines]).tolist()
    return Table(
        "TC as a share of the best policy's, 95 % interval over seeds; the largest TC of a seed, "
        "trained and untrained; p that training raises TC (Mann-Whitney, one-sided)",
        [
            *("sampler", "reward", "lr", "TC / best TC", "low", "high", "seeds"),
            *("TC, at most", "untrained", "p", "by Holm"),
        ],
        [[*line, p] for line, p in zip(lines, adjusted, strict=True)],
    )


def _differences(ends: dict[Arm, list[Row]]) -> Table:
    lines = []
    for arm in ends:
        if arm.sampler == "lstm":
            values = _difference(ends, arm)
            lines.append(
                [arm.reward, arm.rate, *interval(values), paired_flip(values, "two-sided")]
            )
    return Table(
        "E[reward] of the controller minus that of one softmax an edge, points, after all updates; "
        "95 % interval over seeds, two-sided flip p",
        ["reward", "lr", "mean", "low", "high", "seeds", "p"],
        lines,
    )


def _frontiers(frontiers: dict[str, Frontier]) -> Table:
    levels = (9.0, 8.0, 7.0, 6.0, 5.0, 4.0)
    return Table(
        "the best independent edges: E[reward], percent, by entropy, nats",
        ["reward", *(f"{level:g}" for level in levels)],
        [[name, *(found.at(level) for level in levels)] for name, found in frontiers.items()],
    )


def _lines(courses: Table) -> dict[str, list[float]]:
    """Total correlation by stage of every controller, and of the best policies beside it."""
    found: dict[str, list[float]] = {}
    for sampler, reward, rate, _, _, _, own, _, best, _ in courses.rows:
        if sampler == "lstm":
            found.setdefault(f"{reward}, {rate:g}", []).append(own)
            found.setdefault(f"best: {reward}, {rate:g}", []).append(best)
    return found


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Total correlation over the training."""
    title = "Total correlation of the controller's policy and of the best one of its entropy"
    figure = line_chart(numbers["lines"], title, "nats", "quarter of the training")
    return {"controller_conditioning": figure}


STUDY = Study(
    name="controller-conditioning",
    title="the controller's policy written out: total correlation against the best of its entropy",
    source="after Adam and Lorraine, arXiv 1904.00438; the measure is ours",
    own={
        "seeds": 10,
        "steps": 1000,
        "learning_rate": ENAS.alpha_lr,
        "other_rates": [0.005],
        "rewards": ["truth"],
        "batches": 2,
    },
    small=SMALL_SUPERNET,
    paper={"steps": 2000},
    measure=measure,
    plot=plot,
    rules=(UNCONDITIONED, PAYS),
    spaces=Spaces(names=("nasbench201",)),
)
