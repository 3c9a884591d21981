"""Do kept searches rank the methods as the published NAS-Bench-201 rows do?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.runs.kept import KeptRun
from nni_wiring.studies.charts import label_bars
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.kept_searches import ROWS, in_whole_space, read_rows
from nni_wiring.studies.statistics import Rule, Verdict, interval, spearman
from nni_wiring.studies.statistics.verdict import outcome
from nni_wiring.studies.truths import truth_of
from nni_wiring.truth import TruthTable, published_rows

#: strategy and level as published -> name of the published row
NAMES = {
    ("darts", "bi_level"): "DARTS",
    ("gdas", "bi_level"): "GDAS",
    ("snas", "single_level"): "SNAS",
    ("dsnas", "single_level"): "DSNAS",
    ("pc_darts", "bi_level"): "PC-DARTS",
    ("drnas", "bi_level"): "DrNAS",
    ("enas", "bi_level"): "ENAS",
    ("random_sampling", "bi_level"): "RSPS",
}
_DATASET = "cifar10"
_REPEATS = 10_000

SAME_ORDER = Rule(
    claim="kept searches rank the methods as the published rows do",
    null="the methods' names are exchangeable",
    minimum=0.5,
    unit="Spearman's rho over methods",
)
#: Seeds of every method that a verdict takes.
LEAST_SEEDS = 5


def published_names(kept: KeptRun) -> dict[str, str]:
    """The cells of a search by the name of the published row that they stand beside."""
    strategy, level = (str(kept.config.get(name)) for name in ("strategy", "optimisation"))
    found: dict[str, str] = {}
    name = NAMES.get((strategy, level))
    if name is not None and kept.arch is not None:
        found[name] = kept.arch
    if name == "DARTS" and "perturbation" in kept.selections:
        found["DARTS+PT"] = kept.selections["perturbation"]
    if strategy == "darts_fixed_alpha" and kept.result.selection == "perturbation" and kept.arch:
        found["DARTS+PT (fix-alpha)"] = kept.arch
    return found


def judged(
    kept: list[KeptRun], table: TruthTable, dataset: str, split: str
) -> dict[str, list[Row]]:
    """Every seed's cell and true accuracy by published name, in the order of seeds."""
    accuracy = table.values(dataset, split)
    found: dict[str, list[Row]] = defaultdict(list)
    for one in sorted(kept, key=lambda one: (one.seed or 0, one.label)):
        for name, arch in published_names(one).items():
            value = float(accuracy[table.index_of(arch)])
            row = {"label": one.label, "seed": one.seed, "arch": arch, "accuracy": value}
            found[name].append({"method": name, **row})
    return dict(found)


def correlation_p(a: list[float], b: list[float]) -> float:
    """One-sided p of Spearman's rho under renamed methods: 10,000 random ones and the observed."""
    generator = np.random.default_rng(0)
    observed, x = spearman(a, b), np.asarray(b)
    drawn = [spearman(a, generator.permutation(x)) for _ in range(_REPEATS)]
    return (1 + sum(rho >= observed - 1e-12 for rho in drawn)) / (1 + len(drawn))


def resampled(accuracies: Mapping[str, list[float]], published: Mapping[str, float]) -> list[float]:
    """95 % ends of rho where every method's seeds are drawn again with replacement."""
    generator = np.random.default_rng(0)
    means = np.stack(
        [
            np.asarray(v)[generator.integers(len(v), size=(_REPEATS, len(v)))].mean(axis=1)
            for v in accuracies.values()
        ],
        axis=1,
    )
    order = [published[name] for name in accuracies]
    return np.quantile([spearman(row, order) for row in means], [0.025, 0.975]).tolist()


def judge(accuracies: Mapping[str, list[float]], published: Mapping[str, float]) -> Verdict:
    """By the rule; ``cannot be said`` where a method has fewer than five seeds."""
    means = [float(np.mean(values)) for values in accuracies.values()]
    order = [published[name] for name in accuracies]
    fewest = min(map(len, accuracies.values()))
    rho, p = spearman(means, order), correlation_p(means, order)
    low, high = resampled(accuracies, published)
    able = fewest >= LEAST_SEEDS and len(means) >= LEAST_SEEDS
    held = outcome(rho, p, high, SAME_ORDER.minimum, able=able)
    evidence = (
        f"rho = {rho:+.2f} over {len(means)} methods, [{low:+.2f}, {high:+.2f}] over their seeds, "
        f"p = {p:.2g}; null: {SAME_ORDER.null}; {fewest} seed(s) of the method with fewest, "
        f"{LEAST_SEEDS} needed; least size {SAME_ORDER.minimum:g}"
    )
    return Verdict(
        SAME_ORDER.claim,
        held,
        evidence,
        p=p,
        n=len(means),
        null=SAME_ORDER.null,
        effect=rho,
        low=low,
        high=high,
        minimum=SAME_ORDER.minimum,
    )


def measure(run: StudyRun) -> Findings:
    """By test accuracy, or validation where the table has none; the published rows by CIFAR-10's.

    A table of other data orders the methods by that data.
    """
    truth = truth_of(run)
    table, dataset = truth.table, truth.dataset
    split = "test" if table.has(dataset, "test") else "valid"
    known = {row.method: row for row in published_rows(_DATASET) if row.split == split}
    found = judged(read_rows(run, in_whole_space), table, dataset, split)
    rows = {name: found[name] for name in known if name in found}
    accuracies = {name: [row["accuracy"] for row in of] for name, of in rows.items()}
    published = {name: known[name].mean for name in accuracies}
    order = sorted(accuracies, key=lambda name: published[name])
    lines = [
        [name, known[name].mean, known[name].std, *interval(accuracies[name])] for name in order
    ]
    own = table.benchmark.column_title(dataset, split)
    title = f"{own} accuracy, %; the published ones are CIFAR-10's, their searches not comparable"
    return Findings(
        tables=[
            Table(title, ["method", "published", "sd", "kept", "low", "high", "seeds"], lines),
        ],
        verdicts=[judge(accuracies, published)] if len(accuracies) > 1 else [],
        numbers={"kept": {name: float(np.mean(accuracies[name])) for name in order}},
        rows=[row for name in order for row in rows[name]],
    )


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Mean accuracies, the published order from top to bottom."""
    title = "Kept searches in the published order (worst first)"
    return {"published_order": label_bars(numbers["kept"], title, "true accuracy, %")}


STUDY = Study(
    name="published-order",
    title="do kept searches rank the methods as the published rows do?",
    source="NAS-Bench-201's rows and those of DrNAS, iDARTS and DARTS-PT",
    own={ROWS: []},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=(SAME_ORDER,),
    sized=True,
)
