"""The pages of the documentation beyond docs/*.md: the README and its like, the notebook, the API.

Called by mkdocs (``hooks`` in mkdocs.yml).
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from links import published, relink
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nni_wiring", "search_spaces")

#: Files outside of docs/ -> their pages.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "performance/README.md": "performance.md",
}
NOTEBOOK = "docs/tutorial.ipynb"
_FENCE = "```"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files."""
    for source, page in OUTSIDE.items():
        add(files, config, page, (ROOT / source).read_text(encoding="utf-8"))
    add(files, config, "tutorial.md", notebook_page(json.loads((ROOT / NOTEBOOK).read_text())))
    for room, modules in rooms().items():
        add(files, config, f"api/{room}.md", api_page(room, modules))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where the repository's files are on the site, or in the repository."""
    sources = {target: source for source, target in OUTSIDE.items()}
    here = page.file.src_uri
    folder = posixpath.dirname(sources.get(here, f"docs/{here}"))
    version = re.search(r'__version__ = "(.+)"', (ROOT / "nni_wiring/__init__.py").read_text())
    elsewhere = published(version.group(1) if version else "")

    def place(path: str) -> str | None:
        target = OUTSIDE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if path == NOTEBOOK:
            target = "tutorial.md"
        if target is None or files.get_file_from_path(target) is None:
            return elsewhere(path)
        return posixpath.relpath(target, posixpath.dirname(here) or ".")

    return relink(markdown, place, folder)


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Append the API, a page per room, to the navigation of mkdocs.yml."""
    pages = [Page(None, files.src_uris[f"api/{room}.md"], config) for room in rooms()]
    section = Section("API", list(pages))
    for page in pages:
        page.parent = section
        if nav.pages:
            page.previous_page, nav.pages[-1].next_page = nav.pages[-1], page
        nav.pages.append(page)
    nav.items.append(section)
    return nav


def add(files: Files, config: MkDocsConfig, page: str, content: str) -> None:
    """One page whose Markdown is `content`."""
    files.append(File.generated(config, page, content=content))


def rooms() -> dict[str, list[str]]:
    """The public modules by room; a package's modules outside of rooms go by its name."""
    found: dict[str, list[str]] = {}
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        *folders, name = path.relative_to(ROOT).with_suffix("").parts
        parts = folders if name == "__init__" else [*folders, name]
        if not any(part.startswith("_") for part in parts):
            room = folders[1] if len(folders) > 1 and folders[0] == PACKAGES[0] else folders[0]
            found.setdefault(room, []).append(".".join(parts))
    return found


def api_page(room: str, modules: list[str]) -> str:
    """The directives that show the docstrings of a room's modules."""
    return "\n\n".join([f"# {room}", *(f"::: {module}" for module in modules)])


def notebook_page(notebook: dict[str, Any]) -> str:
    """A notebook as Markdown, with its stored texts and pictures."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"{_FENCE}python\n{source}\n{_FENCE}")
        parts += [shown(output) for output in cell["outputs"]]
    return "\n\n".join(parts)


def shown(output: dict[str, Any]) -> str:
    """One stored output: its picture, else its text."""
    data = output.get("data", {})
    if "image/png" in data:
        encoded = "".join(data["image/png"]).replace("\n", "")
        return f'<img alt="the cell\'s picture" src="data:image/png;base64,{encoded}">'
    text = "".join(output.get("text", data.get("text/plain", [])))
    return f"{_FENCE}text\n{text.rstrip()}\n{_FENCE}"
