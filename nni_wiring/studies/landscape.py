"""The loss around trained cells: surfaces, curvature and gradient noise, wide against deep (S3).

Each pair of cells differs in the place of one operation, and both start from the same weights and
see the same images. With ``runs``, the same is measured around finished runs instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.plane_charts import contour_panels, surface_panels
from nni_wiring.studies.sizes import SMALL_TRAINING, TABULATED_TRAINING, reference_training
from nni_wiring.studies.standing import BATCH, Standing, before_and_after, open_run, standing
from nni_wiring.studies.statistics import FlipRule, Verdict, interval, paired_flip
from nni_wiring.studies.surfaces import Grid, measure_landscape, ticks
from nni_wiring.studies.trainings import PAIRS, check_pairs, unless_small

_MEASURES = ("roughness", "curvature", "convex", "noise", "relative_noise")
#: Measures that enter as logarithms; the noises are logarithms already, the share is none.
_LOGS = ("roughness", "curvature")
_TITLES = {
    "roughness": "R1",
    "curvature": "R2, lambda_max",
    "convex": "convex",
    "noise": "G",
    "relative_noise": "G_rel",
}

_NULL = "either cell of a pair is as likely to have the larger value"
SMOOTHER = FlipRule(
    claim="the loss around the trained wide cell is smoother; both measures must favour it",
    null=_NULL,
    minimum=0.2,
    unit="(log of deep over wide)",
    spread=0.15,
    family=2,
)
QUIETER = FlipRule(
    claim="the relative variance of the gradient around the trained wide cell is smaller (G_rel)",
    null=_NULL,
    minimum=0.2,
    unit="(log of deep over wide)",
    spread=0.15,
)


def measure(run: StudyRun) -> Findings:
    """Train the pairs and measure both cells before and after; or measure finished runs."""
    _check(run)
    return _of_runs(run) if run["runs"] else _of_pairs(run)


def _check(run: StudyRun) -> None:
    for name, low in {"points": 3, "gradient_points": 1}.items():
        if run[name] < low or run[name] % 2 == 0:
            raise ConfigError(f"{name}={run[name]} must be odd, so that 0 is on it, from {low} on")
    for name in ("products", "seeds"):
        if run[name] < 1:
            raise ConfigError(f"{name}={run[name]} must be at least 1")
    check_pairs(run)


def _measured(run: StudyRun, label: str, found: Callable[[], Standing], seed: int) -> Row:
    grid = Grid(run["points"], run["gradient_points"], run["products"])
    return run.part(f"{label}-d{seed}", lambda: measure_landscape(found(), grid, seed))


def _of_runs(run: StudyRun) -> Findings:
    rows, surfaces = [], {}
    for name in run["runs"]:
        folder = open_run(str(name))
        for seed in run.seeds:
            found = _measured(
                run,
                folder.run_id,
                lambda f=folder: standing(f, run["images"]),  # type: ignore[misc]
                seed,
            )
            surfaces[f"{folder.run_id}, plane {seed}"] = found.pop("surface")
            rows.append({"run": folder.run_id, "seed": seed, **found})
    columns = ["run", "plane", "loss", *_TITLES.values(), "R2 within"]
    names = ("run", "seed", "loss", *_MEASURES, "curvature_error")
    table = Table(_title(run, "finished runs"), columns, [[r[n] for n in names] for r in rows])
    return Findings([table], [], _pictures(run, surfaces, min(len(surfaces), 4)), rows)


def _of_pairs(run: StudyRun) -> Findings:
    rows, surfaces = [], {}
    for seed in run.seeds:
        for number in range(1, run["pairs"] + 1):
            for shape in ("wide", "deep"):
                for state, found in _cell(run, number, shape, seed):
                    surface = found.pop("surface")
                    if state == "end" and seed == 1:
                        surfaces[f"pair {number}, {shape}"] = surface
                    rows.append(
                        {"pair": number, "cell": shape, "state": state, "seed": seed, **found}
                    )
    by_row = dict(sorted(surfaces.items(), key=lambda item: item[0].endswith("deep")))
    return Findings(
        [_cells(run, rows), _leads(run, rows)],
        judged(run, rows),
        _pictures(run, by_row, run["pairs"]),
        rows,
    )


def _cell(run: StudyRun, number: int, shape: str, seed: int) -> Iterable[tuple[str, Row]]:
    """(state, what is measured) of one cell before and after its training."""
    arch = getattr(PAIRS[number - 1], shape)
    label = f"pair{number}-{shape}-s{seed}"
    for state, found in before_and_after(run, label, arch, seed).items():
        yield state, _measured(run, f"{label}-{state}", found, seed)


def lead(rows: Iterable[Row], measure: str, state: str) -> dict[int, float]:
    """Deep minus wide of every pair, mean over seeds, of a measure or of its logarithm.

    NaN where a value is not finite, or has no logarithm.
    """
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["state"] != state:
            continue
        sign = 1 if row["cell"] == "deep" else -1
        found.setdefault(row["pair"], []).append(sign * _value(row, measure))
    return {pair: 2 * float(np.mean(values)) for pair, values in found.items()}


def _value(row: Row, measure: str) -> float:
    value = math.nan if row[measure] is None else float(row[measure])
    if measure not in _LOGS:
        return value if math.isfinite(value) else math.nan
    return math.log(value) if 0 < value < math.inf else math.nan


def judged(run: StudyRun, rows: list[Row]) -> list[Verdict]:
    """By the trained networks' leads; no verdict where they are small."""

    def of(measure: str) -> list[float]:
        return list(lead(rows, measure, "end").values())

    smoother = SMOOTHER.judge_all({_TITLES[name]: of(name) for name in _LOGS}, "units: pairs")
    quieter = QUIETER.judge(of("relative_noise"), "units: pairs")
    return unless_small(run, [*smoother, quieter])


