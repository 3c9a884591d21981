"""On which side of 1 do the blocks of trained cells lie? (S3)

S3's theorems bound the smoothness of a chain by products of lambda_j, the spectral norms of its
blocks: see the study ``linear-cells``, where the chain is less smooth than the fan if blocks
stretch and smoother if they contract. Here lambda is measured, for every convolution on an edge of
both cells of the rewired pairs, before and after a training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.studies.charts import operation_bars
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.gains import convolution_blocks, frozen, gain
from nni_wiring.studies.sizes import SMALL_TRAINING, TABULATED_TRAINING, reference_training
from nni_wiring.studies.standing import STATES, Standing, before_and_after
from nni_wiring.studies.statistics import FlipRule, Verdict, interval, paired_flip
from nni_wiring.studies.trainings import PAIRS, check_pairs, unless_small

_MEASURES = {"largest": "lambda", "typical": "typical gain"}
_SHAPES = ("wide", "deep")

STRETCHING = FlipRule(
    claim="the convolutions of a trained cell stretch: lambda, the spectral norm of a block's "
    "Jacobian, is above 1",
    null="the mean logarithm of lambda over a pair's blocks is symmetric about 0",
    minimum=0.2,
    unit="(log lambda)",
    spread=0.15,
)


def measure(run: StudyRun) -> Findings:
    """Both cells of every pair, before and after their training."""
    _check(run)
    rows: list[Row] = []
    for seed in run.seeds:
        for number in range(1, run["pairs"] + 1):
            for shape in _SHAPES:
                arch = getattr(PAIRS[number - 1], shape)
                label = f"pair{number}-{shape}-s{seed}"
                stands = before_and_after(run, label, arch, seed)
                for state, stand in stands.items():
                    found = run.part(
                        f"{label}-{state}",
                        lambda s=stand, r=seed: block_rows(s(), run["products"], r),  # type: ignore[misc]
                    )
                    unit = {"pair": number, "cell": shape, "state": state, "seed": seed}
                    rows += [{**unit, **row} for row in found]
    return Findings(
        [_blocks(run, rows), _pairs(rows)], judged(run, rows), {"bars": _bars(rows)}, rows
    )


def _check(run: StudyRun) -> None:
    for name in ("seeds", "products"):
        if run[name] < 1:
            raise ConfigError(f"{name}={run[name]} must be at least 1")
    check_pairs(run)


def block_rows(found: Standing, products: int, seed: int) -> list[Row]:
    """A row per convolution: its gains, geometric means over images, and its kernel's side."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for layer, edge, block, images in convolution_blocks(found):
        gains = gain(frozen(block, images), images, products, generator)
        kernel = block.op[1].kernel_size[0]  # type: ignore[index]
        rows.append(
            {"layer": layer, "edge": edge, "kernel": kernel}
            | {name: _geometric(getattr(gains, name)) for name in _MEASURES}
        )
    return rows


def _geometric(values: torch.Tensor) -> float:
    """NaN where a value is 0 or not finite."""
    return float(values.double().log().mean().exp()) if bool((values > 0).all()) else math.nan


def by_pair(rows: Iterable[Row], measure: str, **wanted: Any) -> dict[int, float]:
    """The mean logarithm over a pair's blocks, cells and seeds, of rows with the wanted values."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if all(row[name] == value for name, value in wanted.items()):
            value = math.nan if row[measure] is None else math.log(row[measure])
            found.setdefault(row["pair"], []).append(value)
    return {pair: float(np.mean(values)) for pair, values in found.items()}


def judged(run: StudyRun, rows: Sequence[Row]) -> list[Verdict]:
    """By the trained cells' pairs; no verdict where the trainings are small."""
    values = list(by_pair(rows, "largest", state="end").values())
    return unless_small(run, [STRETCHING.judge(values, "units: pairs")])


def _blocks(run: StudyRun, rows: list[Row]) -> Table:
    lines: list[list[Any]] = []
    for state in STATES:
        for kernel in sorted({row["kernel"] for row in rows}):
            own = [row for row in rows if (row["state"], row["kernel"]) == (state, kernel)]
            quartiles = np.quantile(_values(own, "largest"), [0.5, 0, 1]).tolist()
            above = [float(np.mean(_values(own, name) > 1)) for name in _MEASURES]
            middle = float(np.median(_values(own, "typical")))
            lines.append(
                [state, f"{kernel} x {kernel}", len(own), *quartiles, above[0], middle, above[1]]
            )
    return Table(
        f"convolution blocks, geometric means over {run['images']} training images; lambda by "
        f"{run['products']} power iterations, typical: of a Gaussian change",
        [
            *("state", "convolution", "blocks", "lambda, median", "least", "largest"),
            *("share above 1", "typical, median", "share above 1"),
        ],
        lines,
    )


def _values(rows: list[Row], name: str) -> np.ndarray:
    return np.array([math.nan if row[name] is None else row[name] for row in rows])


def _pairs(rows: list[Row]) -> Table:
    lines: list[list[Any]] = []
    for name, title in _MEASURES.items():
        for state in STATES:
            for shape in (None, *_SHAPES):
                wanted = {"state": state} | ({} if shape is None else {"cell": shape})
                values = list(by_pair(rows, name, **wanted).values())
                ends = interval(values)[:3]
                lines.append(
                    [title, state, shape or "both", *ends, paired_flip(values, "two-sided")]
                )
    return Table(
        "mean logarithm over a pair's blocks, 95 % interval over pairs, two-sided flip p",
        ["of", "state", "cells", "mean", "low", "high", "p"],
        lines,
    )


def _bars(rows: list[Row]) -> dict[str, dict[str, list[float]]]:
    """{measure, state: {convolution: (mean, low, high)}} of the logarithms over pairs."""
    kernels = sorted({row["kernel"] for row in rows})
    return {
        f"{title}, {state}": {
            f"{k} x {k}": list(
                interval(list(by_pair(rows, name, state=state, kernel=k).values()))[:3]
            )
            for k in kernels
        }
        for name, title in _MEASURES.items()
        for state in STATES
    }


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Both gains before and after the training."""
    title = "How far convolution blocks stretch, mean logarithm over pairs"
    return {"block_norms": operation_bars(numbers["bars"], title, "log of the gain")}


STUDY = Study(
    name="block-norms",
    title="spectral norms of the convolutions in trained cells: do they stretch or contract?",
    source="after Shu et al., ICLR 2020, arXiv 1909.09569; the measure is ours",
    own={
        "seeds": 1,
        "pairs": 6,  # the others are placebos, whose two cells are one function
        "images": 128,
        "products": 20,
        "protocol": "short",
    },
    small=SMALL_TRAINING,
    paper={**TABULATED_TRAINING, "images": 512},
    measure=measure,
    plot=plot,
    rules=(STRETCHING,),
    reference_size=reference_training,
)
