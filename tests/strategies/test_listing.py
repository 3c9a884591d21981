"""The relaxation of a method, read from the source of its ``declare``."""

from __future__ import annotations

import ast

import pytest

from nni_wiring.files.source import SourceClass, SourceModule, Unreadable
from nni_wiring.strategies.listing import declared_relaxation

METHODS = """
from nni_wiring.strategies.darts import DARTS
from nni_wiring.strategies.gdas import GDAS
from nni_wiring.supernet.relaxations import Concrete as Renamed, Decided, Sigmoid, Uniform
class Default(DARTS):
    def declare(self):
        return Parts()
class Inherits(GDAS):
    pass
class AsksItsBase(Inherits):
    def declare(self):
        return replace(super().declare(), stops=(Stop(),))
class Wraps(DARTS):
    def declare(self):
        return Parts(Decided(Sigmoid()))
class Imported(DARTS):
    def declare(self):
        relaxation = Renamed(1.0)
        return Parts(relaxation, schedules=(Temperature(relaxation),))
class Own(Uniform):
    name = "own"
class MakesItsOwn(DARTS):
    def declare(self):
        return Parts(Own())
class Either(DARTS):
    def declare(self):
        return Parts(Sigmoid() if self.settings.sharp else Uniform())
"""


def method(name: str) -> SourceClass:
    found = SourceModule("methods", ast.parse(METHODS)).find(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "relaxation"),
    [
        ("Default", "softmax"),
        ("Inherits", "straight_through_gumbel"),
        ("AsksItsBase", "straight_through_gumbel"),
        ("Wraps", "decided"),
        ("Imported", "concrete"),
        ("MakesItsOwn", "own"),
    ],
)
def test_the_relaxation_that_is_made(name: str, relaxation: str) -> None:
    assert declared_relaxation(method(name)).text("name") == relaxation


def test_a_choice_between_two_is_not_guessed() -> None:
    with pytest.raises(Unreadable, match="Either declares one of several"):
        declared_relaxation(method("Either"))
