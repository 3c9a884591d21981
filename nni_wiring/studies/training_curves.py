"""The training curves of rewired pairs under several learning rates, and measures of speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nni_wiring.errors import RunError
from nni_wiring.studies.frame import Row, StudyRun
from nni_wiring.studies.trainings import PAIRS, training_config
from nni_wiring.train.batched import train_cell
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.parts import images_of

#: The learning rates by name: the protocol's, a tenth of it at every step, and one that stays.
RATES = {"full": "lr", "tenth": "lr / 10", "constant": "lr, constant"}
SHAPES = ("wide", "deep")

#: What a lead is taken of: its title, and whether more of it favours the wide cell.
MEASURES = {"auc": ("AUC", False), "t_half": ("t_half", False), "final": ("final", True)}


class Curves(NamedTuple):
    """The measures of one training.

    Attributes:
        auc: mean over epochs of the log of the training loss; smaller is faster.
        t_half: see `half_time`.
        final: accuracy after the last epoch, percent.
    """

    auc: float
    t_half: float
    final: float


def log_area(losses: Sequence[float]) -> float:
    """Mean over epochs of log(loss), NaN where there is none or it is not above 0."""
    values = np.asarray(losses, dtype=float)
    if not len(values) or not (values > 0).all():
        return math.nan
    return float(np.log(values).mean())


def half_time(losses: Sequence[float], start: float, end: float) -> float:
    """The first epoch, from 1, whose loss is below the middle of ``start`` and ``end``; else NaN.

    Args:
        losses: training loss of every epoch.
        start: of both cells of a pair: the loss of a uniform guess. That of the first epoch would
            set the faster cell a lower mark.
        end: the smallest loss that either cell of the pair reaches.
    """
    below = np.flatnonzero(np.asarray(losses, dtype=float) < (start + end) / 2)
    return float(below[0] + 1) if len(below) else math.nan


def rated(config: TrainConfig, rate: str) -> TrainConfig:
    """The training at one of the `RATES`."""
    theta = config.theta
    changes: dict[str, dict[str, Any]] = {
        "full": {},
        "tenth": {"lr": theta.lr / 10, "lr_min": theta.lr_min / 10},
        "constant": {"schedule": "cosine", "lr_min": theta.lr},
    }
    return make_train_config({**config.flat(), **changes[rate]})


def trainings(run: StudyRun) -> list[Row]:
    """A row per training: its curves, by epoch."""
    rows = []
    for rate in run["rates"]:
        for seed in run.seeds:
            for number in range(1, run["pairs"] + 1):
                for shape in SHAPES:
                    found = run.part(
                        f"{rate}-pair{number}-{shape}-s{seed}",
                        lambda r=rate, s=seed, n=number, c=shape: _train(run, r, s, n, c),  # type: ignore[misc]
                    )
                    unit = {"rate": rate, "pair": number, "cell": shape, "seed": seed}
                    rows.append({**unit, **found})
    if len({row["kernels"] for row in rows}) > 1:
        raise RunError(
            f"{run.path.name}: some cells were trained on the kernels and some by torch, as if a "
            "C compiler had come or gone; choose another --out"
        )
    return rows


def _train(run: StudyRun, rate: str, seed: int, number: int, shape: str) -> Row:
    arch = getattr(PAIRS[number - 1], shape)
    config = training_config(run, arch=arch, seed=seed, protocol=run["protocol"], eval_epochs=None)
    row = train_cell(rated(config, rate), data=images_of(config))
    epochs = sorted(row.loss_at)
    return {
        "arch": arch,
        "kernels": row.compact,
        "error": row.error,
        "loss": [row.loss_at[epoch]["train"] for epoch in epochs],
        "held_out_loss": [held_out(row.loss_at[epoch]) for epoch in epochs],
        "held_out_accuracy": [held_out(row.accuracy_at[epoch]) for epoch in epochs],
    }


def held_out(parts: Mapping[str, float]) -> float:
    """The mean over the parts that were not trained on; nothing is chosen by any of them."""
    return float(np.mean([value for part, value in parts.items() if part != "train"]))


def with_measures(run: StudyRun, rows: Sequence[Row]) -> list[Row]:
    """The rows with their measures; a pair's cells share start and end."""
    config = training_config(run, arch=PAIRS[0].wide)
    start = math.log(run.part("classes", lambda: images_of(config).num_classes))
    ends: dict[tuple[Any, ...], float] = {}
    for row in rows:
        key = (row["rate"], row["pair"], row["seed"])
        ends[key] = min([ends.get(key, math.inf), *row["loss"]])
    found = []
    for row in rows:
        end = ends[row["rate"], row["pair"], row["seed"]]
        last = row["held_out_accuracy"][-1] if row["loss"] else math.nan
        curves = Curves(log_area(row["loss"]), half_time(row["loss"], start, end), last)
        found.append({**row, **curves._asdict()})
    return found


def lead(rows: Sequence[Row], measure: str, rate: str) -> dict[int, float]:
    """The wide cell's lead in every pair, mean over seeds; above 0 it is faster or better.

    NaN where a training of the pair has not the measure.
    """
    more = MEASURES[measure][1]
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["rate"] == rate:
            sign = 1 if (row["cell"] == "wide") == more else -1
            found.setdefault(row["pair"], []).append(sign * row[measure])
    return {pair: 2 * float(np.mean(values)) for pair, values in found.items()}
