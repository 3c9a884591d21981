"""L, H and L - H, which is the cost of the output, by correct and wrong samples (S1)."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.probes import EpochProbe, SampleCosts, in_float64, sample_costs
from nni_wiring.studies.statistics import FlipRule, IdentityRule, Verdict

_HALVES = ("train", "search")
_GROUPS = ("correct", "wrong", "all")

IDENTITY = IdentityRule(
    claim="the cost of the last cell's output, <dL/dy, y>, is L - H", tolerance=1e-10
)
_SYMMETRIC = "the cost of these images is symmetric about 0"
CORRECT = FlipRule(
    claim="correctly classified images have a negative cost",
    null=_SYMMETRIC,
    minimum=0.1,
    unit="nats (sign changed)",
    spread=0.1,
)
WRONG = FlipRule(
    claim="wrongly classified images have a positive cost",
    null=_SYMMETRIC,
    minimum=0.02,
    unit="nats",
    spread=0.03,
)


def measure(run: StudyRun) -> Findings:
    """A bi-level search a seed; at epoch ends single images of both halves are measured."""
    batches = run["batches"]

    def probe(module: SearchModule, loaders: Any) -> dict[str, Any]:
        with in_float64(module):
            return {
                half: _by_group(
                    [sample_costs(module, batch) for batch in islice(iter(loader), batches)]
                )
                for half, loader in zip(_HALVES, loaders, strict=True)
            }

    def searched(label: str, seed: int) -> list[dict[str, Any]]:
        measured = EpochProbe("sample_costs", probe)
        changes = {"optimisation": "bi_level", "head": "bias_free"}
        return measured.values(run.search(label, [measured], seed=seed, **changes))

    labels = {seed: f"search-s{seed}" for seed in run.seeds}
    found = [run.part(label, partial(searched, label, seed)) for seed, label in labels.items()]
    return Findings(
        [_table(found)],
        [_identity(found), *_signs(found)],
        {
            "lines": {
                f"{half}, {group}": _series(found, half, group)
                for half in _HALVES
                for group in _GROUPS
            }
        },
        [
            row
            for seed, records in zip(run.seeds, found, strict=True)
            for row in _rows(seed, records)
        ],
    )


def _rows(seed: int, records: list[dict[str, Any]]) -> list[Row]:
    return [
        {"seed": seed, "epoch": record["epoch"], "half": half, "samples": group}
        | record[half][group]
        for record in records
        for half in _HALVES
        for group in _GROUPS
    ]


def _by_group(parts: list[SampleCosts]) -> dict[str, dict[str, float | None]]:
    """Means over correct, wrong and all images; None for a group without an image."""
    whole = SampleCosts(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    masks = {"correct": whole.correct, "wrong": ~whole.correct, "all": whole.correct | True}
    return {
        group: {
            "images": float(mask.sum()),
            **{
                name: float(values[mask].mean()) if mask.any() else None
                for name, values in (
                    ("loss", whole.loss),
                    ("entropy", whole.entropy),
                    ("output_cost", whole.output_cost),
                )
            },
        }
        for group, mask in masks.items()
    }


def _series(found: list[list[dict[str, Any]]], half: str, group: str) -> list[float | None]:
    """Mean output cost over seeds, per epoch."""
    rows = []
    for records in zip(*found, strict=True):
        values = [record[half][group]["output_cost"] for record in records]
        known = [value for value in values if value is not None]
        rows.append(float(np.mean(known)) if known else None)
    return rows


def _table(found: list[list[dict[str, Any]]]) -> Table:
    rows: list[list[Any]] = []
    for name, place in (("first", 0), ("last", -1)):
        for half in _HALVES:
            for group in _GROUPS:
                cells = [records[place][half][group] for records in found]
                rows.append(
                    [name, half, group, *(_mean(cells, key) for key in ("images", "loss"))]
                    + [_mean(cells, "entropy"), _gap(cells), _mean(cells, "output_cost")]
                )
    return Table(
        f"single images, mean over {len(found)} seed(s); nats",
        ["epoch", "half", "samples", "images", "L", "H", "L - H", "cost of the output"],
        rows,
    )


def _mean(cells: list[dict[str, float | None]], key: str) -> float | None:
    known = [cell[key] for cell in cells if cell[key] is not None]
    return float(np.mean(known)) if known else None  # type: ignore[arg-type]


def _gap(cells: list[dict[str, float | None]]) -> float | None:
    loss, entropy = _mean(cells, "loss"), _mean(cells, "entropy")
    return None if loss is None or entropy is None else loss - entropy


def _identity(found: list[list[dict[str, Any]]]) -> Verdict:
    deviations = []
    for record in (record for records in found for record in records):
        for half in _HALVES:
            cell = record[half]["all"]
            deviations.append(abs(cell["loss"] - cell["entropy"] - cell["output_cost"]))
    return IDENTITY.judge(max(deviations), len(deviations), "float64, epochs x halves x seeds")


def _signs(found: list[list[dict[str, Any]]]) -> list[Verdict]:
    correct = [-_seed_cost(records, "correct") for records in found]
    wrong = [_seed_cost(records, "wrong") for records in found]
    return [CORRECT.judge(correct), WRONG.judge(wrong)]


def _seed_cost(records: list[dict[str, Any]], group: str) -> float:
    """The output's cost of one seed's images, mean over epochs and halves; NaN without any."""
    values = [record[half][group]["output_cost"] for record in records for half in _HALVES]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """The output's cost over epochs."""
    title = "Cost of the output (= L - H) of single images"
    return {"cost_decomposition": line_chart(numbers["lines"], title, "nats")}


STUDY = Study(
    name="cost-decomposition",
    title="L - H by correct and wrong samples, on both halves",
    source="Xie et al., AISTATS 2021, arXiv 2009.01272",
    own={"seeds": 6, "batches": 4},
    small={
        "strategy": "darts",
        "space": "nasbench201",
        "channels": 4,
        "cells": 1,
        "batch_size": 32,
        "epochs": 8,
        "max_steps": 20,
    },
    paper={"strategy": "darts", "space": "nasbench201", "seeds": 6, "batches": 50},
    measure=measure,
    plot=plot,
    rules=(IDENTITY, CORRECT, WRONG),
    sized=True,
)
