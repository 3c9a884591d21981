"""Classes read from their source are those that Python makes of it."""

from __future__ import annotations

import ast

import pytest

from nni_wiring.files.source import SourceClass, SourceModule, Unreadable, source_module
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.supernet.relaxations import RELAXATIONS

CLASSES = [*STRATEGIES.values(), *RELAXATIONS.values()]


def read(cls: type) -> SourceClass:
    found = source_module(cls.__module__).find(cls.__name__)
    assert found is not None
    return found


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_lineage_and_names_are_python_s(cls: type) -> None:
    ours = [base for base in cls.__mro__ if base.__module__.startswith("nni_wiring.")]
    keys = [(base.__module__, base.__name__) for base in ours]
    assert [ancestor.key for ancestor in read(cls).lineage()] == keys
    assert read(cls).text("name") == cls.name  # type: ignore[attr-defined]
    assert read(cls).summary() == str(cls.__doc__).split("\n")[0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("name = 'a' + 'b'", "not a literal"),
        ("name: str", "has no name"),
        ("pass", "has no name"),
        ("name = 3", "not a literal"),
    ],
)
def test_what_is_not_said_outright_is_refused(body: str, reason: str) -> None:
    found = SourceModule("m", ast.parse(f"class A:\n    {body}\n")).find("A")
    assert found is not None
    with pytest.raises(Unreadable, match=reason):
        found.text("name")


def test_two_bases_are_refused() -> None:
    source = "class A: pass\nclass B: pass\nclass C(A, B): pass\n"
    found = SourceModule("m", ast.parse(source)).find("C")
    assert found is not None
    with pytest.raises(Unreadable, match="several bases"):
        found.text("name")


def test_a_module_without_source_is_refused() -> None:
    with pytest.raises(Unreadable, match="no_such_module"):
        source_module("nni_wiring.no_such_module")
