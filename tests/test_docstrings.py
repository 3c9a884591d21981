"""Docstrings open with a sentence or a noun phrase, never with a fragment that asks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PACKAGES = ("search_spaces", "nni_wiring")
FRAGMENTS = {"How", "What", "When", "Where", "Whether", "Which", "Who", "Whom", "Whose", "Why"}
FILES = sorted(path for package in PACKAGES for path in (REPO / package).rglob("*.py"))
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(source: str) -> Iterator[tuple[str, str]]:
    """Every docstring of a module with the name of its owner."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)) is not None:
            yield getattr(node, "name", "module"), text


def fragments(source: str) -> list[str]:
    """The owners of docstrings that open with a word that asks, or are empty."""
    return [
        name
        for name, text in docstrings(source)
        if not text or text.split()[0].rstrip(",:;") in FRAGMENTS
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPO)))
def test_no_docstring_opens_with_a_fragment(path: Path) -> None:
    assert fragments(path.read_text()) == []


def test_every_module_says_what_it_is() -> None:
    silent = [p for p in FILES if p.read_text().strip() and not ast.get_docstring(_tree(p))]
    assert silent == []


def test_the_check_sees_fragments_at_every_depth() -> None:
    source = '''"""What this is."""
class A:
    """A thing."""
    def f(self):
        """Whether it is: a fragment."""
    async def g(self):
        """

        Which, after blank lines."""
    def h(self):
        """Whatever it is, a sentence may open so."""
'''
    assert sorted(fragments(source)) == ["f", "g", "module"]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())
