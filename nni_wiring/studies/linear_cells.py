"""S3's two theorems on linear cells: the smoothness and noise of a chain against a fan of nodes.

The widest cell has y_i = W_i x, the narrowest y_i = W_i y_{i-1} with y_0 = x; i = 1..n. Both end in
the same f(y_1..y_n). Read formally, df/dW_k is one function of W_k alone in both cells; read
literally, f = 1/2 E|sum_k A_k y_k - t|^2 and each cell has the gradient of its own. All constants
are those of one W_i at a time, in closed form and float64. The theorems are
stated from memory of the paper, not quoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from nni_wiring.errors import ConfigError
from nni_wiring.studies.charts import line_chart
from nni_wiring.studies.frame import Findings, Row, Study, StudyRun, Table
from nni_wiring.studies.statistics import IdentityRule, Verdict

NODES = (2, 4, 8)
#: Of a Gaussian divided by sqrt(d); its spectral norm is about twice as large.
SCALES = (0.3, 0.6, 1.0, 1.6)
_WIDTH, _OUTPUTS, _SAMPLES = 8, 8, 32
_ROUNDING = 1e-9

SMOOTH_FORMAL = IdentityRule(
    claim="theorem A, read formally: L'_i <= (prod_{j<i} lambda_j) L_i", tolerance=_ROUNDING
)
SMOOTH_LITERAL = IdentityRule(
    claim="theorem A, read literally: L'_i <= (prod_{j<i} lambda_j) L_i for one common objective",
    tolerance=_ROUNDING,
)
SMOOTH_TRUE = IdentityRule(
    claim="ours: L'_i <= (sum_{k>=i} |A_k| prod_{i<j<=k} lambda_j)^2 (prod_{j<i} lambda_j)^2 |S|",
    tolerance=_ROUNDING,
)
NOISE_FORMAL = IdentityRule(
    claim="theorem B, read formally: the variance is at most "
    "n sum_{k>=i} ((sigma_k / lambda_i) prod_{j<=k} lambda_j)^2",
    tolerance=_ROUNDING,
)
NOISE_LITERAL = IdentityRule(
    claim="theorem B, read literally: the same bound for one common objective",
    tolerance=_ROUNDING,
)
RULES = {
    "a_formal": SMOOTH_FORMAL,
    "a_literal": SMOOTH_LITERAL,
    "a_true": SMOOTH_TRUE,
    "b_formal": NOISE_FORMAL,
    "b_literal": NOISE_LITERAL,
}


class Cells(NamedTuple):
    """Many cells of n nodes; float64.

    Attributes:
        weights: W_i; (cells, n, d, d).
        heads: A_k; (cells, n, outputs, d).
        inputs: x; (cells, samples, d).
        targets: t; (cells, samples, outputs).
    """

    weights: np.ndarray
    heads: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray

    @property
    def nodes(self) -> int:
        """n."""
        return self.weights.shape[1]

    @property
    def moment(self) -> np.ndarray:
        """S = E[x x']; (cells, d, d)."""
        return _t(self.inputs) @ self.inputs / self.inputs.shape[1]

    def path(self, after: int, last: int) -> np.ndarray:
        """W_last .. W_{after+1}, nodes counted from 1; the identity for last = after."""
        product = np.broadcast_to(np.eye(self.weights.shape[-1]), self.weights[:, 0].shape)
        for node in range(after, last):
            product = self.weights[:, node] @ product
        return product

    def head(self, node: int) -> np.ndarray:
        """B_i = sum_{k>=i} A_k P_ik: from y_i to the output of the narrowest cell."""
        later = range(node, self.nodes + 1)
        return np.sum([self.heads[:, k - 1] @ self.path(node, k) for k in later], axis=0)


def draw(count: int, nodes: int, scale: float) -> Cells:
    """Gaussian cells, the same ones on every call."""
    generator = np.random.default_rng([nodes, round(1000 * scale)])
    normal = generator.standard_normal
    root = np.sqrt(_WIDTH)
    return Cells(
        scale * normal((count, nodes, _WIDTH, _WIDTH)) / root,
        normal((count, nodes, _OUTPUTS, _WIDTH)) / root,
        normal((count, _SAMPLES, _WIDTH)),
        normal((count, _SAMPLES, _OUTPUTS)),
    )


def wide_gradients(cells: Cells) -> np.ndarray:
    """df/dW_k of every sample in the widest cell; (cells, n, samples, d, d)."""
    outputs = np.einsum("ckod,ckde,cse->cso", cells.heads, cells.weights, cells.inputs)
    errors = outputs - cells.targets
    return np.einsum("ckod,cso,cse->cksde", cells.heads, errors, cells.inputs)


def narrow_gradients(cells: Cells) -> np.ndarray:
    """df'/dW_i of every sample in the narrowest cell; (cells, n, samples, d, d)."""
    outputs = cells.inputs @ _t(cells.head(1) @ cells.path(0, 1))
    errors = outputs - cells.targets
    return np.stack(
        [
            np.einsum(
                "cod,cso,cse->csde",
                cells.head(node),
                errors,
                cells.inputs @ _t(cells.path(0, node - 1)),
            )
            for node in range(1, cells.nodes + 1)
        ],
        axis=1,
    )


def carried_gradients(cells: Cells, gradients: np.ndarray) -> np.ndarray:
    """sum_{k>=i} P_ik' g_k Q_i': the narrowest cell's gradients in the formal reading."""
    found = []
    for node in range(1, cells.nodes + 1):
        before = _t(cells.path(0, node - 1))[:, None]
        found.append(
            np.sum(
                [
                    _t(cells.path(node, k))[:, None] @ gradients[:, k - 1] @ before
                    for k in range(node, cells.nodes + 1)
                ],
                axis=0,
            )
        )
    return np.stack(found, axis=1)


def smoothness(cells: Cells) -> dict[str, np.ndarray]:
    """Lipschitz constants of the gradient in W_i, and bounds; (cells, n) each.

    Returns:
        ``wide``: L_i = |A_i|^2 |S|; ``narrow``: L'_i = |B_i|^2 |Q_i S Q_i'|; ``formal``: L'_i in
        the formal reading, |A_i|^2 |Q_i S|; ``bound``: theorem A's; ``true_bound``: ours.
    """
    moment, norms, heads = cells.moment, _norm(cells.weights), _norm(cells.heads)
    found: dict[str, list[np.ndarray]] = {"narrow": [], "formal": [], "bound": [], "true_bound": []}
    size = _norm(moment)
    for node in range(1, cells.nodes + 1):
        before = cells.path(0, node - 1)
        gain = norms[:, : node - 1].prod(axis=1)
        paths = [
            heads[:, k - 1] * norms[:, node:k].prod(axis=1) for k in range(node, cells.nodes + 1)
        ]
        wide = heads[:, node - 1] ** 2 * size
        found["narrow"].append(_norm(cells.head(node)) ** 2 * _norm(before @ moment @ _t(before)))
        found["formal"].append(heads[:, node - 1] ** 2 * _norm(before @ moment))
        found["bound"].append(gain * wide)
        found["true_bound"].append(np.sum(paths, axis=0) ** 2 * gain**2 * size)
    stacked = {name: np.stack(values, axis=1) for name, values in found.items()}
    return {"wide": heads**2 * size[:, None], **stacked}


def noise(cells: Cells) -> dict[str, np.ndarray]:
    """Variances E|g - Eg|^2 over the samples, and theorem B's bound; (cells, n) each."""
    gradients, norms = wide_gradients(cells), _norm(cells.weights)
    wide = _variance(gradients)
    bounds = []
    for node in range(1, cells.nodes + 1):
        gains = [
            norms[:, : node - 1].prod(axis=1) * norms[:, node:k].prod(axis=1)
            for k in range(node, cells.nodes + 1)
        ]
        terms = wide[:, node - 1 :] * np.stack(gains, axis=1) ** 2
        bounds.append(cells.nodes * terms.sum(axis=1))
    return {
        "wide": wide,
        "narrow": _variance(narrow_gradients(cells)),
        "formal": _variance(carried_gradients(cells, gradients)),
        "bound": np.stack(bounds, axis=1),
    }


def ratios(cells: Cells) -> dict[str, np.ndarray]:
    """Every constant over its bound (above 1: violated), and L'_i / L_i; (cells, n) each."""
    smooth, noisy = smoothness(cells), noise(cells)
    return {
        "narrow_over_wide": smooth["narrow"] / smooth["wide"],
        "a_formal": smooth["formal"] / smooth["bound"],
        "a_literal": smooth["narrow"] / smooth["bound"],
        "a_true": smooth["narrow"] / smooth["true_bound"],
        "b_formal": noisy["formal"] / noisy["bound"],
        "b_literal": noisy["narrow"] / noisy["bound"],
    }


def _t(matrix: np.ndarray) -> np.ndarray:
    return np.swapaxes(matrix, -1, -2)


def _norm(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.norm(matrix, 2, axis=(-2, -1))


def _variance(gradients: np.ndarray) -> np.ndarray:
    return gradients.var(axis=2).sum(axis=(-2, -1))


def _violated(values: np.ndarray) -> float:
    return float(np.mean(values > 1 + _ROUNDING))


def setting_rows(cells: Cells, scale: float) -> Iterator[Row]:
    """One row per block i of a setting: medians, violation shares and the worst excesses."""
    found = ratios(cells)
    lam = _norm(cells.weights)
    for block in range(cells.nodes):
        values = {name: value[:, block] for name, value in found.items()}
        yield {
            "nodes": cells.nodes,
            "scale": scale,
            "lambda": float(np.median(lam)),
            "contracting": float(np.mean((lam < 1).all(axis=1))),
            "block": block + 1,
            "cells": len(lam),
            "narrow_over_wide": float(np.median(values["narrow_over_wide"])),
            "b_median": float(np.median(values["b_formal"])),
            **{name: _violated(values[name]) for name in RULES},
            "excess": {name: max(0.0, float(values[name].max()) - 1) for name in RULES},
        }


def judge(rows: list[Row]) -> list[Verdict]:
    """By the largest excess over the bound, and the share of blocks that exceed it."""
    verdicts = []
    count = sum(row["cells"] for row in rows)
    for name, rule in RULES.items():
        beyond = sum(row[name] * row["cells"] for row in rows) / count
        worst = max(row["excess"][name] for row in rows)
        note = f"excess relative to the bound; {100 * beyond:.3g} % of the blocks exceed it"
        verdicts.append(rule.judge(worst, count, note))
    return verdicts


def _table(nodes: int, rows: list[Row]) -> Table:
    names = ("lambda", "contracting", "block", "narrow_over_wide", *RULES)
    return Table(
        f"n = {nodes}; median L'_i / L_i, and the shares of cells that exceed a bound",
        [
            *("median lambda", "all lambda < 1", "block", "narrow / wide"),
            *("A formal", "A literal", "A, ours", "B formal", "B literal"),
        ],
        [[row[name] for name in names] for row in rows if row["nodes"] == nodes],
    )


def _all_rows(draws: int) -> list[Row]:
    settings = product(NODES, SCALES)
    return [row for n, scale in settings for row in setting_rows(draw(draws, n, scale), scale)]


def measure(run: StudyRun) -> Findings:
    """Closed forms on cells that are drawn alike every time; nothing is trained."""
    if run["draws"] < 1:
        raise ConfigError(f"draws={run['draws']} must be at least 1")
    rows = run.part("settings", lambda: _all_rows(run["draws"]))
    lines: dict[str, list[float]] = {}
    for row in rows:
        if row["nodes"] == 4:
            label = f"lambda {row['lambda']:.1f}"
            lines.setdefault(label, []).append(float(np.log10(row["narrow_over_wide"])))
    return Findings(
        tables=[_table(nodes, rows) for nodes in NODES],
        verdicts=judge(rows),
        numbers={"lines": lines},
        rows=rows,
    )


def plot(numbers: dict[str, Any]) -> dict[str, Figure]:
    """Smoothness of the chain against the fan, block by block, for four nodes."""
    title = "Lipschitz constant of the narrowest cell over that of the widest, n = 4"
    figure = line_chart(numbers["lines"], title, "log10 of the median", "nodes before the block")
    return {"linear_cells": figure}


STUDY = Study(
    name="linear-cells",
    title="smoothness and gradient noise of linear cells, a chain against a fan",
    source="Shu et al., ICLR 2020, arXiv 1909.09569",
    own={"draws": 500},
    small={},
    paper={},
    measure=measure,
    plot=plot,
    rules=tuple(RULES.values()),
)
