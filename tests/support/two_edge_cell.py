"""A two-edge cell whose costs and losses can be written out: the oracle of the relaxations."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni.nas.nn.pytorch import LayerChoice, ModelSpace

from nni_wiring.supernet.cell import SupernetCell
from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations import Relaxation
from search_spaces.cell_graph import CellGraph
from search_spaces.operations import Zero

CHAIN = CellGraph(inputs=(0,), nodes=3, edges=((0, 1), (1, 2)), outputs=(2,))
OPERATIONS = ("none", "skip_connect", "linear")
ALPHA = [[0.2, -0.4, 0.7], [-0.3, 0.5, 0.1]]


class ChainSpace(ModelSpace):
    """Two LayerChoices: NNI builds them in a model space only."""

    def __init__(self, operations: tuple[str, ...], maps: list[torch.Tensor]) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        for edge, matrix in zip(("0-1", "1-2"), maps, strict=True):
            linear = nn.Linear(3, 3, bias=False)
            linear.weight.data.copy_(matrix)
            candidates = {"none": Zero(), "skip_connect": nn.Identity(), "linear": linear}
            self.edges[edge] = LayerChoice(
                {name: candidates[name] for name in operations}, label=edge
            )


class Chain:
    """The cell 0 -> 1 -> 2 with a skip and a linear map on each edge, and the same written out."""

    def __init__(self, operations: tuple[str, ...] = OPERATIONS, bend: bool = False) -> None:
        generator = torch.Generator().manual_seed(3)

        def rand(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator)

        self.x, self.direction = rand(4, 3), rand(4, 3)
        self.maps = [rand(3, 3), rand(3, 3)]
        self.operations, self.bend = operations, bend
        self.anchor = torch.zeros((), requires_grad=True)
        edges = ChainSpace(operations, self.maps).edges
        labels = [edges[edge].label for edge in edges]
        self.group = EdgeGroup("cell", list(edges), labels, [list(operations)] * 2, CHAIN)
        columns = [OPERATIONS.index(name) for name in operations]
        self.group.alpha.data.copy_(torch.tensor(ALPHA)[:, columns])
        self.cell = SupernetCell(CHAIN, edges, self.group)

    def loss_of_output(self, y: torch.Tensor) -> torch.Tensor:
        """Linear in y, or (bend) not."""
        return (self.direction * (torch.tanh(3 * y) if self.bend else y)).sum() / len(y)

    def loss(self, draw: Draw) -> torch.Tensor:
        """Through the supernet cell; the anchor is theta that no cell can cut off, as in a net."""
        self.group.draw = draw
        return self.loss_of_output(self.cell(self.x)) + self.anchor

    def outputs(self, edge: int, x: torch.Tensor) -> list[torch.Tensor]:
        found = {"none": 0 * x, "skip_connect": x, "linear": x @ self.maps[edge].T}
        return [found[name] for name in self.operations]

    def exact_loss(self, z: torch.Tensor) -> torch.Tensor:
        """The same without the supernet: x_j = sum_k Z_k O_k(x_i)."""
        state = self.x
        for edge in range(2):
            terms = self.outputs(edge, state)
            state = sum(z[edge, k] * term for k, term in enumerate(terms))
        return self.loss_of_output(state)

    def costs(self, z: torch.Tensor) -> torch.Tensor:
        """C^k = <dL/dx_j, O_k(x_i)> for every operation, as the definition says."""
        states = [self.x]
        for edge in range(2):
            terms = self.outputs(edge, states[edge])
            state = sum(z[edge, k].item() * term for k, term in enumerate(terms))
            states.append(state.detach().requires_grad_())
        upstream = {}
        (upstream[1],) = torch.autograd.grad(self.loss_of_output(states[2]), states[2])
        through = sum(z[1, k].item() * term for k, term in enumerate(self.outputs(1, states[1])))
        (upstream[0],) = torch.autograd.grad(through, states[1], upstream[1])
        return torch.tensor(
            [
                [(upstream[edge] * term).sum().item() for term in self.outputs(edge, states[edge])]
                for edge in range(2)
            ]
        )

    def gradient(self, relaxation: Relaxation, draw: Draw) -> torch.Tensor:
        """Alpha's gradient as the training loop takes it."""
        self.group.zero_grad()
        self.loss(draw).backward()
        leaf = self.group.alpha if relaxation.pathwise else draw.z
        cost = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad.clone()
        if relaxation.pathwise:
            return cost
        return relaxation.alpha_gradient(self.group, draw, cost).detach()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one_hots(operations: int = 3) -> list[torch.Tensor]:
    eye = torch.eye(operations)
    return [eye[list(pair)] for pair in itertools.product(range(operations), repeat=2)]


def distribution(alpha: torch.Tensor) -> torch.Tensor:
    return alpha.exp() / alpha.exp().sum(dim=-1, keepdim=True)