def _title(run: StudyRun, what: str) -> str:
    batches = run["images"] // BATCH
    return (
        f"{what}: {run['points']} x {run['points']} points, {run['images']} training images, "
        f"gradients of {batches} batches, at most {run['products']} Hessian-vector products"
    )


def _cells(run: StudyRun, rows: list[Row]) -> Table:
    names = ("pair", "cell", "state", "seed", "loss", *_MEASURES, "curvature_error")
    columns = [*names[:5], *_TITLES.values(), "R2 within"]
    return Table(_title(run, "every cell"), columns, [[row[n] for n in names] for row in rows])


def _leads(run: StudyRun, rows: list[Row]) -> Table:
    lines: list[list[Any]] = []
    for state in ("start", "end"):
        for name in _MEASURES:
            values = np.array(list(lead(rows, name, state).values()))
            found = interval(values)
            ahead = f"{int((values > 0).sum())} of {len(values)}"
            ends = (found.mean, found.low, found.high)
            lines.append([state, _TITLES[name], *ends, ahead, paired_flip(values, "two-sided")])
    return Table(
        "deep minus wide over pairs (logarithms, but of the convex share); 95 % interval, pairs in "
        "which the deep cell has more, two-sided flip p",
        ["state", "measure", "mean", "low", "high", "deep has more", "p"],
        lines,
    )


def _pictures(run: StudyRun, surfaces: dict[str, Any], columns: int) -> dict[str, Any]:
    return {"ticks": ticks(run["points"]), "surfaces": surfaces, "columns": columns}


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Every plane as a surface and as contours."""
    given = (numbers["surfaces"], numbers["ticks"], numbers["columns"])
    return {"surface": surface_panels(*given), "contour": contour_panels(*given)}


STUDY = Study(
    name="landscape",
    title="the loss around trained cells, one edge rewired: surface, curvature, gradient variance",
    source="Shu et al., ICLR 2020, arXiv 1909.09569",
    own={
        "seeds": 1,
        "pairs": 6,  # the others are placebos, whose two cells are one function
        "points": 11,
        "gradient_points": 5,
        "images": 512,
        "products": 20,
        "protocol": "short",
        "runs": [],
    },
    small=SMALL_TRAINING,
    paper={**TABULATED_TRAINING, "points": 21, "images": 2048},
    measure=measure,
    plot=plot,
    rules=(SMOOTHER, QUIETER),
    reference_size=reference_training,
)
