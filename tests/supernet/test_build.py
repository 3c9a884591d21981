"""What shares a label shares one row of alpha a choice, so it has to offer the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from search_spaces import nni_api  # noqa: F401  (must come before nni.nas)

# isort: split
from nni.nas.nn.pytorch import LayerChoice, ModelSpace

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.darts import DARTS
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.genotypes import SIMPLIFIED_GRAPH
from search_spaces.wiring_cell import WiringCell

Maker = Callable[[], nn.Module]


class Parts(ModelSpace):
    """Any modules, one after the other; NNI wants them made in here."""

    def __init__(self, makers: list[Maker]) -> None:
        super().__init__()
        self.parts = nn.Sequential(*(make() for make in makers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x)


def cell(operations: Any = None, label: str = "cell", graph: Any = NB201) -> Maker:
    return lambda: WiringCell(graph, 2, label=label, operations=operations)


def choice(*names: str) -> Maker:
    return lambda: LayerChoice({name: nn.Identity() for name in names}, label="mix")


def groups(*makers: Maker) -> list[str]:
    strategy = DARTS(supernet="plain")
    strategy.mutate_model(Parts(makers=list(makers)))
    return [group.name for group in strategy.groups]


def test_a_label_is_one_group_and_another_label_another() -> None:
    fewer = {"0-3": ["none", "skip_connect"]}
    assert groups(cell(fewer), cell(fewer), cell(label="last")) == ["cell", "last"]
    assert groups(choice("a", "b"), choice("b", "a")) == ["mix"]


@pytest.mark.parametrize(
    ("makers", "words"),
    [
        (
            (cell(), cell({"1-2": ["none", "skip_connect"]})),
            ["'cell'", f"edge 1-2 with {', '.join(OPERATIONS)} in one", "with none, skip_connect"],
        ),
        ((cell({"*": ["none"]}), cell()), ["'cell'", "edge 0-1 with none in one"]),
        ((cell(), cell(graph=SIMPLIFIED_GRAPH)), ["'cell'", "0-1, 0-2, 1-2, 0-3", "0-1, 0-2, 1-2"]),
        ((choice("a", "b"), choice("a", "c")), ["'mix'", "with a, b in one place and with a, c"]),
    ],
    ids=["one edge", "all edges", "graph", "layers"],
)
def test_a_label_that_means_two_things_is_refused_in_one_line(
    makers: tuple[Maker, ...], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        groups(*makers)
    message = str(caught.value)
    assert "\n" not in message and message.endswith("operations, or another label")
    assert [word for word in words if word not in message] == []
