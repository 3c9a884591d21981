"""A study of your own: how often does DARTS end with a skip connection?

It needs nothing but searches, which `study` runs, keeps and goes on with.
"""

from matplotlib.figure import Figure

from nni_wiring.studies.frame import Findings, Study, StudyRun, Table, Verdict
from nni_wiring.studies.registry import register_study

CHANCE = 1 / 5  # of five operations


def measure(run: StudyRun) -> Findings:
    """One search per seed; the share of edges whose last cell has skip_connect."""
    shares = []
    for seed in run.seeds:
        record = run.search(f"s{seed}", seed=seed).records()[-1]
        chosen = [max(row, key=row.__getitem__) for row in record.z.values()]
        shares.append(chosen.count("skip_connect") / len(chosen))
    mean = sum(shares) / len(shares)
    verdict = Verdict(
        "the mean share of skip connections exceeds that of a random cell",
        "holds" if mean > CHANCE else "does not hold",
        f"share {mean:.3f} over {len(shares)} seeds, chance {CHANCE:.3f}",
        n=len(shares),
    )
    rows = [[seed, share] for seed, share in zip(run.seeds, shares, strict=True)]
    table = Table("skip connections", ["seed", "share"], rows)
    return Findings([table], [verdict], {"shares": shares})


def plot(numbers: dict[str, list[float]]) -> dict[str, Figure]:
    """Its pictures by file stem, from the numbers of the findings."""
    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot(xlabel="seed", ylabel="share of skip_connect")
    axes.bar(range(1, len(numbers["shares"]) + 1), numbers["shares"])
    return {"skip_share": figure}


SKIP_SHARE = Study(
    name="skip-share",
    title="the share of skip connections that DARTS ends with",
    source="Zela et al., ICLR 2020, arXiv 1909.09656",
    own={"seeds": 2},  # its own options; all others are those of a search
    small={"strategy": "darts", "channels": 4, "cells": 1, "epochs": 3},
    paper={"strategy": "darts", "seeds": 4, "epochs": 50},
    measure=measure,
    plot=plot,
)
register_study(SKIP_SHARE)
