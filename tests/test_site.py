"""The documentation's site: built without a warning, every public name on it, no link astray."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urldefrag, urlparse

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


class Anchors(HTMLParser):
    """The ids and the targets of one page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids |= {values["id"] or ""} if "id" in values else set()
        for name in ("href", "src"):
            target = values.get(name)
            if target and not urlparse(target).scheme and target != "#":
                self.targets.add(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Anchors]:
    """Every page of a site that was built strictly."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-3000:]
    return {page: Anchors(page) for page in folder.rglob("*.html") if page.name == "index.html"}


def public_names() -> Iterator[str]:
    """Every documented class and function that is public, of all modules without underscore."""
    for package in ("nni_wiring", "search_spaces"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(part for part in parts if part != "__init__")
            if "._" in module or path.stem.startswith("__main"):
                continue
            for node in ast.parse(path.read_text()).body:
                named = isinstance(node, (ast.ClassDef, ast.FunctionDef))
                if named and not node.name.startswith("_") and ast.get_docstring(node):
                    yield f"{module}.{node.name}"


@pytest.mark.slow
def test_every_public_name_is_on_a_page(site: dict[Path, Anchors]) -> None:
    shown = {name for page in site.values() for name in page.ids}
    wanted = set(public_names())
    assert len(wanted) > 800
    assert sorted(wanted - shown) == []


@pytest.mark.slow
def test_no_link_leads_astray(site: dict[Path, Anchors]) -> None:
    broken = []
    for page, anchors in site.items():
        for target in anchors.targets:
            path, fragment = urldefrag(unquote(target))
            found = (page.parent / path).resolve() if path else page
            found = found / "index.html" if found.is_dir() else found
            known = found not in site or not fragment or fragment in site[found].ids
            if not (found.is_file() and known):
                broken.append(f"{page.parent.name}: {target}")
    assert sum(len(anchors.targets) for anchors in site.values()) > 1000
    assert broken == []


def pages_of(nav: list[dict[str, object]]) -> Iterator[str]:
    """The pages of a navigation, at all depths."""
    for entry in nav:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            elif isinstance(value, list):
                yield from pages_of(value)


def test_every_page_of_docs_is_in_the_navigation_once() -> None:
    listed = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert len(listed) == len(set(listed))
    assert {page.name for page in DOCS.glob("*.md")} <= set(listed)


def load(name: str) -> ModuleType:
    """A file of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_that_share_a_text_are_items_of_their_own() -> None:
    one_name_an_item = load("docstrings").one_name_an_item
    text = (
        "A line, and more: kept.\n\nArgs:\n"
        "    a, b: both\n        of them.\n    c: one, two: three.\n"
        "\nReturns:\n    x, y: a pair."
    )
    assert one_name_an_item(text) == (
        "A line, and more: kept.\n\nArgs:\n    a: both\n        of them.\n"
        "    b: both\n        of them.\n    c: one, two: three.\n\nReturns:\n    x, y: a pair."
    )


def test_links_go_where_the_place_says() -> None:
    relink = load("links").relink
    places = {"docs/a.md": "https://x.test/a", "docs/i.png": "https://x.test/i"}
    text = "[a](a.md#part), ![i](i.png) [b](../b.md) ![j](j.png)[w](https://w.test) [own](#own)"
    assert relink(text, places.get, "docs") == (
        "[a](https://x.test/a#part), ![i](https://x.test/i) b [w](https://w.test) [own](#own)"
    )
