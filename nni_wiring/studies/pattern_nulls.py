"""The wiring patterns of one search beside three nulls: uniform alpha, exchanged edges, shuffled
steps.

A search is its log p(alpha), edge by edge and epoch by epoch, so that methods whose alphas are
logits, concentrations, scores or a controller's outputs are read alike; for a softmax, differences
of log p(alpha) are those of alpha.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from nni_wiring.records import EpochRecord
from nni_wiring.studies.statistics import fallen, random_walk_null
from nni_wiring.studies.truths import StudyTruth
from nni_wiring.truth import NASBENCH201
from search_spaces.patterns import NONE
from search_spaces.topology import codec_topology

Floats = NDArray[np.float64]
#: (mean, standard deviation) of a measure under a null; None where the null says nothing of it.
Moments = tuple[float, float] | None

CODEC = NASBENCH201.codec
GRAPH, OPERATIONS = CODEC.graph, CODEC.operations
_NONE = OPERATIONS.index(NONE)
_ROLES = np.array(GRAPH.edge_roles)

#: p(alpha) below this is this: methods that decide for good would have an infinite log odds.
LEAST_PROBABILITY = 1e-6
WALKS = 400
_CHUNK = 100

PATTERNS = ("fall", "return", "margin", "selected")
FIGURES = ("width", "depth", "conv_depth", "disconnected", "valid")
MEASURES = (*PATTERNS, *FIGURES)
NULLS = ("uniform", "exchanged edges", "shuffled steps")


class Trajectory(NamedTuple):
    """log p(alpha) of a search, (epochs, edges, operations), and what is allowed, (edges,
    operations); numbers of operations that are not allowed mean nothing.
    """

    logits: Floats
    allowed: NDArray[np.bool_]

    @classmethod
    def of(
        cls, records: Sequence[EpochRecord], operations: Mapping[str, Sequence[str]]
    ) -> Trajectory:
        """From a search's records. operations: those that every edge allows."""
        names = GRAPH.edge_names
        allowed = np.array([[name in operations[edge] for name in OPERATIONS] for edge in names])
        p = np.array(
            [
                [[record.z[edge].get(name) or 0.0 for name in OPERATIONS] for edge in names]
                for record in records
            ]
        )
        return cls(np.log(np.maximum(p, LEAST_PROBABILITY)), allowed)

    @property
    def searched(self) -> NDArray[np.bool_]:
        """(edges,) True where an edge allows more than one operation."""
        return np.asarray(self.allowed.sum(axis=1) > 1)

    def groups(self) -> list[list[int]]:
        """The searched edges that can stand for each other: they allow the same operations."""
        found: dict[bytes, list[int]] = {}
        for edge in np.flatnonzero(self.searched):
            found.setdefault(self.allowed[edge].tobytes(), []).append(int(edge))
        return list(found.values())

    def probabilities(self, logits: Floats) -> Floats:
        """p(alpha) of logits (..., edges, operations), rows summing to 1."""
        return np.exp(log_softmax(np.where(self.allowed, logits, -np.inf), axis=-1))


class Observed(NamedTuple):
    """The patterns of trajectories, each field (trajectories,).

    Attributes:
        fall: all searched edges (of six: all but one) were none at some epoch.
        grew: it fell, and ended with more edges than at its lowest.
        margin: P2's margin at the end, log odds: mean over intermediate minus mean over input
            edges of log p(none) - the largest other log p; NaN where there is no such edge.
        selected: G(T), searched edges whose likeliest operation is not none.
    """

    fall: Floats
    grew: Floats
    margin: Floats
    selected: Floats


def observe(logits: Floats, one: Trajectory) -> Observed:
    """The patterns of trajectories, (trajectories, epochs, edges, operations), in one's space."""
    open_to = np.where(one.allowed, logits, -np.inf)
    counts = (open_to.argmax(axis=-1) != _NONE)[..., one.searched].sum(axis=-1)
    lowest, last = counts.min(axis=1), counts[:, -1]
    fell = lowest <= fallen(int(one.searched.sum()))
    return Observed(
        fell.astype(float),
        (fell & (last > lowest)).astype(float),
        width_margins(none_margins(open_to[:, -1], one), one),
        last.astype(float),
    )


def none_margins(open_to: Floats, one: Trajectory) -> Floats:
    """(..., edges): log p(none) minus the largest other; NaN on edges that do not allow both."""
    others = np.delete(open_to, _NONE, axis=-1).max(axis=-1)
    both = one.searched & one.allowed[:, _NONE]
    with np.errstate(invalid="ignore"):
        return np.where(both, open_to[..., _NONE] - others, np.nan)


def width_margins(margins: Floats, one: Trajectory) -> Floats:
    """(...,): mean margin of the intermediate edges minus that of the input edges."""
    both = one.searched & one.allowed[:, _NONE]
    inner, inputs = both & (_ROLES == "intermediate"), both & (_ROLES == "input")
    if not inner.any() or not inputs.any():
        return np.full(margins.shape[:-1], np.nan)
    found: Floats = margins[..., inner].mean(axis=-1) - margins[..., inputs].mean(axis=-1)
    return found


