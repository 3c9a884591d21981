"""Classes of this project read from their source, for listings that must not wait for torch.

Only what the source says outright is read: literals, names that lead to other classes, docstrings.
All else raises Unreadable, and the caller imports the class instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nni_wiring

PACKAGE = nni_wiring.__name__
ROOT = Path(nni_wiring.__file__).resolve().parents[1]


class Unreadable(Exception):
    """The source does not say it outright."""


class SourceModule(NamedTuple):
    """A parsed module, by its dotted name."""

    name: str
    tree: ast.Module

    def find(self, name: str) -> SourceClass | None:
        """The class that ``name`` means here, imported or not; None for anything else, and for
        what other projects define.
        """
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return SourceClass(self, node)
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{PACKAGE}."):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return source_module(str(node.module)).find(alias.name)
        return None

    def registered(self, registry: str) -> list[SourceClass]:
        """The classes in the call ``registry: .. = Registry(what, error, (A, B, ..), ..)``."""
        for node in self.tree.body:
            match node:
                case ast.AnnAssign(
                    target=ast.Name(id=target),
                    value=ast.Call(args=[_, _, ast.Tuple(elts=entries)]),
                ) if target == registry:
                    return [self.named(entry) for entry in entries]
        raise Unreadable(f"{self.name}: no registry {registry}")

    def named(self, expression: ast.expr) -> SourceClass:
        """The class that an expression names. Raises Unreadable where it names none."""
        found = self.find(expression.id) if isinstance(expression, ast.Name) else None
        if found is None:
            raise Unreadable(f"{self.name}: {ast.unparse(expression)} names no class")
        return found


class SourceClass(NamedTuple):
    """A class, and the module that defines it."""

    module: SourceModule
    node: ast.ClassDef

    @property
    def key(self) -> tuple[str, str]:
        """The names of the module and of the class."""
        return self.module.name, self.node.name

    def lineage(self) -> Iterator[SourceClass]:
        """The class and those that it inherits from, nearest first, as far as they are this
        project's. Raises Unreadable for two bases, whose order takes more to find.
        """
        yield self
        names = [base.id for base in self.node.bases if isinstance(base, ast.Name)]
        bases = [base for base in map(self.module.find, names) if base is not None]
        if len(bases) > 1:
            raise Unreadable(f"{self.node.name} has several bases")
        for base in bases:
            yield from base.lineage()

    def attribute(self, name: str) -> tuple[SourceModule, ast.expr]:
        """The value that the class or its nearest ancestor assigns to ``name``, and its module."""
        for ancestor in self.lineage():
            for node in ancestor.node.body:
                match node:
                    case (
                        ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value)
                        | ast.Assign(targets=[ast.Name(id=target)], value=value)
                    ) if target == name:
                        return ancestor.module, value
        raise Unreadable(f"{self.node.name} has no {name}")

    def text(self, name: str) -> str:
        """An attribute that is a string. Raises Unreadable where it is not one, literally."""
        match self.attribute(name)[1]:
            case ast.Constant(value=str(text)):
                return text
        raise Unreadable(f"{self.node.name}.{name} is not a literal string")

    def class_of(self, name: str) -> SourceClass:
        """An attribute that is a class."""
        module, value = self.attribute(name)
        return module.named(value)

    def method(self, name: str) -> tuple[SourceClass, ast.FunctionDef]:
        """A method, and the class of the lineage that defines it."""
        for ancestor in self.lineage():
            for node in ancestor.node.body:
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    return ancestor, node
        raise Unreadable(f"{self.node.name} has no method {name}")

    def summary(self) -> str:
        """The docstring's first line."""
        return (ast.get_docstring(self.node) or "").split("\n")[0]


@cache
def source_module(name: str) -> SourceModule:
    """Read a module of this project. Raises Unreadable where there is no source."""
    path = ROOT.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    try:
        return SourceModule(name, ast.parse(path.read_text(encoding="utf-8")))
    except (OSError, SyntaxError) as error:
        raise Unreadable(f"{name}: {error}") from None
