"""Networks of DARTS-type cells whose connections or operations were drawn anew (S3), trained.

A node may read one state twice, as in S3's variants, so the networks are built from the wirings
themselves; space ``darts`` joins two nodes once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from nni_wiring.studies.frame import Row, StudyRun
from nni_wiring.studies.random_wirings import (
    GENERATORS,
    INPUTS,
    RandomConn,
    Sources,
    depth,
    random_conn,
    width,
)
from nni_wiring.studies.training_curves import held_out
from nni_wiring.studies.trainings import training_config
from nni_wiring.train.batched import Trained, by_torch, train_cell
from nni_wiring.train.loop import EpochFigures
from nni_wiring.train.network import FixedNetwork, freeze_only_choice
from nni_wiring.train.parts import TrainingParts, images_of
from search_spaces.cell_graph import CellGraph
from search_spaces.darts import DartsSpace
from search_spaces.genotypes import DARTS_OPERATIONS, Genotype, Pairs, format_genotype

NODES = 4
_CONCAT = tuple(range(INPUTS, INPUTS + NODES))
_KINDS = ("normal", "reduce")
#: Graphs of reduction cells have seeds of their own: S3's two cells come from one stream.
_REDUCTION_SEEDS = 1_000_000

#: The published cell of DARTS (second order).
DARTS = Genotype(
    normal=(
        *(("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1)),
        *(("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)),
    ),
    normal_concat=_CONCAT,
    reduce=(
        *(("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1)),
        *(("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)),
    ),
    reduce_concat=_CONCAT,
)
#: The same as text: the cell that a training's options name; the network is the net's own.
PUBLISHED = format_genotype(DARTS)


class Net(NamedTuple):
    """A network of one normal and one reduction cell.

    Attributes:
        name: "DARTS", "ADAPT", or the kind and the seed.
        kind: "darts", "adapt", "ops", or the generator of its wirings.
        genotype: its cells; a node may have one source twice.
    """

    name: str
    kind: str
    genotype: Genotype

    def sources(self, kind: str) -> Sources:
        """The wiring of its normal or its reduction cell."""
        states = [source for _, source in getattr(self.genotype, kind)]
        return tuple(zip(states[::2], states[1::2], strict=True))


def rewired(sources: RandomConn) -> Genotype:
    """DARTS' operations, place by place, on other connections."""
    cells: dict[str, Pairs] = {}
    for kind in _KINDS:
        names = [name for name, _ in getattr(DARTS, kind)]
        states = [state for pair in getattr(sources, kind) for state in pair]
        cells[kind] = tuple(zip(names, states, strict=True))
    return Genotype(cells["normal"], _CONCAT, cells["reduce"], _CONCAT)


def random_ops(seed: int) -> Genotype:
    """DARTS' connections with operations drawn uniformly from the seven but none: S3's random
    operations; the order of the draws is ours.
    """
    draws = np.random.RandomState(seed)
    names = DARTS_OPERATIONS[1:]
    cells: dict[str, Pairs] = {
        kind: tuple((names[draws.choice(len(names))], state) for _, state in getattr(DARTS, kind))
        for kind in _KINDS
    }
    return Genotype(cells["normal"], _CONCAT, cells["reduce"], _CONCAT)


def drawn_wirings(kind: str, seed: int) -> RandomConn:
    """Both cells of a generator and a seed."""
    if kind == "conn":
        return random_conn(NODES, seed)
    draw = GENERATORS[kind]
    return RandomConn(draw(NODES, seed), draw(NODES, _REDUCTION_SEEDS + seed))


def nets(conn: int, graphs: int, ops: int) -> Iterator[Net]:
    """DARTS' cell, the one whose nodes all read both inputs, and drawn ones: ``conn`` of S3's
    random connections, ``graphs`` of every family of random graphs, ``ops`` of random operations.
    """
    yield Net("DARTS", "darts", DARTS)
    both: Sources = ((0, 1),) * NODES
    yield Net("ADAPT", "adapt", rewired(RandomConn(both, both)))
    for kind in GENERATORS:
        for seed in range(1, (conn if kind == "conn" else graphs) + 1):
            yield Net(f"{kind.upper()}{seed}", kind, rewired(drawn_wirings(kind, seed)))
    for seed in range(1, ops + 1):
        yield Net(f"OPS{seed}", "ops", random_ops(seed))


def network(genotype: Genotype, num_classes: int, channels: int, cells: int) -> torch.nn.Module:
    """The network of these cells, with batch norms that have scale, shift and running statistics;
    weights from torch's generator.
    """
    wirings = {kind: genotype.wiring(kind) for kind in _KINDS}
    graphs: dict[str, CellGraph] = {kind: wiring.graph for kind, wiring in wirings.items()}
    operations = {
        f"{kind}/{edge}": [name]
        for kind, wiring in wirings.items()
        for edge, name in wiring.chosen.items()
    }
    space = DartsSpace(
        operations,
        graph=graphs,
        num_classes=num_classes,
        channels=channels,
        cells=cells,
        affine=True,
        track_stats=True,
    )
    return freeze_only_choice(space)


def train_net(run: StudyRun, net: Net, seed: int) -> Row:
    """Train a net with the study's options: its training loss by epoch, its accuracy at the end
    (mean of the held-out parts), its widths and depths.
    """
    config = training_config(run, arch=PUBLISHED, seed=seed, protocol=run["protocol"])
    options, losses = config.flat(), []

    def way(parts: TrainingParts) -> Trained:
        classes = parts.data.num_classes
        own = network(net.genotype, classes, options["channels"], options["cells"])
        fixed = FixedNetwork(own.to(parts.device), None)
        train, kernels = by_torch(replace(parts, network=fixed))

        def epoch(place: int) -> EpochFigures:
            found = train(place)
            losses.append(found.loss["train"])
            return found

        return epoch, kernels

    found = train_cell(config, way=way, data=images_of(config))
    return {
        "net": net.name,
        "kind": net.kind,
        "seed": seed,
        **shapes(net),
        "genotype": format_genotype(net.genotype),
        "error": found.error,
        "loss": losses,
        "final": held_out(found.accuracy) if found.accuracy else math.nan,
    }


def shapes(net: Net) -> Row:
    """Width, in c, and depth of its cells."""
    normal, reduce = (net.sources(kind) for kind in _KINDS)
    return {
        "width": float(width(normal)),
        "depth": depth(normal),
        "reduce_width": float(width(reduce)),
        "reduce_depth": depth(reduce),
    }
