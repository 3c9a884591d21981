"""Genotypes that methods derive in DARTS' cells, against the authors' rules written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.darts_plus import DARTSPlus
from nni_wiring.strategies.fair_darts import FairDARTS
from nni_wiring.strategies.pc_darts import PCDarts
from nni_wiring.strategies.sgas import SGAS
from search_spaces.genotypes import DARTS_GRAPH, Genotype, parse_genotype
from search_spaces.registry import build_space

NODES = DARTS_GRAPH.intermediate_nodes


def prepared(strategy: WiringStrategy, space: str = "darts", seed: int = 0) -> Any:
    torch.manual_seed(seed)
    strategy.mutate_model(build_space(space, channels=4, cells=3, num_classes=3))
    with torch.no_grad():
        for group in strategy.groups:
            for parameter in group.parameters():
                parameter.normal_(std=2.0)
    return strategy


def derived(strategy: WiringStrategy) -> Genotype:
    text = strategy.genotype()
    assert text is not None
    return parse_genotype(text)


def two_best(scores: dict[int, float]) -> list[int]:
    """Of {edge: strength} the two strongest, in edge order."""
    return sorted(sorted(scores, key=lambda edge: -scores[edge])[:2])


def test_pc_darts_edge_weights_select_the_edges() -> None:
    """max over operations but none of softmax(alpha), times softmax(beta) over a node's edges."""
    differs = 0
    for seed in range(3):
        strategy = prepared(PCDarts(), seed=seed)
        for kind, group in zip(("normal", "reduce"), strategy.groups, strict=True):
            assert group.name == kind
            none = group.operations.index("none")
            alpha, beta = group.alpha.detach().double(), group.beta.detach().double()
            expected, plain = [], []
            for node in NODES:
                into = list(DARTS_GRAPH.edges_into(node))
                share = beta[into].exp() / beta[into].exp().sum()
                strongest = {}
                for edge in into:
                    row = alpha[edge].exp() / alpha[edge].exp().sum()
                    row[none] = 0
                    strongest[edge] = row.max().item()
                weighted = {
                    e: s * w.item() for (e, s), w in zip(strongest.items(), share, strict=True)
                }
                for edge in two_best(weighted):
                    row = alpha[edge].clone()
                    row[none] = -torch.inf
                    operation = group.operations[int(row.argmax())]
                    expected.append((operation, DARTS_GRAPH.edges[edge][0]))
                plain.append(two_best(strongest) != two_best(weighted))
            assert getattr(derived(strategy), kind) == tuple(expected)
            differs += sum(plain)
    assert differs > 5  # alpha alone would have kept other edges


def test_fair_darts_takes_the_largest_sigmoids_that_reach_the_threshold() -> None:
    """Two edges a node by their largest sigmoid, each kept at the threshold or not at all (the
    authors' threshold_sparse).
    """
    strategy = prepared(FairDARTS(threshold=0.95), seed=2)
    below = 0
    for kind, group in zip(("normal", "reduce"), strategy.groups, strict=True):
        z = 1 / (1 + (-group.alpha.detach()).exp())
        z[:, group.operations.index("none")] = 0
        expected = []
        for node in NODES:
            for edge in two_best({e: z[e].max().item() for e in DARTS_GRAPH.edges_into(node)}):
                reaches = z[edge].max() >= 0.95
                operation = group.operations[int(z[edge].argmax())] if reaches else "none"
                below += not reaches
                expected.append((operation, DARTS_GRAPH.edges[edge][0]))
        assert getattr(derived(strategy), kind) == tuple(expected)
    assert 0 < below < 16


def test_fair_darts_trains_alpha_as_the_authors_code() -> None:
    settings = FairDARTS().settings
    assert settings.alpha_betas == (0.9, 0.999) and settings.update_order == "alpha_first"


@pytest.mark.parametrize(("kept", "stops"), [(1, False), (2, True)])
def test_darts_plus_counts_the_skips_of_the_normal_genotype(kept: int, stops: bool) -> None:
    """Skips on edges that the genotype drops, and in the reduction cell, do not count."""
    strategy = prepared(DARTSPlus(max_skips=2, stable_epochs=None))
    normal, reduction = strategy.groups
    names = normal.operations
    with torch.no_grad():
        normal.alpha.zero_()
        normal.alpha[:, names.index("skip_connect")] = 1.0  # a skip on every edge, but weak
        for node in NODES:
            for edge in DARTS_GRAPH.edges_into(node)[:2]:
                normal.alpha[edge, names.index("sep_conv_3x3")] = 5.0
        for edge in DARTS_GRAPH.edges_into(4)[:kept]:
            normal.alpha[edge, names.index("skip_connect")] = 9.0
        reduction.alpha.zero_()
        reduction.alpha[:, names.index("skip_connect")] = 5.0
    skips = [operation for operation, _ in derived(strategy).normal].count("skip_connect")
    assert skips == kept
    assert strategy.parts.should_stop(0) is stops


@pytest.mark.parametrize("space", ["darts", "darts_s2"])
def test_sgas_decides_eight_edges_and_hands_them_over(space: str) -> None:
    """Two a node, whose other edges are dropped at once; after epochs 9, 14, .., 44 of 50."""
    strategy = prepared(SGAS(), space)
    counts = []
    for epoch in range(50):
        strategy.on_epoch_start(epoch, 50)
        with torch.no_grad():
            for seed, group in enumerate(strategy.groups):
                draw = torch.Generator().manual_seed(100 * epoch + seed)
                group.alpha.normal_(generator=draw)
        strategy.parts.after_steps(None, epoch)  # type: ignore[arg-type]
        counts.append([len(group.decisions.chosen) for group in strategy.groups])
    assert [e for e in range(1, 50) if counts[e] != counts[e - 1]] == list(range(9, 45, 5))
    assert counts[-1] == [8, 8]
    genotype = derived(strategy)
    sources = set()
    for kind, group in zip(("normal", "reduce"), strategy.groups, strict=True):
        chosen, dropped = group.decisions.chosen, set(group.decisions.dropped)
        assert set(chosen) | dropped == set(range(14)) and not set(chosen) & dropped
        expected = []
        for node in NODES:
            kept = [edge for edge in DARTS_GRAPH.edges_into(node) if edge in chosen]
            assert len(kept) == 2
            expected += [(group.operations[chosen[e]], DARTS_GRAPH.edges[e][0]) for e in kept]
            sources.add(tuple(DARTS_GRAPH.edges[e][0] for e in kept))
        assert getattr(genotype, kind) == tuple(expected)
        drawn = strategy.draw(group, "weights", torch.Generator())
        assert [len(active) for active in drawn.active] == [int(e in chosen) for e in range(14)]
        cell = strategy.select(group)
        for edge in range(14):
            may_be_none = "none" in group.edge_operations[edge]
            if edge in chosen:
                assert cell[edge] == chosen[edge]
            elif may_be_none:
                assert group.operations[cell[edge]] == "none"
    assert sources != {(0, 1)}
