"""Links of the repository's Markdown files, rewritten for places other than the repository."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable

#: An image or a link with a relative target: mark, text, target, fragment.
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")

#: A file of the repository (its path there) -> where it is, or None.
Place = Callable[[str], str | None]


def relink(markdown: str, place: Place, folder: str = "") -> str:
    """The text with every relative link led to where `place` says.

    A link to a file without a place becomes its text, an image is left out.

    Args:
        markdown: the text of a file of the repository.
        place: takes a path from the repository's root.
        folder: of the text's file, from the repository's root.
    """

    def one(match: re.Match[str]) -> str:
        mark, text, target, fragment = match.groups(default="")
        found = place(posixpath.normpath(posixpath.join(folder, target)))
        if found is None:
            return "" if mark else text
        return f"{mark}[{text}]({found}{fragment})"

    return _LINK.sub(one, markdown)


def repository() -> str | None:
    """The address of the repository's web page, as ``NNI_WIRING_REPOSITORY`` gives it."""
    return os.environ.get("NNI_WIRING_REPOSITORY", "").rstrip("/") or None


def published(version: str) -> Place:
    """The place of a file in the published repository, in the release of `version`; else None."""
    address = repository()

    def place(path: str) -> str | None:
        if address is None:
            return None
        kind = "raw" if path.endswith(".png") else "blob"
        return f"{address}/{kind}/v{version}/{path}"

    return place
