"""CellGraph: the nodes and edges of a cell, without operations (no torch)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from search_spaces.errors import SpaceError

#: Operations of NAS-Bench-201 in its own order; an operation's place is its index and code digit.
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

Role = Literal["input", "intermediate", "output", "direct"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class CellGraph:
    """A directed acyclic cell whose nodes are numbered so that every edge goes upwards.

    inputs: the first nodes, ``0 .. k-1``. nodes: number of all nodes, inputs included. edges:
    ``(source, target)`` in a fixed order; a pair may occur twice (genotypes do that), the second
    edge is then named ``0-5b``. outputs: the nodes that form the output. One output node is the
    output itself (NAS-Bench-201) and leads nowhere; several are intermediate nodes whose
    concatenation is the output (DARTS-type cells).

    Raises SpaceError for a graph that is not of this form.
    """

    inputs: tuple[int, ...]
    nodes: int
    edges: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.inputs or self.inputs != tuple(range(len(self.inputs))):
            raise SpaceError(f"cell graph: inputs must be nodes 0, 1, ...; got {self.inputs}")
        inner = range(len(self.inputs), self.nodes)
        for source, target in self.edges:
            if not (0 <= source < target and target in inner):
                raise SpaceError(
                    f"cell graph: edge {source}-{target} must go upwards, from a node of "
                    f"0..{self.nodes - 1} to one that is not an input"
                )
        if not self.outputs or len(set(self.outputs)) < len(self.outputs):
            raise SpaceError(
                f"cell graph: name each output node once, at least one; got {self.outputs}"
            )
        if not set(self.outputs) <= set(inner):
            raise SpaceError(
                f"cell graph: outputs {self.outputs} must lie in {inner.start}..{inner.stop - 1}"
            )
        if not self.concatenates and any(source in self.outputs for source, _ in self.edges):
            raise SpaceError(
                f"cell graph: the output node {self.outputs[0]} cannot be the source of an edge"
            )

    @property
    def concatenates(self) -> bool:
        """True where the output is a concatenation of several nodes, not a node of its own."""
        return len(self.outputs) > 1

    @cached_property
    def intermediate_nodes(self) -> tuple[int, ...]:
        """Nodes that are neither an input nor the output node itself."""
        inner = range(len(self.inputs), self.nodes)
        return tuple(node for node in inner if self.concatenates or node not in self.outputs)

    @cached_property
    def edge_names(self) -> tuple[str, ...]:
        """``"source-target"`` per edge, in edge order; unique."""
        names: list[str] = []
        for place, (source, target) in enumerate(self.edges):
            earlier = self.edges[:place].count((source, target))
            names.append(f"{source}-{target}{chr(ord('a') + earlier) if earlier else ''}")
        return tuple(names)

    @cached_property
    def edge_roles(self) -> tuple[Role, ...]:
        """The role of every edge, in edge order."""
        roles: list[Role] = []
        for source, target in self.edges:
            from_input = source in self.inputs
            if target in self.intermediate_nodes:
                roles.append("input" if from_input else "intermediate")
            else:
                roles.append("direct" if from_input else "output")
        return tuple(roles)

    @property
    def roles(self) -> dict[str, Role]:
        """The role of every edge by its name."""
        return dict(zip(self.edge_names, self.edge_roles, strict=True))

    def role(self, edge: str) -> Role:
        """The role of one edge: input, intermediate, output or direct (cell input -> output).

        Raises SpaceError for an unknown edge name.
        """
        return self.edge_roles[self.edge_index(edge)]

    def edge_index(self, edge: str) -> int:
        """Place of the edge in edge order; SpaceError for an unknown name."""
        if edge not in self.edge_names:
            raise SpaceError(f"edge {edge!r} is not known; allowed: {', '.join(self.edge_names)}")
        return self.edge_names.index(edge)

    def edges_into(self, node: int) -> tuple[int, ...]:
        """Places of the edges that end in ``node``, in edge order."""
        return tuple(e for e, (_, target) in enumerate(self.edges) if target == node)


#: The cell of NAS-Bench-201 (Dong & Yang, ICLR 2020): 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
NB201 = CellGraph(
    inputs=(0,),
    nodes=4,
    edges=((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)),
    outputs=(3,),
)