def figures(truth: StudyTruth) -> Floats:
    """FIGURES of all cells, (cells in code order, figures)."""
    known = codec_topology(CODEC)
    valid = np.empty(CODEC.size)
    valid[truth.table.codes] = truth.values()
    columns = (known.width, known.depth, known.conv_depth, ~known.connected, valid)
    return np.stack([np.asarray(column, dtype=float) for column in columns], axis=1)


def expectations(p: Floats, values: Floats) -> Floats:
    """E_p of figures, exact: (n, figures) from p (n, edges, operations), edges independent."""
    found = []
    for start in range(0, len(p), _CHUNK):
        part = p[start : start + _CHUNK]
        rest = part[:, 0] @ values.reshape(len(OPERATIONS), -1)
        for edge in range(1, part.shape[1]):
            rest = np.einsum(
                "nk,nkr->nr", part[:, edge], rest.reshape(len(part), part.shape[2], -1)
            )
        found.append(rest)
    return np.concatenate(found)


def values_of(one: Trajectory, cells: Floats) -> dict[str, float]:
    """MEASURES of a search. cells: ``figures`` of a table."""
    seen = observe(one.logits[None], one)
    expected = expectations(one.probabilities(one.logits[-1:]), cells)[0]
    return dict(zip(MEASURES, [*(float(x[0]) for x in seen), *expected.tolist()], strict=True))


def uniform(one: Trajectory, cells: Floats) -> dict[str, Moments]:
    """Uniform alpha: one cell drawn from it, exactly, for figures and G(T); Gaussian walks that
    start there for P1. The margin of such a walk grows with its step, so P2 has none.
    """
    names = {
        edge: [OPERATIONS[k] for k in np.flatnonzero(row)]
        for edge, row in zip(GRAPH.edge_names, one.allowed, strict=True)
    }
    walk = random_walk_null(len(one.logits), graph=GRAPH, allowed=names)
    shares = 1 - (one.allowed / one.allowed.sum(axis=1, keepdims=True))[one.searched, _NONE]
    own = one.allowed[np.arange(len(GRAPH.edges)), CODEC.cells].all(axis=1)
    means, spreads = cells[own].mean(axis=0), cells[own].std(axis=0)
    return {
        "fall": _share(walk.share_falling),
        "return": _share(walk.share_growing),
        "margin": None,
        "selected": (float(shares.sum()), float(np.sqrt((shares * (1 - shares)).sum()))),
        **dict(zip(FIGURES, zip(means.tolist(), spreads.tolist(), strict=True), strict=True)),
    }


def exchanged_edges(one: Trajectory, cells: Floats) -> dict[str, Moments]:
    """All orders of the searched edges' rows at the end, exactly: the preferences for operations
    stay, the wiring is destroyed. P1 and G(T) do not tell edges apart.
    """
    orders = np.array(list(_orders(one)))
    last = one.logits[-1][orders]
    margins = width_margins(none_margins(np.where(one.allowed, last, -np.inf), one), one)
    expected = expectations(one.probabilities(last), cells)
    return {
        **dict.fromkeys(PATTERNS),
        "margin": _moments(margins),
        **{name: _moments(column) for name, column in zip(FIGURES, expected.T, strict=True)},
    }


def shuffled_steps(
    one: Trajectory, cells: Floats, walks: int = WALKS, seed: int = 0
) -> dict[str, Moments]:
    """Walks with the search's own steps, those of every epoch shuffled over the edges: sizes and
    signs per operation stay, and that an edge goes on where it went does not.
    """
    steps = np.diff(one.logits, axis=0)
    moved = np.broadcast_to(steps, (walks, *steps.shape)).copy()
    generator = np.random.default_rng(seed)
    for group in one.groups():
        order = generator.random((walks, len(steps), len(group))).argsort(axis=-1)
        moved[:, :, group] = np.take_along_axis(moved[:, :, group], order[..., None], axis=2)
    start = np.broadcast_to(one.logits[0], (walks, 1, *one.logits.shape[1:]))
    logits = np.concatenate([start, start + moved.cumsum(axis=1)], axis=1)
    seen = observe(logits, one)
    expected = expectations(one.probabilities(logits[:, -1]), cells)
    smoothed = [(column.sum() + 1) / (walks + 1) for column in (seen.fall, seen.grew)]
    return {
        "fall": _share(float(smoothed[0])),
        "return": _share(float(smoothed[1])),
        "margin": _moments(seen.margin),
        "selected": _moments(seen.selected),
        **{name: _moments(column) for name, column in zip(FIGURES, expected.T, strict=True)},
    }


def standardised(value: float, null: Moments) -> float | None:
    """z of a value; None where the null says nothing, or has no spread."""
    if null is None or not np.isfinite([value, *null]).all() or null[1] < 1e-9:
        return None
    return (value - null[0]) / null[1]


def _orders(one: Trajectory) -> Iterator[NDArray[np.intp]]:
    groups = one.groups()
    for orders in itertools.product(*map(itertools.permutations, groups)):
        found = np.arange(len(GRAPH.edges))
        for group, order in zip(groups, orders, strict=True):
            found[group] = order
        yield found


def _share(share: float) -> Moments:
    return share, float(np.sqrt(share * (1 - share)))


def _moments(values: Floats) -> Moments:
    return float(values.mean()), float(values.std())
